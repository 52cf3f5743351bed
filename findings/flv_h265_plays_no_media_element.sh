#!/usr/bin/env bash
# flv-h265.js 1.7.8, a fork of flv.js, in Chromium with its README's example: createPlayer, attachMediaElement with a <video>, load, play. The
# stream is H.264 and AAC of ffmpeg, as flv.js 1.6.2 plays it.
#
# Expected: it plays as flv.js does, and H.265 in addition.
# Seen: it reads the stream's headers and opens the MediaSource, then throws a TypeError for each piece of the stream that comes: it asks the element for
# `getCurrentTime`, which no <video> has. No error event, readyState stays 0. The example of flv.js, the same lines, plays.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts flv-h265.js@1.7.8 flv.js@1.6.2 playwright-core@1.56.1
ffmpeg -loglevel error -f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 8 \
    -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -c:a aac stream.flv
cat > play.mjs <<'JS'
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const bytes = readFileSync('stream.flv');
const server = createServer((request, response) => {
  if (request.url !== '/stream.flv') return response.setHeader('Content-Type', 'text/html').end('<video muted></video>');
  const began = Date.now();
  let sent = 0;
  // A live stream: an eighth of it a second.
  const timer = setInterval(() => {
    const upTo = Math.min(bytes.length, Math.floor((bytes.length * (Date.now() - began + 500)) / 8000));
    response.write(bytes.subarray(sent, upTo));
    sent = upTo;
  }, 40);
  response.on('close', () => clearInterval(timer));
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);
const seen = {};
for (const name of ['flv.js', 'flv-h265.js']) {
  const page = await browser.newPage();
  const thrown = [];
  page.on('pageerror', ({ message }) => thrown.push(message));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.addScriptTag({ path: `node_modules/${name}/dist/flv.js` });
  await page.evaluate(() => {
    const { flvjs } = window;
    const player = flvjs.createPlayer({ type: 'flv', isLive: true, url: '/stream.flv' });
    window.told = 0;
    player.on(flvjs.Events.ERROR, () => window.told++);
    player.attachMediaElement(document.querySelector('video'));
    player.load();
    player.play();
  });
  await page.waitForTimeout(4000);
  const { time, ready, told } = await page.evaluate(() => {
    const video = document.querySelector('video');
    return { time: video.currentTime, ready: video.readyState, told: window.told };
  });
  seen[name] = { plays: time > 1, ready: ready > 0, told, thrown: new Set(thrown), times: thrown.length };
  console.log(`${name}: at ${time} s, readyState ${ready}, ${told} error events, ${thrown.length} exceptions: ${[...new Set(thrown)]}`);
}
await browser.close();
assert.deepEqual([seen['flv.js'].plays, seen['flv.js'].times], [true, 0]);
const fork = seen['flv-h265.js'];
assert.deepEqual([fork.plays, fork.ready, fork.told], [false, false, 0]);
assert.ok(fork.times > 10 && [...fork.thrown].every((message) => message.includes('getCurrentTime is not a function')));
console.log('as found');
process.exit(0);
JS
timeout 120 node play.mjs
