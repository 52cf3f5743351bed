// A publisher as OBS is one by WHIP: libdatachannel without RTX, that sends packets again as they were when it is asked. A relay between
// loses some of its packets; ffmpeg counts the pictures that reach an FLV player.
//
//     SERVER=target/debug/roomservice NODE_MODULES=/tmp/clients/js/node_modules node tests/clients/webrtc/repeats.mjs [LOSS] [SECONDS]

import { execFile } from 'node:child_process';
import dgram from 'node:dgram';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { serve } from '../players/serve.mjs';
import { isRtp, marked, PAYLOADS, sleep, source } from './rtp.mjs';

const libraries = process.env.NODE_MODULES;
const dc = createRequire(`${libraries}/`)('node-datachannel');
const [loss, seconds] = [Number(process.argv[2] ?? 0.02), Number(process.argv[3] ?? 20)];
const SSRC = 1111;

/** Hands datagrams on both ways, and loses some of the media that goes to the server. */
async function relay(port) {
  const [near, far] = [dgram.createSocket('udp4'), dgram.createSocket('udp4')];
  const bound = (socket) => new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  await Promise.all([bound(near), bound(far)]);
  let peer = null;
  const counts = { lost: 0, passed: 0 };
  near.on('message', (packet, from) => {
    peer = from;
    const drop = isRtp(packet) && Math.random() < loss;
    counts[drop ? 'lost' : 'passed'] += isRtp(packet) ? 1 : 0;
    if (!drop) far.send(packet, port, '127.0.0.1');
  });
  far.on('message', (packet) => peer && near.send(packet, peer.port, peer.address));
  return { port: near.address().port, counts };
}

const { server, stream, end } = await serve(libraries);
const { whip, flv } = await stream(server, 'obs');
const pc = new dc.PeerConnection('obs', { iceServers: [], disableAutoNegotiation: true });
const line = new dc.Video('0', 'SendOnly');
line.addH264Codec(PAYLOADS.video, 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1');
line.addSSRC(SSRC, 'obs', 'obs', 'video');
const track = pc.addTrack(line);
const chain = new dc.RtcpSrReporter(new dc.RtpPacketizationConfig(SSRC, 'obs', PAYLOADS.video, 90_000));
chain.addToChain(new dc.RtcpNackResponder(2_000));
track.setMediaHandler(chain);
const gathered = new Promise((resolve) => pc.onGatheringStateChange((state) => state === 'complete' && resolve()));
pc.setLocalDescription('offer');
await gathered;
const { sdp } = pc.localDescription();
const reply = await fetch(whip, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: sdp });
const answer = await reply.text();
if (reply.status !== 201) throw new Error(`${reply.status}: ${answer}`);
const port = Number(/a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)/i.exec(answer)[1]);
const between = await relay(port);
pc.setRemoteDescription(answer.replaceAll(` ${port} typ`, ` ${between.port} typ`), 'answer');
const from = await source('H264', {
  video: (packet) => track.isOpen() && track.sendMessageBinary(marked(packet, PAYLOADS.video, SSRC)),
  audio: () => {},
});
await sleep(3_000);
const play = ['-v', 'error', '-t', `${seconds}`, '-i', flv, '-map', '0:v', '-f', 'framemd5', '-'];
const { stdout } = await promisify(execFile)('ffmpeg', play, { maxBuffer: 1 << 26, timeout: (seconds + 30) * 1_000 });
const pictures = stdout.split('\n').filter((row) => row && !row.startsWith('#')).length;
const { lost, passed } = between.counts;
const part = ((100 * lost) / (lost + passed)).toFixed(1);
console.log(`${part} % of ${lost + passed} packets lost: ${(pictures / seconds).toFixed(1)} of 25 pictures a second`);
from.stop();
pc.close();
await end();
process.exit(0);
