// What webim_wx.sh runs: the chat of the 2018 mini-program, two users in a room that is quiet for longer than WeChat waits for an answer.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { commandBody, ownBody, textBody } from '../../sdk/js/src/messages.js';

const base = process.argv[2];
/** WeChat's limit, and the mini-program's own setting. */
const PATIENCE = 60_000;
const HOST = 'https://webim.tim.qq.com';
const { log } = console;
for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = () => {};

async function post(call, body = {}, query = '') {
  const answer = await fetch(`${base}/weapp/${call}${query}`, { method: 'POST', body: JSON.stringify(body) });
  return answer.json();
}

const asked = [];
globalThis.wx = {
  request({ url, method, data, header, success, fail }) {
    const began = Date.now();
    const call = new URL(url).pathname.split('/').at(-1);
    const answer = fetch(url.replace(HOST, base), {
      method,
      body: data,
      headers: header,
      signal: AbortSignal.timeout(PATIENCE),
    });
    const note = (code) => asked.push({ call, code, took: Date.now() - began, at: Date.now() });
    answer
      .then((answer) => answer.json())
      .then(
        (data) => {
          note(data.ErrorCode);
          success({ statusCode: 200, data });
        },
        (error) => {
          note(String(error.name));
          fail({ errMsg: 'request:fail timeout' });
        },
      );
  },
  getStorageSync: () => '',
  setStorageSync: () => {},
};

/** A copy of the client of its own for each user, as each phone has. */
function load() {
  const { exports } = { exports: {} };
  const module = { exports };
  const code = readFileSync(process.env.WEBIM_WX, 'utf8');
  new Function('module', 'exports', 'require', code)(module, exports, createRequire(import.meta.url));
  return module.exports;
}

/** What the room's page makes of a message, as rtcroom.js and liveroom.js do: throwing, it ends the polls for good. */
function shown(msg) {
  const contents = msg.getElems().map((elem) => elem.getContent());
  const content = contents.map((it) => it.getText?.() ?? it.getData()).join('');
  if (!content) return undefined;
  const [head, ...rest] = content.split('}}');
  const { cmd, data } = JSON.parse(`${head}}}`);
  if (cmd === 'CustomTextMsg') return `${data.nickName}: ${rest.join('}}')}`;
  return cmd === 'CustomCmdMsg' ? data.cmd : cmd;
}

/** Logs in, and joins a group, or makes it. */
async function enter(user, room, makes = false) {
  const webim = load();
  const info = await post(`utils/get_login_info?userID=${user}`);
  const heard = [];
  const told = [];
  const login = {
    sdkAppID: info.sdkAppID,
    appIDAt3rd: info.sdkAppID,
    accountType: info.accType ?? info.accountType,
    identifier: user,
    identifierNick: user,
    userSig: info.userSig,
  };
  const listeners = {
    onConnNotify: (state) => told.push(['connection', state.ErrorInfo]),
    onBigGroupMsgNotify: (list) => heard.push(...list.map(shown).filter(Boolean)),
    onMsgNotify() {},
    onGroupSystemNotifys: { 5: () => told.push(['room', 'closed']), 11() {}, 255() {} },
    onKickedEventCall: () => told.push(['kicked', '']),
  };
  await new Promise((ok, wrong) =>
    webim.login(login, listeners, { isAccessFormalEnv: true, isLogOn: false }, ok, wrong),
  );
  const group = { GroupId: room, Name: room, Type: 'AVChatRoom', Owner_Account: user, MemberList: [] };
  if (makes) await new Promise((ok, wrong) => webim.createGroup(group, ok, wrong));
  await new Promise((ok, wrong) => webim.applyJoinBigGroup({ GroupId: room }, ok, wrong));
  return { webim, heard, told, user };
}

const say = (who, room, Text) => send(who, room, [{ MsgType: 'TIMTextElem', MsgContent: { Text } }]);

function send({ webim, user }, room, body) {
  const session = webim.MsgStore.sessByTypeId('GROUP', room) || new webim.Session('GROUP', room, room, '', 0);
  const msg = new webim.Msg(
    session,
    true,
    -1,
    Math.round(Math.random() * 4e9),
    Date.now() / 1000,
    user,
    webim.GROUP_MSG_SUB_TYPE.COMMON,
    user,
  );
  for (const { MsgContent } of body) {
    const { Text, Data, Desc, Ext } = MsgContent;
    if (Text === undefined) msg.addCustom(new webim.Msg.Elem.Custom(Data, Desc, Ext));
    else msg.addText(new webim.Msg.Elem.Text(Text));
  }
  return new Promise((ok, wrong) => webim.sendMsg(msg, ok, wrong));
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function until(what, test, within = 5_000) {
  for (const end = Date.now() + within; !test(); await sleep(50)) assert.ok(Date.now() < end, what());
}

const ann = await enter('ann', 'quiet', true);
await say(ann, 'quiet', 'before');
const bob = await enter('bob', 'quiet');
const quiet = Number(process.env.QUIET ?? 130) * 1000;
await sleep(quiet);
await say(ann, 'quiet', 'after a long silence');
await until(
  () => `bob hears it: ${JSON.stringify(bob.heard)}`,
  () => bob.heard.length > 0,
);
const broken = asked.filter(({ code }) => typeof code === 'string');
assert.deepEqual(broken, [], 'WeChat hung up');
assert.deepEqual(
  [ann.told, bob.told].flat().filter(([what]) => what === 'kicked'),
  [],
);
log(
  `quiet for ${quiet / 1000} s: ${asked.filter(({ took }) => took > 10_000).length} polls, the longest ${Math.max(...asked.map(({ took }) => took))} ms`,
);

assert.deepEqual(bob.heard, ['ann: after a long silence'], 'and nothing of before');

// A member with our SDK turns its microphone off, of which old clients show nothing, and sends a command of its app's: they hear all the rest.
const me = { userName: 'A}}nn', userAvatar: '' };
await send(ann, 'quiet', ownBody('media', { mic: false, cam: true, screen: false }, me));
await send(ann, 'quiet', commandBody('gift', { of: { kind: 'rose' } }, me));
await send(ann, 'quiet', textBody('a text', me));
await say(ann, 'quiet', 'after the commands');
await until(
  () => `bob goes on to hear: ${JSON.stringify(bob.heard)}`,
  () => bob.heard.includes('ann: after the commands'),
);
assert.deepEqual(bob.heard.slice(1), ['gift', 'A}}nn: a text', 'ann: after the commands']);

// The room ends while bob is in it: its client goes on polling, and is answered slowly.
await new Promise((ok, wrong) => ann.webim.destroyGroup({ GroupId: 'quiet' }, ok, wrong));
await until(
  () => `bob hears that it is over: ${JSON.stringify(bob.told)}`,
  () => bob.told.some(([what]) => what === 'room'),
);
const from = asked.length;
await sleep(20_000);
const after = asked.slice(from);
log(`20 s after the room has closed: ${after.length} polls answered`);
assert.ok(after.length <= 24, JSON.stringify(after.slice(0, 40)));
process.exit(0);
