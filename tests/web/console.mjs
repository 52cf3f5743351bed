// The console: figures pushed, and every action with its effect on a page that is in the room.

import assert from 'node:assert/strict';
import { browse, create, enter, say, Server, shot, until } from './stage.mjs';

const server = new Server({ ROOMSERVICE_RECORD__ENABLED: 'true' });
await server.start();
const media = await server.hasMedia();
const { browser, open, problems } = await browse();
const expected = media ? undefined : /\/(whip|whep)\//;
const visit = async (path, options) => Object.assign(await open(server.base + path, options), { expected });

// Another site's page, or a page under another name, is refused.
const refused = await fetch(`${server.base}/console/act`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'cross-site' },
  body: '{}',
});
assert.equal(refused.status, 403);
const form = await fetch(`${server.base}/console/act`, {
  method: 'POST',
  headers: { 'Content-Type': 'text/plain' },
  body: '{"action":"notice","text":"x"}',
});
assert.equal(form.status, 415);

const anchor = await visit('/', { name: 'Grace' });
await create(anchor, 'live_room', 'Evening show');
const viewer = await visit('/', { name: 'Linus' });
await enter(viewer, 'Evening show');
const desk = await visit('/console');
await until('figures', async () => (await desk.locator('.figure b').first().innerText()) === '1');
const tab = (name) => desk.locator('#tabs').getByRole('button', { name }).click();
/** The button of a question, which says what will be done. */
const sure = (what) => desk.locator('dialog').getByRole('button', { name: what, exact: true }).click();
await until('a line is drawn', () =>
  desk
    .locator('.figure canvas')
    .first()
    .evaluate((c) =>
      c
        .getContext('2d')
        .getImageData(0, 0, c.width, c.height)
        .data.some((b) => b),
    ),
);
// Its values are read by the pointer and by the arrows.
const graph = desk.locator('.figure .graph').first();
await graph.locator('canvas').hover();
await graph.locator('.tip', { hasText: /^[01] · .*\d:\d\d:\d\d/ }).waitFor();
await desk.mouse.move(0, 0);
await graph.locator('.tip').waitFor({ state: 'hidden' });
await graph.locator('canvas').focus();
await desk.keyboard.press('End');
await graph.locator('.tip', { hasText: /^1 · / }).waitFor();
await desk.keyboard.press('Home');
await graph.locator('.tip', { hasText: /^0 · / }).waitFor();
await desk.getByLabel('Range').selectOption('300');
await desk.getByText('All well').waitFor();
await desk.locator('.causes li', { hasText: 'takes changes' }).waitFor();
await shot(desk, 'console-overview-light');

await tab('Rooms');
await desk.getByText('1 watching').waitFor();
await shot(desk, 'console-rooms-light');
await desk.getByRole('button', { name: 'Send a notice' }).click();
await desk.locator('dialog input').fill('We pause at <noon>');
await desk.locator('dialog').getByRole('button', { name: 'Send' }).click();
for (const page of [anchor, viewer]) await page.locator('.log .notice', { hasText: 'We pause at <noon>' }).waitFor();
await desk.getByRole('button', { name: 'Mute', exact: true }).first().click();
await desk.locator('dialog select').selectOption({ label: '10 minutes' });
await sure('Mute');
await desk.locator('.badge.bad', { hasText: 'muted' }).waitFor();
await say(anchor, 'unheard');
await anchor.locator('.toast.bad').waitFor();
await desk.getByRole('button', { name: 'Unmute' }).click();
await until(
  'the measure is lifted',
  async () => (await desk.locator('.badge.bad', { hasText: 'muted' }).count()) === 0,
);

await tab('Streams');
await desk
  .locator('tbody tr', { hasText: /h264 \d+×\d+/ })
  .first()
  .waitFor();
await shot(desk, 'console-streams-light');
const counter = (name) => desk.locator('.counters div', { hasText: name }).locator('dd').innerText();
await until(
  'WebRTC is counted',
  async () =>
    Number(await counter('Connected')) >= 2 && Number((await counter('Datagrams received')).replace(/\D/g, '')) > 10,
);
// A live picture of a stream, which an operator has no place in the room for.
const picture = desk.locator('dialog video');
await desk.locator('tbody tr .link').first().click();
await until('the stream is seen', () => picture.evaluate((v) => v.videoWidth > 0 && v.currentTime > 0));
await desk.locator('dialog .facts', { hasText: 'h264' }).waitFor();
await shot(desk, 'console-watch-light');
await desk.locator('dialog').getByRole('button', { name: 'Close' }).click();
await desk.locator('dialog').waitFor({ state: 'detached' });
// A stream is ended: its publisher comes back by itself, since nobody put it out.
const stream = await desk.locator('tbody tr td.mono').first().innerText();
const age = async () =>
  Number(
    (
      await desk
        .locator('tbody tr', { hasText: stream })
        .locator('td')
        .nth(8)
        .innerText()
        .catch(() => '')
    ).split(' ')[0] || NaN,
  );
await until('the stream is not young', async () => (await age()) > 5);
await desk.locator('tbody tr', { hasText: stream }).getByRole('button', { name: 'End stream' }).click();
await desk.locator('dialog').getByText(stream).waitFor();
await sure('End stream');
await desk.locator('.toast', { hasText: 'Done' }).last().waitFor();
anchor.quiet = viewer.quiet = true;
await until('the stream is young again', async () => (await age()) < 5, 40_000);
await viewer.locator('.tile.on').first().waitFor();
anchor.quiet = viewer.quiet = false;

// A room is recorded, played and deleted.
await tab('Rooms');
await desk.getByRole('button', { name: 'Record', exact: true }).click();
await tab('Recordings');
const recorded = desk.locator('tbody tr', { hasText: '.mp4' });
await until('bytes on the disk', async () => /\d (k|M)B/.test(await recorded.innerText()));
await shot(desk, 'console-recordings-light');
await tab('Rooms');
await desk.getByRole('button', { name: 'Stop recording' }).click();
await tab('Recordings');
await recorded.getByRole('button', { name: 'Play' }).click();
await until('the recording plays', () =>
  desk.locator('dialog video').evaluate((v) => v.videoWidth > 0 && v.currentTime > 0),
);
await desk.keyboard.press('Escape');
await recorded.getByRole('button', { name: 'Delete' }).click();
await sure('Delete');
await desk.getByText('No recordings').waitFor();
await tab('Logs');
await desk.locator('.lines li', { hasText: 'get_pushers' }).first().waitFor();
await desk.locator('input[type=search]').fill('add_pusher');
await desk.getByRole('button', { name: 'Search files' }).click();
await until('found', async () =>
  (await desk.locator('.lines li').allInnerTexts()).every((l) => l.includes('add_pusher')),
);
await desk.emulateMedia({ colorScheme: 'dark' });
await shot(desk, 'console-logs-dark');
await tab('Settings');
await desk.getByText('The settings fit.').waitFor();
assert.ok(await desk.getByText('***').count());
const shown = await desk.locator('.settings').innerText();
assert.ok(
  shown.includes('tencent.callbackPath') && !shown.includes('{'),
  'sections of sections are named as in the file',
);
// What differs from the default comes first.
const first = desk.locator('.changed > div');
await first.filter({ hasText: 'record.enabled' }).getByText('default: false').waitFor();
assert.equal(await first.filter({ hasText: 'chat.burst' }).count(), 0, 'what is as by default differs');
await desk.getByRole('searchbox').fill('record.en');
assert.equal(await first.count(), 1);
await desk.getByRole('searchbox').fill('');
await desk.getByRole('button', { name: 'Ask the services' }).click();
await desk.locator('.toast', { hasText: 'Done' }).last().waitFor();
// The disk of a machine that is busy with tests is slow, and the doctor says so.
const found = await desk.locator('#view .problem').allInnerTexts();
assert.deepEqual(
  found.filter((problem) => !problem.startsWith('disk: ')),
  [],
);
await shot(desk, 'console-settings-dark');
await tab('Rooms');
await shot(desk, 'console-rooms-dark');
await desk.setViewportSize({ width: 390, height: 844 });
await shot(desk, 'console-rooms-phone-dark');
await tab('Overview');
await shot(desk, 'console-overview-phone-dark');
assert.ok(
  !(await desk.evaluate(() => document.documentElement.scrollWidth > innerWidth)),
  'the console is wider than the screen',
);
await desk.setViewportSize({ width: 1280, height: 800 });

// Out, and the room closed: the pages are told.
await tab('Rooms');
const multi = await visit('/', { name: 'Ada' });
await create(multi, 'multi_room', 'Standup');
const second = await visit('/', { name: 'Bob' });
await enter(second, 'Standup');
const row = desk.locator('tr', { hasText: 'Bob' });
// The server ends his stream and tells him why; his page may try to send it again between the two, and is refused.
second.expected = /403.*\/whip\//;
await row.getByRole('button', { name: 'Kick' }).click();
await sure('Kick');
await second.getByText('You were put out of the room').waitFor();
await until('one tile', async () => (await multi.locator('.tile').count()) === 1);
// Banned is out and stays out, until that is lifted.
const eve = await visit('/', { name: 'Eve' });
await enter(eve, 'Standup');
const hers = desk.locator('tr', { hasText: await eve.evaluate(() => sessionStorage.getItem('userID')) });
// From here on her page may be refused what it was just about to ask for.
eve.quiet = true;
await hers.getByRole('button', { name: 'Ban' }).click();
await desk.locator('dialog').getByLabel('For how long').selectOption({ label: '1 day' });
await desk.locator('dialog').getByLabel('Reason').fill('spam <again>');
await sure('Ban');
await eve.getByText('You were put out of the room').waitFor();
await eve.getByRole('button', { name: 'Back to all rooms' }).click();
await eve.locator('.rooms .card', { hasText: 'Standup' }).getByRole('button').click();
await eve.getByRole('alert').waitFor();
await hers.getByRole('button', { name: 'Lift ban' }).waitFor();
// The list of bans has the reason, and lifts it.
await tab('Bans');
const ban = desk.locator('tbody tr', { hasText: 'spam <again>' });
await ban.getByRole('button', { name: /^Lift ban/ }).click();
await ban.waitFor({ state: 'detached' });
await tab('Rooms');
await until('the ban is lifted', async () => (await hers.getByRole('button', { name: 'Lift ban' }).count()) === 0);
await eve.getByRole('button', { name: 'Back to all rooms' }).click();
await enter(eve, 'Standup');
await eve.context().close();
const card = desk.locator('article', { hasText: 'Evening show' });
// Likewise who plays a stream that ends with the room.
for (const page of [anchor, viewer]) page.expected = /40[34].*\/(whip|whep)\//;
await card.getByRole('button', { name: 'Close room' }).click();
await sure('Close room');
for (const page of [anchor, viewer]) await page.getByText('The room was closed').waitFor();

// The console comes back with the server.
for (const page of [desk, multi, second, anchor, viewer]) page.quiet = true;
await server.kill();
await desk.locator('#state', { hasText: 'Reconnecting' }).waitFor();
await server.start();
await desk.locator('#state', { hasText: 'Live' }).waitFor();

assert.deepEqual(problems, []);
await browser.close();
await server.kill('SIGTERM');
