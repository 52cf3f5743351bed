import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { Chat } from '../src/chat.js';
import { browser } from '../src/platform/browser.js';
import { Session } from '../src/session.js';
import { FakeServer, LOGIN, clock, settle } from './fake.js';

afterEach(() => clock.reset());

async function start(server = new FakeServer()) {
  const session = new Session({ platform: server.platform() });
  await session.open(LOGIN);
  const seen = [];
  const note = (name) => (what) => seen.push([name, what]);
  const listener = Object.fromEntries(
    ['state', 'message', 'system', 'direct', 'count', 'out', 'missed', 'lost'].map((n) => [n, note(n)]),
  );
  const chat = new Chat(session, listener, { random: () => 0.5 });
  server.chat ??= (frame) =>
    frame.type === 'join'
      ? { room: frame.room, epoch: 7, last: 3, users: 1, missed: 0, gap: false, anew: false }
      : ['ping', 'nick', 'quit'].includes(frame.type)
        ? {}
        : null;
  chat.start();
  await settle();
  const got = (name) => seen.filter(([n]) => n === name).map(([, what]) => what);
  return { server, session, chat, got };
}

const message = (seq, text) => ({
  type: 'message',
  room: 'r',
  seq,
  time: 1,
  from: 'bob',
  body: [{ MsgType: 'TIMTextElem', MsgContent: { Text: text } }],
});

test('joins, sends, and is answered', async () => {
  const { server, chat } = await start();
  assert.equal((await chat.join('r')).last, 3);
  const sending = chat.send('r', { text: 'hi' });
  const [frame] = server.socket.asked('send');
  assert.equal(frame.text, 'hi');
  server.socket.push({ type: 'ack', id: frame.id, seq: 4 });
  assert.equal((await sending).seq, 4);
  chat.stop();
});

test('after an interruption it resumes where it was: nothing lost, nothing twice', async () => {
  clock.enable();
  const { server, chat, got } = await start();
  await chat.join('r');
  server.socket.push(message(4, 'four'));
  server.socket.push(message(4, 'four'));
  const sending = chat.send('r', { text: 'unsure' });
  const { random } = server.socket.asked('send')[0];
  server.socket.drop();
  await settle();
  clock.tick(1000);
  await settle();
  assert.equal(server.sockets.length, 2);
  const rejoin = server.socket.asked('join')[0];
  assert.deepEqual(rejoin.since, { epoch: 7, seq: 4 });
  const again = server.socket.asked('send')[0];
  assert.equal(again.random, random);
  server.socket.push(message(5, 'five'));
  server.socket.push({ type: 'ack', id: again.id, seq: 6, again: true });
  await sending;
  assert.deepEqual(
    got('message').map((m) => m.seq),
    [4, 5],
  );
  assert.deepEqual(got('missed'), []);
  chat.stop();
});

test('a group that began anew is told, and its numbers count from its own beginning', async () => {
  clock.enable();
  const { server, chat, got } = await start();
  await chat.join('r');
  server.chat = (frame) =>
    frame.type === 'join' ? { room: 'r', epoch: 8, last: 2, missed: 2, users: 1, gap: false, anew: true } : {};
  server.socket.drop();
  await settle();
  clock.tick(1000);
  await settle();
  server.socket.push(message(1, 'one'));
  server.socket.push(message(2, 'two'));
  assert.deepEqual(got('missed'), ['r']);
  assert.deepEqual(
    got('message').map((m) => m.seq),
    [1, 2],
  );
  chat.stop();
});

test('a silent connection is asked, and given up', async () => {
  clock.enable();
  const { server, chat } = await start();
  server.chat = () => null;
  clock.tick(20_000);
  assert.equal(server.socket.asked('ping').length, 1);
  clock.tick(8_000);
  await settle();
  clock.tick(1_000);
  await settle();
  assert.equal(server.sockets.length, 2);
  assert.equal(chat.state, 'open');
  chat.stop();
});

test('an ended session is opened again; an operator’s end is the end', async () => {
  clock.enable();
  const { server, chat, got } = await start();
  server.socket.drop(4501);
  await settle();
  clock.tick(1000);
  await settle();
  assert.equal(server.socket.url.searchParams.get('token'), 't2');
  const sending = chat.send('r', { text: 'x' });
  server.socket.drop(4505, 'ended by an operator');
  await assert.rejects(sending, { code: 'ended', message: 'ended by an operator' });
  assert.equal(got('state').at(-1), 'ended');
  clock.tick(60_000);
  await settle();
  assert.equal(server.sockets.length, 2);
});

test('the network’s return cuts the wait short', async () => {
  const { server, chat } = await start();
  chat.backoff.first = 3_600_000;
  chat.backoff.most = 3_600_000;
  server.socket.drop();
  await settle();
  assert.equal(chat.state, 'waiting');
  server.networkBack();
  await settle();
  assert.equal(chat.state, 'open');
  chat.stop();
});

test('back from the background, a connection that died there is noticed within seconds', async () => {
  clock.enable();
  const { server, chat } = await start();
  server.chat = () => null;
  server.networkBack();
  assert.equal(server.socket.asked('ping').length, 1);
  clock.tick(3_000);
  await settle();
  assert.equal(chat.state, 'waiting');
  server.networkBack();
  await settle();
  assert.deepEqual([server.sockets.length, chat.state], [2, 'open']);
  // One that lives goes on.
  server.chat = () => ({});
  server.networkBack();
  await settle();
  clock.tick(10_000);
  await settle();
  assert.deepEqual([server.sockets.length, chat.state], [2, 'open']);
  chat.stop();
});

test('direct messages are asked for from the last one, and refusals have codes', async () => {
  const { server, chat, got } = await start();
  server.socket.push({ type: 'direct', seq: 150, from: 'bob', time: 1, body: [] });
  server.socket.push({ type: 'direct', seq: 150, from: 'bob', time: 1, body: [] });
  assert.equal(got('direct').length, 1);
  const sending = chat.send('r', { text: 'x' });
  server.socket.push({
    type: 'error',
    id: server.socket.asked('send')[0].id,
    code: 'muted',
    message: 'm',
    until: null,
  });
  await assert.rejects(sending, { code: 'muted', until: null });
  server.socket.drop();
  await settle();
  server.networkBack();
  await settle();
  assert.equal(server.socket.url.searchParams.get('since'), '150');
  chat.stop();
});

test('private messages go on where the clock of the server was set back', async () => {
  const { server, chat, got } = await start();
  server.socket.push({ type: 'direct', seq: 3_600_150, from: 'bob', time: 1, body: [] });
  server.socket.drop();
  await settle();
  server.networkBack();
  await settle();
  server.socket.push({ type: 'welcome', user: 'alice', time: 1, direct: 149, idle: 60, maxFrame: 16384 });
  server.socket.push({ type: 'direct', seq: 150, from: 'bob', time: 1, body: [] });
  assert.deepEqual(
    got('direct').map((frame) => frame.seq),
    [3_600_150, 150],
  );
  chat.stop();
});

test('without a WebSocket chat ends at once and says what is missing', async () => {
  const server = new FakeServer();
  const { request } = server.platform();
  const session = new Session({ server: 'http://h', platform: { ...browser({ WebSocket: null }), request } });
  await session.open(LOGIN);
  const ended = [];
  const chat = new Chat(session, { state: (state, why) => state === 'ended' && ended.push(why.reason) });
  chat.start();
  await settle();
  assert.match(ended[0], /WebSocket.*browser\(\{ WebSocket \}\)/);
});

test('started again while the run before waits for a login, it has one connection', async () => {
  clock.enable();
  const { server, session, chat } = await start();
  const { platform } = session;
  const { request } = platform;
  let answer;
  const wait = new Promise((resolve) => {
    answer = resolve;
  });
  platform.request = async (url, options) => {
    if (url.includes('/login?')) await wait;
    return request(url, options);
  };
  server.socket.drop(4501);
  await settle();
  assert.ok(session.renewing);
  chat.stop();
  chat.start();
  await settle();
  answer();
  for (let i = 0; i < 50; i++) {
    clock.tick(100);
    await settle(10);
  }
  assert.deepEqual([server.sockets.filter((s) => !s.closed).length, chat.state], [1, 'open']);
  chat.stop();
  await settle();
  assert.deepEqual([server.sockets.filter((s) => !s.closed).length, chat.state], [0, 'closed']);
});
