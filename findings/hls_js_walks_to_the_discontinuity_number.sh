#!/usr/bin/env bash
# hls.js 1.7.4 (and, for comparison, 1.6.15) in Chromium 156: a live playlist whose EXT-X-DISCONTINUITY-SEQUENCE is large, as it is where a packager
# counts breaks for a long time, or lets the number begin with the time of day so that it never repeats.
#
# Expected: a number is a number; what an update of the playlist costs has nothing to do with it.
# Seen: so it was in 1.6.15. With each update 1.7.4 walks from 0 up to the number (a sparse array of timestamps by discontinuity): some 40 ms
# at a million, more than twice that at four million, on the page's own thread.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts hls.js@1.7.4 older@npm:hls.js@1.6.15 playwright-core@1.56.1
ffmpeg -loglevel error -f lavfi -i testsrc2=size=320x240:rate=25 -t 60 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -sc_threshold 0 \
    -f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4 -hls_segment_filename '%d.m4s' all.m3u8

cat > play.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const began = Date.now();
/** A window of five segments that moves with the time. */
const playlist = (number) => {
  const first = Math.min(20, Math.floor((Date.now() - began) / 2000) % 20);
  const lines = [0, 1, 2, 3, 4].map((n) => `#EXTINF:2.0,\n${first + n}.m4s`);
  return `#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:${first}\n#EXT-X-DISCONTINUITY-SEQUENCE:${number}\n#EXT-X-MAP:URI="init.mp4"\n${lines.join('\n')}\n`;
};
const server = createServer((request, response) => {
  const name = request.url.slice(1);
  const [, number] = name.match(/^live(\d+)\.m3u8/) ?? [];
  if (number) return response.setHeader('Content-Type', 'application/vnd.apple.mpegurl').end(playlist(number));
  if (!/\.(mp4|m4s)$/.test(name)) return response.setHeader('Content-Type', 'text/html').end('<video muted></video>');
  response.setHeader('Content-Type', 'video/mp4').end(readFileSync(name));
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);
for (const library of ['hls.js', 'older'])
  for (const number of [0, 1_000_000, 4_000_000]) {
    const page = await browser.newPage();
    await page.goto(base);
    await page.addScriptTag({ path: `node_modules/${library}/dist/hls.js` });
    const took = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const player = new Hls();
          const times = [];
          // Between this event and the next task is what hls.js does with the update.
          player.on(Hls.Events.LEVEL_UPDATED, () => {
            const from = performance.now();
            const { port1, port2 } = new MessageChannel();
            port2.onmessage = () => {
              times.push(performance.now() - from);
              if (times.length === 5) resolve(times.sort((a, b) => a - b)[2]);
            };
            port1.postMessage(0);
          });
          player.loadSource(url);
          player.attachMedia(document.querySelector('video'));
        }),
      `${base}/live${number}.m3u8`,
    );
    console.log(`${library} ${await page.evaluate(() => Hls.version)} ${number} ${took.toFixed(2)}`);
    await page.close();
  }
await browser.close();
process.exit(0);
JS
timeout 240 node play.mjs | tee seen
ms() { awk -v of="$1" -v at="$2" '$1 == of && $3 == at { print $4 }' seen; }
awk -v none="$(ms hls.js 0)" -v some="$(ms hls.js 1000000)" -v more="$(ms hls.js 4000000)" \
    'BEGIN { exit !(some > 2 * none && more > 2 * some && more > 50) }'
awk -v more="$(ms older 4000000)" 'BEGIN { exit !(more < 30) }'
echo "as described"
