#!/usr/bin/env bash
# @tencentcloud/chat 3.6.6 and tim-js-sdk 2.27.6 in Chromium: login() where the host's name does not resolve; beside them tim-js-sdk 2.7.6.
#
# Expected: a few attempts with growing pauses, and a rejected promise within half a minute.
# Seen: both say `disconnected` within a second and try nothing for the next minute; then they connect again every second, or once, and reject with
# 2801 after 90 s. So a page that loses its network for a moment while it logs in waits a minute. 2.7.6, over HTTP, rejects within two seconds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts @tencentcloud/chat@3.6.6 last@npm:tim-js-sdk@2.27.6 old@npm:tim-js-sdk@2.7.6 playwright-core@1.56.1
cat > login.mjs <<'JS'
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--host-resolver-rules=MAP * ~NOTFOUND'] });
console.log(`Chromium ${browser.version()}`);
const files = { chat: ['@tencentcloud/chat/index.js', 'TencentCloudChat'], last: ['last/tim-js.js', 'TIM'], old: ['old/tim-js.js', 'TIM'] };
const seen = {};
await Promise.all(Object.entries(files).map(async ([name, [file, global]]) => {
  const page = await (await browser.newContext()).newPage();
  await page.route('https://app.example.com/', (route) => route.fulfill({ contentType: 'text/html', body: '' }));
  await page.goto('https://app.example.com/');
  await page.addScriptTag({ path: `node_modules/${file}` });
  seen[name] = await page.evaluate(async (global) => {
    const SDK = window[global];
    const chat = SDK.create({ SDKAppID: 1400000000 });
    chat.setLogLevel(4);
    const began = performance.now();
    const seconds = () => Math.round((performance.now() - began) / 100) / 10;
    const states = [];
    chat.on(SDK.EVENT.NET_STATE_CHANGE, function changed({ data }) { states.push([data.state, seconds()]); });
    const ended = await chat.login({ userID: 'ann', userSig: 'a'.repeat(80) }).then(() => 'resolved', ({ code }) => `rejected ${code ?? ''}`);
    return { ended, after: seconds(), states };
  }, global);
  const { ended, after, states } = seen[name];
  console.log(`${file}: ${ended} after ${after} s; ${states.length} changes, the first ${JSON.stringify(states.slice(0, 2))}`);
}));
await browser.close();
for (const { ended, after, states: [first, second] } of [seen.chat, seen.last]) {
  assert.equal(ended, 'rejected 2801');
  assert.ok(after > 80 && after < 110);
  assert.ok(first[0] === 'disconnected' && first[1] < 5);
  assert.ok(second[0] === 'connecting' && second[1] > 50 && second[1] < 75);
}
assert.ok(seen.old.ended.startsWith('rejected') && seen.old.after < 15);
console.log('as found');
JS
timeout 180 node login.mjs
