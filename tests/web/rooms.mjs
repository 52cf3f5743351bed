// The demo rooms without video: list, making and entering rooms, chat, co-anchoring, likes, a server that is killed.

import assert from 'node:assert/strict';
import { browse, create, enter, say, Server, shot, until } from './stage.mjs';

const server = new Server();
await server.start();
const media = await server.hasMedia();
const { browser, open, problems } = await browse();
// Before the media routes exist, their absence is not the pages' mistake.
const expected = media ? undefined : /\/(whip|whep)\//;
const visit = async (path, options) => Object.assign(await open(server.base + path, options), { expected });

// An empty list, in all looks.
for (const phone of [false, true]) {
  for (const dark of [false, true]) {
    const page = await visit('/', { phone, dark });
    await page.locator('.empty').waitFor();
    await shot(page, `lobby-empty-${phone ? 'phone' : 'desktop'}-${dark ? 'dark' : 'light'}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.ok(!wide, 'the page is wider than the screen');
    await page.context().close();
  }
}
const chinese = await visit('/', { lang: 'zh-CN' });
await chinese.getByRole('button', { name: '创建房间' }).waitFor();
await shot(chinese, 'lobby-chinese');
await chinese.context().close();

// First paint, with everything fetched anew.
const fresh = await visit('/');
await fresh.locator('.lobby').waitFor();
const weight = await fresh.evaluate(() =>
  performance
    .getEntriesByType('resource')
    .concat(performance.getEntriesByType('navigation'))
    .filter((e) => !e.name.includes('/weapp/'))
    .reduce((sum, e) => sum + e.decodedBodySize, 0),
);
const paints = [];
for (let i = 0; i < 5; i++) {
  await fresh.reload();
  await fresh.locator('.lobby').waitFor();
  paints.push(
    await fresh.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity),
  );
}
// The best of five: the machine may do other things.
const paint = Math.min(...paints);
assert.ok(paint <= 300, `first paint after ${paints.map(Math.round)} ms`);
console.log(`first paint ${Math.round(paint)} ms, ${weight} bytes`);
assert.ok(weight > 50_000 && weight <= 150_000, `${weight} bytes`);
await fresh.context().close();

// Two people in a call.
const name = 'Tea <b>&</b> biscuits';
const ada = await visit('/', { name: 'Ada' });
await create(ada, 'double_room', name);
const bob = await visit('/', { name: 'Bob' });
await bob.locator('.rooms .card', { hasText: name }).waitFor();
await shot(bob, 'lobby-rooms');
await enter(bob, name);
for (const page of [ada, bob]) await until('two tiles', async () => (await page.locator('.tile').count()) === 2);
await say(ada, 'Hello <img src=x onerror=alert(1)> Bob');
await bob.locator('.log li', { hasText: 'Hello <img src=x onerror=alert(1)> Bob' }).waitFor();
await say(bob, '你好，Ada！');
await ada.locator('.log li', { hasText: '你好，Ada！' }).waitFor();
assert.equal(await bob.locator('.log img').count(), 0);
await ada.getByRole('button', { name: 'Mute microphone' }).click();
await bob.locator('.tile[data-user]:not(.mine) figcaption .icon').waitFor();
await ada.getByRole('button', { name: 'Unmute microphone' }).click();
await shot(ada, 'call-desktop-light');
await bob.emulateMedia({ colorScheme: 'dark' });
await shot(bob, 'call-desktop-dark');
await bob.setViewportSize({ width: 390, height: 844 });
await shot(bob, 'call-phone-dark');
await bob.setViewportSize({ width: 1280, height: 800 });
await bob.getByRole('tab', { name: 'Streams' }).click();
await shot(bob, 'call-streams');
// Every URL has a button that copies it, whole.
for (const copy of await bob.locator('.copy').all()) {
  await copy.getByRole('button').click();
  assert.equal(await bob.evaluate(() => navigator.clipboard.readText()), await copy.locator('input').inputValue());
}
assert.ok((await bob.locator('.copy').count()) >= 10, 'push and play URLs of both');
await bob.locator('header').getByRole('button', { name: 'Link to this room' }).click();
assert.equal(await bob.evaluate(() => navigator.clipboard.readText()), bob.url());
// By keyboard alone: along the tabs, into the chat, and out of the room's controls.
await bob.getByRole('tab', { name: 'Streams' }).focus();
await bob.keyboard.press('ArrowRight');
assert.equal(await bob.getByRole('tab', { name: 'Chat' }).getAttribute('aria-selected'), 'true');
await bob.keyboard.press('Tab');
await bob.locator('.say input').focus();
await bob.keyboard.type('typed');
await bob.keyboard.press('Enter');
await ada.locator('.log li', { hasText: 'typed' }).waitFor();
await ada.getByRole('button', { name: 'Mute microphone' }).focus();
await ada.keyboard.press('Space');
await ada.getByRole('button', { name: 'Unmute microphone' }).waitFor();
await ada.keyboard.press('Space');
await bob.getByRole('tab', { name: 'People' }).click();
await bob.getByRole('tab', { name: 'Chat' }).click();
await bob.getByRole('button', { name: 'Devices' }).click();
await bob.locator('dialog').waitFor();
await shot(bob, 'devices');
await bob.keyboard.press('Escape');

// A third finds the room full.
const eve = await visit('/', { name: 'Eve' });
await eve.locator('.rooms .card', { hasText: name }).getByRole('button').click();
await eve.getByRole('alert').waitFor();
await shot(eve, 'room-full');
await eve.context().close();

// The server is killed in the middle, and comes back.
for (const page of [ada, bob]) page.quiet = true;
await server.kill();
await ada.locator('.room[data-online=false]').waitFor({ timeout: 20_000 });
await shot(ada, 'call-lost');
await server.start();
for (const page of [ada, bob]) await page.locator('.room[data-online=true]').waitFor({ timeout: 30_000 });
await until(
  'chat works again',
  async () => {
    const text = `back ${Math.random()}`;
    await say(ada, text);
    return bob
      .locator('.log li', { hasText: text })
      .waitFor({ timeout: 4_000 })
      .then(
        () => true,
        () => false,
      );
  },
  40_000,
);
for (const page of [ada, bob]) {
  await until('both are in again', async () => (await page.locator('.tile').count()) === 2, 30_000);
  page.quiet = false;
}

// A page that is loaded anew is in the same room again, as the same person.
await ada.reload();
await ada.locator('.room[data-online=true]').waitFor();
for (const page of [ada, bob])
  await until('both after loading anew', async () => (await page.locator('.tile').count()) === 2, 30_000);
assert.equal(await ada.locator('h1').innerText(), name);

// Leaving closes the call for who leaves, and tells the other.
await bob.getByRole('button', { name: 'Leave' }).click();
await bob.locator('.lobby').waitFor();
await until('one tile', async () => (await ada.locator('.tile').count()) === 1);
await ada.getByRole('button', { name: 'Leave' }).click();
await ada.locator('.empty').waitFor();
await Promise.all([ada, bob].map((p) => p.context().close()));

// Without camera and microphone something is drawn.
const without = await visit('/', { name: 'Hedy', camera: false });
await create(without, 'multi_room', 'No camera');
await without.getByText('a drawn picture and a tone stand in').waitFor();
await without.locator('.tile.mine.drawn.on').waitFor();
await shot(without, 'no-camera');
await without.context().close();

// A camera that is blocked takes no microphone with it; once it is allowed, its button turns it on.
const half = await visit('/', {
  name: 'Noor',
  init: [
    [
      () => {
        Object.assign(window, { blocked: true, tones: 0, drawn: 0, opened: [] });
        const media = navigator.mediaDevices;
        const ask = media.getUserMedia.bind(media);
        media.getUserMedia = async (wish) => {
          if (wish.video && window.blocked) throw new DOMException('blocked', 'NotAllowedError');
          const stream = await ask(wish);
          window.opened.push(...stream.getTracks().map((track) => track.kind));
          return stream;
        };
        navigator.permissions.query = async ({ name }) => ({ state: name === 'camera' ? 'denied' : 'prompt' });
        const { set, ...enabled } = Object.getOwnPropertyDescriptor(MediaStreamTrack.prototype, 'enabled');
        Object.defineProperty(MediaStreamTrack.prototype, 'enabled', {
          ...enabled,
          set(on) {
            if (on && this.drawn) window.drawn += 1;
            set.call(this, on);
          },
        });
        const { OscillatorNode } = window;
        window.OscillatorNode = class extends OscillatorNode {
          constructor(...rest) {
            super(...rest);
            window.tones += 1;
          }
        };
      },
    ],
  ],
});
await create(half, 'multi_room', 'Half');
await half.locator('.tile.mine.drawn.on').waitFor();
assert.deepEqual(
  await half.evaluate(() => [window.opened, window.tones]),
  [['audio'], 0],
  'a tone in place of a microphone',
);
await half.getByRole('button', { name: 'Turn camera off' }).click();
await half.getByRole('button', { name: 'Turn camera on' }).click();
await half.locator('.toast', { hasText: 'it was not allowed' }).waitFor();
await half.locator('.tile.mine.dark').waitFor();
await half.evaluate(() => {
  window.blocked = false;
});
await half.getByRole('button', { name: 'Turn camera on' }).click();
await half.getByRole('button', { name: 'Turn camera off' }).waitFor();
await half.locator('.tile.mine.on:not(.dark):not(.drawn)').waitFor();
assert.deepEqual(
  await half.evaluate(() => [window.opened, window.drawn]),
  [['audio', 'video'], 0],
  'the stand-in is not seen again',
);
await half.context().close();

// A live room: an anchor, a viewer who becomes a co-anchor and is taken off air again.
const anchor = await visit('/', { name: 'Grace' });
await create(anchor, 'live_room', 'Evening show');
const viewer = await visit('/', { name: 'Linus' });
const phone = await visit('/', { name: 'Mei', phone: true });
for (const page of [viewer, phone]) await enter(page, 'Evening show');
await until('two watch', async () => (await anchor.locator('header .badge', { hasText: '2 watching' }).count()) === 1);
await viewer.getByRole('button', { name: 'Like' }).click();
for (const page of [anchor, phone])
  await until('the like is seen', async () => (await page.locator('.likes').innerText()).trim() === '1');
await viewer.getByRole('button', { name: 'Ask to join' }).click();
await anchor.getByText('Linus would like to join you').waitFor();
await shot(anchor, 'live-asked');
await anchor.getByRole('button', { name: 'Decline' }).click();
await viewer.getByText('The anchor declined').waitFor();
await viewer.getByRole('button', { name: 'Ask to join' }).click();
await anchor.getByRole('button', { name: 'Accept' }).click();
await viewer.locator('.tile.mine').waitFor();
await until('two on the stage', async () => (await anchor.locator('.tile').count()) === 2);
await shot(anchor, 'live-anchor');
await shot(viewer, 'live-co-anchor');
await shot(phone, 'live-audience-phone');
// The server ends the stream and tells the page why; the page may try to send it again between the two, and is refused.
viewer.expected = /403.*\/whip\//;
await anchor.getByRole('button', { name: 'Take off air' }).click();
await viewer.getByText('The anchor ended your part').waitFor();
await until('one on the stage', async () => (await anchor.locator('.tile').count()) === 1);
await until(
  'the viewer watches on',
  async () => (await viewer.locator('.tile.mine').count()) === 0 && (await viewer.locator('.tile').count()) === 1,
);
// Likewise who plays a stream that ends with the room.
for (const page of [viewer, phone]) page.expected = /40[34].*\/(whip|whep)\//;
// Its audience comes back with an anchor who loads the page anew, and whose language stays meanwhile.
assert.equal(await anchor.getByRole('button', { name: '中文' }).count(), 0);
assert.equal(await viewer.getByRole('button', { name: '中文' }).count(), 1);
anchor.expected = /favicon|40[349].*\/(whip|whep)\//;
await anchor.goto(`${server.base}/web/icon.svg`);
for (const page of [viewer, phone]) await page.getByText('The anchor may be back').waitFor();
await anchor.goBack();
await anchor.locator('.room[data-online=true]').waitFor();
for (const page of [viewer, phone]) {
  await page.locator('.room[data-online=true]').waitFor();
  if (media) await page.locator('.tile.on').waitFor();
}
await until('two watch', async () => (await anchor.locator('header .badge', { hasText: '2 watching' }).count()) === 1);
await anchor.getByRole('button', { name: 'Leave' }).click();
for (const page of [viewer, phone]) await page.getByText('The room was closed').waitFor();
for (const page of [viewer, phone]) await page.getByText('The anchor may be back').waitFor({ state: 'detached' });
assert.equal(await anchor.getByRole('button', { name: '中文' }).count(), 1);
await shot(phone, 'live-closed-phone');

assert.deepEqual(problems, []);
await browser.close();
await server.kill('SIGTERM');
