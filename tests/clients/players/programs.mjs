// Players that are programs, and what they write of what they decoded.

import { spawn } from 'node:child_process';

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function start(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'ignore'], ...options });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** Times of what comes: the first, and the longest pause after it. */
function pulse() {
  const from = Date.now();
  const seen = { frames: 0, longest: 0 };
  let last = from;
  seen.beat = (count = 1) => {
    const now = Date.now();
    seen.frames += count;
    if (seen.first === undefined) seen.first = now - from;
    else seen.longest = Math.max(seen.longest, now - last);
    last = now;
  };
  seen.still = () => Date.now() - last;
  return seen;
}

/** Whether samples of 8 kHz and 16 bits hold the tone of 440 Hz. */
function isTone(samples) {
  let [re, im, energy] = [0, 0, 0];
  for (let i = 0; i + 1 < samples.length; i += 2) {
    const s = samples.readInt16LE(i) / 32_768;
    const angle = (2 * Math.PI * 440 * (i / 2)) / 8000;
    re += s * Math.cos(angle);
    im += s * Math.sin(angle);
    energy += s * s;
  }
  const count = samples.length / 2;
  return count > 0 && energy / count > 1e-5 && (2 * (re * re + im * im)) / count / count > 0.3 * (energy / count);
}

/** Plays with ffmpeg: a byte for each picture, and the sound. */
export function ffmpeg(program) {
  return (url) => {
    const args = ['-nostdin', '-v', 'error', '-analyzeduration', '500000', '-i', url];
    const to = (n) => ['-f', ...n];
    const child = start(
      program,
      [
        ...args,
        ...['-map', '0:v:0?', '-vf', 'scale=2:2', '-pix_fmt', 'gray', '-fps_mode', 'passthrough'],
        ...to(['rawvideo', '-flush_packets', '1', 'pipe:1']),
        ...['-map', '0:a:0?', '-ac', '1', '-ar', '8000', ...to(['s16le', '-flush_packets', '1', 'pipe:3'])],
      ],
      { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
    );
    const pictures = pulse();
    const sound = pulse();
    let heard = Buffer.alloc(0);
    let said = '';
    child.stdout.on('data', (bytes) => pictures.beat(bytes.length / 4));
    child.stderr.on('data', (text) => {
      said = (said + text).slice(-400);
    });
    child.stdio[3].on('data', (bytes) => {
      sound.beat();
      heard = Buffer.concat([heard, bytes]).subarray(-16_000);
    });
    return {
      stop() {
        const main = pictures.frames ? pictures : sound;
        child.kill('SIGKILL');
        return {
          first: pictures.first,
          began: main.first,
          longest: main.longest,
          still: main.still(),
          frames: Math.round(pictures.frames),
          sound: isTone(heard.subarray(-8000)),
          failed: child.exitCode ? [said.split('\n').filter(Boolean).pop() ?? `exit ${child.exitCode}`] : [],
        };
      },
    };
  };
}

/** Plays with mpv, which says where it is. */
export function mpv(url) {
  const status = ['=time-pos', 'estimated-frame-number', 'audio-params/samplerate']
    .map((name) => `\${${name}}`)
    .join(' ');
  const args = ['--no-config', '--vo=null', '--ao=null', '--cache=no', `--term-status-msg=${status}\n`, url];
  const child = start('mpv', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const seen = pulse();
  let [time, frames, sound] = [-1, 0, false];
  const take = (text) => {
    for (const [, at, frame, rate] of String(text).matchAll(/(-?[\d.]+) (\d*) (\d*)/g)) {
      if (Number(at) > time) seen.beat(0);
      [time, frames, sound] = [Math.max(time, Number(at)), Math.max(frames, Number(frame)), sound || Number(rate) > 0];
    }
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  return {
    stop() {
      child.kill('SIGKILL');
      const { first, longest } = seen;
      const failed = child.exitCode ? [`exit ${child.exitCode}`] : [];
      return { first: frames && first, began: first, longest, still: seen.still(), frames, sound, failed };
    },
  };
}

/** Plays with VLC, which is asked for its counters. It refuses to be root. */
export function vlc(url) {
  const args = ['--reuid=65534', '--regid=65534', '--clear-groups', 'vlc', '-I', 'oldrc', '--rc-fake-tty'];
  const quiet = ['--vout', 'vdummy', '--aout', 'adummy', '--no-video-title-show', '--network-caching=300'];
  const env = { ...process.env, HOME: '/nonexistent' };
  const child = start('setpriv', [...args, ...quiet, url], { stdio: ['pipe', 'pipe', 'ignore'], env });
  const seen = pulse();
  let [pictures, sound, said] = [0, 0, ''];
  child.stdin.on('error', () => {});
  const ask = setInterval(() => child.stdin.write('stats\n'), 100);
  child.stdout.on('data', (bytes) => {
    said += bytes;
    for (const [, what, count] of said.matchAll(/(frames displayed|video decoded|buffers played)\s*:\s*(\d+)/g)) {
      const n = Number(count);
      if (what === 'video decoded' && n > pictures) {
        seen.beat(n - pictures);
        pictures = n;
      }
      if (what === 'buffers played' && n > sound) {
        if (!pictures) seen.beat(0);
        sound = n;
      }
    }
    said = said.slice(said.lastIndexOf('\n') + 1);
  });
  return {
    stop() {
      clearInterval(ask);
      child.kill('SIGKILL');
      const { first, longest, frames } = seen;
      const failed = child.exitCode ? [`exit ${child.exitCode}`] : [];
      return {
        first: pictures && first,
        began: first,
        longest,
        still: seen.still(),
        frames,
        sound: sound > 10,
        failed,
      };
    },
  };
}
