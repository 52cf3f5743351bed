// How soon hls.js and Chromium's own player show a picture of streams with short and long groups, early and late, and how far behind
// they are. Figures for people to read (docs/decisions/033), run by hand: SHAPES=g2,g10 PLAYERS=native,hls LATES=4000,4000 node hls.mjs,
// with the environment that crates/server/tests/browser/main.rs gives its scripts.

import path from 'node:path';
import { spawn } from 'node:child_process';
import { bare, stream } from './probes.mjs';
import { browse, Server } from './stage.mjs';

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const server = new Server();
await server.start();
const { browser } = await browse();
console.log('chromium', browser.version());
const ff = (url, more, secs = 34, fps = 25) =>
  spawn(
    'ffmpeg',
    `-nostdin -v error -re -f lavfi -i testsrc2=size=320x180:rate=${fps} -f lavfi -i sine=frequency=440:sample_rate=48000 -t ${secs} -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -sc_threshold 0 ${more} -c:a aac -f flv`
      .split(' ')
      .concat(url),
    { stdio: 'inherit' },
  );
const SHAPES = {
  g2: (u) => ff(u, '-g 50'),
  g10: (u) => ff(u, '-g 250'),
  g3: (u) => ff(u, '-g 75'),
  g1: (u) => ff(u, '-g 25'),
  scene: (u) => ff(u, '-g 9999 -force_key_frames 0,2,4,5.2,7,17'),
  fps5: (u) => ff(u, '-g 10', 34, 5),
  fps5l: (u) => ff(u, '-g 50', 34, 5),
  end: (u) => ff(u, '-g 50', 12),
};
const watch = async ([make, url]) => {
  let video,
    player,
    failures = [];
  const events = [];
  if (make === 'native') {
    video = Object.assign(document.createElement('video'), { muted: true, autoplay: true });
    document.body.append(video);
    video.src = url;
    video.onerror = () => failures.push(video.error?.message);
    video.play().catch((e) => failures.push(String(e).slice(0, 80)));
  } else {
    ({ video, player, failures } = await window.probe[make](url));
    player.on(Hls.Events.ERROR, (_, e) => events.push(e.details));
  }
  const from = performance.now();
  const seen = { video, player, failures, events, longest: 0 };
  video.addEventListener('ended', () => (seen.ended = Math.round(performance.now() - from)));
  let [time, moved] = [video.currentTime, from];
  video.requestVideoFrameCallback(() => (seen.first = Math.round(performance.now() - from)));
  setInterval(() => {
    const now = performance.now();
    if (video.currentTime > time) {
      if (seen.began === undefined) seen.began = Math.round(now - from);
      else seen.longest = Math.max(seen.longest, Math.round(now - moved));
      [time, moved] = [video.currentTime, now];
    }
  }, 50);
  return seen;
};
const told = ({ video, player, failures, began, first, longest, ended, events }) => ({
  began,
  first,
  longest,
  ended,
  t: +video.currentTime.toFixed(1),
  frames: video.getVideoPlaybackQuality().totalVideoFrames,
  dropped: video.getVideoPlaybackQuality().droppedVideoFrames,
  failures,
  events: [...new Set(events)],
  lat: player && +player.latency?.toFixed(2),
});
async function run(shape) {
  const own = await stream(server, shape);
  const page = await bare(browser, server.base);
  await page.addScriptTag({ path: path.join(process.env.NODE_MODULES, 'node_modules/hls.js/dist/hls.js') });
  const pub = SHAPES[shape](own.rtmpIn);
  await sleep(1500);
  const viewers = [];
  for (const [when, after] of [
    ['first', 0],
    ...(process.env.LATES ?? '4000,4000,3300').split(',').map((x, i) => [`late${i + 1}`, Number(x)]),
  ]) {
    await sleep(after);
    for (const make of (process.env.PLAYERS ?? 'native,hls').split(','))
      viewers.push([`${make} ${when}`, page.evaluateHandle(watch, [make, own.hls])]);
    if (shape === 'end') break;
  }
  const promise = new Set();
  for (let i = 0; i < 20; i++) {
    await sleep(500);
    const text = await (await fetch(own.hls)).text();
    promise.add((text.match(/TARGETDURATION.*|PART-TARGET.*|PART-HOLD.*/g) ?? []).join(' '));
  }
  if (shape === 'end') await sleep(9000);
  for (const [who, h] of viewers)
    console.log(shape, who, JSON.stringify(await Promise.race([h.then((x) => page.evaluate(told, x)), sleep(2000)])));
  console.log(shape, [...promise]);
  pub.kill?.();
  await page.close();
}
for (const s of (process.env.SHAPES ?? 'g2,g10').split(',')) await run(s);
await browser.close();
await server.kill('SIGTERM');
