// Every promise is rejected with a RoomError, whatever goes wrong: what the types list, asked wrongly, of a machine where all fails.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { RoomError } from '../src/errors.js';
import { LiveRoom } from '../src/live_room.js';
import { Player, Publisher } from '../src/media.js';
import { Session } from '../src/session.js';
import { inPages } from './devices.js';
import { FakeServer, LOGIN, settle } from './fake.js';

inPages();

const types = readFileSync(new URL('../src/rooms.d.ts', import.meta.url), 'utf8');
const promising = (name) => {
  const [, body] = types.split(new RegExp(`class ${name}[^{]*\\{\n`));
  return [...body.split('\n}')[0].matchAll(/^ {2}(\w+)\((?:(?!\n {2}\w+\()[\s\S])*?\): Promise</gm)].map(
    ([, method]) => method,
  );
};

async function rejectsOnlyWell(what, work) {
  let promise;
  assert.doesNotThrow(() => {
    promise = work();
  }, `${what} throws`);
  await promise.catch((error) => assert.ok(error instanceof RoomError, `${what}: ${error}`));
}

const raw = () => {
  throw new TypeError('raw');
};

test('whatever goes wrong in a call is a RoomError', async () => {
  const names = [...promising('Room<'), ...promising('AnyLiveRoom')];
  assert.ok(names.length > 35, `${names}`);
  for (const name of ['setCustomField', 'publish', 'getDevices', 'sendPK']) assert.ok(names.includes(name), name);
  for (const broken of [false, true]) {
    for (const name of new Set(names)) {
      for (const given of [[], [null], [{}], [{ userID: 'x', roomID: 'r', msg: 1n }], ['speaker', 'x']]) {
        const server = new FakeServer();
        server.chat = () => ({ seq: 1 });
        const room = new LiveRoom({ platform: server.platform(), media: { Player, Publisher } });
        room.on('error', () => {});
        await room.login(LOGIN);
        if (broken) {
          for (const call of Object.keys(navigator.mediaDevices)) navigator.mediaDevices[call] = async () => raw();
          room.session.platform.request = async () => raw();
          room.players.add({ element: { setSinkId: async () => raw() } });
        }
        // Nobody answers in a room that is not there: what waits for long ends with the room.
        const asked = rejectsOnlyWell(`${name}(${given.map(String)})`, () => room[name](...given));
        await settle();
        room.chat.stop();
        await room.close().catch(() => {});
        await asked;
      }
    }
  }
});

test('a signature that the app could not fetch is told as that', async () => {
  const server = new FakeServer();
  const platform = server.platform();
  const session = new Session({ platform });
  const cause = new TypeError('Failed to fetch');
  const userSig = async () => {
    throw cause;
  };
  await assert.rejects(session.open({ ...LOGIN, userSig }), (error) => {
    assert.ok(error instanceof RoomError);
    assert.deepEqual([error.code, error.key, error.message], ['signature', 'SIGNATURE', 'Failed to fetch']);
    return error.cause === cause;
  });
  await assert.rejects(session.open({ ...LOGIN, userSig: () => undefined }), { name: 'RoomError', code: 4 });
  await assert.rejects(session.open({ ...LOGIN, userSig: raw }), { name: 'RoomError', code: 'signature' });
  server.answers.login = () => ({ raw: 'null' });
  await assert.rejects(session.open(LOGIN), { name: 'RoomError', code: -1 });
});

test('a speaker, and devices, that the browser refuses have codes; the speaker of before stays', async () => {
  const room = new LiveRoom({ platform: new FakeServer().platform(), media: { Player, Publisher } });
  room.on('error', () => {});
  const refuse = (name) => async () => {
    throw Object.assign(new Error(name), { name });
  };
  room.players.add({ element: { setSinkId: refuse('NotAllowedError') } });
  await assert.rejects(room.switchDevice('speaker', 's1'), { name: 'RoomError', code: 'denied' });
  assert.equal(room.speaker, '');
  // One that was chosen, and is gone where something is played.
  const told = [];
  room.on('error', ({ code }) => told.push(code));
  room.speaker = 's1';
  room.play({ userID: 'bob', whepURL: 'u' }, { setSinkId: refuse('NotFoundError') }).stop();
  await settle();
  assert.ok(told.includes('no_device'), `${told}`);
  navigator.mediaDevices.enumerateDevices = refuse('NotAllowedError');
  await assert.rejects(room.getDevices(), { name: 'RoomError', code: 'denied' });
});
