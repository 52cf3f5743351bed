// Who speaks: one audio context, an analyser for each stream, one look at all of them ten times a second.

const LOUD = 0.035;
const watched = new Map();
let context;
let timer;

/** Calls `speaks(true | false)` when that changes; returns how to stop. */
export function watchLevel(stream, speaks) {
  if (!globalThis.AudioContext || !stream.getAudioTracks().length) return () => {};
  context ??= new AudioContext();
  if (context.state === 'suspended') context.resume().catch(() => {});
  const source = context.createMediaStreamSource(stream);
  const analyser = new AnalyserNode(context, { fftSize: 512 });
  source.connect(analyser);
  const key = {};
  watched.set(key, { analyser, speaks, samples: new Float32Array(analyser.fftSize), quiet: 0, on: false });
  timer ??= setInterval(look, 100);
  return () => {
    if (!watched.delete(key)) return;
    source.disconnect();
    if (watched.size === 0) { clearInterval(timer); timer = undefined; }
  };
}

function look() {
  for (const one of watched.values()) {
    one.analyser.getFloatTimeDomainData(one.samples);
    const power = one.samples.reduce((sum, x) => sum + x * x, 0) / one.samples.length;
    // A pause between two words is no silence.
    one.quiet = Math.sqrt(power) > LOUD ? 0 : one.quiet + 1;
    const on = one.quiet < 6;
    if (on !== one.on) { one.on = on; one.speaks(on); }
  }
}
