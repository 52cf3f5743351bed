// Video in the demo rooms: pictures that move both ways, a drawn stand-in, a thumbnail, a co-anchor, a server killed
// in the middle. Looks at what is shown, not at what is said about it.

import assert from 'node:assert/strict';
import { browse, create, enter, Server, shot, until } from './stage.mjs';

const server = new Server();
await server.start();
assert.ok(await server.hasMedia(), 'the server has no /whip/');
const { browser, open, problems } = await browse();
const visit = (path, options) => open(server.base + path, options);

/** Whether a video shows pictures that differ and are not one colour. */
const moves = (page, selector, within = 30_000) =>
  until(
    `a moving picture in ${selector}`,
    () =>
      page
        .locator(selector)
        .first()
        .evaluate(async (video) => {
          const look = () => {
            const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 36 });
            const pen = canvas.getContext('2d');
            pen.drawImage(video, 0, 0, 64, 36);
            return pen.getImageData(0, 0, 64, 36).data;
          };
          if (!video.videoWidth || video.paused) return false;
          const before = look();
          await new Promise((resolve) => setTimeout(resolve, 700));
          const after = look();
          const differ = (a, b) => {
            let n = 0;
            for (let i = 0; i < a.length; i += 4)
              n += Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1]) + Math.abs(a[i + 2] - b[i + 2]) > 40;
            return n;
          };
          let colours = 0;
          for (let i = 4; i < after.length; i += 4)
            colours += Math.abs(after[i] - after[i - 4]) + Math.abs(after[i + 1] - after[i - 3]) > 40;
          return differ(before, after) > 10 && colours > 10;
        })
        .catch(() => false),
    within,
  );

/** Whether sound comes: energy that WebRTC measured in what it received. */
const sounds = (page) =>
  until(
    'sound',
    () =>
      page.evaluate(async () => {
        const video = [...document.querySelectorAll('.tile:not(.mine) video')].find(
          (v) => v.srcObject?.getAudioTracks().length,
        );
        if (!video) return false;
        const context = new AudioContext();
        const analyser = new AnalyserNode(context, { fftSize: 2048 });
        context.createMediaStreamSource(video.srcObject).connect(analyser);
        const samples = new Float32Array(2048);
        let most = 0;
        for (let i = 0; i < 20; i++) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          analyser.getFloatTimeDomainData(samples);
          most = Math.max(most, ...samples.map(Math.abs));
        }
        await context.close();
        return most > 0.01;
      }),
    30_000,
  );

// A call: both see and hear the other.
const ada = await visit('/', { name: 'Ada' });
await create(ada, 'double_room', 'Tea');
const watcher = await visit('/', { name: 'Eve' });
await moves(watcher, '.thumb video.on');
await shot(watcher, 'lobby-thumbnail');
await watcher.context().close();
const bob = await visit('/', { name: 'Bob' });
await enter(bob, 'Tea');
for (const page of [ada, bob]) await moves(page, '.tile:not(.mine) video');
for (const page of [ada, bob]) await sounds(page);
// The fake microphone beeps: who speaks is marked, and the mark goes with the sound.
await until('who speaks is marked', () => bob.locator('.tile:not(.mine).speaking').count());
await ada.getByRole('button', { name: 'Mute microphone' }).click();
await until('and only while speaking', async () => !(await bob.locator('.tile:not(.mine).speaking').count()));
await ada.getByRole('button', { name: 'Unmute microphone' }).click();
for (const page of [ada, bob]) assert.equal(await page.getByText('Tap to hear').isVisible(), false);
await shot(ada, 'video-call');
await bob.setViewportSize({ width: 390, height: 844 });
await bob.emulateMedia({ colorScheme: 'dark' });
await shot(bob, 'video-call-phone-dark');

// Another "camera" in the middle of the call: the drawn one.
await ada.getByRole('button', { name: 'Devices' }).click();
await ada.locator('dialog select').first().selectOption('drawn');
await ada.locator('dialog').getByRole('button', { name: 'Done' }).click();
await moves(bob, '.tile:not(.mine) video');

// The server is killed in the middle: pictures come back by themselves.
for (const page of [ada, bob]) page.quiet = true;
await server.kill();
await ada.locator('.room[data-online=false]').waitFor({ timeout: 20_000 });
await server.start();
for (const page of [ada, bob]) {
  await page.locator('.room[data-online=true]').waitFor({ timeout: 30_000 });
  await moves(page, '.tile:not(.mine) video', 60_000);
  page.quiet = false;
}
await Promise.all([ada, bob].map((p) => p.context().close()));

// Who has no camera is seen all the same, as a drawing.
const host = await visit('/', { name: 'Noor' });
await create(host, 'multi_room', 'Group');
const without = await visit('/', { name: 'Hedy', camera: false });
await enter(without, 'Group');
await moves(host, '.tile:not(.mine) video');
await Promise.all([host, without].map((p) => p.context().close()));

// A live room: the audience sees the anchor, then both; the co-anchor is taken off air.
const anchor = await visit('/', { name: 'Grace' });
await create(anchor, 'live_room', 'Evening show');
const viewer = await visit('/', { name: 'Linus' });
const phone = await visit('/', { name: 'Mei', phone: true });
for (const page of [viewer, phone]) {
  await enter(page, 'Evening show');
  await moves(page, '.tile:not(.mine) video');
}
await viewer.getByRole('button', { name: 'Ask to join' }).click();
await anchor.getByRole('button', { name: 'Accept' }).click();
await moves(anchor, '.tile:not(.mine) video');
// The audience sees two pictures, or one that is mixed of both.
await until(
  'the audience sees the co-anchor',
  async () =>
    (await phone.locator('.tile').count()) === 2 || (await phone.locator('.tile[data-user="mix:"]').count()) === 1,
);
await moves(phone, '.tile video');
await shot(phone, 'video-live-phone');
await shot(anchor, 'video-live-anchor');

// The console sees the streams, and ends one; its publisher comes back.
const desk = await visit('/console');
await desk.locator('#tabs').getByRole('button', { name: 'Streams' }).click();
await until(
  'two streams with size',
  async () => (await desk.locator('tbody tr', { hasText: /h264 \d+×\d+/ }).count()) >= 2,
);
await shot(desk, 'console-streams-live');
// The picture that the audience sees is a mix: it is listed, ended here, and ended twice is told.
const mix = desk.locator('section', { hasText: 'Mixes' }).locator('tbody tr');
await until(
  'the mix is listed',
  async () => (await mix.count()) === 1 && /2/.test(await mix.locator('td').nth(2).innerText()),
);
await mix.getByRole('button', { name: 'End mix' }).click();
await desk.locator('dialog').getByRole('button', { name: 'End mix', exact: true }).click();
await desk.getByText('No mixes').waitFor();
await anchor.getByRole('button', { name: 'Take off air' }).click();
await viewer.locator('.tile.mine').waitFor({ state: 'detached' });
await moves(viewer, '.tile:not(.mine) video');

assert.deepEqual(problems, []);
await browser.close();
await server.kill('SIGTERM');
