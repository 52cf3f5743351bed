// `--lan`: a phone in another network namespace, which reaches this machine by a cable alone, has a call with a page on
// this machine and with another phone. What is the operator's stays this machine's.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { browse, create, enter, Server, shot, until } from './stage.mjs';

const [DESK, PHONE] = ['10.77.0.1', '10.77.0.2'];
const root = process.getuid() === 0;

if (!process.env.IN_NAMESPACE) {
  // Root may; others need a user namespace for it.
  const own = ['--net', ...(root ? [] : ['--map-root-user']), process.execPath, process.argv[1]];
  execFileSync('unshare', own, { env: { ...process.env, IN_NAMESPACE: '1' }, stdio: 'inherit' });
  process.exit();
}

// The phone's namespace lives as long as this process in it.
const phones = spawn('unshare', ['--net', 'sleep', '600'], { stdio: 'ignore' });
process.on('exit', () => phones.kill('SIGKILL'));
const inside = (pid, ...command) =>
  execFileSync('nsenter', ['-t', String(pid), '-n', ...command], { encoding: 'utf8' });
await until('the phone has a network of its own', () => {
  const of = (pid) => execFileSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8' });
  return of(phones.pid) !== of('self') && of(phones.pid);
});
const ip = (...words) => execFileSync('ip', words);
ip('link', 'set', 'lo', 'up');
ip('link', 'add', 'desk', 'type', 'veth', 'peer', 'name', 'phone');
// An IPv6 address that comes seconds after the link is a change of network to a browser: it drops what it was loading.
for (const end of ['desk', 'phone']) ip('link', 'set', end, 'addrgenmode', 'none');
ip('link', 'set', 'phone', 'netns', String(phones.pid));
ip('addr', 'add', `${DESK}/24`, 'dev', 'desk');
ip('link', 'set', 'desk', 'up');
for (const words of ['link set lo up', `addr add ${PHONE}/24 dev phone`, 'link set phone up'])
  inside(phones.pid, 'ip', ...words.split(' '));

const server = new Server({ ROOMSERVICE_WEBRTC__LISTEN: `127.0.0.1:${process.env.RTC_PORT}` });
// What has no hardware in it has to be named.
await server.start(['--lan', DESK]);
const there = `https://${DESK}:${server.port}`;

// From the phone: the certificate is for this address, once its authority is trusted, and for nobody who was not told.
const authority = path.join(process.env.DATA_DIR, 'fetched.crt');
const curl = (...more) => {
  const asked = ['-s', '-o', '-', '-w', '\n%{http_code}', '--max-time', '5', ...more];
  try {
    return inside(phones.pid, 'curl', ...asked).trim();
  } catch (error) {
    return `exit ${error.status}`;
  }
};
assert.equal(curl(`${there}/healthz`), 'exit 60', 'nobody vouches for it');
writeFileSync(authority, curl('-k', `${there}/authority.crt`).replace(/\n200$/, '\n'));
const trusted = (...more) => curl('--cacert', authority, ...more);
assert.match(trusted(`${there}/healthz`), /200$/);
assert.match(trusted(`${there}/weapp/utils/get_login_info?userID=eve`), /"code":0.*\n200$/s);
// What an operator may, nobody may from there; nor may a page of another site, or a name that was made to lead here.
for (const path of ['/weapp/utils/logfilelist', '/weapp/utils/check_config', '/weapp/utils/get_test_pushurl'])
  assert.match(trusted(`${there}${path}`), /"code":(?!0)/, path);
for (const path of ['/metrics', '/api/v1/rooms', '/console/events'])
  assert.match(trusted(`${there}${path}`), /401$/, path);
for (const head of ['Origin: https://evil.example', 'Host: evil.example'])
  assert.match(trusted('-H', head, `${there}/weapp/utils/get_login_info?userID=eve`), /"code":(?!0)/, head);
// RTMP is there too, for apps.
inside(phones.pid, 'bash', '-c', `exec 3<>/dev/tcp/${DESK}/${process.env.RTMP_PORT}`);
// Plain HTTP is this machine's alone.
assert.equal(curl(`http://${DESK}:${server.port}/healthz`).slice(0, 4), 'exit');
assert.match(await fetch(`${server.base}/healthz`).then((r) => r.text()), /ok/);

// A browser for each side: one starts here, the other in the phone's namespace.
const desk = await browse();
const wrapper = path.join(process.env.DATA_DIR, 'chromium');
const program = process.env.CHROMIUM ?? '/usr/bin/chromium';
writeFileSync(wrapper, `#!/bin/sh\nexec nsenter -t ${phones.pid} -n ${program} "$@"\n`, { mode: 0o700 });
process.env.CHROMIUM = wrapper;
const pocket = await browse();

const doubting = await (await pocket.browser.newContext()).newPage();
await until('the browser doubts the certificate', async () => {
  const error = await doubting.goto(there).then(
    () => new Error('it was taken'),
    (refused) => refused,
  );
  if (/ERR_NETWORK_CHANGED/.test(error.message)) return false;
  assert.match(error.message, /ERR_CERT_AUTHORITY_INVALID/);
  return true;
});

/** Pictures that were decoded of the other person. */
const decoded = (page) =>
  page.evaluate(() =>
    Math.max(
      0,
      ...[...document.querySelectorAll('.tile:not(.mine) video')].map(
        (v) => v.getVideoPlaybackQuality().totalVideoFrames,
      ),
    ),
  );
async function call(a, b, room) {
  await create(a, 'double_room', room);
  await b.locator('.rooms .card', { hasText: room }).waitFor();
  await enter(b, room);
  for (const [who, page] of [
    ['who opened the room', a],
    ['who came', b],
  ]) {
    await until(`pictures for ${who}`, async () => (await decoded(page)) > 20);
    console.log(`${room}: ${who} decoded ${await decoded(page)} frames`);
  }
}
const phone = (name) => pocket.open(there, { name, phone: true, excuse: true });
const ada = await desk.open(`${server.base}/`, { name: 'Ada' });
const bob = await phone('Bob');
await call(ada, bob, 'Laptop and phone');
await shot(bob, 'lan-phone');
await call(await phone('Cleo'), await phone('Dan'), 'Two phones');

// A page of the app's own, as docs/recipes/phones.md serves the README's: with the same certificate, at another port.
const top = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const printed = (file, pattern) => pattern.exec(readFileSync(path.join(top, file), 'utf8'))[1];
const own = path.join(process.env.DATA_DIR, 'own');
mkdirSync(path.join(own, 'call'), { recursive: true });
symlinkSync(process.env.DATA_DIR, path.join(own, 'data'));
const theirs = printed('README.md', /<!-- file call\/call\.html -->\n```html\n([\s\S]*?)```/);
writeFileSync(path.join(own, 'call/call.html'), theirs.replaceAll('localhost:5757', `localhost:${server.port}`));
writeFileSync(path.join(own, 'serve.py'), printed('docs/recipes/phones.md', /```python\n([\s\S]*?)```/));
const commands = printed('docs/recipes/phones.md', /```sh\n(address=[\s\S]*?)```/)
  .replace(/^address=\S+/, `address=${DESK}`)
  .replaceAll(':5757', `:${server.port}`);
const files = spawn('bash', ['-c', commands.replace('python3 serve.py', 'exec python3 serve.py')], {
  cwd: own,
  stdio: ['ignore', 'ignore', 'inherit'],
});
process.on('exit', () => files.kill('SIGKILL'));
const page = `https://${DESK}:8443/call.html`;
await until('the page of one’s own is served', () => /200$/.test(trusted(page)));
const visitors = [];
for (const { browser } of [desk, pocket]) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, permissions: ['camera', 'microphone'] });
  const visitor = await context.newPage();
  await visitor.goto(page);
  visitors.push(visitor);
}
for (const visitor of visitors)
  await until('two moving pictures on a page of one’s own', () =>
    visitor.evaluate(() => {
      const shown = [...document.querySelectorAll('video')].filter((v) => v.videoWidth > 0 && v.currentTime > 1);
      return shown.length === 2;
    }),
  );
files.kill('SIGKILL');

assert.deepEqual([...desk.problems, ...pocket.problems], []);
await Promise.all([desk.browser.close(), pocket.browser.close()]);
await server.kill('SIGINT');
phones.kill('SIGKILL');
