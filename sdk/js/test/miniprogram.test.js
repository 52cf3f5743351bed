// The sample page of the mini-program, in a mini-program that is not there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ownBody, textBody } from '../src/messages.js';
import * as sdk from '../src/wechat.js';
import { FakeServer, settle } from './fake.js';

const folder = new URL('../../miniprogram/', import.meta.url);
const file = (name) => readFileSync(new URL(name, folder), 'utf8');

/** The page, with `wx` and `require` as WeChat gives them. */
function page(server) {
  let made;
  const wx = {
    login: ({ success }) => success({ code: 'c' }),
    request: ({ data, success }) => success({ data: { userID: data.code && 'ada', userSig: 's', sdkAppID: 1 } }),
  };
  const given = {
    Page: (it) => {
      made = it;
    },
    wx,
    require: (name) => {
      if (name === '../../config.js')
        return { server: 'https://rooms.example.com', loginURL: 'https://app.example.com' };
      assert.equal(name, 'roomservice-sdk');
      const { LiveRoom } = sdk;
      return {
        LiveRoom: class extends LiveRoom {
          constructor(o) {
            super({ wx, ...o, platform: server.platform() });
          }
        },
      };
    },
  };
  new Function(...Object.keys(given), file('pages/room/room.js'))(...Object.values(given));
  made.setData = (data) => Object.assign(made.data, data);
  return made;
}

test('the sample page lists rooms, watches, goes live, talks and mutes', async () => {
  const server = new FakeServer();
  const bob = { userID: 'bob', userName: 'Bob', userAvatar: '', accelerateURL: 'rtmp://h/live/b?x=1' };
  const eve = { ...bob, userID: 'eve', userName: 'Eve', accelerateURL: 'rtmp://h/live/e?x=1' };
  server.room = {
    roomID: 'r',
    roomInfo: 'Tea',
    roomCreator: 'bob',
    mixedPlayURL: 'https://h/live/b.flv',
    pushers: [bob, eve],
  };
  Object.assign(server.answers, {
    get_room_list: () => ({ rooms: [server.room] }),
    get_pushers: () => server.room,
    create_room: () => ({ roomID: 'r' }),
    get_push_url: () => ({ pushURL: 'rtmp://h/live/a?x=1' }),
  });
  server.chat = (frame) => (frame.type === 'join' ? { room: 'r', epoch: 1, last: 0, users: 1, missed: 0 } : { seq: 1 });
  const it = page(server);
  await it.onLoad();
  assert.deepEqual(it.data.rooms, [{ roomID: 'r', roomInfo: 'Tea' }]);
  await it.enter({ currentTarget: { dataset: { room: 'r' } } });
  await settle();
  assert.equal(it.data.liveURL, 'https://h/live/b.flv');
  assert.deepEqual(it.data.others, [{ userID: 'eve', name: 'Eve', url: 'rtmp://h/live/e?x=1', mic: true }]);
  const who = { userName: 'Eve', userAvatar: '' };
  const message = (seq, body) => ({ type: 'message', room: 'r', seq, time: 1, from: 'eve', body });
  server.socket.push(message(5, textBody('hi', who)));
  server.socket.push(message(6, ownBody('media', { mic: false }, who)));
  assert.deepEqual(it.data.lines, [{ seq: 5, text: 'Eve: hi' }]);
  assert.equal(it.data.others[0].mic, false);
  it.type({ detail: { value: ' hello ' } });
  await it.say();
  assert.equal(server.socket.asked('send')[0].body[1].MsgContent.Text, 'hello');
  await it.leave();
  server.room = { ...server.room, roomCreator: 'ada', pushers: [{ ...bob, userID: 'ada' }] };
  await it.begin();
  await settle();
  assert.deepEqual([it.data.pushURL, it.data.liveURL, it.data.note], ['rtmp://h/live/a?x=1', '', '']);
  await it.toggleMicrophone();
  assert.equal(server.socket.asked('send').length, 2);
  it.onUnload();
  await settle();
});

test('the sample’s files fit together', () => {
  const { pages } = JSON.parse(file('app.json'));
  for (const name of pages) for (const kind of ['js', 'json', 'wxml', 'wxss']) assert.ok(file(`${name}.${kind}`));
  const code = file('pages/room/room.js');
  for (const [, handler] of file('pages/room/room.wxml').matchAll(/bind\w+="(\w+)"/g))
    assert.match(code, new RegExp(`^ {2}(async )?${handler}\\(`, 'm'), handler);
});
