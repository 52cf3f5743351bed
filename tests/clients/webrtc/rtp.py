"""RTP made and decoded by FFmpeg, for libraries that carry packets and have no codecs: FFMPEG9 names the program."""

import array
import os
import pathlib
import random
import socket
import subprocess
import tempfile
import threading
import time

from report import HEIGHT, RATE, TONE, WIDTH

PROGRAM = os.environ.get("FFMPEG9", "ffmpeg")
QUIET = [PROGRAM, "-nostdin", "-hide_banner", "-v", "error"]
ENCODERS = {
    "H264": "libx264 -preset ultrafast -tune zerolatency -profile:v baseline",
    "VP8": "libvpx -deadline realtime -cpu-used 8",
    "VP9": "libvpx-vp9 -deadline realtime -cpu-used 8",
    "AV1": "libaom-av1 -usage realtime -cpu-used 8",
    "H265": "libx265 -preset ultrafast -tune zerolatency -x265-params log-level=none",
}
VIDEO, AUDIO = 96, 97


def is_rtp(packet):
    return len(packet) > 12 and packet[0] >> 6 == 2 and not 64 <= packet[1] & 127 < 96


def marked(packet, payload, ssrc=None):
    """A packet with another payload type, and another source."""
    head = bytes([packet[0], packet[1] & 128 | payload])
    return head + packet[2:8] + (ssrc.to_bytes(4, "big") if ssrc else packet[8:12]) + packet[12:]


class Source:
    """Calls `video(packet)` and `audio(packet)` as they come from FFmpeg."""

    def __init__(self, codec, video, audio):
        ports = [self.listen(handler) for handler in (video, audio)]
        command = [*QUIET, "-re", "-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE}"]
        command += ["-re", "-f", "lavfi", "-i", f"sine=frequency={TONE}:sample_rate=48000"]
        command += ["-map", "0:v", "-pix_fmt", "yuv420p", "-c:v", *ENCODERS[codec].split(), "-g", str(RATE), "-b:v", "800k"]
        command += ["-strict", "experimental", "-payload_type", str(VIDEO), "-f", "rtp", self.url(ports[0])]
        command += ["-map", "1:a", "-c:a", "libopus", "-ac", "2", "-payload_type", str(AUDIO), "-f", "rtp", self.url(ports[1])]
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    @staticmethod
    def url(port):
        return f"rtp://127.0.0.1:{port}?pkt_size=1200"

    @staticmethod
    def listen(handler):
        to = socket.socket(type=socket.SOCK_DGRAM)
        to.bind(("127.0.0.1", 0))

        def read():
            while True:
                packet = to.recv(2048)
                if is_rtp(packet):
                    handler(packet)

        threading.Thread(target=read, daemon=True).start()
        return to.getsockname()[1]

    def stop(self):
        self.child.kill()


class Sink:
    """Decodes what it is given with FFmpeg and counts it in a Seen."""

    def __init__(self, codec, seen):
        self.seen, self.children = seen, []
        self.scratch = tempfile.TemporaryDirectory(prefix="rtp-")
        self.out = socket.socket(type=socket.SOCK_DGRAM)
        low = ["-protocol_whitelist", "file,udp,rtp", "-fflags", "nobuffer", "-analyzeduration", "300000", "-probesize", "20000"]
        self.ports = {"video": self.pair(), "audio": self.pair()}
        lines = {"video": (VIDEO, f"{codec}/90000"), "audio": (AUDIO, "opus/48000/2")}
        after = {
            "video": ["-f", "framecrc", "-flush_packets", "1", "-fps_mode", "passthrough", "-"],
            "audio": ["-f", "f32le", "-ac", "1", "-ar", "48000", "-flush_packets", "1", "-"],
        }
        for kind, (payload, name) in lines.items():
            sdp = pathlib.Path(self.scratch.name, kind + ".sdp")
            head = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
            sdp.write_text(f"{head}m={kind} {self.ports[kind]} RTP/AVP {payload}\na=rtpmap:{payload} {name}\n")
            command = [*QUIET, *low, "-i", str(sdp), *after[kind]]
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.children.append(child)
            threading.Thread(target=getattr(self, kind + "s"), args=(child.stdout,), daemon=True).start()
        for port in self.ports.values():
            self.opened(port)

    @staticmethod
    def opened(port):
        """Waits until FFmpeg listens: what comes earlier would be lost."""
        for _ in range(100):
            try:
                with socket.socket(type=socket.SOCK_DGRAM) as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                return
            time.sleep(0.05)

    @staticmethod
    def pair():
        """A port whose next one is free too, for RTCP."""
        while True:
            port = random.randrange(20_000, 60_000, 2)
            try:
                with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
                    a.bind(("127.0.0.1", port))
                    b.bind(("127.0.0.1", port + 1))
                    return port
            except OSError:
                continue

    def give(self, kind, packet):
        if is_rtp(packet):
            packet = marked(packet, VIDEO if kind == "video" else AUDIO)
            self.out.sendto(packet, ("127.0.0.1", self.ports[kind]))

    def videos(self, out):
        size = None
        for line in out:
            if line.startswith(b"#dimensions"):
                size = line.split()[-1].decode().split("x")
            elif not line.startswith(b"#"):
                self.seen.picture(*size)

    def audios(self, out):
        while data := out.read(1920):
            self.seen.sound(array.array("f", data[: len(data) & ~3]))

    def stop(self):
        for child in self.children:
            child.kill()
        self.scratch.cleanup()
