// What tim.sh runs: ann and bob in Chromium, wen in a mini-program's place, and old with webim 1.7 where WEBIM names its file.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { launch } from '../chromium.mjs';

const base = process.argv[2];
const modules = process.env.NODE_MODULES;
const from = createRequire(`${modules}/`);
/** Whom webim and the SDK up to 2.7.6 ask, and later ones. */
const HOSTS = ['webim.tim.qq.com', 'api.im.qcloud.com'];
const asked = [];

const browser = await launch({
  flags: [
    '--ignore-certificate-errors',
    `--host-resolver-rules=${HOSTS.map((host) => `MAP ${host} ${new URL(base).host}`)}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
  ],
});

async function until(what, test) {
  for (const began = Date.now(); ; ) {
    const got = await test();
    if (got) return got;
    assert.ok(Date.now() - began < 20_000, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function post(call, body = {}) {
  const answer = await fetch(`${base}/weapp/${call}`, { method: 'POST', body: JSON.stringify(body) });
  return answer.json();
}

const signed = (user) => post(`utils/get_login_info?userID=${user}`);

/** A page with one script and what it says. */
async function open(user, script) {
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  page.on('pageerror', (error) => assert.fail(`${user}: ${error}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (HOSTS.includes(url.host) && request.method() === 'POST') asked.push([user, url.pathname]);
  });
  await page.route('https://app.example.com/', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>app</title>' }),
  );
  await page.goto('https://app.example.com/');
  await page.addScriptTag({ path: script });
  return page;
}

/** A client of the TIM web SDK, wherever it runs: a pure function, so that pages take it as text. */
function client(TIM, sdkAppID) {
  const tim = TIM.create({ SDKAppID: sdkAppID });
  tim.setLogLevel(4);
  const heard = [];
  const seen = [];
  tim.on(TIM.EVENT.MESSAGE_RECEIVED, function received({ data }) {
    heard.push(...data.map(({ from, to, nick, type, payload }) => ({ from, to, nick, type, payload })));
  });
  for (const name of ['SDK_READY', 'SDK_NOT_READY', 'KICKED_OUT', 'ERROR'])
    tim.on(TIM.EVENT[name], function noted({ data }) {
      seen.push([name, data?.message ?? data?.type]);
    });
  tim.on(TIM.EVENT.GROUP_LIST_UPDATED, function listed({ data }) {
    seen.groups = data.map((group) => group.groupID);
  });
  const group = (to, payload) => ({ to, conversationType: TIM.TYPES.CONV_GROUP, payload });
  const calls = {
    login: (userID, userSig) => tim.login({ userID, userSig }),
    logout: () => tim.logout(),
    nick: (nick) => tim.updateMyProfile({ nick }),
    make: (groupID, name) => tim.createGroup({ type: TIM.TYPES.GRP_AVCHATROOM, groupID, name }),
    join: (groupID) => tim.joinGroup({ groupID, type: TIM.TYPES.GRP_AVCHATROOM }),
    quit: (groupID) => tim.quitGroup(groupID),
    dismiss: (groupID) => tim.dismissGroup(groupID),
    say: (to, text) => tim.sendMessage(tim.createTextMessage(group(to, { text }))),
    custom: (to, data) =>
      tim.sendMessage(tim.createCustomMessage(group(to, { data, description: 'd', extension: 'e' }))),
    tell: (to, text) =>
      tim.sendMessage(tim.createTextMessage({ to, conversationType: TIM.TYPES.CONV_C2C, payload: { text } })),
    profile: (userID) => tim.getUserProfile({ userIDList: [userID] }),
  };
  /** Gives plain data: what the SDK gives holds itself. */
  return {
    heard: () => heard.splice(0),
    seen: () => ({ events: seen.splice(0), groups: seen.groups }),
    async call(name, ...rest) {
      try {
        return { data: JSON.parse(JSON.stringify((await calls[name](...rest))?.data ?? null)) };
      } catch (error) {
        return { code: error.code, message: error.message };
      }
    },
  };
}

const KINDS = { heard: 'heard', seen: 'seen', call: 'call' };

/** The SDK in a page. */
async function inPage(user) {
  const page = await open(user, path.join(modules, 'tim-js-sdk/tim-js.js'));
  const { sdkAppID } = await signed(user);
  await page.evaluate(`window.me = (${client})(window.TIM, ${sdkAppID})`);
  return ready(user, (kind, ...rest) => page.evaluate(([kind, rest]) => window.me[kind](...rest), [kind, rest]), page);
}

/** The SDK where it believes itself in a mini-program. */
async function inMiniProgram(user) {
  const kept = new Map();
  globalThis.wx = {
    request({ url, method, data, success, fail }) {
      const asks = new URL(url);
      const gone = new AbortController();
      if (!HOSTS.includes(asks.host)) return void fail({ errMsg: 'request:fail url not in domain list' });
      asked.push([user, asks.pathname]);
      fetch(base + asks.pathname + asks.search, { method, body: JSON.stringify(data), signal: gone.signal }).then(
        async (answer) => success({ statusCode: answer.status, header: {}, data: await answer.json() }),
        (error) => fail({ errMsg: `request:fail ${error.message}` }),
      );
      return { abort: () => gone.abort() };
    },
    getSystemInfoSync: () => ({ platform: 'devtools', SDKVersion: '2.12.1', model: 'none', system: 'none' }),
    getNetworkType: ({ success }) => success({ networkType: 'wifi' }),
    getStorageInfoSync: () => ({ keys: [...kept.keys()] }),
    getStorageSync: (key) => kept.get(key) ?? '',
    setStorageSync: (key, value) => kept.set(key, value),
    removeStorageSync: (key) => kept.delete(key),
    onNetworkStatusChange() {},
    onAppShow() {},
    onAppHide() {},
  };
  globalThis.getCurrentPages = () => [{ route: 'pages/index/index', options: {} }];
  globalThis.getApp = () => ({});
  // Versions from 2.7.8 to 2.9 need it, and do not bring it.
  globalThis.regeneratorRuntime = from('regenerator-runtime');
  const { sdkAppID } = await signed(user);
  const { log } = console;
  console.log = () => {};
  const me = client(from('tim-wx-sdk'), sdkAppID);
  console.log = log;
  return ready(user, (kind, ...rest) => me[kind](...rest));
}

/** Logs a client in. */
async function ready(user, does, page) {
  const events = [];
  const heard = [];
  const me = {
    user,
    page,
    events,
    async call(name, ...rest) {
      const { data, code, message } = await does(KINDS.call, name, ...rest);
      assert.equal(code, undefined, `${user}, ${name}: ${code} ${message}`);
      return data;
    },
    async fails(name, ...rest) {
      return (await does(KINDS.call, name, ...rest)).code;
    },
    async groups() {
      const { events: more, groups } = await does(KINDS.seen);
      events.push(...more);
      return groups;
    },
    /** The next message that it hears. */
    async hears() {
      return until(`${user} hears something`, async () => {
        heard.push(...(await does(KINDS.heard)));
        return heard.shift();
      });
    },
    async login() {
      const { userSig } = await signed(user);
      await me.call('login', user, userSig);
      await me.until('SDK_READY');
    },
    async until(event) {
      await until(`${user}: ${event}`, async () => {
        await me.groups();
        return events.some(([name]) => name === event);
      });
    },
  };
  await me.login();
  return me;
}

/** The 2018 client in a page. */
async function inOldPage(user) {
  const page = await open(user, process.env.WEBIM);
  const { sdkAppID, userSig, accountType } = await signed(user);
  const login = { sdkAppID, accountType, appIDAt3rd: sdkAppID, identifier: user, identifierNick: user, userSig };
  await page.evaluate((login) => {
    const { webim } = window;
    window.heard = [];
    const text = (msg) => ({
      from: msg.getFromAccount(),
      // A text comes under its sender's name.
      text: msg.elems.map(({ content }) => content.text ?? '').join(''),
    });
    const listeners = {
      onConnNotify() {},
      onKickedEventCall: () => window.heard.push('kicked'),
      onMsgNotify: (list) => window.heard.push(...list.filter((msg) => !msg.getIsSend()).map(text)),
      onBigGroupMsgNotify: (list) => window.heard.push(...list.filter((msg) => !msg.getIsSend()).map(text)),
    };
    return new Promise((done, failed) =>
      webim.login(login, listeners, { isLogOn: false }, done, (e) => failed(e.ErrorInfo)),
    );
  }, login);
  return {
    join: (id) =>
      page.evaluate(
        (GroupId) =>
          new Promise((done, failed) => window.webim.applyJoinBigGroup({ GroupId }, done, (e) => failed(e.ErrorInfo))),
        id,
      ),
    say: (id, text) =>
      page.evaluate(
        ([id, text]) => {
          const { webim } = window;
          const session = new webim.Session(webim.SESSION_TYPE.GROUP, id, id, '', Math.round(Date.now() / 1000));
          const msg = new webim.Msg(
            session,
            true,
            -1,
            -1,
            -1,
            webim.ctx?.identifier ?? 'old',
            webim.GROUP_MSG_SUB_TYPE.COMMON,
            'Old',
          );
          msg.addText(new webim.Msg.Elem.Text(text));
          return new Promise((done, failed) => webim.sendMsg(msg, done, (e) => failed(e.ErrorInfo)));
        },
        [id, text],
      ),
    hears: () => until(`${user} hears something`, () => page.evaluate(() => window.heard.shift())),
  };
}

const text = (from, to, words) => ({
  from,
  to,
  nick: from === 'ann' ? 'Ann' : from,
  type: 'TIMTextElem',
  payload: { text: words },
});

const ann = await inPage('ann');
const bob = await inPage('bob');
await ann.call('nick', 'Ann');

// A group of one's own; a name that is taken; a group that is not there.
const { group } = await ann.call('make', 'g', 'Group');
assert.deepEqual([group.groupID, group.name, group.ownerID, group.selfInfo.role], ['g', 'Group', 'ann', 'Owner']);
assert.equal(await bob.fails('make', 'g', 'Group'), 10021);
assert.equal(await bob.fails('join', 'none'), 10010);
assert.equal((await ann.call('join', 'g')).status, 'JoinedSuccess');
const joined = await bob.call('join', 'g');
// memberNum is memberCount in later versions.
assert.deepEqual([joined.group.memberNum ?? joined.group.memberCount, joined.group.selfInfo.role], [2, 'Member']);

// Text and custom messages, both ways.
await ann.call('say', 'g', 'hello');
await ann.call('custom', 'g', '{"cmd":"like"}');
const first = [
  text('ann', 'g', 'hello'),
  { ...text('ann', 'g'), type: 'TIMCustomElem', payload: { data: '{"cmd":"like"}', description: 'd', extension: 'e' } },
];
assert.deepEqual([await bob.hears(), await bob.hears()], first);
// Our SDK's own commands have no data: they are heard like others.
await ann.call('custom', 'g', '');
assert.deepEqual((await bob.hears()).payload, { data: '', description: 'd', extension: 'e' });
await bob.call('say', 'g', 'hello, ann');
assert.deepEqual(await ann.hears(), text('bob', 'g', 'hello, ann'));

// One who comes late, in a mini-program, hears nothing of what was said before.
const wen = await inMiniProgram('wen');
await wen.call('join', 'g');
await wen.call('say', 'g', 'late');
for (const other of [ann, bob]) assert.deepEqual(await other.hears(), text('wen', 'g', 'late'));

// Private messages. The nick name is in the profile.
await ann.call('tell', 'wen', 'you alone');
assert.deepEqual(await wen.hears(), { ...text('ann', 'wen', 'you alone'), nick: '' });
assert.equal((await wen.call('profile', 'ann'))[0].nick, 'Ann');
await wen.call('tell', 'ann', 'thank you');
assert.deepEqual(await ann.hears(), { ...text('wen', 'ann', 'thank you'), nick: '' });

// webim 1.7 in the same group.
if (process.env.WEBIM) {
  const old = await inOldPage('old');
  await old.join('g');
  await old.say('g', 'seven years old');
  for (const other of [ann, bob, wen]) assert.deepEqual(await other.hears(), text('old', 'g', 'seven years old'));
  await bob.call('say', 'g', 'and well');
  for (const other of [ann, wen]) assert.deepEqual(await other.hears(), text('bob', 'g', 'and well'));
  assert.deepEqual(await old.hears(), { from: 'bob', text: 'and well' });
}

// Who quits hears no more; a group that is dismissed is told, and nobody asks for it any more.
await wen.call('quit', 'g');
await ann.call('dismiss', 'g');
const notice = await bob.hears();
assert.deepEqual(
  [notice.from, notice.type, notice.payload.operationType],
  ['@TIM#SYSTEM', 'TIMGroupSystemNoticeElem', 5],
);
await until('the group is gone', async () => (await bob.groups())?.length === 0);
const GET = '/v1/group_open_long_polling_http_noauth_svc/get_msg';
const polls = () => asked.filter(([user, call]) => user === 'bob' && call === GET).length;
const before = polls();
await new Promise((resolve) => setTimeout(resolve, 6_000));
assert.ok(polls() - before <= 1, 'a client whose group is gone polls it no more');

// A live room's group: its creator's, and the room's own notices.
const { userSig, sdkAppID, accountType } = await signed('ann');
const { token } = await post(
  `live_room/login?${new URLSearchParams({ sdkAppID, accountType, userID: 'ann', userSig })}`,
);
const room = (call, more) =>
  post(`live_room/${call}?userID=ann&token=${token}`, { userID: 'ann', roomID: 'r', ...more });
const { pushURL } = await room('get_push_url');
const { code } = await room('create_room', { roomInfo: 'a room', pushURL, userName: 'Ann', userAvatar: '' });
assert.equal(code, 0);
await ann.call('make', 'r', 'r');
await room('add_pusher', { pushURL, userName: 'Ann', userAvatar: '' });
assert.equal((await bob.call('join', 'r')).group.ownerID, 'ann');
await room('set_custom_field', { fieldName: 'likes', operation: 'set', value: 1 });
const custom = await bob.hears();
assert.equal(custom.payload.operationType, 255);
assert.match(custom.payload.userDefinedField, /^\{"cmd":"notify/);
await room('destroy_room');
const notices = [];
while (notices.at(-1) !== 5) notices.push((await bob.hears()).payload.operationType);

// A newer login takes the older one's place; who logs out can log in again.
const again = await inPage('bob');
await bob.until('KICKED_OUT');
await again.call('logout');
await again.login();

for (const { user, events } of [ann, again, wen])
  assert.deepEqual(
    events.filter(([name]) => name === 'ERROR'),
    [],
    user,
  );
const calls = [...new Set(asked.map(([, call]) => call))].sort();
console.log(`${calls.length} calls asked: ${calls.join(' ')}`);
const version = (name) => from(`${name}/package.json`).version;
console.log(
  `tim-js-sdk ${version('tim-js-sdk')} in Chromium ${browser.version()} and tim-wx-sdk ${version('tim-wx-sdk')}${process.env.WEBIM ? ', webim 1.7' : ''}: all as expected`,
);
await browser.close();
process.exit(0);
