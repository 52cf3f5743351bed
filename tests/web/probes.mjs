// What measures pictures and sound inside a page: clocks drawn as blocks, tones by their spectrum, flashes and beeps.
// `bare` opens a page with nothing but these; `pushed` and `played` are the URLs of a stream.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';

/** A page of the server's origin that holds nothing, with `window.probe`. */
export async function bare(browser, base) {
  const page = await (await browser.newContext({ viewport: { width: 700, height: 500 } })).newPage();
  await page.addInitScript(probes);
  await page.route('**/bare', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>bare</title>' }),
  );
  await page.goto(`${base}/bare`);
  return page;
}

/** A user's stream: where to push it and where to play it. `kind` and `roomID`: of which room; `call` makes calls as the user. */
export async function stream(server, user, kind = 'live_room', roomID = undefined) {
  const call = async (path, body) =>
    (
      await fetch(`${server.base}/weapp/${path}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      })
    ).json();
  const { userSig, sdkAppID, accountType } = await (
    await fetch(`${server.base}/weapp/utils/get_login_info?userID=${user}`)
  ).json();
  const query = new URLSearchParams({ sdkAppID, accountType, userID: user, userSig });
  const { token, message } = await call(`${kind}/login?${query}`, {});
  assert.ok(token, message);
  const own = (name, body = {}) =>
    call(`${kind}/${name}?userID=${user}&token=${token}`, { userID: user, roomID, ...body });
  const reply = await own('get_push_url');
  const { pushURL, accelerateURL, whipURL } = reply;
  assert.equal(reply.code, 0, JSON.stringify(reply));
  const { name, urls } = plays(server, accelerateURL);
  const { webrtcURL: webrtc } = reply;
  return { rtmpIn: pushURL, whip: whipURL, rtmpOut: accelerateURL, name, call: own, webrtc, ...urls };
}

/** A pusher's stream: its name, and where the audience plays it at this server. */
export function plays(server, accelerateURL) {
  const [, address, name, query] = accelerateURL.match(/^(.*)\/live\/([^?]+)\?(.*)$/);
  const signature = query.replace('raw=1&', '');
  const http = (form) => `${server.base}/live/${name}.${form}?${signature}`;
  const urls = {
    rtmp: `${address}/live/${name}?${signature}`,
    whep: `${server.base}/whep/${name}?${signature}`,
    hls: http('m3u8'),
    flv: http('flv'),
  };
  return { name, urls };
}

/** How strong frequencies are in samples of 48 kHz (Goertzel). */
export function strengths(wave, frequencies) {
  return frequencies.map((hz) => {
    let [re, im] = [0, 0];
    wave.forEach((s, i) => {
      re += s * Math.cos((2 * Math.PI * hz * i) / 48_000);
      im += s * Math.sin((2 * Math.PI * hz * i) / 48_000);
    });
    return Math.hypot(re, im) / wave.length;
  });
}

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Pushes to a URL with ffmpeg: a picture made by the filter `video` and a sound made by the source `audio`. */
export function push(url, video, audio) {
  const child = spawn(
    'ffmpeg',
    [
      '-hide_banner',
      '-loglevel',
      'error',
      '-filter_threads',
      '1',
      '-re',
      '-f',
      'lavfi',
      '-i',
      'color=c=black:size=24x2:rate=30',
      '-re',
      '-f',
      'lavfi',
      '-i',
      `aevalsrc=${audio}:sample_rate=48000:nb_samples=480`,
      '-map',
      '0:v',
      '-map',
      '1:a',
      '-vf',
      video,
      '-pix_fmt',
      'yuv420p',
      ...'-c:v libx264 -preset ultrafast -tune zerolatency -g 30 -b:v 800k -threads 1 -c:a aac -b:a 96k -f flv'.split(
        ' ',
      ),
      url,
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  running.add(child);
  return {
    stop: () => {
      running.delete(child);
      child.kill('SIGKILL');
    },
  };
}

/** Runs a program to its end and gives what it wrote. */
export async function output(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(child);
  const chunks = [];
  for await (const chunk of child.stdout) chunks.push(chunk);
  running.delete(child);
  const bytes = Buffer.concat(chunks);
  assert.ok(bytes.length > 0, `${program} ${args.join(' ')} wrote nothing`);
  return bytes;
}

export const isRed = ([r, g, b]) => r > 140 && g < 100 && b < 100;
export const isBlue = ([r, g, b]) => b > 140 && r < 100 && g < 100;

/** The colours at places (parts of width and height) of the picture that ffmpeg decodes first, and how long that took. */
export async function decoded(url, places) {
  const at = Date.now();
  const pixels = await output('ffmpeg', [
    '-loglevel',
    'error',
    '-rw_timeout',
    '15000000',
    '-analyzeduration',
    '500000',
    '-i',
    url,
    '-an',
    '-frames:v',
    '1',
    '-vf',
    'scale=100:100',
    '-f',
    'rawvideo',
    '-pix_fmt',
    'rgb24',
    '-',
  ]);
  const colour = (place) => {
    const [x, y] = place.map((part) => Math.round(part * 100));
    return [...pixels.subarray((y * 100 + x) * 3, (y * 100 + x) * 3 + 3)];
  };
  return { took: Date.now() - at, colours: places.map(colour) };
}

/** Which tones ffmpeg hears. */
export async function heard(url, frequencies) {
  const samples = await output('ffmpeg', [
    '-loglevel',
    'error',
    '-rw_timeout',
    '15000000',
    '-i',
    url,
    '-vn',
    '-t',
    '1.5',
    '-ac',
    '1',
    '-ar',
    '48000',
    '-f',
    'f32le',
    '-',
  ]);
  const wave = new Float32Array(samples.buffer, samples.byteOffset, samples.length >> 2).subarray(-24_000);
  return strengths(wave, frequencies).map((strength) => strength > 0.02);
}

/** The wall clock in milliseconds, drawn by ffmpeg as the page draws it: 24 blocks, the lowest bit first, 20 bits of time and
 *  a checksum of 4. All of a row shows one moment. */
export const DRAWN_CLOCK = [
  'format=gray',
  "geq=lum='if(eq(X,0),st(0,mod(floor(time(0)*1000),1048576)),0)*0+255*if(lt(X,20),mod(floor(ld(0)/pow(2,X)),2)," +
    "mod(floor(mod(ld(0)+floor(ld(0)/16)+floor(ld(0)/256)+floor(ld(0)/4096)+floor(ld(0)/65536),16)/pow(2,X-20)),2))'",
  'scale=624:48:flags=neighbor',
  'pad=624:352:0:0',
  'format=yuv420p',
].join(',');

export function probes() {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const wall = () => performance.timeOrigin + performance.now();
  const checksum = (v) => (v + (v >> 4) + (v >> 8) + (v >> 12) + (v >> 16)) % 16;

  /** The clock that a picture shows, or nothing. */
  const read = (video, pen) => {
    pen.drawImage(video, 0, 0, 624, 352);
    const { data } = pen.getImageData(0, 0, 624, 48);
    let bits = 0;
    for (let block = 0; block < 24; block++) {
      const light = data[(24 * 624 + block * 26 + 13) * 4];
      if (light > 90 && light < 165) return undefined;
      if (light >= 165) bits |= 1 << block;
    }
    const value = bits & 0xfffff;
    return checksum(value) === ((bits >> 20) & 15) ? value : undefined;
  };

  const offer = async (pc, url, { tcp = false } = {}) => {
    await pc.setLocalDescription();
    const reply = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp' },
      body: pc.localDescription.sdp,
    });
    // Without the addresses of UDP there is one way left.
    const sdp = (await reply.text()).replace(tcp ? /a=candidate:\S+ \d+ udp .*\r\n/gi : /$^/, '');
    if (!reply.ok) throw new Error(`${reply.status} ${sdp}`);
    await pc.setRemoteDescription({ type: 'answer', sdp });
    return new URL(reply.headers.get('Location'), url).href;
  };

  const element = () => {
    const video = document.createElement('video');
    Object.assign(video, { autoplay: true, playsInline: true });
    document.body.append(video);
    return video;
  };

  window.probe = {
    /** A canvas of 624x352 that is drawn anew for every frame by `draw(pen)`, as a track of 30 frames a second. */
    canvas(draw) {
      const canvas = Object.assign(document.createElement('canvas'), { width: 624, height: 352 });
      const pen = canvas.getContext('2d');
      const again = () => {
        draw(pen);
        requestAnimationFrame(again);
      };
      again();
      return canvas.captureStream(30).getVideoTracks()[0];
    },
    clock(pen) {
      const value = Math.floor(wall()) % 1048576;
      const bits = value | (checksum(value) << 20);
      for (let block = 0; block < 24; block++) {
        pen.fillStyle = (bits >> block) & 1 ? '#fff' : '#000';
        pen.fillRect(block * 26, 0, 26, 48);
      }
    },
    tone(frequency) {
      const context = new AudioContext();
      const to = context.createMediaStreamDestination();
      const oscillator = new OscillatorNode(context, { frequency });
      oscillator.connect(new GainNode(context, { gain: 0.5 })).connect(to);
      oscillator.start();
      return to.stream.getAudioTracks()[0];
    },
    async publish(url, tracks) {
      const pc = new RTCPeerConnection();
      for (const track of tracks) pc.addTransceiver(track, { direction: 'sendonly' });
      return { pc, session: await offer(pc, url) };
    },
    async play(url, options) {
      const pc = new RTCPeerConnection();
      const stream = new MediaStream();
      pc.ontrack = ({ track }) => stream.addTrack(track);
      for (const kind of ['video', 'audio']) pc.addTransceiver(kind, { direction: 'recvonly' });
      const session = await offer(pc, url, options);
      const video = element();
      video.srcObject = stream;
      return { pc, session, video };
    },
    async hls(url) {
      const video = element();
      const player = new Hls({ lowLatencyMode: true, enableWorker: false });
      const failures = [];
      player.on(Hls.Events.ERROR, (_, error) => error.fatal && failures.push(`${error.type} ${error.details}`));
      player.loadSource(url);
      player.attachMedia(video);
      return { player, video, failures };
    },
    /** Plays FLV by mpegts.js, over HTTP or WebSocket. */
    flv(url) {
      const video = element();
      const player = mpegts.createPlayer({ type: 'flv', isLive: true, url }, { enableStashBuffer: false });
      const failures = [];
      player.on(mpegts.Events.ERROR, (type, detail, info) => failures.push(JSON.stringify([type, detail, info])));
      player.attachMediaElement(video);
      player.load();
      video.play().catch(() => {});
      return { player, video, failures };
    },
    /** Milliseconds until the first picture is shown, from when this is called right after the player was made. */
    async first({ video }) {
      const at = performance.now();
      const shown = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
      return await Promise.race([
        shown,
        sleep(20_000).then(() => {
          throw new Error('no picture within 20 s');
        }),
      ]).then(() => Math.round(performance.now() - at));
    },
    /** The colours of a video at places given in parts of its width and height. */
    colours(video, places) {
      const pen = Object.assign(document.createElement('canvas'), { width: 100, height: 100 }).getContext('2d', {
        willReadFrequently: true,
      });
      pen.drawImage(video, 0, 0, 100, 100);
      return places.map(([x, y]) => [...pen.getImageData(x * 100, y * 100, 1, 1).data].slice(0, 3));
    },
    /** How strong frequencies are in an element's sound, in dB. */
    async tones(video, frequencies) {
      const context = new AudioContext({ sampleRate: 48_000 });
      const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
      context.createMediaStreamSource(video.srcObject).connect(analyser);
      const bins = new Float32Array(analyser.frequencyBinCount);
      await sleep(700);
      analyser.getFloatFrequencyData(bins);
      await context.close();
      return frequencies.map((hz) => Math.max(...[-1, 0, 1].map((n) => bins[Math.round((hz * 8192) / 48_000) + n])));
    },
    /** How old the clock is that each of the next `count` pictures shows, in milliseconds. */
    async ages(video, count) {
      const pen = Object.assign(document.createElement('canvas'), { width: 624, height: 352 }).getContext('2d', {
        willReadFrequently: true,
      });
      const found = [];
      let seen = 0;
      for (const end = wall() + 60_000; found.length < count && wall() < end; seen++) {
        const at = await new Promise((resolve) =>
          video.requestVideoFrameCallback((now) => resolve(performance.timeOrigin + now)),
        );
        const shown = read(video, pen);
        if (shown !== undefined) found.push(((Math.floor(at) % 1048576) - shown + 1048576) % 1048576);
      }
      return { found, seen };
    },
    /** The strongest frequency of an element's sound, in Hz, and how far it stands out of the rest, in dB. */
    async pitch(video) {
      const context = new AudioContext({ sampleRate: 48_000 });
      const source = video.srcObject
        ? context.createMediaStreamSource(video.srcObject)
        : context.createMediaElementSource(video);
      const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0.5 });
      source.connect(analyser);
      const bins = new Float32Array(analyser.frequencyBinCount);
      let best = { hz: 0, above: -Infinity };
      for (let i = 0; i < 40 && best.above < 30; i++) {
        await sleep(250);
        analyser.getFloatFrequencyData(bins);
        const peak = bins.indexOf(Math.max(...bins));
        const level = [...bins].sort((a, b) => a - b)[bins.length >> 1];
        if (Number.isFinite(bins[peak])) best = { hz: (peak * 48_000) / 8192, above: bins[peak] - level };
      }
      return best;
    },
    /** For `ms` after some seconds to settle: when flashes and beeps begin, each flash's time minus its beep's, in
     *  milliseconds; and the same as the receiver itself estimates it from sender reports. */
    async sync({ pc, video }, ms) {
      await sleep(4_000);
      const context = new AudioContext({ sampleRate: 48_000, latencyHint: 'interactive' });
      const worklet = `registerProcessor('onsets', class extends AudioWorkletProcessor {
        process([[samples]]) {
          this.quiet ??= 0;
          for (let i = 0; i < (samples?.length ?? 0); i++) {
            if (Math.abs(samples[i]) < 0.1) this.quiet++;
            else { if (this.quiet > 9600) this.port.postMessage((currentFrame + i) / sampleRate); this.quiet = 0; }
          }
          return true;
        } });`;
      await context.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], { type: 'text/javascript' })));
      const node = new AudioWorkletNode(context, 'onsets');
      context.createMediaStreamSource(video.srcObject).connect(node);
      const heard = [];
      node.port.onmessage = ({ data }) => {
        const { contextTime, performanceTime } = context.getOutputTimestamp();
        // What this context itself adds before its sound is out is no part of the stream.
        heard.push(performanceTime + (data - contextTime - context.outputLatency) * 1000);
      };
      const pen = Object.assign(document.createElement('canvas'), { width: 8, height: 8 }).getContext('2d', {
        willReadFrequently: true,
      });
      const seen = [];
      let bright = true;
      for (const end = performance.now() + ms; performance.now() < end; ) {
        const at = await new Promise((resolve) =>
          video.requestVideoFrameCallback((_, { expectedDisplayTime }) => resolve(expectedDisplayTime)),
        );
        pen.drawImage(video, 0, 0, 8, 8);
        const light = pen.getImageData(4, 6, 1, 1).data[0];
        if (light > 128 && !bright) seen.push(at);
        bright = light > 128;
      }
      const stats = [...(await pc.getStats()).values()].filter((s) => s.type === 'inbound-rtp');
      const playout = (kind) => stats.find((s) => s.kind === kind).estimatedPlayoutTimestamp;
      const nearest = (at) => heard.map((sound) => at - sound).sort((a, b) => Math.abs(a) - Math.abs(b))[0];
      return {
        apart: seen.map(nearest).filter((apart) => Math.abs(apart) < 500),
        estimate: playout('audio') - playout('video'),
      };
    },
  };
}
