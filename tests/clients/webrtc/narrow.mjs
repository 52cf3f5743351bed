// Chromium as WHEP player over a bad network, for narrow.py: plays for some seconds and says what was seen and heard.

import { launch } from '../../chromium.mjs';

const [url, seconds] = process.argv.slice(2);

const browser = await launch();
const page = await (await browser.newContext()).newPage();
await page.route('**/bare', (route) =>
  route.fulfill({ contentType: 'text/html', body: '<!doctype html><video muted autoplay></video>' }),
);
await page.goto(new URL('/bare', url).href);

const seen = await page.evaluate(
  async ([url, seconds]) => {
    const pc = new RTCPeerConnection();
    const shown = document.querySelector('video');
    shown.srcObject = new MediaStream();
    const context = new AudioContext();
    pc.addEventListener('track', ({ track }) => {
      shown.srcObject.addTrack(track);
      if (track.kind === 'audio') {
        context.createMediaStreamSource(new MediaStream([track])).connect(context.createMediaStreamDestination());
      }
    });
    for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
    await pc.setLocalDescription(await pc.createOffer());
    const reply = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp' },
      body: pc.localDescription.sdp,
    });
    if (reply.status !== 201) return { stopped: `${reply.status} ${await reply.text()}` };
    await pc.setRemoteDescription({ type: 'answer', sdp: await reply.text() });
    const start = performance.now();
    const found = async () => {
      const all = [...(await pc.getStats()).values()].filter((s) => s.type === 'inbound-rtp');
      return Object.fromEntries(all.map((s) => [s.kind, s]));
    };
    let connected;
    let first;
    const each = [];
    while (performance.now() - start < seconds * 1000) {
      const { video, audio } = await found();
      connected ??= pc.connectionState === 'connected' ? performance.now() - start : undefined;
      if (video?.framesDecoded > 0) first ??= performance.now() - start;
      if (performance.now() - start > each.length * 1000) {
        const at = (value, scale = 1) => Math.round((value ?? 0) * scale);
        each.push([
          at(video?.framesDecoded),
          at(audio?.concealedSamples, 1 / 48),
          at(video?.totalFreezesDuration, 1000),
          at(video?.jitterBufferDelay / video?.jitterBufferEmittedCount, 1000),
        ]);
      }
      await new Promise((resolve) => setTimeout(resolve, first ? 100 : 10));
    }
    const { video, audio } = await found();
    const passed = (performance.now() - start - (connected ?? 0)) / 1000;
    const part = (a, b) => Math.round((1000 * (a ?? 0)) / Math.max(1, b ?? 0)) / 10;
    await fetch(reply.headers.get('location'), { method: 'DELETE' });
    return {
      connected_ms: Math.round(connected),
      first_ms: Math.round(first),
      fps: Math.round((10 * (video?.framesDecoded ?? 0)) / passed) / 10,
      concealed: part(audio?.concealedSamples, audio?.totalSamplesReceived),
      freezes: video?.freezeCount,
      frozen_s: video?.totalFreezesDuration,
      nacks: video?.nackCount,
      plis: video?.pliCount,
      lost: [audio?.packetsLost, video?.packetsLost],
      resent: [video?.retransmittedPacketsReceived, video?.packetsReceived],
      keys: video?.keyFramesDecoded,
      dropped: video?.framesDropped,
      each,
    };
  },
  [url, Number(seconds)],
);
console.log(JSON.stringify(seen));
await browser.close();
