// What people do in a room of the demo: a look at themselves first, the screen, large and small pictures, keys, links,
// what is unread, the other language, phones in both directions, and rooms that are over or full.

import assert from 'node:assert/strict';
import { browse, counted, create, enter, say, Server, shot, until } from './stage.mjs';

const server = new Server();
await server.start();
const { browser, open, problems } = await browse();
const visit = (path, options) => open(server.base + path, { init: counted, ...options });
const asked = (page) => page.evaluate(() => window.asked);
const tile = (page, mine) => page.locator(mine ? '.stage .tile.mine' : '.stage .tile:not(.mine)');
const area = async (where) => {
  const { width, height } = await where.boundingBox();
  return width * height;
};

// Before a room there is a look at oneself; what is turned off there is off inside.
const ada = await visit('/', { name: 'Ada' });
await ada.locator('input[name=name]').fill('Tea');
await ada.locator('input[value=multi_room]').check({ force: true });
await ada.locator('.start button[type=submit]').click();
await ada.locator('.preview .tile.on').waitFor();
await shot(ada, 'preview');
const bob = await visit('/', { name: 'Bob' });
// Nothing is made before one enters.
await bob.locator('.empty').waitFor();
await ada.keyboard.press('m');
await ada.getByRole('button', { name: 'Unmute microphone' }).waitFor();
await ada.getByRole('button', { name: 'Start' }).click();
await ada.locator('.room[data-online=true]').waitFor();
await ada.getByRole('button', { name: 'Unmute microphone' }).waitFor();

await bob.locator('.rooms .card', { hasText: 'Tea' }).getByRole('button').click();
await bob.getByText('There now: Ada').waitFor();
await bob.getByRole('button', { name: 'Join' }).click();
await bob.locator('.room[data-online=true]').waitFor();
await tile(bob, false).locator('.icon').first().waitFor();
for (const page of [ada, bob]) await page.locator('.tile.on:not(.mine)').waitFor();
assert.ok(await tile(bob, false).locator('figcaption .icon').isVisible(), 'Bob came later, and sees that Ada is muted');

// Keys; they do nothing while something is written.
await ada.locator('.say input').focus();
await ada.keyboard.type('mvs');
assert.equal(await ada.locator('.say input').inputValue(), 'mvs');
await ada.keyboard.press('Escape');
await ada.keyboard.press('m');
await tile(bob, false).locator('figcaption .icon').waitFor({ state: 'hidden' });
await ada.keyboard.press('v');
await bob.locator('.tile.dark:not(.mine)').waitFor();
await ada.keyboard.press('v');
await bob.locator('.tile:not(.mine):not(.dark)').waitFor();

// A hand that is up is seen by all, by who comes later too, and after loading anew.
await ada.keyboard.press('h');
await tile(bob, false).locator('.hand').waitFor();
await bob.locator('.log li', { hasText: 'Ada has a hand up' }).waitFor();
const mei = await visit(new URL(ada.url()).hash.replace(/^/, '/'), { name: 'Mei' });
await mei.getByRole('button', { name: 'Join' }).click();
await mei.locator('.tile', { hasText: 'Ada' }).locator('.hand').waitFor();
await mei.getByRole('tab', { name: 'People' }).click();
await mei.locator('.list li', { hasText: 'Ada' }).getByText('hand up').waitFor();
assert.equal(await mei.locator('.tile .hand:visible').count(), 1, 'one hand is up');
await shot(mei, 'hand-up');
await ada.reload();
await ada.getByRole('button', { name: 'Lower your hand' }).click();
for (const page of [bob, mei])
  await page.locator('.tile', { hasText: 'Ada' }).locator('.hand').waitFor({ state: 'hidden' });
mei.expected = bob.expected = ada.expected = /40[349].*\/(whip|whep)\//;
await mei.getByRole('button', { name: 'Leave' }).click();
await until('Mei has left', async () => (await bob.locator('.stage .tile').count()) === 2);
await mei.locator('.more a', { hasText: 'Console' }).click();
await mei.locator('#tabs').waitFor();
await mei.goBack();
await mei.locator('.more a', { hasText: 'Calls for your backend' }).click();
await mei.locator('details.call').first().waitFor();
await mei.context().close();
for (const page of [ada, bob]) await page.locator('.tile.on:not(.mine)').waitFor();

// The screen: in its own shape, not mirrored, and the camera again.
const shape = () => tile(bob, false).evaluate((e) => e.clientWidth / e.clientHeight);
const video = () =>
  tile(bob, false)
    .locator('video')
    .evaluate((v) => v.videoWidth / v.videoHeight);
await ada.keyboard.press('s');
await bob.locator('.tile.screen:not(.mine)').waitFor();
await until('the tile has its video’s shape', async () => Math.abs((await shape()) / (await video()) - 1) < 0.03);
assert.equal(await ada.locator('.tile.mine video').evaluate((v) => getComputedStyle(v).transform), 'none');
await shot(bob, 'screen-shared');
await ada.getByRole('button', { name: 'Stop sharing the screen' }).click();
await bob.locator('.tile:not(.mine):not(.screen)').waitFor();

// One large: by hand, until Esc; and who speaks.
await tile(bob, false).hover();
await bob.getByRole('button', { name: 'Make Ada large' }).click();
await until('Ada is large', async () => (await area(tile(bob, false))) > 4 * (await area(tile(bob, true))));
await shot(bob, 'pinned');
await bob.keyboard.press('Escape');
await until('as before', async () => (await area(tile(bob, false))) < 1.2 * (await area(tile(bob, true))));
await bob.getByRole('button', { name: 'Speaker view' }).click();
await until('who speaks is large', async () => (await area(tile(bob, false))) > 4 * (await area(tile(bob, true))));
await bob.getByRole('button', { name: 'All alike' }).click();
await bob.getByRole('button', { name: 'Full screen' }).click();
await until('full screen', () => bob.evaluate(() => document.fullscreenElement?.className === 'room'));
await bob.getByRole('button', { name: 'Full screen' }).click();
await until('and back', () => bob.evaluate(() => !document.fullscreenElement));
if (await bob.evaluate(() => document.pictureInPictureEnabled)) {
  await bob.getByRole('button', { name: 'Picture in picture' }).click();
  await until('its own window', () => bob.evaluate(() => Boolean(document.pictureInPictureElement)));
  await bob.getByRole('button', { name: 'Picture in picture' }).click();
}
for (const mine of [true, false])
  await until('the quality is shown', () => tile(bob, mine).locator('.bars[data-quality]').isVisible());

// What came unseen is marked; addresses are links, and nothing else is.
await bob.getByRole('tab', { name: 'People' }).click();
await say(ada, 'see https://example.com/a?b=1. javascript:alert(1)');
await say(ada, 'two');
await bob.locator('.unread', { hasText: '2' }).waitFor();
assert.match(await bob.title(), /^\(2\) Tea/);
await shot(bob, 'unread');
await bob.getByRole('tab', { name: 'Chat' }).click();
await bob.locator('.unread').waitFor({ state: 'detached' });
assert.match(await bob.title(), /^Tea/);
const links = bob.locator('.log a');
assert.deepEqual([await links.count(), await links.first().getAttribute('href')], [1, 'https://example.com/a?b=1']);
assert.match(await links.first().getAttribute('rel'), /noopener/);

// On phones all that one needs is within the screen, in both directions, light and dark.
for (const [width, height] of [
  [390, 844],
  [844, 390],
  [360, 640],
]) {
  await bob.setViewportSize({ width, height });
  for (const colorScheme of ['light', 'dark']) {
    await bob.emulateMedia({ colorScheme });
    await shot(bob, `phone-${width}-${colorScheme}`);
  }
  for (const [what, where] of [
    ['hanging up', bob.getByRole('button', { name: 'Leave' })],
    ['writing', bob.locator('.say input')],
    ['the microphone', bob.getByRole('button', { name: 'Mute microphone' })],
    ['a picture', tile(bob, false)],
  ]) {
    const box = await where.boundingBox();
    const fits = box && box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height;
    assert.ok(fits && box.width > 30, `${what} at ${width} × ${height}: ${JSON.stringify(box)}`);
  }
  assert.ok((await area(tile(bob, false))) > 6_000, `pictures at ${width} × ${height} are too small`);
}
await bob.setViewportSize({ width: 1280, height: 800 });
await bob.emulateMedia({ colorScheme: 'light' });

// Also of who is on air in a live room, where most buttons are.
const anchor = await visit('/', { name: 'Grace' });
await create(anchor, 'live_room', 'A show with a name that is long');
const guest = await visit('/', { name: 'Linus', phone: true });
await enter(guest, 'A show');
await guest.getByRole('button', { name: 'Ask to join' }).click();
await anchor.getByRole('button', { name: 'Accept' }).click();
await guest.locator('.tile.mine').waitFor();
await until('the buttons', async () => (await guest.locator('.bar button:visible').count()) >= 6);
await shot(guest, 'phone-co-anchor');
const tops = await guest
  .locator('.bar button:visible')
  .evaluateAll((all) => all.map((b) => b.getBoundingClientRect().toJSON()));
assert.ok(
  tops.every(({ left, right }) => left >= 0 && right <= 390) && tops.every(({ y }) => Math.abs(y - tops[0].y) < 12),
);
assert.ok((await guest.locator('.room h1').boundingBox()).width > 200, 'the room’s name is cut short');
for (const page of [guest, anchor]) await page.context().close();

// The other language, in the same room, without another look at oneself; it stays.
await bob.getByRole('button', { name: '中文' }).click();
await bob.getByRole('tab', { name: '聊天' }).waitFor();
assert.equal(await bob.locator('html').getAttribute('lang'), 'zh-CN');
await bob.locator('.room[data-online=true]').waitFor();
await bob.getByRole('button', { name: 'English' }).click();
await bob.getByRole('tab', { name: 'Chat' }).waitFor();
await bob.locator('.room[data-online=true]').waitFor();

// Ends: a room that is over says so, asks for no camera, and is not made again by itself.
const address = ada.url();
for (const page of [ada, bob]) {
  page.expected = /40[349].*\/(whip|whep)\//;
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.locator('.lobby').waitFor();
}
const late = await visit(new URL(address).hash.replace(/^/, '/'), { name: 'Mei' });
await late.getByText('This room has ended').waitFor();
await shot(late, 'ended');
assert.equal(await asked(late), 0);
await late.getByRole('button', { name: 'Begin it again' }).click();
await late.getByRole('button', { name: 'Start' }).click();
await late.locator('.room[data-online=true]').waitFor();
// It follows the window like one that has not ended.
const fills = async () => {
  const [stage, mine] = await Promise.all(['.stage', '.tile.mine'].map((part) => late.locator(part).boundingBox()));
  return mine.x >= stage.x && mine.x + mine.width <= stage.x + stage.width && mine.width > stage.width / 3;
};
for (const width of [900, 1500]) {
  await late.setViewportSize({ width, height: 800 });
  await until(`one tile in a window of ${width}`, fills, 5_000);
}
await late.getByRole('button', { name: 'Leave' }).click();

// A full one likewise.
const one = await visit('/', { name: 'One' });
await create(one, 'double_room', 'Two only');
const two = await visit('/', { name: 'Two' });
await enter(two, 'Two only');
const third = await visit('/', { name: 'Three' });
await third.locator('.rooms .card', { hasText: 'Two only' }).getByRole('button').click();
await third.getByText('This room is full').waitFor();
assert.equal(await asked(third), 0);
await shot(third, 'full');

assert.deepEqual(problems, []);
await browser.close();
// The pages that are closed here said no goodbye; nothing waits for them.
await server.kill();
