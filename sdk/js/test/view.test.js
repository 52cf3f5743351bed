import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textBody } from '../src/messages.js';
import { RTCRoom } from '../src/rtc_room.js';
import { viewOf } from '../src/view.js';
import { inPages } from './devices.js';
import { FakeServer, LOGIN, settle } from './fake.js';

inPages();

/** A room that was entered, and what a component was drawn with. */
async function drawn() {
  const server = new FakeServer();
  Object.assign(server.answers, {
    get_push_url: () => ({ pushURL: 'rtmp://h/live/a?x=1' }),
    get_pushers: () => ({ roomID: 'r', roomInfo: '', roomCreator: 'bob', pushers: [{ userID: 'bob' }] }),
  });
  let seq = 0;
  server.chat = ({ type }) => (type === 'join' ? { room: 'r', epoch: 1, last: seq, users: 2, missed: 0 } : { seq: 1 });
  server.say = (text) => {
    seq += 1;
    const body = textBody(text, { userName: 'Bob', userAvatar: '' });
    server.socket.push({ type: 'message', room: 'r', seq, time: 1, from: 'bob', body });
  };
  const room = new RTCRoom({ platform: server.platform(), media: {} });
  const view = viewOf(room);
  const seen = [];
  view.subscribe(() => seen.push(view.get()));
  await room.login(LOGIN);
  await room.enterRoom({ roomID: 'r' });
  await settle();
  return { server, room, seen: () => seen.at(-1) };
}

test('leaving is seen, and closing the devices', async () => {
  const { room, seen } = await drawn();
  await room.openMedia();
  assert.ok(seen().local && seen().roomID === 'r' && seen().others.length === 1 && seen().users === 2);
  room.closeMedia();
  assert.equal(seen().local, null);
  await room.exitRoom();
  const { roomID, others, isPusher, users, closed } = seen();
  assert.deepEqual([roomID, others, isPusher, users, closed], [null, [], false, 0, null]);
  await room.logout();
});

test('a room that was closed is closed until it is entered again, and begins anew then', async () => {
  const { server, room, seen } = await drawn();
  server.say('before');
  server.socket.push({ type: 'out', room: 'r', reason: 'kicked' });
  await settle();
  const texts = () => seen().messages.map((m) => m.textMsg);
  assert.deepEqual([seen().closed, seen().roomID, texts()], ['kicked', null, ['before']]);
  await room.enterRoom({ roomID: 'r' });
  await settle();
  assert.deepEqual([seen().closed, seen().roomID, texts()], [null, 'r', []]);
  server.say('after');
  assert.deepEqual(texts(), ['after']);
  // Who enters again as soon as it hears of it.
  room.setListener({ onRoomClose: () => room.enterRoom({ roomID: 'r' }) });
  server.socket.push({ type: 'out', room: 'r', reason: 'kicked' });
  await settle(60);
  assert.deepEqual([seen().closed, seen().roomID], [null, 'r']);
  await room.logout();
});
