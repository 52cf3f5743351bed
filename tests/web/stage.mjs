// What the scripts beside share: the real server as a child, a real browser, and pages whose errors are noted.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { launch } from '../chromium.mjs';

const need = (name) =>
  process.env[name] ?? assert.fail(`${name} must be set: these scripts are run by crates/server/tests/browser/main.rs`);
const SHOTS = need('SCREENSHOTS');

/** The server, which can be killed and started again on the same ports and data. */
export class Server {
  /** `env`: more variables for it; `ports` and `data`: its own, where there are several servers. */
  constructor(
    env = {},
    { http = need('HTTP_PORT'), rtmp = need('RTMP_PORT'), rtc = process.env.RTC_PORT, data = need('DATA_DIR') } = {},
  ) {
    this.env = {
      ROOMSERVICE_DATA_DIR: data,
      // What a browser that is closed leaves behind is not waited for.
      ROOMSERVICE_DRAIN_TIMEOUT: '1',
      ROOMSERVICE_HTTP__LISTEN: `127.0.0.1:${http}`,
      ROOMSERVICE_RTMP__LISTEN: `127.0.0.1:${rtmp}`,
      ...(rtc && { ROOMSERVICE_WEBRTC__LISTEN: `127.0.0.1:${rtc}` }),
      ...env,
    };
    this.port = http;
    this.base = `http://127.0.0.1:${this.port}`;
    process.on('exit', () => this.child?.kill('SIGKILL'));
  }

  async start(args = []) {
    const env = { ...process.env, ...this.env };
    this.child = spawn(need('SERVER'), args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
    await until('the server answers', () =>
      fetch(this.base).then(
        (r) => r.ok,
        () => false,
      ),
    );
  }

  async kill(signal = 'SIGKILL') {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await gone;
  }

  /** Whether WHIP is served: a wrong method is refused in another way than a wrong path. */
  async hasMedia() {
    return (await fetch(`${this.base}/whip/none`, { method: 'POST', body: '' })).status !== 404;
  }
}

/** Two servers with one Redis. */
export async function nodes(env = {}) {
  const { REDIS_PORT, HTTP_PORT_B, RTMP_PORT_B, RTC_PORT_B } = process.env;
  const dir = mkdtempSync(path.join(tmpdir(), 'roomservice-nodes-'));
  const redis = spawn('redis-server', ['--port', REDIS_PORT, '--bind', '127.0.0.1', '--save', '', '--dir', dir], {
    stdio: 'ignore',
  });
  process.on('exit', () => {
    redis.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  await until(
    'redis',
    () =>
      new Promise((resolve) => {
        const socket = connect(Number(REDIS_PORT), '127.0.0.1', () => {
          socket.destroy();
          resolve(true);
        }).on('error', () => resolve(false));
      }),
  );
  const SECRET = 'shared by all nodes';
  const shared = {
    ROOMSERVICE_STORE__KIND: 'redis',
    ROOMSERVICE_STORE__REDIS: `redis://127.0.0.1:${REDIS_PORT}/0`,
    ROOMSERVICE_SESSIONS__SECRET: SECRET,
    ROOMSERVICE_LIVE__PUSHSECRETKEY: SECRET,
    ROOMSERVICE_IM__SDKAPPID: '1400000000',
    ROOMSERVICE_IM__SECRETKEY: SECRET,
    ...env,
  };
  const a = new Server(shared);
  const b = new Server(shared, { http: HTTP_PORT_B, rtmp: RTMP_PORT_B, rtc: RTC_PORT_B, data: path.join(dir, 'b') });
  await Promise.all([a.start(), b.start()]);
  const end = async () => {
    await Promise.all([a.kill('SIGTERM'), b.kill('SIGTERM')]);
    redis.kill();
  };
  return { a, b, end };
}

/** Asks until it is so; the deadline is for what never comes. */
export async function until(what, ask, within = 20_000) {
  const end = Date.now() + within;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (Date.now() > end) assert.fail(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** `ui`: pages get devices without a choice; without it only what they were permitted. `flags`: more for Chromium. */
export async function browse({ ui = true, flags = [] } = {}) {
  // Few pictures: what draws and encodes here is the processor that all else runs on.
  const browser = await launch({ camera: ui, fps: 10, addresses: true, flags });
  const problems = [];
  /**
   * A page of a person of its own; `init`: scripts with their arguments that run in it first; `excuse`: it goes on where
   * nobody vouches for the certificate; `size`: of its screen.
   */
  const open = async (
    url,
    { name, phone, dark = false, lang = 'en-US', camera = true, excuse = false, init, size } = {},
  ) => {
    const context = await browser.newContext({
      ignoreHTTPSErrors: excuse,
      viewport: size ?? (phone ? { width: 390, height: 844 } : { width: 1280, height: 800 }),
      deviceScaleFactor: 1,
      locale: lang,
      colorScheme: dark ? 'dark' : 'light',
      permissions: ['camera', 'microphone', 'clipboard-read', 'clipboard-write'],
    });
    if (name) await context.addInitScript((n) => localStorage.setItem('name', n), name);
    if (!camera)
      await context.addInitScript(() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined }));
    for (const script of init ?? []) await context.addInitScript(...script);
    const page = await context.newPage();
    page.quiet = false;
    page.on('pageerror', (error) => problems.push(`${url}: ${error.message}`));
    page.on('console', (message) => {
      const said = `${message.text()} ${message.location().url}`;
      const mine = ['error', 'warning'].includes(message.type()) && !page.quiet && !page.expected?.test(said);
      if (mine) problems.push(`${new Date().toISOString()} ${name ?? ''} ${page.url()}: ${said}`);
    });
    await page.goto(url);
    return page;
  };
  return { browser, open, problems };
}

/** For `init` of a page: counts in `window.asked` how often it asks for a camera or microphone. */
export const counted = [
  [
    () => {
      window.asked = 0;
      const media = navigator.mediaDevices;
      const ask = media.getUserMedia.bind(media);
      media.getUserMedia = (wish) => {
        window.asked += 1;
        return ask(wish);
      };
    },
  ],
];

export async function shot(page, name) {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SHOTS, `${name}.png`) });
}

/** Makes a room from the list's form. */
export async function create(page, kind, name) {
  await page.locator('input[name=name]').fill(name);
  await page.locator(`input[value=${kind}]`).check({ force: true });
  await page.locator('.start button[type=submit]').click();
  await page.locator('.preview button[type=submit]').click();
  await page.locator('.room[data-online=true]').waitFor();
}

/** Enters a room from the list; who only watches sees no preview. */
export async function enter(page, name) {
  await page.locator('.rooms .card', { hasText: name }).getByRole('button').click();
  await page.locator('.preview, .room[data-online=true]').first().waitFor();
  const ready = page.locator('.preview button[type=submit]');
  if (await ready.count()) await ready.click();
  await page.locator('.room[data-online=true]').waitFor();
}

export async function say(page, text) {
  await page.locator('.say input').fill(text);
  await page.locator('.say button').click();
}
