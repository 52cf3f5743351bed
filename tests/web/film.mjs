// A film of a call in the real demo, for who looks at the README: pictures in SCREENSHOTS/film, run by docs/pictures/film.
// Ada on a laptop, Mei on a phone: a name, a look at oneself, the call, chat, a shared screen, a raised hand.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { launch } from '../chromium.mjs';
import { CAST, PLAN } from './cast.mjs';
import { browse, Server, until } from './stage.mjs';

const scratch = path.join(process.env.SCREENSHOTS, 'film');
mkdirSync(scratch, { recursive: true });

/** What a camera sees, as the file that Chromium plays in its place, again and again. */
async function filmed(drawer, name) {
  const { size, draw } = CAST[name];
  const [width, height] = size;
  const page = await drawer.newPage({ viewport: { width, height } });
  const shots = 45;
  for (let i = 0; i < shots; i += 1) {
    await page.setContent(`<style>body{margin:0}svg{display:block}</style>${draw(i / shots)}`);
    await page.screenshot({ path: path.join(scratch, `${name}-${String(i).padStart(3, '0')}.png`) });
  }
  await page.close();
  const file = path.join(scratch, `${name}.y4m`);
  const from = path.join(scratch, `${name}-%03d.png`);
  const rate = ['-framerate', '12', '-i', from, '-pix_fmt', 'yuv420p'];
  execFileSync('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...rate, file], { timeout: 60_000 });
  return file;
}

/** Both screens, and all that was seen on them: a picture of each, and where the pointer was. */
class Film {
  constructor(screens) {
    this.screens = screens;
    this.frames = [];
    this.pointer = { on: 'laptop', x: 560, y: 560, down: false };
  }

  async take(times = 1) {
    for (let i = 0; i < times; i += 1) {
      const pointer = { ...this.pointer };
      const shots = await Promise.all(Object.values(this.screens).map(({ take }) => take()));
      this.frames.push({ pointer, shots });
    }
  }

  /** Moves the pointer there and presses. */
  async press(on, where) {
    const box = await where.boundingBox();
    const to = { on, x: box.x + box.width / 2, y: box.y + box.height / 2 };
    const from = this.pointer;
    if (from.on === on)
      for (const part of [0.45, 0.85]) {
        this.pointer = { on, x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part, down: false };
        await this.take();
      }
    this.pointer = { ...to, down: true };
    await this.take();
    await this.screens[on].page.mouse.click(to.x, to.y);
    this.pointer = { ...to, down: false };
  }

  /** Writes, some letters a picture. */
  async write(on, text, letters = 3) {
    for (let at = 0; at < text.length; at += letters) {
      await this.screens[on].page.keyboard.type(text.slice(at, at + letters));
      await this.take();
    }
  }
}

/** A screen that is looked at as fast as it can be. */
async function screen(page, size) {
  const session = await page.context().newCDPSession(page);
  const take = async () =>
    (await session.send('Page.captureScreenshot', { format: 'png', optimizeForSpeed: true })).data;
  return { page, size, take };
}

/** Gives pages their size anew, which the bar that says what is shared has taken a part of. */
async function restored(...pages) {
  for (const page of pages) {
    const { width, height } = page.viewportSize();
    await page.setViewportSize({ width, height: height + 1 });
    await page.setViewportSize({ width, height });
  }
}

async function act(film, plan) {
  const laptop = film.screens.laptop.page;
  const phone = film.screens.phone.page;
  for (const page of [laptop, phone]) await page.locator('.empty').waitFor();
  await film.take(3);
  await film.press('laptop', laptop.locator('#me input'));
  await laptop.keyboard.press('Control+A');
  await film.write('laptop', 'Ada', 1);
  await film.press('laptop', laptop.locator('input[name=name]'));
  await film.write('laptop', 'Sunday’s tea');
  await film.press('laptop', laptop.locator('label', { has: laptop.locator('input[value=multi_room]') }));
  await film.press('laptop', laptop.locator('.start button[type=submit]'));
  await laptop.locator('.preview .tile.on').waitFor();
  await film.take(7);
  await film.press('laptop', laptop.locator('.preview button[type=submit]'));
  await laptop.locator('.room[data-online=true]').waitFor();
  await laptop.locator('.stage .tile.mine.on').waitFor();

  const card = phone.locator('.rooms .card', { hasText: 'Sunday’s tea' });
  await card.locator('video.on').waitFor();
  for (let step = 0; step < 4; step += 1) {
    await phone.mouse.wheel(0, 130);
    await film.take();
  }
  await card.scrollIntoViewIfNeeded();
  await film.take(3);
  await film.press('phone', card.getByRole('button'));
  await phone.locator('.preview .tile.on').waitFor();
  await film.take(6);
  await film.press('phone', phone.locator('.preview button[type=submit]'));
  for (const page of [phone, laptop]) {
    await page.locator('.stage .tile.on:not(.mine)').waitFor();
    await page.locator('.stage .tile.mine .bars[data-quality]').waitFor();
  }
  await film.take(8);

  await film.press('laptop', laptop.locator('.say input'));
  await film.write('laptop', 'Hello Mei! What shall we drink?', 4);
  await laptop.keyboard.press('Enter');
  await phone.locator('.log', { hasText: 'Hello Mei!' }).waitFor();
  await film.take(4);
  await film.press('phone', phone.locator('.say input'));
  await film.write('phone', '看看你的单子？', 2);
  await film.press('phone', phone.locator('.say button'));
  await laptop.locator('.log', { hasText: '看看' }).waitFor();
  await film.take(4);

  await film.press('laptop', laptop.getByRole('button', { name: 'Share screen' }));
  await phone.locator('.tile.screen:not(.mine)').waitFor();
  await restored(plan, laptop);
  await until('the whole plan is seen', () =>
    phone
      .locator('.tile.screen:not(.mine) video')
      .evaluate((v) => Math.abs(v.videoWidth / v.videoHeight - 16 / 9) < 0.03),
  );
  await film.take(10);
  await film.press('phone', phone.locator('.bar .hand'));
  await laptop.locator('.tile:not(.mine) .hand').waitFor();
  await film.take(3);
  await film.press('laptop', laptop.locator('.say input'));
  await film.write('laptop', 'Oolong it is.', 4);
  await laptop.keyboard.press('Enter');
  await film.take(14);
}

/** Both screens on one table. */
async function develop(drawer, { screens: { laptop, phone }, frames }) {
  const page = await drawer.newPage({ viewport: { width: 1392, height: 786 } });
  await page.setContent(`<!doctype html><style>
    body { margin: 0; height: 100vh; overflow: hidden; background: linear-gradient(160deg, #dfe9e4, #f3ead9); }
    div { position: absolute; background: #202724; box-shadow: 0 10px 30px rgb(30 35 32 / .28); }
    img { display: block; }
    .laptop { left: 28px; top: 26px; padding: 14px; border-radius: 18px; } .laptop img { border-radius: 4px; }
    .base { left: 8px; top: 734px; width: 968px; height: 18px; border-radius: 4px 4px 16px 16px; background: #aeb8b2; }
    .phone { right: 26px; top: 22px; padding: 26px 11px 20px; border-radius: 34px; } .phone img { border-radius: 8px; }
    .phone::before { content: ""; position: absolute; left: calc(50% - 5px); top: 9px; width: 9px; height: 9px; border-radius: 50%; background: #46524d; }
    #pointer { background: none; box-shadow: none; width: 0; height: 0; }
    #pointer svg, #pointer i { position: absolute; }
    #pointer i { left: -21px; top: -21px; width: 42px; height: 42px; border-radius: 50%; background: rgb(47 111 94 / .4); border: 2px solid #fff; box-sizing: border-box; }
  </style>
  <div class="laptop"><img width="${laptop.size.width}" height="${laptop.size.height}"></div><div class="base"></div>
  <div class="phone"><img width="${phone.size.width}" height="${phone.size.height}"></div>
  <div id="pointer"><i></i><svg width="27" height="33" viewBox="0 0 20 24"><path d="M2 1v18l4.6-4.2 3.2 7.2 3.4-1.5-3.2-7h6.300z" fill="#111" stroke="#fff" stroke-width="1.6"/></svg></div>`);
  for (const [number, frame] of frames.entries()) {
    await page.evaluate(async ({ pointer: { on, x, y, down }, shots }) => {
      const images = [...document.querySelectorAll('img')];
      for (const [i, image] of images.entries()) image.src = `data:image/png;base64,${shots[i]}`;
      await Promise.all(images.map((image) => image.decode()));
      const box = document.querySelector(`.${on} img`).getBoundingClientRect();
      const mark = document.getElementById('pointer');
      mark.style.left = `${box.left + x}px`;
      mark.style.top = `${box.top + y}px`;
      mark.querySelector('i').hidden = !down;
      // Fingers are seen only where they press.
      mark.querySelector('svg').style.display = on === 'phone' ? 'none' : 'block';
    }, frame);
    await page.screenshot({ path: path.join(scratch, `${String(number).padStart(3, '0')}.png`) });
  }
}

const drawer = await launch();
const cameras = { ada: await filmed(drawer, 'ada'), mei: await filmed(drawer, 'mei') };
const server = new Server();
await server.start();
const size = { laptop: { width: 900, height: 680 }, phone: { width: 360, height: 690 } };
const desk = await browse({
  ui: false,
  flags: [`--use-file-for-fake-video-capture=${cameras.ada}`, '--auto-select-tab-capture-source-by-title=Plan'],
});
const pocket = await browse({ flags: [`--use-file-for-fake-video-capture=${cameras.mei}`] });
const plan = await desk.open('about:blank', { size: { width: 1280, height: 720 } });
await plan.setContent(PLAN);
const home = `${server.base}/`;
const film = new Film({
  laptop: await screen(await desk.open(home, { name: 'Guest', size: size.laptop }), size.laptop),
  phone: await screen(await pocket.open(home, { name: 'Mei', lang: 'zh-CN', size: size.phone }), size.phone),
});
await act(film, plan);
await develop(drawer, film);
assert.deepEqual([...desk.problems, ...pocket.problems], []);
for (const { browser } of [desk, pocket]) await browser.close();
await drawer.close();
await server.kill();
