#!/usr/bin/env bash
# nginx-rtmp 1.2.2 (Debian 12: libnginx-mod-rtmp and nginx, unpacked) between ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1), which pushes HEVC, AV1 and Opus by
# enhanced RTMP, and rtmpdump 2.4 (Debian 12), which plays from before the push on, and later; and its own record of all that comes.
#
# Expected: it knows nothing of enhanced RTMP and passes on what comes. Who is there before the push gets everything, who comes later
# no configuration.
# Seen: that is so of Opus. Pictures of HEVC and AV1 do not come through at all, not even to those who were there before, nor into the record,
# while the AAC beside them does; the push goes on as if all was well.
set -euo pipefail
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; sleep 1; rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download nginx libnginx-mod-rtmp=1:1.2.2+dfsg-3 rtmpdump librtmp1
for package in *.deb; do dpkg -x "$package" .; done
export LD_LIBRARY_PATH="$work/usr/lib/x86_64-linux-gnu"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
new=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir record
cat > nginx.conf <<CONF
load_module $work/usr/lib/nginx/modules/ngx_rtmp_module.so;
user root;
daemon off;
worker_processes 1;
error_log $work/error.log info;
pid $work/nginx.pid;
events { worker_connections 64; }
rtmp { server { listen 127.0.0.1:$port; application live { live on; record all; record_path $work/record; } } }
CONF
usr/sbin/nginx -p "$work" -c "$work/nginx.conf" 2> nginx.log &
pids+=($!)
sleep 1
picture=(-f lavfi -i testsrc2=size=320x240:rate=25)
sound=(-f lavfi -i sine=frequency=440:sample_rate=48000)
play() { LD_LIBRARY_PATH=$work/usr/lib/x86_64-linux-gnu timeout "$2" usr/bin/rtmpdump -q -v -r "rtmp://127.0.0.1:$port/live/$1" -o "$3" || true; }
# FILE: how many tags of pictures and of sound have the first byte of which kind.
count() {
    python3 - "$1" <<'PY'
import sys
from pathlib import Path

file = Path(sys.argv[1])
data = file.read_bytes() if file.exists() else b''
tags, at = {8: [], 9: [], 18: []}, 13
while at + 12 <= len(data):
    size = int.from_bytes(data[at + 1:at + 4], 'big')
    tags[data[at]].append(data[at + 11:at + 16])
    at += size + 15
configured = [any(t[0] >> 4 in (9, 13) and t[0] & 15 == 0 and t[1:5] in (b'hvc1', b'av01', b'Opus') or t[:2] in (b'\x17\0', b'\xaf\0') for t in tags[kind]) for kind in (9, 8)]
print(*(f'{name} {"none" if not tags[kind] else "with" if has else "without"}{" configuration" if tags[kind] else ""}' for name, kind, has in zip(('pictures', 'sound'), (9, 8), configured)), sep=', ')
PY
}
for name in h264-aac hevc-aac av1-aac h264-opus; do
    case $name in
        h264*) coder=(-c:v libx264 -preset ultrafast -tune zerolatency -g 25) ;;
        hevc*) coder=(-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25) ;;
        av1*) coder=(-c:v libaom-av1 -usage realtime -cpu-used 8 -g 25) ;;
    esac
    case $name in *opus) coder+=(-c:a libopus) ;; *) coder+=(-c:a aac) ;; esac
    play "$name" 10 "early-$name.flv" &
    early=$!
    sleep 1
    "$new" -nostdin -loglevel quiet -re "${picture[@]}" "${sound[@]}" -t 12 -pix_fmt yuv420p "${coder[@]}" -f flv "rtmp://127.0.0.1:$port/live/$name" &
    pushed=$!
    sleep 4
    play "$name" 4 "late-$name.flv"
    wait "$early" "$pushed" || true
    echo "$name, early: $(count "early-$name.flv")"
    echo "$name, late: $(count "late-$name.flv")"
    sleep 1
    echo "$name, record: $(count "record/$name.flv")"
done | tee seen
for when in early late record; do
    grep -qx "h264-aac, $when: pictures with configuration, sound with configuration" seen
    grep -qx "hevc-aac, $when: pictures none, sound with configuration" seen
    grep -qx "av1-aac, $when: pictures none, sound with configuration" seen
done
grep -qx 'h264-opus, early: pictures with configuration, sound with configuration' seen
grep -qx 'h264-opus, late: pictures with configuration, sound without configuration' seen
grep -qx 'h264-opus, record: pictures with configuration, sound with configuration' seen
echo "as described"
