// The SDK as a package: the UMD file in a page of another origin and in `require`, the mini-program's file, and pages made
// with the hooks for React and the composables for Vue; and the code of all three READMEs, as printed.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { browse, Server, until } from './stage.mjs';

const sdk = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../sdk');
const modules = process.env.NODE_MODULES;
const require = createRequire(`${modules}/`);
const { build } = require('esbuild');
const made = mkdtempSync(path.join(tmpdir(), 'roomservice-packages-'));
process.on('exit', () => rmSync(made, { recursive: true, force: true }));
execFileSync('node', [path.join(sdk, 'js/build.mjs'), '--out', made], { env: process.env });
const umd = path.join(made, 'dist/roomservice.umd.cjs');

const server = new Server();
await server.start();
const { browser, open, problems } = await browse();

// By require, and in the mini-program's way.
assert.equal(typeof require(umd).LiveRoom, 'function');
const mini = require(path.join(made, 'miniprogram_dist/index.js'));
assert.equal(typeof mini.RTCRoom, 'function');
assert.ok(!readFileSync(path.join(made, 'miniprogram_dist/index.js'), 'utf8').includes('?.'), 'newer than ES2018');
// A release's packages have both files, too, made anew.
const release = path.join(made, 'release');
execFileSync(
  path.join(sdk, '../deploy/packages'),
  ['--repository', 'https://code.example.org/rooms', '--build', '-', release],
  {
    input: execFileSync(process.env.SERVER, ['openapi']),
  },
);
for (const file of ['dist/roomservice.umd.js', 'dist/roomservice.umd.cjs', 'miniprogram_dist/index.js'])
  assert.ok(readFileSync(path.join(release, 'js', file), 'utf8').includes('roomservice-sdk'), file);
// What is published is complete, and refuses to go out while it names no repository.
const {
  files,
  exports: entries,
  unpkg,
  jsdelivr,
} = JSON.parse(readFileSync(path.join(sdk, 'js/package.json'), 'utf8'));
for (const name of ['src', 'dist', 'miniprogram_dist']) assert.ok(files.includes(name));
for (const { types, default: code } of Object.values(entries).filter((e) => e.types))
  for (const file of [types, code]) readFileSync(path.join(release, 'js', file));

/** A page of an app: `html` at its address, and the files that it loads. */
async function app(address, html, scripts) {
  const page = await open(`${server.base}/web/icon.svg`, {});
  page.expected = /favicon/;
  await page.route(`${address}/**`, (route) => {
    const name = new URL(route.request().url()).pathname.slice(1);
    if (name === 'app')
      return route.fulfill({ contentType: 'text/html', body: `<!doctype html><meta charset=utf-8>${html}` });
    const script = scripts[name];
    if (!script) return route.continue();
    // By its ending, and not to be guessed otherwise, as CDNs have it.
    const kind = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.cjs': 'application/node' }[
      path.extname(script)
    ];
    return route.fulfill({ path: script, headers: { 'Content-Type': kind, 'X-Content-Type-Options': 'nosniff' } });
  });
  await page.goto(`${address}/app`);
  return page;
}

// A <script> in a page of another origin: calls and chat go over http.cors.
const elsewhere = await app('http://app.test', '<script src="/roomservice-sdk"></script>', {
  'roomservice-sdk': path.join(made, unpkg),
});
assert.equal(jsdelivr, unpkg);
// The server signs for its own pages only; here, as in an app, another one hands it over.
const info = await fetch(`${server.base}/weapp/utils/get_login_info?userID=umd`).then((r) => r.json());
const said = await elsewhere.evaluate(
  async ([base, login]) => {
    const { RTCRoom } = window.RoomService;
    const room = new RTCRoom({ server: base });
    const heard = new Promise((resolve) => room.once('recvRoomTextMsg', ({ textMsg }) => resolve(textMsg)));
    await room.login(login);
    await room.createRoom({ roomID: 'umd' });
    await room.sendRoomTextMsg({ msg: 'from elsewhere' });
    const text = await heard;
    await room.logout();
    return text;
  },
  [server.base, info],
);
assert.equal(said, 'from elsewhere');

const BEGIN = `
import { RTCRoom } from 'roomservice-sdk';
export const room = new RTCRoom({ levels: true });
window.room = room;
// How often each stream was begun to be played.
window.plays = {};
const play = room.play.bind(room);
room.play = (source, ...more) => {
  const who = source.userID ?? 'mix';
  window.plays[who] = (window.plays[who] ?? 0) + 1;
  return play(source, ...more);
};
export async function begin() {
  const userID = location.hash.slice(1);
  const info = await fetch('/weapp/utils/get_login_info?userID=' + userID).then((r) => r.json());
  await room.login({ ...info, userName: userID });
  await room.openMedia();
  await room.push({ roomID: 'frameworks', roomInfo: 'Frameworks' });
  await room.publish();
}
`;
const REACT = `
import { createElement as h, StrictMode, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { useLocalVideo, useRoom, useVideo } from 'roomservice-react';
import { begin, room } from 'begin';
// A <video> stands there only while there is something to see.
function Person({ pusher }) {
  const video = useVideo(room, pusher);
  return h('figure', { className: pusher.mic ? 'loud' : 'muted' }, pusher.cam && h('video', { ref: video, className: 'theirs' }), pusher.userName);
}
function Call() {
  const { others, local, messages, connection } = useRoom(room);
  const mine = useLocalVideo(room);
  const mix = useVideo(room, room.mix);
  return h('div', { 'data-connection': connection },
    local?.cam && h('video', { ref: mine, className: 'mine' }),
    h('video', { ref: mix, className: 'mix', muted: true }),
    others.map((p) => h(Person, { key: p.userID, pusher: p })),
    h('button', { onClick: () => room.setMicrophoneEnabled(!local?.mic) }, local?.mic ? 'mute' : 'unmute'),
    h('ol', {}, messages.map((m) => h('li', { key: m.seq }, m.textMsg))));
}
createRoot(document.getElementById('root')).render(h(StrictMode, {}, h(Call)));
begin();
`;
const VUE = `
import { createApp, defineComponent, h } from 'vue';
import { useLocalVideo, useRoom, useVideo } from 'roomservice-vue';
import { begin, room } from 'begin';
const Person = defineComponent({
  props: ['pusher'],
  setup(props) {
    const video = useVideo(room, () => props.pusher);
    return () => h('figure', { class: props.pusher.mic ? 'loud' : 'muted' }, [
      props.pusher.cam && h('video', { ref: video, class: 'theirs' }),
      props.pusher.userName,
    ]);
  },
});
createApp({
  setup() {
    const seen = useRoom(room);
    const mine = useLocalVideo(room);
    const mix = useVideo(room, () => seen.value && room.mix);
    return () => h('div', { 'data-connection': seen.value.connection }, [
      seen.value.local?.cam && h('video', { ref: mine, class: 'mine' }),
      h('video', { ref: mix, class: 'mix', muted: true }),
      seen.value.others.map((p) => h(Person, { key: p.userID, pusher: p })),
      h('button', { onClick: () => room.setMicrophoneEnabled(!seen.value.local?.mic) }, seen.value.local?.mic ? 'mute' : 'unmute'),
      h('ol', seen.value.messages.map((m) => h('li', { key: m.seq }, m.textMsg))),
    ]);
  },
}).mount('#root');
begin();
`;

/** Who the address says, logged in as in development. */
const LOGIN = `
const userID = location.hash.slice(1);
const known = fetch('/weapp/utils/get_login_info?userID=' + userID).then((r) => r.json()).then((info) => ({ ...info, userName: userID }));
`;

/** What a README prints in this language, at our server in place of the one that it names. */
function printed(name, language) {
  const text = readFileSync(path.join(sdk, name, 'README.md'), 'utf8');
  const blocks = [...text.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, code]) => code);
  assert.ok(blocks[0].includes('https://live.example'), `${name}: another server`);
  return blocks.map((code) => code.replace('https://live.example', server.base));
}

// Whoever installs as both READMEs say has every package that their code imports.
for (const name of ['react', 'vue']) {
  for (const file of ['README.md', 'README.zh-CN.md']) {
    const text = readFileSync(path.join(sdk, name, file), 'utf8');
    const installed = [...text.matchAll(/^npm install (.*)$/gm)].flatMap(([, packages]) => packages.split(' '));
    const imports = [...text.matchAll(/^import .* from '((?:@[^/']+\/)?[^./'][^/']*)/gm)].map(([, one]) => one);
    assert.ok(imports.length > 3, `${name}/${file} imports ${imports}`);
    for (const one of imports) {
      const way = one.replace(/^roomservice-(.*)$/, (_, of) => `ROOMSERVICE/sdk/${of === 'sdk' ? 'js' : of}`);
      assert.ok(installed.includes(way), `${name}/${file} does not install ${one}: ${installed}`);
    }
  }
}

/** A component of Vue as the app's bundler makes it. */
function compiled(source, id) {
  const { compileScript, parse } = require('vue/compiler-sfc');
  const { descriptor, errors } = parse(source, { filename: `${id}.vue` });
  assert.deepEqual(errors, []);
  return compileScript(descriptor, { id, inlineTemplate: true }).content;
}

/** One file of an app's code, with the packages of this repository as if they were installed. */
async function bundled(code, format) {
  const ours = {
    'roomservice-sdk': path.join(sdk, 'js/src/index.js'),
    'roomservice-sdk/view': path.join(sdk, 'js/src/view.js'),
    'roomservice-react': path.join(sdk, 'react/src/index.js'),
    'roomservice-vue': path.join(sdk, 'vue/src/index.js'),
  };
  const plugin = {
    name: 'ours',
    setup(it) {
      it.onResolve({ filter: /^roomservice-/ }, ({ path: name }) => ({ path: ours[name] }));
      it.onResolve({ filter: /^begin$/ }, () => ({ path: 'begin', namespace: 'given' }));
      it.onLoad({ filter: /.*/, namespace: 'given' }, () => ({ contents: BEGIN, resolveDir: sdk }));
      it.onResolve({ filter: /^readme:/ }, ({ path: name }) => ({ path: name.slice(7), namespace: 'readme' }));
      it.onResolve({ filter: /^\.\/Person\.vue$/ }, () => ({ path: 'person', namespace: 'readme' }));
      it.onResolve({ filter: /^\.\/Call\.(jsx|vue)$/ }, ({ path: name }) => ({
        path: name.endsWith('jsx') ? 'react' : 'vue',
        namespace: 'readme',
      }));
      it.onLoad({ filter: /.*/, namespace: 'readme' }, ({ path: name }) => {
        if (name === 'react main') return { contents: printed('react', 'jsx')[1], loader: 'jsx', resolveDir: sdk };
        if (name === 'vue main') return { contents: printed('vue', 'js')[0], resolveDir: sdk };
        if (name === 'react') return { contents: printed('react', 'jsx')[0], loader: 'jsx', resolveDir: sdk };
        return { contents: compiled(printed('vue', 'vue')[name === 'vue' ? 0 : 1], name), resolveDir: sdk };
      });
    },
  };
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: sdk },
    bundle: true,
    write: false,
    format,
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' },
    nodePaths: [path.join(modules, 'node_modules')],
    plugins: [plugin],
  });
  return outputFiles[0].text;
}

/** A page of the server's own origin that runs `code`. */
async function shown(code, hash, { format = 'iife', ready = async () => {}, opened = open } = {}) {
  const page = await opened(`${server.base}/web/icon.svg`, {});
  await ready(page);
  page.expected = /favicon|Vue|Autoplay/;
  const html = '<!doctype html><div id=root></div><script type="TYPE" src="/bundle.js"></script>'.replace(
    'TYPE',
    format === 'esm' ? 'module' : 'text/javascript',
  );
  await page.route('**/app', (r) => r.fulfill({ contentType: 'text/html', body: html }));
  const text = await bundled(code, format);
  await page.route('**/bundle.js', (r) => r.fulfill({ contentType: 'text/javascript', body: text }));
  await page.goto(`${server.base}/app#${hash}`);
  return page;
}

const pages = {};
for (const [name, code] of Object.entries({ react: REACT, vue: VUE })) {
  pages[name] = await shown(code, name);
  await pages[name].locator('[data-connection=connected]').waitFor();
}
const moving = (page, which) =>
  page.locator(which).evaluateAll((all) => all.length === 1 && all[0].videoWidth > 0 && all[0].currentTime > 0.5);
for (const page of Object.values(pages)) {
  await page.locator('figure').waitFor();
  await until('both pictures', async () => (await moving(page, '.mine')) && (await moving(page, '.theirs')));
}
// However often the rest is drawn again, each is played once; and URLs that are signed anew are no other stream.
for (const page of Object.values(pages)) {
  await until('the mix', () => moving(page, '.mix'));
  assert.equal(await page.evaluate(() => window.room.players.size), 2);
}
for (const page of Object.values(pages)) {
  const signed = () => page.evaluate(() => window.room.refresh().then(() => window.room.mix.mixedPlayURL));
  const first = await signed();
  await until('another signature', async () => (await signed()) !== first);
  const plays = Object.entries(await page.evaluate(() => window.plays));
  assert.deepEqual(
    plays.map(([, n]) => n),
    [1, 1],
    JSON.stringify(plays),
  );
}
// A <video> that goes and comes shows its picture again.
for (const [one, other] of [
  [pages.react, pages.vue],
  [pages.vue, pages.react],
]) {
  await one.evaluate(() => window.room.setCameraEnabled(false));
  await one.locator('.mine').waitFor({ state: 'detached' });
  await other.locator('.theirs').waitFor({ state: 'detached' });
  await one.evaluate(() => window.room.setCameraEnabled(true));
  await until('our picture again', () => moving(one, '.mine'));
  await until('their picture again', () => moving(other, '.theirs'));
}
await pages.react.getByRole('button', { name: 'mute' }).click();
await pages.vue.locator('figure.muted').waitFor();
await pages.vue.getByRole('button', { name: 'mute' }).click();
await pages.react.locator('figure.muted').waitFor();
await pages.react.getByRole('button', { name: 'unmute' }).click();
await pages.vue.locator('figure.loud').waitFor();
await pages.vue.evaluate(() => window.room.sendRoomTextMsg({ msg: 'hello from Vue' }));
for (const page of Object.values(pages)) await page.locator('li', { hasText: 'hello from Vue' }).waitFor();
// Who leaves is gone from the other's page, and is played no longer.
await pages.vue.evaluate(() => window.room.close());
await until('gone', async () => (await pages.react.locator('figure').count()) === 0);
await until('played no longer', () => pages.react.evaluate(() => window.room.players.size === 1));

await pages.react.evaluate(() => window.room.close());

// The code of both READMEs as printed, in one call.
const readme = {
  react: await shown(
    `
    import { createElement as h, StrictMode } from 'react';
    import { createRoot } from 'react-dom/client';
    import { Call } from 'readme:react';
    ${LOGIN}
    known.then((login) => createRoot(document.getElementById('root')).render(h(StrictMode, {}, h(Call, { login, roomID: 'printed' }))));
    `,
    'ruth',
  ),
  vue: await shown(
    `
    import { createApp } from 'vue';
    import Call from 'readme:vue';
    ${LOGIN}
    known.then((login) => createApp(Call, { login, roomID: 'printed' }).mount('#root'));
    `,
    'vera',
  ),
};
for (const page of Object.values(readme)) {
  await page.locator('figure video').waitFor();
  const both = () =>
    page
      .locator('video')
      .evaluateAll((all) => all.length === 2 && all.every((v) => v.videoWidth && v.currentTime > 0.5));
  await until('both pictures of a README', both);
}
await readme.react.getByText('vera').waitFor();
await readme.vue.getByText('ruth').waitFor();
for (const [one, other] of [
  [readme.react, readme.vue],
  [readme.vue, readme.react],
]) {
  await one.getByRole('button', { name: 'Mute' }).click();
  await one.getByRole('button', { name: 'Unmute' }).waitFor();
  await other.getByText('(muted)').waitFor();
  await one.getByRole('button', { name: 'Unmute' }).click();
  await other.getByText('(muted)').waitFor({ state: 'detached' });
}

// Who goes to another page is gone at once, and not after the 20 s of those who say nothing.
await readme.vue.goto('about:blank');
await readme.react.getByText('vera').waitFor({ state: 'detached', timeout: 8_000 });

for (const page of [...Object.values(pages), ...Object.values(readme)]) await page.context().close();

// And with what each prints to begin with, which logs in by itself.
const mains = [];
for (const name of ['react', 'vue']) mains.push(await shown(`import 'readme:${name} main';`, '', { format: 'esm' }));
for (const page of mains) {
  await page.locator('figure video').waitFor();
  await until('the picture of the other', () =>
    page.locator('figure video').evaluate((v) => v.videoWidth > 0 && v.currentTime > 0.5),
  );
}
for (const page of mains) await page.context().close();

// The code of the SDK's own README, a page for each block: somebody is in the room that it enters, and on air in the show.
const host = await shown(
  `
  import { LiveRoom, RTCRoom } from 'roomservice-sdk';
  ${LOGIN}
  const tea = new RTCRoom();
  await tea.login(await known);
  await tea.createRoom({ roomID: 'tea', roomInfo: 'Tea' });
  const show = new LiveRoom();
  await show.login(await known);
  show.setListener({ onRecvJoinPusherRequest: (viewer) => show.acceptJoinPusher(viewer) });
  await show.createRoom({ roomID: 'show', roomInfo: 'Show' });
  await show.publish(await show.openMedia());
  const late = new LiveRoom();
  await late.login(await known);
  late.setListener({ onRecvJoinPusherRequest: (viewer) => late.acceptJoinPusher(viewer) });
  await late.createRoom({ roomID: 'late', roomInfo: 'Late' });
  await late.publish(await late.openMedia());
  window.done = true;
  `,
  'host',
  { format: 'esm' },
);
await host.waitForFunction(() => window.done);
/** What a block must have said, by a part of its code. */
const SAYS = [
  ['sendRoomTextMsg', /Hello!/],
  ['getPushURL', /rtmp:\/\//],
  ['requestJoinPusher', /\d/],
  ["room.on('connectionState'", /connected/],
];
let blocks = 0;
for (const code of printed('js', 'js')) {
  // There is no mini-program here; sdk/js/test has those.
  if (code.includes('roomservice-sdk/wechat')) continue;
  blocks += 1;
  const said = [];
  const ready = async (page) => {
    page.on('console', (message) => said.push(message.text()));
    const info = await fetch(`${server.base}/weapp/utils/get_login_info?userID=ada`).then((r) => r.json());
    await page.route('**/my-app/usersig', (r) => r.fulfill({ body: info.userSig }));
  };
  const [, imports] = /^((?:import .*\n)*)/.exec(code);
  const whole = `${imports}${LOGIN}\nconst login = () => known;\n${code.slice(imports.length)}\nwindow.done = true;`;
  const page = await shown(whole, `reader${blocks}`, { format: 'esm', ready });
  await page
    .waitForFunction(() => window.done)
    .catch(() => assert.fail(`block ${blocks} of the README does not end: ${code}\n${said.join('\n')}`));
  for (const [, wanted] of SAYS.filter(([part]) => code.includes(part)))
    await until(`block ${blocks} of the README says ${wanted}`, () => wanted.test(said.join('\n')));
  if (/room\.publish\((camera|await)/.test(code))
    await until(`block ${blocks} of the README publishes`, async () => {
      const { streams } = await fetch(`${server.base}/api/v1/streams`).then((r) => r.json());
      return streams.some(({ name }) => name.includes(`reader${blocks}`));
    });
  await page.context().close();
}
assert.ok(blocks >= 8, 'the README has fewer blocks');

// A co-anchor whose camera opens seconds after it joined: the mix is waited for.
const late = [];
const guest = await shown(
  `
  import { LiveRoom } from 'roomservice-sdk';
  ${LOGIN}
  const room = new LiveRoom();
  await room.login(await known);
  await room.enterRoom({ roomID: 'late' });
  await room.requestJoinPusher();
  await room.joinPusher();
  const mixed = [];
  room.on('roomUpdate', () => mixed.push(room.custom.mixed));
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  console.log('before', mixed.includes(1));
  await room.publish(await room.openMedia());
  setInterval(async () => {
    await room.refresh();
    if (room.custom.mixed === 1) console.log('mixed');
  }, 200);
  `,
  'late',
  { format: 'esm', ready: async (page) => page.on('console', (m) => late.push(m.text())) },
);
await until('the mix with who came late', () => late.includes('mixed'));
assert.ok(late.includes('before false'));

// A browser that allows no sound before somebody clicks. It is looked into by what the page says: to look is as good as a click.
const shy = await browse({ flags: ['--autoplay-policy=user-gesture-required'] });
const heard = [];
const silent = await shown(
  `
  import { LiveRoom } from 'roomservice-sdk';
  ${LOGIN}
  const room = new LiveRoom();
  const video = document.body.appendChild(document.createElement('video'));
  const say = () => console.log('sound', room.audioBlocked, video.muted, video.paused, video.currentTime > 0.5);
  room.on('audioBlocked', say);
  setInterval(say, 200);
  onclick = () => room.resumeAudio();
  await room.login(await known);
  await room.enterRoom({ roomID: 'show' });
  room.play(room.pushers[0], video);
  `,
  'shy',
  { format: 'esm', opened: shy.open, ready: async (page) => page.on('console', (m) => heard.push(m.text())) },
);
await until('it plays without sound, and says so', () => heard.at(-1) === 'sound true true false true');
await silent.mouse.click(5, 5);
await until('a click gives it its sound', () => heard.at(-1) === 'sound false false false true');
await shy.browser.close();
assert.deepEqual(shy.problems, []);

// A server that was killed knows its rooms, and is asked to mix again what it mixed before.
const mixes = async () =>
  Number(/^roomservice_mixes (\d+)$/m.exec(await fetch(`${server.base}/metrics`).then((r) => r.text()))?.[1]);
assert.ok((await mixes()) > 0);
for (const page of [host, guest]) page.quiet = true;
await server.kill();
await server.start();
await until('a mix again', async () => (await mixes()) > 0, 60_000);

assert.deepEqual(problems, []);
await browser.close();
await server.kill('SIGTERM');
