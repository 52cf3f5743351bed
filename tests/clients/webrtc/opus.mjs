// What becomes of a publisher's Opus: FEC, DTX, stereo and RED as Chromium is told to send them, and what viewers hear of it over a
// relay that loses packets on either side. One line for each case.
//
//     SERVER=target/debug/roomservice NODE_MODULES=/tmp/clients/js/node_modules node tests/clients/webrtc/opus.mjs [CASE …]

import { execFile } from 'node:child_process';
import dgram from 'node:dgram';
import { promisify } from 'node:util';
import { serve } from '../players/serve.mjs';
import { isRtp, sleep } from './rtp.mjs';

const SECONDS = Number(process.env.SECONDS ?? 12);
// What the page changes in the publisher's offer, what it sends ("talk": a tone that is silent for two seconds of four), and the
// parts of sound packets that are lost on the way in and out; `viewer`: what the viewer's offer leaves out or has more.
const CASES = {
  plain: {},
  stereo: { fmtp: 'stereo=1;sprop-stereo=1' },
  dtx: { fmtp: 'usedtx=1', sound: 'talk' },
  red: { red: true },
  'loss-in': { in: 0.05 },
  'loss-in-red': { in: 0.05, red: true },
  'loss-out': { out: 0.05 },
  'loss-out-without-red': { out: 0.05, viewer: 'plain' },
  'loss-out-nack': { out: 0.05, viewer: 'nack' },
};

/** Hands datagrams on both ways, and loses some of the small ones of media, which is sound, that go one way. */
async function relay(port, lost) {
  const [near, far] = [dgram.createSocket('udp4'), dgram.createSocket('udp4')];
  const bound = (socket) => new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  await Promise.all([bound(near), bound(far)]);
  let peer = null;
  const counts = { in: [0, 0, 0], out: [0, 0, 0] };
  const passes = (packet, way) => {
    if (!isRtp(packet) || ![63, 111].includes(packet[1] & 127)) return true;
    const drop = Math.random() < (lost[way] ?? 0);
    counts[way][0] += 1;
    counts[way][1] += drop ? 1 : 0;
    counts[way][2] += packet.length;
    return !drop;
  };
  near.on('message', (packet, from) => {
    peer = from;
    if (passes(packet, 'in')) far.send(packet, port, '127.0.0.1');
  });
  far.on('message', (packet) => peer && passes(packet, 'out') && near.send(packet, peer.port, peer.address));
  return { port: near.address().port, counts };
}

/** In the page: publishes or plays, and keeps the connection as `window.pc`. */
async function session([role, url, want]) {
  const pc = new RTCPeerConnection();
  window.pc = pc;
  const context = new AudioContext({ sampleRate: 48_000 });
  if (role === 'publish') {
    const to = context.createMediaStreamDestination();
    to.channelCount = 2;
    const merger = context.createChannelMerger(2);
    for (const [channel, hz] of [440, 880].entries()) {
      const tone = context.createOscillator();
      tone.frequency.value = hz;
      tone.connect(merger, 0, channel);
      tone.start();
    }
    const gain = context.createGain();
    merger.connect(gain).connect(to);
    if (want.sound === 'talk') setInterval(() => (gain.gain.value = Date.now() % 4_000 < 2_000 ? 1 : 0), 50);
    const canvas = document.createElement('canvas');
    const pen = canvas.getContext('2d');
    setInterval(() => pen.fillRect(Math.random() * 200, 0, 9, 9), 40);
    const stream = new MediaStream([to.stream.getAudioTracks()[0], canvas.captureStream(25).getVideoTracks()[0]]);
    for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
    if (want.red) {
      const able = RTCRtpSender.getCapabilities('audio').codecs;
      const first = able.filter((codec) => codec.mimeType === 'audio/red');
      pc.getTransceivers()[0].setCodecPreferences([...first, ...able.filter((codec) => !first.includes(codec))]);
    }
  } else {
    const shown = document.createElement('video');
    Object.assign(shown, { muted: true, autoplay: true, srcObject: new MediaStream() });
    document.documentElement.append(shown);
    for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
    pc.addEventListener('track', ({ track }) => {
      shown.srcObject.addTrack(track);
      if (track.kind === 'audio') {
        context.createMediaStreamSource(new MediaStream([track])).connect(context.createMediaStreamDestination());
      }
    });
  }
  let { sdp } = await pc.createOffer();
  if (want.fmtp) sdp = sdp.replace(/(a=fmtp:111 .*useinbandfec=1)/, `$1;${want.fmtp}`);
  if (want.viewer === 'nack') sdp = sdp.replace(/(a=rtpmap:111 .*\r\n)/, '$1a=rtcp-fb:111 nack\r\n');
  if (want.viewer) sdp = sdp.replace(/a=(rtpmap|fmtp):63 .*\r\n/g, '').replace(/(m=audio .*) 63/, '$1');
  await pc.setLocalDescription({ type: 'offer', sdp });
  const reply = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: sdp });
  const answer = await reply.text();
  if (reply.status !== 201) throw new Error(`${reply.status}: ${answer}`);
  return answer;
}

async function run(page, role, url, want, lost) {
  const answer = await page.evaluate(session, [role, url, want]);
  const port = Number(/a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)/i.exec(answer)[1]);
  const between = await relay(port, lost);
  const moved = answer.replaceAll(` ${port} typ`, ` ${between.port} typ`);
  await page.evaluate((sdp) => window.pc.setRemoteDescription({ type: 'answer', sdp }), moved);
  const sound = /m=audio[\s\S]*?(?=m=video|$)/.exec(answer)[0];
  const lines = sound.split('\r\n').filter((line) => /^m=|^a=(rtpmap|fmtp|rtcp-fb)/.test(line));
  return { between, lines };
}

const stats = (page) =>
  page.evaluate(async () => {
    const all = [...(await window.pc.getStats()).values()];
    return all.find((s) => s.type === 'inbound-rtp' && s.kind === 'audio');
  });

/** Sound packets in five seconds as an FLV player gets them, and the longest pause between two. */
async function heard(flv) {
  const ask = '-v error -read_intervals %+5 -select_streams a -show_entries packet=pts_time -of csv=p=0'.split(' ');
  const { stdout } = await promisify(execFile)('ffprobe', [...ask, flv], { timeout: 30_000 });
  const times = stdout.split('\n').map(Number.parseFloat).filter(Number.isFinite);
  const pauses = times.slice(1).map((time, i) => Math.round((time - times[i]) * 1_000));
  return { packets: times.length, longest_pause_ms: Math.max(...pauses) };
}

const { server, browser, bare, stream, end } = await serve(process.env.NODE_MODULES);
const wanted = process.argv.slice(2);
for (const [name, want] of Object.entries(CASES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const urls = await stream(server, name.replaceAll('-', ''));
  const [from, to] = [await bare(browser, server.base), await bare(browser, server.base)];
  const publisher = await run(from, 'publish', urls.whip, want, { in: want.in });
  await sleep(2_000);
  const viewer = await run(to, 'play', urls.whep, want, { out: want.out });
  // RED is for who loses packets, and who does is known after some seconds.
  await sleep(6_000);
  const before = await stats(to);
  const counted = [...viewer.between.counts.out];
  const flv = heard(urls.flv).catch((error) => ({ flv: `${error.message}` }));
  await sleep(SECONDS * 1_000);
  const after = await stats(to);
  const grown = (field) => (after[field] ?? 0) - (before[field] ?? 0);
  const part = (field) => Math.round((grown(field) / grown('totalSamplesReceived')) * 10_000) / 100;
  const [packets, dropped, bytes] = viewer.between.counts.out.map((n, i) => n - counted[i]);
  const { in: sent } = publisher.between.counts;
  console.log(name);
  console.log('  answers', JSON.stringify([publisher.lines, viewer.lines]));
  const published = { packets: sent[0], lost: sent[1], bytes_each: Math.round(sent[2] / sent[0]) };
  console.log('  publisher', JSON.stringify(published));
  const played = {
    packets,
    lost: dropped,
    bytes_each: Math.round(bytes / packets),
    concealed: part('concealedSamples'),
    events: grown('concealmentEvents'),
    held_ms: Math.round((1_000 * grown('jitterBufferDelay')) / grown('jitterBufferEmittedCount')),
  };
  console.log('  viewer', JSON.stringify(played));
  console.log('  flv', JSON.stringify(await flv));
  await Promise.all([from.context().close(), to.context().close()]);
}
await end();
process.exit(0);
