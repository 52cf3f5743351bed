// A server with one room, and what happens around it.

import { clock, FakeServer, LOGIN, settle } from './fake.js';

export const pusher = (userID) => ({
  userID,
  userName: userID,
  userAvatar: '',
  accelerateURL: `rtmp://h/live/1_r_${userID}?txSecret=x`,
});

export function world() {
  const server = new FakeServer();
  server.room = {
    roomID: 'r',
    roomInfo: 'info',
    roomCreator: 'ada',
    mixedPlayURL: 'http://h/live/1_r_ada.flv?x=1',
    custom: '{"like":3}',
    pushers: [],
  };
  const there = (answer) => (server.room ? answer() : { code: 3, message: 'no room' });
  Object.assign(server.answers, {
    create_room: ({ body }) => {
      server.room.roomInfo = body.roomInfo;
      return { roomID: 'r' };
    },
    get_push_url: () => ({ pushURL: 'rtmp://h/live/1_r_ada?txSecret=x' }),
    add_pusher: ({ body }) => {
      server.room ??= {
        roomID: 'r',
        roomInfo: body.roomInfo,
        roomCreator: body.userID,
        mixedPlayURL: '',
        custom: {},
        pushers: [],
      };
      server.room.pushers = [...server.room.pushers.filter((p) => p.userID !== body.userID), pusher(body.userID)];
      return {};
    },
    get_pushers: () => there(() => server.room),
    pusher_heartbeat: ({ body }) =>
      server.room?.pushers.some((p) => p.userID === body.userID) ? {} : { code: 5, message: 'not in' },
    delete_pusher: ({ body }) => {
      server.room.pushers = server.room.pushers.filter((p) => p.userID !== body.userID);
      return {};
    },
    set_custom_field: () => ({ custom: '{"like":4}' }),
    get_audiences: () => ({
      audienceCount: 2,
      audiences: [
        { userID: 'x', userInfo: '{"userName":"X"}' },
        { userID: 'y', userInfo: 'not json' },
      ],
    }),
  });
  server.chat = (frame) => (frame.type === 'join' ? { room: 'r', epoch: 1, last: 0, users: 1, missed: 0 } : { seq: 1 });
  return server;
}

export async function enter(room, how) {
  const seen = [];
  room.setListener(new Proxy({}, { get: (_, name) => (event) => seen.push([name, event]) }));
  await room.login(LOGIN);
  await how(room);
  await settle();
  return (name) => seen.filter(([n]) => n === name).map(([, event]) => event);
}

/** Lets time pass, and what happens in it. */
export async function pass(ms) {
  for (let left = ms; left > 0; left -= 100) {
    clock.tick(100);
    await settle(10);
  }
}

/** A platform whose calls of that name reach the server when `answer()` lets them. */
export function held(server, name) {
  const { request } = server.platform();
  let answer;
  const wait = new Promise((resolve) => {
    answer = resolve;
  });
  const platform = server.platform();
  platform.request = async (url, options) => {
    if (url.includes(`/${name}?`)) await wait;
    return request(url, options);
  };
  return { platform, answer };
}

/** The same for a platform whose answers come late: the server has heard the call. */
export function heldAnswer(server, name) {
  const { request, ...platform } = server.platform();
  let answer;
  const wait = new Promise((resolve) => {
    answer = resolve;
  });
  const late = async (url, options) => {
    const answered = await request(url, options);
    if (url.includes(`/${name}?`)) await wait;
    return answered;
  };
  return { platform: { ...platform, request: late }, answer };
}
