// The SDK in real pages against the real server: microphone, camera and screen while a call runs, what the others and who
// comes later learn of it, who speaks, how good the connection is, a lost connection, and what a room's creator may do.

import assert from 'node:assert/strict';
import { browse, Server, until } from './stage.mjs';

const server = new Server();
await server.start();
const { browser, open, problems } = await browse();

/** A page with nothing in it but a person of this SDK in `window.room`. */
async function person(userID, kind = 'RTCRoom') {
  const page = await open(`${server.base}/web/icon.svg`, { name: userID });
  // A page with nothing in it has no icon either.
  page.expected = /favicon/;
  await page.route('**/blank', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>blank</title>' }),
  );
  await page.goto(`${server.base}/blank`);
  await page.evaluate(
    async ([id, Kind]) => {
      const sdk = await import('/sdk/index.js');
      const info = await fetch(`/weapp/utils/get_login_info?userID=${id}`).then((r) => r.json());
      const room = new sdk[Kind]({ levels: true });
      Object.assign(window, { room, sdk, events: [], videos: {} });
      for (const name of [
        'mediaState',
        'localMedia',
        'speaking',
        'connectionState',
        'recvRoomTextMsg',
        'roomClose',
        'error',
      ])
        room.on(name, (event) =>
          window.events.push({ name, ...event, code: event.code, message: event.message, stream: undefined }),
        );
      window.watch = (pusher) => {
        const video = document.createElement('video');
        document.body.append(video);
        window.videos[pusher.userID] = video;
        room.play(pusher, video);
      };
      room.on('getPusherList', ({ pushers }) => pushers.forEach(window.watch));
      room.on('pusherJoin', ({ pushers }) => pushers.forEach(window.watch));
      await room.login({ ...info, userName: id });
    },
    [userID, kind],
  );
  return page;
}

const call = (page, name, ...what) =>
  page.evaluate(([n, w]) => window.room[n](...w).then((r) => r?.messages ?? null), [name, what]);
const fails = (page, name, ...what) =>
  page.evaluate(
    ([n, w]) =>
      window.room[n](...w).then(
        () => null,
        (e) => e.code,
      ),
    [name, what],
  );
const saidOf = (page, userID) => page.evaluate((id) => window.room.mediaStateOf(id), userID);
const events = (page, name) => page.evaluate((n) => window.events.filter((e) => e.name === n), name);
/** The brightest pixel of what a page plays of somebody, and the picture's width. */
const seen = (page, userID) =>
  page.evaluate((id) => {
    const video = window.videos[id];
    if (!video?.videoWidth) return null;
    const canvas = Object.assign(document.createElement('canvas'), { width: 32, height: 18 });
    const pen = canvas.getContext('2d');
    pen.drawImage(video, 0, 0, 32, 18);
    const { data } = pen.getImageData(0, 0, 32, 18);
    let most = 0;
    for (let i = 0; i < data.length; i += 4) most = Math.max(most, data[i], data[i + 1], data[i + 2]);
    return { most, width: video.videoWidth };
  }, userID);

const ada = await person('ada');
const refusal = await ada.evaluate(() =>
  window.room.enterRoom({ roomID: 'none' }).catch(({ code, key, message, english }) => [code, key, message, english]),
);
// The server answers in the language that the browser asks for.
assert.deepEqual(refusal, [3, 'NO_ROOM', 'There is no such room', 'There is no such room']);

const bob = await person('bob');
await call(ada, 'openMedia');
await call(ada, 'createRoom', { roomID: 'sdk', roomInfo: 'SDK' });
await ada.evaluate(() => window.room.publish().then(() => {}));
await call(bob, 'enterRoom', { roomID: 'sdk' });
await call(bob, 'openMedia');
await bob.evaluate(() => window.room.publish().then(() => {}));
for (const [page, other] of [
  [ada, 'bob'],
  [bob, 'ada'],
])
  await until(`${other}'s picture`, async () => (await seen(page, other))?.most > 100);

// Microphone and camera off: others are told, see black, and the device is closed.
await call(ada, 'setMicrophoneEnabled', false);
await call(ada, 'setCameraEnabled', false);
await until('bob knows', async () => !(await saidOf(bob, 'ada')).mic && !(await saidOf(bob, 'ada')).cam);
await until('black', async () => (await seen(bob, 'ada')).most < 40);
assert.equal(await ada.evaluate(() => window.room.local.camera), null);

// Who comes later learns it from what was said before.
const eve = await person('eve');
await call(eve, 'enterRoom', { roomID: 'sdk' });
await until('the newcomer knows', async () => {
  const { mic, cam } = await saidOf(eve, 'ada');
  return !mic && !cam;
});
assert.deepEqual(await saidOf(eve, 'bob'), { mic: true, cam: true, screen: false });
await call(eve, 'exitRoom');

await call(ada, 'setCameraEnabled', true);
await call(ada, 'setMicrophoneEnabled', true);
await until('the camera is back', async () => (await seen(bob, 'ada')).most > 100);
await until('bob knows of both', async () => Object.values(await saidOf(bob, 'ada')).join() === 'true,true,false');

// Another camera and microphone while it runs; a speaker; the publisher stays.
const devices = await ada.evaluate(() => window.room.getDevices());
assert.ok(devices.camera.length >= 1 && devices.microphone.length >= 2, JSON.stringify(devices));
await ada.evaluate(() => {
  window.link = window.room.publisher.pc;
});
await call(ada, 'switchDevice', 'camera', devices.camera.at(-1).deviceId);
await call(ada, 'switchDevice', 'microphone', devices.microphone.at(-1).deviceId);
await call(ada, 'switchDevice', 'speaker', devices.speaker.at(-1)?.deviceId ?? '');
assert.equal(
  await ada.evaluate(() => window.room.local.stream.getAudioTracks()[0].getSettings().deviceId),
  devices.microphone.at(-1).deviceId,
);
assert.equal(await fails(ada, 'switchDevice', 'camera', 'none'), 'no_device');
assert.ok(await ada.evaluate(() => window.link === window.room.publisher.pc), 'no new connection was made');

// The screen in place of the camera, and the camera again when the browser's bar ends it.
// A browser that is short of time sends a smaller picture than its camera takes, and of a screen the whole.
const { width } = await ada.evaluate(() => window.room.local.stream.getVideoTracks()[0].getSettings());
await call(ada, 'setScreenShareEnabled', true);
await until('bob knows of the screen', async () => (await saidOf(bob, 'ada')).screen);
await until('another picture', async () => (await seen(bob, 'ada')).width > width);
await ada.evaluate(() => {
  const [track] = window.room.local.stream.getVideoTracks();
  track.stop();
  track.dispatchEvent(new Event('ended'));
});
await until('the screen has ended', async () => !(await saidOf(bob, 'ada')).screen);
await until('the camera again', async () => (await seen(bob, 'ada')).width <= width);

// The fake microphone beeps: it is heard here and there, and its quality is told.
for (const [page, who] of [
  [ada, 'ada'],
  [bob, 'ada'],
])
  await until(`${who} speaks`, async () =>
    (await events(page, 'speaking')).some((e) => e.userID === who && e.speaking === true),
  );
for (const [page, who] of [
  [ada, 'ada'],
  [bob, 'ada'],
]) {
  const quality = await until('a quality', () =>
    page.evaluate((id) => {
      const figures = window.room.qualityOf(id);
      return figures && figures.quality !== 'lost' && figures.bitrate > 20_000 ? figures : null;
    }, who),
  );
  assert.ok(quality.roundTrip !== null && quality.roundTrip < 500 && quality.loss !== null, JSON.stringify(quality));
  console.log(who, JSON.stringify(quality));
}

// What the creator may do; and nobody else.
assert.equal(await fails(bob, 'muteUser', { userID: 'ada' }), 'not_creator');
await call(ada, 'muteUser', { userID: 'bob', seconds: 60 });
assert.equal(await fails(bob, 'sendRoomTextMsg', { msg: 'unheard' }), 'muted');
await call(ada, 'unmuteUser', { userID: 'bob' });
await call(bob, 'sendRoomTextMsg', { msg: 'heard' });
await call(ada, 'sendRoomTextMsg', { msg: 'so it is' });
const history = await call(eve, 'getHistory').catch((e) => e.message);
assert.match(String(history), /not in a room/);
const texts = (messages) => messages.filter((m) => m.textMsg !== undefined).map((m) => [m.userID, m.textMsg]);
const all = await call(bob, 'getHistory', { count: 50 });
assert.deepEqual(texts(all), [
  ['bob', 'heard'],
  ['ada', 'so it is'],
]);
assert.deepEqual(texts(await call(bob, 'getHistory', { before: all.at(-1).seq })), [['bob', 'heard']]);

// Muted before she publishes, and asked twice at once: there is one connection, and nobody hears her. What is paused plays again.
await call(eve, 'setMicrophoneEnabled', false);
await call(eve, 'push', { roomID: 'sdk' });
const published = await eve.evaluate(async () => {
  const { room } = window;
  window.peers = [];
  const Peer = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Peer {
    constructor(...given) {
      super(...given);
      window.peers.push(this);
    }
  };
  window.camera = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  const names = (work) =>
    work.then(
      () => 'published',
      ({ code }) => code,
    );
  return Promise.all([names(room.publish(window.camera)), names(room.publish(window.camera))]);
});
assert.deepEqual(published, ['ended', 'published']);
assert.equal(await eve.evaluate(() => window.peers.filter((p) => p.connectionState !== 'closed').length), 1);
assert.equal(await eve.evaluate(() => window.camera.getAudioTracks()[0].enabled), false);
await until('bob knows that she is muted', async () => !(await saidOf(bob, 'eve')).mic);
await until('she sees him', async () => (await seen(eve, 'bob'))?.most > 100);
await eve.evaluate(() => window.videos.bob.pause());
await until('it plays again', () => eve.evaluate(() => !window.videos.bob.paused));
await call(eve, 'exitRoom');
const left = () =>
  eve.evaluate(() => ({
    shown: Object.values(window.videos).filter((video) => video.srcObject).length,
    peers: window.peers.filter((p) => p.connectionState !== 'closed').length,
    players: window.room.players.size,
  }));
await until('nothing runs any more', async () => Object.values(await left()).every((n) => n === 0));
// Left and entered again without waiting; published and unpublished at once.
const again = await eve.evaluate(async () => {
  const { room } = window;
  await room.push({ roomID: 'sdk' });
  room.exitRoom();
  await room.push({ roomID: 'sdk' });
  const publishing = room.publish(window.camera).catch(({ code }) => code);
  await room.unpublish();
  const { pushers } = await room.getPushers();
  return [
    await publishing,
    pushers.some((p) => p.userID === 'eve'),
    window.peers.filter((p) => p.connectionState !== 'closed').length - room.players.size,
  ];
});
assert.deepEqual(again, ['ended', true, 0]);
await call(eve, 'exitRoom');

// A lost connection shows on both sides of the server's death, and recovers.
assert.deepEqual(await events(eve, 'error'), []);
await eve.context().close();
for (const page of [ada, bob]) page.quiet = true;
await server.kill();
for (const page of [ada, bob])
  await until('it shows', async () => (await events(page, 'connectionState')).at(-1).state === 'reconnecting');
await server.start();
for (const page of [ada, bob])
  await until('it is back', async () => (await events(page, 'connectionState')).at(-1).state === 'connected', 30_000);
await until('pictures again', () =>
  bob.evaluate(() => window.room.qualityOf('ada')?.quality !== 'lost' && window.videos.ada.videoWidth > 0),
);

await until(
  'the creator puts somebody out',
  async () => (await fails(ada, 'kickUser', { userID: 'bob', seconds: 5 })) === null,
  30_000,
);
await until('bob is out', async () => (await events(bob, 'roomClose')).some((e) => e.reason === 'kicked'));
await call(ada, 'banUser', { userID: 'bob' });
await call(ada, 'unbanUser', { userID: 'bob' });
await call(ada, 'logout');
for (const page of [ada, bob])
  assert.deepEqual(
    (await events(page, 'error')).filter((e) => !['no_device', 'not_creator', 'muted'].includes(e.code)),
    [],
  );

assert.deepEqual(problems, []);
await browser.close();
await server.kill('SIGTERM');
