#!/usr/bin/env bash
# mpegts.js 1.8.2 in Chromium 156 with enhanced FLV from ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1): which codecs play.
#
# Expected: of sound, AAC and MP3 alone; Opus and FLAC are refused as unsupported codecs. AV1 plays, whatever encoder made it.
# Seen: Opus plays. FLAC is taken, too, but the initialisation segment made for it has a STREAMINFO of the wrong size, and Chromium ends the
# player. AV1 plays if libaom made it; the pictures of SVT-AV1 end the demuxer, which tells it as a NetworkError, or, on a busy machine, not at
# all. Of H.264 in two tracks track 0 plays, beside an error for each packet of the other one. An AV1 packet of the kind Metadata (HDR, colours: ffmpeg
# writes one behind the configuration) raises a FormatError and does no harm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts mpegts.js@1.8.2 playwright-core@1.56.1
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | sed -n 1p | cut -d' ' -f1-3

picture=(-f lavfi -i testsrc2=size=320x240:rate=25)
sound=(-f lavfi -i sine=frequency=440:sample_rate=48000)
h264=(-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25)
"$ffmpeg" -loglevel error "${picture[@]}" "${sound[@]}" -t 4 "${h264[@]}" -c:a libopus opus.flv
"$ffmpeg" -loglevel error "${picture[@]}" "${sound[@]}" -t 4 "${h264[@]}" -c:a flac flac.flv
"$ffmpeg" -loglevel error "${picture[@]}" "${picture[@]}" "${sound[@]}" -t 4 -map 0 -map 1 -map 2 "${h264[@]}" -c:a aac tracks.flv
"$ffmpeg" -loglevel error "${picture[@]}" "${sound[@]}" -t 4 -c:v libaom-av1 -usage realtime -cpu-used 8 -g 25 -c:a aac libaom.flv
SVT_LOG=1 "$ffmpeg" -loglevel error "${picture[@]}" "${sound[@]}" -t 4 -c:v libsvtav1 -preset 10 -g 25 -c:a aac svt.flv

cat > play.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const server = createServer((request, response) => {
  if (!request.url.endsWith('.flv')) return response.setHeader('Content-Type', 'text/html').end('<video muted></video>');
  // The response stays open, as those of live streams do.
  response.write(readFileSync(request.url.slice(1)));
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);
for (const name of ['opus', 'flac', 'tracks', 'libaom', 'svt']) {
  const page = await browser.newPage();
  await page.goto(base);
  await page.addScriptTag({ path: 'node_modules/mpegts.js/dist/mpegts.js' });
  const seen = await page.evaluate(async (url) => {
    const video = document.querySelector('video');
    const player = mpegts.createPlayer({ type: 'flv', isLive: true, url }, { enableStashBuffer: false, liveBufferLatencyChasing: false });
    const said = new Map();
    player.on(mpegts.Events.ERROR, (kind, detail, info) => {
      const text = `${kind} ${detail} ${info?.msg ?? info}`.replaceAll(/[^ -~]/g, '?');
      said.set(text, (said.get(text) ?? 0) + 1);
    });
    player.attachMediaElement(video);
    player.load();
    video.play().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 8000));
    return { played: video.currentTime > 3, pictures: video.getVideoPlaybackQuality().totalVideoFrames > 50, sound: video.webkitAudioDecodedByteCount > 10000, error: video.error?.message ?? 'none', said: [...said].map(([text, times]) => (times > 1 ? `${text} (many)` : text)) };
  }, `${base}/${name}.flv`);
  console.log(`${name}: played ${seen.played}, pictures ${seen.pictures}, sound ${seen.sound}, error ${seen.error}`);
  for (const text of seen.said) console.log(`${name}: ${text}`);
  await page.close();
}
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee seen
grep -q '^opus: played true, pictures true, sound true, error none$' seen
grep -q '^flac: played false, .*STREAMINFO block in FLACSpecificBox (dfLa) has incorrect size' seen
grep -q '^tracks: played true, pictures true, sound true, error none$' seen
grep -q '^tracks: MediaError CodecUnsupported Flv: Unsupported codec in video frame: .* (many)$' seen
grep -q '^libaom: played true, pictures true, sound true, error none$' seen
grep -q '^libaom: MediaError FormatError Flv: Invalid video packet type 4$' seen
grep -q '^svt: played false, pictures false, sound false, error none$' seen
echo "as described"
