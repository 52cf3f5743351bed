// Production: nobody gets a signature from the server, and the console wants a key.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { browse, create, Server, shot, until } from './stage.mjs';

const KEY = 'an operator’s key of these tests'.replace('’', '-').replaceAll(' ', '-');
const secret = (name) => `${name}-secret-of-these-tests`;
const dir = process.env.DATA_DIR;
mkdirSync(dir, { recursive: true });
const config = path.join(dir, 'production.toml');
writeFileSync(
  config,
  `mode = "production"
[sessions]
secret = "${secret('session')}"
[live]
pushSecretKey = "${secret('push')}"
[im]
sdkAppID = 1400000001
secretKey = "${secret('signature')}"
[operator]
keys = ["${KEY}"]
[webrtc]
public = ["203.0.113.7"]
`,
  { mode: 0o600 },
);

const server = new Server({
  ROOMSERVICE_CONFIG: config,
  ROOMSERVICE_WEBRTC__LISTEN: `0.0.0.0:${process.env.RTC_PORT}`,
});
await server.start();
const { browser, open, problems } = await browse();

// The console is shut, and opened by the key alone.
assert.equal((await fetch(`${server.base}/console/events`)).status, 401);
assert.equal(
  (
    await fetch(`${server.base}/console/act`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: 'Bearer wrong' },
      body: '{}',
    })
  ).status,
  401,
);
const desk = await open(`${server.base}/console`);
desk.expected = /\/console\/events/;
await desk.locator('input[type=password]').waitFor();
await shot(desk, 'console-locked');
await desk.locator('input[type=password]').fill('wrong');
await desk.getByRole('button', { name: 'Open' }).click();
await desk.getByRole('alert').getByText('That is none of operator.keys.').waitFor();
// One that may do something else is told so, and another one can be given.
const token = execFileSync(process.env.SERVER, ['operator-token', '--grant', 'roomList', '--config', config], {
  env: { ...process.env, ROOMSERVICE_DATA_DIR: dir },
});
await desk.locator('input[type=password]').fill(token.toString().trim());
await desk.getByRole('button', { name: 'Open' }).click();
await desk.getByRole('alert').getByText('this key may not do that').waitFor();
assert.equal(await desk.evaluate(() => sessionStorage.getItem('operatorKey')), '');
// Too many consoles: it says so, and waits for a place.
let full = true;
const crowd = { status: 429, json: { code: 'too_many', message: 'too many consoles are open' } };
await desk.route('**/console/events', (route) => (full ? route.fulfill(crowd) : route.continue()));
await desk.locator('input[type=password]').fill(KEY);
await desk.getByRole('button', { name: 'Open' }).click();
await desk.locator('#state', { hasText: 'too many consoles are open' }).waitFor();
full = false;
await desk.locator('.figure b').first().waitFor();
await until('the focus is at the heading', () => desk.evaluate(() => document.activeElement?.tagName === 'H1'));
await desk.locator('#tabs').getByRole('button', { name: 'Settings' }).click();
await desk.getByText('The settings fit.').waitFor();
const shown = await desk.locator('#view').innerText();
for (const name of ['session', 'push', 'signature']) assert.ok(!shown.includes(secret(name)), 'a secret is shown');
assert.ok(!shown.includes(KEY), 'a key is shown');

// The operator API's page is made of its document; a call answers those with the key.
const tries = await open(`${server.base}/api/v1`);
tries.expected = /\/api\/v1\/(stats|rooms)/;
await tries.locator('details.call').first().waitFor();
assert.ok((await tries.locator('details.call').count()) >= 30, 'a call is missing');
const stats = tries.locator('details.call', { has: tries.locator('code', { hasText: /^\/stats$/ }) });
await stats.locator('summary').click();
await stats.getByRole('button', { name: 'Send' }).click();
await stats.getByText('"unauthorised"').waitFor();
await tries.locator('#key').fill(KEY);
await stats.getByRole('button', { name: 'Send' }).click();
await stats.getByText('"bitsIn": 0').waitFor();
const made = tries.locator('details.call', { hasText: 'Makes an empty room' });
await made.locator('summary').click();
await made.locator('textarea').fill('{"kind":"live","roomID":"a/b"}');
await made.getByRole('button', { name: 'Send' }).click();
await made.getByText('201').waitFor();
const room = tries.locator('details.call', { hasText: 'A room, whether or not' });
await room.locator('summary').click();
await room.locator('input').first().fill('a/b');
await room.getByRole('button', { name: 'Send' }).click();
await room.getByText('"roomID": "a/b"').waitFor();
await shot(tries, 'api');

// The demo says how an app's own signature gets in, and takes one.
const page = await open(server.base);
await page.getByText('This server signs for nobody').waitFor();
await shot(page, 'production-login');
const args = ['usersig', '--user', 'carol', '--config', config];
const userSig = execFileSync(process.env.SERVER, args, { env: { ...process.env, ROOMSERVICE_DATA_DIR: dir } })
  .toString()
  .trim();
await page.locator('input[name=userID]').fill('carol');
await page.locator('input[name=userSig]').fill('not one');
await page.locator('input[name=sdkAppID]').fill('1400000001');
await page.getByRole('button', { name: 'Log in' }).click();
await page.locator('.toast.bad').waitFor();
await page.locator('input[name=userSig]').fill(userSig);
await page.getByRole('button', { name: 'Log in' }).click();
await page.locator('.lobby').waitFor();
// The login stays with the tab: after loading anew and in the other language, until one logs out.
await page.reload();
await page.locator('.lobby').waitFor();
await page.getByRole('button', { name: '中文' }).click();
await page.getByRole('button', { name: '创建房间' }).waitFor();
await page.getByRole('button', { name: 'English' }).click();
page.expected = /\/(whip|whep)\//;
await create(page, 'multi_room', 'Ours');
// Who logs out while the server is slow to hear of the leave has left all the same, wherever the browser was sent meanwhile.
await page.route('**/delete_pusher?*', (route) => setTimeout(() => route.continue(), 1_500));
await page.getByRole('button', { name: 'Leave' }).click();
await page.evaluate(() => history.back());
await page.getByRole('button', { name: 'Log out' }).click();
await page.getByText('This server signs for nobody').waitFor();
const rooms = await fetch(`${server.base}/api/v1/rooms`, { headers: { Authorization: `Bearer ${KEY}` } });
assert.ok(!(await rooms.json()).rooms.some(({ info }) => info === 'Ours'), 'the room has gone');
await page.reload();
await page.getByText('This server signs for nobody').waitFor();

assert.deepEqual(problems, []);
await browser.close();
await server.kill('SIGTERM');
