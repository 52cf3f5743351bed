"""How long clients take from the answer to "connected" over a long path, in round trips.

    ENVIRONMENT=DIRECTORY SERVER=target/debug/roomservice python3 tests/clients/webrtc/far.py [--only CLIENT …] [--trips MS …] [--runs N]

Needs root (TUN, namespaces) and ffmpeg. A run of `unshare -nm` with its loopback up keeps it apart from others."""

import argparse
import json
import statistics
import subprocess
import sys
import time

import matrix
import network
from narrow import ADDRESS, feed
from server import Server

# Client, and the codec that it publishes and plays; VP8 is only published.
CLIENTS = [
    ("chromium", "H264"),
    ("firefox", "VP8"),
    ("aiortc", "H264"),
    ("werift", "H264"),
    ("node-datachannel", "H264"),
    ("wrtc", "VP8"),
]


def connect(client, role, codec, url):
    """Milliseconds from the answer on, or what happened instead."""
    running = matrix.Client(client, role, codec, url, 2.5)
    connected = running.settled(connect=20)
    time.sleep(0.5)
    running.stop()
    report = running.report
    return report["connected_ms"] - report["answered_ms"] if connected else matrix.verdict(report)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--trips", nargs="*", type=int, default=[150, 300])
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    net = subprocess.Popen([sys.executable, str(matrix.HERE / "network.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert net.stdout.readline() == "ready\n"
    subprocess.Popen(["cat"], stdin=net.stdout, stdout=subprocess.DEVNULL)
    matrix.WITHIN.extend(["ip", "netns", "exec", network.NAMESPACE])
    server = Server(ADDRESS, host=ADDRESS)
    source = feed((played := server.stream())["rtmp"], 500)
    time.sleep(3)
    try:
        for trip in given.trips:
            delay = {"delay": trip / 2000}
            net.stdin.write(json.dumps({**delay, "up": delay}) + "\n")
            net.stdin.flush()
            for client, codec in CLIENTS:
                if given.only and client not in given.only:
                    continue
                for role in ("publish", "play"):
                    if role == "play" and codec != "H264":
                        continue
                    took = []
                    for _ in range(given.runs):
                        url = server.stream()["whip"] if role == "publish" else played["whep"]
                        took.append(connect(client, role, codec, url))
                    numbers = [ms for ms in took if isinstance(ms, int)]
                    trips = f"{statistics.median(numbers) / trip:.1f} round trips" if numbers else ""
                    print(f"{trip:>4} ms  {client:<18}{role:<9}{trips:<18}{took}", flush=True)
        for line in server.warnings():
            print(line)
    finally:
        source.terminate()
        server.stop()
        net.stdin.close()
        net.wait()


if __name__ == "__main__":
    main()
