// A stream with B-frames, as OBS makes by itself, where the server may make renditions without: browsers see and hear it by
// WebRTC, the first and the late one and the demo; a second such stream is refused, as no more may be made; and what is made ends
// with its last viewer, and with its stream.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { bare, stream } from './probes.mjs';
import { browse, enter, Server, shot, until as within } from './stage.mjs';

// ffmpeg of a rendition gives way to all else on the machine.
const until = (what, ask, bound = 90_000) => within(what, ask, bound);

const server = new Server({ ROOMSERVICE_WEBRTC__RENDITIONS: '1' });
await server.start();
const encoder = [
  '-nostdin -v error -re -f lavfi -i testsrc2=size=640x360:rate=30 -f lavfi -i sine=frequency=440',
  '-c:v libx264 -preset veryfast -bf 3 -b_strategy 0 -x264-params b-pyramid=normal -g 120 -b:v 800k',
  '-pix_fmt yuv420p -c:a aac -f flv',
].join(' ');
const children = new Set();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
const push = async (user, room, ...changes) => {
  const to = await stream(server, user, 'live_room', room);
  const words = changes.reduce((text, [from, by]) => text.replace(from, by), encoder).split(' ');
  const child = spawn('ffmpeg', [...words, to.rtmpIn], { stdio: 'ignore' });
  children.add(child);
  const joined = await to.call('add_pusher', { roomInfo: room, userName: user, userAvatar: '', pushURL: to.rtmpIn });
  assert.equal(joined.code, 0, joined.message);
  await until('the stream is there', async () => (await fetch(to.flv, { method: 'HEAD' })).ok);
  return { ...to, kill: () => child.kill('SIGKILL') };
};
const made = async () => {
  const page = await (await fetch(`${server.base}/metrics`)).text();
  return Number(/^roomservice_webrtc_renditions (\d+)$/m.exec(page)[1]);
};

const { browser, open, problems } = await browse();
const page = await bare(browser, server.base);
// Plays by WHEP; `seen` says what came.
await page.evaluate(() => {
  window.players = {};
  window.play = async (name, url) => {
    const pc = new RTCPeerConnection();
    const video = document.createElement('video');
    Object.assign(video, { autoplay: true, srcObject: new MediaStream() });
    document.body.append(video);
    for (const kind of ['video', 'audio']) pc.addTransceiver(kind, { direction: 'recvonly' });
    pc.ontrack = ({ track }) => video.srcObject.addTrack(track);
    await pc.setLocalDescription();
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp' },
      body: pc.localDescription.sdp,
    });
    const text = await answer.text();
    if (answer.status !== 201) return { status: answer.status, text };
    await pc.setRemoteDescription({ type: 'answer', sdp: text });
    const session = new URL(answer.headers.get('Location'), url);
    window.players[name] = { pc, video, session };
    return { status: 201 };
  };
  window.seen = async (name) => {
    const { pc, video } = window.players[name];
    const all = [...(await pc.getStats()).values()].filter((s) => s.type === 'inbound-rtp');
    const [pictures, sound] = ['video', 'audio'].map((kind) => all.find((s) => s.kind === kind) ?? {});
    return {
      state: pc.connectionState,
      size: [video.videoWidth, video.videoHeight],
      frames: pictures.framesDecoded ?? 0,
      keys: pictures.keyFramesDecoded ?? 0,
      codec: pictures.decoderImplementation,
      energy: sound.totalAudioEnergy ?? 0,
      concealed: (sound.concealedSamples ?? 0) / (sound.totalSamplesReceived || 1),
      freezes: pictures.freezeCount ?? 0,
    };
  };
  window.leave = async (name) => {
    const { pc, session } = window.players[name];
    pc.close();
    await fetch(session, { method: 'DELETE' });
  };
});
const play = (name, url) => page.evaluate(([n, u]) => window.play(n, u), [name, url]);
const seen = (name) => page.evaluate((n) => window.seen(n), name);
const leave = (name) => page.evaluate((n) => window.leave(n), name);
const runs = async (name, size = [640, 360]) => {
  await until(`${name} sees and hears`, async () => {
    const { frames, energy, size: now } = await seen(name);
    return frames > 30 && energy > 0 && now.join() === size.join();
  });
  const before = await seen(name);
  const after = await until(`${name} goes on seeing and hearing`, async () => {
    const now = await seen(name);
    return now.frames > before.frames + 60 && now.energy > before.energy && now;
  });
  console.log(name, JSON.stringify(after));
};

// Nobody knows of B-frames yet: the first viewer is the one that finds them, or comes before.
const ada = await push('ada', 'bees');
assert.equal(await made(), 0);
const from = Date.now();
assert.deepEqual(await play('first', ada.whep), { status: 201 });
await until('the first picture', async () => (await seen('first')).frames > 0);
console.log(`first picture after ${Date.now() - from} ms`);
await runs('first');
assert.equal(await made(), 1);
const late = Date.now();
assert.deepEqual(await play('late', ada.whep), { status: 201 });
await until('its first picture', async () => (await seen('late')).frames > 0);
console.log(`late joiner: first picture after ${Date.now() - late} ms`);
await runs('late');
assert.equal(await made(), 1, 'it is shared');
const viewer = await open(`${server.base}/`, { name: 'Bob' });
await enter(viewer, 'bees');
await until('pictures in the demo, by WebRTC', () =>
  viewer.evaluate(() => [...document.querySelectorAll('.tile video')].some((v) => v.videoWidth > 0 && v.srcObject)),
);
await shot(viewer, 'bframes-demo');
await viewer.close();

// No more may be made. Who comes before the first B-frame is let in, and refused when it asks again.
const eve = await push('eve', 'wasps', ['640x360', '320x240']);
const refused = await until('a refusal', async () => {
  const answer = await play('none', eve.whep);
  return answer.status !== 201 && answer;
});
assert.equal(refused.status, 406);
assert.match(refused.text, /B-frames off.*webrtc\.renditions/);

// Its publisher goes on in another size.
ada.kill();
const wide = await push('ada', 'bees', ['640x360', '480x270']);
await runs('late', [480, 270]);

// It ends after its last viewer, and then another may be made.
await leave('first');
await new Promise((resolve) => setTimeout(resolve, 2_000));
assert.equal(await made(), 1, 'somebody still watches');
await leave('late');
await until('it ends', async () => (await made()) === 0);
assert.deepEqual(await play('eve', eve.whep), { status: 201 });
await runs('eve', [320, 240]);

// Its publisher comes back without B-frames: after a while the stream is seen as it is, in the same session.
eve.kill();
const right = await push('eve', 'wasps', ['640x360', '320x240'], ['-bf 3', '-bf 0']);
await until('it is no longer needed', async () => (await made()) === 0);
await runs('eve', [320, 240]);
right.kill();

// It ends with its stream.
assert.deepEqual(await play('again', wide.whep), { status: 201 });
await runs('again', [480, 270]);
assert.equal(await made(), 1);
wide.kill();
await until('it ends with its stream', async () => (await made()) === 0);
assert.deepEqual(problems, []);
await browser.close();
await server.kill('SIGTERM');
