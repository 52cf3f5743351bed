"""aiortc as WHIP publisher and WHEP player. The codec `default` offers what aiortc offers by itself. `key=CURVE` gives it a certificate with
a key on that curve (SECP224R1, SECP384R1, SECP521R1) in place of its own, which is on P-256."""

import asyncio
import fractions
import time

import aiortc
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription, VideoStreamTrack
from aiortc.rtcdtlstransport import RTCCertificate, generate_certificate
from cryptography.hazmat.primitives.asymmetric import ec

from report import HEIGHT, TONE, WIDTH, Seen, arguments, post, request, say


class Picture(VideoStreamTrack):
    count = 0

    async def recv(self):
        at, base = await self.next_timestamp()
        image = np.full((HEIGHT, WIDTH, 3), (self.count * 3) % 255, np.uint8)
        left = (self.count * 7) % (WIDTH - 40)
        image[:, left : left + 40] = (255, 0, 0)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = at, base
        self.count += 1
        return frame


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self):
        super().__init__()
        self.at, self.start = 0, time.monotonic()

    async def recv(self):
        await asyncio.sleep(max(0, self.start + self.at / 48_000 - time.monotonic()))
        wave = np.sin(2 * np.pi * TONE * (np.arange(960) + self.at) / 48_000) * 8000
        frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        frame.planes[0].update(np.repeat(wave.astype(np.int16), 2).tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self.at, fractions.Fraction(1, 48_000)
        self.at += 960
        return frame


async def watch(track, seen):
    mono = av.AudioResampler("flt", "mono", 48_000)
    while True:
        try:
            frame = await track.recv()
        except aiortc.mediastreams.MediaStreamError:
            return
        if track.kind == "video":
            seen.picture(frame.width, frame.height)
        else:
            for part in mono.resample(frame):
                seen.sound(part.to_ndarray()[0])


def lines(pc, role, codec, words):
    kinds = ("audio", "video") if "lines=sound" in words else ("video", "audio")
    for kind in kinds:
        if role == "publish":
            pc.addTransceiver(Picture() if kind == "video" else Tone(), direction="sendonly")
        else:
            pc.addTransceiver(kind, direction="recvonly")
    if codec != "default":
        able = RTCRtpReceiver.getCapabilities("video").codecs
        wanted = [c for c in able if c.mimeType.upper() == f"VIDEO/{codec}"]
        say(able=sorted({c.mimeType for c in able}))
        if not wanted:
            return False
        rest = [c for c in able if c.mimeType == "video/rtx"]
        next(t for t in pc.getTransceivers() if t.kind == "video").setCodecPreferences(wanted + rest)
    return True


def take_key(words):
    """Certificates with a key on the curve that is asked for."""
    for word in words:
        if word.startswith("key="):
            key = ec.generate_private_key(getattr(ec, word.removeprefix("key="))())
            made = RTCCertificate(key=key, cert=generate_certificate(key))
            RTCCertificate.generateCertificate = classmethod(lambda _: made)


async def main():
    role, codec, url, seconds, words = arguments()
    say(version=f"aiortc {aiortc.__version__}")
    take_key(words)
    pc = RTCPeerConnection()
    if not lines(pc, role, codec, words):
        return say(unable=f"aiortc has no {codec}")
    await pc.setLocalDescription(await pc.createOffer())
    text, clock, place = await asyncio.to_thread(post, url, pc.localDescription.sdp)
    if text is None:
        return say(stopped="refused")
    seen, tasks = Seen(clock), []
    pc.on("track", lambda track: tasks.append(asyncio.ensure_future(watch(track, seen))))

    @pc.on("connectionstatechange")
    def changed():
        say(connection_state=pc.connectionState)
        if pc.connectionState == "connected":
            say(connected_ms=clock.ms())

    pc.on("iceconnectionstatechange", lambda: say(ice_connection_state=pc.iceConnectionState))
    await pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
    await asyncio.sleep(seconds)
    if role == "play":
        seen.tell()
    say(deleted=(await asyncio.to_thread(request, "DELETE", place))[0])
    await pc.close()


asyncio.run(main())
