#!/usr/bin/env bash
# mpegts.js 1.8.2, flv.js 1.6.2 and xgplayer-flv 3.0.24 in Chromium 156: a live FLV stream without onMetaData whose sound begins three seconds
# after its picture, once with a header that promises both and once with one that promises pictures alone.
#
# Expected: where the header promises both, the players open with the picture, are refused the second SourceBuffer when the sound's configuration
# comes, and go on without sound. Where it promises pictures alone, they leave the sound out without a word.
# Seen: the other way round. Where it promises both, all three wait: nothing is seen for three seconds, then picture and sound play from the
# sound's beginning on. Where it promises pictures alone, pictures play at once, and mpegts.js and flv.js try to add the sound: addSourceBuffer
# is refused with code 22, which they tell as MediaMSEError, an error of the kind at which pages give up, and play on without sound.
# xgplayer-flv leaves it out without a word.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts mpegts.js@1.8.2 flv.js@1.6.2 xgplayer@3.0.26 xgplayer-flv@3.0.24 playwright-core@1.56.1
ffmpeg -loglevel error -f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 10 \
    -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -sc_threshold 0 -c:a aac stream.flv

cat > play.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const bytes = readFileSync('stream.flv');
const video = [];
const audio = [];
for (let at = 13; at < bytes.length;) {
  const size = bytes.readUIntBE(at + 1, 3) + 15;
  const tag = Buffer.from(bytes.subarray(at, at + size));
  const time = tag.readUIntBE(4, 3);
  if (tag[0] === 9) video.push([time, tag]);
  if (tag[0] === 8) audio.push([time, tag]);
  at += size;
}
// The configuration of the sound comes right before its first packet.
const late = audio.filter(([time]) => time >= 3000);
const configuration = Buffer.from(audio[0][1]);
configuration.writeUIntBE(late[0][0], 4, 3);
const tags = [...video, [late[0][0], configuration], ...late].sort(([one], [other]) => one - other);

const server = createServer((request, response) => {
  const flags = { '/both.flv': 5, '/pictures.flv': 1 }[request.url];
  if (!flags) return response.setHeader('Content-Type', 'text/html').end('<div id="place"><video muted></video></div>');
  response.write(Buffer.from([0x46, 0x4c, 0x56, 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]));
  const began = Date.now();
  let next = 0;
  const timer = setInterval(() => {
    while (next < tags.length && tags[next][0] <= Date.now() - began) response.write(tags[next++][1]);
  }, 20);
  response.on('close', () => clearInterval(timer));
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);
const libraries = { mpegts: ['mpegts.js/dist/mpegts.js'], flvjs: ['flv.js/dist/flv.js'], xgplayer: ['xgplayer/dist/index.min.js', 'xgplayer-flv/dist/index.min.js'] };
for (const name of Object.keys(libraries)) for (const file of ['both', 'pictures']) {
  const page = await browser.newPage();
  await page.goto(base);
  for (const library of libraries[name]) await page.addScriptTag({ path: `node_modules/${library}` });
  const seen = await page.evaluate(async ([url, name]) => {
    const said = [];
    if (name === 'xgplayer') {
      const player = new Player({ el: document.getElementById('place'), url, isLive: true, autoplay: true, autoplayMuted: true, plugins: [FlvPlayer] });
      player.on('error', (error) => said.push(error.message));
    } else {
      const players = window[name];
      const player = players.createPlayer({ type: 'flv', isLive: true, url }, { enableStashBuffer: false });
      player.on(players.Events.ERROR, (kind, detail, info) => said.push(`${kind} ${detail} ${info.code}`));
      const video = document.querySelector('video');
      player.attachMediaElement(video);
      player.load();
      video.play().catch(() => {});
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const early = document.querySelector('video').currentTime > 0;
    await new Promise((resolve) => setTimeout(resolve, 5000));
    const video = document.querySelector('video');
    return { early, late: video.currentTime > 5, begins: Math.round(video.buffered.start(0)), sound: video.webkitAudioDecodedByteCount > 0, said };
  }, [`${base}/${file}.flv`, name]);
  console.log(`${name} ${file}: plays before the sound ${seen.early}, after it ${seen.late}, begins at ${seen.begins} s, sound ${seen.sound}, errors: ${seen.said.join(', ') || 'none'}`);
  await page.close();
}
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee seen
for name in mpegts flvjs xgplayer; do
    grep -q "^$name both: plays before the sound false, after it true, begins at 3 s, sound true, errors: none$" seen
done
for name in mpegts flvjs; do
    grep -q "^$name pictures: plays before the sound true, after it true, begins at 0 s, sound false, errors: MediaError MediaMSEError 22$" seen
done
grep -q '^xgplayer pictures: plays before the sound true, after it true, begins at 0 s, sound false, errors: none$' seen
echo "as described"
