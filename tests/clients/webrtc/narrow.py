"""A viewer behind a bad network: what it sees and hears, in Chromium.

    ENVIRONMENT=DIRECTORY SERVER=target/debug/roomservice python3 tests/clients/webrtc/narrow.py [--only WORD …] [--verbose]

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
# Name, network, kbit/s of the stream, keyframe each so many of 25 frames a second, seconds.
CASES = [
    ("clean", {"delay": 0.01, "up": {"delay": 0.01}}, 1_500, 50, 20),
    ("1.4 of 1.5", {"rate": 1_400_000, "delay": 0.02, "up": {"delay": 0.02}}, 1_500, 50, 20),
    ("0.5 of 1.5", {"rate": 500_000, "delay": 0.02, "up": {"delay": 0.02}}, 1_500, 50, 20),
    ("loss 5", {"loss": 0.05, "delay": 0.075, "up": {"delay": 0.075}}, 1_500, 50, 15),
]


def feed(url, kilobits, group, audio=True):
    rate = f"{kilobits}k"
    words = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25"]
    words += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"] if audio else []
    words += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-g", str(group)]
    words += ["-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-pix_fmt", "yuv420p", "-nal-hrd", "cbr", "-c:a", "aac"]
    return subprocess.Popen(["nice", "-n", "5", *words, "-f", "flv", url], stdin=subprocess.DEVNULL)


def watch(url, seconds):
    node = pathlib.Path(os.environ["ENVIRONMENT"], "js/node_modules/node/bin/node")
    modules = pathlib.Path(os.environ["ENVIRONMENT"], "js/node_modules")
    words = ["ip", "netns", "exec", network.NAMESPACE, "nice", "-n", "5", str(node), str(HERE / "narrow.mjs"), url, str(seconds)]
    ran = subprocess.run(
        words, capture_output=True, text=True, timeout=seconds + 60, env={**os.environ, "NODE_MODULES": str(modules)}
    )
    if ran.returncode:
        return {"stopped": ran.stderr[-2000:]}
    return json.loads(ran.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
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
        for name, settings, kilobits, group, seconds in cases:
            stream = server.stream()
            source = feed(stream["rtmp"], kilobits, group)
            time.sleep(4)
            net.stdin.write(json.dumps(settings) + "\n")
            net.stdin.flush()
            seen = watch(stream["whep"], seconds)
            each = seen.pop("each", [])
            print(f"{name:12} {json.dumps(seen)}", flush=True)
            if given.verbose:
                print(f"             {each}", flush=True)
            net.stdin.write("{}\n")
            net.stdin.flush()
            source.terminate()
            source.wait()
        if os.environ.get("NARROW_TRACE"):
            pathlib.Path("/tmp/narrow/trace").write_text(server.log_path.read_text())
        for line in server.warnings() if given.verbose else []:
            print(line)
    finally:
        server.stop()
        net.stdin.close()
        net.wait()


if __name__ == "__main__":
    main()
