// libdatachannel by node-datachannel as WHIP publisher and WHEP player, with FFmpeg's codecs.

import { createRequire } from 'node:module';
import { marked, PAYLOADS, post, Seen, say, sink, sleep, source, words } from './rtp.mjs';

const dc = createRequire(`${process.env.NODE_MODULES}/`)('node-datachannel');
const { role, codec, url, seconds } = words();
const H264 = 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1';
const SOURCES = { video: 1111, audio: 2222 };
const publishing = role === 'publish';
say({ version: `libdatachannel ${dc.getLibraryVersion()}` });

const pc = new dc.PeerConnection('client', { iceServers: [], disableAutoNegotiation: true });
const direction = publishing ? 'SendOnly' : 'RecvOnly';
const lines = { video: new dc.Video('0', direction), audio: new dc.Audio('1', direction) };
if (codec === 'H264') lines.video.addH264Codec(PAYLOADS.video, H264);
else lines.video[`add${codec}Codec`](PAYLOADS.video);
lines.audio.addOpusCodec(PAYLOADS.audio);

const seen = new Seen();
const into = publishing ? null : await sink(codec, seen);
const tracks = {};
for (const [kind, line] of Object.entries(lines)) {
  if (publishing) line.addSSRC(SOURCES[kind], 'camera', 'stream', kind);
  tracks[kind] = pc.addTrack(line);
  if (into) {
    tracks[kind].setMediaHandler(new dc.RtcpReceivingSession());
    tracks[kind].onMessage((packet) => into.give(kind, packet));
  }
}

let session = null;
const gathered = new Promise((resolve) => pc.onGatheringStateChange((s) => s === 'complete' && resolve()));
pc.onIceStateChange((state) => say({ ice_connection_state: state }));
pc.onStateChange((state) => {
  say({ connection_state: state });
  if (state === 'connected') say({ connected_ms: session.ms() });
});
pc.setLocalDescription('offer');
await Promise.race([gathered, sleep(3000)]);
session = await post(url, pc.localDescription().sdp);
if (session) {
  seen.ms = session.ms;
  pc.setRemoteDescription(session.answer, 'answer');
  let sent = 0;
  const out = (kind) => (packet) => {
    if (!tracks[kind].isOpen()) return;
    sent += kind === 'video';
    tracks[kind].sendMessageBinary(marked(packet, PAYLOADS[kind], SOURCES[kind]));
  };
  const from = publishing ? await source(codec, { video: out('video'), audio: out('audio') }) : null;
  // As an application does whose decoder has nothing to begin with.
  const wants = () => !publishing && seen.times.length === 0 && tracks.video.isOpen();
  const asking = setInterval(() => wants() && tracks.video.requestKeyframe(), 250);
  await sleep(seconds * 1000);
  clearInterval(asking);
  if (publishing) say({ sent });
  else seen.tell();
  from?.stop();
  say({ deleted: (await fetch(session.place, { method: 'DELETE' })).status });
}
into?.stop();
process.exit(0);
