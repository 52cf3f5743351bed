#!/usr/bin/env bash
# xgplayer 3.0.26 with xgplayer-flv 3.0.24 (xgplayer-transmuxer 3.0.24) in Chromium 156, with `isLive`: a live HTTP-FLV stream of H.264 (15 pictures a
# second) and AAC whose pictures change from 320x180 to 480x270, at a keyframe and with a new AVCDecoderConfigurationRecord before it. Each tag is sent
# when it is due, but for the last one or two pictures of before the change: they are sent in one write with the configuration and the keyframe
# behind it, or in a write of their own 60 ms before.
#
# Expected: each picture is decoded with the configuration that stood before it. Where it is not, that a pause of 60 ms before the configuration is
# enough, as the pictures then come in a chunk of their own.
# Seen: the demuxer (es/flv/index.js) reads all that the network gave at once, and a configuration in it becomes the track's. The new initialisation
# segment is appended before all pictures of that chunk, also those that stood before the configuration. And the fixer (es/flv/fixer.js) keeps the
# last picture of each chunk (_videoLastSample) until the next one, so that one picture of before the change always comes behind the new
# initialisation segment. One that leans on others is dropped there; a keyframe is decoded with the parameter sets of the other size, which ends the
# player with PIPELINE_ERROR_DECODE. So
# - a keyframe that is the last picture before the change ends the player, in one write with the change and with the pause too;
# - a keyframe with one more picture behind it ends it in one write, and with the pause it goes on: the picture more is the one that is kept;
# - a picture that leans on others goes on with the pause. In one write two are dropped (133 ms), the one kept from the chunk before and this one:
#   the picture stands still, as the sound does some three seconds later, and no error is told.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts xgplayer@3.0.26 xgplayer-flv@3.0.24 playwright-core@1.65.1

# SIZE FILE: ten seconds of pictures, with a keyframe each second.
pictures() {
    ffmpeg -loglevel error -f lavfi -i "testsrc2=size=$1:rate=15" -t 10 -c:v libx264 -profile:v baseline -preset ultrafast -tune zerolatency \
        -pix_fmt yuv420p -g 15 -keyint_min 15 -sc_threshold 0 -threads 1 -f flv "$2"
}
pictures 320x180 first.flv
pictures 480x270 second.flv
ffmpeg -loglevel error -f lavfi -i sine=frequency=440:sample_rate=44100 -t 14 -c:a aac -b:a 64k -f flv sound.flv

cat > play.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

/** The tags of pictures or sound of an FLV file. */
function tags(file) {
  const bytes = readFileSync(file);
  const found = [];
  for (let at = 13; at < bytes.length;) {
    const size = bytes.readUIntBE(at + 1, 3) + 15;
    const tag = bytes.subarray(at, at + size);
    // An empty configuration ends the pictures of a file.
    if (tag[0] === 8 || (tag[0] === 9 && tag[12] !== 2)) found.push({ time: tag.readUIntBE(4, 3), tag });
    at += size;
  }
  const [{ tag: configuration }, ...rest] = found;
  return { configuration, rest };
}
const first = tags('first.flv');
const second = tags('second.flv');
const sound = tags('sound.flv');

/** The same tag at another time. */
function at(tag, time) {
  const moved = Buffer.from(tag);
  moved.writeUIntBE(time, 4, 3);
  return { time, tag: moved };
}

// The keyframes are the pictures 0, 15, 30 and 45: 46 pictures end with one.
const key = 46;

/**
 * A stream with that many pictures of the first size, the last few of them in one write with the change, or that many milliseconds before it: when to
 * send what.
 */
function stream(count, together, pause) {
  const change = Math.round(count * 1000 / 15);
  const before = first.rest.slice(0, count - together);
  const [opening, ...behind] = second.rest.map(({ time, tag }) => at(tag, time + change));
  const last = first.rest.slice(count - together, count).map(({ tag }) => tag);
  const next = [at(second.configuration, change).tag, opening.tag];
  const writes = [{ time: change, tag: Buffer.concat(pause ? next : [...last, ...next]) }];
  if (pause) writes.unshift({ time: change - pause, tag: Buffer.concat(last) });
  return [...before, ...writes, ...behind, ...sound.rest].sort((one, other) => one.time - other.time);
}
const tries = {
  'one that leans on others, in one write': [key - 1, 1, 0],
  'one that leans on others, 60 ms before': [key - 1, 1, 60],
  'a keyframe, in one write': [key, 1, 0],
  'a keyframe, 60 ms before': [key, 1, 60],
  'a keyframe and one more, in one write': [key + 1, 2, 0],
  'a keyframe and one more, 60 ms before': [key + 1, 2, 60],
};
const names = Object.keys(tries);

const header = Buffer.from([0x46, 0x4c, 0x56, 1, 5, 0, 0, 0, 9, 0, 0, 0, 0]);
const server = createServer(async (request, response) => {
  const [, number] = /^\/(\d)\.flv$/.exec(request.url) ?? [];
  if (!number) return response.setHeader('Content-Type', 'text/html').end('<link rel="icon" href="data:,"><div id="place"></div>');
  request.socket.setNoDelay(true);
  response.write(Buffer.concat([header, first.configuration, sound.configuration]));
  const began = Date.now() + 100;
  for (const { time, tag } of stream(...tries[names[number]])) {
    const wait = began + time - Date.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (response.destroyed) return;
    response.write(tag);
  }
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);

for (const [number, name] of names.entries()) {
  const page = await browser.newPage();
  await page.goto(base);
  for (const library of ['xgplayer', 'xgplayer-flv']) await page.addScriptTag({ path: `node_modules/${library}/dist/index.min.js` });
  const seen = await page.evaluate(async (url) => {
    // What is appended to the buffer of pictures: initialisation segments, and the times at which segments begin, in milliseconds.
    const appended = [];
    const { addSourceBuffer } = MediaSource.prototype;
    MediaSource.prototype.addSourceBuffer = function (type) {
      const buffer = addSourceBuffer.call(this, type);
      if (!type.startsWith('video')) return buffer;
      const { appendBuffer } = buffer;
      buffer.appendBuffer = function (data) {
        const bytes = new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength);
        const box = String.fromCharCode(...bytes.subarray(0, 200)).indexOf('tfdt');
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        appended.push(box < 0 ? 'initialisation' : bytes[box + 4] ? Number(view.getBigUint64(box + 8)) : view.getUint32(box + 8));
        return appendBuffer.call(this, data);
      };
      return buffer;
    };
    const said = [];
    const player = new Player({ el: document.getElementById('place'), url, isLive: true, autoplay: true, autoplayMuted: true, plugins: [FlvPlayer] });
    player.on('error', (error) => said.push(error.message));
    const look = async (seconds) => {
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      const video = document.querySelector('video');
      return { time: video.currentTime, pictures: video.getVideoPlaybackQuality().totalVideoFrames };
    };
    const looks = [await look(5), await look(3)];
    const video = document.querySelector('video');
    return { looks, appended, said, width: video.videoWidth, error: video.error?.message ?? 'none' };
  }, `${base}/${number}.flv`);
  await page.close();
  const [one, other] = seen.looks;
  const state = seen.error !== 'none' ? 'ends' : other.pictures === one.pictures ? 'stands still' : other.time > one.time + 2 ? 'goes on' : 'neither';
  const change = Math.round(tries[name][0] * 1000 / 15);
  const begins = seen.appended[seen.appended.lastIndexOf('initialisation') + 1];
  // Times in milliseconds are rounded to those of pictures.
  const late = Math.round((change - begins) * 15 / 1000);
  console.log(`${name}: ${state}, width ${seen.width}, ${late} of before behind the new initialisation, error ${seen.error.split(':', 3).join(':')}`);
  console.log(`    after 5 and 8 s: ${seen.looks.map(({ time, pictures }) => `${pictures} pictures at ${time.toFixed(2)} s`).join(', ')}`);
  console.log(`    told: ${seen.said.join(', ') || 'nothing'}`);
}
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee seen
failed='error PipelineStatus::PIPELINE_ERROR_DECODE'
grep -qx 'one that leans on others, in one write: stands still, width 320, 2 of before behind the new initialisation, error none' seen
grep -qx 'one that leans on others, 60 ms before: goes on, width 480, 1 of before behind the new initialisation, error none' seen
grep -qx "a keyframe, in one write: ends, width 320, 2 of before behind the new initialisation, $failed" seen
grep -qx "a keyframe, 60 ms before: ends, width 320, 1 of before behind the new initialisation, $failed" seen
grep -qx "a keyframe and one more, in one write: ends, width 320, 3 of before behind the new initialisation, $failed" seen
grep -qx 'a keyframe and one more, 60 ms before: goes on, width 480, 1 of before behind the new initialisation, error none' seen
echo "as described"
