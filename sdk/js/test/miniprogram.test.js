// The sample page of the mini-program, in a mini-program that is not there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { ownBody, textBody } from '../src/messages.js';
import * as sdk from '../src/wechat.js';
import { clock, FakeServer, settle } from './fake.js';

afterEach(() => clock.reset());

const folder = new URL('../../miniprogram/', import.meta.url);
const file = (name) => readFileSync(new URL(name, folder), 'utf8');

/** The page, with `wx` and `require` as WeChat gives them. */
function page(server) {
  let made;
  const wx = {
    login: ({ success }) => success({ code: 'c' }),
    request: ({ data, success }) =>
      success(server.app ?? { statusCode: 200, data: { userID: data.code && 'ada', userSig: 's', sdkAppID: 1 } }),
  };
  const given = {
    Page: (it) => {
      made = it;
    },
    wx,
    require: (name) => {
      if (name === '../../config.js')
        return { server: 'https://rooms.example.com', loginURL: 'https://app.example.com' };
      assert.equal(name, 'roomservice-sdk');
      const { LiveRoom } = sdk;
      return {
        LiveRoom: class extends LiveRoom {
          constructor(o) {
            super({ wx, ...o, platform: server.platform() });
          }
        },
      };
    },
  };
  new Function(...Object.keys(given), file('pages/room/room.js'))(...Object.values(given));
  made.setData = (data) => Object.assign(made.data, data);
  return made;
}

/** A live room of bob's with eve in it, whose URLs are signed anew at each look. */
function tea() {
  const server = new FakeServer();
  let looks = 0;
  const signed = (url) => `${url}?x=${looks}`;
  const bob = { userID: 'bob', userName: 'Bob', userAvatar: '', url: 'rtmp://h/live/b' };
  server.room = {
    roomID: 'r',
    roomInfo: 'Tea',
    roomCreator: 'bob',
    custom: {},
    pushers: [bob, { ...bob, userID: 'eve', userName: 'Eve', url: 'rtmp://h/live/e' }],
  };
  const look = () => {
    looks += 1;
    const pushers = server.room.pushers.map(({ url, ...p }) => ({ ...p, accelerateURL: signed(url) }));
    return { ...server.room, mixedPlayURL: signed('https://h/live/b.flv'), pushers };
  };
  Object.assign(server.answers, {
    get_room_list: () => ({ rooms: [server.room] }),
    get_pushers: look,
    create_room: () => ({ roomID: 'r' }),
    get_push_url: () => ({ pushURL: `rtmp://h/live/a?x=${server.named('get_push_url').length}` }),
  });
  server.chat = (frame) => (frame.type === 'join' ? { room: 'r', epoch: 1, last: 0, users: 1, missed: 0 } : { seq: 1 });
  return server;
}

/** The page in the room; `shown`: every URL that <live-player> was given anew, '' where it was taken away. */
async function watching(server) {
  clock.enable();
  const it = page(server);
  const shown = { live: [], eve: [] };
  const note = (name, url) => shown[name].at(-1) === url || shown[name].push(url);
  it.setData = (data) => {
    Object.assign(it.data, data);
    note('live', it.data.liveURL);
    note('eve', it.data.others.find((p) => p.userID === 'eve')?.url);
  };
  await it.onLoad();
  await it.enter({ currentTarget: { dataset: { room: 'r' } } });
  await pass(2_000);
  for (const urls of Object.values(shown)) urls.splice(0, urls.length - 1);
  return { it, shown };
}

async function pass(ms) {
  for (let left = ms; left > 0; left -= 100) {
    clock.tick(100);
    await settle(60);
  }
}

/** What WeChat says of a <live-player>. */
const says = (code, url) => ({ detail: { code }, currentTarget: { dataset: { url } } });

test('players go on where nothing of theirs has changed, however often somebody comes and goes', async () => {
  const server = tea();
  const { it, shown } = await watching(server);
  for (const users of [2, 3, 2]) {
    server.socket.push({ type: 'count', room: 'r', users });
    await pass(2_000);
  }
  assert.ok(server.named('get_pushers').length >= 4);
  assert.deepEqual([shown.live.length, shown.eve.length], [1, 1], JSON.stringify(shown));
  it.onUnload();
  await settle();
});

test('while the anchor mixes, the mix alone is heard', async () => {
  const server = tea();
  const { it } = await watching(server);
  const live = it.data.liveURL;
  assert.deepEqual(
    it.data.others.map((p) => p.userID),
    ['eve'],
  );
  server.room.custom = { mixed: 1 };
  await it.room.refresh();
  assert.deepEqual([it.data.others, it.data.liveURL], [[], live]);
  server.room.custom = { mixed: 0 };
  await it.room.refresh();
  assert.equal(it.data.others.length, 1);
  it.onUnload();
  await settle();
});

test('a stream that ended or was not reached is played again by a fresh URL, and the others go on', async () => {
  const server = tea();
  const { it, shown } = await watching(server);
  const looks = server.named('get_pushers').length;
  it.onPlayState(says(2004, it.data.liveURL));
  it.onPlayState(says(-2301, it.data.liveURL));
  it.onPlayState(says(2006, it.data.liveURL));
  await pass(900);
  assert.equal(it.data.liveURL, '', 'at once it would fail at once');
  await pass(2_000);
  assert.equal(server.named('get_pushers').length, looks + 1);
  const [first, none, fresh] = shown.live;
  assert.ok(first !== fresh && fresh.startsWith('https://h/live/b.flv?') && none === '', JSON.stringify(shown));
  assert.deepEqual([shown.live.length, shown.eve.length], [3, 1]);
  // The server is away: it is tried by what is known.
  server.down = true;
  it.onPlayState(says(2006, it.data.others[0].url));
  await pass(3_000);
  assert.ok(shown.eve.length === 3 && shown.eve[1] === '' && shown.eve[2], JSON.stringify(shown));
  server.down = false;
  it.onUnload();
  await settle();
});

test('what is pushed comes back by a fresh URL, at once, when the page is shown and when the network is back', async () => {
  const server = tea();
  clock.enable();
  const it = page(server);
  await it.onLoad();
  server.room.roomCreator = 'ada';
  await it.begin();
  await settle();
  const code = (code) => it.onPushState({ detail: { code } });
  const first = it.data.pushURL;
  it.onShow();
  code(1002);
  await pass(3_000);
  assert.equal(it.data.pushURL, first, 'nothing happened');
  for (const [why, say] of [
    ['-1307', () => code(-1307)],
    ['3004', () => code(3004)],
    ['shown again', () => it.onShow()],
  ]) {
    const before = it.data.pushURL;
    say();
    await settle();
    assert.equal(it.data.pushURL, '', why);
    await pass(3_000);
    assert.ok(it.data.pushURL && it.data.pushURL !== before, why);
    code(1002);
    if (why === '3004') it.pushEnded = true;
  }
  // Without a network it is tried until there is one: more and more seldom, and at once when the page is shown again.
  server.down = true;
  code(-1307);
  // One failure may have several codes.
  code(3004);
  await pass(60_000);
  assert.equal(it.data.pushURL, '');
  server.down = false;
  it.onShow();
  await settle();
  assert.ok(it.data.pushURL);
  assert.ok(it.pushTries >= 6 && it.pushTries <= 9, `${it.pushTries} tries in a minute`);
  code(1002);
  code(-1301);
  assert.equal(it.data.note, 'no camera');
  it.onMediaError({ detail: { errCode: 10002, errMsg: 'microphone refused' } });
  assert.equal(it.data.note, 'microphone refused');
  it.onUnload();
  await settle();
});

test('the sample page lists rooms, watches, goes live, talks and mutes', async () => {
  const server = tea();
  const it = page(server);
  await it.onLoad();
  assert.deepEqual(it.data.rooms, [{ roomID: 'r', roomInfo: 'Tea' }]);
  await it.enter({ currentTarget: { dataset: { room: 'r' } } });
  await settle();
  assert.match(it.data.liveURL, /^https:\/\/h\/live\/b.flv\?x=/);
  const [{ url, ...eve }] = it.data.others;
  assert.deepEqual(eve, { userID: 'eve', name: 'Eve', mic: true });
  assert.match(url, /^rtmp:\/\/h\/live\/e\?x=/);
  const who = { userName: 'Eve', userAvatar: '' };
  const message = (seq, body) => ({ type: 'message', room: 'r', seq, time: 1, from: 'eve', body });
  server.socket.push(message(5, textBody('hi', who)));
  server.socket.push(message(6, ownBody('media', { mic: false }, who)));
  assert.deepEqual(it.data.lines, [{ seq: 5, text: 'Eve: hi' }]);
  assert.equal(it.data.others[0].mic, false);
  it.type({ detail: { value: ' hello ' } });
  await it.say();
  assert.equal(server.socket.asked('send')[0].body[1].MsgContent.Text, 'hello');
  await it.leave();
  server.room = { ...server.room, roomCreator: 'ada', pushers: [{ ...server.room.pushers[0], userID: 'ada' }] };
  await it.begin();
  await settle();
  assert.match(it.data.pushURL, /^rtmp:\/\/h\/live\/a\?x=/);
  assert.deepEqual([it.data.liveURL, it.data.note], ['', '']);
  await it.toggleMicrophone();
  assert.equal(server.socket.asked('send').length, 2);
  it.onUnload();
  await settle();
});

test('the sample’s files fit together', () => {
  const { pages } = JSON.parse(file('app.json'));
  for (const name of pages) for (const kind of ['js', 'json', 'wxml', 'wxss']) assert.ok(file(`${name}.${kind}`));
  const code = file('pages/room/room.js');
  for (const [, handler] of file('pages/room/room.wxml').matchAll(/bind\w+="(\w+)"/g))
    assert.match(code, new RegExp(`^ {2}(async )?${handler}\\(`, 'm'), handler);
});

test('who goes live again is heard, whether the room was left or closed; why it was closed is said in words', async () => {
  const server = tea();
  const it = page(server);
  await it.onLoad();
  server.room.pushers.push({ userID: 'ada', userName: 'Ada', userAvatar: '', url: 'rtmp://h/live/a' });
  for (const end of ['leave', 'destroyed', 'kicked']) {
    await it.begin();
    await settle(60);
    assert.equal(it.data.mic, true);
    await it.toggleMicrophone();
    assert.equal(it.data.mic, false);
    if (end === 'leave') await it.leave();
    else if (end === 'kicked') server.socket.push({ type: 'out', room: 'r', reason: end });
    else server.socket.push({ type: 'system', room: 'r', seq: 9, time: 1, notice: end });
    await settle(60);
    assert.deepEqual([it.data.roomID, it.data.pushURL, it.data.mic], ['', '', true], end);
    if (end !== 'leave') assert.match(it.data.note, /^(The|You) .*room/);
  }
  await it.onUnload();
});

test('a backend that is away is asked for a signature again; one that knows nobody ends the room', async () => {
  const server = tea();
  const it = page(server);
  await it.onLoad();
  const { userSig } = it.room.session.login;
  server.app = { statusCode: 502, data: '<html>' };
  await assert.rejects(userSig('ada'), { message: 'the server answered 502' });
  server.app = { statusCode: 401, data: { message: 'who?' } };
  assert.equal(await userSig('ada'), undefined);
  await it.onUnload();
});
