"""The clients that install quickly, against a server of its own: aiortc and GStreamer publish, and both play each of their streams. Ends with 1
where a player has not decoded pictures and sound. Under a minute; `./check clients` runs it.

    ENVIRONMENT=DIRECTORY SERVER=target/debug/roomservice python3 tests/clients/webrtc/quick.py

`matrix.py` has all clients and codecs."""

import sys
import time

from matrix import Client, verdict
from server import Server

# Who publishes, in which codec, and who plays it with which offer. GStreamer's certificates are RSA.
STREAMS = [
    ("aiortc", "VP8", [("aiortc", "default"), ("gstreamer", "VP8")]),
    ("gstreamer", "VP8", [("aiortc", "default"), ("gstreamer", "VP8")]),
    ("aiortc", "H264", [("aiortc", "default")]),
]
SECONDS = 4
# Of 25 to 30 a second, on a busy machine.
PICTURES = 30


def fault(report):
    """What is wrong with what a player says of itself."""
    if "connected_ms" not in report:
        return verdict(report)
    if report.get("frames", 0) < PICTURES:
        return f"{report.get('frames', 0)} pictures"
    return None if report.get("hz") else "no sound"


def main():
    server, running, faults = Server(), [], 0
    try:
        for publisher, codec, players in STREAMS:
            urls = server.stream()
            source = Client(publisher, "publish", codec, urls["whip"], 30)
            running.append(source)
            if not source.settled():
                faults += 1
                print(f"{publisher} publishes {codec}: {verdict(source.report)}", flush=True)
                continue
            time.sleep(0.5)
            watching = [(name, Client(name, "play", offer, urls["whep"], SECONDS)) for name, offer in players]
            running += [client for _, client in watching]
            for name, client in watching:
                client.join(60)
                why = fault(client.report)
                faults += why is not None
                seen = f"first picture after {client.report.get('first_ms')} ms, {client.report.get('frames')} pictures"
                print(f"{publisher} publishes {codec}, {name} plays: {why or seen}", flush=True)
            source.stop()
    finally:
        for client in running:
            if client.is_alive():
                client.stop()
        server.stop()
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())
