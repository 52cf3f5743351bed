#!/usr/bin/env bash
# ffmpeg 5.1 (Debian 12) and 9.0.2 (imageio-ffmpeg 0.8.1) copying (-c copy) an FLV in which the pictures change midway from 320x240 to 240x320, with a
# new configuration, as when a phone is turned while it pushes.
#
# Expected: both read the FLV right. A copy that has one configuration for all, MP4 and Matroska, is damaged from the change on; MPEG-TS and HLS of it, which
# repeat the configuration at keyframes, are right.
# Seen: with 5.1 all copies are damaged, MPEG-TS and HLS too: their keyframes repeat the first configuration. With 9.0.2 MPEG-TS, HLS of it
# and even a plain MP4 are right, which gets a second sample description; fragmented MP4, HLS of fMP4 and Matroska are damaged. Copying tells no error, and ends
# with 0. A copy to FLV is right with both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
ffmpeg -version | grep -q '^ffmpeg version 5\.1'
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
new=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
for size in 320x240 240x320; do
    ffmpeg -loglevel error -f lavfi -i "testsrc2=size=$size:rate=25" -f lavfi -i sine=frequency=440:sample_rate=48000 -t 4 \
        -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -c:a aac "$size.flv"
done
cat > join.py <<'PY'
from pathlib import Path


def tags(data):
    at = 13
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big") + 15
        yield bytearray(data[at : at + size])
        at += size


first, second = (Path(name).read_bytes() for name in ("320x240.flv", "240x320.flv"))
joined = bytearray(first[:13])
for begin, data in ((0, first), (4010, second)):
    for tag in tags(data):
        # Without descriptions, the end of the sequence, and a second configuration of the same sound.
        if tag[0] == 18 or (tag[0] == 9 and tag[12] == 2) or (begin and tag[0] == 8 and tag[12] == 0):
            continue
        tag[4:7] = (int.from_bytes(tag[4:7], "big") + begin).to_bytes(3, "big")
        joined += tag
Path("turned.flv").write_bytes(joined)
PY
python3 join.py
# FILE: how it is read by the newer ffmpeg.
read_again() {
    "$new" -nostdin -loglevel error -i "$1" -map 0:v -vf scale=320:240 -f framecrc - 2> errors > pictures || true
    if [ -s errors ] || [ "$(grep -vc '^#' pictures)" != 200 ]; then echo damaged; else echo right; fi
}
echo "the FLV itself: $(read_again turned.flv)" | tee seen
for program in ffmpeg "$new"; do
    version=$("$program" -version | sed -n '1s/ffmpeg version n\?\([0-9]*\.[0-9]*\).*/\1/p')
    copy() {
        code=0
        "$program" -nostdin -loglevel error -y -i turned.flv -c copy "${@:2}" 2> told || code=$?
        echo "$version, $1: $(read_again "${!#}"), code $code, $([ -s told ] && echo 'with errors' || echo 'no error')"
    }
    copy FLV copy.flv
    copy MPEG-TS copy.ts
    copy HLS -hls_list_size 0 -f hls copy.m3u8
    copy MP4 copy.mp4
    copy 'fragmented MP4' -movflags empty_moov+frag_keyframe fragmented.mp4
    copy 'HLS of fMP4' -hls_list_size 0 -hls_segment_type fmp4 -f hls fragmented.m3u8
    copy Matroska copy.mkv
done | tee -a seen
grep -qx 'the FLV itself: right' seen
[ "$(grep -c ', code 0, no error$' seen)" = 14 ]
[ "$(grep -c '^5\.1, .*: damaged,' seen)" = 6 ]
grep -q '^5\.1, FLV: right,' seen
for kind in FLV MPEG-TS HLS MP4; do grep -q "^9\.0, $kind: right," seen; done
for kind in 'fragmented MP4' 'HLS of fMP4' Matroska; do grep -q "^9\.0, $kind: damaged," seen; done
echo "as described"
