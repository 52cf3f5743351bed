// Who speaks: one audio context, an analyser for each stream, one look at all of them ten times a second.

const LOUD = 0.035;
// Samples of which the power is taken together: what is short and loud must not drown in what is around it.
const GRAIN = 512;
// A pause between two words is no silence, in milliseconds.
const PAUSE = 600;
const watched = new Map();
let context;
let timer;
let heard = 0;

/** Calls `speaks(true | false)` when that changes, and `level(0…1)` at each look; returns how to stop. */
export function watchLevel(stream, speaks, level) {
  if (!globalThis.AudioContext || !stream.getAudioTracks?.().length) return () => {};
  context ??= new AudioContext();
  const source = context.createMediaStreamSource(stream);
  const analyser = new AnalyserNode(context, { fftSize: 8192 });
  source.connect(analyser);
  const key = {};
  watched.set(key, {
    analyser,
    speaks,
    level,
    samples: new Float32Array(analyser.fftSize),
    loud: -Infinity,
    on: false,
  });
  timer ??= setInterval(look, 100);
  return () => {
    if (!watched.delete(key)) return;
    source.disconnect();
    if (watched.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

function look() {
  // It may begin only after the first click, and stops when a device goes.
  if (context.state !== 'running') context.resume().catch(() => {});
  // By the clock: pages in the background are let look less often. And what stands still is no sound.
  const now = performance.now();
  const flows = context.currentTime > heard;
  heard = context.currentTime;
  for (const one of watched.values()) {
    one.analyser.getFloatTimeDomainData(one.samples);
    const power = flows ? loudest(one.samples) : 0;
    one.level?.(Math.min(1, power * 4));
    if (power > LOUD) one.loud = now;
    const on = now - one.loud < PAUSE;
    if (on !== one.on) {
      one.on = on;
      one.speaks(on);
    }
  }
}

function loudest(samples) {
  let most = 0;
  for (let at = 0; at < samples.length; at += GRAIN) {
    let sum = 0;
    for (let i = at; i < at + GRAIN; i++) sum += samples[i] * samples[i];
    most = Math.max(most, sum / GRAIN);
  }
  return Math.sqrt(most);
}
