// Plays a WHEP URL through the TURN server that the answer names, and through nothing else: node tests/docs/relay.mjs URL

import assert from 'node:assert/strict';
import { launch } from '../chromium.mjs';

const url = process.argv[2];
const browser = await launch();
const page = await browser.newPage();
await page.goto(new URL('/', url).href);
const seen = await page.evaluate(async (url) => {
  const offer = async (peer) => {
    for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
    await peer.setLocalDescription();
    for (let n = 0; n < 50 && peer.iceGatheringState !== 'complete'; n += 1)
      await new Promise((r) => setTimeout(r, 100));
    const headers = { 'Content-Type': 'application/sdp' };
    return fetch(url, { method: 'POST', headers, body: peer.localDescription.sdp });
  };
  const link = (await offer(new RTCPeerConnection())).headers.get('link');
  const [, urls, username, credential] = /<([^>]*)>.*username="([^"]*)".*credential="([^"]*)"/.exec(link);
  const peer = new RTCPeerConnection({ iceTransportPolicy: 'relay', iceServers: [{ urls, username, credential }] });
  const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true });
  document.body.append(video);
  peer.ontrack = ({ streams }) => {
    video.srcObject = streams[0];
  };
  await peer.setRemoteDescription({ type: 'answer', sdp: await (await offer(peer)).text() });
  for (let n = 0; n < 200 && video.currentTime < 1; n += 1) await new Promise((r) => setTimeout(r, 100));
  const stats = [...(await peer.getStats()).values()];
  const pair = stats.find((one) => one.type === 'candidate-pair' && one.nominated);
  return { time: video.currentTime, type: stats.find((one) => one.id === pair?.localCandidateId)?.candidateType };
}, url);
await browser.close();
assert.equal(seen.type, 'relay');
assert.ok(seen.time >= 1, `${seen.time} s were seen`);
console.log('seen through the relay');
