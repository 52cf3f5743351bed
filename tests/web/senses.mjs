// Whether eyes and ears get the same: lips in step with sound, and what a browser publishes as ffmpeg sees and hears it.

import assert from 'node:assert/strict';
import { bare, output, push, stream } from './probes.mjs';
import { browse, Server, until } from './stage.mjs';

const server = new Server({ ROOMSERVICE_WEBRTC__LISTEN_TCP: `127.0.0.1:${process.env.RTC_TCP_PORT}` });
await server.start();
const { browser } = await browse();

// A flash and a beep each second, pushed by RTMP, seen by WebRTC.
const rtmp = await stream(server, 'bob');
const flash = "format=gray,geq=lum='255*lt(mod(N,30),6)',scale=320:180:flags=neighbor,format=yuv420p";
const pushing = push(rtmp.rtmpIn, flash, '0.5*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,0.2)');
const page = await bare(browser, server.base);
await until('the stream is there', async () => (await fetch(rtmp.hls)).ok);
const watched = await page.evaluateHandle((url) => window.probe.play(url), rtmp.whep);
const { apart, estimate } = await page.evaluate((v) => window.probe.sync(v, 8_000), watched);
const middle = [...apart].sort((a, b) => a - b)[apart.length >> 1];
console.log(
  `lips: what is seen comes ${Math.round(middle)} ms after what is heard (${apart.map(Math.round).join(' ')}); by sender reports ${Math.round(estimate)} ms`,
);
assert.ok(apart.length >= 5, `only ${apart.length} flashes with their beeps`);
assert.ok(Math.abs(middle) <= 160, 'picture and sound are apart');
// Not a number: the browser does not keep the two in step at all.
assert.ok(Math.abs(estimate) <= 160, `the browser takes picture and sound for ${estimate} ms apart`);
await page.evaluate(({ pc, video }) => {
  pc.close();
  video.remove();
}, watched);
pushing.stop();

// What a browser publishes, pulled by ffmpeg over RTMP: AAC, colours where they belong, the right tone.
const own = await stream(server, 'ada');
await page.evaluate(async (url) => {
  const { canvas, tone, publish } = window.probe;
  let n = 0;
  const picture = canvas((pen) => {
    ['#c00000', '#00a000', '#0000c8', '#e0e000'].forEach((colour, i) => {
      pen.fillStyle = colour;
      pen.fillRect(i * 156, 0, 156, 352);
    });
    pen.fillStyle = n++ % 2 ? '#000' : '#fff';
    pen.fillRect(0, 330, 624, 22);
  });
  window.published = await publish(url, [picture, tone(550)]);
}, own.whip);
await until('the stream is there', async () => (await fetch(own.hls)).ok);
const looked = JSON.parse(
  await output('ffprobe', [
    '-hide_banner',
    '-loglevel',
    'error',
    '-rw_timeout',
    '20000000',
    '-read_intervals',
    '%+4',
    '-count_frames',
    '-show_streams',
    '-of',
    'json',
    own.rtmpOut,
  ]),
);
const [video, audio] = ['video', 'audio'].map((kind) => looked.streams.find((s) => s.codec_type === kind));
assert.deepEqual(
  [video.codec_name, video.width / video.height, audio.codec_name, audio.sample_rate],
  ['h264', 624 / 352, 'aac', '48000'],
);
console.log(
  `a browser's stream by RTMP for 4 s: ${video.nb_read_frames} pictures, ${audio.nb_read_frames} frames of AAC`,
);
// 4 s of 30 pictures and of 46.9 frames of AAC, with room for a machine that draws fewer pictures.
assert.ok(video.nb_read_frames >= 40 && video.nb_read_frames <= 160, `${video.nb_read_frames} pictures in 4 s`);
assert.ok(audio.nb_read_frames >= 150 && audio.nb_read_frames <= 230, `${audio.nb_read_frames} frames of AAC in 4 s`);

// The same by WebRTC over TCP, as from a network that lets no UDP through.
const tunnelled = await page.evaluateHandle((url) => window.probe.play(url, { tcp: true }), own.whep);
const pitch = await page.evaluate((v) => window.probe.pitch(v.video), tunnelled);
assert.ok(
  Math.abs(pitch.hz - 550) < 9 && pitch.above > 30,
  `over TCP a tone of 550 Hz came as ${JSON.stringify(pitch)}`,
);
const way = await page.evaluate(async ({ pc }) => {
  const decoded = (stats) =>
    [...stats.values()].find((s) => s.type === 'inbound-rtp' && s.kind === 'video')?.framesDecoded ?? 0;
  let stats = await pc.getStats();
  // However slow the machine is, pictures go on coming; the deadline is for what never comes.
  for (const end = performance.now() + 20_000; decoded(stats) <= 10 && performance.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    stats = await pc.getStats();
  }
  const { selectedCandidatePairId } = [...stats.values()].find((s) => s.type === 'transport');
  return {
    protocol: stats.get(stats.get(selectedCandidatePairId).remoteCandidateId).protocol,
    pictures: decoded(stats),
  };
}, tunnelled);
assert.ok(way.protocol === 'tcp' && way.pictures > 10, JSON.stringify(way));

const pull = (...args) =>
  output('ffmpeg', [
    '-hide_banner',
    '-loglevel',
    'error',
    '-rw_timeout',
    '20000000',
    '-i',
    own.rtmpOut,
    ...args,
    'pipe:1',
  ]);
const pictures = await pull('-map', '0:v', '-frames:v', '10', '-s', '624x352', '-f', 'rawvideo', '-pix_fmt', 'rgb24');
const last = pictures.subarray(pictures.length - 624 * 352 * 3);
[
  [0xc0, 0, 0],
  [0, 0xa0, 0],
  [0, 0, 0xc8],
  [0xe0, 0xe0, 0],
].forEach((wanted, i) => {
  const at = (170 * 624 + i * 156 + 78) * 3;
  const seen = [...last.subarray(at, at + 3)];
  assert.ok(
    seen.every((c, n) => Math.abs(c - wanted[n]) < 40),
    `stripe ${i} is ${seen}, not ${wanted}`,
  );
});

const samples = await pull('-map', '0:a', '-t', '2', '-ac', '1', '-ar', '48000', '-f', 'f32le');
const wave = new Float32Array(samples.buffer, samples.byteOffset, samples.length >> 2).subarray(-48_000);
/** How strong a frequency is (Goertzel). */
const strength = (hz) => {
  let [re, im] = [0, 0];
  wave.forEach((s, i) => {
    re += s * Math.cos((2 * Math.PI * hz * i) / 48_000);
    im += s * Math.sin((2 * Math.PI * hz * i) / 48_000);
  });
  return Math.hypot(re, im) / wave.length;
};
const others = [110, 275, 440, 500, 600, 825, 1100, 2200].map(strength);
assert.ok(
  strength(550) > 0.1 && others.every((s) => s < strength(550) / 10),
  `550 Hz: ${strength(550)}, others ${others}`,
);

await browser.close();
await server.kill('SIGTERM');
