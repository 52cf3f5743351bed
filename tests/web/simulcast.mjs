// A page that publishes three sizes with the SDK (`simulcast: true`) to the real server: who has a good network sees the largest,
// who has a bad one the smallest, and goes on seeing it.

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

const ada = await person('ada');
const answered = await ada.evaluate(async () => {
  const { room } = window;
  await room.openMedia({ video: { width: 1280, height: 720 } });
  await room.createRoom({ roomID: 'layers', roomInfo: 'Layers' });
  window.publisher = await room.publish(null, { simulcast: true, maxBitrate: 900_000 });
  return window.publisher.pc.remoteDescription.sdp;
});
assert.match(answered, /a=simulcast:recv q;h;f/);

/** Somebody who plays her; with `narrow`, by a network that carries so much. */
async function viewer(userID, narrow) {
  const page = await person(userID);
  if (narrow) {
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Network.enable');
    const network = { offline: false, latency: 0, downloadThroughput: narrow, uploadThroughput: -1 };
    await devtools.send('Network.emulateNetworkConditions', { ...network, packetQueueLength: 20 });
  }
  await page.evaluate(async () => {
    window.video = document.createElement('video');
    document.body.append(window.video);
    const { pushers } = await window.room.getPushers({ roomID: 'layers' });
    window.room.play(pushers[0], window.video);
  });
  return page;
}
const width = (page) => page.evaluate(() => window.video.videoWidth);
const wide = await viewer('bob');
const narrow = await viewer('eve', NARROW);
await until('the largest, where the network is good', async () => (await width(wide)) === 1280, WITHIN);
await until('the smallest, where it is bad', async () => (await width(narrow)) === 320, WITHIN);
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
console.log(`sent ${sent.map((layer) => layer.join(' ')).join(', ')}`);

assert.deepEqual(problems, []);
await browser.close();
await server.kill();
