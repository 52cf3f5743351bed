// Every page in every look: light and dark, phone and desktop, English and Chinese. The pictures are for people to look
// at; what a program can see is checked here: nothing wider than the screen, nothing cut off, enough contrast, a label on
// everything that can be used, and a mark on what the keyboard is at.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { browse, create, enter, say, Server, shot, until } from './stage.mjs';

const server = new Server({ ROOMSERVICE_RECORD__ENABLED: 'true' });
await server.start();
const { browser, open, problems } = await browse();

const AXE = createRequire(`${process.env.NODE_MODULES}/`)('axe-core').source;
/** What axe-core finds. Video of these pages is live and has no captions; what stands over it has a shade of its own. */
async function barriers(page) {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { rules: { 'video-caption': { enabled: false } } });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `axe: ${id} at ${target.join(' ')}`));
  });
}

/** What is wrong with how a page looks, as far as a program can tell. */
const faults = (page) =>
  page.evaluate(() => {
    const found = [];
    const name = (e) =>
      `${e.tagName.toLowerCase()}.${[...e.classList].join('.')} “${(e.innerText ?? '').trim().slice(0, 24)}”`;
    const shown = (e) =>
      e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.getClientRects().length > 0;
    if (document.documentElement.scrollWidth > innerWidth)
      found.push(`wider than the screen by ${document.documentElement.scrollWidth - innerWidth}`);
    // Tables may be moved sideways on a phone only.
    for (const e of document.querySelectorAll('.scroll'))
      if (innerWidth > 700 && shown(e) && e.scrollWidth > e.clientWidth + 1)
        found.push(`a table is wider than its place by ${e.scrollWidth - e.clientWidth}`);
    // Where one is, is seen.
    for (const e of document.querySelectorAll('[aria-current=page]')) {
      const { left, right } = e.getBoundingClientRect();
      if (shown(e) && (left < 0 || right > innerWidth)) found.push(`${name(e)} is the current page, and out of sight`);
    }
    // Names of streams are joined by underscores: an underline does not hide them.
    for (const e of document.querySelectorAll('button, a')) {
      const { textDecorationLine: line, textUnderlineOffset: below } = getComputedStyle(e);
      if (shown(e) && line.includes('underline') && e.innerText.includes('_') && !(Number.parseFloat(below) >= 4))
        found.push(`${name(e)} hides its underscores`);
    }
    // What can be used has a name for who cannot see it.
    for (const e of document.querySelectorAll('button, a[href], input, select, canvas, video')) {
      if (!shown(e) || e.closest('[aria-hidden=true]')) continue;
      const label =
        e.getAttribute('aria-label') ||
        e.labels?.[0]?.innerText ||
        e.innerText ||
        e.title ||
        e.querySelector('img[alt]')?.alt ||
        e.placeholder;
      if (!label?.trim()) found.push(`${name(e)} has no name`);
    }
    // Contrast of text on what lies behind it (WCAG 2, AA). Text over pictures stands on a shade of its own.
    const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
      probe.clearRect(0, 0, 1, 1);
      probe.fillStyle = '#0000';
      probe.fillStyle = color;
      probe.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
    const behind = (e) => {
      const layers = [];
      for (let at = e; at; at = at.parentElement) {
        const style = getComputedStyle(at);
        if (style.backgroundImage !== 'none') return null;
        const color = rgba(style.backgroundColor);
        if (color[3] > 0) layers.push(color);
        if (color[3] === 1) break;
      }
      return layers.reverse().reduce((under, layer) => over(layer, under), rgba('Canvas'));
    };
    const light = (c) => {
      const [r, g, b] = c.slice(0, 3).map((v) => {
        const s = v / 255;
        return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    for (const e of document.querySelectorAll('body *')) {
      const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
      if (!own || !shown(e) || e.closest('.stage, .thumb, [disabled], svg')) continue;
      const style = getComputedStyle(e);
      const ground = behind(e);
      if (!ground) continue;
      const text = over(rgba(style.color), ground);
      const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
      const size = parseFloat(style.fontSize);
      const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < least - 0.01) found.push(`${name(e)}: contrast ${ratio.toFixed(2)} < ${least}`);
    }
    // Words that are cut off without a sign of it.
    for (const e of document.querySelectorAll('button, .badge, h1, h2, h3, th, label span')) {
      const style = getComputedStyle(e);
      if (
        shown(e) &&
        !e.matches('.unseen') &&
        style.textOverflow !== 'ellipsis' &&
        style.overflowX !== 'visible' &&
        e.scrollWidth > e.clientWidth + 1
      )
        found.push(`${name(e)} is cut off`);
    }
    return [...new Set(found)];
  });

/** That the look at a page would find something, if there were anything. */
async function seesFaults(page) {
  await page.evaluate(() => {
    // Markup from text is not to be had on these pages.
    const bad = document.createElement('div');
    bad.id = 'bad';
    for (const [tag, style, text] of [
      ['p', 'color:#999;background:#bbb', 'faint'],
      ['button', '', ''],
      ['h2', 'width:20px;overflow:hidden;white-space:nowrap', 'cut off here'],
      ['div', 'width:200vw', 'wide'],
    ]) {
      const e = document.createElement(tag);
      e.style.cssText = style;
      e.textContent = text;
      bad.append(e);
    }
    bad.lastChild.previousSibling.style.textOverflow = 'clip';
    document.body.append(bad);
  });
  const found = (await faults(page)).join('\n');
  for (const fault of ['contrast', 'has no name', 'is cut off', 'wider than the screen'])
    assert.ok(found.includes(fault), `${fault} is not seen: ${found}`);
  await page.evaluate(() => document.getElementById('bad').remove());
}

const SIZES = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 800 },
  wide: { width: 1920, height: 1080 },
};
const wrong = [];
/** Shows a page in every look that its language has, and notes what is wrong. */
async function look(page, what, lang, { dark: darks = [false, true], sizes = ['desktop', 'phone'] } = {}) {
  for (const size of sizes) {
    await page.setViewportSize(SIZES[size]);
    // A wide page is laid out like a desktop's, and has the same colours; so have both languages.
    for (const dark of size === 'wide' || lang === 'zh' ? [false] : darks) {
      await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
      await page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished.catch(() => {}))));
      const which = `${what}-${size}-${dark ? 'dark' : 'light'}-${lang}`;
      await shot(page, which);
      const found = await faults(page);
      // What it takes seconds for is the same in both languages, but for the words.
      if (size === 'desktop' || (lang === 'en' && !dark && size === 'phone')) found.push(...(await barriers(page)));
      for (const fault of found) wrong.push(`${which}: ${fault}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
}

/** Whether every stop of the keyboard can be seen. */
async function keyboard(page, what) {
  await page.locator('body').click({ position: { x: 2, y: 2 } });
  const seen = new Set();
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return null;
      e.dataset.stop ??= String(document.querySelectorAll('[data-stop]').length);
      const marked = (x) => {
        const s = getComputedStyle(x);
        return (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none';
      };
      return {
        stop: e.dataset.stop,
        name: `${e.tagName} ${e.getAttribute('aria-label') ?? e.innerText ?? e.name}`.slice(0, 50),
        marked: marked(e) || marked(e.parentElement) || (e.nextElementSibling && marked(e.nextElementSibling)),
      };
    });
    if (!at || seen.has(at.stop)) break;
    seen.add(at.stop);
    if (!at.marked) wrong.push(`${what}: nothing marks ${at.name} when the keyboard is at it`);
  }
  assert.ok(seen.size >= 4, `${what}: the keyboard reaches ${seen.size} things`);
}

const NAMES = { en: ['Ada', 'Bob', 'Grace', 'Linus'], zh: ['小雅', '阿明', '格蕾丝', '林纳斯'] };
const WORDS = {
  en: {
    call: 'Tea at four',
    show: 'Evening show',
    hello: 'Hello there, can you hear me?',
    devices: 'Devices',
    ask: 'Ask to join',
    accept: 'Accept',
    streams: 'Streams',
    people: 'People',
    rooms: 'Rooms',
    logs: 'Logs',
    settings: 'Settings',
    recordings: 'Recordings',
    bans: 'Bans',
    webhooks: 'Webhooks',
    tokens: 'Tokens',
    overview: 'Overview',
    leave: 'Leave',
  },
  zh: {
    call: '下午茶',
    show: '晚间直播',
    hello: '你好，听得到吗？',
    devices: '设备',
    ask: '申请连麦',
    accept: '同意',
    streams: '推流与播放',
    people: '成员',
    rooms: '房间',
    logs: '日志',
    settings: '配置',
    recordings: '录制',
    bans: '封禁',
    webhooks: '回调',
    tokens: '令牌',
    overview: '概览',
    leave: '离开',
  },
};
const LOCALE = { en: 'en-US', zh: 'zh-CN' };

for (const lang of ['en', 'zh']) {
  const [ada, bob, grace, linus] = NAMES[lang];
  const words = WORDS[lang];
  const visit = (path, name, more = {}) => open(server.base + path, { name, lang: LOCALE[lang], ...more });

  const first = await visit('/', ada);
  await first.locator('.empty').waitFor();
  if (lang === 'en') await seesFaults(first);
  await look(first, 'lobby-empty', lang);
  if (lang === 'en') await keyboard(first, 'lobby');

  // A call, and the list while it goes on.
  await create(first, 'double_room', words.call);
  const second = await visit('/', bob);
  await second.locator('.thumb video.on').waitFor();
  await look(second, 'lobby', lang);
  await enter(second, words.call);
  for (const page of [first, second]) await page.locator('.tile:not(.mine).on').waitFor();
  await say(first, words.hello);
  await second.locator('.log li', { hasText: words.hello }).waitFor();
  await look(second, 'call', lang);
  if (lang === 'en') await keyboard(second, 'call');
  await second.getByRole('tab', { name: words.people }).click();
  await look(second, 'call-people', lang, { dark: [false] });
  await second.getByRole('tab', { name: words.streams }).click();
  await look(second, 'call-streams', lang);
  await second.getByRole('button', { name: words.devices, exact: true }).click();
  await second.locator('dialog').waitFor();
  await look(second, 'devices', lang);
  await second.keyboard.press('Escape');
  // Refused: the room is full.
  const third = await visit('/', linus);
  await third.locator('.rooms .card', { hasText: words.call }).getByRole('button').click();
  await third.getByRole('alert').waitFor();
  await look(third, 'full', lang, { dark: [false] });
  await third.context().close();

  // A live room: asked, on stage, watched.
  const anchor = await visit('/', grace);
  await create(anchor, 'live_room', words.show);
  const viewer = await visit('/', linus);
  await enter(viewer, words.show);
  await viewer.locator('.tile.on').waitFor();
  await look(viewer, 'live-watching', lang);
  await viewer.getByRole('button', { name: words.ask }).click();
  await anchor.locator('.ask').waitFor();
  await look(anchor, 'live-asked', lang);
  await anchor.getByRole('button', { name: words.accept }).click();
  await viewer.locator('.tile.mine').waitFor();
  await until('both on the stage', async () => (await anchor.locator('.tile.on').count()) === 2);
  await look(anchor, 'live-together', lang);

  // The console, with something in every part of it.
  const desk = await visit('/console');
  await until('figures', async () => Number(await desk.locator('.figure b').first().innerText()) === 2);
  const tab = (name) => desk.locator('#tabs').getByRole('button', { name, exact: true }).click();
  await desk.locator('.causes li').first().waitFor();
  const sizes = ['phone', 'desktop', 'wide'];
  await look(desk, 'console-overview', lang, { sizes });
  if (lang === 'en') await keyboard(desk, 'console');
  await tab(words.rooms);
  await desk.locator('article', { hasText: words.show }).waitFor();
  await look(desk, 'console-rooms', lang, { sizes });
  await desk
    .locator('td.acts')
    .getByRole('button', { name: /^(Ban|封禁)$/ })
    .first()
    .click();
  await desk.locator('dialog').waitFor();
  await look(desk, 'console-ban', lang);
  await desk.keyboard.press('Escape');
  await tab(WORDS[lang] === WORDS.zh ? '流' : 'Streams');
  await desk
    .locator('tbody tr', { hasText: /h264 \d+×\d+/ })
    .first()
    .waitFor();
  await look(desk, 'console-streams', lang, { sizes });
  await desk.locator('tbody .link').first().click();
  await desk.locator('dialog .facts div').first().waitFor();
  await look(desk, 'console-watch', lang);
  await desk.keyboard.press('Escape');
  for (const [name, what] of [
    [words.recordings, 'recordings'],
    [words.bans, 'bans'],
    [words.webhooks, 'webhooks'],
    [words.tokens, 'tokens'],
    [words.logs, 'logs'],
    [words.settings, 'settings'],
  ]) {
    await tab(name);
    await desk.locator('.section').first().waitFor();
    await look(desk, `console-${what}`, lang, { sizes });
  }
  await desk.context().close();
  for (const page of [viewer, anchor, second, first]) {
    await page
      .getByRole('button', { name: words.leave, exact: true })
      .click()
      .catch(() => {});
    await page.context().close();
  }
  // The next language begins with an empty list.
  await until('all have left', async () => {
    const page = await open(server.base, { lang: LOCALE[lang] });
    const empty = await page
      .locator('.empty')
      .waitFor({ timeout: 4_000 })
      .then(
        () => true,
        () => false,
      );
    await page.context().close();
    return empty;
  });
}

// Production asks for a signature, and the console for a key.
await server.kill();
const production = {
  ROOMSERVICE_MODE: 'production',
  ROOMSERVICE_SESSIONS__SECRET: 'a session secret of this test',
  ROOMSERVICE_LIVE__PUSHSECRETKEY: 'a push secret key of this test',
  ROOMSERVICE_IM__SDKAPPID: '1400000000',
  ROOMSERVICE_IM__SECRETKEY: 'a user signature secret',
  ROOMSERVICE_OPERATOR__KEYS: '["an operator key of this test"]',
  ROOMSERVICE_HTTP__TLS_BY_PROXY: 'true',
};
const strict = new Server(production);
await strict.start();
for (const lang of ['en', 'zh']) {
  const gate = Object.assign(await open(`${strict.base}/`, { lang: LOCALE[lang] }), { quiet: true });
  await gate.locator('form.gate').waitFor();
  await look(gate, 'production', lang);
  const locked = Object.assign(await open(`${strict.base}/console`, { lang: LOCALE[lang] }), {
    quiet: true,
    expected: /401/,
  });
  await locked.locator('form.gate').waitFor();
  await look(locked, 'console-locked', lang);
}
await strict.kill('SIGTERM');

const real = problems.filter((p) => !/401/.test(p));
assert.deepEqual(real, []);
assert.deepEqual(wrong, []);
await browser.close();
