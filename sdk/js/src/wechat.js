// RoomService for WeChat mini-programs: media by <live-pusher> and <live-player> with the URLs of getPushURL and pushers.

import { wait } from './backoff.js';
import { LiveRoom as AnyLiveRoom } from './live_room.js';
import { wechat } from './platform/wechat.js';
import { RTCRoom as AnyRTCRoom } from './rtc_room.js';

export { Code, RoomError } from './errors.js';
export { wechat } from './platform/wechat.js';

/* global wx */

/** A room with the URLs for <live-player>. */
const played = (Kind) =>
  class extends Kind {
    /** By the stream's name: its URL, '' as long as it is about to be played anew. */
    #kept = new Map();

    constructor(options) {
      super({ platform: wechat(options.wx ?? wx), ...options });
    }

    /**
     * What to play now: `live` for mode `live`, `others` for mode `RTC`, each with `url`. While the anchor mixes, the audience plays the
     * mix alone. A URL stays as long as it is the same stream: it is signed anew at each look at the room, and <live-player> begins
     * anew with every other text.
     */
    toPlay() {
      const watches = this.kind === 'live_room' && !this.isPusher;
      const others = this.others.filter((p) => !watches || (!this.custom.mixed && p.userID !== this.roomCreator));
      const before = this.#kept;
      this.#kept = new Map();
      const keep = (url = '') => {
        const kept = before.get(nameOf(url)) ?? url;
        this.#kept.set(nameOf(url), kept);
        return kept;
      };
      return {
        live: keep(watches ? this.mixedPlayURL : ''),
        others: others.map((p) => ({ ...p, ...this.mediaStateOf(p.userID), url: keep(p.accelerateURL) })),
      };
    }

    /**
     * A stream ended or cannot be reached, as the codes 2006 and -2301 of `bindstatechange` say: until this resolves, a second or two
     * later, `toPlay` has no URL for it, and then a fresh one.
     */
    async playAgain(url = '') {
      const name = nameOf(url);
      if (!this.#kept.get(name)) return;
      this.#kept.set(name, '');
      await wait(1_000 + Math.random() * 1_000).done;
      await this.refresh().catch(() => {});
      if (this.#kept.get(name) === '') this.#kept.delete(name);
    }
  };

function nameOf(url) {
  return url.split('?')[0];
}

export class RTCRoom extends played(AnyRTCRoom) {}

export class LiveRoom extends played(AnyLiveRoom) {}
