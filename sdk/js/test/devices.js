// Camera, microphone and screen of a page, without one.

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

/** Devices of a machine with two cameras; `refuse` is what the next question is answered with. */
export function machine() {
  const it = {
    asked: [],
    refuse: null,
    getUserMedia: async (wish) => {
      it.asked.push(wish);
      if (it.refuse) throw Object.assign(new Error(it.refuse), { name: it.refuse });
      const name = (kind) => wish[kind].deviceId?.exact ?? `first ${kind}`;
      return new Stream(['audio', 'video'].filter((k) => wish[k]).map((kind) => new Track(kind, name(kind))));
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
