// The libraries of npm for WHIP and WHEP as their READMEs say, in Chromium, on a page of another origin than the server's. One line
// for each library and role, then what it asked of the server and what it complained of.
//
//     SERVER=target/debug/roomservice NODE_MODULES=/tmp/clients/packages/node_modules node tests/clients/webrtc/packages.mjs [NAME …]
//
// WAIT=9 has players that come before their publisher ask to wait so many seconds, as `whepURL` does. MEDIAMTX is a directory with
// MediaMTX's reader.js and publisher.js, which are in no package.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { serve } from '../players/serve.mjs';

const libraries = process.env.NODE_MODULES;
const { build } = createRequire(`${libraries}/`)('esbuild');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const MEASURED = 4_000;

// What runs in the page: `lib` has the names that `of` exports. Each gives how the library is stopped, or that and where its video is.
const medooze = {
  publish: async (lib, url, media) => {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    for (const track of media.getTracks()) pc.addTransceiver(track, { direction: 'sendonly' });
    const whip = new lib.WHIPClient();
    await whip.publish(pc, url);
    return { stop: () => whip.stop(), restart: () => whip.restart() };
  },
  play: async (lib, url, video) => {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    pc.addTransceiver('audio');
    pc.addTransceiver('video');
    pc.ontrack = (event) => {
      if (event.track.kind === 'video') video.srcObject = event.streams[0];
    };
    const whep = new lib.WHEPClient();
    await whep.view(pc, url);
    return { stop: () => whep.stop(), restart: () => whep.restart() };
  },
};
const mediamtx = {
  play: (lib, url, video) => {
    const reader = new lib.MediaMTXWebRTCReader({
      url,
      onError: (error) => window.said.push(error),
      onTrack: (event) => {
        video.srcObject = event.streams[0];
      },
    });
    return { stop: () => reader.close() };
  },
};
const CLIENTS = {
  '@eyevinn/whip-web-client': {
    publish: async (lib, url, media) => {
      const client = new lib.WHIPClient({ endpoint: url, opts: {} });
      await client.ingest(media);
      return { stop: () => client.destroy() };
    },
  },
  '@eyevinn/webrtc-player': {
    play: async (lib, url, video) => {
      const player = new lib.WebRTCPlayer({ video, type: 'whep', statsTypeFilter: '^candidate-*|^inbound-rtp' });
      const told = ['no-media', 'initial-connection-failed', 'peer-connection-failed', 'connect-error'];
      for (const name of told) player.on(name, () => window.said.push(name));
      await player.load(new URL(url));
      player.unmute();
      return { stop: () => player.unload() };
    },
  },
  'whip-whep': { of: ['whip-whep/whip.js', 'whip-whep/whep.js'], ...medooze },
  '@binbat/whip-whep': { of: ['@binbat/whip-whep/whip.js', '@binbat/whip-whep/whep.js'], ...medooze },
  '@cameronelliott/whip-whep': {
    of: ['@cameronelliott/whip-whep/whip.js', '@cameronelliott/whip-whep/whep.js'],
    ...medooze,
  },
  mediamtx: {
    files: ['reader.js', 'publisher.js'],
    ...mediamtx,
    publish: (lib, url, stream) => {
      const publisher = new lib.MediaMTXWebRTCPublisher({
        url,
        stream,
        videoCodec: 'h264/90000',
        videoBitrate: '1000',
        audioCodec: 'opus/48000',
        audioBitrate: '32',
        audioVoice: true,
        onError: (error) => window.said.push(error),
      });
      return { stop: () => publisher.close() };
    },
  },
  'mediamtx-webrtc-react': mediamtx,
  'mediamtx-webrtc-react <WebRTCVideo>': {
    of: ['mediamtx-webrtc-react', 'react', 'react-dom/client'],
    play: (lib, url, video) => {
      video.remove();
      const root = lib.createRoot(document.body.appendChild(document.createElement('div')));
      const onError = (error) => window.said.push(error);
      root.render(lib.createElement(lib.WebRTCVideo, { url, onError, autoPlay: true, controls: true }));
      return { stop: () => root.unmount(), video: () => document.querySelector('video') };
    },
  },
  'simple-webrtc-element-whep': mediamtx,
  '@htmlbricks/hb-player-live': {
    play: (_lib, url, video) => {
      video.remove();
      const player = document.createElement('hb-player-live');
      player.setAttribute('media_type', 'whep');
      player.setAttribute('mediauri', url);
      document.body.append(player);
      return { stop: () => player.remove(), video: () => player.getVideoElement() };
    },
  },
  '@livepeer/core-web': {
    of: ['@livepeer/core-web/webrtc'],
    publish: (lib, url, mediaStream) => {
      const { destroy } = lib.createNewWHIP({
        ingestUrl: url,
        element: document.querySelector('video'),
        callbacks: {
          onRTCPeerConnection: (peerConnection) =>
            lib.attachMediaStreamToPeerConnection({ mediaStream, peerConnection }),
          onError: (error) => window.said.push(error.message),
        },
        sdpTimeout: null,
      });
      return { stop: destroy };
    },
    play: (lib, url, element) => {
      const callbacks = { onError: (error) => window.said.push(error.message) };
      const { destroy } = lib.createNewWHEP({ source: url, element, callbacks, accessControl: {}, sdpTimeout: null });
      return { stop: destroy };
    },
  },
  ovenlivekit: {
    publish: async (lib, url) => {
      const error = (what) => window.said.push(`${what?.message ?? what}`);
      const kit = (lib.default ?? lib).create({ callbacks: { error } });
      await kit.getUserMedia();
      await kit.startStreaming(url);
      return { stop: () => kit.stopStreaming() };
    },
  },
};

/** In the page before all else: its connections, what the library told it, and what is measured of a player. */
function instruments() {
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const Real = window.RTCPeerConnection;
  window.said = [];
  window.connections = [];
  window.RTCPeerConnection = class extends Real {
    constructor(...all) {
      super(...all);
      window.connections.push(this);
    }
  };
  const shown = () => window.client?.video?.() ?? document.querySelector('video');
  const pictures = () => shown()?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
  /** Milliseconds until it is so, null if it never is. */
  const until = async (ask, within) => {
    const at = performance.now();
    while (!ask()) {
      if (performance.now() - at > within) return null;
      await pause(10);
    }
    return Math.round(performance.now() - at);
  };
  const tone = async (ms) => {
    const context = new AudioContext({ sampleRate: 48_000 });
    const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0.5 });
    context.createMediaStreamSource(shown().srcObject).connect(analyser);
    await pause(ms);
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const peak = bins.indexOf(Math.max(...bins));
    return bins[peak] > -70 ? Math.round((peak * 48_000) / 8192) : null;
  };
  window.measure = {
    connected: (within) => until(() => window.connections.some((pc) => pc.connectionState === 'connected'), within),
    picture: (within) => until(() => pictures() > 0, within),
    /** A picture that was not there yet. */
    async next(within) {
      let last = pictures();
      // A new stream of the element counts from the beginning.
      return await until(() => {
        const now = pictures();
        const grown = now > last;
        last = now;
        return grown;
      }, within);
    },
    async flow(ms) {
      const before = pictures();
      const hz = await tone(ms).catch(() => null);
      return { fps: Math.round(((pictures() - before) * 1000) / ms), hz };
    },
  };
}

/** The page's own server: another origin than that of the streams. */
async function pages() {
  const scripts = new Map();
  const server = createServer((request, reply) => {
    const script = scripts.get(request.url);
    reply.setHeader('Content-Type', script === undefined ? 'text/html' : 'text/javascript');
    reply.end(
      script ?? '<!doctype html><link rel="icon" href="data:,"><body><video id="video" autoplay playsinline></video>',
    );
  });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  return { base: `http://localhost:${server.address().port}`, scripts, close: () => server.close() };
}

/** What a page of this library loads, and its version; nothing where it is not installed. */
async function bundled(name, { of, files }) {
  if (files) {
    const from = process.env.MEDIAMTX;
    if (!from || !files.every((file) => existsSync(path.join(from, file)))) return null;
    const text = files.map((file) => readFileSync(path.join(from, file), 'utf8')).join('\n');
    return { version: '', script: `${text};window.lib = window;` };
  }
  const [own] = name.split(' ');
  const described = path.join(libraries, own, 'package.json');
  if (!existsSync(described)) return null;
  const wanted = of ?? [own];
  const imports = wanted.map((from, i) => `import * as of${i} from ${JSON.stringify(from)};`).join('\n');
  const all = wanted.map((_, i) => `...of${i}`).join(', ');
  const { outputFiles } = await build({
    stdin: { contents: `${imports}\nwindow.lib = { ${all} };`, resolveDir: path.dirname(libraries) },
    nodePaths: [libraries],
    bundle: true,
    write: false,
    logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  return { version: JSON.parse(readFileSync(described, 'utf8')).version, script: outputFiles[0].text };
}

/** Opens a page for a library and notes what it asks of the server and what its console says. */
async function open(place, browser, name, base) {
  const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
  const page = await context.newPage();
  const noted = { asked: [], problems: [], said: [] };
  const mine = (request) => request.url().startsWith(base);
  const of = (request) => `${request.method()} ${new URL(request.url()).pathname.split('/')[1]}`;
  const answered = new Set();
  page.on('response', (reply) => {
    answered.add(reply.request());
    if (mine(reply.request())) noted.asked.push(`${of(reply.request())} ${reply.status()}`);
  });
  page.on('requestfailed', (request) => {
    // One that was answered fails all the same when its page goes, if nobody read the answer.
    if (mine(request) && !answered.has(request)) noted.asked.push(`${of(request)} ${request.failure().errorText}`);
  });
  page.on('pageerror', (error) => noted.problems.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) noted.problems.push(`${message.type()}: ${message.text()}`);
  });
  await page.addInitScript(instruments);
  await page.goto(place.base);
  await page.addScriptTag({ url: `/${encodeURIComponent(name)}.js` });
  const close = async () => {
    noted.said = await page.evaluate(() => window.said);
    // No session is left behind that ends by a time-out.
    const ends = async () => {
      await window.client?.stop();
      for (const pc of window.connections) pc.close();
    };
    await within(
      page.evaluate(ends).catch(() => {}),
      2_000,
    );
    await context.close();
  };
  return { page, noted, close };
}

/** Starts the library in the page, which may throw. */
const begin = (page, run, url, kind) =>
  page.evaluate(
    `(async () => {
      const media = ${kind === 'publish' ? 'await navigator.mediaDevices.getUserMedia({ video: true, audio: true })' : 'document.querySelector("video")'};
      window.client = await (${run})(window.lib, ${JSON.stringify(url)}, media);
    })()`,
  );

const tally = (list) => {
  const counts = new Map();
  for (const what of list) counts.set(what, (counts.get(what) ?? 0) + 1);
  return [...counts].map(([what, n]) => (n > 1 ? `${what} (${n} times)` : what));
};

/** Sessions of WebRTC that the server has. */
async function sessions(base) {
  const figures = await (await fetch(`${base}/metrics`)).text();
  return Number(/^roomservice_webrtc_sessions (\d+)/m.exec(figures)[1]);
}

async function fewer(base, than) {
  const at = Date.now();
  while ((await sessions(base)) >= than) {
    if (Date.now() - at > 15_000) return 'never';
    await sleep(50);
  }
  return `${Date.now() - at} ms`;
}

/** What an FLV player gets: pictures that ffmpeg decodes in some seconds, and how loud the sound is. */
async function decoded(flv) {
  const seconds = MEASURED / 1_000;
  const video = `-t ${seconds} -map 0:v -f framemd5 -`.split(' ');
  const sound = `-t ${seconds} -map 0:a -af volumedetect -f null /dev/null`.split(' ');
  const child = spawn('ffmpeg', ['-hide_banner', '-rw_timeout', '8000000', '-i', flv, ...video, ...sound]);
  const text = { stdout: '', stderr: '' };
  for (const way of Object.keys(text)) child[way].on('data', (chunk) => (text[way] += chunk));
  await new Promise((resolve) => child.on('close', resolve));
  const pictures = text.stdout.split('\n').filter((row) => row && !row.startsWith('#')).length;
  const loud = Number(/max_volume: (\S+) dB/.exec(text.stderr)?.[1] ?? -91);
  const codec = /Video: (\w+)/.exec(text.stderr)?.[1] ?? 'none';
  return { text: `${codec} ${Math.round(pictures / seconds)} fps${loud > -50 ? ' ♪' : ' silent'}`, pictures };
}

/** Reads FLV until it ends. */
function watched(flv) {
  const from = new AbortController();
  const ended = fetch(flv, { signal: from.signal })
    .then(async (reply) => {
      for await (const _ of reply.body);
    })
    .catch(() => {})
    .then(() => Date.now());
  return { ended, leave: () => from.abort() };
}

const within = (promise, ms) => Promise.race([promise, sleep(ms).then(() => null)]);
const say = (ms) => (ms === null ? 'never' : `${ms} ms`);

async function publisher(at, name, client) {
  const urls = await at.stream(at.server, at.user());
  const own = await open(at.place, at.browser, name, at.server.base);
  const { page, noted } = own;
  const row = {};
  const fail = (what) => (error) => noted.problems.push(`${what}: ${error.message.split('\n')[0]}`);
  const before = await sessions(at.server.base);
  row.connected = await publishes(page, client, urls.whip, fail('publish'));
  if (row.connected !== 'never') {
    const live = watched(urls.flv);
    row.flv = (await decoded(urls.flv)).text;
    const viewer = await at.bare(at.browser, at.server.base);
    row.whep = say(await viewer.evaluate(viewing, urls.whep).catch(() => null));
    row.restart = await restarted(page, noted);
    await viewer.evaluate(() => window.leave());
    await viewer.context().close();
    row.stop = await stopped(own, at, before + 1);
    const from = Date.now();
    const end = await within(live.ended, 15_000);
    live.leave();
    row.end = end === null ? 'goes on' : end <= from ? 'at once' : `${end - from} ms`;
    await page.evaluate(() => window.connections.splice(0));
    row.again = await publishes(page, client, urls.whip, fail('again'));
  }
  await own.close();
  return { row, noted };
}

/** How long it takes from the call to the connection; asking for the camera is part of it. */
async function publishes(page, client, whip, fail) {
  const from = Date.now();
  await within(begin(page, client.publish, whip, 'publish').catch(fail), 15_000);
  const connected = await page.evaluate(() => window.measure.connected(10_000));
  return connected === null ? 'never' : `${Date.now() - from} ms`;
}

/** Restarts ICE where the library can. */
async function restarted(page, noted) {
  if (!(await page.evaluate(() => Boolean(window.client?.restart)))) return '';
  try {
    await within(
      page.evaluate(() => window.client.restart()),
      5_000,
    );
    return 'ok';
  } catch (error) {
    noted.problems.push(`restart: ${error.message.split('\n')[0]}`);
    return 'fails';
  }
}

/** Stops the library. Gives how long its session lives on, and whether the console is quiet. */
async function stopped({ page, noted }, at, than) {
  const problems = noted.problems.length;
  await within(
    page
      .evaluate(() => window.client.stop())
      .catch((error) => noted.problems.push(`stop: ${error.message.split('\n')[0]}`)),
    5_000,
  );
  const gone = await fewer(at.server.base, than);
  await sleep(1_000);
  return `${gone}${noted.problems.length > problems ? ', complains' : ''}`;
}

async function player(at, name, client, live) {
  const own = await open(at.place, at.browser, name, at.server.base);
  const { page, noted } = own;
  const row = {};
  const before = await sessions(at.server.base);
  const from = Date.now();
  const begun = begin(page, client.play, live.whep, 'play').catch((error) => {
    noted.problems.push(`play: ${error.message.split('\n')[0]}`);
  });
  await within(begun, 15_000);
  const first = await page.evaluate(() => window.measure.picture(10_000));
  row.first = first === null ? 'never' : `${Date.now() - from} ms`;
  // Pictures since the last keyframe come at once, and are none of its rate.
  await sleep(1_500);
  const flow = await page.evaluate((ms) => window.measure.flow(ms), MEASURED);
  row.flow = `${flow.fps} fps${flow.hz === null ? ' silent' : ` ${flow.hz} Hz`}`;
  row.restart = await restarted(page, noted);
  if (row.restart) row.restart += `, ${(await page.evaluate(() => window.measure.flow(2_000))).fps} fps`;
  row.stop = await stopped(own, at, before + 1);
  await own.close();
  return { row, noted };
}

/** All players ask for a stream that nobody publishes; the publisher comes after `ms`, goes, and comes back after three seconds. */
async function early(at, names, ms, back) {
  const urls = await at.stream(at.server, at.user());
  const url = process.env.WAIT ? `${urls.whep}&wait=${process.env.WAIT}` : urls.whep;
  const all = new Map();
  for (const name of names) {
    const own = await open(at.place, at.browser, name, at.server.base);
    all.set(name, { own, row: {} });
  }
  for (const [name, { own }] of all) {
    begin(own.page, CLIENTS[name].play, url, 'play').catch((error) => {
      own.noted.problems.push(`play: ${error.message.split('\n')[0]}`);
    });
  }
  await sleep(ms);
  const each = (ask, field, arg) =>
    Promise.all([...all.values()].map(async (one) => (one.row[field] = say(await one.own.page.evaluate(ask, arg)))));
  const publish = async () => {
    const page = await at.bare(at.browser, at.server.base);
    await page.evaluate(publishing, urls.whip);
    return page;
  };
  let from = await publish();
  await each((limit) => window.measure.picture(limit), 'came', 12_000);
  if (back) {
    await from.evaluate(() => window.leave());
    await from.context().close();
    await sleep(3_000);
    from = await publish();
    // Chromium tells a page 15 s after the end that its connection has failed.
    await each((limit) => window.measure.next(limit), 'back', 20_000);
  }
  await from.evaluate(() => window.leave());
  await from.context().close();
  for (const { own } of all.values()) await own.close();
  return all;
}

/** In a page with `probe`: a small picture that moves, and a tone. */
const publishing = async (url) => {
  let n = 0;
  const picture = window.probe.canvas((pen) => {
    n += 1;
    pen.fillStyle = `hsl(${n % 360},60%,50%)`;
    pen.fillRect((n * 7) % 600, 0, 40, 352);
  });
  const { pc, session } = await window.probe.publish(url, [picture, window.probe.tone(440)]);
  window.leave = async () => {
    pc.close();
    await fetch(session, { method: 'DELETE' });
  };
};

/** In such a page: milliseconds to the first picture. */
const viewing = async (url) => {
  const played = await window.probe.play(url);
  window.leave = async () => {
    played.pc.close();
    await fetch(played.session, { method: 'DELETE' });
  };
  return await window.probe.first(played);
};

function table(head, rows) {
  const cells = [head, ...rows].map((row) => row.map((cell) => `${cell ?? ''}`));
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i].length)));
  for (const row of cells) console.log(row.map((cell, i) => cell.padEnd(widths[i])).join('  '));
}

function tell(name, role, { row, noted }) {
  const { asked, problems, said } = noted;
  console.error(
    JSON.stringify({ name, role, ...row, asked: tally(asked), problems: tally(problems), said: tally(said) }),
  );
}

const { server, browser, bare, stream, end } = await serve(libraries);
const place = await pages();
let users = 0;
const at = { server, browser, bare, stream, place, user: () => `p${++users}` };
const wanted = process.argv.slice(2);
const names = [];
const versions = new Map();
for (const [name, client] of Object.entries(CLIENTS)) {
  if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue;
  const found = await bundled(name, client);
  if (!found) {
    console.error(`${name} is not installed`);
    continue;
  }
  place.scripts.set(`/${encodeURIComponent(name)}.js`, found.script);
  versions.set(name, found.version);
  names.push(name);
}
const titled = (name) => [name, versions.get(name)];
const publishers = [];
for (const name of names.filter((one) => CLIENTS[one].publish)) {
  const done = await publisher(at, name, CLIENTS[name]);
  tell(name, 'publish', done);
  const { row } = done;
  publishers.push([...titled(name), row.connected, row.flv, row.whep, row.restart, row.stop, row.end, row.again]);
}
const playing = names.filter((one) => CLIENTS[one].play);
if (playing.length > 0) {
  const live = await stream(server, at.user());
  const from = await bare(browser, server.base);
  await from.evaluate(publishing, live.whip);
  await sleep(3_000);
  const rows = new Map();
  for (const name of playing) {
    const done = await player(at, name, CLIENTS[name], live);
    tell(name, 'play', done);
    rows.set(name, done.row);
  }
  await from.context().close();
  for (const [ms, back] of [
    [5_000, true],
    [15_000, false],
  ]) {
    for (const [name, { own, row }] of await early(at, playing, ms, back)) {
      tell(name, `before its publisher by ${ms} ms`, { row, noted: own.noted });
      Object.assign(rows.get(name), { [`came${ms}`]: row.came, ...(back && { back: row.back }) });
    }
  }
  table(
    [
      'player',
      'version',
      'first picture',
      'then',
      'ICE restart',
      'stop',
      'publisher 5 s late',
      '15 s late',
      'it comes back',
    ],
    playing.map((name) => {
      const row = rows.get(name);
      return [...titled(name), row.first, row.flow, row.restart, row.stop, row.came5000, row.came15000, row.back];
    }),
  );
}
if (publishers.length > 0) {
  const head = ['publisher', 'version', 'connected', 'FLV', 'WHEP', 'ICE restart', 'stop', 'the stream ends', 'again'];
  table(head, publishers);
}
place.close();
await end();
process.exit(0);
