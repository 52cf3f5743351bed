import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { ownBody, textBody } from '../src/messages.js';
import { RTCRoom } from '../src/rtc_room.js';
import { clock, FakeServer, LOGIN, settle } from './fake.js';

afterEach(() => clock.reset());

const bob = { userName: 'Bob', userAvatar: '' };
const said = (seq, from, msg) => ({
  type: 'message',
  room: 'r',
  seq,
  time: 1,
  from,
  body: ownBody('media', msg, bob),
});

/** A room that ada makes, with `history` as what was said before; `silent`: chat has no connection yet. */
async function entered(history = [], { silent = false, media } = {}) {
  const server = new FakeServer();
  server.silent = silent;
  const pushers = [{ userID: 'ada' }, { userID: 'bob' }];
  server.pushers = pushers;
  Object.assign(server.answers, {
    create_room: () => ({ roomID: 'r' }),
    get_push_url: () => ({ pushURL: 'rtmp://h/live/1_r_ada?txSecret=x' }),
    get_pushers: () => ({ roomID: 'r', roomInfo: '', roomCreator: 'ada', pushers: server.pushers }),
  });
  let seq = 100;
  server.chat = (frame) => {
    if (frame.type === 'join') return { room: 'r', epoch: 1, last: 50, users: 1, missed: 0 };
    if (frame.type === 'history') return { messages: history };
    return { seq: ++seq };
  };
  const room = new RTCRoom({ platform: server.platform(), media });
  const states = [];
  room.on('mediaState', ({ userID, mic, cam, screen }) => states.push([userID, mic, cam, screen]));
  await room.login(LOGIN);
  await room.createRoom({});
  await settle();
  return { server, room, states };
}

test('who comes later learns what was said before; the newest word holds', async () => {
  const history = [said(1, 'bob', { mic: false }), said(2, 'bob', { mic: false, cam: false }), said(3, 'eve', 'x')];
  const { server, room, states } = await entered(history);
  assert.deepEqual(room.mediaStateOf('bob'), { mic: false, cam: false, screen: false });
  assert.deepEqual(room.mediaStateOf('nobody'), { mic: true, cam: true, screen: false });
  server.socket.push(said(60, 'bob', { mic: true, cam: true, screen: true }));
  // Read late: it changes nothing any more.
  room.said.heard({ userID: 'bob', cmd: 'media', msg: { mic: false }, seq: 2 });
  assert.deepEqual(states, [
    ['bob', false, true, false],
    ['bob', false, false, false],
    ['bob', true, true, true],
  ]);
  server.pushers = server.pushers.slice(0, 1);
  await room.refresh();
  assert.equal(room.mediaStateOf('bob').screen, false, 'who left and comes again begins anew');
  await room.logout();
});

test('ours is said once a change, and again before it is too old to be found', async () => {
  const { server, room, states } = await entered();
  await room.tellMediaState({ mic: true });
  assert.equal(server.socket.asked('send').length, 0, 'what everybody believes anyway');
  await room.tellMediaState({ mic: false });
  await room.tellMediaState({ mic: false });
  const sent = () => server.socket.asked('send').map((f) => JSON.parse(f.body[0].MsgContent.Ext).data.msg);
  assert.deepEqual(sent(), [{ mic: false, cam: true, screen: false }]);
  assert.deepEqual(states, [['ada', false, true, false]]);
  const text = (seq) => ({ type: 'message', room: 'r', seq, time: 1, from: 'bob', body: textBody('hi', bob) });
  server.socket.push(text(150));
  await settle();
  assert.equal(sent().length, 1);
  server.socket.push(text(151));
  server.socket.push(text(152));
  await settle();
  assert.equal(sent().length, 2);
  await room.logout();
});

test('who lacks H.264 says what it has, which others answer, and all publish what all see', async () => {
  const media = (codecs) => ({ decodes: () => codecs, codecFor: (theirs) => JSON.stringify(theirs) });
  const said = ({ server }) => server.socket.asked('send').map((f) => JSON.parse(f.body[0].MsgContent.Ext).data.msg);
  const all = { mic: true, cam: true, screen: false };
  const firefox = await entered([], { media: media(['VP8']) });
  assert.deepEqual(said(firefox), [{ ...all, video: ['VP8'] }]);
  await firefox.room.logout();

  const chromium = await entered([], { media: media(['H264', 'VP8']) });
  const used = [];
  chromium.room.publisher = { use: (codec) => used.push(codec), stop: async () => {} };
  await chromium.room.refresh();
  assert.deepEqual(said(chromium), [], 'everybody believes that we take H.264');
  const hears = (seq, msg) => chromium.room.said.heard({ userID: 'bob', cmd: 'media', msg, seq });
  hears(60, { ...all, video: ['VP8', 7] });
  await settle();
  assert.deepEqual(said(chromium), [{ ...all, video: ['H264', 'VP8'] }]);
  assert.deepEqual(chromium.states, [], 'nothing that a page shows');
  assert.deepEqual(chromium.room.mediaStateOf('bob'), all);
  assert.deepEqual([...new Set(used)], ['[null]', '[["VP8"]]']);
  chromium.server.pushers = chromium.server.pushers.slice(0, 1);
  await chromium.room.refresh();
  assert.equal(used.at(-1), '[]', 'it has left');
  await chromium.room.logout();
});

test('what we said in an earlier life of ours is taken back', async () => {
  const { server, room } = await entered([said(1, 'ada', { mic: false })]);
  await room.tellMediaState({ mic: true });
  const [frame] = server.socket.asked('send');
  assert.equal(JSON.parse(frame.body[0].MsgContent.Ext).data.msg.mic, true);
  await room.logout();
});

test('a room that begins anew is told again', async () => {
  clock.enable();
  const { server, room } = await entered();
  await room.tellMediaState({ cam: false });
  const answer = server.chat;
  server.chat = (frame) =>
    frame.type === 'join' ? { ...answer(frame), epoch: 2, last: 0, anew: true } : answer(frame);
  server.socket.drop();
  await settle();
  clock.tick(10_000);
  await settle(100);
  assert.equal(server.sockets.length, 2);
  const [frame] = server.socket.asked('send');
  assert.equal(JSON.parse(frame.body[0].MsgContent.Ext).data.msg.cam, false);
  await room.logout();
});

/** Lets time pass, and what happens in it. */
async function pass(ms) {
  for (let left = ms; left > 0; left -= 100) {
    clock.tick(100);
    await settle(10);
  }
}

test('a chat that is late is read all the same, and told who turned off what meanwhile', async () => {
  clock.enable();
  const { server, room } = await entered([said(1, 'bob', { cam: false })], { silent: true });
  await room.tellMediaState({ mic: false });
  await pass(20_000);
  server.silent = false;
  await pass(20_000);
  assert.equal(room.chat.state, 'open');
  assert.equal(room.mediaStateOf('bob').cam, false);
  const frames = server.socket.asked('send').map((f) => JSON.parse(f.body[0].MsgContent.Ext).data.msg);
  assert.deepEqual(frames, [{ mic: false, cam: true, screen: false }]);
  await room.logout();
});

test('what is turned off while chat is away is said once it is back', async () => {
  clock.enable();
  const { server, room } = await entered();
  server.socket.drop();
  await settle();
  assert.equal(room.chat.state, 'waiting');
  await room.tellMediaState({ mic: false });
  await pass(5_000);
  const frames = server.socket.asked('send').map((f) => JSON.parse(f.body[0].MsgContent.Ext).data.msg);
  assert.deepEqual(frames, [{ mic: false, cam: true, screen: false }]);
  await room.logout();
});

test('who comes back and says nothing takes nothing back', async () => {
  clock.enable();
  const { server, room } = await entered([said(1, 'ada', { mic: false })]);
  server.socket.drop();
  await pass(5_000);
  assert.equal(room.chat.state, 'open');
  assert.deepEqual(server.socket.asked('send'), []);
  assert.equal(room.mediaStateOf('ada').mic, false);
  await room.logout();
});

test('a lost connection shows, whoever notices, and shows that it is back', async () => {
  const server = new FakeServer();
  const platform = server.platform();
  let lost;
  platform.onLost = (call) => {
    lost = call;
    return () => {
      lost = null;
    };
  };
  const room = new RTCRoom({ platform });
  const states = [];
  room.on('connectionState', ({ state }) => states.push(state));
  await room.login(LOGIN);
  await settle();
  assert.deepEqual(states.splice(0), ['connecting', 'connected']);
  lost(true);
  assert.deepEqual(states.splice(0), ['reconnecting']);
  assert.equal(server.socket.asked('ping').length, 1, 'the chat is asked at once');
  lost(false);
  assert.deepEqual(states.splice(0), ['connected']);
  server.down = true;
  server.socket.drop();
  await settle();
  assert.deepEqual([states.splice(0), room.connection], [['reconnecting'], 'reconnecting']);
  await room.logout();
  assert.deepEqual([states, lost], [['disconnected'], null]);
});
