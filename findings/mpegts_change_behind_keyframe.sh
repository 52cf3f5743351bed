#!/usr/bin/env bash
# mpegts.js 1.8.2 and flv.js 1.6.2 in Chromium 156: an FLV stream whose H.264 configuration changes (another size) plays on if the last pictures
# before the change lean on others, and ends with PIPELINE_ERROR_DECODE if the last one is a keyframe.
#
# Expected: a sample is decoded with the configuration that stood before it.
# Seen: the remuxer holds its last sample back until it knows the next one's time, and writes the new initialisation segment
# before it. A picture that leans on others is then dropped by Media Source Extensions, which want a keyframe after a
# change; a keyframe is decoded with the parameters of the other size.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts mpegts.js@1.8.2 flv.js@1.6.2 playwright-core@1.56.1

# PICTURES SIZE: a stream with a keyframe every ten pictures.
stream() {
    ffmpeg -loglevel error -f lavfi -i "testsrc2=size=$2:rate=25" -frames:v "$1" -c:v libx264 -preset ultrafast -tune zerolatency \
        -pix_fmt yuv420p -g 10 -keyint_min 10 -sc_threshold 0 -threads 1 -f flv "$3"
}
stream 31 320x240 key.flv       # The last picture is a keyframe.
stream 34 320x240 others.flv    # Three more after it.
stream 50 640x480 second.flv

cat > play.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

/** The tags of an FLV file from a time on; descriptions are left out. */
function tags(file, from) {
  const bytes = readFileSync(file);
  const found = [];
  let last = from;
  for (let at = 13; at < bytes.length;) {
    const size = bytes.readUIntBE(at + 1, 3) + 15;
    const tag = Buffer.from(bytes.subarray(at, at + size));
    last = from + (tag.readUIntBE(4, 3) | tag[7] << 24);
    tag.writeUIntBE(last & 0xffffff, 4, 3);
    tag[7] = last >>> 24;
    // An empty configuration ends a file: what follows goes on.
    if (tag[0] === 9 && tag[12] !== 2) found.push(tag);
    at += size;
  }
  return { found, last };
}

const header = Buffer.from([0x46, 0x4c, 0x56, 1, 1, 0, 0, 0, 9, 0, 0, 0, 0]);
const server = createServer((request, response) => {
  if (!request.url.endsWith('.flv')) return response.setHeader('Content-Type', 'text/html').end('<video muted></video>');
  const first = tags(request.url.slice(1), 0);
  response.write(Buffer.concat([header, ...first.found]));
  // The second stream follows when the first has been read, and stays open as live streams do.
  setTimeout(() => response.write(Buffer.concat(tags('second.flv', first.last + 40).found)), 1000);
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);
for (const [library, name] of [['mpegts.js/dist/mpegts.js', 'mpegts'], ['flv.js/dist/flv.js', 'flvjs']]) for (const file of ['others.flv', 'key.flv']) {
  const page = await browser.newPage();
  await page.goto(base);
  await page.addScriptTag({ path: `node_modules/${library}` });
  const seen = await page.evaluate(async ([url, name]) => {
    const players = window[name];
    const video = document.querySelector('video');
    const player = players.createPlayer({ type: 'flv', isLive: true, hasAudio: false, url }, { enableStashBuffer: false });
    player.on(players.Events.ERROR, () => {});
    player.attachMediaElement(video);
    player.load();
    video.play().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 5000));
    return { width: video.videoWidth, error: video.error?.message.split(':', 3).join(':') ?? 'none' };
  }, [`${base}/${file}`, name]);
  console.log(`${name} ${file}: width ${seen.width}, error ${seen.error}`);
  await page.close();
}
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee seen
for name in mpegts flvjs; do
    grep -q "^$name others.flv: width 640, error none$" seen
    grep -q "^$name key.flv: width 320, error PipelineStatus::PIPELINE_ERROR_DECODE" seen
done
echo "as described"
