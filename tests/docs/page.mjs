// Opens pages in Chromium and waits until each shows so many moving videos: node tests/docs/page.mjs COUNT URL…
// CLICK=SELECTOR is clicked in each page first. Packages are in NODE_MODULES; a camera is made up.

import { launch } from '../chromium.mjs';

const [count, ...urls] = process.argv.slice(2);

const browser = await launch({ camera: true, addresses: true });
const said = [];
let status = 0;
try {
  const open = async (url) => {
    const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
    const page = await context.newPage();
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(error.message));
    await page.goto(url);
    if (process.env.CLICK) await page.click(process.env.CLICK);
    return page;
  };
  const pages = [];
  for (const url of urls) pages.push(await open(url));
  const moving = (wanted) => {
    const videos = [...document.querySelectorAll('video')];
    return videos.filter((video) => video.videoWidth > 0 && video.currentTime > 1).length >= wanted;
  };
  for (const page of pages) await page.waitForFunction(moving, Number(count), { timeout: 40_000 });
  console.log(`${count} moving in each of ${urls.length}`);
} catch (error) {
  console.log(error.message, ...said);
  status = 1;
}
await browser.close();
process.exit(status);
