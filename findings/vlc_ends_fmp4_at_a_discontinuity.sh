#!/usr/bin/env bash
# VLC 3.0.24 (Debian 12's vlc-bin and vlc-plugin-base, which this script needs), ffmpeg 5.1 (Debian 12, where it is there) and 9.0.2 (imageio-ffmpeg
# 0.8.1), and hls.js 1.7.4 in Chromium: a finished HLS playlist of four seconds of fragmented MP4 in 320x180 and, behind EXT-X-DISCONTINUITY and an
# EXT-X-MAP of its own, four in 480x270, with H.264 whose parameter sets are in the maps alone; and others near to it.
#
# Expected: all play both parts, as hls.js does. If VLC does not, then for the second map, and it plays on where that says the same as the first.
# Seen: VLC never asks for the second map, whether there is a discontinuity or not. But that is not why it ends: at a discontinuity it begins a new MP4
# reader without any map, which fails ("Failed to create demuxer"; where a segment begins with its `moof`, also "no moov before mdat"). So it ends
# there with the same size too, and with one map for all. It is not the discontinuity alone: MPEG-TS goes on over it, and so does fMP4 with
# the second map put in front of the first segment of the second part, too. Without the discontinuity, which the format asks for where the size
# changes, VLC reads on by the first map: what fits that is played, the other size is damaged, unless its parameter sets are in the stream too.
# ffmpeg, meant as the one that does it right, does not: it asks for the second map and skips it ("Found duplicated MOOV Atom"), and decodes
# as many pictures as there are, the second part's damaged and in 320x180. Parameter sets in the stream help it as well. Where the times of the
# second part begin at 0 again, it loses the first segment of that part.
set -euo pipefail
command -v vlc > /dev/null || { echo 'this needs vlc (Debian: vlc-bin, vlc-plugin-base)'; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
new=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
programs=("$new")
if [ -x /usr/bin/ffmpeg ] && /usr/bin/ffmpeg -version | grep -q 'version 5\.1'; then programs+=(/usr/bin/ffmpeg); fi
npm install --silent --no-audit --no-fund --ignore-scripts hls.js@1.7.4 playwright-core@1.56.1

# NAME SIZE FROM INBAND: four seconds in segments of two, beginning at a time; the parameter sets in the stream too, or not.
part() {
    "$new" -loglevel error -f lavfi -i "testsrc2=size=$2:rate=25" -f lavfi -i sine=frequency=440:sample_rate=44100 -t 4 \
        -c:v libx264 -preset ultrafast -x264-params "repeat-headers=$4" -pix_fmt yuv420p -g 25 -sc_threshold 0 -c:a aac -output_ts_offset "$3" \
        -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4 -hls_segment_options movflags=+frag_discont \
        -hls_fmp4_init_filename "$1.mp4" -hls_segment_filename "$1.%d.m4s" "$1.m3u8"
}
part small 320x180 0 0
part big 480x270 4 0
part same 320x180 4 0
part again 320x180 0 0
part small_inband 320x180 0 1
part big_inband 480x270 4 1
for name in small big; do
    "$new" -loglevel error -i "$name.m3u8" -c copy -copyts -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_filename "$name.%d.ts" "${name}_ts.m3u8"
done
# The second part with its map in front of its first segment.
cat big.mp4 big.0.m4s > headed.0.m4s
cp big.1.m4s headed.1.m4s
sed 's/big\.\([01]\)\.m4s/headed.\1.m4s/' big.m3u8 > headed.m3u8
# The second part with segments that begin with their `moof`.
python3 - <<'PY'
for number in 0, 1:
    data = open(f'big.{number}.m4s', 'rb').read()
    open(f'bare.{number}.m4s', 'wb').write(data[data.index(b'moof') - 4 :])
PY
sed 's/big\.\([01]\)\.m4s/bare.\1.m4s/' big.m3u8 > bare.m3u8
body() { sed -n '/EXT-X-MAP\|EXTINF/,$p' "$1.m3u8"; }
# NAME FIRST SECOND: one playlist of both, with the discontinuity and the second map.
joined() {
    { grep -v ENDLIST "$2.m3u8"; echo '#EXT-X-DISCONTINUITY'; body "$3"; } > "$1.m3u8"
}
joined change small big
joined change_bare small bare
joined change_headed small headed
joined change_inband small_inband big_inband
joined change_ts small_ts big_ts
joined same_map_each small same
joined again_map_each small again
grep -v DISCONTINUITY change.m3u8 > undivided.m3u8
grep -v DISCONTINUITY change_inband.m3u8 > undivided_inband.m3u8
grep -v DISCONTINUITY same_map_each.m3u8 > undivided_same.m3u8
grep -v 'EXT-X-MAP:URI="same' same_map_each.m3u8 > same_one_map.m3u8
echo 'change.m3u8:'
cat change.m3u8

cat > browser.mjs <<'JS'
import { chromium } from 'playwright-core';

const [base] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
const page = await browser.newPage();
await page.goto(`${base}/page.html`);
await page.addScriptTag({ path: 'node_modules/hls.js/dist/hls.js' });
const seen = await page.evaluate(async (url) => {
  const video = document.querySelector('video');
  const said = [];
  const player = new Hls();
  player.on(Hls.Events.ERROR, (_, error) => error.fatal && said.push(error.details));
  player.loadSource(url);
  player.attachMedia(video);
  for (let times = 0; times < 40 && !video.ended; times++) {
    video.play().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return `at ${Math.round(video.currentTime)} s, ended ${video.ended}, ${video.videoWidth}x${video.videoHeight}, errors: ${said.join(', ') || 'none'}`;
}, `${base}/change.m3u8`);
console.log(seen);
await browser.close();
JS
echo '<!doctype html><video muted></video>' > page.html

cat > play.py <<'PY'
import os
import re
import subprocess
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

asked = []


class Files(SimpleHTTPRequestHandler):
    extensions_map = {'.m3u8': 'application/vnd.apple.mpegurl', '.ts': 'video/mp2t', '.mp4': 'video/mp4', '.m4s': 'video/mp4', '.html': 'text/html'}

    def log_message(self, *_):
        pass

    def log_request(self, *_):
        asked.append(self.path[1:])


server = ThreadingHTTPServer(('127.0.0.1', 0), Files)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f'http://127.0.0.1:{server.server_port}'


def second_map(name):
    """What became of the second map of a playlist."""
    maps = re.findall('MAP:URI="(.*)"', open(f'{name}.m3u8').read())
    if len(maps) < 2:
        return 'has no second map'
    return 'asked for the second map' if maps[1] in asked else 'never asked for the second map'


def vlc(name):
    asked.clear()
    # It does not run as root.
    other = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'env', 'HOME=/nonexistent'] if os.getuid() == 0 else []
    command = [*other, 'vlc', '-vv', '--no-color', '-I', 'oldrc', '--rc-fake-tty', '--vout', 'vdummy', '--aout', 'adummy', '--play-and-exit']
    with open('log', 'w') as log:
        player = subprocess.Popen([*command, f'{base}/{name}.m3u8'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        said = []
        reading = threading.Thread(target=lambda: said.extend(player.stdout), daemon=True)
        reading.start()
        limit = threading.Timer(30, player.kill)
        limit.start()
        while player.poll() is None:
            try:
                player.stdin.write('stats\n')
                player.stdin.flush()
            except OSError:
                break
            time.sleep(0.1)
        player.wait()
        limit.cancel()
        reading.join(5)
    log = open('log', errors='replace').read()

    def most(words):
        return max(map(int, re.findall(words + r' *: *(\d+)', ''.join(said))), default=0)

    # Its "video decoded" counts a picture twice.
    seen = [f"{most('video decoded') // 2} of pictures and {most('buffers played') * 1024 / 44100:.1f} s of sound"]
    seen += [second_map(name), f"{sum(path.endswith(('.m4s', '.ts')) for path in asked)} segments"]
    if 'Failed to create demuxer' in log:
        seen.append('failed to create demuxer')
    if 'no moov before mdat' in log:
        seen.append('no moov before mdat')
    if 'concealing' in log:
        seen.append('damaged')
    print(f"VLC, {name}: {', '.join(seen)}", flush=True)


def ffmpeg(program, name):
    asked.clear()
    version = re.search(r'version n?(\d+\.\d+)', subprocess.run([program, '-version'], capture_output=True, text=True).stdout)[1]
    command = [program, '-nostdin', '-i', f'{base}/{name}.m3u8', '-map', '0:v', '-vf', 'showinfo', '-fps_mode', 'passthrough', '-f', 'null', '-']
    said = subprocess.run(command, capture_output=True, text=True, errors='replace', timeout=30).stderr
    sizes = re.findall(r'showinfo.* s:(\d+x\d+)', said)
    seen = [' and '.join(f'{sizes.count(size)} in {size}' for size in dict.fromkeys(sizes)), second_map(name)]
    if 'concealing' in said:
        seen.append('damaged')
    if 'duplicated MOOV' in said:
        seen.append('skipped it')
    print(f"ffmpeg {version}, {name}: {', '.join(seen)}", flush=True)


asked.clear()
browser = subprocess.run(['node', 'browser.mjs', base], capture_output=True, text=True, timeout=60)
print(f"hls.js, change: {browser.stdout.strip() or browser.stderr}, {second_map('change')}", flush=True)
for program in sys.argv[1:]:
    for name in 'small', 'big', 'change', 'change_inband', 'change_ts', 'same_map_each', 'again_map_each':
        ffmpeg(program, name)
print(subprocess.run(['vlc', '--version'] if os.getuid() else ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'env', 'HOME=/nonexistent', 'vlc', '--version'], capture_output=True, text=True).stdout.splitlines()[0], flush=True)
for name in (
    'big', 'change', 'change_bare', 'change_inband', 'same_map_each', 'same_one_map',
    'change_ts', 'change_headed', 'undivided_same', 'undivided', 'undivided_inband',
):
    vlc(name)
PY
python3 play.py "${programs[@]}" | tee seen

grep -qx 'hls.js, change: at 8 s, ended true, 480x270, errors: none, asked for the second map' seen
count() { [ "$(grep -cxE "ffmpeg [0-9.]+, $1" seen)" = "${#programs[@]}" ]; }
count 'small: 100 in 320x180, has no second map'
count 'big: 100 in 480x270, has no second map'
count 'change: 200 in 320x180, asked for the second map, damaged, skipped it'
count 'change_inband: 100 in 320x180 and 100 in 480x270, asked for the second map, skipped it'
count 'change_ts: 100 in 320x180 and 100 in 480x270, has no second map'
count 'same_map_each: 200 in 320x180, asked for the second map, skipped it'
count 'again_map_each: 150 in 320x180, asked for the second map, skipped it'
# The last of it may be missed between two questions.
half='(8[0-9]|9[0-9]|10[0-5]) of pictures and (3\.[5-9]|4\.[0-1]) s of sound'
whole='(1[89][0-9]|20[0-5]) of pictures and (7\.[5-9]|8\.[0-1]) s of sound'
vlc() { grep -qxE "VLC, $1" seen; }
vlc "big: $half, has no second map, 2 segments"
vlc "change: $half, never asked for the second map, 3 segments, failed to create demuxer"
vlc "change_bare: $half, never asked for the second map, 3 segments, failed to create demuxer, no moov before mdat"
vlc "change_inband: $half, never asked for the second map, 3 segments, failed to create demuxer"
vlc "same_map_each: $half, never asked for the second map, 3 segments, failed to create demuxer"
vlc "same_one_map: $half, has no second map, 3 segments, failed to create demuxer"
vlc "change_ts: $whole, has no second map, 4 segments"
vlc "change_headed: $whole, never asked for the second map, 4 segments"
vlc "undivided_same: $whole, never asked for the second map, 4 segments"
vlc "undivided: $whole, never asked for the second map, 4 segments, damaged"
vlc "undivided_inband: $whole, never asked for the second map, 4 segments"
echo "as described"
