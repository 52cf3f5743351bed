// How a tile plays somebody: by WebRTC; by HLS, in browsers that have that, where WebRTC does not serve this viewer. It is tried again.

const HLS = 'application/vnd.apple.mpegurl';
/** Milliseconds. So long a stream may be refused for its codec: the others of a call change over to one that all have. */
const REFUSED_FOR = 6_000;
/** Whether WebRTC serves by now is asked after the first of these, and then after the other one each time. */
const ASKED_FIRST = 15_000;
const ASKED_EVERY = 60_000;
/** HLS has its first piece some seconds after the stream began. */
const HLS_AGAIN = 3_000;

export class Playback {
  /** `play(element, options)`: as `room.play` does; `hls()`: where the same plays by HLS; `onState(state, error)`: of WebRTC. */
  constructor(video, { play, hls, onState }) {
    Object.assign(this, { video, play, hls, onState, over: false, instead: false, refused: null });
    this.failed = () => {
      if (this.instead && !this.over) this.again = setTimeout(() => this.#showHLS(), HLS_AGAIN);
    };
    video.addEventListener('error', this.failed);
    if (globalThis.RTCPeerConnection) this.#begin();
    else if (this.#hasHLS()) this.#showHLS();
  }

  #hasHLS() {
    return Boolean(this.video.canPlayType(HLS) && this.hls());
  }

  #begin() {
    const player = this.play(this.video, {
      onState: (state, error) => {
        if (this.over || (this.player && this.player !== player)) return;
        if (state === 'open') this.#serves();
        this.onState(state, error);
        if (error && this.#isUnserved(error) && this.#hasHLS()) this.#useHLS();
      },
    });
    this.player = player;
  }

  #serves() {
    this.refused = null;
    this.instead = false;
    clearTimeout(this.again);
    this.video.removeAttribute('src');
  }

  /** Media does not get here; or there has been no codec in common for a while. */
  #isUnserved({ status, addresses }) {
    if (status === 406) this.refused ??= Date.now();
    return Boolean(addresses) || (status === 406 && Date.now() - this.refused >= REFUSED_FOR);
  }

  #useHLS() {
    this.player.stop();
    this.player = null;
    this.#showHLS();
    this.#askIn(ASKED_FIRST);
  }

  #showHLS() {
    this.instead = true;
    const { video } = this;
    video.src = this.hls();
    video.play().catch((error) => {
      if (error.name !== 'NotAllowedError') return;
      video.muted = true;
      video.play().catch(() => {});
    });
  }

  /** Asks beside what is shown, so that it goes on. */
  #askIn(delay) {
    this.later = setTimeout(() => {
      const asked = this.play(null, {
        onState: (state, error) => {
          if ((state !== 'open' && !error) || this.asked !== asked) return;
          this.asked = null;
          asked.stop();
          if (error) this.#askIn(ASKED_EVERY);
          else this.#begin();
        },
      });
      this.asked = asked;
    }, delay);
  }

  stop(options) {
    this.over = true;
    for (const timer of [this.later, this.again]) clearTimeout(timer);
    for (const player of [this.player, this.asked]) player?.stop(options);
    this.asked = null;
    this.video.removeEventListener('error', this.failed);
    if (this.instead) this.video.removeAttribute('src');
  }
}
