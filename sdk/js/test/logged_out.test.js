// The session ends, and the app has no other signature, or none for the moment.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { LiveRoom } from '../src/live_room.js';
import { RTCRoom } from '../src/rtc_room.js';
import { clock, LOGIN, settle } from './fake.js';
import { pass, pusher, world } from './world.js';

afterEach(() => clock.reset());

const KINDS = {
  pusher: [RTCRoom, (room) => room.push({ roomID: 'r' })],
  viewer: [LiveRoom, (room) => room.enterRoom({ roomID: 'r' })],
};

/** Somebody in a room whose sessions the server forgets, all at once; `sign` gives the signatures from then on. */
async function forgotten([Kind, enter], sign) {
  clock.enable();
  const server = world();
  server.room.pushers = [pusher('bob')];
  const ended = new Set();
  for (const name of ['get_pushers', 'pusher_heartbeat', 'add_pusher', 'add_audience']) {
    const { [name]: answer = () => ({}) } = server.answers;
    server.answers[name] = (call) => (ended.has(call.query.token) ? { code: 7, message: 'ended' } : answer(call));
  }
  const platform = server.platform();
  const { connect } = platform;
  platform.connect = (url, on) => {
    const socket = connect(url, on);
    if (ended.has(socket.url.searchParams.get('token'))) socket.drop(4501);
    return socket;
  };
  let signed = async () => 'sig';
  const room = new Kind({ platform });
  const seen = [];
  for (const name of ['error', 'roomClose', 'connectionState', 'connection'])
    room.on(name, (event) => seen.push([name, event]));
  await room.login({ ...LOGIN, userSig: () => signed() });
  await enter(room);
  await settle();
  signed = sign;
  const end = async () => {
    ended.add(room.session.token);
    server.socket.drop(4501);
    await settle();
  };
  await end();
  const told = (name) => seen.filter(([n]) => n === name).map(([, event]) => event);
  return { server, room, told, end, sign: (other) => (signed = other) };
}

for (const [who, kind] of Object.entries(KINDS)) {
  for (const nothing of ['', undefined])
    test(`a ${who} for whom the app has no signature (${JSON.stringify(nothing)}) is out, and is told so`, async () => {
      const { room, told } = await forgotten(kind, async () => nothing);
      await pass(15_000);
      assert.deepEqual(told('roomClose'), [{ roomID: 'r', reason: 'session' }]);
      assert.deepEqual([room.roomID, room.connection, room.chat.running], [null, 'disconnected', false]);
      assert.deepEqual(
        told('error').map(({ code }) => code),
        ['ended'],
      );
    });

  test(`a ${who} whose app fails to sign for a while is told once, and comes back`, async () => {
    const fails = async () => {
      throw new TypeError('Failed to fetch');
    };
    const { server, room, told, end, sign } = await forgotten(kind, fails);
    await pass(60_000);
    const errors = () => told('error').map(({ code, message }) => [code, message]);
    assert.deepEqual(errors(), [['signature', 'Failed to fetch']]);
    assert.deepEqual([room.roomID, room.connection], ['r', 'reconnecting']);
    const { online, error } = told('connection').at(-1);
    assert.deepEqual([online, error.code], [false, 'signature']);
    sign(async () => 'sig2');
    await pass(30_000);
    assert.deepEqual([room.roomID, room.connection, room.chat.state], ['r', 'connected', 'open']);
    assert.equal(told('connection').at(-1).online, true);
    assert.equal(server.named('login').at(-1).query.userSig, 'sig2');
    // Another time it is news again.
    sign(fails);
    await end();
    await pass(60_000);
    assert.deepEqual([errors().length, told('roomClose')], [2, []]);
    await room.logout();
  });
}

test('who waits outside of a room is told, too', async () => {
  const { room, told, end, sign } = await forgotten(KINDS.pusher, async () => 'sig2');
  await pass(5_000);
  await room.exitRoom();
  sign(async () => {
    throw new TypeError('Failed to fetch');
  });
  await end();
  await pass(60_000);
  assert.deepEqual(
    told('error').map(({ code }) => code),
    ['signature'],
  );
  sign(async () => '');
  await pass(15_000);
  assert.deepEqual([room.chat.running, room.connection], [false, 'disconnected']);
});

test('who is banned from the server is out, and its chat asks no more', async () => {
  const { server, room, told } = await forgotten(KINDS.pusher, async () => {
    server.answers.login = () => ({ code: 12, message: 'banned' });
    return 'sig2';
  });
  await pass(15_000);
  assert.deepEqual([told('roomClose'), room.chat.running], [[{ roomID: 'r', reason: 'banned' }], false]);
});

test('a viewer whose server is away hears of no answer', async () => {
  clock.enable();
  const server = world();
  const room = new LiveRoom({ platform: server.platform() });
  await room.login(LOGIN);
  await room.enterRoom({ roomID: 'r' });
  await settle();
  const online = [];
  room.on('connection', (event) => online.push(event.online));
  server.down = true;
  server.socket.drop();
  await pass(40_000);
  assert.ok(online.length > 2 && online.every((is) => !is), `${online}`);
  server.down = false;
  await pass(20_000);
  assert.deepEqual([online.at(-1), room.connection], [true, 'connected']);
  await room.logout();
});
