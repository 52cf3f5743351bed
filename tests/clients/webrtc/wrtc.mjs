// @roamhq/wrtc (libwebrtc for Node) as WHIP publisher and WHEP player.

import { createRequire } from 'node:module';
import { post, Seen, say, sleep, words } from './rtp.mjs';

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { RTCPeerConnection, RTCRtpSender, RTCRtpReceiver, nonstandard } = require('@roamhq/wrtc');
const { role, codec, url, seconds, rest } = words();
const publishing = role === 'publish';
say({ version: `@roamhq/wrtc ${require('@roamhq/wrtc/package.json').version}` });

/** A moving bar as I420. */
function picture(source) {
  const [width, height] = [640, 360];
  let n = 0;
  setInterval(() => {
    const data = new Uint8ClampedArray((width * height * 3) / 2).fill(128);
    for (let y = 0; y < height; y += 1) data.fill(235, y * width + ((n * 7) % 600), y * width + ((n * 7) % 600) + 40);
    n += 1;
    source.onFrame({ width, height, data });
  }, 40);
}

function tone(source) {
  let at = 0;
  const start = performance.now();
  setInterval(() => {
    for (; at < ((performance.now() - start) * 48_000) / 1000; at += 480) {
      const samples = Int16Array.from(
        { length: 480 },
        (_, i) => 8000 * Math.sin((2 * Math.PI * 440 * (at + i)) / 48_000),
      );
      source.onData({ samples, sampleRate: 48_000, bitsPerSample: 16, channelCount: 1, numberOfFrames: 480 });
    }
  }, 10);
}

const pc = new RTCPeerConnection();
const seen = new Seen();
const keep = [];
const order = rest.includes('lines=sound') ? ['audio', 'video'] : ['video', 'audio'];
for (const kind of order) {
  if (!publishing) pc.addTransceiver(kind, { direction: 'recvonly' });
  else {
    const source = kind === 'video' ? new nonstandard.RTCVideoSource() : new nonstandard.RTCAudioSource();
    pc.addTransceiver(source.createTrack(), { direction: 'sendonly' });
    keep.push(source);
    (kind === 'video' ? picture : tone)(source);
  }
}
pc.ontrack = ({ track }) => {
  if (track.kind === 'video') {
    const out = new nonstandard.RTCVideoSink(track);
    out.onframe = ({ frame }) => seen.picture(`${frame.width}x${frame.height}`);
    keep.push(out);
  } else {
    const out = new nonstandard.RTCAudioSink(track);
    out.ondata = ({ samples, channelCount }) =>
      seen.sound(
        Float32Array.from({ length: samples.length / channelCount }, (_, i) => samples[i * channelCount] / 32_768),
      );
    keep.push(out);
  }
};

/** Prefers a codec where the library can. */
function prefer() {
  if (codec === 'default') return true;
  const able = (publishing ? RTCRtpSender : RTCRtpReceiver).getCapabilities('video').codecs;
  const wanted = able.filter((c) => c.mimeType.toUpperCase() === `VIDEO/${codec}`);
  if (wanted.length === 0) return false;
  const rtx = able.filter((c) => /rtx/.test(c.mimeType));
  pc.getTransceivers()[order.indexOf('video')].setCodecPreferences([...wanted, ...rtx]);
  return true;
}

async function run() {
  if (!prefer()) return say({ unable: `wrtc has no ${codec}` });
  await pc.setLocalDescription(await pc.createOffer());
  for (let i = 0; i < 60 && pc.iceGatheringState !== 'complete'; i += 1) await sleep(50);
  const session = await post(url, pc.localDescription.sdp);
  if (!session) return null;
  seen.ms = session.ms;
  pc.oniceconnectionstatechange = () => say({ ice_connection_state: pc.iceConnectionState });
  pc.onconnectionstatechange = () => {
    say({ connection_state: pc.connectionState });
    if (pc.connectionState === 'connected') say({ connected_ms: session.ms() });
  };
  await pc.setRemoteDescription({ type: 'answer', sdp: session.answer });
  await sleep(seconds * 1000);
  if (!publishing) seen.tell();
  return say({ deleted: (await fetch(session.place, { method: 'DELETE' })).status });
}

await run().catch((e) => say({ stopped: e.message }));
process.exit(0);
