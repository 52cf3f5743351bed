#!/usr/bin/env bash
# FFmpeg 4.2.2, 5.1 (of imageio-ffmpeg 0.4.9 and Debian 12, where it is there) and 7.0.2: a fragmented MP4 with picture and sound and one segment
# index (sidx) for the track of pictures before the first fragment, as ISO/IEC 14496-12 has it: the index names one track, its
# subsegments hold all of them.
#
# Expected: `-ss` begins at the keyframe before the time that is asked for, as without an index, only faster.
# Seen: 4.2.2 and 5.1 look for the sound in the index of the pictures, its ticks (44,100 a second) among theirs (90,000), and read from there
# on: asked for 41 s of 60, a copy begins at 18 s. 7.0.2 finds the pictures at 40 s, and reads the sound from 1 s on.
# And all of them take the end of the index for the end of the file: with sound of 60 s and pictures of 10 s it is 10 s long, whatever mvex says.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
for version in 0.4.9 0.6.0; do
    venv/bin/pip install --quiet --disable-pip-version-check --target "at-$version" "imageio-ffmpeg==$version"
done
old=$(echo at-0.4.9/imageio_ffmpeg/binaries/ffmpeg*)
new=$(echo at-0.6.0/imageio_ffmpeg/binaries/ffmpeg*)

# Fragments of two seconds, each from a keyframe on. Sound of 60 s; pictures of 60 s, and of 10 s.
for pictures in 60 10; do
    "$new" -loglevel error -f lavfi -i "testsrc2=size=160x120:rate=25:duration=$pictures" -f lavfi -i sine=frequency=440:sample_rate=44100:duration=60 \
        -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -bf 0 -sc_threshold 0 -video_track_timescale 90000 -c:a aac \
        -movflags empty_moov+default_base_moof+skip_trailer -frag_duration 2000000 "plain$pictures.mp4"
done
cat > index.py <<'PY'
import struct
import sys


def boxes(data, at, end):
    while at + 8 <= end:
        size, kind = struct.unpack_from('>I4s', data, at)
        yield kind, at, at + size
        at += size


def inside(data, at, end, *path):
    for kind, begin, to in boxes(data, at, end):
        if kind == path[0]:
            if len(path) == 1:
                yield begin, to
            else:
                yield from inside(data, begin + 8, to, *path[1:])


source, target = sys.argv[1:]
data = open(source, 'rb').read()
top = list(boxes(data, 0, len(data)))
moofs = [(begin, end) for kind, begin, end in top if kind == b'moof']
pieces = []
for n, (begin, end) in enumerate(moofs):
    until = moofs[n + 1][0] if n + 1 < len(moofs) else len(data)
    times = {}
    for at, to in inside(data, begin + 8, end, b'traf'):
        track = struct.unpack_from('>I', data, next(inside(data, at + 8, to, b'tfhd'))[0] + 12)[0]
        times[track] = struct.unpack_from('>Q', data, next(inside(data, at + 8, to, b'tfdt'))[0] + 12)[0]
    if 1 in times or not pieces:
        pieces.append([times.get(1, 0), until - begin])
    else:
        pieces[-1][1] += until - begin
seconds = int(sys.argv[1].removeprefix('plain').removesuffix('.mp4'))
ends = [time for time, _ in pieces[1:]] + [seconds * 90000]
entries = b''.join(struct.pack('>III', size, end - time, 1 << 31 | 1 << 28) for (time, size), end in zip(pieces, ends))
body = struct.pack('>IIIQQHH', 1 << 24, 1, 90000, 0, 0, 0, len(pieces)) + entries
open(target, 'wb').write(data[: moofs[0][0]] + struct.pack('>I4s', 8 + len(body), b'sidx') + body + data[moofs[0][0] :])
PY
for pictures in 60 10; do python3 index.py "plain$pictures.mp4" "indexed$pictures.mp4"; done

# PROGRAM FILE TRACK: the time, in seconds, of the first packet of a copy from 41 s.
begins() {
    "$1" -nostdin -loglevel error -ss 41 -copyts -i "$2" -map 0:v -map 0:a -c copy -f framecrc - |
        awk -F', *' -v track="$3" '$1 == track && !found++ { print int($3 / (track ? 44100 : 90000)) }'
}
length() { { "$1" -nostdin -i "$2" 2>&1 || true; } | sed -n 's/.*Duration: 00:\(..\):\(..\)\..*/\1 \2/p' | awk '{ print $1 * 60 + $2 }'; }
programs=("$old" "$new")
if [ -x /usr/bin/ffmpeg ] && /usr/bin/ffmpeg -version | grep -q 'version 5\.1'; then programs+=(/usr/bin/ffmpeg); fi
for program in "${programs[@]}"; do
    version=$("$program" -version | sed -n '1s/ffmpeg version \([0-9]*\.[0-9]*\).*/\1/p')
    for file in plain indexed; do
        echo "$version $file: pictures from $(begins "$program" "${file}60.mp4" 0), sound from $(begins "$program" "${file}60.mp4" 1), length $(length "$program" "${file}10.mp4")"
    done
done | tee seen
[ "$(grep -c ' plain: pictures from 40, sound from 40, length 60$' seen)" = "${#programs[@]}" ]
[ "$(grep -c '^[45]\.[12] indexed: pictures from 18, sound from [0-9]*, length 10$' seen)" = "$((${#programs[@]} - 1))" ]
grep -q '^7\.0 indexed: pictures from 40, sound from [12], length 10$' seen
echo "as described"
