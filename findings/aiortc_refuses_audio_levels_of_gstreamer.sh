#!/usr/bin/env bash
# aiortc 1.16.0 given the offer of webrtcbin of GStreamer 1.22.0 (Debian 12: gstreamer1.0-plugins-base, -good and -bad, gstreamer1.0-nice,
# python3-gi, python3-gst-1.0, gir1.2-gst-plugins-bad-1.0) that sends Opus with the level of its sound (RFC 6464) as a header extension.
#
# Expected: aiortc answers. It knows this extension, or leaves one that it does not take out of its answer.
# Seen: webrtcbin writes the extension with its attribute, vad=on, as in RFC 6464, 4. aiortc takes no attributes behind the URI (RFC 8285, 8) of
# an extension, known or not: the whole offer is a ValueError of unpacking. It takes a direction before it, and answers without the attribute.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aiortc==1.16.0
cat > offer.py <<'PY'
import gi

for name in ("Gst", "GstWebRTC", "GstSdp"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402, F401

Gst.init(None)
level = '< "", urn:ietf:params:rtp-hdrext:ssrc-audio-level, "vad=on" >'
pipe = Gst.parse_launch(
    "webrtcbin name=rtc audiotestsrc is-live=true ! opusenc ! rtpopuspay ! "
    f"application/x-rtp,media=audio,encoding-name=OPUS,payload=97,extmap-1=(string){level} ! rtc."
)
rtc = pipe.get_by_name("rtc")
loop = GLib.MainLoop()


def negotiate(_):
    def made(promise, *_):
        # The description lives as long as the reply.
        reply = promise.get_reply()
        print(reply.get_value("offer").sdp.as_text(), end="", flush=True)
        loop.quit()

    rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(made))


rtc.connect("on-negotiation-needed", negotiate)
pipe.set_state(Gst.State.PLAYING)
GLib.timeout_add_seconds(20, loop.quit)
loop.run()
pipe.set_state(Gst.State.NULL)
PY
/usr/bin/python3 offer.py > offer.sdp
grep extmap offer.sdp | tr -d '\r'
cat > answer.py <<'PY'
import asyncio

from aiortc import RTCPeerConnection, RTCSessionDescription

OFFER = open("offer.sdp", newline="").read()
OFFERS = {
    "as GStreamer has it": OFFER,
    "without the attribute": OFFER.replace(" vad=on", ""),
    "with a direction for it": OFFER.replace(" vad=on", "").replace("extmap:1 ", "extmap:1/sendonly "),
}


async def main():
    for name, offer in OFFERS.items():
        peer = RTCPeerConnection()
        try:
            await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await peer.setLocalDescription(await peer.createAnswer())
            print(f"{name}: answers")
        except ValueError as error:
            print(f"{name}: ValueError, {error}")
        await peer.close()


asyncio.run(main())
PY
venv/bin/python answer.py | tee seen
grep -qx 'as GStreamer has it: ValueError, too many values to unpack (expected 2)' seen
grep -qx 'without the attribute: answers' seen
grep -qx 'with a direction for it: answers' seen
echo "as described"
