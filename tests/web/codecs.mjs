// Browsers of which not all have H.264, as Firefox without OpenH264 has none: in a call all see each other, and an anchor without
// it is seen alone and in the mix, by who was there before and who comes late.

import assert from 'node:assert/strict';
import { browse, create, enter, Server, until } from './stage.mjs';

const server = new Server();
await server.start();
const { browser, open, problems } = await browse();

/** Keeps the page's connections for later. */
const keeps = () => {
  window.links = [];
  const Real = RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...how) {
      super(...how);
      window.links.push(this);
    }
  };
};
/** Takes H.264 out of the browser. */
const forgets = () => {
  const without = (codecs) => codecs.filter((codec) => !/h264/i.test(codec.mimeType));
  for (const end of [RTCRtpReceiver, RTCRtpSender]) {
    const able = end.getCapabilities.bind(end);
    end.getCapabilities = (kind) => {
      const found = able(kind);
      return found && { ...found, codecs: without(found.codecs) };
    };
  }
  const { addTransceiver } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.addTransceiver = function add(what, how) {
    const made = addTransceiver.call(this, what, how);
    if ((what.kind ?? what) === 'video') made.setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs);
    return made;
  };
};

const visit = async (name, { lacks = false } = {}) => {
  const page = await open(`${server.base}/`, { name, init: [[keeps], ...(lacks ? [[forgets]] : [])] });
  // Who lacks H.264 is told so until the others have changed over.
  return Object.assign(page, lacks && { expected: /406.*whep/ });
};
/** The codecs of the pictures that a page sends now. */
const sends = (page) =>
  page.evaluate(async () => {
    const found = [];
    for (const link of window.links.filter((one) => one.connectionState === 'connected')) {
      const stats = await link.getStats();
      for (const one of stats.values())
        if (one.type === 'outbound-rtp' && one.kind === 'video' && one.framesSent)
          found.push(stats.get(one.codecId)?.mimeType);
    }
    return found.join();
  });
/** Waits until a tile shows pictures that move. */
const sees = (page, tile, who) =>
  until(who, async () => {
    const shown = () =>
      page.evaluate((at) => {
        const video = document.querySelector(`${at} video`);
        return video?.videoWidth ? video.getVideoPlaybackQuality().totalVideoFrames : 0;
      }, tile);
    const before = await shown();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const after = await shown();
    return before > 0 && after > before;
  });
const THEIRS = '.tile[data-user]:not(.mine)';
const MIX = '.tile[data-user="mix:"]';

// A call.
const ada = await visit('Ada');
await create(ada, 'multi_room', 'Call');
await until('H.264 by itself', async () => (await sends(ada)) === 'video/H264');
const bob = await visit('Bob', { lacks: true });
const since = Date.now();
await enter(bob, 'Call');
await sees(bob, THEIRS, 'who lacks H.264 sees the other');
console.log(`seen ${Date.now() - since} ms after entering`);
await sees(ada, THEIRS, 'and is seen');
for (const page of [ada, bob]) await until('both publish in VP8', async () => (await sends(page)) === 'video/VP8');
const cleo = await visit('Cleo');
await enter(cleo, 'Call');
await until('a third one publishes in VP8', async () => (await sends(cleo)) === 'video/VP8');
await until('and sees both', async () => (await cleo.locator(`${THEIRS} video`).count()) === 2);
await bob.context().close();
await until('H.264 again', async () => (await sends(ada)) === 'video/H264');
await sees(cleo, THEIRS, 'the others see each other still');
for (const page of [ada, cleo]) await page.context().close();

// A live room whose anchor publishes in VP8.
const anchor = await visit('Grace', { lacks: true });
await create(anchor, 'live_room', 'Mixed');
await until('VP8', async () => (await sends(anchor)) === 'video/VP8');
const early = await visit('Mei');
await enter(early, 'Mixed');
await sees(early, '.tile', 'the anchor is seen');
const co = await visit('Linus');
await enter(co, 'Mixed');
await co.getByRole('button', { name: 'Ask to join' }).click();
await anchor.getByRole('button', { name: 'Accept' }).click();
await sees(early, MIX, 'who was there before sees the mix');
const late = await visit('Olga');
await enter(late, 'Mixed');
await sees(late, MIX, 'who comes late sees the mix');
await anchor.getByRole('button', { name: 'Take off air' }).click();
for (const page of [early, late]) await sees(page, '.tile', 'the anchor alone again');

assert.deepEqual(problems, []);
await browser.close();
await server.kill('SIGTERM');
