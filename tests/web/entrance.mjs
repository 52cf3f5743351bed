// The ways into the demo's rooms and what is found there, where media has a host of its own: a tab that is duplicated, a group
// that is full, what was said before, full screen, the keyboard and screen readers, and what fails in Chinese.

import assert from 'node:assert/strict';
import { browse, counted, create, enter, say, Server, shot, until } from './stage.mjs';

const server = new Server({
  // No page may ask there, and nobody answers.
  ROOMSERVICE_LIVE__PLAYHOST: 'play.example.invalid',
  ROOMSERVICE_ROOMS__MAXMEMBERS: '2',
});
await server.start();
const { browser, open, problems } = await browse();
const visit = async (path, options) =>
  Object.assign(await open(server.base + path, { init: counted, ...options }), {
    expected: /40[349].*\/(whip|whep)\//,
  });
const heading = (page, text) =>
  until(`the focus is at ${text}`, () =>
    page.evaluate((t) => document.activeElement?.tagName === 'H1' && document.activeElement.textContent === t, text),
  );

// Pictures come though the URLs name another host: in the room, and in the list. Who goes by keys is where the view begins.
const ada = await visit('/', { name: 'Ada' });
await ada.locator('input[name=name]').fill('Ours');
await ada.locator('input[value=multi_room]').check({ force: true });
await ada.locator('.start button[type=submit]').click();
await heading(ada, 'Ours');
await ada.locator('.preview button[type=submit]').click();
await ada.locator('.room[data-online=true]').waitFor();
await heading(ada, 'Ours');
const bob = await visit('/', { name: 'Bob' });
await bob.locator('.rooms .card video.on').waitFor();
await say(ada, 'before you came');
await enter(bob, 'Ours');
for (const page of [ada, bob]) await page.locator('.tile.on:not(.mine)').waitFor();

// What was said before is there: for who comes late, and after loading anew; once, in its order, and not as unread.
const lines = (page) => page.locator('.log li p').allInnerTexts();
await until('Bob reads it', async () => (await lines(bob)).join() === 'before you came');
assert.equal(await bob.locator('.unread').count(), 0);
await say(bob, 'now');
await until('both', async () => (await lines(ada)).join() === 'before you came,now');
await bob.reload();
await bob.locator('.room[data-online=true]').waitFor();
await until('both, after loading anew', async () => (await lines(bob)).join() === 'before you came,now');
await ada.locator('.tile.on:not(.mine)').waitFor();

// Who is muted is said, not only drawn.
await ada.getByRole('button', { name: 'Mute microphone' }).click();
await bob.getByRole('img', { name: 'Ada is muted' }).waitFor();
await ada.getByRole('button', { name: 'Unmute microphone' }).click();
await bob.getByRole('img', { name: 'Ada is muted' }).waitFor({ state: 'hidden' });

// What is said stands in the full screen.
await bob.getByRole('button', { name: 'Full screen' }).click();
await until('full screen', () => bob.evaluate(() => document.fullscreenElement?.className === 'room'));
await bob.getByRole('button', { name: 'Link to this room' }).click();
const toast = bob.locator('.toast', { hasText: 'Copied' });
await toast.waitFor();
const seen = await toast.evaluate((e) => {
  const { left, top, width, height } = e.getBoundingClientRect();
  // What takes no clicks is not found by its place.
  e.parentElement.style.pointerEvents = 'auto';
  return document.elementFromPoint(left + width / 2, top + height / 2) === e;
});
assert.ok(seen, 'the toast is behind the full screen');
await shot(bob, 'full-screen-toast');
await bob.getByRole('button', { name: 'Full screen' }).click();
await until('and back', () => bob.evaluate(() => document.getElementById('toasts').parentElement === document.body));

// A group that is full says so, and asks for no camera.
const mei = await visit(new URL(ada.url()).hash.replace(/^/, '/'), { name: 'Mei' });
await mei.getByText('This room is full').waitFor();
await heading(mei, 'This room is full');
assert.equal(await mei.evaluate(() => window.asked), 0);

// A tab that is duplicated is somebody else, and in no room yet; the first one goes on, and stays who it is when loaded anew.
const userID = (page) => page.evaluate(() => sessionStorage.getItem('userID'));
const before = await userID(mei);
await mei.getByRole('button', { name: 'Back to all rooms' }).click();
await create(mei, 'multi_room', 'Mine');
const [twin] = await Promise.all([
  mei.context().waitForEvent('page'),
  mei.evaluate(() => void window.open(location.href)),
]);
await twin.locator('.preview').waitFor();
assert.notEqual(await userID(twin), before);
assert.equal(await userID(mei), before);
await twin.getByRole('button', { name: 'Join' }).click();
for (const page of [mei, twin]) await page.locator('.tile.on:not(.mine)').waitFor();
await mei.reload();
await mei.locator('.room[data-online=true]').waitFor();
assert.equal(await userID(mei), before);
await mei.locator('.tile.on:not(.mine)').waitFor();
await mei.context().close();

// What fails in a Chinese page is said in Chinese, whichever language the browser has; the server is asked in it, too.
const lin = await visit('/', { name: 'Lin' });
await lin.getByRole('button', { name: '中文' }).click();
await lin.getByRole('button', { name: '创建房间' }).waitFor();
const asked = lin.waitForRequest(/get_room_list/);
await lin.reload();
assert.equal((await asked).headers()['accept-language'], 'zh-CN');
await lin.route('**/get_room_list*', (route) => route.fulfill({ json: { code: -1, message: 'Internal error' } }));
await lin.reload();
await lin.locator('.toast.bad', { hasText: '操作失败：服务器内部错误' }).waitFor();

assert.deepEqual(problems, []);
await browser.close();
await server.kill();
