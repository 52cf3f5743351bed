// Camera, microphone and screen of this page as one stream whose parts change while it is sent. For browsers only.

import { asRoomError, Code, RoomError } from './errors.js';

const VIDEO = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 24, max: 30 } };
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const KINDS = { camera: 'video', microphone: 'audio' };
/** How often the black picture of a camera that is off is drawn: other protocols' viewers need pictures that go on. */
const BLANK_EVERY = 200;

export class LocalMedia {
  /**
   * `send(track)`: a part of the stream was exchanged. `changed()`: something was turned on or off. `fail(error)`: what
   * happened by itself, such as a camera that was pulled out and has no stand-in. `off`: what a person turned off, which stays off,
   * whatever is opened or given meanwhile, until it is turned on.
   */
  constructor({ send = async () => {}, changed = () => {}, fail = () => {}, devices, off = {} } = {}) {
    this.devices = devices ?? globalThis.navigator?.mediaDevices;
    Object.assign(this, { send, changed, fail, off, chosen: {}, wishes: {} });
    this.stream = new MediaStream();
    this.mic = this.cam = false;
    this.screen = false;
    // The picture of the screen that is shown, whether it was wanted last, and how often it was not.
    this.capture = null;
    this.wantsScreen = false;
    this.screenEnds = 0;
    // Of the camera that is on, and of the one that the screen stands in for.
    this.camera = null;
    this.closed = false;
    this.turn = Promise.resolve();
  }

  get state() {
    return { mic: this.mic, cam: this.cam, screen: this.screen };
  }

  /**
   * Opens devices: `camera` and `microphone` are true, false or a device's id; `video` and `audio` are constraints. What was turned off
   * before is off: the microphone is silent, and the camera is not opened.
   */
  open({ camera = true, microphone = true, video = VIDEO, audio = AUDIO } = {}) {
    this.wishes = { camera: video, microphone: audio };
    for (const [name, wish] of Object.entries({ camera, microphone }))
      if (typeof wish === 'string') this.chosen[name] = wish;
    return this.#inTurn(async () => {
      const dark = Boolean(camera) && this.off.camera;
      const names = [camera && !dark && 'camera', microphone && 'microphone'].filter(Boolean);
      if (!names.length && !dark) return this.stream;
      const opened = names.length ? await this.#ask(names) : [];
      for (const track of opened) await this.#take(track, true);
      if (dark && !this.stream.getVideoTracks().length) await this.#put(blank(640, 360));
      this.changed();
      return this.stream;
    });
  }

  /**
   * Takes tracks that the app made. They are the app's: they are silenced or blackened, and never stopped. What was opened here
   * before and is not among them is closed: its light goes out.
   */
  adopt(stream) {
    this.#stopOurs(stream.getTracks());
    this.screen = false;
    this.capture = null;
    this.stream = stream;
    for (const track of stream.getTracks()) this.#hold(track);
    const [video] = stream.getVideoTracks?.() ?? [];
    this.camera = video ?? null;
    this.cam = Boolean(video?.enabled);
    this.mic = Boolean(stream.getAudioTracks?.()[0]?.enabled);
  }

  /** Keeps off what is off. */
  #hold(track) {
    if (this.off[nameOf(track)]) track.enabled = false;
  }

  /** Takes a track of the app's in place of camera or microphone, such as a canvas. It is never stopped here. */
  use(track) {
    return this.#inTurn(async () => {
      const before = this.camera;
      const video = track.kind === 'video';
      if (video) this.camera = track;
      this.#hold(track);
      this[video ? 'cam' : 'mic'] = track.enabled;
      if (!video || !this.screen) await this.#put(track);
      if (video && before?.ours) before.stop();
      this.changed();
    });
  }

  /** Whether others hear us. A microphone that is off stays open, so that it is on again at once. */
  setMicrophone(on) {
    this.off.microphone = !on;
    if (!on) this.#offAtOnce('mic', this.#microphone());
    return this.#inTurn(async () => {
      // What was said since has a turn of its own.
      if (this.off.microphone === on) return;
      const track = this.#microphone();
      if (track) track.enabled = on;
      else if (on) for (const opened of await this.#ask(['microphone'])) await this.#take(opened, true);
      this.mic = on && !this.off.microphone && this.#microphone() !== undefined;
      this.changed();
    });
  }

  /** Nobody hears or sees it any more, and everybody is told so, whatever is waited for: somebody may be asked for another device. */
  #offAtOnce(name, track) {
    if (track) track.enabled = false;
    if (!this[name]) return;
    this[name] = false;
    this.changed();
  }

  /** The one that is open: one that was pulled out has ended. */
  #microphone() {
    return this.stream.getAudioTracks().find((track) => track.readyState !== 'ended');
  }

  /** Whether others see us. A camera that is off is closed, and its light goes out. */
  setCamera(on) {
    this.off.camera = !on;
    if (!on) this.#offAtOnce('cam', this.camera);
    return this.#inTurn(async () => {
      // What was said since has a turn of its own.
      if (this.off.camera === on) return;
      if (on) await this.#cameraOn();
      else if (this.camera?.ours) await this.#cameraClosed();
      else if (this.camera) this.camera.enabled = false;
      this.cam = on && !this.off.camera;
      this.changed();
    });
  }

  async #cameraOn() {
    if (this.camera?.readyState === 'live') {
      this.camera.enabled = true;
      return;
    }
    // One of the app's that has ended: pictures go on while the person is asked.
    if (this.camera) await this.#cameraClosed();
    for (const opened of await this.#ask(['camera'])) await this.#take(opened, true);
  }

  async #cameraClosed() {
    const { width = 640, height = 360 } = this.camera.getSettings();
    this.camera.stop();
    this.camera = null;
    if (!this.screen) await this.#put(blank(width, height));
  }

  /** Shows the screen, a window or a tab in place of the camera, until it is ended here or in the browser's own bar. */
  setScreen(on, { video = true } = {}) {
    // Asked for at once: browsers show their choice only while the click is fresh.
    const shown = on && !(this.screen && this.wantsScreen) ? this.#askScreen(video) : null;
    this.wantsScreen = on;
    if (!on) {
      this.screenEnds += 1;
      // As with `#offAtOnce`; it is off once something stands in its place.
      if (this.capture) this.capture.enabled = false;
    }
    const { screenEnds } = this;
    shown?.catch(() => {});
    const done = this.#inTurn(async () => {
      if (!on) return this.#screenEnded(this.capture);
      if (shown) await this.#showScreen(await shown, screenEnds);
    });
    // Closed meanwhile, also while another change was waited for: nobody shows it any more.
    done
      .catch(async () => {
        const track = await shown;
        if (track !== this.capture) track?.stop();
      })
      .catch(() => {});
    return done;
  }

  async #askScreen(video) {
    this.#mustBeOpen();
    if (!this.devices?.getDisplayMedia) throw new RoomError(Code.MEDIA, 'this browser shares no screen');
    try {
      const [track] = (await this.devices.getDisplayMedia({ video, audio: false })).getVideoTracks();
      // It may be ended in the browser's bar before its turn.
      track.addEventListener('ended', () => this.#captureGone(track));
      return track;
    } catch (cause) {
      throw deviceError(cause);
    }
  }

  async #showScreen(track, screenEnds) {
    this.#mustBeOpen();
    if (track.readyState === 'ended' || screenEnds !== this.screenEnds)
      throw new RoomError(Code.ENDED, 'the screen is not shared any more');
    track.contentHint = 'detail';
    const before = this.capture;
    this.capture = track;
    this.screen = true;
    await this.#put(track);
    // Asked for twice, two were given.
    before?.stop();
    this.changed();
  }

  #captureGone(track) {
    if (this.capture !== track) return;
    this.wantsScreen = false;
    this.#inTurn(() => this.#screenEnded(track)).catch((error) => this.#failed(error));
  }

  /** `track`: what is shown, where nothing else is by now. */
  async #screenEnded(track) {
    if (!track || this.capture !== track) return;
    this.screen = false;
    this.capture = null;
    const back = this.camera?.readyState === 'live' ? this.camera : blank(640, 360);
    await this.#put(back);
    track.stop();
    this.changed();
  }

  /** Another camera or microphone; one that is off is used when it is turned on. */
  choose(name, deviceID) {
    return this.#inTurn(async () => {
      const before = this.chosen[name];
      this.chosen[name] = deviceID;
      if (name === 'camera' ? !this.cam : !this.#microphone()) return;
      try {
        await this.#exchange(name);
      } catch (error) {
        this.chosen[name] = before;
        await this.#reopen(name);
        throw error;
      }
      this.changed();
    });
  }

  /**
   * The chosen device in place of the open one. Many phones open one camera at a time, and Safari one microphone: then the open
   * one is closed first.
   */
  async #exchange(name) {
    const old = name === 'camera' ? this.camera : this.#microphone();
    if (name === 'microphone' && old?.ours) old.stop();
    let opened;
    try {
      opened = await this.#ask([name]);
    } catch (error) {
      if (error.code !== Code.DEVICE_BUSY || !old?.ours || name === 'microphone') throw error;
      old.stop();
      opened = await this.#ask([name]);
    }
    for (const track of opened) await this.#take(track, name === 'camera' ? this.cam : this.mic);
  }

  /** What was closed for a device that did not open is opened again. */
  async #reopen(name) {
    if (this.closed) return;
    if (name === 'camera' ? this.camera?.readyState !== 'ended' : this.#microphone()) return;
    await this.#standIn(name);
    this.changed();
  }

  /** A device of the kind in place of one that ended; else it is off, which `error` tells. */
  async #standIn(name) {
    try {
      for (const track of await this.#ask([name])) await this.#take(track, name === 'camera' ? this.cam : this.mic);
    } catch (error) {
      if (this.closed) throw error;
      if (name === 'camera') await this.#cameraClosed();
      this[name === 'camera' ? 'cam' : 'mic'] = false;
      this.fail(error);
    }
  }

  /** Takes an opened device in place of the one before it. One that was turned off while the person was asked is off. */
  async #take(track, wanted) {
    if (this.closed) return track.stop();
    const on = wanted && !this.off[nameOf(track)];
    track.enabled = on;
    track.ours = true;
    track.addEventListener('ended', () => this.#gone(track));
    if (track.kind === 'audio') {
      this.mic = on;
      return this.#put(track);
    }
    const before = this.camera;
    this.camera = track;
    this.cam = on;
    if (!this.screen) await this.#put(track);
    if (before?.ours) before.stop();
  }

  /** Puts a track into the stream in place of its kind. */
  async #put(track) {
    for (const old of this.stream.getTracks().filter((t) => t.kind === track.kind && t !== track)) {
      this.stream.removeTrack(old);
      if (old.blank || (old.kind === 'audio' && old.ours)) old.stop();
    }
    if (!this.stream.getTracks().includes(track)) this.stream.addTrack(track);
    await this.send(track);
  }

  /** A device was pulled out, or taken away by the system: another of its kind takes its place, if there is one. */
  #gone(track) {
    const name = nameOf(track);
    const used = () => (name === 'camera' ? this.camera === track : this.stream.getTracks().includes(track));
    if (!used()) return;
    this.#inTurn(async () => {
      if (!used()) return;
      const { [name]: choice } = this.chosen;
      delete this.chosen[name];
      // The system takes one for a moment, too: where the chosen one opens again, the choice stands.
      if (choice && !track.again) {
        this.chosen[name] = choice;
        try {
          for (const same of await this.#ask([name])) {
            same.again = true;
            await this.#take(same, name === 'camera' ? this.cam : this.mic);
          }
          return this.changed();
        } catch {
          delete this.chosen[name];
        }
      }
      await this.#standIn(name);
      this.changed();
    }).catch((error) => this.#failed(error));
  }

  #failed(error) {
    if (error.code !== Code.ENDED) this.fail(error);
  }

  async #ask(names) {
    this.#mustBeOpen();
    if (!this.devices?.getUserMedia) throw new RoomError(Code.MEDIA, 'no camera here: is the page served by https?');
    const wish = (name) => ({
      ...(this.wishes[name] ?? (name === 'camera' ? VIDEO : AUDIO)),
      ...(this.chosen[name] && { deviceId: { exact: this.chosen[name] } }),
    });
    try {
      const constraints = Object.fromEntries(names.map((name) => [KINDS[name], wish(name)]));
      const opened = (await this.devices.getUserMedia(constraints)).getTracks();
      // Closed while the person was asked: the light goes out again.
      if (this.closed) for (const track of opened) track.stop();
      this.#mustBeOpen();
      return opened;
    } catch (cause) {
      throw deviceError(cause);
    }
  }

  #mustBeOpen() {
    if (this.closed) throw new RoomError(Code.ENDED, 'camera and microphone were closed');
  }

  /** One change after the other: two clicks must not open two cameras. */
  #inTurn(work) {
    let done = this.turn.then(async () => {
      this.#mustBeOpen();
      const result = await work();
      this.#mustBeOpen();
      return result;
    });
    // Browsers' own errors, such as a sender's that takes no other track.
    done = done.catch((cause) => Promise.reject(asRoomError(cause, Code.MEDIA)));
    this.turn = done.catch(() => {});
    return done;
  }

  #stopOurs(kept = []) {
    const ours = (track) => track.ours || track.blank || track === this.capture;
    for (const track of new Set([...this.stream.getTracks(), this.camera]))
      if (track && !kept.includes(track) && ours(track)) track.stop();
  }

  /** Stops what was opened here, and what is just being opened. */
  close() {
    this.closed = true;
    this.#stopOurs();
    this.camera = this.capture = null;
    this.mic = this.cam = this.screen = false;
    this.stream = new MediaStream();
  }
}

/** Cameras, microphones and speakers: `{ camera, microphone, speaker }`, lists of `{ deviceId, label }`. */
export async function listDevices(devices = globalThis.navigator?.mediaDevices) {
  const found = { camera: [], microphone: [], speaker: [] };
  const names = { videoinput: 'camera', audioinput: 'microphone', audiooutput: 'speaker' };
  const all = await devices?.enumerateDevices?.().catch((cause) => Promise.reject(deviceError(cause)));
  for (const device of all ?? []) if (device.deviceId) found[names[device.kind]]?.push(device);
  return found;
}

function nameOf({ kind }) {
  return kind === 'video' ? 'camera' : 'microphone';
}

/** A black picture. */
function blank(width, height) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const pen = canvas.getContext('2d');
  const paint = () => pen.fillRect(0, 0, width, height);
  paint();
  const [track] = canvas.captureStream().getVideoTracks();
  const timer = setInterval(() => (track.readyState === 'ended' ? clearInterval(timer) : paint()), BLANK_EVERY);
  track.blank = true;
  return track;
}

/** Why a browser gave no device. */
export function deviceError(cause) {
  const codes = {
    NotAllowedError: Code.DENIED,
    NotFoundError: Code.NO_DEVICE,
    OverconstrainedError: Code.NO_DEVICE,
    NotReadableError: Code.DEVICE_BUSY,
    AbortError: Code.DEVICE_BUSY,
  };
  if (cause instanceof RoomError) return cause;
  return new RoomError(codes[cause?.name] ?? Code.MEDIA, cause?.message || 'no such device', { cause });
}
