import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Session } from '../src/session.js';
import { FakeServer, LOGIN } from './fake.js';

test('logs in, and signs calls with the token', async () => {
  const server = new FakeServer();
  const session = new Session({ platform: server.platform() });
  await session.open({ ...LOGIN, userID: 'a b' });
  await session.call('multi_room', 'get_room_list', { cnt: 1 });
  const [login, list] = server.calls;
  assert.equal(login.query.userSig, 'sig');
  assert.equal(list.pathname, '/weapp/multi_room/get_room_list');
  assert.deepEqual(list.query, { userID: 'a b', token: 't1' });
});

test('a session that ended is opened again, once for many calls', async () => {
  const server = new FakeServer();
  let signed = 0;
  const session = new Session({ platform: server.platform() });
  await session.open({ ...LOGIN, userSig: () => `sig${++signed}` });
  server.answers.get_pushers = ({ query }) => (query.token === 't1' ? { code: 7, message: 'ended' } : { roomID: 'r' });
  const both = await Promise.all([session.call('live_room', 'get_pushers'), session.call('live_room', 'get_pushers')]);
  assert.deepEqual(
    both.map((a) => a.roomID),
    ['r', 'r'],
  );
  assert.equal(server.named('login').length, 2);
  assert.equal(server.named('login')[1].query.userSig, 'sig2');
});

test('messages are asked for in a language, where one is given', async () => {
  for (const [language, expected] of [
    ['en', 'en'],
    [undefined, undefined],
  ]) {
    const platform = new FakeServer().platform();
    const { request } = platform;
    const headers = [];
    platform.request = (url, options) => {
      headers.push(options.headers['Accept-Language']);
      return request(url, options);
    };
    await new Session({ platform, language }).open(LOGIN);
    assert.deepEqual(headers, [expected]);
  }
});

test('errors carry code and message; a proxy’s page is a network error', async () => {
  const server = new FakeServer();
  const session = new Session({ platform: server.platform() });
  await assert.rejects(session.call('live_room', 'x'), { code: 7 });
  await session.open(LOGIN);
  server.answers.create_room = () => ({ code: 11, message: 'exists' });
  await assert.rejects(session.call('live_room', 'create_room'), { name: 'RoomError', code: 11, message: 'exists' });
  server.answers.create_room = () => ({ status: 502, raw: '<html>' });
  await assert.rejects(session.call('live_room', 'create_room'), { code: 'network', status: 502 });
  await assert.rejects(session.open({ userID: 'x' }), { code: 4 });
});
