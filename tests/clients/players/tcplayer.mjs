// Tencent's web player, unmodified, plays by this server: who comes before the publisher, in the middle and late; whoever may not
// is told so; who stops is gone at once. By hand: SERVER=target/debug/roomservice node tests/clients/players/tcplayer.mjs DIRECTORY

import assert from 'node:assert/strict';
import path from 'node:path';
import { PLAYERS, told, watch } from './browsers.mjs';
import { serve } from './serve.mjs';
import { shapes } from './shapes.mjs';

const tools = path.resolve(process.argv[2] ?? '/tmp/roomservice-players');
const { server, browser, bare, stream, until, end } = await serve(tools);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const own = await stream(server, 'alice');
assert.match(own.webrtc, /^webrtc:\/\/127\.0\.0\.1\/live\/[^:?]+\?/);

async function begin(url) {
  const page = await bare(browser, server.base);
  for (const file of PLAYERS.tcplayer.files) await page.addScriptTag({ path: path.join(tools, 'node_modules', file) });
  await page.evaluate(`window.players = { tcplayer: ({ ${PLAYERS.tcplayer.begin} }).begin }`);
  const calls = [];
  page.on('response', async (response) => {
    const { pathname } = new URL(response.url());
    if (pathname.startsWith('/webrtc/')) calls.push([pathname, response.status(), await response.json()]);
  });
  return { page, calls, seen: await page.evaluateHandle(watch, ['tcplayer', url]) };
}
const look = ({ page, seen }) => page.evaluate(told, seen);
const viewers = async () => {
  const { streams } = await (await fetch(`${server.base}/api/v1/streams`)).json();
  return streams.find(({ name }) => name === own.name)?.viewers ?? 0;
};

const before = await begin(own.webrtc);
await sleep(3_000);
const publisher = await shapes('ffmpeg').plain.push(own);
await until('who waited for the publisher sees it', async () => (await look(before)).frames > 20);
console.log(`waited: ${before.calls.map(([, status]) => status)}, then ${JSON.stringify(await look(before))}`);
await sleep(5_000);
const late = await begin(own.webrtc);
await until('who comes late sees it', async () => (await look(late)).frames > 20);
const what = await look(late);
console.log(`late: ${JSON.stringify(what)}`);
assert.ok(what.first < 2_000 && what.sound && what.size === 320, JSON.stringify(what));

const stranger = await begin(own.webrtc.replace(/txSecret=.{4}/, 'txSecret=0000'));
await until('who may not is told', async () => stranger.calls.length > 0);
assert.equal(stranger.calls[0][2].errcode, 403);
await sleep(2_000);
assert.equal(stranger.calls.length, 1, 'and does not come again');
console.log(`not permitted: ${JSON.stringify(stranger.calls[0][2])}, ${JSON.stringify((await look(stranger)).failed)}`);

assert.equal(await viewers(), 2);
await late.page.evaluate(() => TCPlayer.players[Object.keys(TCPlayer.players)[0]].dispose());
await until('who stops is gone', async () => (await viewers()) === 1, 2_000);
console.log(`stopped: ${JSON.stringify(late.calls.at(-1))}`);
publisher.stop();
await end();
