// What is asked for before what was asked before it is done: the last word holds.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { LiveRoom } from '../src/live_room.js';
import { RTCRoom } from '../src/rtc_room.js';
import { clock, settle } from './fake.js';
import { enter, held, pass, pusher, world } from './world.js';

afterEach(() => clock.reset());

/** Publishers that end when they are let: `made`, of which `live()` are those that run; `let()`. */
function publishers() {
  const made = [];
  let end;
  const ended = new Promise((resolve) => {
    end = resolve;
  });
  class Publisher {
    constructor({ stream }) {
      Object.assign(this, { stream, running: false, over: false });
      made.push(this);
    }
    async start() {
      const others = made.filter((one) => one !== this && one.running);
      assert.deepEqual(others, [], 'the server has one publisher of a stream');
      this.running = true;
    }
    async stop() {
      if (this.running) await ended;
      this.running = false;
    }
  }
  return { media: { Publisher }, made, live: () => made.filter((one) => one.running), end };
}

async function published(how) {
  const server = world();
  const it = publishers();
  const room = new RTCRoom({ platform: server.platform(), media: it.media });
  await enter(room, (r) => r.push({ roomID: 'r' }));
  const results = await how(room, it).then((asked) => Promise.all(asked.map((one) => one.then(...names))));
  return { room, results, ...it };
}
const names = [(value) => value?.stream ?? 'done', (error) => error.code];

test('of two publishers that are asked for at once the last one is it, and ends with the room', async () => {
  const { room, results, made, live, end } = await published(async (r) => [r.publish('a'), r.publish('b')]);
  assert.deepEqual([results, live().map((one) => one.stream)], [['ended', 'b'], ['b']]);
  assert.equal(room.publisher, live()[0]);
  end();
  await room.exitRoom();
  await settle();
  assert.deepEqual([made.length, live()], [1, []]);
  await room.logout();
});

test('what is published and unpublished at once is not published', async () => {
  const { room, results, live } = await published(async (r) => [r.publish('a'), r.unpublish()]);
  assert.deepEqual([results, live(), room.publisher], [['ended', 'done'], [], null]);
  await room.logout();
});

test('what is unpublished and published at once waits until the one before has ended', async () => {
  const { room, results, live } = await published(async (r, { end }) => {
    await r.publish('a');
    const asked = [r.unpublish(), r.publish('b'), r.publish('c')];
    await settle();
    assert.equal(r.publisher, null, 'the one before still ends');
    end();
    return asked;
  });
  assert.deepEqual([results, live().map((one) => one.stream)], [['done', 'ended', 'c'], ['c']]);
  await room.logout();
});

/** A live room of somebody else's that ada watches. */
async function watched(platformOf = (server) => ({ platform: server.platform() }), media) {
  const server = world();
  server.room.roomCreator = 'anchor';
  server.room.pushers = [pusher('anchor')];
  server.audience = new Set();
  server.answers.add_audience = ({ body }) => {
    server.audience.add(body.userID);
  };
  server.answers.delete_audience = ({ body }) => {
    server.audience.delete(body.userID);
  };
  const { platform, answer } = platformOf(server);
  const room = new LiveRoom({ platform, media });
  await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  const pushes = () => server.room.pushers.some((p) => p.userID === 'ada');
  return { server, room, answer, pushes };
}

test('a co-anchor who quits while it begins to publish publishes nothing', async () => {
  const it = publishers();
  const { room } = await watched(undefined, it.media);
  await room.joinPusher();
  await room.publish('a');
  const again = room.publish('b').catch((error) => error.code);
  const quitting = room.quitJoinPusher();
  it.end();
  await quitting;
  assert.equal(await again, 'ended');
  assert.deepEqual([it.live(), room.isPusher, room.publisher], [[], false, null]);
  await room.logout();
});

test('a co-anchor who quits and joins at once pushes; who joins and quits at once does not', async () => {
  const { room, answer, pushes } = await watched((server) => held(server, 'delete_pusher'));
  await room.joinPusher();
  const asked = [room.quitJoinPusher(), room.joinPusher()];
  await settle();
  answer();
  await Promise.all(asked);
  assert.deepEqual([room.isPusher, pushes()], [true, true]);
  await room.quitJoinPusher();
  await Promise.all([room.joinPusher(), room.quitJoinPusher()]);
  assert.deepEqual([room.isPusher, pushes()], [false, false]);
  await Promise.all([room.joinPusher(), room.quitJoinPusher(), room.joinPusher()]);
  assert.deepEqual([room.isPusher, pushes()], [true, true]);
  await room.logout();
});

test('a viewer who leaves and enters again at once is in the audience', async () => {
  const { server, room, answer } = await watched((it) => held(it, 'delete_audience'));
  room.exitRoom();
  const entering = room.enterRoom({ roomID: 'r' });
  assert.equal(room.roomID, 'r');
  await settle();
  answer();
  await entering;
  await settle();
  assert.deepEqual([...server.audience], ['ada']);
  await room.logout();
});

for (const [what, again] of Object.entries({
  push: (room) => room.push({ roomID: 'r' }),
  enterRoom: (room) => room.enterRoom({ roomID: 'r' }),
  createRoom: (room) => room.createRoom({ roomID: 'r' }),
}))
  test(`a pusher who leaves and enters again at once is in (${what})`, async () => {
    const server = world();
    const { platform, answer } = held(server, 'delete_pusher');
    const room = new RTCRoom({ platform });
    await enter(room, (r) => r.push({ roomID: 'r' }));
    room.exitRoom();
    const entering = again(room);
    await settle();
    answer();
    await entering;
    await settle();
    assert.deepEqual([room.isPusher, server.room.pushers.map((p) => p.userID)], [true, ['ada']]);
    await room.logout();
  });

test('who leaves again while it waits for the departure before enters no more', async () => {
  for (const again of [(room) => room.push({ roomID: 'r' }), (room) => room.createRoom({ roomID: 'r' })]) {
    const server = world();
    const { platform, answer } = held(server, 'delete_pusher');
    const room = new RTCRoom({ platform });
    await enter(room, (r) => r.push({ roomID: 'r' }));
    room.exitRoom();
    const entering = again(room);
    await settle();
    room.exitRoom();
    answer();
    await assert.rejects(entering, { code: 'state' });
    await settle();
    assert.deepEqual([room.roomID, server.room.pushers], [null, []]);
    await room.logout();
  }
});

test('a viewer who leaves while it tells anew that it watches is no ghost', async () => {
  clock.enable();
  const { server, room } = await watched();
  const { request } = room.platform;
  let answer;
  const wait = new Promise((resolve) => {
    answer = resolve;
  });
  room.session.platform.request = async (url, options) => {
    if (url.includes('/add_audience?')) await wait;
    return request(url, options);
  };
  await pass(31_000);
  room.onChatJoined();
  await room.exitRoom();
  answer();
  await settle();
  assert.deepEqual([...server.audience], []);
  await room.logout();
});

test('what is said of the microphone in the next room is said, whatever hung in the one before', async () => {
  clock.enable();
  const server = world();
  const answer = server.chat;
  let silent = true;
  server.chat = (frame) => (frame.type === 'send' && silent ? null : answer(frame));
  const room = new RTCRoom({ platform: server.platform() });
  await enter(room, (r) => r.push({ roomID: 'r' }));
  const states = [];
  room.on('mediaState', ({ userID, mic }) => states.push([userID, mic]));
  room.tellMediaState({ mic: false });
  await settle();
  const [first] = server.socket.asked('send');
  await room.exitRoom();
  await room.push({ roomID: 'r' });
  await settle();
  assert.equal(room.mediaStateOf('ada').mic, true, 'nothing was said here yet');
  silent = false;
  await room.tellMediaState({ mic: false });
  assert.equal(server.socket.asked('send').length, 2);
  assert.deepEqual(states.splice(0), [['ada', false]]);
  await room.tellMediaState({ mic: true });
  // The answer of then comes late.
  server.socket.push({ type: 'ack', id: first.id, seq: 99 });
  await settle();
  assert.deepEqual([room.mediaStateOf('ada').mic, states], [true, [['ada', true]]]);
  await room.logout();
});

test('what was said in a room that was left while chat was away is not said later', async () => {
  clock.enable();
  const server = world();
  const room = new RTCRoom({ platform: server.platform() });
  await enter(room, (r) => r.push({ roomID: 'r' }));
  server.socket.drop();
  await settle();
  const sending = room.sendRoomTextMsg({ msg: 'late' }).catch((error) => error.code);
  await room.exitRoom();
  await pass(5_000);
  assert.deepEqual([await sending, room.chat.state, server.socket.asked('send')], ['ended', 'open', []]);
  await room.logout();
});
