// Chromium as a person in a room of the demo: `demo.mjs URL ROOM` enters it, then answers each line of its input with what it sees.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { launch } from '../../chromium.mjs';

const [url, room] = process.argv.slice(2);
const browser = await launch({ camera: true, addresses: true });
const page = await (await browser.newContext()).newPage();
await page.goto(url);
await page.evaluate(readFileSync(new URL('demo.js', import.meta.url), 'utf8'));
await page.evaluate((name) => window.demo.enter(name), room);
console.log(JSON.stringify({ version: `Chromium ${browser.version()}` }));
for await (const _ of createInterface({ input: process.stdin }))
  console.log(JSON.stringify(await page.evaluate(() => window.demo.seen())));
await browser.close();
