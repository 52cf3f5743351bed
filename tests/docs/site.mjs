// The site as built by docs/site/build: no link of it leads nowhere, and its search finds words of both languages.
//   NODE_MODULES=target/web-tests/node_modules node tests/docs/site.mjs target/site/dist

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { launch } from '../chromium.mjs';

const root = process.argv[2];
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** The file of an address. */
function file(address) {
  const at = path.join(root, decodeURIComponent(address));
  return [at, `${at}.html`, path.join(at, 'index.html')].find((f) => existsSync(f) && statSync(f).isFile());
}

// Every page that the sources name, and every file that a page links to.
const pages = readdirSync(root, { recursive: true }).filter((name) => name.endsWith('.html'));
assert.ok(pages.length > 100, `${pages.length} pages`);
const broken = [];
for (const page of pages) {
  const text = readFileSync(path.join(root, page), 'utf8');
  for (const [, target] of text.matchAll(/(?:href|src)="(\/[^"#]*)/g))
    if (!file(target)) broken.push(`${page}: ${target}`);
}
// Links to a heading find it.
for (const page of pages) {
  const text = readFileSync(path.join(root, page), 'utf8');
  for (const [, target, hash] of text.matchAll(/href="(\/[^"#]*)?#([^"]+)"/g)) {
    const there = readFileSync(target ? file(target) : path.join(root, page), 'utf8');
    const name = decodeURIComponent(hash).replaceAll('&#39;', "'");
    if (!there.includes(`id="${name}"`)) broken.push(`${page}: ${target ?? ''}#${name}`);
  }
}
assert.deepEqual(broken, []);

const server = createServer((request, response) => {
  const found = file(new URL(request.url, 'http://site').pathname);
  if (!found) return response.writeHead(404).end();
  response.writeHead(200, { 'Content-Type': TYPES[path.extname(found)] ?? 'application/octet-stream' });
  response.end(readFileSync(found));
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const problems = [];
page.on('pageerror', (error) => problems.push(error.message));

async function search(from, words, wanted) {
  await page.goto(base + from);
  await page.locator('.VPNavBarSearchButton, .DocSearch-Button').first().click();
  await page.locator('.VPLocalSearchBox input').fill(words);
  // The box begins with what was looked for before: its results go when those of the new words come.
  await page.locator(`.VPLocalSearchBox .result[href^="${wanted}"]`).first().waitFor({ timeout: 10_000 });
  const links = await page.locator('.VPLocalSearchBox .result').evaluateAll((all) => all.map((a) => a.pathname));
  console.log(`${words}: ${links.indexOf(wanted) + 1} of ${links.length}`);
}
await search('/docs/', 'kick', '/docs/recipes/kick-and-ban');
await search('/docs/', 'static-auth-secret', '/docs/recipes/turn');
await search('/zh/docs/', '混流', '/zh/docs/recipes/mixing');
await search('/zh/docs/', '封禁', '/zh/docs/recipes/kick-and-ban');
await search('/zh/docs/', '防火墙', '/zh/docs/recipes/turn');
if (process.env.SCREENSHOTS) {
  await page.keyboard.press('Escape');
  for (const [name, at] of Object.entries({
    english: '/',
    recipe: '/docs/recipes/mixing',
    chinese: '/zh/docs/recipes/',
  })) {
    await page.goto(base + at, { waitUntil: 'networkidle' });
    await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `site-${name}.png`) });
  }
}
assert.deepEqual(problems, []);
await browser.close();
server.close();
