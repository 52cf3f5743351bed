// werift as WHIP publisher and WHEP player, with FFmpeg's codecs. The codec `default` offers what werift offers by itself.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { post, Seen, say, sink, sleep, source, words } from './rtp.mjs';

const require = createRequire(`${process.env.NODE_MODULES}/`);
const werift = require('werift');
const { role, codec, url, seconds } = words();
const publishing = role === 'publish';
const of = codec === 'default' ? 'VP8' : codec;
const FEEDBACK = [{ type: 'nack' }, { type: 'nack', parameter: 'pli' }, { type: 'goog-remb' }];
const H264 = 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f';
const about = JSON.parse(readFileSync(`${process.env.NODE_MODULES}/werift/package.json`));
say({ version: `werift ${about.version}` });

const video = new werift.RTCRtpCodecParameters({
  mimeType: `video/${of}`,
  clockRate: 90_000,
  rtcpFeedback: FEEDBACK,
  ...(of === 'H264' && { parameters: H264 }),
});
const audio = new werift.RTCRtpCodecParameters({ mimeType: 'audio/opus', clockRate: 48_000, channels: 2 });
const own = codec === 'default' ? {} : { codecs: { video: [video], audio: [audio] } };
const pc = new werift.RTCPeerConnection({ iceServers: [], ...own });

const seen = new Seen();
const into = publishing ? null : await sink(of, seen);
const tracks = {};
let plis = 0;
for (const kind of ['video', 'audio']) {
  if (publishing) {
    tracks[kind] = new werift.MediaStreamTrack({ kind });
    const line = pc.addTransceiver(tracks[kind], { direction: 'sendonly' });
    line.sender.onPictureLossIndication.subscribe(() => {
      plis += 1;
    });
  } else {
    const line = pc.addTransceiver(kind, { direction: 'recvonly' });
    line.onTrack.subscribe((track) =>
      track.onReceiveRtp.subscribe((packet) => into.give(kind, Buffer.from(packet.serialize()))),
    );
  }
}

let session = null;
pc.iceConnectionStateChange.subscribe((state) => say({ ice_connection_state: state }));
pc.connectionStateChange.subscribe((state) => {
  say({ connection_state: state });
  if (state === 'connected') say({ connected_ms: session?.ms() });
});
await pc.setLocalDescription(await pc.createOffer());
for (let i = 0; i < 60 && pc.iceGatheringState !== 'complete'; i += 1) await sleep(50);
session = await post(url, pc.localDescription.sdp);
if (session) {
  seen.ms = session.ms;
  await pc.setRemoteDescription({ type: 'answer', sdp: session.answer });
  let sent = 0;
  const out = (kind) => (packet) => {
    sent += kind === 'video';
    tracks[kind].writeRtp(packet);
  };
  const from = publishing ? await source(of, { video: out('video'), audio: out('audio') }) : null;
  // As an application does whose decoder has nothing to begin with.
  const { receiver } = pc.getTransceivers()[0];
  const wants = () => !publishing && seen.times.length === 0 && receiver.tracks[0]?.ssrc;
  const asking = setInterval(() => wants() && receiver.sendRtcpPLI(receiver.tracks[0].ssrc), 250);
  await sleep(seconds * 1000);
  clearInterval(asking);
  if (publishing) say({ sent, plis });
  else seen.tell();
  from?.stop();
  say({ deleted: (await fetch(session.place, { method: 'DELETE' })).status });
}
into?.stop();
process.exit(0);
