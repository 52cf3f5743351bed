#!/usr/bin/env bash
# hls.js 1.7.4, shaka-player 5.2.12 and video.js 8.24.1 in Chromium 156: a media playlist whose first part has sound alone and, behind
# EXT-X-DISCONTINUITY and a map of its own, goes on with picture and sound; and the other way round. The format allows both: the number of
# tracks may change at a discontinuity.
#
# Expected: without codecs the players may stop at the change; a multivariant playlist whose CODECS name both lets all three play to the end.
# Where the picture goes, hls.js plays the sound on. recoverMediaError(), which hls.js offers for such errors, gets over the change.
# Seen: nobody gets over the change, with CODECS or without. hls.js and video.js play up to it and stop; shaka-player reads ahead, fails, and has
# not shown the first part either; with CODECS it fails while loading. After recoverMediaError() hls.js loads the list again and fails at the same
# place: two recoveries, three errors.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts hls.js@1.7.4 shaka-player@5.2.12 video.js@8.24.1 playwright-core@1.56.1

# NAME FROM INPUT...: four seconds in segments of two, beginning at a time.
segments() {
    local name=$1 from=$2
    shift 2
    ffmpeg -loglevel error "$@" -t 4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -sc_threshold 0 -c:a aac -output_ts_offset "$from" \
        -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4 -hls_fmp4_init_filename "$name.mp4" -hls_segment_filename "$name.%d.m4s" "$name.m3u8"
}
sound=(-f lavfi -i sine=frequency=440:sample_rate=48000)
picture=(-f lavfi -i testsrc2=size=320x240:rate=25)
segments sound.first 0 "${sound[@]}"
segments both.second 4 "${picture[@]}" "${sound[@]}"
segments both.first 0 "${picture[@]}" "${sound[@]}"
segments sound.second 4 "${sound[@]}"
joined() {
    grep -v ENDLIST "$1.m3u8"
    echo '#EXT-X-DISCONTINUITY'
    sed -n '/EXT-X-MAP/,$p' "$2.m3u8"
}
joined sound.first both.second > picture_comes.m3u8
joined both.first sound.second > picture_goes.m3u8
printf '%s\n' '#EXTM3U' '#EXT-X-VERSION:7' '#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS="avc1.42c00d,mp4a.40.2",RESOLUTION=320x240' picture_comes.m3u8 > with_codecs.m3u8

cat > play.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const server = createServer((request, response) => {
  const name = request.url.slice(1);
  if (!/\.(m3u8|mp4|m4s)$/.test(name)) return response.setHeader('Content-Type', 'text/html').end('<video muted></video>');
  response.setHeader('Content-Type', name.endsWith('.m3u8') ? 'application/vnd.apple.mpegurl' : 'video/mp4').end(readFileSync(name));
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);

/** What is done in the page, by player: the errors go to `said`. */
const players = {
  hlsjs: ['hls.js/dist/hls.js', (video, url, said, recoveries) => {
    const player = new Hls();
    player.on(Hls.Events.ERROR, (_, error) => {
      if (!error.fatal) return;
      said.push(error.details);
      if (recoveries-- > 0) player.recoverMediaError();
    });
    player.loadSource(url);
    player.attachMedia(video);
  }],
  shaka: ['shaka-player/dist/shaka-player.compiled.js', async (video, url, said) => {
    const player = new shaka.Player();
    player.addEventListener('error', (event) => said.push(event.detail.code));
    await player.attach(video);
    await player.load(url).catch((error) => said.push(`load ${error.code}`));
  }],
  videojs: ['video.js/dist/video.js', (video, url, said) => {
    const player = videojs(video, { html5: { vhs: { overrideNative: true } } });
    player.on('error', () => said.push(player.error().message));
    player.src({ src: url, type: 'application/vnd.apple.mpegurl' });
  }],
};
const tries = ['picture_comes', 'with_codecs', 'picture_goes'].flatMap((list) => Object.keys(players).map((name) => [name, list, 0]));
for (const [name, list, recoveries] of [...tries, ['hlsjs', 'picture_comes', 2]]) {
  const [library, start] = players[name];
  const page = await browser.newPage();
  await page.goto(base);
  await page.addScriptTag({ path: `node_modules/${library}` });
  const seen = await page.evaluate(async ([url, start, recoveries]) => {
    const video = document.querySelector('video');
    const said = [];
    await (0, eval)(start)(video, url, said, recoveries);
    for (let times = 0; times < 20; times++) {
      document.querySelector('video').play().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    const now = document.querySelector('video');
    return { time: Math.round(now.currentTime), ended: now.ended, said };
  }, [`${base}/${list}.m3u8`, `(${start})`, recoveries]);
  console.log(`${name} ${list}${recoveries ? ' recovered' : ''}: at ${seen.time} s, ended ${seen.ended}, ${seen.said.join(', ')}`);
  await page.close();
}
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee seen
for list in picture_comes with_codecs picture_goes; do
    grep -q "^hlsjs $list: at 4 s, ended false, bufferAppendError$" seen
    grep -q "^videojs $list: at 4 s, ended false, Playback cannot continue. No available working or supported playlists.$" seen
done
for list in picture_comes picture_goes; do
    grep -q "^shaka $list: at 0 s, ended false, 3016, 3014$" seen
done
grep -q '^shaka with_codecs: at 0 s, ended false, load 3015$' seen
grep -q '^hlsjs picture_comes recovered: at [0-9]* s, ended false, bufferAppendError, bufferAppendError, bufferAppendError$' seen
echo "as described"
