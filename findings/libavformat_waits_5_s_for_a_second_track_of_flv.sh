#!/usr/bin/env bash
# ffmpeg 5.1 (Debian 12, where it is there) and 9.0.2 (imageio-ffmpeg 0.8.1) reading live FLV over HTTP with their defaults: H.264 (25 pictures a
# second, a keyframe each second) and AAC, each tag sent when it is due, with both, with pictures alone and with sound alone, and a header that says so. mpv 0.35
# and VLC 3.0 are asked too, where they are installed.
#
# Expected: what there is of it is decoded as soon with one of them as with both, as the header says that there is no other.
# Seen: with both the first picture is decoded after 1.6 s, with one of them alone it takes 5 s: libavformat goes on looking for a second track up to its
# `analyzeduration`, though the header promises none. mpv, which reads by libavformat too, takes as long, and so does VLC with pictures alone. Whether
# there is an onMetaData that names the one track is no matter. With `-analyzeduration 500000` ffmpeg begins after 0.5 s with each.
# The header is not without effect: where it promises both and pictures come alone, nothing is decoded in 8 s (of a stream of 20 s, seen once, only at its end).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
new=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
programs=("$new")
if [ -x /usr/bin/ffmpeg ] && /usr/bin/ffmpeg -version | grep -q 'version 5\.1'; then programs+=(/usr/bin/ffmpeg); fi

"$new" -loglevel error -f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440:sample_rate=44100 -t 15 \
    -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -sc_threshold 0 -c:a aac -flvflags no_duration_filesize both.flv
"$new" -loglevel error -i both.flv -c copy -an -flvflags no_duration_filesize pictures.flv
"$new" -loglevel error -i both.flv -c copy -vn -flvflags no_duration_filesize sound.flv

cat > first.py <<'PY'
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

asked = {}


def tags(name):
    data = open(name, 'rb').read()
    at = 13
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 4], 'big') + 15
        yield int.from_bytes(data[at + 4 : at + 7], 'big'), data[at : at + size]
        at += size


class Live(BaseHTTPRequestHandler):
    """/FLAGS/METADATA/FILE: a file as a live stream, with those flags in its header, and with or without its onMetaData."""

    def do_GET(self):
        _, flags, metadata, name = self.path.split('/')
        began = time.monotonic()
        asked.setdefault(self.path, began)
        self.send_response(200)
        self.send_header('Content-Type', 'video/x-flv')
        self.end_headers()
        try:
            self.wfile.write(b'FLV\x01' + bytes([int(flags)]) + b'\0\0\0\x09\0\0\0\0')
            for due, tag in tags(name):
                if tag[0] != 18 or metadata == 'with':
                    time.sleep(max(0, began + due / 1000 - time.monotonic()))
                    self.wfile.write(tag)
        except OSError:
            pass  # The reader has seen enough.

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(('127.0.0.1', 0), Live)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()


def first(command, path, words):
    """The time from the request to a line with those words."""
    asked.pop(path, None)
    command = [*command, f'http://127.0.0.1:{server.server_port}{path}']
    if 'ffmpeg' in command[0]:
        which = ['-map', '0:a', '-af', 'ashowinfo'] if 'sound' in path else ['-map', '0:v', '-vf', 'showinfo']
        command += [*which, '-f', 'null', '-']
    reader = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
    limit = threading.Timer(8, reader.kill)
    limit.start()
    seen = next((time.monotonic() for line in reader.stdout if re.search(words, line) and path in asked), None)
    limit.cancel()
    reader.kill()
    reader.wait()
    return f'{seen - asked[path]:.1f} s' if seen else 'not in 8 s'


streams = {'both': 5, 'pictures': 1, 'sound': 4}
for program in sys.argv[1:]:
    version = re.search(r'version n?(\d+\.\d+)', subprocess.run([program, '-version'], capture_output=True, text=True).stdout)[1]
    ffmpeg = [program, '-nostdin', '-i']
    frame = r'showinfo.* n: *0 '
    for name, flags in streams.items():
        usual = first(ffmpeg, f'/{flags}/with/{name}.flv', frame)
        short = first([program, '-nostdin', '-analyzeduration', '500000', '-i'], f'/{flags}/with/{name}.flv', frame)
        print(f'ffmpeg {version}, {name}: {usual}, with a short analyzeduration {short}', flush=True)
    print(f"ffmpeg {version}, pictures without onMetaData: {first(ffmpeg, '/1/without/pictures.flv', frame)}", flush=True)
    print(f"ffmpeg {version}, pictures where both are promised: {first(ffmpeg, '/5/with/pictures.flv', frame)}", flush=True)
if shutil.which('mpv'):
    for name, flags in streams.items():
        command = ['mpv', '--no-config', '--vo=null', '--ao=null', '--msg-level=all=v']
        print(f"mpv, {name}: {first(command, f'/{flags}/with/{name}.flv', 'playback restart complete')}", flush=True)
if shutil.which('vlc'):
    # It does not run as root.
    other = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'env', 'HOME=/nonexistent'] if os.getuid() == 0 else []
    for name in 'both', 'pictures':
        command = [*other, 'vlc', '-vv', '--no-color', '--intf', 'dummy', '--vout', 'dummy', '--aout', 'adummy']
        print(f"VLC, {name}: {first(command, f'/{streams[name]}/with/{name}.flv', 'Received first picture')}", flush=True)
PY
python3 first.py "${programs[@]}" | tee seen
# Busy machines get a second more.
soon='[0-2]\.[0-9] s'
late='(4\.9|[56]\.[0-9]) s'
count() { [ "$(grep -cxE "ffmpeg [0-9.]+, $1" seen)" = "${#programs[@]}" ]; }
count "both: $soon, with a short analyzeduration $soon"
count "pictures: $late, with a short analyzeduration $soon"
count "sound: $late, with a short analyzeduration $soon"
count "pictures without onMetaData: $late"
count 'pictures where both are promised: not in 8 s'
if grep -q ^mpv seen; then
    grep -qxE "mpv, both: $soon" seen
    grep -qxE "mpv, pictures: $late" seen
    grep -qxE "mpv, sound: $late" seen
fi
echo "as described"
