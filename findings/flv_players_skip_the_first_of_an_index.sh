#!/usr/bin/env bash
# mpegts.js 1.8.2, flv.js 1.6.2 and xgplayer-flv 3.0.24 in Chromium 156: one recorded FLV with the index of keyframes (onMetaData) that ffmpeg 5.1
# (add_keyframe_index) and yamdi 1.4, both of Debian 12, make.
#
# Expected: both indexes list the keyframes, and a player that goes back to 1 s begins at the first one.
# Seen: ffmpeg lists keyframes alone. yamdi lists the tag with the configuration before them and the tag that ends the sequence behind them, both
# without a picture. mpegts.js and flv.js count on the former: they pass over the first entry, whatever it is, so that with ffmpeg's index one who
# goes back to the beginning, to see it again, begins at the second keyframe, 4 s later. xgplayer-flv is told of the latter: with yamdi's index, one who goes to
# the last tenth of a second waits there for ever, where with ffmpeg's it plays the last group and ends.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts mpegts.js@1.8.2 flv.js@1.6.2 xgplayer@3.0.26 xgplayer-flv@3.0.24 playwright-core@1.56.1
apt-get -qq -o APT::Sandbox::User=root download yamdi=1.4-3
dpkg -x yamdi_*.deb .
ffmpeg -loglevel error -f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 120 \
    -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 100 -sc_threshold 0 -c:a aac plain.flv
ffmpeg -loglevel error -i plain.flv -c copy -flvflags add_keyframe_index ffmpeg.flv
usr/bin/yamdi -i plain.flv -o yamdi.flv

cat > play.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const server = createServer((request, response) => {
  if (!request.url.endsWith('.flv')) return response.setHeader('Content-Type', 'text/html').end('<div id="place"><video muted></video></div>');
  const bytes = readFileSync(request.url.slice(1));
  const [, from = 0, to = ''] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
  const end = to === '' ? bytes.length : Number(to) + 1;
  const headers = { 'Accept-Ranges': 'bytes', 'Content-Length': end - from };
  if (request.headers.range) headers['Content-Range'] = `bytes ${from}-${end - 1}/${bytes.length}`;
  response.writeHead(request.headers.range ? 206 : 200, headers);
  // Not faster than some 1 MB/s, so that what is gone to is not there yet.
  let at = Number(from);
  const timer = setInterval(() => {
    response.write(bytes.subarray(at, Math.min(at + 60000, end)));
    at += 60000;
    if (at >= end) response.end(), clearInterval(timer);
  }, 50);
  response.on('close', () => clearInterval(timer));
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;

// What the tags are that the index points at: type, kind of frame and codec, kind of packet.
for (const name of ['ffmpeg', 'yamdi']) {
  const bytes = readFileSync(`${name}.flv`);
  const list = bytes.indexOf('filepositions');
  const count = bytes.readUInt32BE(list + 14);
  const tags = [0, 1, count - 1].map((n) => bytes.readDoubleBE(list + 18 + 9 * n + 1)).map((at) => bytes.subarray(at, at + 13));
  const kinds = tags.map((tag) => (tag[0] === 9 && tag[11] === 0x17 ? ['configuration', 'keyframe', 'end'][tag[12]] : 'other'));
  console.log(`${name} lists ${kinds[0]}, ${kinds[1]} to ${kinds[2]}`);
}
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);
const libraries = { mpegts: ['mpegts.js/dist/mpegts.js'], flvjs: ['flv.js/dist/flv.js'], xgplayer: ['xgplayer/dist/index.min.js', 'xgplayer-flv/dist/index.min.js'] };
for (const name of Object.keys(libraries)) for (const file of ['ffmpeg', 'yamdi']) {
  const page = await browser.newPage();
  await page.goto(base);
  for (const library of libraries[name]) await page.addScriptTag({ path: `node_modules/${library}` });
  const seen = await page.evaluate(async ([url, name]) => {
    const said = [];
    if (name === 'xgplayer') {
      const player = new Player({ el: document.getElementById('place'), url, autoplay: true, autoplayMuted: true, plugins: [FlvPlayer] });
      player.on('error', (error) => said.push(error.message));
    } else {
      const player = window[name].createPlayer({ type: 'flv', url });
      player.on('error', (kind, detail) => said.push(detail));
      player.attachMediaElement(document.querySelector('video'));
      player.load();
      document.querySelector('video').play().catch(() => {});
    }
    const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    await later(2000);
    const video = document.querySelector('video');
    video.currentTime = 90;
    await later(3000);
    video.currentTime = 1;
    await later(3000);
    const back = Math.round(video.buffered.start(0));
    video.currentTime = 119.9;
    await later(6000);
    return { back, ends: video.ended, ready: video.readyState, said };
  }, [`${base}/${file}.flv`, name]);
  console.log(`${name} ${file}: back at 1 s it has what begins at ${seen.back} s; from 119.9 s it ${seen.ends ? 'ends' : seen.ready < 3 ? 'waits' : 'plays'}; errors: ${seen.said.join(', ') || 'none'}`);
  await page.close();
}
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee seen
grep -qx 'ffmpeg lists keyframe, keyframe to keyframe' seen
grep -qx 'yamdi lists configuration, keyframe to end' seen
for name in mpegts flvjs; do
    grep -qx "$name ffmpeg: back at 1 s it has what begins at 4 s; from 119.9 s it ends; errors: none" seen
    grep -qx "$name yamdi: back at 1 s it has what begins at 0 s; from 119.9 s it ends; errors: none" seen
done
grep -qx 'xgplayer ffmpeg: back at 1 s it has what begins at 0 s; from 119.9 s it ends; errors: none' seen
grep -qx 'xgplayer yamdi: back at 1 s it has what begins at 0 s; from 119.9 s it waits; errors: none' seen
echo "as described"
