#!/usr/bin/env bash
# webrtcbin of GStreamer 1.22.0 (Debian 12: gstreamer1.0-plugins-base, -good and -bad, gstreamer1.0-nice, python3-gi, python3-gst-1.0,
# gir1.2-gst-plugins-bad-1.0): a publisher of VP8 and Opus that makes an offer whenever on-negotiation-needed is emitted, as the
# documentation says. Its first offer gets an answer that takes both lines, and one that refuses the second (port 0).
#
# Expected: both are ordinary answers (RFC 3264, 6). The publisher goes on with the lines that were taken, and is not asked for another
# offer, because nothing of it has changed since.
# Seen: with both lines taken it is asked once. With the second line refused on-negotiation-needed is emitted again at once, and the second
# offer is made. (There are ordinary answers after which making it ended the process by an assertion; they are not in here.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/publish.py" <<'PY'
import sys

import gi

for name in ("Gst", "GstWebRTC", "GstSdp"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

Gst.init(None)
refused = sys.argv[1]
asked = 0
rtp = "application/x-rtp,media={},encoding-name={},payload={}"
pipe = Gst.parse_launch(
    "webrtcbin name=rtc bundle-policy=max-bundle "
    f"videotestsrc is-live=true ! vp8enc deadline=1 ! rtpvp8pay ! {rtp.format('video', 'VP8', 96)} ! rtc. "
    f"audiotestsrc is-live=true ! opusenc ! rtpopuspay ! {rtp.format('audio', 'OPUS', 97)} ! rtc."
)
rtc = pipe.get_by_name("rtc")


def negotiate(_):
    global asked
    asked += 1
    print("on-negotiation-needed", asked, flush=True)

    def made(promise, *_):
        # The description lives as long as the reply.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        print("offer", asked, flush=True)
        rtc.emit("set-local-description", offer, Gst.Promise.new())
        if asked == 1:
            GLib.idle_add(answer, offer.sdp.as_text())

    rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(made))


def answer(offer):
    """The answer of a peer that receives: the offer's lines, with a port or refused."""
    kinds = [(part[:5], part) for part in offer.split("m=")[1:]]
    taken = [part.split("a=mid:")[1].split()[0] for kind, part in kinds if kind != refused]
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE " + " ".join(taken)]
    keep = ("c=", "a=ice-ufrag", "a=ice-pwd", "a=mid", "a=rtcp-mux", "a=rtpmap", "a=fingerprint")
    for kind, part in kinds:
        first, *rest = part.split("\r\n")
        words = first.split()
        words[1] = "0" if kind == refused else "9"
        head += ["m=" + " ".join(words), *(line for line in rest if line.startswith(keep) and line != "a=rtcp-mux-only")]
        head += ["a=setup:passive", "a=inactive" if kind == refused else "a=recvonly"]
    _, sdp = GstSdp.SDPMessage.new_from_text("\r\n".join(head) + "\r\n")
    description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
    rtc.emit("set-remote-description", description, Gst.Promise.new())


rtc.connect("on-negotiation-needed", negotiate)
pipe.set_state(Gst.State.PLAYING)
loop = GLib.MainLoop()
GLib.timeout_add(3000, loop.quit)
loop.run()
print("alive", flush=True)
PY
dpkg-query -W -f '${Package} ${Version}\n' gstreamer1.0-plugins-bad gstreamer1.0-nice
run() { timeout 30 /usr/bin/python3 "$work/publish.py" "$1" >"$work/$1.txt" 2>&1 && code=0 || code=$?; echo "refused: $1, exit $code"; sed 's/^/    /' "$work/$1.txt"; }
run none
[ "$code" = 0 ] && [ "$(grep -c on-negotiation-needed "$work/none.txt")" = 1 ]
run audio
[ "$code" = 0 ] && [ "$(grep -c on-negotiation-needed "$work/audio.txt")" = 2 ] && grep -q 'offer 2' "$work/audio.txt"
