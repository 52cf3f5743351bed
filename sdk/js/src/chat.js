// Chat over one WebSocket that comes back by itself: rooms are joined again from the last message that was seen, and
// what was being sent is sent again under the same number, so that nothing is lost and nothing comes twice.

import { Backoff, wait } from './backoff.js';
import { Code, loggedOut, RoomError } from './errors.js';

/** Milliseconds. */
const ANSWER_WITHIN = 15_000;
const PING_EVERY = 20_000;
const PONG_WITHIN = 8_000;
/** The same where something is known to have happened to the network. */
const PROBED_WITHIN = 3_000;
const OPEN_WITHIN = 10_000;
// Private messages are numbered by the time, in milliseconds, and kept for a minute.
const CLOCK_SET_BACK = 60_000;
/** How a connection ends that can never be made. */
const NEVER = 4599;
/** What a join is refused with that may be granted a moment later: nothing of it lies with the user. */
const PASSING = new Set([
  ...[Code.TIMEOUT, Code.NETWORK, Code.TOO_FAST, 'unavailable', 'overloaded'],
  ...['too_many_rooms', 'room_full', 'no_room'],
]);

/** Whether joining again may help. */
export function mayJoinLater(error) {
  return PASSING.has(error.code);
}

export class Chat {
  /** `listener`: `state(name)`, `message`, `system`, `direct`, `count`, `out`, `missed(room, { anew })`, `joined(room, { fresh })`,
   *  `lost(room, error)`, `unsigned(error)`: the session has ended, and the app gave no signature; all are optional. */
  constructor(session, listener, { random = Math.random } = {}) {
    this.session = session;
    this.listener = listener;
    this.random = random;
    this.backoff = new Backoff({ random });
    this.rooms = new Map();
    this.waiting = new Map();
    this.nextID = 1;
    this.direct = undefined;
    this.state = 'closed';
    this.socket = null;
    this.running = false;
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.stopWatching = this.session.platform.onReturn(() => {
      this.pause?.cut();
      // A connection may have died in the background, where nobody listened for it.
      this.probe?.();
    });
    this.turn = {};
    this.loop = this.#run(this.turn);
  }

  /** Ends it; what waits for an answer is rejected. */
  stop() {
    if (!this.running) return;
    this.running = false;
    this.stopWatching();
    this.pause?.cut();
    this.end?.(1000, 'stopped');
    this.rooms.clear();
    this.#rejectAll(new RoomError(Code.ENDED, 'chat was stopped'));
  }

  /**
   * Enters a room's chat; from then on it is entered again after every interruption, also where this fails because there is no
   * connection. `resume`: from the last message that was seen.
   */
  async join(room, { resume = false } = {}) {
    const at = (resume && this.rooms.get(room)) || { epoch: undefined, seq: 0 };
    this.rooms.set(room, at);
    try {
      return await this.#ask({ type: 'join', room, since: since(at) }, { again: false, keep: true });
    } catch (error) {
      if (!mayJoinLater(error) && this.rooms.get(room) === at) this.rooms.delete(room);
      throw error;
    }
  }

  async quit(room) {
    if (!this.rooms.delete(room)) return;
    if (this.state === 'open') await this.#ask({ type: 'quit', room }).catch(() => {});
    else this.#rejectAll(new RoomError(Code.ENDED, 'left the room'), ({ frame }) => frame.room === room);
  }

  /** Whether a join of this room is on its way. */
  isJoining(room) {
    return [...this.waiting.values()].some(({ frame }) => joins(frame, room));
  }

  /** `what`: `{text}`, `{custom: {data, desc, ext}}` or `{body: [{MsgType, MsgContent}]}`. */
  send(room, what) {
    return this.#ask({ type: 'send', room, random: this.#number(), ...what }, { again: true });
  }

  sendDirect(to, what) {
    return this.#ask({ type: 'direct', to, random: this.#number(), ...what }, { again: true });
  }

  history(room, { before, count = 20 } = {}) {
    return this.#ask({ type: 'history', room, before, count });
  }

  setNick(nick) {
    this.nick = nick;
    return this.#ask({ type: 'nick', nick }).catch(() => {});
  }

  /** `measure`: `mute`, `ban` or `kick`; for the room's creator. */
  command(measure, room, user, seconds) {
    return this.#ask({ type: measure, room, user, seconds });
  }

  #number() {
    return Math.floor(this.random() * 0xffff_ffff);
  }

  /** Sends a request and waits for its answer. `again`: it is repeated after an interruption; `keep`: a join, which the
   *  interruption's end repeats anyway. */
  #ask(frame, { again = false, keep = false } = {}) {
    return new Promise((resolve, reject) => {
      if (!this.running) return reject(new RoomError(Code.STATE, 'chat is not started'));
      const id = this.nextID++;
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new RoomError(Code.TIMEOUT, 'chat did not answer in time'));
      }, ANSWER_WITHIN);
      const settle = (done) => (value) => {
        clearTimeout(timer);
        this.waiting.delete(id);
        done(value);
      };
      const request = { frame: { ...frame, id }, again, keep, resolve: settle(resolve), reject: settle(reject) };
      this.waiting.set(id, request);
      if (this.state === 'open') this.#write(request.frame);
      else if (!again && !keep) request.reject(new RoomError(Code.NETWORK, 'chat is not connected'));
    });
  }

  #write(frame) {
    try {
      this.socket.send(JSON.stringify(frame));
    } catch {
      this.end?.(1006, 'send failed');
    }
  }

  #rejectAll(error, which = () => true) {
    for (const request of [...this.waiting.values()]) if (which(request)) request.reject(error);
  }

  #tell(name, ...what) {
    try {
      this.listener[name]?.(...what);
    } catch (error) {
      console.error(error);
    }
  }

  #become(state, why) {
    if (this.state === state) return;
    this.state = state;
    this.#tell('state', state, why);
  }

  /** Whether this run goes on: one that was stopped may still wait for a login when the next one begins. */
  #runs(turn) {
    return this.running && this.turn === turn;
  }

  async #run(turn) {
    let neverOpened = 0;
    while (this.#runs(turn)) {
      this.#become('connecting');
      const { code, reason, opened } = await this.#connection();
      if (!this.#runs(turn)) break;
      this.#rejectAll(new RoomError(Code.NETWORK, 'the connection broke'), (r) => !r.again && !r.keep);
      neverOpened = opened ? 0 : neverOpened + 1;
      // A refused upgrade looks like a lost network to a browser: now and then it is worth asking why.
      if (code === 4501 || neverOpened % 3 === 2) await this.#renew(turn, code === 4501);
      else if (code >= 4500 && code < 5000) return this.#over(code, reason);
      if (!this.#runs(turn)) break;
      this.#become('waiting');
      this.pause = wait(this.backoff.next());
      await this.pause.done;
      this.pause = null;
    }
    if (this.turn === turn) this.#become('closed');
  }

  #over(code, reason) {
    this.running = false;
    this.stopWatching();
    this.#rejectAll(new RoomError(Code.ENDED, reason || 'chat ended'));
    this.#become('ended', { code, reason });
  }

  async #renew(turn, ended) {
    try {
      await this.session.renew();
    } catch (error) {
      if (!this.#runs(turn)) return;
      if (loggedOut(error)) this.#over(4501, error.message);
      // Without a network there may be no signature either, and no need of one.
      else if (ended && error.code === Code.SIGNATURE) this.#tell('unsigned', error);
    }
  }

  /** One connection, from opening to its end. */
  #connection() {
    return new Promise((resolve) => {
      let opened = false;
      let timer = setTimeout(() => end(1006, 'no answer'), OPEN_WITHIN);
      const end = (code, reason) => {
        if (this.end !== end) return;
        this.end = null;
        clearTimeout(timer);
        this.socket?.close(1000);
        this.socket = null;
        resolve({ code, reason, opened });
      };
      this.end = end;
      // A half-dead connection says nothing: it is asked, and given up when it does not answer.
      const listenFor = () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          this.#write({ type: 'ping' });
          timer = setTimeout(() => end(1006, 'no sign of life'), PONG_WITHIN);
        }, PING_EVERY);
      };
      this.probe = () => {
        if (!opened || this.end !== end) return;
        clearTimeout(timer);
        this.#write({ type: 'ping' });
        timer = setTimeout(() => end(1006, 'no sign of life'), PROBED_WITHIN);
      };
      const on = {
        open: () => listenFor(),
        text: (text) => {
          if (this.end !== end) return;
          listenFor();
          const frame = parse(text);
          if (frame?.type === 'welcome') {
            opened = true;
            this.#welcome(frame);
          } else if (frame) this.#take(frame);
        },
        close: (code, reason) => end(code, reason),
      };
      try {
        this.socket = this.session.platform.connect(this.session.chatURL(this.direct), on);
      } catch (error) {
        // What can never work is the end, and says why; anything else is tried again.
        end(error.code === Code.STATE ? NEVER : 1006, error.message);
      }
    });
  }

  #welcome(frame) {
    // The server's clock was set back, and it numbers from there: what it says from now on is new.
    if (this.direct - frame.direct > CLOCK_SET_BACK) this.direct = undefined;
    else this.direct ??= frame.direct;
    this.backoff.reset();
    this.#become('open');
    if (this.nick) this.#write({ type: 'nick', nick: this.nick });
    const asked = new Set();
    for (const { frame: request, keep } of this.waiting.values()) if (keep) asked.add(request.room);
    for (const [room, at] of this.rooms) {
      if (!asked.has(room)) this.#rejoin(room, at);
    }
    // In the order in which they were asked for: joins before what is said in them.
    for (const { frame: request } of this.waiting.values()) {
      const at = request.type === 'join' && this.rooms.get(request.room);
      this.#write(at ? { ...request, since: since(at) } : request);
    }
  }

  #rejoin(room, at) {
    this.#ask({ type: 'join', room, since: since(at) }).catch((error) => {
      if (this.rooms.get(room) === at && error.code !== Code.NETWORK) this.#tell('lost', room, error);
    });
  }

  #take(frame) {
    switch (frame.type) {
      case 'ack':
      case 'error':
        return this.#answer(frame);
      case 'message':
      case 'system':
        return this.#inOrder(frame);
      case 'direct':
        if (this.direct !== undefined && frame.seq <= this.direct) return;
        this.direct = frame.seq;
        return this.#tell('direct', frame);
      case 'count':
        return this.rooms.has(frame.room) && this.#tell('count', frame);
      case 'out':
        this.rooms.delete(frame.room);
        return this.#tell('out', frame);
      default: // Kinds of frames that later servers may send.
    }
  }

  #answer(frame) {
    const request = this.waiting.get(frame.id);
    if (!request) return;
    if (frame.type === 'error') {
      if (frame.code === 'too_fast' && request.again && frame.retryAfter) {
        setTimeout(
          () => this.waiting.has(frame.id) && this.state === 'open' && this.#write(request.frame),
          frame.retryAfter,
        );
        return;
      }
      return request.reject(new RoomError(frame.code, frame.message, { until: frame.until }));
    }
    const at = request.frame.type === 'join' && this.rooms.get(frame.room);
    if (at) {
      // Messages that were missed follow the answer; without any, the newest one counts as seen.
      const missedAny = frame.missed > 0;
      if (at.epoch !== frame.epoch || !missedAny) at.seq = missedAny ? frame.last - frame.missed : frame.last;
      const fresh = at.epoch === undefined;
      const lost = !fresh && (frame.gap || frame.anew || at.epoch !== frame.epoch);
      at.epoch = frame.epoch;
      if (lost) this.#tell('missed', frame.room, { anew: frame.anew });
      this.#tell('count', frame);
      this.#tell('joined', frame.room, { fresh });
    }
    request.resolve(frame);
  }

  #inOrder(frame) {
    const at = this.rooms.get(frame.room);
    if (!at || frame.seq <= at.seq) return;
    at.seq = frame.seq;
    if (frame.type === 'system' && frame.notice !== 'custom') this.rooms.delete(frame.room);
    this.#tell(frame.type, frame);
  }
}

function joins(frame, room) {
  return frame.type === 'join' && frame.room === room;
}

/** From where a room's messages are wanted. */
function since({ epoch, seq }) {
  return epoch === undefined ? undefined : { epoch, seq };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
