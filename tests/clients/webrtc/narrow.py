"""A viewer behind a bad network: what it sees and hears, in Chromium or aiortc.

    ENVIRONMENT=DIRECTORY SERVER=target/debug/roomservice python3 tests/clients/webrtc/narrow.py [--only WORD …] [--aiortc]

Needs root (TUN, namespaces), ffmpeg and Chromium."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import network
from server import Server

HERE = pathlib.Path(__file__).resolve().parent
ADDRESS = "10.98.0.1"
# Name, network, kbit/s of the stream (a word: the quantizer of a picture of noise, whose keyframes are megabytes), seconds.
CASES = [
    ("clean", {"delay": 0.01, "up": {"delay": 0.01}}, 1_500, 20),
    ("1.4 of 1.5", {"rate": 1_400_000, "delay": 0.02, "up": {"delay": 0.02}}, 1_500, 20),
    ("0.5 of 1.5", {"rate": 500_000, "delay": 0.02, "up": {"delay": 0.02}}, 1_500, 20),
    ("loss 5", {"loss": 0.05, "delay": 0.075, "up": {"delay": 0.075}}, 1_500, 15),
    # Without the network, which is slower than that. Chromium takes 2,047 packets of a picture, 2.3 MB.
    ("key 1.4 MB", None, "28", 12),
    ("key 2.0 MB", None, "20", 12),
]


def feed(url, rate):
    """25 frames a second, a keyframe each 2 s."""
    if isinstance(rate, str):
        noise = "nullsrc=size=1920x1080:rate=25,geq=lum='random(1)*255':cb=128:cr=128,trim=end_frame=1,loop=-1:1"
        picture, size = ["-f", "lavfi", "-i", noise], ["-qp", rate]
    else:
        picture = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25"]
        size = ["-b:v", f"{rate}k", "-maxrate", f"{rate}k", "-bufsize", f"{rate}k", "-nal-hrd", "cbr"]
    words = ["ffmpeg", "-nostdin", "-v", "error", "-re", *picture]
    words += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-c:v", "libx264", "-preset", "ultrafast"]
    words += ["-tune", "zerolatency", "-profile:v", "baseline", "-g", "50", "-pix_fmt", "yuv420p", *size, "-c:a", "aac"]
    return subprocess.Popen(["nice", "-n", "5", *words, "-f", "flv", url], stdin=subprocess.DEVNULL)


def watch(url, seconds, inside, aiortc):
    tools = pathlib.Path(os.environ["ENVIRONMENT"])
    words = [str(tools / "js/node_modules/node/bin/node"), str(HERE / "narrow.mjs"), url, str(seconds)]
    if aiortc:
        words = [str(tools / "venv/bin/python"), str(HERE / "rtc.py"), "play", "H264", url, str(seconds)]
    ran = subprocess.run(
        [*(["ip", "netns", "exec", network.NAMESPACE] if inside else []), "nice", "-n", "5", *words],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        env={**os.environ, "NODE_MODULES": str(tools / "js/node_modules")},
    )
    if ran.returncode:
        return {"stopped": ran.stderr[-2000:]}
    told = {key: value for line in ran.stdout.splitlines() for key, value in json.loads(line).items()}
    return {key: value for key, value in told.items() if key not in ("offer", "answer", "able")}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--aiortc", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    cases = [case for case in CASES if not given.only or any(word in case[0] for word in given.only)]
    net = subprocess.Popen([sys.executable, str(HERE / "network.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert net.stdout.readline() == "ready\n"
    if not given.verbose:
        subprocess.Popen(["cat"], stdin=net.stdout, stdout=subprocess.DEVNULL)
    else:
        subprocess.Popen(["cat"], stdin=net.stdout, stdout=sys.stderr)
    server = Server(ADDRESS, host=ADDRESS)
    try:
        for name, settings, rate, seconds in cases:
            stream = server.stream()
            source = feed(stream["rtmp"], rate)
            time.sleep(4)
            net.stdin.write(json.dumps(settings or {}) + "\n")
            net.stdin.flush()
            seen = watch(stream["whep"], seconds, settings is not None, given.aiortc)
            each = seen.pop("each", [])
            print(f"{name:12} {json.dumps(seen)}", flush=True)
            if given.verbose:
                print(f"             {each}", flush=True)
            net.stdin.write("{}\n")
            net.stdin.flush()
            source.terminate()
            source.wait()
        for line in server.warnings() if given.verbose else []:
            print(line)
    finally:
        server.stop()
        net.stdin.close()
        net.wait()


if __name__ == "__main__":
    main()
