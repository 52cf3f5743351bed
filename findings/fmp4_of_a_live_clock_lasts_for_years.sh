#!/usr/bin/env bash
# ffmpeg 5.1 (Debian 12), ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1), Chromium 156, MediaInfo of pymediainfo 7.0.1 and GStreamer 1.22 (Debian 12) reading what one
# keeps of a live fMP4 stream: its init segment and ten seconds of its fragments in one file, where the stream's clock (tfdt) is
# that of the day, so that the first fragment begins at 70,980,311 s.
#
# Expected: as with MPEG-TS, the file begins at the first fragment and lasts ten seconds; GStreamer, which plays by the clock, waits for years.
# Seen: the other way round. MediaInfo tells ten seconds, and GStreamer plays at once and ends after ten. ffmpeg tells the start, and the time of the
# end as the duration, more than two years: of the tail of three seconds (-sseof) it gives the last group alone. Chromium plays, but its video
# element is at 70,980,312 s and more of 70,980,321 s, and may be sought anywhere from 0 on.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts playwright-core@1.56.1
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1 pymediainfo==7.0.1
new=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$new" -loglevel error -f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 10 \
    -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -sc_threshold 0 -c:a aac -video_track_timescale 90000 \
    -movflags empty_moov+frag_keyframe+default_base_moof+skip_trailer zero.mp4
cat > clock.py <<'PY'
import struct

data = bytearray(open("zero.mp4", "rb").read())


def clock(at, end, track=0):
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"moof", b"traf"):
            clock(at + 8, at + size)
        elif kind == b"tfhd":
            track = struct.unpack_from(">I", data, at + 12)[0]
        elif kind == b"tfdt":
            time = struct.unpack_from(">Q", data, at + 12)[0]
            struct.pack_into(">Q", data, at + 12, time + 70980311 * {1: 90000, 2: 48000}[track])
        at += size


clock(0, len(data))
open("live.mp4", "wb").write(data)
PY
python3 clock.py
tail() { "$1" -nostdin -loglevel quiet -sseof -3 -i "$2.mp4" -map 0:v -c copy -f framecrc - | grep -vc '^#'; }
for program in ffmpeg "$new"; do
    version=$("$program" -version | sed -n '1s/ffmpeg version n\?\([0-9]*\.[0-9]*\).*/\1/p')
    said=$({ "$program" -nostdin -i live.mp4 2>&1 || true; } | sed -n 's/.*Duration: \([0-9]*\):.*start: \([0-9]*\)\..*/\1 hours from \2 s on/p')
    echo "ffmpeg $version: $said; the last three seconds have $(tail "$program" live) pictures, from 0 on $(tail "$program" zero)"
done | tee seen
venv/bin/python -c '
import pymediainfo
print("MediaInfo:", int(pymediainfo.MediaInfo.parse("live.mp4").tracks[0].duration) // 1000, "s")' | tee -a seen
began=$SECONDS
timeout 60 gst-launch-1.0 -q playbin uri="file://$PWD/live.mp4" video-sink='fakesink sync=true' audio-sink='fakesink sync=true'
took=$((SECONDS - began))
echo "GStreamer: plays for $((took >= 9 && took <= 14 ? 10 : took)) s" | tee -a seen

cat > play.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const bytes = readFileSync('live.mp4');
const server = createServer((request, response) => {
  if (request.url !== '/live.mp4') return response.setHeader('Content-Type', 'text/html').end('<video muted></video>');
  const [, from = 0, to = ''] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
  const end = to === '' ? bytes.length : Number(to) + 1;
  response.writeHead(206, { 'Content-Type': 'video/mp4', 'Accept-Ranges': 'bytes', 'Content-Range': `bytes ${from}-${end - 1}/${bytes.length}` }).end(bytes.subarray(from, end));
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
const page = await browser.newPage();
await page.goto(`http://127.0.0.1:${server.address().port}`);
console.log(`Chromium ${browser.version().split('.')[0]}: ${await page.evaluate(async () => {
  const video = document.querySelector('video');
  video.src = '/live.mp4';
  video.play().catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 4000));
  const at = video.currentTime > 70980312 && video.currentTime < 70980320 ? 'is within 70980312 and 70980320 s' : `is at ${video.currentTime} s`;
  return `${at} of ${Math.round(video.duration)} s, seekable from ${video.seekable.start(0)} s`;
})}`);
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee -a seen
[ "$(grep -c '^ffmpeg .*: 19716 hours from 70980311 s on; the last three seconds have 25 pictures, from 0 on [67][0-9]*$' seen)" = 2 ]
grep -qx 'MediaInfo: 10 s' seen
grep -qx 'GStreamer: plays for 10 s' seen
grep -q '^Chromium [0-9]*: is within 70980312 and 70980320 s of 70980321 s, seekable from 0 s$' seen
echo "as described"
