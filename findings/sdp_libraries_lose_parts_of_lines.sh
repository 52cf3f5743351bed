#!/usr/bin/env bash
# sdp-transform 3.0.0, sdp 3.2.2 and semantic-sdp 3.31.1 (npm), which read SDP for mediasoup, webrtc-adapter and medooze: an offer as browsers and
# cameras make them is read and written again.
#
# Expected: sdp-transform gives back each line, since it keeps what it does not know as it is; sdp gives back the parameters of codecs;
# semantic-sdp leaves out lines of what it has no field for.
# Seen: sdp-transform keeps the first option of a=ice-options alone: "ice2 trickle" (RFC 8839, 5.6) comes out as "ice2", a peer that does not trickle.
# sdp splits a parameter at each "=", so that base64 loses its padding: sprop-parameter-sets of H.264 (RFC 6184, 8.1) end short.
# semantic-sdp leaves out the payload type of RED for Opus, and tcptype of a candidate for TCP, which such a one must have (RFC 6544, 4.5). A
# restriction of a simulcast layer to one payload type (pt=96, RFC 8851) is a TypeError, as sdp-transform hands it a number; one to two, a text, is not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts sdp-transform@3.0.0 sdp@3.2.2 semantic-sdp@3.31.1
cat > again.mjs <<'JS'
import transform from 'sdp-transform';
import sdp from 'sdp';
import semantic from 'semantic-sdp';

const ice = ['a=ice-ufrag:abcd', 'a=ice-pwd:abcdefghijklmnopqrstuvwx', 'a=ice-options:ice2 trickle', `a=fingerprint:sha-256 ${Array(32).fill('0A').join(':')}`, 'a=setup:actpass'];
const offer = (restriction) => [
  'v=0', 'o=- 1 2 IN IP4 192.0.2.1', 's=-', 't=0 0', 'a=group:BUNDLE 0 1',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111 63', 'c=IN IP4 0.0.0.0',
  'a=candidate:1 1 udp 2122260223 192.0.2.1 46154 typ host', 'a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active',
  ...ice, 'a=mid:0', 'a=sendonly', 'a=msid:s t', 'a=rtcp-mux',
  'a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10;useinbandfec=1', 'a=rtpmap:63 red/48000/2', 'a=fmtp:63 111/111',
  'm=video 9 UDP/TLS/RTP/SAVPF 96 98', 'c=IN IP4 0.0.0.0', ...ice, 'a=mid:1', 'a=sendonly', 'a=msid:s v', 'a=rtcp-mux',
  'a=rtpmap:96 H264/90000', 'a=fmtp:96 packetization-mode=1;profile-level-id=42c01e;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==', 'a=rtpmap:98 VP8/90000',
  'a=rid:hi send', `a=rid:lo send ${restriction};max-width=320`, 'a=simulcast:send hi;lo', '',
].join('\r\n');
const lines = (text, start) => text.split('\r\n').filter((line) => line.startsWith(start));

const text = offer('pt=96,98');
const written = transform.write(transform.parse(text));
const lost = text.split('\r\n').filter((line) => !written.split('\r\n').includes(line));
console.log(`sdp-transform loses ${[...new Set(lost)].join(' and ')}, writes ${lines(written, 'a=ice-options')[0]}`);
const video = sdp.getMediaSections(text)[1];
console.log(`sdp writes ${lines(sdp.writeRtpDescription('video', sdp.parseRtpParameters(video)), 'a=fmtp:96')[0]}`);
const again = semantic.SDPInfo.parse(text).toString();
console.log(`semantic-sdp writes ${lines(again, 'm=audio')[0]} and ${lines(again, 'a=candidate:2')[0]}`);
for (const restriction of ['pt=96,98', 'pt=96']) {
  try {
    console.log(`semantic-sdp, ${restriction}: ${lines(semantic.SDPInfo.parse(offer(restriction)).toString(), 'a=rid:lo')[0]}`);
  } catch (error) {
    console.log(`semantic-sdp, ${restriction}: ${error}`);
  }
}
JS
node again.mjs | tee seen
grep -qx 'sdp-transform loses a=ice-options:ice2 trickle, writes a=ice-options:ice2' seen
grep -qx 'sdp writes a=fmtp:96 .*sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg' seen
grep -qx 'semantic-sdp writes m=audio 9 UDP/TLS/RTP/SAVPF 111 and a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host' seen
grep -qx 'semantic-sdp, pt=96,98: a=rid:lo send pt=96,98;max-width=320' seen
grep -qx 'semantic-sdp, pt=96: TypeError: .*split is not a function' seen
echo "as described"
