#!/usr/bin/env bash
# m3u8 6.0.0 (PyPI) reading a low-latency playlist whose newest segments are listed as parts and as a whole, with EXT-X-PROGRAM-DATE-TIME.
#
# Expected: current_program_date_time of a segment is when it begins: the time of its tag, or that of the segment before it and its duration.
# Seen: that holds without parts. With them each part moves the clock on, and then its segment does so once more: a segment with a tag of its
# own begins, by this field, at its end; those behind it, and the parts of the one that is not complete yet, are late by one more duration each.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check m3u8==6.0.0

cat > live.m3u8 <<'M3U8'
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0
#EXT-X-PART-INF:PART-TARGET=1.0
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-29T10:00:00Z
#EXTINF:2.000,
a10.m4s
#EXTINF:2.000,
a11.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-29T10:00:04Z
#EXT-X-PART:DURATION=1.0,URI="a12.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI="a12.1.m4s"
#EXTINF:2.000,
a12.m4s
#EXT-X-PART:DURATION=1.0,URI="a13.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI="a13.1.m4s"
#EXTINF:2.000,
a13.m4s
#EXT-X-PART:DURATION=1.0,URI="a14.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="a14.1.m4s"
M3U8
cat > times.py <<'PY'
import m3u8

for segment in m3u8.load('live.m3u8').segments:
    if segment.uri:
        tag = segment.program_date_time
        print(f'{segment.uri} begins at {segment.current_program_date_time:%S} s, its tag says {f"{tag:%S} s" if tag else "nothing"}')
    for part in segment.parts:
        print(f'{part.uri} begins at {part.program_date_time:%S} s')
PY
venv/bin/python times.py | tee seen
grep -qx 'a11.m4s begins at 02 s, its tag says nothing' seen
grep -qx 'a12.m4s begins at 06 s, its tag says 04 s' seen
grep -qx 'a12.1.m4s begins at 05 s' seen
grep -qx 'a13.0.m4s begins at 08 s' seen
grep -qx 'a13.m4s begins at 10 s, its tag says nothing' seen
grep -qx 'a14.0.m4s begins at 12 s' seen
echo "as described"
