// A stream with B-frames, as OBS makes by itself: browsers cannot play it, and everybody is told so. The demo's tile, the app that
// plays with the SDK, the page of docs/recipes/players.md, and the operator, in one line for the stream.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bare, stream } from './probes.mjs';
import { browse, enter, Server, shot, until } from './stage.mjs';

const server = new Server();
await server.start();
const ada = await stream(server, 'ada', 'live_room', 'bees');
const encoder = [
  '-nostdin -v error -re -f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i sine -c:v libx264 -preset veryfast',
  '-bf 3 -b_strategy 0 -x264-params b-pyramid=normal -g 100 -pix_fmt yuv420p -c:a aac -f flv',
].join(' ');
const push = spawn('ffmpeg', [...encoder.split(' '), ada.rtmpIn], { stdio: 'ignore' });
process.on('exit', () => push.kill('SIGKILL'));
const { code, message } = await ada.call('add_pusher', {
  roomInfo: 'Bees',
  userName: 'Ada',
  userAvatar: '',
  pushURL: ada.rtmpIn,
});
assert.equal(code, 0, message);
await until('the stream is there', async () => (await fetch(ada.flv, { method: 'HEAD' })).ok);

const { browser, open, problems } = await browse();
// A refusal is an error of the network, to the browser.
const viewer = await open(`${server.base}/`, { name: 'Bob' });
viewer.expected = /406/;
await enter(viewer, 'Bees');
await viewer.locator('.tile .wait p', { hasText: 'B-frames' }).waitFor();
assert.match(await viewer.locator('.tile .wait p').textContent(), /bframes=0/);
await shot(viewer, 'unfit-demo');
// HLS carries B-frames: a browser that plays that by itself shows it after a while.
const plays = () => Boolean(document.createElement('video').canPlayType('application/vnd.apple.mpegurl'));
const byHLS = await viewer.evaluate(plays);
console.log(`${byHLS ? 'shown' : 'not shown'} by HLS`);
if (byHLS) {
  await viewer.locator('.tile.on video[src*=m3u8]').waitFor();
  const time = () => viewer.locator('.tile video').evaluate((video) => video.currentTime);
  const from = await time();
  await until('its pictures move', async () => (await time()) > from + 1);
}

const app = await bare(browser, server.base);
const told = await app.evaluate(async (base) => {
  const { LiveRoom } = await import('/sdk/index.js');
  const room = new LiveRoom({ server: base });
  const errors = [];
  room.on('error', ({ status, userID, message }) => errors.push({ status, userID, message }));
  const login = await fetch('/weapp/utils/get_login_info?userID=eve').then((r) => r.json());
  await room.login({ ...login, userName: 'Eve' });
  await room.enterRoom({ roomID: 'bees' });
  const states = [];
  room.play(room.pushers[0], document.createElement('video'), {
    onState: (state, error) => states.push([state, error?.status]),
  });
  const end = Date.now() + 15_000;
  // It is asked again and again; the app hears it once.
  while (Date.now() < end && states.filter(([, status]) => status === 406).length < 3)
    await new Promise((resolve) => setTimeout(resolve, 100));
  await room.logout();
  return { errors, states };
}, server.base);
assert.equal(told.errors.length, 1, JSON.stringify(told));
assert.deepEqual([told.errors[0].status, told.errors[0].userID], [406, 'ada']);
assert.match(told.errors[0].message, /B-frames/);
assert.ok(told.states.filter(([, status]) => status === 406).length >= 3, JSON.stringify(told.states));

// The page without a library says what it was answered.
const top = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const recipe = readFileSync(path.join(top, 'docs/recipes/players.md'), 'utf8');
const [, html] = /<!-- file [\w/]*whep\.html -->\n```html\n([\s\S]*?)```/.exec(recipe);
const plain = await open(`${server.base}/web/icon.svg`, {});
plain.expected = /406|favicon/;
await plain.route('**/whep.html*', (route) => route.fulfill({ contentType: 'text/html', body: html }));
await plain.goto(`${server.base}/whep.html?url=${encodeURIComponent(ada.whep)}`);
await plain.locator('p', { hasText: '406' }).waitFor();
assert.match(await plain.locator('p').textContent(), /B-frames off.*webrtc\.renditions/);

// The operator reads one line of it, however many asked.
const logs = path.join(process.env.DATA_DIR, 'logs/error');
const lines = () => readdirSync(logs).flatMap((name) => readFileSync(path.join(logs, name), 'utf8').split('\n'));
const warned = lines().filter((line) => line.includes('WARN') && line.includes('B-frames'));
assert.equal(warned.length, 1, warned.join('\n'));
assert.match(warned[0], /bees.*ada.*bframes=0|bframes=0.*bees.*ada/);

// With its encoder set right it is played, and nobody has to do anything.
push.kill('SIGKILL');
const right = encoder.replace('-bf 3', '-bf 0');
const again = spawn('ffmpeg', [...right.split(' '), ada.rtmpIn], { stdio: 'ignore' });
process.on('exit', () => again.kill('SIGKILL'));
await until(
  'pictures in the demo, by WebRTC',
  () =>
    viewer.evaluate(() => [...document.querySelectorAll('.tile video')].some((v) => v.videoWidth > 0 && v.srcObject)),
  100_000,
);

assert.deepEqual(problems, []);
await browser.close();
await server.kill('SIGTERM');
