// RTP made and decoded by FFmpeg, for libraries that carry packets and have no codecs; and lines of JSON for matrix.py.

import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const PROGRAM = process.env.FFMPEG9 ?? 'ffmpeg';
const QUIET = ['-nostdin', '-hide_banner', '-v', 'error'];
const ENCODERS = {
  H264: 'libx264 -preset ultrafast -tune zerolatency -profile:v baseline',
  VP8: 'libvpx -deadline realtime -cpu-used 8',
  VP9: 'libvpx-vp9 -deadline realtime -cpu-used 8',
  AV1: 'libaom-av1 -usage realtime -cpu-used 8',
  H265: 'libx265 -preset ultrafast -tune zerolatency -x265-params log-level=none',
};
export const PAYLOADS = { video: 96, audio: 97 };

export const say = (fields) => process.stdout.write(`${JSON.stringify(fields)}\n`);
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Role, codec, URL, seconds and words of the command line. */
export function words() {
  const [role, codec, url, seconds, ...rest] = process.argv.slice(2);
  return { role, codec, url, seconds: Number(seconds), rest };
}

/** Sends an offer; null instead of an answer that is no 201. */
export async function post(url, offer) {
  say({ offer });
  const start = performance.now();
  const reply = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: offer });
  const body = await reply.text();
  const ms = () => Math.round(performance.now() - start);
  const refused = { status: reply.status, body, stopped: 'refused' };
  say(reply.status === 201 ? { status: 201, answer: body, answered_ms: ms() } : refused);
  if (reply.status !== 201) return null;
  return { answer: body, place: new URL(reply.headers.get('location'), url).href, ms };
}

export const isRtp = (packet) => {
  const payload = packet[1] & 127;
  return packet.length > 12 && packet[0] >> 6 === 2 && !(payload >= 64 && payload < 96);
};

/** The packet with another payload type, and another source. */
export function marked(packet, payload, ssrc) {
  const copy = Buffer.from(packet);
  copy[1] = (copy[1] & 128) | payload;
  if (ssrc) copy.writeUInt32BE(ssrc, 8);
  return copy;
}

async function listen(port = 0) {
  const socket = dgram.createSocket('udp4');
  await new Promise((resolve, reject) => socket.once('error', reject).bind(port, '127.0.0.1', resolve));
  return socket;
}

/** Calls `to.video(packet)` and `to.audio(packet)` with what FFmpeg makes. */
export async function source(codec, to) {
  const urls = [];
  for (const kind of ['video', 'audio']) {
    const socket = await listen();
    socket.on('message', (packet) => isRtp(packet) && to[kind](packet));
    urls.push(`rtp://127.0.0.1:${socket.address().port}?pkt_size=1200`);
  }
  const video = `-map 0:v -pix_fmt yuv420p -c:v ${ENCODERS[codec]} -g 25 -b:v 800k -strict experimental -payload_type 96 -f rtp`;
  const audio = '-map 1:a -c:a libopus -ac 2 -payload_type 97 -f rtp';
  const inputs = '-re -f lavfi -i testsrc2=size=640x360:rate=25 -re -f lavfi -i sine=frequency=440:sample_rate=48000';
  const all = [...QUIET, ...inputs.split(' '), ...video.split(' '), urls[0], ...audio.split(' '), urls[1]];
  const child = spawn(PROGRAM, all, { stdio: ['ignore', 'ignore', 'inherit'] });
  return { stop: () => child.kill('SIGKILL') };
}

/** A port whose next one is free too, for RTCP. */
async function pair() {
  for (;;) {
    const port = 20_000 + 2 * Math.floor(Math.random() * 20_000);
    try {
      const two = [await listen(port), await listen(port + 1)];
      for (const socket of two) socket.close();
      return port;
    } catch {}
  }
}

/** Waits until FFmpeg listens: what comes earlier would be lost. */
async function opened(port) {
  for (let i = 0; i < 100; i += 1) {
    try {
      (await listen(port)).close();
    } catch {
      return;
    }
    await sleep(50);
  }
}

/** The frequency of a tone by its rising crossings of zero; null for silence. */
function pitch(wave) {
  const rises = [];
  let most = 0;
  for (let i = 1; i < wave.length; i += 1) {
    most = Math.max(most, Math.abs(wave[i]));
    if (wave[i - 1] < 0 && wave[i] >= 0) rises.push(i);
  }
  if (most < 0.01 || rises.length < 3) return null;
  return Math.round(((rises.length - 1) * 48_000) / (rises.at(-1) - rises[0]));
}

/** Pictures a second in the second half, and how many more than that came in the first: what was sent at once. */
function rates(times) {
  if (times.length < 3) return { fps: 0, surplus: 0 };
  const [first, last] = [times[0], times.at(-1)];
  const late = times.filter((t) => t >= (first + last) / 2);
  const fps = ((late.length - 1) * 1000) / Math.max(last - late[0], 1);
  const surplus = Math.max(0, Math.round(times.length - 1 - (fps * (last - first)) / 1000));
  return { fps: Math.round(fps * 10) / 10, surplus };
}

/** Counts decoded pictures and samples. */
export class Seen {
  constructor() {
    this.times = [];
    this.wave = [];
    this.samples = 0;
  }

  picture(size) {
    if (this.times.length === 0) say({ first_ms: this.ms() });
    this.times.push(performance.now());
    this.size = size;
  }

  sound(samples) {
    this.samples += samples.length;
    this.wave = [...this.wave, ...samples].slice(-24_000);
  }

  tell() {
    const { fps, surplus } = rates(this.times);
    say({ frames: this.times.length, fps, surplus, size: this.size, samples: this.samples, hz: pitch(this.wave) });
  }
}

/** Decodes with FFmpeg what `give(kind, packet)` gets, and counts it in `seen`. */
export async function sink(codec, seen) {
  const scratch = mkdtempSync(path.join(tmpdir(), 'rtp-'));
  const out = await listen();
  const ports = {};
  const children = [];
  const low = '-protocol_whitelist file,udp,rtp -fflags nobuffer -analyzeduration 300000 -probesize 20000'.split(' ');
  const start = async (kind, name, after, read) => {
    ports[kind] = await pair();
    const file = path.join(scratch, `${kind}.sdp`);
    const head = 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n';
    const line = `m=${kind} ${ports[kind]} RTP/AVP ${PAYLOADS[kind]}\na=rtpmap:${PAYLOADS[kind]} ${name}\n`;
    writeFileSync(file, head + line);
    const child = spawn(PROGRAM, [...QUIET, ...low, '-i', file, ...after.split(' ')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child.stdout.on('data', read);
    children.push(child);
  };
  let size;
  await start('video', `${codec}/90000`, '-f framecrc -flush_packets 1 -fps_mode passthrough -', (text) => {
    for (const line of String(text).trim().split('\n')) {
      if (line.startsWith('#dimensions')) size = line.split(' ').at(-1);
      else if (!line.startsWith('#')) seen.picture(size);
    }
  });
  await start('audio', 'opus/48000/2', '-f f32le -ac 1 -ar 48000 -flush_packets 1 -', (data) => {
    const whole = Buffer.from(data.subarray(0, data.length & ~3));
    seen.sound(new Float32Array(whole.buffer, whole.byteOffset, whole.length >> 2));
  });
  for (const port of Object.values(ports)) await opened(port);
  return {
    give: (kind, packet) => isRtp(packet) && out.send(marked(packet, PAYLOADS[kind]), ports[kind], '127.0.0.1'),
    stop: () => {
      for (const child of children) child.kill('SIGKILL');
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}
