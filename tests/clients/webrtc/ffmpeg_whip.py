"""FFmpeg's whip muxer as publisher. FFMPEG9 names the program."""

import os
import re
import subprocess
import sys

from report import HEIGHT, RATE, TONE, WIDTH, Watch, arguments, say

VIDEO = {
    "H264": "-c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -g 50 -b:v 800k",
    "VP8": "-c:v libvpx -deadline realtime -cpu-used 8 -g 50 -b:v 800k",
    "H265": "-c:v libx265 -preset ultrafast -tune zerolatency -g 50 -b:v 800k",
    "AV1": "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 50 -b:v 800k",
    "VP9": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 50 -b:v 800k",
}


def main():
    role, codec, url, seconds, words = arguments()
    program = os.environ["FFMPEG9"]
    version = subprocess.run([program, "-version"], capture_output=True, text=True).stdout.split()[2]
    say(version=f"FFmpeg {version}")
    if role != "publish":
        return say(unable="FFmpeg has no WHEP player")
    command = [program, "-nostdin", "-hide_banner", "-v", "verbose", "-t", str(seconds)]
    command += ["-re", "-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE}"]
    command += ["-re", "-f", "lavfi", "-i", f"sine=frequency={TONE}:sample_rate=48000", "-t", str(seconds)]
    command += VIDEO[codec].split() + "-pix_fmt yuv420p -c:a libopus -ac 2 -f whip".split() + [url]
    clock = Watch()
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in child.stderr:
        lines.append(line.strip())
        # FFmpeg writes this when the muxer's header is done: ICE, DTLS and SRTP stand.
        if line.startswith("Output #0, whip"):
            say(connected_ms=clock.ms(), status=201, connection_state="connected")
    code = child.wait()
    if code:
        said = [s for s in lines if re.search(r"whip|http|dtls|error|Error", s)]
        say(stopped=" / ".join(said[-6:]) or f"exit {code}")
        status = re.search(r"HTTP error (\d+)[^/]*", " ".join(lines))
        if status:
            say(status=int(status.group(1)), body=status.group(0))
    else:
        say(told=[s for s in lines if "[whip" in s][:20])


main()
sys.exit(0)
