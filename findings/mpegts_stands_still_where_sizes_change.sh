#!/usr/bin/env bash
# mpegts.js 1.8.2 and flv.js 1.6.2 in Chromium 156, with `isLive` and without the stash buffer: a live HTTP-FLV stream of H.264 (15 pictures a second)
# and AAC whose pictures change from 320x180 to 480x270, at a keyframe and with a new AVCDecoderConfigurationRecord before it. Each tag is sent when
# it is due, but for a pair of pictures that is sent together with one or two more before the change, so that it is known in what batches they come.
#
# Expected: all pictures are shown, before the change and behind it.
# Seen: whether the player goes on is a matter of in what batches the pictures before the change came: with one behind the pair it stands still, with
# two it goes on. (Without such a pair it is chance: a browser at times reads two at once.) The remuxer (src/remux/mp4-remuxer.js) leaves a picture
# that comes alone until another comes, and of the two keeps the later one back (_videoStashedLastSample). So one or two pictures of before the change
# are appended behind the new initialisation segment, where Media Source Extensions want a keyframe and drop them. Where one is missing, Chromium
# plays over it. Where two are missing (133 ms), there is a gap in `buffered` of the pictures: the picture stands still, the sound goes on for some
# three seconds and stops too, and the player does not go on (five seconds seen), though all that follows is loaded.
# With the last picture of before the change sent twice more, 1 and 2 ms later, it is those that are dropped, and the player goes on.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts mpegts.js@1.8.2 flv.js@1.6.2 playwright-core@1.56.1

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

const count = 45;

/**
 * A stream with that many pictures alone, behind a pair, before the change, and the last one that many times more: when to send what.
 */
function stream(alone, more) {
  const before = first.rest.slice(0, count);
  const change = Math.round(count * 1000 / 15);
  const last = before[count - 1];
  const [one, other] = before.slice(count - alone - 2);
  before.splice(count - alone - 2, 2, { time: other.time, tag: Buffer.concat([one.tag, other.tag]) });
  for (let time = 1; time <= more; time++) before.push(at(last.tag, last.time + time));
  const behind = second.rest.map(({ time, tag }) => at(tag, time + change));
  const both = [...before, at(second.configuration, change), ...behind, ...sound.rest];
  return both.sort((one, other) => one.time - other.time);
}

const header = Buffer.from([0x46, 0x4c, 0x56, 1, 5, 0, 0, 0, 9, 0, 0, 0, 0]);
const server = createServer(async (request, response) => {
  const [, alone, more] = /^\/(\d)\+(\d)\.flv$/.exec(request.url) ?? [];
  if (!alone) return response.setHeader('Content-Type', 'text/html').end('<link rel="icon" href="data:,"><video muted></video>');
  request.socket.setNoDelay(true);
  response.write(Buffer.concat([header, first.configuration, sound.configuration]));
  const began = Date.now() + 100;
  for (const { time, tag } of stream(Number(alone), Number(more))) {
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

async function play(library, name, alone, more) {
  const page = await browser.newPage();
  await page.goto(base);
  await page.addScriptTag({ path: `node_modules/${library}` });
  const seen = await page.evaluate(async ([url, name]) => {
    const players = window[name];
    const video = document.querySelector('video');
    const buffers = {};
    const { addSourceBuffer } = MediaSource.prototype;
    MediaSource.prototype.addSourceBuffer = function (type) {
      return buffers[type.split('/')[0]] = addSourceBuffer.call(this, type);
    };
    const player = players.createPlayer({ type: 'flv', isLive: true, url }, { enableStashBuffer: false });
    player.on(players.Events.ERROR, () => {});
    player.attachMediaElement(video);
    player.load();
    video.play().catch(() => {});
    const look = async (seconds) => {
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      return { time: video.currentTime, pictures: video.getVideoPlaybackQuality().totalVideoFrames };
    };
    const looks = [await look(5), await look(4), await look(1.5)];
    const { buffered } = buffers.video;
    const pieces = Array.from({ length: buffered.length }, (_, at) => [buffered.start(at), buffered.end(at)]);
    return { looks, pieces, width: video.videoWidth, error: video.error?.message ?? 'none' };
  }, [`${base}/${alone}+${more}.flv`, name]);
  await page.close();
  const [, before, last] = seen.looks;
  const goes = last.time > before.time + 0.5 && last.pictures > before.pictures;
  const stands = last.time === before.time && last.pictures === before.pictures;
  console.log(`${name}, ${alone} alone and ${more} more: ${goes ? 'goes on' : stands ? 'stands still' : 'neither'}, width ${seen.width}, pieces ${seen.pieces.length}, error ${seen.error}`);
  console.log(`    after 5, 9 and 10.5 s: ${seen.looks.map(({ time, pictures }) => `${pictures} pictures at ${time.toFixed(2)} s`).join(', ')}`);
  console.log(`    pictures loaded: ${seen.pieces.map((piece) => piece.map((time) => time.toFixed(3)).join('-')).join(', ')}`);
}

for (const [library, name] of [['mpegts.js/dist/mpegts.js', 'mpegts'], ['flv.js/dist/flv.js', 'flvjs']]) {
  // One or two pictures alone, without and with the last one twice more.
  const tries = [[1, 0], [2, 0], [1, 2], [2, 2]];
  await Promise.all(tries.map(([alone, more]) => play(library, name, alone, more)));
}
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee seen
for name in mpegts flvjs; do
    grep -qx "$name, 1 alone and 0 more: stands still, width 320, pieces 2, error none" seen
    for way in '2 alone and 0' '1 alone and 2' '2 alone and 2'; do
        grep -qx "$name, $way more: goes on, width 480, pieces 1, error none" seen
    done
done
echo "as described"
