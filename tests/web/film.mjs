// A film of a call in the demo, for who wants to show one: pictures in SCREENSHOTS/film. Run by docs/pictures/film.

import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { browse, create, enter, Server, say } from './stage.mjs';

const FRAMES = 48;
const server = new Server();
await server.start();
const { browser, open } = await browse();
const ada = await open(`${server.base}/`, { name: 'Ada' });
await ada.setViewportSize({ width: 880, height: 495 });
await create(ada, 'multi_room', 'Tea');
const bob = await open(`${server.base}/`, { name: 'Bob' });
await enter(bob, 'Tea');
await ada.waitForFunction(() => [...document.querySelectorAll('video')].filter((v) => v.currentTime > 1).length > 1);
const dir = path.join(process.env.SCREENSHOTS, 'film');
mkdirSync(dir, { recursive: true });
const said = { 4: [ada, 'Do you see me?'], 14: [bob, '看得很清楚！'], 26: [ada, 'Then let us begin.'] };
for (let frame = 0; frame < FRAMES; frame += 1) {
  if (said[frame]) await say(...said[frame]);
  await ada.screenshot({ path: path.join(dir, `${String(frame).padStart(3, '0')}.png`) });
}
await browser.close();
await server.kill();
