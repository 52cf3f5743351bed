#!/usr/bin/env bash
# aiortc 1.16.0 and Chromium 156: the browser sends sound and pictures, stops the sound (transceiver.stop()) and offers again.
#
# Expected: the second offer has port 0 for the sound and leaves it out of the BUNDLE group, and so has the answer (RFC 3264, 6; RFC 9143, 7.3). The
# pictures go on.
# Seen: the offer has. aiortc answers as before, with a port for the sound and both in the group, as if it had not been stopped. Chromium refuses that
# answer, for a group that was not in the offer, and stays with an offer of its own that nobody answers.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts playwright-core@1.56.1
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check aiortc==1.16.0
cat > answer.py <<'PY'
import asyncio
import json
import sys

from aiortc import RTCPeerConnection, RTCSessionDescription


async def main():
    peer = RTCPeerConnection()
    while line := await asyncio.to_thread(sys.stdin.readline):
        await peer.setRemoteDescription(RTCSessionDescription(json.loads(line), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        print(json.dumps(peer.localDescription.sdp), flush=True)
    await peer.close()


asyncio.run(main())
PY
cat > offer.mjs <<'JS'
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const answerer = spawn('venv/bin/python', ['answer.py'], { stdio: ['pipe', 'pipe', 'inherit'] });
const answers = createInterface(answerer.stdout)[Symbol.asyncIterator]();
const head = (sdp) => sdp.split('\r\n').filter((line) => /^(m=|a=group)/.test(line)).map((line) => line.replace(/ UDP.*/, '').replace(/ [1-9]\d+$/, ' PORT').replace(/ 9$/, ' PORT')).join(', ');
const server = createServer((request, response) => response.setHeader('Content-Type', 'text/html').end('')).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'] });
console.log(`Chromium ${browser.version()}`);
const page = await browser.newPage();
await page.exposeFunction('exchange', async (offer) => {
  console.log(`offer: ${head(offer)}`);
  answerer.stdin.write(`${JSON.stringify(offer)}\n`);
  const answer = JSON.parse((await answers.next()).value);
  console.log(`answer: ${head(answer)}`);
  return answer;
});
await page.goto(`http://127.0.0.1:${server.address().port}`);
console.log(await page.evaluate(async () => {
  const peer = new RTCPeerConnection();
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  const [sound] = ['audio', 'video'].map((kind) => peer.addTransceiver(stream.getTracks().find((track) => track.kind === kind), { direction: 'sendonly', streams: [stream] }));
  const negotiate = async () => {
    await peer.setLocalDescription();
    await peer.setRemoteDescription({ type: 'answer', sdp: await window.exchange(peer.localDescription.sdp) });
  };
  await negotiate();
  sound.stop();
  return negotiate().then(() => 'Chromium takes the answer', (error) => `Chromium, ${peer.signalingState}: ${error.message}`);
}));
await browser.close();
server.close();
answerer.stdin.end();
JS
timeout 100 node offer.mjs | tee seen
grep -qx 'offer: a=group:BUNDLE 1, m=audio 0, m=video PORT' seen
[ "$(grep -cx 'answer: a=group:BUNDLE 0 1, m=audio PORT, m=video PORT' seen)" = 2 ]
grep -q '^Chromium, have-local-offer: .*A BUNDLE group was added in the answer that did not exist in the offer' seen
echo "as described"
