#!/usr/bin/env bash
# ffmpeg 5.1 (Debian 12) reading what ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1) writes as enhanced FLV: it names codecs that are not there.
#
# Expected: 5.1 knows nothing of enhanced FLV: it leaves HEVC out as an unknown codec, reads the sound, and of a file of two pictures and
# two sounds (multitrack) track 0 alone.
# Seen: it takes the low half of the first byte, which says what kind of packet it is, for the codec. A configuration of HEVC or of AV1 (0)
# becomes a VP6 picture without a size, the next packet, of another kind, a change of codec, which ends the reading: of the AAC beside it comes one
# packet or none. The second picture of the multitrack file (6) is flashsv2, its second sound and Opus (9) are streams of an unknown codec, read to the end.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
ffmpeg -version | sed -n 1p | cut -d' ' -f1-3
ffmpeg -version | grep -q '^ffmpeg version 5\.1'
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
new=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$new" -version | sed -n 1p | cut -d' ' -f1-3

picture=(-f lavfi -i testsrc2=size=320x240:rate=25)
larger=(-f lavfi -i testsrc=size=640x480:rate=25)
sound=(-f lavfi -i sine=frequency=440:sample_rate=48000)
h264=(-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25)
"$new" -loglevel error "${picture[@]}" "${sound[@]}" -t 4 -c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p -g 25 -c:a aac hevc.flv
"$new" -loglevel error "${picture[@]}" "${sound[@]}" -t 4 -c:v libaom-av1 -usage realtime -cpu-used 8 -g 25 -c:a aac av1.flv
"$new" -loglevel error "${picture[@]}" "${sound[@]}" -t 4 "${h264[@]}" -c:a libopus opus.flv
"$new" -loglevel error "${picture[@]}" "${larger[@]}" "${sound[@]}" "${sound[@]}" -t 4 -map 0 -map 1 -map 2 -map 3 "${h264[@]}" -c:a aac multi.flv

for name in hevc av1 opus multi; do
    ffprobe -loglevel quiet -count_packets -show_entries stream=codec_type,codec_name,width,nb_read_packets -of compact=p=0 "$name.flv" |
        sed "s/^/$name: /"
done | tee seen
grep -q '^hevc: codec_name=vp6f|codec_type=video|width=0|nb_read_packets=[12]$' seen
grep -q '^hevc: codec_name=aac|codec_type=audio|nb_read_packets=\(N/A\|1\)$' seen
grep -q '^av1: codec_name=vp6f|codec_type=video|width=0|nb_read_packets=[12]$' seen
grep -q '^av1: codec_name=aac|codec_type=audio|nb_read_packets=\(N/A\|1\)$' seen
grep -q '^opus: codec_name=unknown|codec_type=audio|nb_read_packets=203$' seen
grep -q '^multi: codec_name=h264|codec_type=video|width=320|nb_read_packets=100$' seen
grep -q '^multi: codec_name=flashsv2|codec_type=video|width=0|nb_read_packets=101$' seen
grep -q '^multi: codec_name=unknown|codec_type=audio' seen
echo "as described"
