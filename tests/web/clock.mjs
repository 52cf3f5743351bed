// How old the picture is that a viewer sees: a clock drawn into the picture where it is made, read where it is shown. What
// is asserted leaves room for a busy machine; the figures are printed.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { bare, DRAWN_CLOCK, push, stream } from './probes.mjs';
import { browse, Server, until } from './stage.mjs';

const server = new Server();
await server.start();
const { browser } = await browse();

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const report = (way, { found, seen }, within, count) => {
  const sorted = [...found].sort((a, b) => a - b);
  console.log(
    `${way}: median ${median(found)} ms, 95 % within ${sorted[Math.floor(sorted.length * 0.95)]} ms, ${found.length} of ${seen} pictures read`,
  );
  assert.ok(found.length >= count, `${way}: only ${found.length} of ${seen} pictures show a clock`);
  assert.ok(median(found) <= within, `${way}: ${median(found)} ms`);
};
const settled = async (page, handle) => {
  // The first second holds the start of everything.
  await page.evaluate((v) => window.probe.ages(v.video, 45), handle);
  return page.evaluate((v) => window.probe.ages(v.video, 150), handle);
};

// From a browser to a browser.
const own = await stream(server, 'ada');
const page = await bare(browser, server.base);
await page.evaluate(async (url) => {
  const { canvas, clock, tone, publish } = window.probe;
  window.published = await publish(url, [canvas(clock), tone(880)]);
}, own.whip);
const watched = await page.evaluateHandle((url) => window.probe.play(url), own.whep);
report('WHIP to WHEP', await settled(page, watched), 500, 140);
const heard = await page.evaluate((v) => window.probe.pitch(v.video), watched);
assert.ok(Math.abs(heard.hz - 880) < 9 && heard.above > 30, `a tone of 880 Hz came as ${JSON.stringify(heard)}`);
await page.context().close();

// From ffmpeg by RTMP to a browser, by WebRTC and by hls.js, with its sound.
const rtmp = await stream(server, 'bob');
const pushing = push(rtmp.rtmpIn, DRAWN_CLOCK, '0.5*sin(2*PI*660*t)');
const viewer = await bare(browser, server.base);
await until('the stream is there', async () => (await fetch(rtmp.hls)).ok);
const live = await viewer.evaluateHandle((url) => window.probe.play(url), rtmp.whep);
report('RTMP to WHEP', await settled(viewer, live), 800, 140);
const tone = await viewer.evaluate((v) => window.probe.pitch(v.video), live);
assert.ok(Math.abs(tone.hz - 660) < 9 && tone.above > 30, `a tone of 660 Hz came as ${JSON.stringify(tone)}`);
await viewer.evaluate(({ pc, video }) => {
  pc.close();
  video.remove();
}, live);

await viewer.evaluate(readFileSync(`${process.env.NODE_MODULES}/node_modules/hls.js/dist/hls.min.js`, 'utf8'));
const hls = await viewer.evaluateHandle((url) => window.probe.hls(url), rtmp.hls);
report('RTMP to hls.js', await viewer.evaluate((v) => window.probe.ages(v.video, 120), hls), 12_000, 120);
const sound = await viewer.evaluate((v) => window.probe.pitch(v.video), hls);
assert.ok(
  Math.abs(sound.hz - 660) < 9 && sound.above > 30,
  `hls.js plays a tone of 660 Hz as ${JSON.stringify(sound)}`,
);
assert.deepEqual(await viewer.evaluate((v) => v.failures, hls), []);

pushing.stop();
await browser.close();
await server.kill('SIGTERM');
