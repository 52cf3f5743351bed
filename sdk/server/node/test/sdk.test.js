import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, Client, operatorToken, readWebhook, userSig, WebhookError } from '../src/index.js';

const env = process.env;
const [url, door, key] = [env.SERVER_URL, env.DOOR_URL, env.OPERATOR_KEY];
const [sdkAppID, secretKey] = [Number(env.SDK_APP_ID), env.SECRET_KEY];
const hook = { body: env.WEBHOOK_BODY, signature: env.WEBHOOK_SIGNATURE, secret: env.WEBHOOK_SECRET };
const api = new Client(url, key);

/** A call of the room protocol, as clients make it. */
async function weapp(call, query, body = {}) {
  const address = `${url}/weapp/live_room/${call}?${new URLSearchParams(query)}`;
  return (await fetch(address, { method: 'POST', body: JSON.stringify(body) })).json();
}

const logIn = (userID, userSig) => weapp('login', { sdkAppID, accountType: 0, userID, userSig });
const refused = (status, code) => (error) =>
  error instanceof ApiError && error.status === status && error.code === code;

test('a room from its beginning to its end', async () => {
  const room = await api.createRoom({ kind: 'live', roomID: 'node', info: '晚上好' });
  assert.deepEqual([room.roomID, room.info, room.members], ['node', '晚上好', []]);
  const userID = `node-${Date.now()}`;
  const { token } = await logIn(userID, userSig({ userID, sdkAppID, secretKey }));
  const { pushURL } = await weapp('get_push_url', { userID, token }, { roomID: 'node', userID });
  const entry = { roomID: 'node', userID, pushURL };
  assert.equal((await weapp('add_pusher', { userID, token }, entry)).code, 0);
  const changed = await api.updateRoom({ room: 'node', info: 'late', custom: { likes: 3 } });
  assert.deepEqual([changed.info, changed.custom], ['late', { likes: 3 }]);
  const { rooms } = await api.listRooms({ kind: 'live', limit: 200 });
  assert.ok(rooms.some((one) => one.roomID === 'node'));
  const members = await api.listMembers({ room: 'node' });
  assert.deepEqual(
    members.map((one) => one.userID),
    [userID],
  );
  const kick = { room: 'node', user: userID, seconds: 60, idempotencyKey: `kick-${userID}` };
  assert.equal(await api.kickUser(kick), undefined);
  assert.equal(await api.kickUser(kick), undefined);
  // Its only member is out, and so the room is closed.
  await assert.rejects(api.listMembers({ room: 'node' }), refused(404, 'no_room'));
});

test('a key makes a request happen once', async () => {
  const room = 'node-once';
  await api.createRoom({ kind: 'live', roomID: room });
  const message = { room, userID: 'ada', text: 'hi', idempotencyKey: 'node-1' };
  assert.deepEqual(await api.sendMessage(message), await api.sendMessage(message));
  assert.equal((await api.listMessages({ room })).messages.length, 1);
  await assert.rejects(api.sendMessage({ ...message, text: 'another' }), refused(409, 'key_reused'));
  const ban = await api.banUserInRoom({ room, user: 'bob', seconds: 600, reason: 'spam', idempotencyKey: 'node-2' });
  assert.deepEqual([ban.userID, ban.roomID, ban.reason], ['bob', room, 'spam']);
  assert.ok((await api.listBans()).bans.some((one) => one.roomID === room));
  assert.equal(await api.unbanUserInRoom({ room, user: 'bob' }), undefined);
  await assert.rejects(api.closeRoom({ room, idempotencyKey: 'not a key' }), TypeError);
});

test('names may hold anything', async () => {
  for (const name of ['node/a?b%c#d', 'node..', 'node+&=']) {
    await api.createRoom({ kind: 'multi', roomID: name });
    assert.equal((await api.getRoom({ room: name })).roomID, name);
  }
  for (const room of ['', '.', '..', undefined]) assert.throws(() => api.closeRoom({ room }), TypeError);
});

test('a recording is read as it comes', async () => {
  let size = 0;
  for await (const chunk of await api.getRecordingFile({ file: env.RECORDING })) size += chunk.length;
  assert.equal(size, Number(env.RECORDING_SIZE));
  await assert.rejects(api.getRecordingFile({ file: '1_no_such.1.mp4' }), refused(404, 'no_recording'));
});

test('what may be sent again is', async () => {
  const room = 'node-door';
  await api.createRoom({ kind: 'live', roomID: room });
  const shaky = new Client(door, key);
  assert.equal((await shaky.getRoom({ room })).roomID, room);
  assert.equal((await shaky.sendNotice({ room, text: 'soon', idempotencyKey: 'node-3' })).rooms, 1);
  assert.equal((await shaky.sendNotice({ room, text: 'soon', idempotencyKey: 'running-node' })).rooms, 1);
  const asked = shaky.sendNotice({ room, text: 'soon', idempotencyKey: 'wait-node' });
  await assert.rejects(asked, (error) => error.retryAfter === 3600);
  const once = shaky.sendNotice({ room, text: 'soon' });
  await assert.rejects(once, (error) => refused(503, 'unavailable')(error) && error.retryAfter === 0);
  await assert.rejects(shaky.sendNotice({ room, text: 'soon' }), TypeError);
  await assert.rejects(new Client(door, key, { retries: 0 }).listMixes(), ApiError);
});

test('the server takes a userSig', async () => {
  const login = (given) => logIn('carol', userSig({ userID: 'carol', sdkAppID, secretKey, ...given }));
  assert.equal((await login()).userID, 'carol');
  assert.equal((await login({ secretKey: 'another' })).code, 7);
  assert.equal((await login({ now: 1_000_000 })).code, 7);
  assert.throws(() => userSig({ userID: 'carol\nTLS.sdkappid:1', sdkAppID, secretKey }), TypeError);
});

test('a session of the API is good', async () => {
  const { userID, token } = await api.createSession({ userID: 'carol' });
  assert.equal((await weapp('get_room_list', { userID, token }, { cnt: 1, index: 0 })).code, 0);
});

test('a key or token that is not good is refused', async () => {
  const over = operatorToken({ key, grants: { roomList: true }, now: 1_000_000 });
  for (const bad of [
    'not-a-key-of-this-server',
    operatorToken({ key: 'another key', grants: { roomList: true } }),
    over,
  ]) {
    await assert.rejects(new Client(url, bad).listRooms(), refused(401, 'unauthorised'));
    await assert.rejects(new Client(url, bad).createRoom({ kind: 'live' }), refused(401, 'unauthorised'));
  }
});

test('a token allows what it grants', async () => {
  const some = new Client(url, operatorToken({ key, grants: { roomList: true } }));
  assert.ok((await some.listRooms()).rooms);
  await assert.rejects(some.createRoom({ kind: 'live' }), (error) => error.status === 403);
});

test('the server’s own webhook is read', () => {
  const event = readWebhook(hook);
  assert.deepEqual([event.event, event.roomID], ['room_created', 'tea']);
  assert.deepEqual(readWebhook({ ...hook, body: Buffer.from(hook.body) }), event);
});

test('all other webhooks are refused', () => {
  const now = Number(/^t=(\d+)/.exec(hook.signature)[1]);
  const forged = [
    { body: hook.body.replace('tea', 'tee') },
    { secret: 'another secret' },
    { signature: undefined },
    { signature: hook.signature.replace('t=', 't=1') },
    { signature: hook.signature.slice(0, -2) },
    { signature: `t=${now},v1=` },
    { now: now + 301 },
    { now: now - 301 },
  ];
  for (const change of forged) assert.throws(() => readWebhook({ ...hook, ...change }), WebhookError);
  assert.equal(readWebhook({ ...hook, now: now + 299 }).roomID, 'tea');
});
