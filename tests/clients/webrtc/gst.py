"""GStreamer's webrtcbin as WHIP publisher and WHEP player. Debian's certificate of it is RSA.
Words: `alone` leaves bundle-policy at webrtcbin's own value, `lines=sound` puts sound into the first m-line."""

import array
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

from report import HEIGHT, RATE, TONE, WIDTH, Seen, Watch, arguments, post, request, say  # noqa: E402

ENCODERS = {
    "H264": "x264enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=50 ! video/x-h264,profile=baseline "
    "! rtph264pay config-interval=-1 aggregate-mode=zero-latency",
    "VP8": "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=50 target-bitrate=800000 ! rtpvp8pay picture-id-mode=15-bit",
    "VP9": "vp9enc deadline=1 cpu-used=8 keyframe-max-dist=50 target-bitrate=800000 ! rtpvp9pay picture-id-mode=15-bit",
    "H265": "x265enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=50 ! rtph265pay config-interval=-1 "
    "aggregate-mode=zero-latency",
}
DECODERS = {
    "H264": "rtph264depay ! h264parse ! avdec_h264",
    "VP8": "rtpvp8depay ! vp8dec",
    "VP9": "rtpvp9depay ! vp9dec",
    "H265": "rtph265depay ! h265parse ! avdec_h265",
}
SOUND = (
    "rtpopusdepay ! opusdec ! audioconvert ! audioresample ! audio/x-raw,format=F32LE,rate=48000,channels=1 "
    "! fakesink name=out sync=false signal-handoffs=true"
)
VIDEO = f"videotestsrc is-live=true pattern=smpte ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={RATE}/1"
AUDIO = f"audiotestsrc is-live=true freq={TONE} ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay"


class Client:
    def __init__(self, role, codec, url, words):
        self.url, self.clock, self.seen, self.answered = url, Watch(), None, False
        self.place = None
        self.loop = GLib.MainLoop()
        self.pipe = Gst.Pipeline() if role == "play" else self.sending(codec, words)
        if role == "play":
            self.rtc = Gst.ElementFactory.make("webrtcbin", "rtc")
            self.pipe.add(self.rtc)
        else:
            self.rtc = self.pipe.get_by_name("rtc")
        if "alone" not in words:
            self.rtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        for name in ("connection-state", "ice-connection-state", "ice-gathering-state"):
            self.rtc.connect("notify::" + name, self.changed)
        if role == "play":
            self.receiving(codec, words)
        self.offered = False
        self.rtc.connect("on-negotiation-needed", lambda rtc: self.offer())
        bus = self.pipe.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, m: self.end(f"pipeline: {m.parse_error()[0].message}"))

    def sending(self, codec, words):
        caps = "application/x-rtp,media={},encoding-name={},payload={}"
        video = f"{VIDEO} ! {ENCODERS[codec]} ! {caps.format('video', codec, 96)} ! rtc."
        audio = f"{AUDIO} ! {caps.format('audio', 'OPUS', 97)} ! rtc."
        lines = [audio, video] if "lines=sound" in words else [video, audio]
        pipe = Gst.parse_launch("webrtcbin name=rtc " + " ".join(lines))
        rtc = pipe.get_by_name("rtc")
        for line in range(2):
            rtc.emit("get-transceiver", line).set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        return pipe

    def receiving(self, codec, words):
        lines = {
            "video": f"application/x-rtp,media=video,encoding-name={codec},payload=96,clock-rate=90000",
            "audio": "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,encoding-params=(string)2",
        }
        if codec == "H264":
            lines["video"] += ",packetization-mode=(string)1,profile-level-id=(string)42e01f"
        if "strict" not in words:
            lines["video"] += ",rtcp-fb-nack-pli=(boolean)true"
        for kind in ("audio", "video") if "lines=sound" in words else ("video", "audio"):
            self.rtc.emit(
                "add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(lines[kind])
            )
        self.rtc.connect("pad-added", self.pad, codec)

    def pad(self, _, pad, codec):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        after = f"{DECODERS[codec]} ! videoconvert ! fakesink name=out sync=false signal-handoffs=true"
        if kind == "audio":
            after = SOUND
        part = Gst.parse_bin_from_description("queue ! " + after, True)
        self.pipe.add(part)
        part.get_by_name("out").connect("handoff", self.picture if kind == "video" else self.sound)
        part.sync_state_with_parent()
        pad.link(part.get_static_pad("sink"))

    def picture(self, _, buffer, pad):
        shape = pad.get_current_caps().get_structure(0)
        self.seen.picture(shape.get_int("width").value, shape.get_int("height").value)

    def sound(self, _, buffer, pad):
        self.seen.sound(array.array("f", buffer.extract_dup(0, buffer.get_size())))

    def offer(self):
        # WHIP has one offer; webrtcbin asks for another when the answer refuses a line.
        if self.offered:
            return say(wants_another_offer=True)
        self.offered = True

        def made(promise, *_):
            # The description is freed with the reply, so both have a name.
            reply = promise.get_reply()
            description = reply.get_value("offer")
            self.rtc.emit("set-local-description", description, Gst.Promise.new())

        self.rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(made))

    def changed(self, rtc, param):
        state = rtc.get_property(param.name).value_nick
        say(**{param.name.replace("-", "_"): state})
        if param.name == "connection-state" and state == "connected":
            say(connected_ms=self.clock.ms())
        if param.name == "connection-state" and state == "failed":
            say(stopped="connection failed")
        if param.name == "ice-gathering-state" and state == "complete" and not self.answered:
            self.answered = True
            GLib.idle_add(self.send)

    def send(self):
        text, self.clock, self.place = post(self.url, self.rtc.get_property("local-description").sdp.as_text())
        self.seen = Seen(self.clock)
        if text is None:
            return self.end("refused")
        GLib.timeout_add(int(self.seconds * 1000), self.loop.quit)
        _, sdp = GstSdp.SDPMessage.new_from_text(text)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.rtc.emit("set-remote-description", answer, Gst.Promise.new())

    def end(self, why=None):
        if why:
            say(stopped=why)
        self.loop.quit()

    def run(self, seconds):
        self.pipe.set_state(Gst.State.PLAYING)
        self.seconds = seconds
        GLib.timeout_add(int((seconds + 60) * 1000), self.loop.quit)
        self.loop.run()
        if self.seen:
            self.seen.tell()
        if self.place:
            say(deleted=request("DELETE", self.place)[0])
        self.pipe.set_state(Gst.State.NULL)


if __name__ == "__main__":
    Gst.init(None)
    role, codec, url, seconds, words = arguments()
    say(version=Gst.version_string())
    Client(role, codec, url, words).run(seconds)
    sys.exit(0)
