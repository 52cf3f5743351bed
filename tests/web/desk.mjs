// The console of a busy server: hundreds of rooms, a backend that takes no webhooks for a while, bans, tokens, and logs by
// level and time.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { browse, Server, shot, until } from './stage.mjs';

const ROOMS = 300;
/** The app's backend, which refuses until it is told otherwise. */
const backend = { takes: false, heard: [] };
const hook = createServer((request, response) => {
  let body = '';
  request.on('data', (piece) => {
    body += piece;
  });
  request.on('end', () => {
    if (backend.takes) backend.heard.push(JSON.parse(body));
    response.writeHead(backend.takes ? 204 : 503).end();
  });
});
await new Promise((resolve) => hook.listen(0, '127.0.0.1', resolve));

const server = new Server({
  ROOMSERVICE_WEBHOOKS__URLS: `http://127.0.0.1:${hook.address().port}/hook`,
  ROOMSERVICE_WEBHOOKS__SECRET: 'a secret of these webhooks',
  ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT: '600',
  ROOMSERVICE_ROOMS__MAXIDLEDURATION: '600',
});
await server.start();
const { browser, open, problems } = await browse();

async function post(path, body) {
  const send = () =>
    fetch(server.base + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  // Where the machine is busy, a connection that was kept may just have ended for its idleness.
  const answer = await send().catch(send);
  const reply = await answer.json();
  assert.ok(answer.ok && (reply.code ?? 0) === 0, `${path}: ${JSON.stringify(reply)}`);
  return reply;
}

/** A room with one who pushes in it, as far as the protocol goes. */
async function room(n) {
  const userID = `user${n}`;
  const roomID = `room${n}`;
  const { token } = await post('/api/v1/tokens/session', { userID });
  const call = (name, body) => post(`/weapp/multi_room/${name}?userID=${userID}&token=${token}`, body);
  const { pushURL } = await call('get_push_url', { userID, roomID });
  await call('add_pusher', { userID, roomID, userName: `Person ${n}`, pushURL, roomInfo: `Talk ${n}` });
}
for (let n = 0; n < ROOMS; n += 10) await Promise.all(Array.from({ length: 10 }, (_, i) => room(n + i)));

// What is asked for wrongly below, and a server that is not well, are no mistakes of the page.
const desk = Object.assign(await open(`${server.base}/console`), { expected: /400.*webhooks\/replay|503.*readyz/ });
const tab = (name) => desk.locator('#tabs').getByRole('button', { name }).click();
const dialog = desk.locator('dialog');
const search = desk.getByRole('searchbox');

// A page of rooms is short, and every room is found, also those that a snapshot has no place for.
await tab('Rooms');
const cards = desk.locator('article');
await desk.getByText(`1–20 of ${ROOMS}`).waitFor();
assert.equal(await cards.count(), 20);
const height = await desk.evaluate(() => document.documentElement.scrollHeight);
assert.ok(height < 5_000, `a page of rooms is ${height} px high`);
console.log(`${ROOMS} rooms: a page of ${height} px`);
await desk.getByRole('button', { name: 'Next' }).click();
await desk.getByText(`21–40 of ${ROOMS}`).waitFor();
await search.fill(`talk ${ROOMS - 1}`);
await until('one room', async () => (await cards.count()) === 1);
await cards.getByText(`room${ROOMS - 1}`, { exact: true }).waitFor();
await search.fill('nobody at all');
await desk.getByText('Nothing fits this search').waitFor();
await search.fill('');
await desk.getByLabel('Kind').selectOption('live');
await desk.getByText('Nothing fits this search').waitFor();
await desk.getByLabel('Kind').selectOption('multi');
await desk.getByText(`1–20 of ${ROOMS}`).waitFor();
await shot(desk, 'console-many-rooms');

// What changes takes neither the focus nor a click away: everything is the same element as before.
const first = cards.first();
const talk = (await first.getByRole('heading').innerText()).split(' ')[1];
const button = first.getByRole('button', { name: 'Ban' });
await button.focus();
const element = await button.elementHandle();
for (const seconds of [600, 0]) {
  await post('/console/act', { action: 'mute', roomID: `room${talk}`, userID: `user${talk}`, seconds });
  await first.getByText('muted', { exact: true }).waitFor({ state: seconds ? 'attached' : 'detached' });
  assert.ok(await element.evaluate((e) => e.isConnected && document.activeElement === e), 'the focus is lost');
}

// Cancelled, nothing is done; muted in a room that no snapshot has; Enter in a field does what the red button says.
const last = desk.locator('article', { hasText: `room${ROOMS - 1}` });
await search.fill(`room${ROOMS - 1}`);
await last.getByRole('button', { name: 'Ban' }).click();
await dialog.getByRole('button', { name: 'Cancel' }).click();
await last.getByRole('button', { name: 'Ban' }).click();
await dialog.getByLabel('Out of').selectOption('');
await dialog.getByLabel('For how long').selectOption({ label: 'until it is lifted' });
await dialog.getByLabel('Reason').fill('sells things');
await desk.keyboard.press('Enter');
await last.waitFor({ state: 'detached' });
await tab('Bans');
const banned = desk.locator('tbody tr', { hasText: `user${ROOMS - 1}` });
for (const text of ['everything', 'sells things', 'until it is lifted']) await banned.getByText(text).waitFor();
assert.equal(await desk.locator('tbody tr').count(), 1, 'what was cancelled was done');
await desk.getByRole('button', { name: 'Ban a user' }).click();
await dialog.getByLabel('User').fill('mallory');
await dialog.getByLabel('Room').fill('room7');
await dialog.getByRole('button', { name: 'Ban', exact: true }).click();
await desk.locator('tbody tr', { hasText: 'mallory' }).getByText('room7').waitFor();
await shot(desk, 'console-bans');
await banned.getByRole('button', { name: /Lift ban/ }).click();
await banned.waitFor({ state: 'detached' });

// The backend takes nothing: it is seen how much waits, and since when; then all of it comes, and again when it is asked for.
await tab('Webhooks');
const url = desk.locator('tbody tr', { hasText: '/hook' });
await until('events wait', async () => Number(await url.locator('td').nth(2).innerText()) > 0);
await tab('Overview');
await desk.locator('.causes li', { hasText: 'not accepted yet' }).waitFor();
backend.takes = true;
await tab('Webhooks');
await url.getByText('accepted', { exact: true }).waitFor({ timeout: 60_000 });
const ofRoom = (e) => e.roomID === 'room3';
const before = backend.heard.filter(ofRoom);
assert.ok(before.length > 0, 'nothing was heard of a room');
await desk.getByRole('button', { name: 'Tell again' }).click();
await desk.locator('.toast.bad').waitFor();
await desk.getByLabel('From this time on').fill('2020-01-01T00:00:01');
await desk.getByLabel('Only of this room').fill('room3');
await desk.getByRole('button', { name: 'Tell again' }).click();
await desk.locator('.toast', { hasText: `Told again: ${before.length} events` }).waitFor();
await until('heard again', () => backend.heard.filter(ofRoom).length === 2 * before.length);
assert.equal(new Set(backend.heard.filter(ofRoom).map((e) => e.id)).size, before.length, 'an event has another id');
await shot(desk, 'console-webhooks');

// Tokens: for a user, and for who is to do a part of what operators do.
await tab('Tokens');
const [forUser, forOperator] = [0, 1].map((i) => desk.locator('.section').nth(i));
await forUser.getByLabel('User').fill('carol');
await forUser.getByRole('button', { name: 'Make signature and session' }).click();
const token = await forUser.getByRole('textbox', { name: 'token' }).inputValue();
const rooms = await fetch(`${server.base}/weapp/multi_room/get_room_list?userID=carol&token=${token}`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: '{"index":0,"cnt":1}',
});
assert.equal((await rooms.json()).code, 0, 'the session is none');
await forOperator.getByLabel(/^roomAdmin/).check();
await forOperator.getByLabel(/^Room for/).fill('room7');
await forOperator.getByRole('button', { name: 'Make token' }).click();
const claims = (await forOperator.getByRole('textbox', { name: 'token' }).inputValue()).split('.')[1];
const { video, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString());
assert.deepEqual(video, { roomList: true, roomAdmin: true, room: 'room7' });
assert.ok(Math.abs(exp - Date.now() / 1000 - 3_600) < 60, `until ${exp}`);
await shot(desk, 'console-tokens');

// Logs: what failed, what the program says, and by time; also of the files.
await fetch(`${server.base}/weapp/multi_room/get_pushers?userID=x&token=y`, { method: 'POST', body: '{}' });
await tab('Logs');
const lines = desk.locator('.lines li');
const texts = () => lines.allInnerTexts();
await desk.getByLabel('Level').selectOption('failed');
await until('a call that failed', async () => (await texts()).some((l) => l.includes('get_pushers')));
assert.ok(
  (await texts()).every((l) => !/ 200 0 user=/.test(l)),
  'a call that went well is shown',
);
await desk.getByLabel('Level').selectOption('warnings');
await until('the webhook’s warning', async () => (await texts()).some((l) => l.includes('a webhook is not accepted')));
assert.ok((await texts()).every((l) => / (WARN|ERROR) /.test(l)));
await desk.getByLabel('Level').selectOption('calls');
await search.fill('add_pusher');
await desk.getByRole('button', { name: 'Search files' }).click();
await until('found', async () => (await texts()).length === ROOMS);
await desk.getByLabel('From').fill('2090-01-01T00:00:01');
await desk.getByText('No such lines').waitFor();
await desk.getByLabel('From').fill('2020-01-01T00:00:01');
await until('all of them', async () => (await texts()).length === ROOMS);
await desk.getByRole('button', { name: 'Back to live' }).click();
// Without a text, the files are searched by time.
await desk.getByRole('button', { name: 'Search files' }).click();
await desk.getByText('Only the newest 500 lines were found.').waitFor();
await shot(desk, 'console-logs');

// A disk that takes nothing any more is said with its cause and cure.
const text = "the journal's disk is full or fails";
const late = '{events} events or more are not accepted, the oldest for {seconds} s';
const filled = [
  ['events', '7'],
  ['seconds', '90'],
];
const sick = {
  ready: false,
  checks: [
    { name: 'store', ok: false, needed: true, reason: text, said: { text, with: [] } },
    { name: 'webhooks', ok: false, needed: false, reason: '7 events …', said: { text: late, with: filled } },
  ],
};
await desk.route('**/readyz', (route) => route.fulfill({ status: 503, json: sick }));
await tab('Overview');
await desk.getByText('Not ready for calls').waitFor();
await desk.locator('.causes li', { hasText: text }).getByText('Free or mend the disk').waitFor();
await desk.locator('.causes').getByText('7 events or more are not accepted, the oldest for 90 s').waitFor();
await shot(desk, 'console-not-ready');

// The other language stays.
await desk.getByRole('button', { name: '中文' }).click();
await desk.getByRole('button', { name: '概览' }).waitFor();
assert.equal(await desk.locator('html').getAttribute('lang'), 'zh-CN');
await desk.getByText('日志文件所在磁盘已满或出错').waitFor();
await desk.getByText('至少 7 个事件未被接受，最早的已等了 90 秒').waitFor();
assert.doesNotMatch(await desk.locator('.causes').first().innerText(), /events|journal/);

assert.deepEqual(problems, []);
await browser.close();
hook.close();
await server.kill('SIGTERM');
