// Camera, microphone and screen of a page, without one.

import { afterEach, beforeEach } from 'node:test';

const before = { MediaStream: globalThis.MediaStream, document: globalThis.document };
/** All tracks of a test. */
export const made = [];

export class Track extends EventTarget {
  constructor(kind, label) {
    super();
    Object.assign(this, { kind, label, enabled: true, readyState: 'live' });
    made.push(this);
  }
  getSettings() {
    return { width: 320, height: 180 };
  }
  stop() {
    this.readyState = 'ended';
  }
  /** What happens to it from outside. */
  end() {
    this.stop();
    this.dispatchEvent(new Event('ended'));
  }
}

export class Stream {
  constructor(tracks = []) {
    this.tracks = [...tracks];
  }
  getTracks() {
    return [...this.tracks];
  }
  getVideoTracks() {
    return this.tracks.filter((t) => t.kind === 'video');
  }
  getAudioTracks() {
    return this.tracks.filter((t) => t.kind === 'audio');
  }
  addTrack(track) {
    this.tracks.push(track);
  }
  removeTrack(track) {
    this.tracks = this.tracks.filter((t) => t !== track);
  }
}

/** Puts what a page has into the place of globals. */
export function browse() {
  made.length = 0;
  globalThis.MediaStream = Stream;
  globalThis.document = {
    createElement: () => ({
      getContext: () => ({ fillRect() {} }),
      captureStream: () => new Stream([new Track('video', 'blank')]),
    }),
  };
}

/** Takes it away again. Black pictures are drawn until their track ends. */
export function leave() {
  for (const track of made) track.stop();
  Object.assign(globalThis, before);
}

/**
 * Devices of a machine with two cameras; `refuse` is what the next question is answered with, `missing` are ids of devices that
 * were pulled out, `busy` of those that another
 * program has, `single`: one camera is open at a time, as on many phones; `slow`: what is waited for before an answer.
 */
export function machine() {
  const it = {
    asked: [],
    refuse: null,
    missing: [],
    busy: [],
    single: false,
    slow: null,
    getUserMedia: async (wish) => {
      it.asked.push(wish);
      await it.slow;
      const refuse = (name) => {
        throw Object.assign(new Error(name), { name });
      };
      if (it.refuse) refuse(it.refuse);
      const name = (kind) => wish[kind].deviceId?.exact ?? `first ${kind}`;
      const wanted = ['audio', 'video'].filter((kind) => wish[kind]);
      if (wanted.some((kind) => it.missing.includes(name(kind)))) refuse('OverconstrainedError');
      if (wanted.some((kind) => it.busy.includes(name(kind)))) refuse('NotReadableError');
      if (it.single && wish.video && made.some((t) => t.device && t.kind === 'video' && t.readyState === 'live'))
        refuse('NotReadableError');
      // Safari has one microphone open: asked for another, it ends the one before.
      if (it.single && wish.audio)
        for (const t of made) if (t.device && t.kind === 'audio' && t.readyState === 'live') t.end();
      return new Stream(wanted.map((kind) => Object.assign(new Track(kind, name(kind)), { device: true })));
    },
    getDisplayMedia: async () => {
      if (it.refuse) throw Object.assign(new Error(it.refuse), { name: it.refuse });
      return new Stream([new Track('video', 'screen')]);
    },
    enumerateDevices: async () => [
      { deviceId: 'c1', kind: 'videoinput' },
      { deviceId: '', kind: 'audioinput' },
      { deviceId: 's1', kind: 'audiooutput' },
    ],
  };
  return it;
}

/** Runs each test of a file as in a page with devices. */
export function inPages() {
  const navigators = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  beforeEach(() => {
    browse();
    Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { mediaDevices: machine() } });
  });
  afterEach(() => {
    leave();
    if (navigators) Object.defineProperty(globalThis, 'navigator', navigators);
    else delete globalThis.navigator;
  });
}
