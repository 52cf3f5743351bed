// A publisher that is killed and comes back, at once or later, and a server that is killed or ended and comes back: who plays by
// HLS sees the new pictures, without loading the page again. PLAYERS says which of them, EVENTS what happens, in this order, MODULES
// where packages are that ./check does not fetch (shaka-player, video.js), GO_ON that a player that stands still is told and left.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { bare, stream } from './probes.mjs';
import { browse, Server, until } from './stage.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const PLAYERS = (process.env.PLAYERS ?? 'hls.js,hls.js-older').split(',');
const EVENTS = (process.env.EVENTS ?? 'publisher,away,kill,away,term').split(',');
/** What players may take until they show what came after a break. */
const WITHIN = Number(process.env.WITHIN ?? 15_000);
const FILES = {
  'hls.js': 'hls.js/dist/hls.js',
  'hls.js-older': 'hls.js-older/dist/hls.js',
  shaka: 'shaka-player/dist/shaka-player.compiled.js',
  'video.js': 'video.js/dist/video.js',
};

/** Plays a stream in a page; gives the element, and what its player said was wrong. */
const play = async ([name, url]) => {
  const video = Object.assign(document.createElement('video'), {
    muted: true,
    autoplay: true,
    width: 320,
    height: 180,
  });
  document.body.append(video);
  const failures = [];
  const at = () => Math.round(performance.now() / 1000);
  if (name.startsWith('hls.js')) {
    const player = new Hls({ lowLatencyMode: true });
    player.on(Hls.Events.ERROR, (_, e) =>
      failures.push(`${at()} s ${e.details}${e.fatal ? ', fatal' : ''} ${e.reason ?? e.error?.message ?? ''}`),
    );
    player.loadSource(url);
    player.attachMedia(video);
  } else if (name === 'shaka') {
    const player = new shaka.Player();
    await player.attach(video);
    player.addEventListener('error', (e) => failures.push(`${at()} s ${e.detail.code} ${e.detail.data?.slice(0, 3)}`));
    player.load(url).catch((e) => failures.push(`load ${e.code}`));
  } else if (name === 'video.js') {
    const player = videojs(video);
    player.on('error', () => failures.push(`${at()} s ${JSON.stringify(player.error())}`));
    player.src({ src: url, type: 'application/x-mpegURL' });
    player.play();
  } else {
    video.onerror = () => failures.push(`${at()} s ${video.error?.message}`);
    video.src = url;
    video.play().catch((e) => failures.push(String(e)));
  }
  return { video: () => document.querySelector('video'), failures };
};

/** A publisher of one colour. */
const publish = (url, colour) =>
  spawn(
    'ffmpeg',
    `-nostdin -v error -re -f lavfi -i color=${colour}:size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000
     -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 50 -c:a aac -f flv`
      .split(/\s+/)
      .concat(url),
    { stdio: 'ignore' },
  );

const COLOURS = { red: [220, 30, 30], blue: [30, 30, 220], green: [30, 130, 30], yellow: [220, 220, 30] };
const server = new Server();
await server.start();
const { browser } = await browse();
const own = await stream(server, 'ann');
let colour = 'red';
let publisher = publish(own.rtmpIn, colour);
process.on('exit', () => publisher.kill('SIGKILL'));
await until('the stream is there', async () => (await fetch(own.flv, { method: 'HEAD' })).ok);

const viewers = await Promise.all(
  PLAYERS.map(async (name) => {
    const page = await bare(browser, server.base);
    if (FILES[name])
      await page.addScriptTag({
        path: path.join(process.env.MODULES ?? process.env.NODE_MODULES, 'node_modules', FILES[name]),
      });
    return { name, page, playing: await page.evaluateHandle(play, [name, own.hls]) };
  }),
);

/** Waits until all show what is published now. */
async function seen(what) {
  const from = Date.now();
  const took = await Promise.all(
    viewers.map(async ({ name, page, playing }) => {
      const shows = async () => {
        const [shown] = await page.evaluate((p) => window.probe.colours(p.video(), [[0.5, 0.5]]), playing);
        return shown.every((value, n) => Math.abs(value - COLOURS[colour][n]) < 60) && Date.now() - from;
      };
      const state = () =>
        page.evaluate((p) => {
          const { currentTime, buffered } = p.video();
          return [
            currentTime,
            [...Array(buffered.length).keys()].map((n) => [buffered.start(n), buffered.end(n)]),
            p.failures.slice(-5),
          ];
        }, playing);
      const ms = await until(`${what}: ${name} shows ${colour}`, shows, WITHIN).catch(async (error) =>
        process.env.GO_ON
          ? `never (${JSON.stringify(await state())})`
          : assert.fail(`${error.message}; ${JSON.stringify(await state())}`),
      );
      return `${name} ${ms}`;
    }),
  );
  console.log(`${what}: ${took.join(', ')} ms`);
}

/** What a publisher's machine does when it was cut off. */
async function again() {
  const names = Object.keys(COLOURS);
  colour = names[(names.indexOf(colour) + 1) % names.length];
  publisher.kill('SIGKILL');
  publisher = publish(own.rtmpIn, colour);
}

await seen('the beginning');
for (const event of EVENTS) {
  await sleep(4_000);
  if (event === 'publisher' || event === 'away') {
    publisher.kill('SIGKILL');
    await sleep(event === 'away' ? 3_000 : 500);
  } else {
    await server.kill(event === 'kill' ? 'SIGKILL' : 'SIGTERM');
    await server.start();
  }
  await again();
  await seen(event);
}
await browser.close();
await server.kill('SIGTERM');
process.exit(0);
