// The README's code, run against a server in memory.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { LiveRoom } from '../src/live_room.js';
import { RTCRoom } from '../src/rtc_room.js';
import { LiveRoom as MiniRoom } from '../src/wechat.js';
import { inPages } from './devices.js';
import { FakeServer, LOGIN, settle } from './fake.js';

const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const blocks = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
const AsyncFunction = (async () => {}).constructor;

/** A world in which everybody is let in, and the anchor accepts. */
function world() {
  const server = new FakeServer();
  const ada = { userID: 'ada', userName: 'Ada', userAvatar: '', accelerateURL: 'rtmp://h/live/s?x=1' };
  const [bob, eve] = ['bob', 'eve'].map((userID) => ({ ...ada, userID }));
  const room = {
    roomID: 'tea',
    roomInfo: 'Tea',
    roomCreator: 'bob',
    mixedPlayURL: 'https://h/live/s.flv?x=1',
    custom: { like: 1 },
    pushers: [ada, bob, eve],
  };
  Object.assign(server.answers, {
    get_room_list: () => ({ rooms: [room] }),
    get_pushers: () => room,
    create_room: () => ({ roomID: 'tea' }),
    get_push_url: () => ({ pushURL: 'rtmp://h/live/s?x=1' }),
    set_custom_field: () => ({ custom: { like: 2 } }),
  });
  server.chat = (frame, socket) => {
    if (frame.type === 'direct') {
      const data = JSON.stringify({ cmd: 'linkmic', data: { type: 'response', result: 'accept' } });
      queueMicrotask(() =>
        socket.push({
          type: 'direct',
          seq: 101,
          from: 'bob',
          time: 1,
          body: [{ MsgType: 'TIMCustomElem', MsgContent: { Data: data } }],
        }),
      );
    }
    return { room: frame.room, epoch: 1, last: 0, missed: 0, users: 1, seq: 1 };
  };
  return server;
}

inPages();

test('the README has code', () => assert.ok(blocks.length >= 6));

for (const [i, code] of blocks.entries()) {
  test(`block ${i + 1}: ${code.split('\n')[0]}`, async () => {
    const server = world();
    const rooms = [];
    const links = [];
    class Link {
      constructor(options) {
        links.push(options);
      }
      async start() {
        return this;
      }
      async stop() {}
      async replaceTrack() {}
    }
    const known = (Kind) =>
      class extends Kind {
        constructor(options) {
          super({ ...options, wx: {}, platform: server.platform(), media: { Publisher: Link, Player: Link } });
          rooms.push(this);
        }
      };
    const given = {
      RTCRoom: known(RTCRoom),
      LiveRoom: known(code.includes('roomservice-sdk/wechat') ? MiniRoom : LiveRoom),
      login: async () => LOGIN,
      console: { log() {} },
      fetch: async () => ({ ok: true, status: 200, text: async () => 'sig' }),
      document: { createElement: () => ({}) },
      navigator: { mediaDevices: { getUserMedia: async () => ({ getTracks: () => [] }) } },
      page: {
        setData(data) {
          this.data = data;
        },
      },
    };
    await new AsyncFunction(...Object.keys(given), code.replace(/^import .*$/gm, ''))(...Object.values(given));
    await settle();
    assert.ok(server.named('login').length >= 1);
    if (code.includes('room.publish')) assert.equal(links.filter((l) => l.stream).length, 1);
    if (code.includes('setData')) {
      const { live, others } = given.page.data;
      // The anchor's stream is what is live: it is heard once.
      assert.deepEqual([live, others.map((p) => p.userID)], ['https://h/live/s.flv?x=1', ['eve']]);
    }
    for (const room of rooms) await room.logout();
  });
}
