"""Runs WebRTC clients against a server of its own and prints a table: client, role, codec, what was seen.

    ENVIRONMENT=DIRECTORY SERVER=target/debug/roomservice python3 tests/clients/webrtc/matrix.py [--only WORD …]

A publisher is watched by Chromium (H265: by GStreamer), and its row shows what that viewer decoded. Players play H264, H265,
VP9 and AV1 that FFmpeg pushes by RTMP, and VP8 that Chromium publishes. `setup.sh DIRECTORY` installs the clients."""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

from server import Server

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = pathlib.Path(os.environ.get("ENVIRONMENT", "/tmp/roomservice-webrtc-clients"))
FFMPEG9 = next(TOOLS.glob("venv/lib/python3*/site-packages/imageio_ffmpeg/binaries/ffmpeg-linux*"), None)
OWN_NODE = TOOLS / "js/node_modules/node/bin/node"
NODE = str(OWN_NODE) if OWN_NODE.exists() else "node"
VENV = str(TOOLS / "venv/bin/python")
V313 = str(TOOLS / "v313/bin/python")

PROGRAMS = {
    "gstreamer": ["/usr/bin/python3", "gst.py"],
    "aiortc": [VENV, "rtc.py"],
    "chromium": [NODE, "chromium.mjs"],
    "firefox": ["/usr/bin/python3", "firefox.py"],
    "ffmpeg9": ["/usr/bin/python3", "ffmpeg_whip.py"],
    "libdatachannel": [V313, "datachannel.py"],
    "node-datachannel": [NODE, "nodedc.mjs"],
    "werift": [NODE, "werift.mjs"],
    "wrtc": [NODE, "wrtc.mjs"],
}
# Client, its words, codecs to publish, codecs to play.
CLIENTS = [
    ("gstreamer", [], "H264 VP8 VP9 H265", "H264 VP8 VP9 H265"),
    ("gstreamer", ["alone"], "H264", "H264"),
    ("gstreamer", ["lines=sound"], "VP8", "VP8"),
    ("aiortc", [], "default VP8 H264", "default VP8 H264"),
    ("aiortc", ["key=SECP224R1"], "VP8", "VP8"),
    ("aiortc", ["key=SECP384R1"], "VP8", "VP8"),
    ("aiortc", ["key=SECP521R1"], "VP8", "VP8"),
    ("chromium", [], "default VP8 VP9 AV1 H264 H265", "default VP8 VP9 AV1 H264 H265"),
    ("chromium", ["rsa"], "H264 VP8", "H264 VP8"),
    ("firefox", [], "default VP8 VP9 AV1 H264", "default VP8 VP9 AV1 H264"),
    ("firefox", ["lines=sound"], "VP8", "VP8"),
    ("firefox", ["loopback"], "VP8 VP9 AV1 H264", "VP8 VP9 AV1 H264"),
    ("libdatachannel", [], "H264 VP8 VP9 AV1 H265", "H264 VP8 VP9 AV1 H265"),
    ("libdatachannel", ["rsa"], "H264", "H264"),
    ("node-datachannel", [], "H264 VP8 VP9 AV1 H265", "H264 VP8 VP9 AV1 H265"),
    ("werift", [], "default H264 VP8 VP9 AV1", "default H264 VP8 VP9 AV1"),
    ("wrtc", [], "default VP8 VP9 AV1 H264", "default VP8 VP9 AV1 H264"),
    ("ffmpeg9", [], "H264", ""),
]
# Players with an offer that is not of the stream's codec alone: client, offer, the stream's codec, who publishes it.
CROSS = [
    ("chromium", "default", "VP9", "rtmp"),
    ("chromium", "default", "AV1", "rtmp"),
    ("chromium", "default", "H265", "rtmp"),
    ("chromium", "default", "VP9-10", "rtmp"),
    ("chromium", "default", "AV1-10", "rtmp"),
    ("firefox", "default", "AV1-10", "rtmp"),
    ("chromium", "default", "VP8", "firefox"),
    ("chromium", "default", "VP8", "aiortc"),
    ("firefox", "default", "H264", "rtmp"),
    ("firefox", "default", "VP9", "rtmp"),
    ("firefox", "default", "AV1", "rtmp"),
    ("firefox", "default", "VP8", "firefox"),
    ("firefox", "default", "VP8", "gstreamer"),
    ("aiortc", "default", "VP9", "rtmp"),
    ("aiortc", "default", "VP8", "firefox"),
    ("wrtc", "default", "AV1", "rtmp"),
    ("wrtc", "default", "H264", "rtmp"),
    ("gstreamer", "VP8", "VP8", "firefox"),
    ("gstreamer", "VP8", "H264", "rtmp"),
]
# What players are given: codec of a `default` player, and who publishes each codec. `-10` has 10 bits.
DEFAULT = "VP8"
RTMP = {
    "H264": "-c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -g 25 -b:v 800k",
    "H265": "-c:v libx265 -preset ultrafast -tune zerolatency -g 25 -b:v 800k -x265-params log-level=none",
    "VP9": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 800k -row-mt 1",
    "AV1": "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 25 -b:v 800k -row-mt 1",
}


RUNNING = []
# What every client runs under: a namespace of its own, for far.py.
WITHIN = []


def environment():
    """What clients find their libraries by."""
    return {**os.environ, "NODE_MODULES": str(TOOLS / "js/node_modules"), "FFMPEG9": str(FFMPEG9)}


class Client(threading.Thread):
    """One run of a client; `report` grows while it says more."""

    def __init__(self, name, role, codec, url, seconds, words=()):
        super().__init__(daemon=True)
        program, script = PROGRAMS[name]
        self.report, self.connected = {"tail": []}, threading.Event()
        RUNNING.append(self)
        self.child = subprocess.Popen(
            [*WITHIN, "timeout", "-k", "2", str(seconds + 100), "nice", program, str(HERE / script), role, codec, url]
            + [str(seconds), *words],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.start()

    def run(self):
        for line in self.child.stdout:
            try:
                fields = json.loads(line)
            except ValueError:
                fields = None
            if not isinstance(fields, dict):
                self.report["tail"] = self.report["tail"][-4:] + [line.rstrip()[:300]]
                continue
            self.report.update(fields)
            if "connected_ms" in fields or "unable" in fields or "stopped" in fields:
                self.connected.set()
        self.report["exit"] = self.child.wait()
        self.connected.set()

    def settled(self, start=80, connect=10):
        """Waits until it is connected or has stopped; the longest times are for its start, and from the answer on."""
        end = time.monotonic() + start
        answered = False
        while not self.connected.wait(0.1) and time.monotonic() < end:
            if not answered and "status" in self.report:
                answered, end = True, time.monotonic() + connect
        return "connected_ms" in self.report

    def stop(self):
        for how, wait in ((signal.SIGTERM, 3), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.child.pid, how)
            except ProcessLookupError:
                pass
            self.join(wait)
            if not self.is_alive():
                return


def push(codec, url):
    """Pushes a test picture and a tone by RTMP; codecs other than H.264 by enhanced RTMP, which FFmpeg 9 has."""
    command = [str(FFMPEG9), "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
    command += ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
    plain, _, bits = codec.partition("-")
    command += RTMP[plain].split() + ["-pix_fmt", f"yuv420p{bits}le" if bits else "yuv420p"]
    command += "-c:a aac -b:a 96k -f flv".split() + [url]
    return subprocess.Popen(["nice", *command], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def verdict(report):
    """Where a client came to, in a few words."""
    if "unable" in report:
        return report["unable"]
    if report.get("status", 201) != 201:
        return f"HTTP {report['status']} {report.get('body', '').strip()[:160]}"
    if "connected_ms" not in report:
        states = [f"{k} {report[k + '_state']}" for k in ("ice_connection", "connection") if k + "_state" in report]
        where = ", ".join(states) or ("201, then no state" if "answer" in report else "no answer")
        tail = report.get("stopped") or " / ".join(report["tail"][-2:])
        return f"not connected ({where}{refused(report)}) {tail[:200]}"
    return "connected" + refused(report)


def refused(report):
    """The kinds of lines that the answer refuses."""
    kinds = re.findall(r"^m=(\w+) 0 ", report.get("answer", ""), re.MULTILINE)
    return f"; refused in the answer: {' '.join(kinds)}" if kinds else ""


class Table:
    def __init__(self, server, options):
        self.server, self.options, self.rows = server, options, []
        self.sources = {}

    def row(self, name, words, role, codec, report, seen):
        label = " ".join([name, *words])
        warnings = self.server.warnings()
        self.rows.append({"client": label, "role": role, "codec": codec, "report": report, "seen": seen, "server": warnings})
        numbers = "".join(
            f"{str(seen.get(key, report.get(key)) if seen.get(key, report.get(key)) is not None else '-'):>9}"
            for key in ("first_ms", "fps", "surplus", "samples", "hz")
        )
        connected = report.get("connected_ms", "-")
        print(f"{label:<29}{role:<8}{codec:<13}{connected!s:>6}{numbers}  {verdict(report)}", flush=True)
        if role == "publish" and "connected_ms" in report:
            print(f"{'':<50}its viewer: {verdict(seen)} {seen.get('size', '')}")
        for line in warnings[-2:] if "connected_ms" not in report else []:
            print(f"{'':<50}server: {line[:220]}")
        if self.options.offers and "offer" in report:
            at = pathlib.Path(self.options.offers)
            at.mkdir(parents=True, exist_ok=True)
            text = f"{report['offer']}\n--- answer {report.get('status')}\n{report.get('answer', report.get('body', ''))}\n"
            at.joinpath(f"{label.replace(' ', '+')}.{role}.{codec}.sdp").write_text(text.replace("\r", ""))

    def publish(self, name, words, codec):
        urls = self.server.stream()
        seconds = self.options.seconds
        client = Client(name, "publish", codec, urls["whip"], seconds + 60, words)
        seen = {"tail": []}
        if client.settled():
            time.sleep(1)
            viewer, its = ("gstreamer", "H265") if codec == "H265" else ("chromium", "default")
            watching = Client(viewer, "play", its, urls["whep"], seconds, [])
            watching.child.wait()
            watching.join(5)
            seen = watching.report
            watching.stop()
        client.stop()
        self.row(name, words, "publish", codec, client.report, seen)

    def source(self, codec, way):
        """The WHEP URL of a stream of a codec, published once for all players."""
        key = (codec, way)
        if key not in self.sources:
            urls = self.server.stream()
            if way == "rtmp":
                running = push(codec, urls["rtmp"])
                time.sleep(3)
                if running.poll() is not None:
                    first = running.stderr.read().decode("utf8", "replace").splitlines()[:1]
                    print(f"{'':<29}no source of {codec} by RTMP: {first}", flush=True)
            else:
                running = Client(way, "publish", codec, urls["whip"], 3000, [])
                if not running.settled():
                    print(f"{'':<29}no source of {codec} from {way}: {verdict(running.report)}", flush=True)
            self.sources[key] = (urls["whep"], running)
        return self.sources[key][0]

    def play(self, name, words, codec, way=None, of=None):
        of = of or (DEFAULT if codec == "default" else codec)
        way = way or ("chromium" if of == "VP8" else "rtmp")
        url = self.source(of, way)
        self.server.warnings()
        client = Client(name, "play", codec, url, self.options.seconds, words)
        client.child.wait()
        client.join(5)
        client.stop()
        shown = codec if codec == of else f"{codec}←{of}"
        self.row(f"{name}←{way}", words, "play", shown, client.report, {})

    def end(self):
        for client in RUNNING:
            if client.is_alive():
                client.stop()
        for _, running in self.sources.values():
            if isinstance(running, subprocess.Popen):
                running.kill()
                running.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[], help="rows whose client, role and codec hold all of these words")
    parser.add_argument("--offers", help="a directory for every offer and answer")
    parser.add_argument("--address", help="where the server's WebRTC listens, instead of 127.0.0.1")
    parser.add_argument("--json", help="a file for everything that was reported")
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    table = Table(server := Server(options.address), options)
    print(f"{'client':<29}{'role':<8}{'codec':<13}{'conn':>6}{'first':>9}{'fps':>9}{'surplus':>9}{'samples':>9}{'Hz':>9}  what happened")
    try:
        for name, words, publishes, plays in CLIENTS:
            for role, codecs in (("publish", publishes), ("play", plays)):
                for codec in codecs.split():
                    if not all(word in [name, role, codec, *words] for word in options.only):
                        continue
                    (table.publish if role == "publish" else table.play)(name, words, codec)
        for name, offer, of, way in CROSS:
            if all(word in [name, "play", "cross", offer, of] for word in options.only):
                table.play(name, [], offer, way, of)
    finally:
        table.end()
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(table.rows, indent=1))
        server.stop()


if __name__ == "__main__":
    main()
