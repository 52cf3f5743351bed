// Our own part of a room: camera, microphone and screen by the SDK, drawn stand-ins where there are none, and their buttons.

import { iconButton, relabel, toast } from '/web/dom.js';
import { chooseDevices } from './devices.js';
import { drawnTrack, toneTrack } from './local.js';
import { t, why } from './text.js';

/** What says that there is no device: its stand-in stays. */
const NONE = new Set(['no_device', 'media']);

export class Mine {
  /** `changed()`: something is on, off or another one. */
  constructor(room, changed) {
    Object.assign(this, { room, changed, chosen: {}, drawn: null, open: false, stands: [] });
    this.micButton = iconButton('mic', t('mute'), () => this.toggle('mic'));
    this.camButton = iconButton('cam', t('camOff'), () => this.toggle('cam'));
    this.screenButton = iconButton('screen', t('shareScreen'), () => this.toggle('screen'));
    this.deviceButton = iconButton('gear', t('devices'), () =>
      chooseDevices(room, this.chosen, (c) => this.#choose(c)).catch((e) => toast(why(e), 'bad')),
    );
    this.canShare = Boolean(navigator.mediaDevices?.getDisplayMedia);
    room.on('localMedia', () => this.label());
    this.label();
  }

  get buttons() {
    return [this.micButton, this.camButton, this.screenButton, this.deviceButton];
  }

  /** Opens what there is, and draws the rest. */
  async start() {
    let why = null;
    const ask = (what) =>
      this.room.openMedia({ camera: false, microphone: false, ...what }).then(
        () => true,
        ({ code }) => {
          why = code === 'denied' || code === 'ended' ? code : (why ?? 'missing');
          return false;
        },
      );
    const camera = this.chosen.camera ?? true;
    const microphone = this.chosen.microphone ?? true;
    // One of the two may be there all the same, or allowed. Who has just refused both is not asked again.
    if (!(await ask({ camera, microphone }))) {
      const state = async (name) => (await navigator.permissions?.query({ name }).catch(() => null))?.state;
      const states = await Promise.all(['microphone', 'camera'].map(state));
      const may = (state) =>
        state !== 'denied' && (state !== 'prompt' || why === 'missing' || states.includes('denied'));
      const [mic, cam] = states.map(may);
      if (mic && why !== 'ended') await ask({ microphone });
      if (cam && why !== 'ended') await ask({ camera });
    }
    // The room was left meanwhile.
    if (why === 'ended') return;
    if (!this.room.local?.stream.getVideoTracks().length) await this.#fill('cam');
    if (!this.room.local?.stream.getAudioTracks().length) await this.#fill('mic');
    this.drawn = this.#isDrawn() ? (why ?? 'missing') : null;
    this.open = true;
    if (this.drawn) toast(t(this.drawn === 'denied' ? 'denied' : 'noCamera'));
    this.label();
  }

  #fill(what) {
    return this.#stand(what === 'cam' ? drawnTrack(this.room.user.userName) : toneTrack());
  }

  async #stand(track) {
    if (!track) return;
    this.stands.push(track);
    await this.room.useTrack(track);
  }

  #isDrawn() {
    return Boolean(this.room.local?.camera?.drawn);
  }

  async toggle(what) {
    const { room } = this;
    if (!this.open || !room.local) return;
    const on = !room.local[what];
    const set = { mic: 'setMicrophoneEnabled', cam: 'setCameraEnabled', screen: 'setScreenShareEnabled' }[what];
    const stood = on && this.#standIn(what);
    // Where the stand-in has ended, the device itself is asked for: it may be there, or allowed, by now.
    if (stood) this.#end(stood);
    try {
      await room[set](on);
    } catch (error) {
      if (stood && this.open && NONE.has(error.code)) await this.#fill(what);
      // Who closes the browser's choice of screens has refused nothing.
      else if (what !== 'screen' || error.code !== 'denied') toast(why(error), 'bad');
    }
    if (!stood) return;
    if (!this.#isDrawn()) this.drawn = null;
    this.changed();
  }

  /** What stands in for microphone or camera, unless the person chose it. */
  #standIn(what) {
    const { local } = this.room;
    const track = { mic: local.stream.getAudioTracks()[0], cam: this.drawn !== 'chosen' && local.camera }[what];
    return this.stands.find((one) => one === track);
  }

  #end(stood) {
    stood.stop();
    this.stands = this.stands.filter((one) => one !== stood);
  }

  async #choose(chosen) {
    Object.assign(this.chosen, chosen);
    const [[name, id]] = Object.entries(chosen);
    try {
      if (id === 'drawn') await this.#stand(drawnTrack(this.room.user.userName));
      else await this.room.switchDevice(name, id);
    } catch (error) {
      toast(why(error), 'bad');
    }
    this.drawn = this.#isDrawn() ? 'chosen' : null;
    this.changed();
  }

  label() {
    const { mic = true, cam = true, screen = false } = this.room.local ?? {};
    relabel(this.micButton, mic ? 'mic' : 'micOff', `${t(mic ? 'mute' : 'unmute')} (M)`, !mic);
    relabel(this.camButton, cam ? 'cam' : 'camOff', `${t(cam ? 'camOff' : 'camOn')} (V)`, !cam);
    relabel(this.screenButton, 'screen', `${t(screen ? 'stopScreen' : 'shareScreen')} (S)`, screen);
    for (const button of this.buttons) button.hidden = !this.open;
    this.screenButton.hidden ||= !this.canShare;
    this.changed();
  }

  stop() {
    for (const track of this.stands.splice(0)) track.stop();
    this.open = false;
    this.drawn = null;
    this.room.closeMedia();
    this.label();
  }
}
