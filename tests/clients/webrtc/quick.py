"""The clients that install quickly, against a server of its own: each publishes and plays where it has the role, and a call of the demo is held in
two tabs of Firefox and one of Chromium. Prints a table: client, role, codec, milliseconds from the offer to the first decoded picture. Ends with 1
where one has not decoded pictures and the tone of 440 Hz in time. A little more than a minute; `./check clients` runs it.

    ENVIRONMENT=DIRECTORY SERVER=target/debug/roomservice python3 tests/clients/webrtc/quick.py

`matrix.py` has all clients and codecs."""

import os
import sys
import time

import demo
from matrix import NODE, V313, Client, environment, verdict
from report import TONE
from server import Server

# libdatachannel by its binding for Python, which wants 3.13, or by that for Node.
DATACHANNEL = "libdatachannel" if os.path.exists(V313) else "node-datachannel"
# Who publishes, in which codec, and who plays it, with its words. GStreamer's certificates are RSA.
STREAMS = [
    ("aiortc", "VP8", ["aiortc", "gstreamer", DATACHANNEL, "werift", "firefox"]),
    ("gstreamer", "VP8", ["aiortc", "gstreamer"]),
    ("firefox", "VP8", ["aiortc", "werift"]),
    (DATACHANNEL, "H264", ["aiortc", DATACHANNEL]),
    ("werift", "H264", ["aiortc", "werift"]),
    ("ffmpeg9", "H264", ["aiortc", "chromium"]),
    ("aiortc key=SECP521R1", "H264", ["aiortc key=SECP224R1", DATACHANNEL]),
]
SECONDS = 4
# Of 25 to 30 a second, on a busy machine.
PICTURES = 30
# The first picture after the offer, in ms at most: three times what a machine takes that has nothing else to do. webrtcbin holds everything back
# for 200 ms; clients that carry packets have FFmpeg beside, which looks at them for up to 0.3 s.
FIRST = {"aiortc": 500, "chromium": 500, "firefox": 500, "gstreamer": 700}
FIRST_BESIDE = 2000
# A machine that is busy with something else makes any client late once.
TRIES = 3


def fault(name, report):
    """What is wrong with what a player says of itself."""
    if "connected_ms" not in report:
        return verdict(report)
    if report.get("frames", 0) < PICTURES:
        return f"{report.get('frames', 0)} pictures"
    # Without a sound card Firefox measures no tone, but how loud it is.
    if name == "firefox":
        if not report.get("energy"):
            return "no sound"
    elif not abs((report.get("hz") or 0) - TONE) < TONE / 10:
        return f"a tone of {report.get('hz')} Hz"
    longest = FIRST.get(name, FIRST_BESIDE)
    return f"first picture later than {longest} ms" if report["first_ms"] > longest else None


def label(name, report):
    """Its version and its words."""
    return " ".join([report.get("version", name.split()[0]), *name.split()[1:]])


def line(client, role, codec, report, why):
    numbers = "".join(f"{report.get(key) if report.get(key) is not None else '-'!s:>9}" for key in ("first_ms", "frames", "hz"))
    print(f"{client[:33]:<34}{role:<9}{codec:<6}{numbers}  {why or 'well'}", flush=True)


def client(name, role, codec, url, seconds):
    name, *words = name.split()
    return Client(name, role, codec, url, seconds, words)


def play(names, codec, url):
    """Each player's report and fault, those with one tried again alone."""
    found, left = {}, list(names)
    for _ in range(TRIES):
        running = [(name, client(name, "play", "default" if name == "aiortc" else codec, url, SECONDS)) for name in left]
        for name, player in running:
            player.join(60)
            player.stop()
            found[name] = (player.report, fault(name.split()[0], player.report))
        left = [name for name in left if found[name][1]]
        if not left:
            break
    return found


def stream(server, publisher, codec, names):
    """One publisher and its players; gives the number of faults."""
    urls = server.stream()
    source = client(publisher, "publish", codec, urls["whip"], 60)
    try:
        if not source.settled():
            line(publisher, "publish", codec, {}, verdict(source.report))
            return 1
        time.sleep(0.3)
        found = play(names, codec, urls["whep"])
    finally:
        source.stop()
    best = min((report for report, why in found.values() if not why), key=lambda report: report["first_ms"], default=None)
    line(label(publisher, source.report), "publish", codec, best or {}, None if best else "no player is content")
    for name, (report, why) in found.items():
        line(label(name, report), "play", codec, report, why)
    return sum(why is not None for _, why in found.values()) + (best is None)


def three(server):
    """The call of the demo."""
    faults, found = 0, None
    for _ in range(2):
        try:
            found = demo.call(server.base + "/", NODE, environment())
            break
        except (OSError, SystemExit, ValueError) as why:
            print(f"{'three':<34}{'demo':<9}{'VP8':<33}  {type(why).__name__} {why}", flush=True)
    if found is None:
        return 1
    for name, seen in found.items():
        told = "; ".join(f"{row['codec']} {row['frames']} pictures, sound {row['energy']:.2g}" for row in seen["rows"])
        faults += not seen["good"]
        verdict = f"sees and hears both {seen['ms']} ms after it came" if seen["good"] else "does not see and hear both"
        print(f"{name:<34}{'demo':<9}{'VP8':<33}  {verdict}: {told}", flush=True)
    return faults


def main():
    server = Server()
    print(f"{'client':<34}{'role':<9}{'codec':<6}{'first ms':>9}{'pictures':>9}{'Hz':>9}")
    try:
        faults = sum(stream(server, *each) for each in STREAMS) + three(server)
    finally:
        server.stop()
    print(f"{faults} faults" if faults else "each plays and is played")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())
