#!/usr/bin/env bash
# tim-js-sdk 2.7.6 in Chromium: calls that give promises, made before the SDK is ready.
#
# Expected: a rejected promise, as its documentation gives each of these calls `then` and `catch`.
# Seen: createGroup, getGroupList, getMyProfile and logout give `undefined` and tell an error event (2999) alone. `await tim.createGroup(…)` goes
# on as if the group was made, and `.catch(…)` is a TypeError. joinGroup and quitGroup reject. 2.10.2 rejects all six.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts old@npm:tim-js-sdk@2.7.6 later@npm:tim-js-sdk@2.10.2 playwright-core@1.56.1
cat > early.mjs <<'JS'
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--host-resolver-rules=MAP * ~NOTFOUND'] });
console.log(`Chromium ${browser.version()}`);
const seen = {};
for (const name of ['old', 'later']) {
  const page = await browser.newPage();
  await page.route('https://app.example.com/', (route) => route.fulfill({ contentType: 'text/html', body: '' }));
  await page.goto('https://app.example.com/');
  await page.addScriptTag({ path: `node_modules/${name}/tim-js.js` });
  seen[name] = await page.evaluate(async () => {
    const { TIM } = window;
    const tim = TIM.create({ SDKAppID: 1400000000 });
    tim.setLogLevel(4);
    const told = new Set();
    tim.on(TIM.EVENT.ERROR, function error({ data }) { told.add(data.code); });
    const group = { groupID: 'g', type: TIM.TYPES.GRP_AVCHATROOM, name: 'g' };
    const calls = { createGroup: group, getGroupList: undefined, getMyProfile: undefined, logout: undefined, joinGroup: group, quitGroup: 'g' };
    const given = {};
    for (const [call, argument] of Object.entries(calls)) {
      const promise = tim[call](argument);
      given[call] = promise === undefined ? 'nothing' : await promise.then(() => 'resolves', () => 'rejects');
    }
    return { version: TIM.VERSION, ...given, told: [...told].includes(2999) };
  });
  console.log(JSON.stringify(seen[name]));
}
await browser.close();
const nothing = { createGroup: 'nothing', getGroupList: 'nothing', getMyProfile: 'nothing', logout: 'nothing' };
const both = { createGroup: 'rejects', getGroupList: 'rejects', getMyProfile: 'rejects', logout: 'rejects', joinGroup: 'rejects', quitGroup: 'rejects' };
assert.deepEqual(seen.old, { version: '2.7.6', ...both, ...nothing, told: true });
assert.deepEqual(seen.later, { version: '2.10.2', ...both, told: true });
console.log('as found');
JS
timeout 120 node early.mjs
