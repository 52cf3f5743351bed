// What is drawn where there is no camera, and the tone in place of a microphone.

/** A picture that moves: a clock, so that delay can be seen. */
export function drawnTrack(name = '') {
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
  const draw = canvas.getContext('2d');
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 150);
  const paint = () => {
    const now = performance.now() / 1000;
    const sky = draw.createLinearGradient(0, 0, 640, 360);
    sky.addColorStop(0, `hsl(${hue} 35% 32%)`);
    sky.addColorStop(1, `hsl(${hue + 50} 40% 20%)`);
    draw.fillStyle = sky;
    draw.fillRect(0, 0, 640, 360);
    for (let i = 0; i < 5; i++) {
      const angle = now * (0.4 + i * 0.13) + i * 1.7;
      draw.beginPath();
      draw.arc(320 + Math.cos(angle) * (120 + i * 34), 180 + Math.sin(angle * 1.3) * (60 + i * 16), 26 + i * 9, 0, 7);
      draw.fillStyle = `hsl(${hue + i * 22} 55% 62% / .35)`;
      draw.fill();
    }
    draw.fillStyle = '#fff';
    draw.textAlign = 'center';
    draw.font = '600 46px system-ui, sans-serif';
    draw.fillText(name, 320, 178, 580);
    draw.font = '28px ui-monospace, monospace';
    draw.fillText(new Date().toISOString().slice(11, 21), 320, 228);
  };
  paint();
  const track = canvas.captureStream(15).getVideoTracks()[0];
  const timer = setInterval(() => (track.readyState === 'ended' ? clearInterval(timer) : paint()), 66);
  track.drawn = true;
  return track;
}

/** A quiet tone that comes and goes. */
export function toneTrack() {
  const Context = globalThis.AudioContext;
  if (!Context) return null;
  const context = new Context();
  const tone = new OscillatorNode(context, { frequency: 330 });
  const beat = new OscillatorNode(context, { frequency: 0.7 });
  const depth = new GainNode(context, { gain: 0.02 });
  const level = new GainNode(context, { gain: 0.02 });
  const out = context.createMediaStreamDestination();
  beat.connect(depth).connect(level.gain);
  tone.connect(level).connect(out);
  tone.start();
  beat.start();
  const track = out.stream.getAudioTracks()[0];
  const stop = track.stop.bind(track);
  track.stop = () => {
    stop();
    context.close();
  };
  return track;
}
