#!/usr/bin/env bash
# aiortc 1.16.0 (PyPI), werift 0.24.4 and @roamhq/wrtc 0.10.0 (npm) given an offer of Opus and of pictures in one codec: VP8, which all know, or H.265,
# which none does.
#
# Expected: an answer that takes the sound and refuses the line of pictures with port 0 (RFC 3264, 6), from all three.
# Seen: of wrtc alone. aiortc and werift throw, after which there is no answer to send and no sound either.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts werift@0.24.4 @roamhq/wrtc@0.10.0
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aiortc==1.16.0
for codec in VP8 H265; do
    python3 - "$codec" > "$codec.sdp" <<'PY'
import sys

transport = "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=fingerprint:sha-256 " + ":".join(["0A"] * 32), "a=setup:actpass"
line = "m={} 9 UDP/TLS/RTP/SAVPF {}", *transport, "a=sendonly", "a=rtcp-mux"
sound = *line, "a=mid:0", "a=rtpmap:111 opus/48000/2"
pictures = *line, "a=mid:1", f"a=rtpmap:96 {sys.argv[1]}/90000", "a=rtcp-fb:96 nack pli"
head = "v=0", "o=- 1 2 IN IP4 192.0.2.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"
text = "\r\n".join((*head, *sound)).format("audio", 111) + "\r\n" + "\r\n".join(pictures).format("video", 96) + "\r\n"
sys.stdout.buffer.write(text.encode())
PY
done
cat > answer.py <<'PY'
import asyncio
from pathlib import Path

from aiortc import RTCPeerConnection, RTCSessionDescription


async def main():
    for codec in ("VP8", "H265"):
        peer = RTCPeerConnection()
        try:
            await peer.setRemoteDescription(RTCSessionDescription(Path(f"{codec}.sdp").read_bytes().decode(), "offer"))
            await peer.setLocalDescription(await peer.createAnswer())
            lines = [line.split() for line in peer.localDescription.sdp.splitlines() if line.startswith("m=")]
            print(f"aiortc, {codec}:", ", ".join(f"{line[0]} {'refused' if line[1] == '0' else 'taken'}" for line in lines))
        except Exception as error:
            print(f"aiortc, {codec}: {type(error).__name__}: {error}")
        await peer.close()


asyncio.run(main())
PY
cat > answer.mjs <<'JS'
import { readFileSync } from 'node:fs';
import * as werift from 'werift';
import wrtc from '@roamhq/wrtc';

for (const [name, library] of Object.entries({ werift, wrtc })) for (const codec of ['VP8', 'H265']) {
  const peer = new library.RTCPeerConnection({});
  try {
    await peer.setRemoteDescription({ type: 'offer', sdp: readFileSync(`${codec}.sdp`, 'utf8') });
    await peer.setLocalDescription(await peer.createAnswer());
    const lines = peer.localDescription.sdp.split('\r\n').filter((line) => line.startsWith('m=')).map((line) => line.split(' '));
    console.log(`${name}, ${codec}: ${lines.map(([kind, port]) => `${kind} ${port === '0' ? 'refused' : 'taken'}`).join(', ')}`);
  } catch (error) {
    console.log(`${name}, ${codec}: ${error}`);
  }
  await peer.close();
}
process.exit();
JS
{ venv/bin/python answer.py; node answer.mjs; } | tee seen
for name in aiortc werift wrtc; do grep -qx "$name, VP8: m=audio taken, m=video taken" seen; done
grep -qx 'aiortc, H265: OperationError: Failed to set remote video description send parameters' seen
grep -qx 'werift, H265: Error: negotiate codecs failed.' seen
grep -qx 'wrtc, H265: m=audio taken, m=video refused' seen
echo "as described"
