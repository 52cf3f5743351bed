// Players that are programs, and what they write of what they decoded.

import { spawn, spawnSync } from 'node:child_process';

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

/** Whether a program can be run here. */
export function isThere(program) {
  return program !== undefined && !spawnSync(program, ['--version'], { stdio: 'ignore' }).error;
}

/** Times of what comes: the first, and the longest pause after it. `at`: the time of the stream that it belongs to, in seconds, where
 *  that is known; it is shown no sooner than that then, and what came in time is no pause. */
function pulse() {
  const from = Date.now();
  const seen = { frames: 0, longest: 0 };
  let last = from;
  let base;
  seen.beat = (count = 1, at = undefined) => {
    const now = Date.now();
    seen.frames += count;
    // What the stream's own time breaks off at is no pause of so long.
    const due = base === undefined || Math.abs(base + at * 1_000 - now) > 10_000 ? now : base + at * 1_000;
    const shown = at === undefined ? now : Math.max(now, due);
    base = shown - (at ?? 0) * 1_000;
    if (seen.first === undefined) seen.first = now - from;
    else if (shown - last > seen.longest)
      [seen.longest, seen.stood] = [Math.round(shown - last), Math.round(last - from)];
    last = shown;
  };
  seen.still = () => Math.max(0, Math.round(Date.now() - last));
  return seen;
}

/** What ffmpeg's filters write of frames: when each is to be shown, in seconds, and a figure of it. */
function figures(stream, key, take) {
  let said = '';
  stream.on('data', (text) => {
    said += text;
    for (const [whole, at, value] of said.matchAll(new RegExp(`pts_time:(\\S+)\\n${key}=(\\S+)\\n`, 'g'))) {
      take(Number(at), Number(value));
      said = said.slice(said.indexOf(whole) + whole.length);
    }
  });
}

const BRIGHT = 'lavfi.signalstats.YAVG';
const LOUD = 'lavfi.astats.Overall.RMS_level';
const print = (key, pipe) => `print:key=${key}:file='pipe\\:${pipe}':direct=1`;
/** Filters that tell the time and the brightness of each picture, and of each piece of sound how loud the tone of 440 Hz is in it. */
const PICTURES = `scale=16:16,signalstats,metadata=${print(BRIGHT, 1)}`;
const SOUND = `aresample=8000,bandpass=f=440:width_type=h:w=60,astats=metadata=1:reset=1,ametadata=${print(LOUD, 3)}`;

/** What a program's filters tell. `ahead`: it decodes as fast as it can, and what it is given has a time of its own. */
function filtered(child, { ahead }) {
  const pictures = pulse();
  const sound = pulse();
  let levels = [];
  let said = '';
  figures(child.stdout, BRIGHT, (at) => pictures.beat(1, ahead ? at : undefined));
  child.stderr.on('data', (text) => {
    said = (said + text).slice(-400);
  });
  figures(child.stdio[3], LOUD, (at, level) => {
    sound.beat(1, ahead ? at : undefined);
    levels = [...levels.slice(-20), level];
  });
  return {
    stop() {
      const main = pictures.frames ? pictures : sound;
      child.kill('SIGKILL');
      return {
        first: pictures.first,
        began: main.first,
        longest: Math.max(main.longest, sound.longest),
        stood: (main.longest > sound.longest ? main : sound).stood,
        still: main.still(),
        frames: pictures.frames,
        sound: levels.filter((level) => level > -40).length > 10,
        failed: child.exitCode ? [said.split('\n').filter(Boolean).pop() ?? `exit ${child.exitCode}`] : [],
      };
    },
  };
}

const PIPES = { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] };

/** Plays with ffmpeg, as fast as it gets it. All goes to one output, which may lack one of the tracks. */
export function ffmpeg(program) {
  return (url) => {
    const input = ['-nostdin', '-v', 'error', '-analyzeduration', '500000', '-i', url];
    const pictures = ['-map', '0:v:0?', '-vf', PICTURES, '-fps_mode', 'passthrough'];
    const sound = ['-map', '0:a:0?', '-af', SOUND];
    return filtered(start(program, [...input, ...pictures, ...sound, '-f', 'null', '-'], PIPES), { ahead: true });
  };
}

/** Plays with mpv. Its profile `low-latency` has `nobuffer`, which throws the first keyframe away. */
export function mpv(url) {
  const quiet = [
    '--no-config',
    '--no-terminal',
    '--vo=null',
    '--ao=null',
    '--cache=no',
    '--demuxer-lavf-analyzeduration=0.5',
  ];
  const filters = [`--vf=lavfi=[${PICTURES}]`, `--af=lavfi=[${SOUND}]`];
  return filtered(start('mpv', [...quiet, ...filters, url], PIPES), { ahead: false });
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
