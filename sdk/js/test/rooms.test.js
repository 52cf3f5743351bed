import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import { RoomError } from '../src/errors.js';
import { LiveRoom } from '../src/live_room.js';
import { commandBody, linkBody, textBody } from '../src/messages.js';
import { browser } from '../src/platform/browser.js';
import { RTCRoom } from '../src/rtc_room.js';
import { LOGIN, clock, settle } from './fake.js';
import { enter, held, heldAnswer, pass, pusher, world } from './world.js';

afterEach(() => clock.reset());

const numbers = { notice: 100, direct: 200 };
const notice = (data) => ({
  type: 'system',
  room: 'r',
  seq: ++numbers.notice,
  time: 1,
  notice: 'custom',
  data: JSON.stringify(data),
});
const direct = (from, body) => ({ type: 'direct', seq: ++numbers.direct, time: 1, from, body });

test('makes a room, and tells who comes and goes', async () => {
  const server = world();
  const room = new RTCRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.createRoom({ roomInfo: 'info' }));
  assert.deepEqual(server.calls.map((c) => c.name).slice(0, 5), [
    'login',
    'create_room',
    'get_push_url',
    'add_pusher',
    'get_pushers',
  ]);
  assert.equal(server.named('add_pusher')[0].pathname, '/weapp/multi_room/add_pusher');
  server.room.pushers.push(pusher('bob'));
  server.socket.push(notice({ cmd: 'notifyPusherChange', data: '' }));
  await settle();
  assert.deepEqual(
    seen('onPusherJoin')[0].pushers.map((p) => p.userID),
    ['bob'],
  );
  server.room.pushers.pop();
  server.socket.push(notice({ cmd: 'notifyPusherChange', data: '' }));
  await settle();
  assert.deepEqual(
    seen('onPusherQuit')[0].pushers.map((p) => p.userID),
    ['bob'],
  );
  await room.logout();
  assert.equal(server.named('delete_pusher').length, 1);
});

test('who came after the look at the room and before chat tells of changes is seen', async () => {
  const server = world();
  const join = server.chat;
  server.chat = (frame) => {
    // The notice went to those who were in the group already.
    if (frame.type === 'join') server.room.pushers.push(pusher('bob'));
    return join(frame);
  };
  const room = new RTCRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.createRoom({}));
  assert.deepEqual(
    seen('onPusherJoin').flatMap(({ pushers }) => pushers.map((p) => p.userID)),
    ['bob'],
  );
  await room.logout();
});

test('texts and commands pass both ways, with names', async () => {
  const server = world();
  const room = new RTCRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.createRoom({}));
  await room.sendRoomTextMsg({ msg: '<b>hi</b>' });
  const { body } = server.socket.asked('send')[0];
  assert.equal(body[1].MsgContent.Text, '<b>hi</b>');
  const bob = { userName: 'Bob', userAvatar: '' };
  server.socket.push({ type: 'message', room: 'r', seq: 50, time: 9, from: 'bob', body: textBody('hello', bob) });
  server.socket.push({
    type: 'message',
    room: 'r',
    seq: 51,
    time: 9,
    from: 'bob',
    body: commandBody('wave', { to: 'eve' }, bob),
  });
  server.socket.push({
    type: 'message',
    room: 'r',
    seq: 52,
    time: 9,
    from: 'eve',
    body: [{ MsgType: 'TIMCustomElem', MsgContent: { Data: 'not json' } }],
  });
  assert.equal(seen('onRecvRoomTextMsg').length, 1);
  assert.deepEqual([seen('onRecvRoomTextMsg')[0].userName, seen('onRecvRoomTextMsg')[0].textMsg], ['Bob', 'hello']);
  assert.deepEqual([seen('onRecvRoomCustomMsg')[0].cmd, seen('onRecvRoomCustomMsg')[0].msg], ['wave', { to: 'eve' }]);
  server.socket.push(notice({ cmd: 'notice', data: 'maintenance' }));
  assert.equal(seen('onNotice')[0].textMsg, 'maintenance');
  await room.logout();
});

test('a server that lost the room gets it back from its creator', async () => {
  clock.enable();
  const server = world();
  const room = new RTCRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.createRoom({ roomInfo: 'mine' }));
  server.down = true;
  server.socket.drop();
  await settle();
  clock.tick(7_000);
  await settle();
  assert.equal(seen('onConnection').at(-1).online, false);
  server.down = false;
  server.room = null;
  clock.tick(10_000);
  await settle(100);
  assert.equal(server.room.roomInfo, 'mine');
  assert.deepEqual(
    server.room.pushers.map((p) => p.userID),
    ['ada'],
  );
  assert.equal(seen('onRoomClose').length, 0);
  await room.logout();
});

test('a closed room is told once, and forgotten', async () => {
  const server = world();
  const room = new LiveRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  assert.equal(room.custom.like, 3);
  server.socket.push({ type: 'system', room: 'r', seq: 90, time: 1, notice: 'destroyed' });
  server.socket.push({ type: 'system', room: 'r', seq: 91, time: 1, notice: 'destroyed' });
  assert.deepEqual(seen('onRoomClose'), [{ roomID: 'r', reason: 'destroyed' }]);
  assert.equal(room.roomID, null);
  await assert.rejects(room.sendRoomTextMsg({ msg: 'x' }), { code: 'state' });
  await room.logout();
});

test('who is put out is told why', async () => {
  const server = world();
  const room = new LiveRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  server.socket.push({ type: 'out', room: 'r', reason: 'banned', until: 5 });
  assert.equal(seen('onRoomClose')[0].reason, 'banned');
  await room.logout();
});

test('a viewer asks, is accepted, pushes, and is kicked', async () => {
  const server = world();
  server.room.pushers = [pusher('anchor')];
  server.room.roomCreator = 'anchor';
  const room = new LiveRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  assert.deepEqual([server.named('add_audience').length, server.named('add_pusher').length], [1, 0]);
  const asking = room.requestJoinPusher();
  await settle();
  const request = server.socket.asked('direct')[0];
  assert.equal(request.to, 'anchor');
  assert.deepEqual(JSON.parse(request.body[0].MsgContent.Data).data.type, 'request');
  // Somebody else's word is nothing.
  server.socket.push(direct('eve', linkBody({ type: 'response', result: 'accept', roomID: 'r' })));
  await assert.rejects(room.requestJoinPusher(), { code: 'state' });
  server.socket.push(direct('anchor', linkBody({ type: 'response', result: 'accept', roomID: 'r' })));
  await asking;
  assert.equal(seen('onRecvAcceptJoinPusher').length, 1);
  await room.joinPusher();
  assert.equal(room.isPusher, true);
  server.socket.push(direct('eve', linkBody({ type: 'kickout', roomID: 'r' })));
  assert.equal(seen('onKickoutJoinPusher').length, 0);
  server.socket.push(direct('anchor', linkBody({ type: 'kickout', roomID: 'r' })));
  await settle();
  assert.equal(seen('onKickoutJoinPusher').length, 1);
  assert.equal(room.isPusher, false);
  assert.equal(server.named('delete_pusher').length, 1);
  await room.logout();
});

test('a refusal has a reason; silence is a timeout', async () => {
  const server = world();
  server.room.roomCreator = 'anchor';
  const room = new LiveRoom({ platform: server.platform() });
  await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  const asking = room.requestJoinPusher();
  server.socket.push(direct('anchor', linkBody({ type: 'response', result: 'reject', message: 'busy', roomID: 'r' })));
  await assert.rejects(asking, { code: 'refused', message: 'busy' });
  await assert.rejects(room.requestJoinPusher({ timeout: 1 }), { code: 'timeout' });
  await room.logout();
});

test('the anchor is asked, answers, and asks for a mix', async () => {
  clock.enable();
  const server = world();
  const room = new LiveRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.createRoom({ roomInfo: 'info' }));
  server.socket.push(direct('bob', linkBody({ type: 'request', roomID: 'r', userName: 'Bob' })));
  assert.equal(seen('onRecvJoinPusherRequest')[0].userID, 'bob');
  await room.acceptJoinPusher({ userID: 'bob' });
  server.room.pushers.push(pusher('bob'));
  server.socket.push(notice({ cmd: 'notifyPusherChange', data: '' }));
  await settle();
  clock.tick(1000);
  await settle();
  const {
    interface: { para },
  } = server.named('merge_stream')[0].body.mergeParams;
  assert.deepEqual(
    para.input_stream_list.map((i) => [i.input_stream_id, i.layout_params.image_layer]),
    [
      ['1_r_ada', 1],
      ['1_r_bob', 2],
    ],
  );
  assert.equal(para.output_stream_id, '1_r_ada');
  const field = server.named('set_custom_field')[0].body;
  assert.deepEqual([field.fieldName, field.value], ['mixed', 1]);
  await room.logout();
});

test('fields and audiences are read, whatever generation sent them', async () => {
  const server = world();
  const room = new LiveRoom({ platform: server.platform() });
  await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  assert.deepEqual(await room.setCustomField({ fieldName: 'like', operation: 'inc' }), { custom: { like: 4 } });
  const { audiences } = await room.getAudienceList();
  assert.deepEqual(
    audiences.map((a) => a.userName),
    ['X', 'not json'],
  );
  await room.logout();
});

test('a listener’s mistake does not break the room', async () => {
  const server = world();
  const room = new RTCRoom({ platform: server.platform() });
  const said = mock.method(console, 'error', () => {});
  room.setListener({
    onGetPusherList() {
      throw new Error('mine');
    },
  });
  await room.login(LOGIN);
  await room.createRoom({});
  assert.equal(said.mock.callCount(), 1);
  assert.equal(room.entered, true);
  await room.logout();
  said.mock.restore();
});

test('recordings come page by page', async () => {
  const server = world();
  const room = new RTCRoom({ platform: server.platform() });
  await room.login(LOGIN);
  const record = { recordID: '1', roomID: 'r', title: 'Tea', userID: 'ada', playURL: 'http://h/recordings/1.mp4?x=1' };
  const asked = [];
  server.answers.get_record_list = ({ body }) => {
    asked.push(body);
    return { records: [record], cursor: body.cursor ? '' : 'next' };
  };
  const first = await room.getRecordList({ roomID: 'r' });
  assert.deepEqual(first, { records: [record], cursor: 'next' });
  assert.deepEqual(await room.getRecordList({ cnt: 1, cursor: first.cursor }), { records: [record], cursor: '' });
  assert.deepEqual(asked, [
    { roomID: 'r', cnt: 20 },
    { cnt: 1, cursor: 'next' },
  ]);
  await room.close();
});

/** A live room of ada's in which others join; `answer` is what `merge_stream` is answered. */
async function anchored(answer) {
  clock.enable();
  const server = world();
  server.answers.merge_stream = answer;
  server.answers.set_custom_field = ({ body }) => {
    server.room.custom = { ...server.room.custom, [body.fieldName]: body.value };
    return { custom: server.room.custom };
  };
  server.room.custom = {};
  const room = new LiveRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.createRoom({ roomInfo: 'info' }));
  const joins = async (userID) => {
    server.room.pushers.push(pusher(userID));
    server.socket.push(notice({ cmd: 'notifyPusherChange', data: '' }));
    await pass(1_000);
  };
  return { server, room, seen, joins, asked: () => server.named('merge_stream').length };
}
const notYet = { result: { code: -505, message: 'not pushed yet' } };

test('a co-anchor whose camera opens late comes into the mix all the same', async () => {
  let pushed = false;
  const { server, room, seen, joins, asked } = await anchored(() => (pushed ? {} : notYet));
  await joins('bob');
  assert.deepEqual([asked(), room.mixed], [1, false]);
  await pass(12_000);
  pushed = true;
  await pass(2_000);
  assert.deepEqual([room.mixed, server.room.custom.mixed, seen('onError')], [true, 1, []]);
  const until = asked();
  await pass(30_000);
  assert.equal(asked(), until, 'a mix that runs is not asked for again');
  // Another one joins: while that camera opens, the audience goes on seeing the mix of before.
  pushed = false;
  await joins('eve');
  await pass(5_000);
  assert.deepEqual([room.mixed, server.room.custom.mixed], [true, 1]);
  await room.logout();
});

test('who never pushes is told once, and looked for less often', async () => {
  const { room, seen, joins, asked } = await anchored(() => notYet);
  await joins('bob');
  await pass(29_000);
  assert.deepEqual([asked() > 10, seen('onError').length], [true, 0]);
  const before = asked();
  await pass(60_000);
  assert.deepEqual(
    seen('onError').map((e) => e.code),
    [-505],
  );
  assert.ok(asked() - before <= 8, `${asked() - before} times`);
  await room.exitRoom();
  const left = asked();
  await pass(60_000);
  assert.equal(asked(), left, 'who left asks no more');
  await room.logout();
});

test('a mix that is refused for good is told at once and asked for once', async () => {
  const { server, room, seen, joins, asked } = await anchored(() => ({ result: { code: -4, message: 'no' } }));
  await joins('bob');
  await pass(30_000);
  assert.deepEqual([asked(), seen('onError').map((e) => e.code), server.room.custom.mixed], [1, [-4], undefined]);
  await room.logout();
});

test('a mix for which no mixer is free runs once one is; a server without any is asked each minute', async () => {
  let free = false;
  const full = { result: { code: -10031, message: 'too many' } };
  const { server, room, seen, joins, asked } = await anchored(() => (free ? {} : full));
  await joins('bob');
  await pass(60_000);
  const codes = () => seen('onError').map((e) => e.code);
  assert.deepEqual(codes(), [-10031]);
  await pass(120_000);
  const before = asked();
  await pass(300_000);
  assert.ok(asked() - before >= 4 && asked() - before <= 6, `${asked() - before} times`);
  free = true;
  await pass(60_000);
  assert.deepEqual([room.mixed, server.room.custom.mixed, codes()], [true, 1, [-10031]]);
  await room.logout();
});

test('while one pusher is waited for, the audience goes on seeing the mix of before', async () => {
  const eve = ({ body }) => JSON.stringify(body).includes('_eve');
  const { server, room, seen, joins } = await anchored((call) => (eve(call) ? notYet : {}));
  await joins('bob');
  await joins('eve');
  await pass(60_000);
  const codes = seen('onError').map((e) => e.code);
  assert.deepEqual([codes, room.mixed, server.room.custom.mixed], [[-505], true, 1]);
  // The chat comes back, perhaps of a server that was started anew: the field must not promise a mix.
  server.socket.drop();
  await pass(60_000);
  assert.equal(server.room.custom.mixed, 0);
  await room.logout();
});

test('a mix that ended because the anchor was away is asked for again within about a minute', async () => {
  let away = false;
  const { server, room, seen, joins, asked } = await anchored(() => (away ? notYet : {}));
  await joins('bob');
  await pass(70_000);
  assert.equal(asked(), 2);
  await pass(65_000);
  assert.deepEqual([asked(), server.room.custom.mixed], [3, 1]);
  away = true;
  await pass(150_000);
  const codes = () => seen('onError').map((e) => e.code);
  assert.deepEqual([codes(), server.room.custom.mixed], [[-505], 0], 'told once, and the field promises nothing');
  away = false;
  await pass(11_000);
  assert.deepEqual([codes(), server.room.custom.mixed], [[-505], 1]);
  await room.logout();
});

test('a viewer whose chat was away for long is in the audience again', async () => {
  clock.enable();
  const server = world();
  const room = new LiveRoom({ platform: server.platform() });
  await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  await pass(20_000);
  server.socket.drop();
  await pass(5_000);
  assert.deepEqual([room.chat.state, server.named('add_audience').length], ['open', 1], 'nobody was taken out so soon');
  server.down = true;
  server.socket.drop();
  await pass(70_000);
  server.down = false;
  await pass(20_000);
  assert.deepEqual([room.chat.state, server.named('add_audience').length], ['open', 2]);
  await room.logout();
});

test('a mix that the app laid out is not replaced by ours', async () => {
  const { room, joins, asked } = await anchored(() => ({}));
  await joins('bob');
  const streams = ['1_r_ada', '1_r_bob'].map((id) => ({ input_stream_id: id }));
  await room.mergeStream({ interface: { para: { input_stream_list: streams } } });
  const before = asked();
  await pass(150_000);
  assert.equal(asked(), before);
  await room.logout();
});

test('a mix that ended with the server is asked for again, and the audience told anew', async () => {
  const { server, room, joins, asked } = await anchored(() => ({}));
  await joins('bob');
  assert.deepEqual([asked(), server.room.custom.mixed], [1, 1]);
  server.room.custom = {};
  server.socket.drop();
  await pass(5_000);
  assert.equal(asked(), 2);
  await room.refresh();
  // A publisher that came back, as after a minute without pictures.
  room.onPublished();
  await pass(1_000);
  assert.deepEqual([asked(), server.room.custom.mixed], [3, 1]);
  // The other one did not come back: the field must not promise a mix.
  server.room.pushers = server.room.pushers.filter((p) => p.userID !== 'bob');
  server.socket.drop();
  await pass(10_000);
  await room.refresh();
  await pass(1_000);
  assert.equal(server.room.custom.mixed, 0);
  await room.logout();
});

/** A room in which somebody comes and says something: whether it is seen and heard. */
async function follows(server, room, seen) {
  server.room.pushers.push(pusher('bob'));
  server.socket.push(notice({ cmd: 'notifyPusherChange', data: '' }));
  const body = textBody('hello', { userName: 'Bob', userAvatar: '' });
  server.socket.push({ type: 'message', room: 'r', seq: ++numbers.notice, time: 9, from: 'bob', body });
  await settle();
  const joined = seen('onPusherJoin').flatMap(({ pushers }) => pushers.map((p) => p.userID));
  return [joined, seen('onRecvRoomTextMsg').map((m) => m.textMsg), room.unheard];
}

test('a chat that has no connection for its first twenty seconds is joined as soon as it has one', async () => {
  clock.enable();
  const server = world();
  server.silent = true;
  const room = new RTCRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.createRoom({}));
  await pass(20_000);
  assert.deepEqual(
    seen('onError').map((e) => e.code),
    ['timeout'],
  );
  server.silent = false;
  await pass(15_000);
  assert.equal(room.chat.state, 'open');
  assert.deepEqual(await follows(server, room, seen), [['bob'], ['hello'], null]);
  await room.logout();
});

for (const code of ['unavailable', 'too_fast', 'too_many_rooms', 'no_room'])
  test(`a join that is refused for a moment (${code}) is tried again, and who comes meanwhile is seen`, async () => {
    clock.enable();
    const server = world();
    const answer = server.chat;
    server.chat = (frame, socket) => {
      if (frame.type !== 'join') return answer(frame);
      queueMicrotask(() => socket.push({ type: 'error', id: frame.id, code, message: code }));
      return null;
    };
    const room = new RTCRoom({ platform: server.platform() });
    const seen = await enter(room, (r) => r.createRoom({}));
    server.room.pushers.push(pusher('eve'));
    await pass(15_000);
    assert.deepEqual(
      seen('onPusherJoin').map(({ pushers }) => pushers[0].userID),
      ['eve'],
    );
    assert.deepEqual(
      seen('onError').map((e) => e.code),
      [code],
      'told once',
    );
    server.chat = answer;
    await pass(7_000);
    assert.deepEqual(await follows(server, room, seen), [['eve', 'bob'], ['hello'], null]);
    await room.logout();
  });

test('who may not be in the chat sees who comes all the same, and asks no more', async () => {
  clock.enable();
  const server = world();
  server.chat = (frame, socket) => {
    if (frame.type !== 'join') return { seq: 1 };
    queueMicrotask(() => socket.push({ type: 'error', id: frame.id, code: 'banned', message: 'no' }));
    return null;
  };
  const room = new RTCRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.createRoom({}));
  server.room.pushers.push(pusher('eve'));
  await pass(30_000);
  assert.deepEqual([seen('onPusherJoin').length, server.socket.asked('join').length], [1, 1]);
  await room.logout();
});

test('a chat that is lost when the server comes back is joined again after a refusal that passes', async () => {
  clock.enable();
  const server = world();
  const answer = server.chat;
  const room = new RTCRoom({ platform: server.platform() });
  const restarted = [];
  room.restartMedia = () => restarted.push(1);
  const seen = await enter(room, (r) => r.createRoom({}));
  let refused = 'no_room';
  server.chat = (frame, socket) => {
    if (frame.type !== 'join' || !refused) return answer(frame);
    const code = refused;
    queueMicrotask(() => socket.push({ type: 'error', id: frame.id, code, message: code }));
    refused = code === 'no_room' ? 'unavailable' : null;
    return null;
  };
  server.socket.drop();
  await pass(15_000);
  assert.equal(refused, null);
  assert.deepEqual(await follows(server, room, seen), [['bob'], ['hello'], null]);
  assert.equal(restarted.length, 1, 'media begins anew where the room did');
  await room.logout();
});

test('who leaves before the chat has a connection does not enter it later', async () => {
  clock.enable();
  const server = world();
  server.silent = true;
  const room = new RTCRoom({ platform: server.platform() });
  await enter(room, (r) => r.createRoom({}));
  await room.exitRoom();
  server.silent = false;
  await pass(15_000);
  assert.deepEqual([room.chat.state, server.socket.asked('join')], ['open', []]);
  await room.logout();
});

test('who logs in while the room before is being left is in the next one for good', async () => {
  const server = world();
  const { platform, answer } = held(server, 'delete_pusher');
  const room = new RTCRoom({ platform });
  await enter(room, (r) => r.push({ roomID: 'r' }));
  const leaving = room.close();
  const entering = room.login(LOGIN).then(() => room.push({ roomID: 'r2' }));
  await settle();
  answer();
  await Promise.all([leaving, entering]);
  await settle();
  assert.deepEqual([room.roomID, room.chat.state, room.connection], ['r2', 'open', 'connected']);
  assert.equal(server.socket.closed, false);
  // As with logout, which would end the new session too.
  const out = room.logout();
  await Promise.all([out, room.login(LOGIN)]);
  await settle();
  assert.deepEqual([server.named('logout').length, room.connection], [0, 'connected']);
  await room.logout();
  assert.equal(server.named('logout').length, 1);
});

test('closed while it logs in, a room stays closed', async () => {
  const server = world();
  const { platform, answer } = held(server, 'login');
  const room = new RTCRoom({ platform });
  const login = room.login(LOGIN);
  const closing = room.close();
  answer();
  await assert.rejects(login, { code: 'ended' });
  await closing;
  assert.deepEqual([server.sockets.length, room.chat.running], [0, false]);
});

test('who left is pushed into no room by what was begun before', async () => {
  const server = world();
  const room = new RTCRoom({ platform: server.platform() });
  await room.login(LOGIN);
  await room.close();
  // As after a camera that took its time.
  await assert.rejects(room.push({ roomID: 'r' }), { code: 'state' });
  await assert.rejects(room.createRoom({}), { code: 'state' });
  assert.equal(server.named('add_pusher').length, 0);
  await room.login(LOGIN);
  await room.push({ roomID: 'r' });
  await assert.rejects(room.push({ roomID: 'r' }), { code: 'state' });
  assert.equal(room.roomID, 'r');
  await room.logout();
});

for (const [name, how] of [
  ['add_pusher', (room) => room.push({ roomID: 'r' })],
  ['get_push_url', (room) => room.push({ roomID: 'r' })],
  ['get_pushers', (room) => room.push({ roomID: 'r' })],
])
  test(`who leaves while ${name} is on its way is no ghost`, async () => {
    const server = world();
    const { platform, answer } = held(server, name);
    const room = new RTCRoom({ platform });
    await room.login(LOGIN);
    const entering = how(room);
    await settle();
    await room.exitRoom();
    answer();
    await assert.rejects(entering, { code: 'state' });
    await settle();
    assert.deepEqual([room.roomID, room.isPusher, room.heart], [null, false, undefined]);
    const last = server.calls.filter((c) => /^(add|delete)_pusher$/.test(c.name)).at(-1);
    assert.notEqual(last?.name, 'add_pusher');
    assert.deepEqual(server.room.pushers, []);
    await room.logout();
  });

for (const [name, how] of [
  ['create_room', (room) => room.createRoom({})],
  ['get_pushers', (room) => room.enterRoom({ roomID: 'r' })],
])
  test(`who leaves before it enters, while ${name} is on its way, does not enter`, async () => {
    const server = world();
    const { platform, answer } = held(server, name);
    const room = new RTCRoom({ platform });
    await room.login(LOGIN);
    const first = how(room);
    await settle();
    await room.close();
    await room.login(LOGIN);
    answer();
    await assert.rejects(first, { code: 'state' });
    assert.deepEqual([room.roomID, server.named('add_pusher').length], [null, 0]);
    // The next one is entered as ever.
    await room.push({ roomID: 'r' });
    assert.equal(room.roomID, 'r');
    await room.logout();
  });

for (const [when, hold] of Object.entries({ call: held, answer: heldAnswer }))
  test(`who leaves while add_pusher’s ${when} is on its way is told of nothing that went wrong`, async () => {
    const server = world();
    const { delete_pusher: leave } = server.answers;
    server.answers.delete_pusher = (call) =>
      server.room.pushers.some((p) => p.userID === call.body.userID) ? leave(call) : { code: 5, message: 'not in' };
    const { platform, answer } = hold(server, 'add_pusher');
    const room = new RTCRoom({ platform });
    const errors = [];
    room.on('error', ({ code }) => errors.push(code));
    await room.login(LOGIN);
    const entering = room.push({ roomID: 'r' });
    await settle();
    await room.exitRoom();
    answer();
    await assert.rejects(entering, { code: 'state' });
    await settle();
    assert.deepEqual([errors, server.room.pushers], [[], []]);
    await room.logout();
  });

test('a join that is answered after leaving asks for nothing', async () => {
  const server = world();
  const answer = server.chat;
  let join;
  server.chat = (frame, socket) => {
    if (frame.type !== 'join') return answer(frame);
    join ??= frame;
    return join === frame ? null : answer(frame, socket);
  };
  const room = new RTCRoom({ platform: server.platform() });
  await enter(room, (r) => r.push({ roomID: 'r' }));
  await room.exitRoom();
  server.socket.push({ type: 'ack', id: join.id, ...answer(join) });
  await settle();
  assert.deepEqual(server.socket.asked('history'), []);
  await room.push({ roomID: 'r' });
  await settle();
  assert.equal(server.socket.asked('history').length, 1, 'who enters again learns what was said');
  await room.logout();
});

test('a viewer who leaves while it becomes co-anchor is none', async () => {
  const server = world();
  server.room.roomCreator = 'anchor';
  const { platform, answer } = held(server, 'add_pusher');
  const room = new LiveRoom({ platform });
  await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  const joining = room.joinPusher();
  await settle();
  await room.exitRoom();
  answer();
  await assert.rejects(joining, { code: 'state' });
  await settle();
  assert.deepEqual([room.isPusher, server.room.pushers], [false, []]);
  await room.logout();
});

test('who leaves while it begins to publish publishes nothing', async () => {
  const server = world();
  const made = [];
  class Publisher {
    constructor(options) {
      made.push(options);
      this.end = new Promise((resolve) => {
        this.stopped = resolve;
      });
    }
    async start() {}
    stop() {
      return this.end;
    }
  }
  const room = new RTCRoom({ platform: server.platform(), media: { Publisher } });
  await enter(room, (r) => r.push({ roomID: 'r' }));
  const first = await room.publish({});
  const again = room.publish({});
  await settle();
  const leaving = room.exitRoom();
  first.stopped();
  await assert.rejects(again, { code: 'state' });
  await leaving;
  assert.equal(made.length, 1);
  await room.logout();
});

test('a mix that is played for days is asked for with the newest signature; a pusher of its own as before', async () => {
  clock.enable();
  const server = world();
  server.room.pushers = [pusher('anchor'), pusher('bob')];
  server.room.roomCreator = 'anchor';
  const signed = (n) => `https://h/whep/1_r_anchor?txSecret=${n}`;
  server.room.whepURL = signed(1);
  const made = [];
  class Player {
    constructor(options) {
      made.push(options);
    }
    async start() {}
    async stop() {}
    follow() {}
  }
  const room = new LiveRoom({ platform: server.platform(), media: { Player } });
  await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  room.play(room.mix, null);
  room.play({ whepURL: 'https://h/whep/elsewhere?txSecret=1' }, null);
  assert.equal(made[0].url(), signed(1));
  server.room.whepURL = signed(2);
  await room.refresh();
  assert.deepEqual([made[0].url(), made[1].url()], [signed(2), 'https://h/whep/elsewhere?txSecret=1']);
  // The signature has ended while nobody looked: it is looked then.
  server.room.whepURL = signed(3);
  made[0].onState('waiting', new RoomError('media', 'the media server answered 403', { status: 403 }));
  await pass(2_000);
  assert.equal(made[0].url(), signed(3));
  await room.logout();
});

/** A page that goes, and is shown again: `scope.dispatchEvent`. */
const page = () => new EventTarget();
const event = (name, more) => Object.assign(new Event(name), more);

test('who closes the page leaves at once; a page that is shown again says that it is out', async () => {
  const server = world();
  const scope = page();
  const { onLeave } = browser({ scope });
  const room = new RTCRoom({ platform: { ...server.platform(), onLeave } });
  const seen = await enter(room, (r) => r.push({ roomID: 'r' }));
  const stopped = [];
  room.publisher = { stop: async (how) => stopped.push(how) };
  scope.dispatchEvent(event('pagehide', { persisted: true }));
  assert.equal(server.named('delete_pusher').length, 1, 'asked before the page is gone');
  assert.deepEqual([room.roomID, stopped, seen('onRoomClose')], [null, [{ gone: true }], []]);
  await settle();
  scope.dispatchEvent(event('pageshow', { persisted: false }));
  assert.deepEqual(seen('onRoomClose'), []);
  scope.dispatchEvent(event('pageshow', { persisted: true }));
  assert.deepEqual(seen('onRoomClose'), [{ roomID: 'r', reason: 'unloaded' }]);
  // Nothing but entering is needed then, and it is told once.
  await room.push({ roomID: 'r' });
  scope.dispatchEvent(event('pageshow', { persisted: true }));
  assert.deepEqual([room.roomID, seen('onRoomClose').length], ['r', 1]);
  await room.close();
  await room.login(LOGIN);
  await room.push({ roomID: 'r' });
  scope.dispatchEvent(event('pagehide'));
  await settle();
  assert.deepEqual([room.roomID, server.named('delete_pusher').length], [null, 3]);
  await room.logout();
});

test('a page may leave its rooms by itself', async () => {
  const server = world();
  const scope = page();
  const { onLeave } = browser({ scope });
  const room = new RTCRoom({ platform: { ...server.platform(), onLeave }, leaveWithPage: false });
  await enter(room, (r) => r.push({ roomID: 'r' }));
  scope.dispatchEvent(event('pagehide'));
  assert.equal(room.roomID, 'r');
  await room.logout();
  // Closed, a room listens to the page no longer.
  const other = new RTCRoom({ platform: { ...server.platform(), onLeave } });
  await enter(other, (r) => r.push({ roomID: 'r' }));
  await other.logout();
  const calls = server.calls.length;
  scope.dispatchEvent(event('pagehide'));
  await settle();
  assert.equal(server.calls.length, calls);
});

test('an anchor who comes back alone ends what was mixed before', async () => {
  clock.enable();
  const server = world();
  server.room.custom = { mixed: 1 };
  const room = new LiveRoom({ platform: server.platform() });
  await enter(room, (r) => r.push({ roomID: 'r' }));
  await pass(2_000);
  const { value } = server.named('set_custom_field').at(-1).body;
  assert.deepEqual([server.named('merge_stream').length, value], [1, 0]);
  await room.logout();
});

test('a large audience does not look at the room at once, nor each second', async (t) => {
  clock.enable();
  const server = world();
  const room = new LiveRoom({ platform: server.platform() });
  await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  await pass(2_000);
  const looks = () => server.named('get_pushers').length;
  // The unluckiest of all viewers: those before it look earlier.
  t.mock.method(Math, 'random', () => 0.999);
  const before = looks();
  for (let n = 0; n < 20; n += 1) {
    server.socket.push({ type: 'count', room: 'r', users: 10_000 + n });
    await pass(1_000);
  }
  assert.equal(looks(), before, 'counts alone are no reason to hurry');
  server.socket.push(notice({ cmd: 'notifyPusherChange', data: '' }));
  await pass(3_000);
  assert.equal(looks(), before, 'ten thousand do not look at once');
  await pass(2_300);
  assert.equal(looks(), before + 1, 'who pushes is known within seconds');
  server.socket.push({ type: 'count', room: 'r', users: 200 });
  server.socket.push(notice({ cmd: 'notifyPusherChange', data: '' }));
  await pass(1);
  assert.equal(looks(), before + 2, 'a small one looks at once');
  await room.logout();
});

test('a viewer whose look at the room was refused by a busy server looks again', async () => {
  clock.enable();
  const server = world();
  const room = new LiveRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
  await pass(2_000);
  const { get_pushers: answer } = server.answers;
  server.answers.get_pushers = () => {
    throw new RoomError('network', 'busy');
  };
  server.room.pushers = [pusher('bob')];
  server.socket.push(notice({ cmd: 'notifyPusherChange', data: '' }));
  await pass(4_000);
  const looked = server.named('get_pushers').length;
  server.answers.get_pushers = answer;
  // Four looks that failed at once are the most, and the next one is within 16 seconds.
  await pass(17_000);
  assert.deepEqual(
    seen('onPusherJoin').flatMap(({ pushers }) => pushers.map((p) => p.userID)),
    ['bob'],
  );
  await pass(60_000);
  assert.ok(server.named('get_pushers').length <= looked + 2, 'once seen, it is not looked for any more');
  await room.logout();
});

test('anchors of two rooms say what they do in a PK, as native clients do', async () => {
  const server = world();
  const room = new LiveRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.createRoom({ roomInfo: 'mine' }));
  const data = {
    ...{ type: 'request', action: 'start', roomID: 'other', userID: 'bob', userName: 'Bob', userAvatar: 'pic' },
    ...{ accelerateURL: 'rtmp://h/live/1_other_bob?x=1', timestamp: 7 },
  };
  const direct = (cmd, said, seq) => ({
    ...{ type: 'direct', seq, from: 'bob', time: 5 },
    body: [{ MsgType: 'TIMCustomElem', MsgContent: { Data: JSON.stringify({ cmd, data: said }), Desc: '', Ext: '' } }],
  });
  server.socket.push(direct('pk', data, 101));
  const who = { userID: 'bob', userName: 'Bob', userAvatar: 'pic', time: 5 };
  assert.deepEqual(seen('onRecvPK'), [{ ...who, data }]);
  assert.deepEqual(seen('onRecvC2CCustomMsg'), []);
  await room.sendPK({ userID: 'bob', type: 'response', result: 'accept', message: '' });
  const [{ to, body }] = server.socket.asked('direct');
  const said = JSON.parse(body[0].MsgContent.Data);
  assert.deepEqual([to, said.cmd, said.data.type, said.data.result], ['bob', 'pk', 'response', 'accept']);
  assert.deepEqual([said.data.roomID, said.data.userID], ['r', 'ada']);
  assert.equal(said.data.accelerateURL, pusher('ada').accelerateURL);
  assert.equal(typeof said.data.timestamp, 'number');
  // Commands of other clients come with all of their data.
  server.socket.push(direct('gift', { kind: 'rose' }, 102));
  server.socket.push(direct('poke', 'twice', 103));
  server.socket.push(direct('ours', { userName: 'Bob', msg: { n: 1 } }, 104));
  assert.deepEqual(
    seen('onRecvC2CCustomMsg').map(({ cmd, msg }) => [cmd, msg]),
    [
      ['gift', { kind: 'rose' }],
      ['poke', 'twice'],
      ['ours', { n: 1 }],
    ],
  );
  await room.logout();
  await assert.rejects(room.sendPK({ userID: 'bob', type: 'request' }), { code: 'state' });
});

for (const [what, code, reason] of [
  ['whose signature has ended', 7, 'session'],
  ['who is banned from the server', 12, 'banned'],
])
  for (const [role, how] of [
    ['a viewer', (r) => r.enterRoom({ roomID: 'r' })],
    ['a pusher', (r) => r.push({ roomID: 'r' })],
  ])
    test(`${role} ${what} is told that the room is over, as soon as chat ends`, async () => {
      clock.enable();
      const server = world();
      const room = new LiveRoom({ platform: server.platform() });
      const seen = await enter(room, how);
      await pass(2_000);
      const refuse = () => ({ code, message: 'no' });
      for (const name of ['login', 'get_pushers', 'pusher_heartbeat', 'add_pusher', 'add_audience'])
        server.answers[name] = refuse;
      server.socket.drop(4505, 'ended by an operator');
      await settle();
      assert.deepEqual(seen('onRoomClose'), [{ roomID: 'r', reason }]);
      assert.equal(room.roomID, null);
      const calls = server.calls.length;
      await pass(60_000);
      assert.equal(server.calls.length, calls, 'and asks no more');
      assert.ok(!seen('onError').some((e) => e.code === code), 'nor is it told as an error');
      await room.close();
    });

test('a viewer whose chat cannot be opened any more is told why at the next sign of life', async () => {
  for (const [code, reason] of [
    [7, 'session'],
    [12, 'banned'],
  ]) {
    clock.enable();
    const server = world();
    const room = new LiveRoom({ platform: server.platform() });
    const seen = await enter(room, (r) => r.enterRoom({ roomID: 'r' }));
    await pass(2_000);
    server.silent = true;
    for (const name of ['login', 'get_pushers']) server.answers[name] = () => ({ code, message: 'no' });
    server.socket.drop();
    await pass(8_000);
    assert.deepEqual(seen('onRoomClose'), [{ roomID: 'r', reason }]);
    await room.close();
    clock.reset();
  }
});

test('a pusher who comes back to a room and is banned there is told so', async () => {
  clock.enable();
  for (const name of ['get_pushers', 'add_pusher']) {
    const server = world();
    const room = new LiveRoom({ platform: server.platform() });
    const seen = await enter(room, (r) => r.push({ roomID: 'r' }));
    server.answers.pusher_heartbeat = () => ({ code: 5, message: 'not in' });
    server.answers[name] = () => ({ code: 12, message: 'banned' });
    await pass(8_000);
    assert.deepEqual(seen('onRoomClose'), [{ roomID: 'r', reason: 'banned' }]);
    await room.close();
  }
});

test('what a look at the room before was refused with does not close the next one', async () => {
  const server = world();
  const room = new RTCRoom({ platform: server.platform() });
  const seen = await enter(room, (r) => r.push({ roomID: 'r' }));
  const { request } = room.session.platform;
  let answer;
  const wait = new Promise((resolve) => {
    answer = resolve;
  });
  let first = true;
  room.session.platform.request = async (url, options) => {
    if (!url.includes('/get_pushers?') || !first) return request(url, options);
    first = false;
    await wait;
    return { status: 200, text: '{"code":12,"message":"banned"}', header: () => null };
  };
  const looking = room.refresh();
  await room.exitRoom();
  await room.push({ roomID: 'r' });
  answer();
  await looking;
  await settle();
  assert.deepEqual([room.roomID, seen('onRoomClose')], ['r', []]);
  await room.logout();
});
