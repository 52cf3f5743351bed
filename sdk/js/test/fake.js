// A server in memory, as a platform: answers calls by a table and holds the other end of sockets.

import { RoomError } from '../src/errors.js';

export class FakeServer {
  constructor() {
    this.calls = [];
    this.sockets = [];
    this.down = false;
    // Calls are answered, and sockets are not: they neither open nor fail.
    this.silent = false;
    this.answers = {
      login: () => ({ token: `t${this.calls.filter((c) => c.name === 'login').length}` }),
      logout: () => ({}),
    };
  }

  platform() {
    const returns = new Set();
    this.networkBack = () => {
      for (const call of returns) call();
    };
    return {
      name: 'fake',
      request: async (url, { method = 'GET', body } = {}) => {
        if (this.down) throw new RoomError('network', 'down');
        const { pathname, searchParams } = new URL(url, 'http://server');
        const name = pathname.split('/').at(-1);
        const call = {
          name,
          pathname,
          method,
          query: Object.fromEntries(searchParams),
          body: body && JSON.parse(body),
        };
        this.calls.push(call);
        const answer = this.answers[name]?.(call) ?? {};
        const { status = 200, raw } = answer;
        return { status, text: raw ?? JSON.stringify({ code: 0, message: 'ok', ...answer }), header: () => null };
      },
      connect: (url, on) => {
        const socket = new FakeSocket(this, url, on);
        this.sockets.push(socket);
        if (!this.silent) queueMicrotask(() => (this.down ? socket.drop() : socket.open()));
        return socket;
      },
      onReturn: (call) => {
        returns.add(call);
        return () => returns.delete(call);
      },
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }

  named(name) {
    return this.calls.filter((c) => c.name === name);
  }
}

class FakeSocket {
  constructor(server, url, on) {
    Object.assign(this, { server, on, url: new URL(url, 'ws://server'), sent: [], closed: false });
  }

  open() {
    this.on.open();
    this.push({ type: 'welcome', direct: 100 });
  }

  send(text) {
    if (this.closed) throw new Error('closed');
    const frame = JSON.parse(text);
    this.sent.push(frame);
    const answer = this.server.chat?.(frame, this);
    if (answer) queueMicrotask(() => this.push({ type: 'ack', id: frame.id, ...answer }));
  }

  push(frame) {
    if (!this.closed) this.on.text(JSON.stringify(frame));
  }

  close() {
    this.closed = true;
  }

  drop(code = 1006, reason = '') {
    if (this.closed) return;
    this.closed = true;
    this.on.close(code, reason);
  }

  asked(type) {
    return this.sent.filter((f) => f.type === type);
  }
}

/** Lets everything that is ready run. */
export async function settle(rounds = 30) {
  for (let i = 0; i < rounds; i++) await Promise.resolve();
}

export const LOGIN = { userID: 'ada', userSig: 'sig', sdkAppID: 1, userName: 'Ada' };

const REAL = Object.fromEntries(
  ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'].map((name) => [name, globalThis[name]]),
);

/** Time that passes only when told to, in place of the timers and `Date`. (Node's own differs from version to version.) */
export const clock = {
  enable() {
    let [now, last] = [REAL.Date.now(), 0];
    const waiting = new Map();
    const start = (call, delay, every, args) => {
      const timer = {
        id: ++last,
        at: now + Math.max(1, delay || 0),
        every,
        call: () => call(...args),
        unref: () => timer,
        ref: () => timer,
        [Symbol.toPrimitive]: () => timer.id,
      };
      waiting.set(timer.id, timer);
      return timer;
    };
    const stop = (timer) => timer != null && waiting.delete(Number(timer));
    globalThis.setTimeout = (call, delay, ...args) => start(call, delay, null, args);
    globalThis.setInterval = (call, delay, ...args) => start(call, delay, Math.max(1, delay || 0), args);
    globalThis.clearTimeout = globalThis.clearInterval = stop;
    globalThis.Date = class extends REAL.Date {
      constructor(...args) {
        super(...(args.length ? args : [now]));
      }
      static now() {
        return now;
      }
    };
    this.tick = (ms) => {
      const end = now + ms;
      for (;;) {
        const next = [...waiting.values()].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
        if (!next) break;
        now = next.at;
        if (next.every) next.at += next.every;
        else waiting.delete(next.id);
        next.call();
      }
      now = end;
    };
  },

  reset() {
    Object.assign(globalThis, REAL);
    this.tick = undefined;
  },
};
