#!/usr/bin/env bash
# shaka-player 5.2.12 and hls.js 1.7.4, both in low-latency mode in Chromium 156: a live low-latency playlist of fMP4 parts of half a second, a key
# picture each two seconds, whose first part is at 0 s by its clock (tfdt), at 3,600 s (as of a stream that began at 0 an hour ago), at
# 70,980,311 s (between 2^26 and 2^27) or at 1,790,000,000 s (Unix seconds). The media are of ffmpeg 5.1 (Debian 12).
#
# Expected: the clock does not matter: what is loaded is one piece, and what is played of it is shown whole.
# Seen: so with hls.js, and with shaka-player at 0 and 1,790,000,000 s. At 3,600 and 70,980,311 s shaka-player calls abort() before each part.
# Chromium then drops what comes before the next key picture: of each two seconds the first half second is left, and a quarter of the pictures shown.
# To a negative timestampOffset it adds 0.001 as it sets it (setTimestampOffset_ of its media_source_engine.js); with the next part appendBuffer asks
# whether what is set is 0.001 or more from what was to be set. Whether it is, is a matter of rounding, the same for all numbers between two powers of
# two: it is from 2^2 to 2^3, 2^4 to 2^5, 2^6 to 2^8, 2^11 to 2^15 (34 minutes to 9 hours), 2^16 to 2^17, 2^19 to 2^20, 2^21 to 2^24, 2^25 to 2^27 and
# 2^29 to 2^30, and is not elsewhere from 1 to 2^32. Known to its makers (shaka-project/shaka-player, issue 10589, pull request 10559, merged), but not
# mended in 5.2.12, the newest of npm in November 2026.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts shaka-player@5.2.12 hls.js@1.7.4 playwright-core@1.56.1
ffmpeg -loglevel error -f lavfi -i testsrc2=size=320x180:rate=24 -t 40 -c:v libx264 -preset ultrafast -tune zerolatency -threads 1 -pix_fmt yuv420p \
    -g 48 -sc_threshold 0 -video_track_timescale 12288 -frag_duration 500000 -movflags empty_moov+default_base_moof+skip_trailer made.mp4

cat > play.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const rate = 12288;
const inSegment = 4;
const before = 16;

/** The boxes between two places: kind, beginning and end. */
function* boxes(bytes, at, end) {
  while (at < end) {
    const size = bytes.readUInt32BE(at);
    yield [bytes.toString('latin1', at + 4, at + 8), at, at + size];
    at += size;
  }
}
const made = readFileSync('made.mp4');
const top = [...boxes(made, 0, made.length)];
const map = made.subarray(0, top.find(([kind]) => kind === 'moof')[1]);
const parts = top.flatMap(([kind, begin], at) => (kind === 'moof' ? [made.subarray(begin, top[at + 1][2])] : []));

/** A part with its time (tfdt) moved by whole seconds. */
function moved(part, seconds) {
  const bytes = Buffer.from(part);
  const move = (begin, end) => {
    for (const [kind, at, behind] of boxes(bytes, begin, end)) {
      if (kind === 'moof' || kind === 'traf') move(at + 8, behind);
      if (kind === 'tfdt') bytes.writeBigUInt64BE(bytes.readBigUInt64BE(at + 12) + BigInt(seconds * rate), at + 12);
    }
  };
  move(0, bytes.length);
  return bytes;
}

let clock = 0;
let began = 0;
/** The number of the first segment, as if the stream began at 0. */
const first = () => Math.floor(clock / 2);
/** How many parts are complete: one more each half second. */
const complete = () => Math.min(parts.length, before + Math.floor((Date.now() - began) / 500));
/** Waits for that many parts. */
const until = (count) => new Promise((resolve) => setTimeout(resolve, Math.max(0, began + (count - before) * 500 - Date.now() + 5)));

function playlist(count) {
  const lines = ['#EXTM3U', '#EXT-X-VERSION:9', '#EXT-X-TARGETDURATION:2', '#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5',
    '#EXT-X-PART-INF:PART-TARGET=0.5', `#EXT-X-MEDIA-SEQUENCE:${first()}`, '#EXT-X-MAP:URI="map.mp4"'];
  for (let part = 0; part < count; part++) {
    if (part >= count - 3 * inSegment) lines.push(`#EXT-X-PART:DURATION=0.5,URI="part${part}.m4s"${part % inSegment ? '' : ',INDEPENDENT=YES'}`);
    if (part % inSegment === inSegment - 1) lines.push('#EXTINF:2.0,', `segment${(part + 1) / inSegment - 1}.m4s`);
  }
  return [...lines, `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part${count}.m4s"`, ''].join('\n');
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const [, name, number] = /^\/([a-z]+)(\d*)/.exec(pathname) ?? [];
  response.setHeader('Cache-Control', 'no-store');
  if (name === 'live') {
    const [segment, part] = [searchParams.get('_HLS_msn'), searchParams.get('_HLS_part') ?? inSegment - 1];
    if (segment !== null) await until((segment - first()) * inSegment + Number(part) + 1);
    return response.setHeader('Content-Type', 'application/vnd.apple.mpegurl').end(playlist(complete()));
  }
  if (name === 'map') return response.setHeader('Content-Type', 'video/mp4').end(map);
  if (name === 'part' || name === 'segment') {
    const count = name === 'part' ? 1 : inSegment;
    const [from, behind] = [number * count, (Number(number) + 1) * count];
    await until(behind);
    return response.setHeader('Content-Type', 'video/mp4').end(Buffer.concat(parts.slice(from, behind).map((part) => moved(part, clock))));
  }
  response.setHeader('Content-Type', 'text/html').end('<link rel="icon" href="data:,"><video muted></video>');
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);

const players = {
  'shaka-player': ['shaka-player/dist/shaka-player.compiled.js', async (video, url, said) => {
    const player = new shaka.Player();
    player.configure({ streaming: { lowLatencyMode: true } });
    player.addEventListener('error', ({ detail }) => said.push(detail.code));
    await player.attach(video);
    await player.load(url).catch((error) => said.push(error.code));
  }],
  'hls.js': ['hls.js/dist/hls.js', (video, url, said) => {
    const player = new Hls({ lowLatencyMode: true });
    player.on(Hls.Events.ERROR, (_, error) => error.fatal && said.push(error.details));
    player.loadSource(url);
    player.attachMedia(video);
  }],
};
const tries = [['hls.js', 70980311], ...[0, 3600, 70980311, 1790000000].map((seconds) => ['shaka-player', seconds])];
for (const [name, seconds] of tries) {
  const [file, begin] = players[name];
  const page = await browser.newPage();
  await page.goto(base);
  await page.addScriptTag({ path: `node_modules/${file}` });
  clock = seconds;
  began = Date.now();
  const seen = await page.evaluate(async ([url, begin]) => {
    const video = document.querySelector('video');
    const said = [];
    let aborts = 0;
    let appends = 0;
    let added = 0;
    const { abort, appendBuffer } = SourceBuffer.prototype;
    SourceBuffer.prototype.abort = function () {
      aborts++;
      abort.call(this);
    };
    SourceBuffer.prototype.appendBuffer = function (data) {
      appends++;
      added = this.timestampOffset - Math.round(this.timestampOffset);
      appendBuffer.call(this, data);
    };
    await (0, eval)(begin)(video, url, said);
    video.play().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 6000));
    const { buffered } = video;
    const pieces = Array.from({ length: buffered.length }, (_, at) => buffered.end(at) - buffered.start(at));
    return { aborts, appends, added, pieces, pictures: video.getVideoPlaybackQuality().totalVideoFrames, said };
  }, [`${base}/live.m3u8`, `(${begin})`]);
  const { aborts, appends, added, pieces, pictures, said } = seen;
  let loaded = pieces.map((piece) => piece.toFixed(2)).join(', ');
  if (pieces.length === 1 && pieces[0] > 4) loaded = 'one piece';
  if (pieces.length > 2 && pieces.every((piece) => piece > 0.4 && piece < 0.6)) loaded = 'pieces of half a second';
  const often = aborts > 0.8 * appends ? 'abort() each time' : aborts < 4 ? 'abort() hardly' : 'abort() at times';
  console.log(`${name} at ${seconds} s: ${loaded}, ${often}, added ${added.toFixed(13)}${said.map((error) => `, error ${error}`).join('')}`);
  console.log(`    ${pictures} pictures of 6 s, abort() ${aborts} times for ${appends} of appendBuffer()`);
  await page.close();
}
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee seen
grep -q '^hls.js at 70980311 s: one piece, abort() hardly, added -\?0.0000' seen
grep -qx 'shaka-player at 0 s: one piece, abort() hardly, added 0.0000000000000' seen
grep -qx 'shaka-player at 3600 s: pieces of half a second, abort() each time, added 0.0010000000002' seen
grep -qx 'shaka-player at 70980311 s: pieces of half a second, abort() each time, added 0.0010000020266' seen
grep -qx 'shaka-player at 1790000000 s: one piece, abort() hardly, added 0.0009999275208' seen
echo "as described"
