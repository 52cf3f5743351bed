import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { RoomError } from '../src/errors.js';
import { Emitter } from '../src/events.js';
import { Player } from '../src/media.js';
import { RTCRoom } from '../src/rtc_room.js';
import { FakeServer, LOGIN, settle } from './fake.js';

/** Runs with what goes to the console, and what no promise caught, noted. */
async function watched(run) {
  const said = mock.method(console, 'error', () => {});
  const lost = [];
  const note = (error) => lost.push(error);
  process.on('unhandledRejection', note);
  try {
    await run(said);
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('unhandledRejection', note);
    said.mock.restore();
  }
  assert.deepEqual(lost, []);
}

test('several listen; once is once; off ends one, an event, or all', () => {
  const emitter = new Emitter();
  const heard = [];
  const note = (name) => (event) => heard.push(`${name}${event}`);
  const a = note('a');
  emitter.on('x', a);
  const endB = emitter.on('x', note('b'));
  emitter.once('x', note('once'));
  emitter.emit('x', 1);
  emitter.emit('x', 2);
  assert.deepEqual(heard.splice(0), ['a1', 'b1', 'once1', 'a2', 'b2']);
  endB();
  emitter.emit('x', 3);
  emitter.off('x', a);
  emitter.emit('x', 4);
  assert.deepEqual(heard.splice(0), ['a3']);
  assert.equal(emitter.hears('x'), false);
  emitter.on('x', a);
  emitter.on('y', a);
  emitter.off('x').emit('x', 5);
  emitter.emit('y', 6);
  emitter.off().emit('y', 7);
  assert.deepEqual(heard, ['a6']);
  assert.throws(() => emitter.on('x', 'text'), { code: 1 });
});

test('who is added or taken away during an event changes nothing in that round', () => {
  const emitter = new Emitter();
  const heard = [];
  const second = () => heard.push('second');
  emitter.on('x', () => {
    emitter.off('x', second);
    emitter.on('x', () => heard.push('late'));
  });
  emitter.on('x', second);
  emitter.emit('x');
  assert.deepEqual(heard, ['second']);
});

test('a listener that throws, or whose promise fails, costs the others nothing and is told', () =>
  watched(async (said) => {
    const emitter = new Emitter();
    const told = [];
    let others = 0;
    emitter.on('error', (error) => {
      told.push([error.code, error.message, error.cause.message]);
      throw new Error('again');
    });
    emitter.on('x', () => {
      throw new Error('mine');
    });
    emitter.on('x', async () => {
      throw new Error('later');
    });
    emitter.on('x', () => {
      others += 1;
    });
    emitter.emit('x');
    await settle();
    assert.equal(others, 1);
    assert.deepEqual(told, [
      ['listener', 'a listener of x failed: mine', 'mine'],
      ['listener', 'a listener of x failed: later', 'later'],
    ]);
    assert.equal(said.mock.callCount(), 4, 'each mistake stands in the console');
  }));

function world() {
  const server = new FakeServer();
  const room = { roomID: 'r', roomInfo: '', roomCreator: 'ada', pushers: [] };
  Object.assign(server.answers, {
    create_room: () => ({ roomID: 'r' }),
    get_push_url: () => ({ pushURL: 'rtmp://h/live/1_r_ada?txSecret=x' }),
    get_pushers: () => room,
  });
  server.room = room;
  server.chat = (frame) => (frame.type === 'join' ? { room: 'r', epoch: 1, last: 0, users: 1, missed: 0 } : { seq: 1 });
  return server;
}

test('a room tells the callbacks and all that listen', async () => {
  const server = world();
  const room = new RTCRoom({ platform: server.platform() });
  const heard = [];
  room.setListener({ onPusherJoin: () => heard.push('callback') });
  room.on('pusherJoin', ({ pushers }) => heard.push(pushers[0].userID));
  room.once('pusherJoin', () => heard.push('once'));
  await room.login(LOGIN);
  await room.createRoom({});
  await settle();
  for (const name of ['bob', 'eve']) {
    server.room.pushers.push({ userID: name });
    await room.refresh();
  }
  assert.deepEqual(heard, ['callback', 'bob', 'once', 'callback', 'eve']);
  await room.logout();
});

test('what nobody waits for is caught, and told', () =>
  watched(async () => {
    const server = world();
    const states = [];
    const media = { Player, Publisher: class extends Player {} };
    const room = new RTCRoom({ platform: server.platform(), media });
    const errors = [];
    room.on('error', (error) => errors.push([error.code, error.message]));
    await room.login(LOGIN);
    await room.createRoom({});
    // There is no WebRTC here.
    room.play({ userID: 'bob' }, null, { onState: (state) => states.push(state) });
    room.publish({});
    await settle();
    assert.deepEqual(errors.splice(0), [
      ['media', 'no WebRTC here'],
      ['media', 'no WebRTC here'],
    ]);
    // A look at the room that fails for good, asked for by nobody.
    server.answers.get_pushers = () => ({ code: -1, message: 'broken' });
    server.socket.push({
      type: 'system',
      room: 'r',
      seq: 7,
      time: 1,
      notice: 'custom',
      data: '{"cmd":"notifyPusherChange"}',
    });
    await settle();
    assert.deepEqual(errors.splice(0), [[-1, 'broken']]);
    await room.logout();
    assert.deepEqual(errors, [], 'leaving is no error');
  }));

test('what the app gives to a connection may throw', () =>
  watched(async () => {
    class Peer extends EventTarget {
      addTransceiver() {}
      async createOffer() {
        throw new Error('no');
      }
      close() {}
    }
    globalThis.MediaStream ??= class {};
    const player = new Player({
      platform: world().platform(),
      url: 'http://h/whep/s',
      RTCPeerConnection: Peer,
      onState: () => {
        throw new Error('mine');
      },
    });
    player.start();
    await settle();
    assert.equal(player.state, 'waiting');
    await player.stop();
    assert.equal(player.state, 'closed');
  }));

test('that the host of a stream is not reached is told where all else is, once', () =>
  watched(async () => {
    class Link {
      constructor({ onState }) {
        this.become = onState;
      }
      async start() {}
      async stop() {}
    }
    const room = new RTCRoom({ platform: world().platform(), media: { Player: Link, Publisher: Link } });
    const errors = [];
    room.on('error', ({ code, userID }) => errors.push([code, userID]));
    const away = () => new RoomError('network', 'the server cannot be reached');
    const tries = (player, n) => {
      for (let i = 0; i < n; i++) {
        player.become('connecting');
        player.become('waiting', away());
      }
    };
    // Without a connection of its own, that is no news.
    const early = room.play({ userID: 'eve' }, null);
    tries(early, 9);
    assert.deepEqual(errors, []);
    await room.login(LOGIN);
    await settle();
    assert.equal(room.connection, 'connected');
    const player = room.play({ userID: 'bob' }, null);
    tries(player, 3);
    assert.deepEqual(errors, []);
    tries(player, 9);
    assert.deepEqual(errors.splice(0), [['network', 'bob']]);
    player.become('open');
    tries(player, 3);
    assert.deepEqual(errors, [], 'it was there in between');
    await room.logout();
  }));

test('a stream that is refused, at once or after it was let in, is told once until it plays', () =>
  watched(async () => {
    class Link {
      constructor({ onState }) {
        this.become = onState;
      }
      async start() {}
    }
    const room = new RTCRoom({ platform: world().platform(), media: { Player: Link, Publisher: Link } });
    const errors = [];
    room.on('error', ({ code, status, userID, addresses }) => errors.push([code, status, userID, addresses]));
    const refusal = (status, message = `the media server answered ${status}`, more = {}) =>
      new RoomError('media', message, { status, ...more });
    const states = [];
    const player = room.play({ userID: 'bob' }, null, { onState: (state) => states.push(state) });
    player.become('connecting');
    // It was let in, and then let go.
    player.become('waiting');
    for (let n = 0; n < 3; n++) player.become('waiting', refusal(406));
    assert.deepEqual(errors.splice(0), [['media', 406, 'bob', undefined]]);
    player.become('waiting', refusal(403));
    player.become('open');
    player.become('waiting', refusal(403));
    assert.deepEqual(errors.splice(0).flat(), ['media', 403, 'bob', undefined, 'media', 403, 'bob', undefined]);
    // Nobody publishes yet, or the network is away: that passes.
    for (const passing of [refusal(404), refusal(409), refusal(503), refusal(429), new RoomError('network', 'gone')])
      player.become('waiting', passing);
    assert.deepEqual(errors, []);
    player.become(
      'connecting',
      refusal(undefined, 'media cannot reach 192.0.2.1:8000', { addresses: ['192.0.2.1:8000'] }),
    );
    assert.deepEqual(errors, [['media', undefined, 'bob', ['192.0.2.1:8000']]]);
    assert.equal(states.length, 14, 'each state is told');
  }));
