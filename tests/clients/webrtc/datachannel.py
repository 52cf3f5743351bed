"""libdatachannel by its Python binding as WHIP publisher and WHEP player, with FFmpeg's codecs. Word: `rsa`."""

import os
import sys
import threading
import time

import libdatachannel as rtc
import rtp

from report import Seen, Watch, arguments, post, request, say

H264 = "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1"


def video(codec, direction):
    line = rtc.Description.Video("0", direction)
    if codec == "H264":
        line.add_h264_codec(rtp.VIDEO, H264)
    else:
        getattr(line, f"add_{codec.lower()}_codec")(rtp.VIDEO)
    return line


def audio(direction):
    line = rtc.Description.Audio("1", direction)
    line.add_opus_codec(rtp.AUDIO)
    return line


def negotiate(pc, url):
    """Gives the watch and the session's place, or None for it."""
    state, gathered, clock = rtc.PeerConnection.State, threading.Event(), Watch()
    complete = rtc.PeerConnection.GatheringState.Complete
    pc.on_gathering_state_change(lambda s: gathered.set() if s == complete else None)

    def changed(now):
        say(connection_state=str(now).split(".")[-1])
        if now == state.Connected:
            say(connected_ms=clock.ms())

    pc.on_state_change(changed)
    pc.on_ice_state_change(lambda s: say(ice_connection_state=str(s).split(".")[-1]))
    pc.set_local_description(rtc.Description.Type.Offer)
    gathered.wait(5)
    clock.start = time.monotonic()
    text, _, place = post(url, str(pc.local_description()))
    if text:
        pc.set_remote_description(rtc.Description(text, rtc.Description.Type.Answer))
    return clock, place


def main():
    role, codec, url, seconds, words = arguments()
    say(version="libdatachannel-py 2026.1.0")
    config = rtc.Configuration()
    config.disable_auto_negotiation = True
    if "rsa" in words:
        config.certificate_type = rtc.CertificateType.Rsa
    pc = rtc.PeerConnection(config)
    send = role == "publish"
    direction = rtc.Description.Direction.SendOnly if send else rtc.Description.Direction.RecvOnly
    lines = {"video": video(codec, direction), "audio": audio(direction)}
    sources = {"video": 1111, "audio": 2222}
    tracks, seen = {}, Seen(Watch())
    sink = None if send else rtp.Sink(codec, seen)
    for kind, line in lines.items():
        if send:
            line.add_ssrc(sources[kind], "camera", "stream", kind)
        tracks[kind] = pc.add_track(line)
        if not send:
            tracks[kind].set_media_handler(rtc.RtcpReceivingSession())
            tracks[kind].on_message(lambda data, kind=kind: sink.give(kind, bytes(data)), lambda text: None)
    seen.clock, place = negotiate(pc, url)
    if place is None:
        return say(stopped="refused")
    count = {"video": 0, "audio": 0}

    def out(kind, payload):
        def handle(packet):
            if tracks[kind].is_open():
                count[kind] += 1
                tracks[kind].send(rtp.marked(packet, payload, sources[kind]))

        return handle

    source = rtp.Source(codec, out("video", rtp.VIDEO), out("audio", rtp.AUDIO)) if send else None
    # As an application does whose decoder has nothing to begin with.
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not send and not seen.times and tracks["video"].is_open():
            tracks["video"].request_keyframe()
        time.sleep(0.25)
    if send:
        source.stop()
        say(sent=count["video"])
    else:
        sink.stop()
        seen.tell()
    say(deleted=request("DELETE", place)[0])


main()
sys.stdout.flush()
os._exit(0)
