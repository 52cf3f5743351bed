// A track is what flows: sound or pictures that are announced and never come, come late, stop, or are gone after a
// reconnect hold nobody back. Who was there before and who comes after plays on, by every protocol.
// SHAPES says which of them (all by hand), SLACK what the machine may take.

import assert from 'node:assert/strict';
import path from 'node:path';
import { bare, output, stream } from './probes.mjs';
import { isPicture, isSound, publish, tags } from './shapes.mjs';
import { browse, Server } from './stage.mjs';

const SLACK = Number(process.env.SLACK ?? 700);
const LENGTH = 24;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const both = await tags(LENGTH);
const pictures = await tags(LENGTH, { audio: false });
const late = (is) => both.filter((tag) => !is(tag) || tag.at >= 8_000);
const stops = (is) => both.filter((tag) => !is(tag) || tag.at < 10_000);
/** What is published, one connection after the other. Who was there before the first picture: nobody can add pictures to
 *  what mpegts.js began to play as sound alone, and an element with a WebRTC track waits for that track's first picture. */
const SHAPES = {
  'no sound': { sent: [both.filter((tag) => !isSound(tag))] },
  'late sound': { sent: [late(isSound)] },
  'late pictures': { sent: [late(isPicture)], soundOnly: ['mpegts.js early', 'WHEP early'] },
  'sound stops': { sent: [stops(isSound)] },
  'pictures stop': { sent: [stops(isPicture)] },
  'comes back without sound': {
    sent: [both.filter((tag) => tag.at < 7_000), pictures.filter((tag) => tag.at < 16_000)],
  },
};

const server = new Server();
await server.start();
const { browser } = await browse();

/** Watches what an element plays: when it began, its longest standstill, its pictures. */
const watch = ([make, url]) => {
  const begin = async () => {
    const playing = await window.probe[make](url);
    const { video } = playing;
    const seen = {
      video,
      failures: playing.failures ?? [],
      began: undefined,
      longest: 0,
      pc: playing.pc,
      player: playing.player,
    };
    const from = performance.now();
    let [time, moved] = [video.currentTime, from];
    setInterval(() => {
      const now = performance.now();
      // Before the first picture by WebRTC Chromium (148) shows the time of another clock for a moment.
      if (video.currentTime > time || (seen.pc && video.currentTime < time)) {
        if (seen.began === undefined) seen.began = Math.round(now - from);
        else seen.longest = Math.max(seen.longest, Math.round(now - moved));
        [time, moved] = [video.currentTime, now];
      }
      seen.still = Math.round(now - moved);
    }, 50);
    return seen;
  };
  return begin();
};
const told = ({ video, failures, began, longest, still }) => ({
  began,
  longest,
  still,
  time: Math.round(video.currentTime * 10) / 10,
  pictures: video.getVideoPlaybackQuality().totalVideoFrames,
  size: video.videoWidth,
  failures: [...new Set(failures)].slice(0, 3),
});

async function run(shape, { sent, soundOnly }) {
  const own = await stream(server, shape.replaceAll(' ', '').toLowerCase());
  const page = await bare(browser, server.base);
  for (const player of ['hls.js/dist/hls.js', 'mpegts.js/dist/mpegts.js'])
    await page.addScriptTag({ path: path.join(process.env.NODE_MODULES, 'node_modules', player) });
  const send = async () => {
    for (const [n, part] of sent.entries()) {
      if (n > 0) await sleep(1_000);
      const one = await publish(own.rtmpIn, part);
      await one.done;
      one.stop();
    }
  };
  const began = Date.now();
  const sending = send();
  const viewers = [];
  for (const [when, after] of [
    ['early', 2_000],
    ['late', 17_000],
  ]) {
    await sleep(Math.max(0, began + after - Date.now()));
    for (const [way, make, url] of [
      ['mpegts.js', 'flv', own.flv],
      ['hls.js', 'hls', own.hls],
      ['WHEP', 'play', own.whep],
    ]) {
      viewers.push([`${way} ${when}`, page.evaluateHandle(watch, [make, url])]);
    }
    if (when === 'late') {
      for (const [way, url] of [
        ['RTMP', own.rtmp],
        ['FLV', own.flv],
      ]) {
        const at = Date.now();
        void output('ffprobe', [
          '-loglevel',
          'error',
          '-rw_timeout',
          '8000000',
          '-show_entries',
          'stream=codec_type',
          '-of',
          'csv=p=0',
          url,
        ])
          .catch((error) => error.message.slice(0, 60))
          .then((about) =>
            console.log(`${shape}: ffprobe of ${way}: ${String(about).trim().split('\n')} after ${Date.now() - at} ms`),
          );
      }
    }
  }
  await sleep(Math.max(0, began + (LENGTH - 1) * 1000 - Date.now()));
  for (const [who, handle] of viewers) {
    const seen = await Promise.race([
      handle.then((h) => page.evaluate(told, h)),
      sleep(3_000).then(() => ({ nothing: true })),
    ]);
    const says = `${shape}: ${who}: ${JSON.stringify(seen)}`;
    console.log(says);
    const sole = soundOnly?.includes(who);
    assert.ok(!seen.nothing && seen.still <= 1_000 + SLACK, says);
    assert.ok(seen.began <= (sole ? 8_000 : 2_500) + SLACK && seen.longest <= 2_000 + SLACK, says);
    assert.ok(sole || (seen.failures.length === 0 && seen.size > 0), says);
  }
  await sending;
  await page.close();
}

const chosen = (process.env.SHAPES ?? Object.keys(SHAPES).join(',')).split(',');
const width = Number(process.env.WIDTH ?? 2);
for (let n = 0; n < chosen.length; n += width)
  await Promise.all(chosen.slice(n, n + width).map((shape) => run(shape, SHAPES[shape])));
await browser.close();
await server.kill('SIGTERM');
