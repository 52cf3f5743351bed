import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RTCRoom } from '../src/wechat.js';
import { wechat } from '../src/platform/wechat.js';
import { settle } from './fake.js';

function fakeWx() {
  const wx = { requests: [], tasks: [] };
  wx.request = (options) => {
    wx.requests.push(options);
    const name = new URL(options.url).pathname.split('/').at(-1);
    const fields =
      {
        login: { token: 't' },
        get_push_url: { pushURL: 'rtmp://h/live/s?x=1' },
        create_room: { roomID: 'r' },
        get_pushers: { roomID: 'r', roomInfo: '', roomCreator: 'ada', custom: {}, pushers: [] },
      }[name] ?? {};
    options.success({
      statusCode: 200,
      data: JSON.stringify({ code: 0, ...fields }),
      header: { 'Content-Type': 'application/json' },
    });
  };
  wx.connectSocket = ({ url }) => {
    const task = { url, sent: [] };
    for (const name of ['Open', 'Message', 'Error', 'Close'])
      task[`on${name}`] = (call) => {
        task[name] = call;
      };
    task.send = ({ data }) => {
      const frame = JSON.parse(data);
      task.sent.push(frame);
      task.Message({
        data: JSON.stringify({ type: 'ack', id: frame.id, room: frame.room, epoch: 1, last: 0, missed: 0 }),
      });
    };
    task.close = () => {
      task.closed = true;
    };
    wx.tasks.push(task);
    queueMicrotask(() => {
      task.Open();
      task.Message({ data: JSON.stringify({ type: 'welcome', direct: 1 }) });
    });
    return task;
  };
  return wx;
}

test('a mini-program logs in, makes a room and joins its chat', async () => {
  const wx = fakeWx();
  const room = new RTCRoom({ server: 'https://live.example', wx });
  await room.login({ userID: 'ada', userSig: 's', sdkAppID: 1 });
  await room.createRoom({ roomInfo: 'x' });
  await settle();
  assert.ok(wx.requests.every((r) => r.url.startsWith('https://live.example/weapp/')));
  assert.equal(wx.tasks[0].url, 'wss://live.example/ws?userID=ada&token=t');
  assert.equal(wx.tasks[0].sent.find((f) => f.type === 'join').room, 'r');
  assert.equal(room.mine.pushURL, 'rtmp://h/live/s?x=1');
  await assert.rejects(room.publish({}), { code: 'media' });
  await room.logout();
  assert.ok(wx.tasks[0].closed);
});

test('failures become errors with codes, and a socket ends once', async () => {
  const ends = [];
  const task = {};
  const wx = {
    request: ({ fail }) => fail({ errMsg: 'request:fail timeout' }),
    connectSocket: () => {
      for (const n of ['Open', 'Message', 'Error', 'Close'])
        task[`on${n}`] = (c) => {
          task[n] = c;
        };
      return task;
    },
  };
  const platform = wechat(wx);
  await assert.rejects(platform.request('https://x'), { code: 'timeout' });
  wx.request = ({ fail }) => fail({ errMsg: 'request:fail' });
  await assert.rejects(platform.request('https://x'), { code: 'network' });
  platform.connect('wss://x', { open() {}, text() {}, close: (code) => ends.push(code) });
  task.Error({ errMsg: 'broken' });
  task.Close({ code: 1000 });
  assert.deepEqual(ends, [1006]);
});
