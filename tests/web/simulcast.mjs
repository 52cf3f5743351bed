// A page that publishes three sizes with the SDK (`simulcast: true`) to the real server, in H.264 and in VP8: who has a good network
// sees the largest, who has a bad one the smallest, and goes on seeing it. The operator API says which sizes flow, and who is
// sent which.

import assert from 'node:assert/strict';
import { browse, Server, until } from './stage.mjs';

/** Bytes a second of the bad network. */
const NARROW = 30_000;
const WITHIN = 60_000;

const server = new Server();
await server.start();
const { browser, open, problems } = await browse();

/** A page with nothing in it but a person of this SDK in `window.room`. */
async function person(userID) {
  const page = await open(`${server.base}/web/icon.svg`);
  page.expected = /favicon/;
  const blank = { contentType: 'text/html', body: '<!doctype html><title>blank</title>' };
  await page.route('**/blank', (route) => route.fulfill(blank));
  await page.goto(`${server.base}/blank`);
  await page.evaluate(async (id) => {
    const { RTCRoom } = await import('/sdk/index.js');
    const info = await fetch(`/weapp/utils/get_login_info?userID=${id}`).then((r) => r.json());
    window.room = new RTCRoom();
    await window.room.login(info);
  }, userID);
  return page;
}

/** Somebody who plays her; with `narrow`, by a network that carries so much. */
async function viewer(userID, roomID, narrow) {
  const page = await person(userID);
  if (narrow) {
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Network.enable');
    const network = { offline: false, latency: 0, downloadThroughput: narrow, uploadThroughput: -1 };
    await devtools.send('Network.emulateNetworkConditions', { ...network, packetQueueLength: 20 });
  }
  await page.evaluate(async (room) => {
    window.video = document.createElement('video');
    document.body.append(window.video);
    const { pushers } = await window.room.getPushers({ roomID: room });
    window.room.play(pushers[0], window.video);
  }, roomID);
  return page;
}
const width = (page) => page.evaluate(() => window.video.videoWidth);

const streams = async () => (await fetch(`${server.base}/api/v1/streams`).then((answer) => answer.json())).streams;

/** What the operator API says of the sizes of the only stream: width and viewers of each, the smallest first. */
async function sizes() {
  return (await streams())
    .flatMap(({ layers }) => layers.map((layer) => `${layer.width}: ${layer.viewers}`))
    .join(', ');
}

for (const codec of ['H264', 'VP8']) {
  const roomID = `layers${codec}`;
  const ada = await person(`ada${codec}`);
  const answered = await ada.evaluate(
    async ([name, id]) => {
      // A browser that has this codec alone.
      const all = RTCRtpSender.getCapabilities('video').codecs;
      const kept = all.filter(({ mimeType }) => mimeType === `video/${name}` || mimeType === 'video/rtx');
      RTCRtpSender.getCapabilities = () => ({ codecs: kept, headerExtensions: [] });
      const { room } = window;
      await room.openMedia({ video: { width: 1280, height: 720 } });
      await room.createRoom({ roomID: id, roomInfo: 'Layers' });
      window.publisher = await room.publish(null, { simulcast: true, maxBitrate: 900_000 });
      return window.publisher.pc.remoteDescription.sdp;
    },
    [codec, roomID],
  );
  assert.match(answered, /a=simulcast:recv q;h;f/);
  assert.match(answered, new RegExp(`a=rtpmap:\\d+ ${codec}/90000`));

  const wide = await viewer(`bob${codec}`, roomID);
  const narrow = await viewer(`eve${codec}`, roomID, NARROW);
  await until('the largest, where the network is good', async () => (await width(wide)) === 1280, WITHIN);
  await until('the smallest, where it is bad', async () => (await width(narrow)) === 320, WITHIN);
  await until('the operators are told', async () => (await sizes()) === '320: 1, 640: 0, 1280: 1', WITHIN);
  await until(
    'the figures say so',
    async () => {
      const figures = await fetch(`${server.base}/metrics`).then((answer) => answer.text());
      const wanted = ['streams', 'viewers{size="largest"}', 'viewers{size="smaller"}'];
      return wanted.every((name) => figures.includes(`\nroomservice_simulcast_${name} 1\n`));
    },
    WITHIN,
  );
  const sent = await ada.evaluate(async () =>
    [...(await window.publisher.stats()).values()]
      .filter(({ type, kind }) => type === 'outbound-rtp' && kind === 'video')
      .map(({ rid, frameWidth, targetBitrate }) => [rid, frameWidth, targetBitrate]),
  );
  const of = new Map(sent.map(([rid, ...figures]) => [rid, figures]));
  assert.deepEqual(
    ['q', 'h', 'f'].map((rid) => of.get(rid)[0]),
    [320, 640, 1280],
  );
  const bitrates = ['q', 'h', 'f'].map((rid) => of.get(rid)[1]);
  assert.ok(bitrates[0] < bitrates[1] && bitrates[1] < bitrates[2], `a larger one has less: ${bitrates}`);
  // It moves, and stays so.
  const time = () => narrow.evaluate(() => window.video.currentTime);
  const before = await time();
  await until('it goes on', async () => (await time()) > before + 2);
  assert.equal(await width(narrow), 320);
  console.log(`${codec}: sent ${sent.map((layer) => layer.join(' ')).join(', ')}`);
  for (const page of [ada, wide, narrow]) await page.context().close();
  // Not before its publisher can no longer come back.
  await until('the stream is over', async () => (await streams()).length === 0, WITHIN);
}

assert.deepEqual(problems, []);
await browser.close();
await server.kill();
