// Browsers make no keyframe unasked. Whoever comes late still sees and hears them at once, by whatever protocol and at
// whatever node: players, a recording, the mixer, and the audience of the mix, which gets it by every protocol.
// LATE says how many seconds after the start others come (3,40,90 by hand), TURNS how often there is a mix (10 by hand), SLACK what
// the machine may take.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bare, decoded, heard, isBlue, isRed, output, plays, stream } from './probes.mjs';
import { browse, nodes, until } from './stage.mjs';

const LATE = (process.env.LATE ?? '3,15').split(',').map(Number);
const TURNS = Number(process.env.TURNS ?? 2);
/** What the machine may take beside the server: a program's start and its look at the stream, on busy cores. */
const SLACK = Number(process.env.SLACK ?? 2_000);
const dir = mkdtempSync(path.join(tmpdir(), 'roomservice-late-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

const { a, b, end } = await nodes({ ROOMSERVICE_RECORD__ENABLED: 'true' });
const { browser } = await browse();

/** An empty page with the players. */
async function visit(server) {
  const page = await bare(browser, server.base);
  for (const player of ['hls.js/dist/hls.js', 'mpegts.js/dist/mpegts.js'])
    await page.addScriptTag({ path: path.join(process.env.NODE_MODULES, 'node_modules', player) });
  return page;
}

/** A pusher of the room, in a browser: one colour, one tone. */
async function pusher(name, colour, hz) {
  const own = await stream(a, name, 'live_room', 'late');
  const page = await visit(a);
  await page.evaluate(
    async ([url, colour, hz]) => {
      const { canvas, tone, publish } = window.probe;
      let n = 0;
      const picture = canvas((pen) => {
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 624, 352);
        pen.fillStyle = n++ % 2 ? '#000' : '#fff';
        pen.fillRect(0, 346, 624, 6);
      });
      window.published = await publish(url, [picture, tone(hz)]);
    },
    [own.whip, colour, hz],
  );
  const { code, message } = await own.call('add_pusher', { userName: name, userAvatar: '', pushURL: own.rtmpIn });
  assert.equal(code, 0, message);
  return own;
}

const ada = await pusher('ada', '#d02020', 440);
const bob = await pusher('bob', '#2020d0', 880);
await until(
  'the streams are there',
  async () => (await fetch(ada.flv, { method: 'HEAD' })).ok && (await fetch(bob.flv, { method: 'HEAD' })).ok,
);
const began = Date.now();
const watcher = await visit(a);
const watcherB = await visit(b);
const eve = await stream(b, 'eve', 'live_room', 'late');
const found = await eve.call('get_pushers');
const atB = plays(b, found.pushers.find((p) => p.userID === 'ada').accelerateURL).urls;

/** Where the guest's picture stands in the mix, in parts of width and height. */
const INSET = [280 / 360, 430 / 640];
const PLACES = [[0.1, 0.1], INSET];
const TONES = [440, 880];

for (const late of LATE) {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + late * 1000 - Date.now())));
  const figures = {};
  for (const [way, url] of [
    ['RTMP', ada.rtmp],
    ['FLV', ada.flv],
    ['RTMP at another node', atB.rtmp],
    ['FLV at another node', atB.flv],
  ]) {
    const seen = await decoded(url, PLACES);
    figures[way] = seen.took;
    assert.ok(isRed(seen.colours[0]), `${way} after ${late} s: ${seen.colours[0]}`);
  }
  assert.deepEqual(await heard(ada.rtmp, TONES), [true, false]);
  for (const [way, page, make, url] of [
    ['mpegts.js', watcher, 'flv', ada.flv],
    ['WS-FLV', watcher, 'flv', ada.flv.replace('http', 'ws')],
    ['hls.js', watcher, 'hls', ada.hls],
    ['WHEP', watcher, 'play', ada.whep],
    ['mpegts.js at another node', watcherB, 'flv', atB.flv],
    ['hls.js at another node', watcherB, 'hls', atB.hls],
    ['WHEP at another node', watcherB, 'play', atB.whep],
  ]) {
    const playing = await page.evaluateHandle(([make, url]) => window.probe[make](url), [make, url]);
    figures[way] = await page
      .evaluate((p) => window.probe.first(p), playing)
      .catch((error) => assert.fail(`${way} after ${late} s: ${error.message}`));
    const [colour] = await page.evaluate((p) => window.probe.colours(p.video, [[0.1, 0.1]]), playing);
    assert.ok(isRed(colour), `${way} after ${late} s: ${colour}`);
    await page.evaluate((p) => {
      p.pc?.close();
      p.player?.destroy();
      p.video.remove();
    }, playing);
  }
  console.log(
    `first picture ${late} s after a browser began, in ms: ${Object.entries(figures)
      .map((f) => f.join(' '))
      .join(', ')}`,
  );
  for (const [way, took] of Object.entries(figures))
    assert.ok(took <= (way.includes('hls') ? 2_000 : 1_000) + SLACK, `${way} after ${late} s: ${took} ms`);

  // A recording holds what was there while it ran.
  const turn = async (method) => {
    const reply = await fetch(`${a.base}/api/v1/rooms/late/recording`, { method });
    assert.ok(reply.ok, await reply.clone().text());
    return reply.json();
  };
  assert.equal((await turn('PUT')).streams.length, 2);
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  assert.deepEqual((await turn('DELETE')).empty, []);
  const { recordings } = await until('both files are ready', async () => {
    const list = await (await fetch(`${a.base}/api/v1/recordings`)).json();
    return list.recordings.length === 2 && list.recordings.every((r) => !r.running) && list;
  });
  for (const { file, stream: of } of recordings) {
    const local = path.join(dir, file);
    writeFileSync(local, Buffer.from(await (await fetch(`${a.base}/api/v1/recordings/${file}`)).arrayBuffer()));
    const about = JSON.parse(
      await output('ffprobe', [
        '-loglevel',
        'error',
        '-count_frames',
        '-show_streams',
        '-show_format',
        '-of',
        'json',
        local,
      ]),
    );
    const pictures = Number(about.streams.find((s) => s.codec_type === 'video').nb_read_frames);
    console.log(`a recording of 6 s, ${late} s after the start: ${about.format.duration} s, ${pictures} pictures`);
    assert.ok(Math.abs(about.format.duration - 6) <= 1 && pictures > 60, JSON.stringify(about.format));
    assert.ok([isRed, isBlue][of === ada.name ? 0 : 1]((await decoded(local, PLACES)).colours[0]));
    await fetch(`${a.base}/api/v1/recordings/${file}`, { method: 'DELETE' });
  }
}

// The audience of the mix: by WebRTC and RTMP and FLV and HLS, at both nodes; before, while and after it is there.
const viewers = [];
for (const [way, page, make, url] of [
  ['WHEP', watcher, 'play', ada.whep],
  ['WHEP at another node', watcherB, 'play', atB.whep],
  ['mpegts.js', watcher, 'flv', ada.flv],
  ['hls.js at another node', watcherB, 'hls', atB.hls],
]) {
  viewers.push({
    way,
    page,
    playing: await page.evaluateHandle(([make, url]) => window.probe[make](url), [make, url]),
  });
}
const co = await watcher.evaluateHandle((url) => window.probe.play(url), `${ada.whep}&raw=1`);
const shows = (page, playing) =>
  page.evaluate(([p, places]) => window.probe.colours(p.video, places), [playing, [[0.1, 0.1], INSET]]);
const everyone = async (what, test) => {
  const at = Date.now();
  for (const { way, page, playing } of viewers) {
    await until(`${way} shows ${what}`, async () => test(await shows(page, playing))).catch(async (error) => {
      const state = await page.evaluate(
        ({ video, failures, player }) => [
          video.currentTime,
          video.readyState,
          video.videoWidth,
          [...Array(video.buffered.length).keys()].map((n) => [video.buffered.start(n), video.buffered.end(n)]),
          failures,
          player?.statisticsInfo,
        ],
        playing,
      );
      throw new Error(
        `${error.message}; it shows ${JSON.stringify(await shows(page, playing))}, and its player is at ${JSON.stringify(state)}`,
      );
    });
  }
  console.log(`${what}: seen by all who were there after ${Date.now() - at} ms`);
};
/** Waits until exactly these of the two tones are heard. */
const hears = (page, playing, wanted, who) =>
  until(`${who} hears ${wanted}`, async () => {
    const levels = await page.evaluate((p) => window.probe.tones(p.video, [440, 880]), playing);
    return levels.every((level, n) => level > -60 === wanted[n]);
  });
const alone = ([left, inset]) => isRed(left) && isRed(inset);
const mixed = ([left, inset]) => isRed(left) && isBlue(inset);
const merge = async (inputs) => {
  const interfaceOf = {
    interfaceName: 'Mix_StreamV2',
    para: {
      app_id: '1400000000',
      interface: 'mix_streamv2.start_mix_stream_advanced',
      mix_stream_session_id: 'late',
      output_stream_id: ada.name,
      input_stream_list: inputs,
    },
  };
  const reply = await ada.call('merge_stream', { mergeParams: { timestamp: 1, eventId: 1, interface: interfaceOf } });
  assert.equal(reply.merge_code, 0, JSON.stringify(reply));
};
const background = { input_stream_id: ada.name, layout_params: { image_layer: 1 } };
const whole = { ...background, layout_params: { image_layer: 1, image_width: 360, image_height: 640 } };
const guest = {
  input_stream_id: bob.name,
  layout_params: { image_layer: 2, image_width: 160, image_height: 240, location_x: 200, location_y: 310 },
};

await everyone('the anchor alone', alone);
await merge([whole, guest]);
const asked = Date.now();
await everyone('the mix', mixed);
assert.ok(Date.now() - asked <= 6_000 + SLACK, `the mix was seen by all only after ${Date.now() - asked} ms`);
for (const { way, page, playing } of viewers.slice(0, 2)) await hears(page, playing, [true, true], way);
// Late joiners of the mix, by everything; co-anchors see the anchor itself.
for (const url of [ada.rtmp, ada.flv, atB.rtmp, atB.flv]) {
  const { colours } = await until(`the mix by ${url}`, async () => {
    const seen = await decoded(url, PLACES);
    return mixed(seen.colours) && seen;
  });
  assert.ok(mixed(colours), `${url}: ${colours}`);
  assert.deepEqual(await heard(url, TONES), [true, true], url);
}
const joiner = await watcherB.evaluateHandle((url) => window.probe.play(url), atB.whep);
await watcherB.evaluate((p) => window.probe.first(p), joiner);
await until('a late viewer by WHEP sees the mix', async () => mixed(await shows(watcherB, joiner)), 3_000 + SLACK);
await hears(watcherB, joiner, [true, true], 'a late viewer');
assert.ok(alone(await shows(watcher, co)), 'a co-anchor sees the anchor itself');
await hears(watcher, co, [true, false], 'a co-anchor');
assert.ok(alone((await decoded(ada.rtmpOut, PLACES)).colours), 'and so by RTMP');

await merge([background]);
await everyone('the anchor again', alone);
for (const { way, page, playing } of viewers.slice(0, 2)) await hears(page, playing, [true, false], way);
assert.ok(alone((await decoded(atB.rtmp, PLACES)).colours));
assert.deepEqual(await heard(ada.rtmp, TONES), [true, false]);
// As often as co-anchors come and go.
for (let turn = 2; turn <= TURNS; turn++) {
  await merge([whole, guest]);
  await everyone(`mix ${turn}`, mixed);
  await merge([background]);
  await everyone(`the anchor after mix ${turn}`, alone);
}

await browser.close();
await end();
