// Chromium as WHIP publisher and WHEP player. Words: `rsa` for a certificate of that kind, `lines=sound`.

import { readFileSync } from 'node:fs';
import { launch } from '../../chromium.mjs';

const [role, codec, url, seconds, ...words] = process.argv.slice(2);
const say = (fields) => console.log(JSON.stringify(fields));

const browser = await launch();
say({ version: `Chromium ${browser.version()}` });
const page = await (await browser.newContext()).newPage();
await page.route('**/bare', (route) =>
  route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>bare</title>' }),
);
await page.goto(new URL('/bare', url).href);
await page.evaluate(readFileSync(new URL('page.js', import.meta.url), 'utf8'));
const running = page.evaluate((all) => window.client(...all), [role, codec, url, Number(seconds), words]);
let ended = false;
running.finally(() => {
  ended = true;
});
for (let last = false; !last; ) {
  last = ended;
  for (const fields of await page.evaluate(() => window.told.splice(0))) say(fields);
  await new Promise((resolve) => setTimeout(resolve, 50));
}
await browser.close();
