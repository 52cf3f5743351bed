// One person on the stage: picture, name, whether it speaks, and what stands there while there is no picture.

import { avatar, el, icon } from '/web/dom.js';
import { watchLevel } from '/sdk/levels.js';
import { t } from './text.js';

export class Tile {
  /** `kick`: what the anchor's button does; none for others. `onSilenced`: the browser plays only without sound. */
  constructor({ id, name, mine = false, anchor = false, kick, onSilenced }) {
    this.id = id;
    this.mine = mine;
    this.video = el('video', { playsInline: true, 'aria-label': name });
    this.note = el('p', {}, mine ? t('connecting') : t('waitingFor', { name }));
    this.muted = el('span', { hidden: true }, icon('micOff'));
    this.element = el(
      `figure.tile${mine ? '.mine' : ''}`,
      {},
      this.video,
      el('div.wait', {}, avatar(name, id), this.note),
      el(
        'figcaption',
        {},
        this.muted,
        el('span', {}, mine ? `${name} (${t('you')})` : name),
        anchor && el('em', {}, t('anchor')),
      ),
      kick && el('button.button.little.kick', { type: 'button', onclick: kick }, t('kick')),
    );
    this.element.dataset.user = id;
    this.video.muted = mine;
    this.video.addEventListener('playing', () => this.element.classList.add('on'));
    this.video.addEventListener('volumechange', () => !mine && this.video.muted && onSilenced?.());
  }

  /** Shows our own stream. */
  show(stream, drawn) {
    this.video.srcObject = stream;
    this.video.play().catch(() => {});
    this.element.classList.toggle('drawn', Boolean(drawn));
    this.#listen(stream);
  }

  /** Plays somebody else's, by WHEP; by HLS in browsers that have that and no WebRTC. */
  play(room, source) {
    if (!globalThis.RTCPeerConnection && this.video.canPlayType('application/vnd.apple.mpegurl')) {
      const [, url] = room.playURLs(source).find(([name]) => name === 'HLS') ?? [];
      this.video.src = url ?? '';
      this.video.play().catch(() => {
        this.video.muted = true;
        this.video.play().catch(() => {});
      });
      return;
    }
    this.player = room.play(source, this.video, {
      onStream: (stream) => this.#listen(stream),
      onState: (state) => {
        if (state === 'waiting') this.element.classList.remove('on');
      },
    });
  }

  #listen(stream) {
    this.deaf?.();
    this.deaf = watchLevel(stream, (speaks) => this.element.classList.toggle('speaking', speaks));
  }

  /** What the other side says of itself: microphone and camera on or off. */
  describe({ mic, cam }) {
    this.muted.hidden = mic !== false;
    this.element.classList.toggle('dark', cam === false);
    if (cam === false) this.note.textContent = t('noPicture');
  }

  /** `gone`: because the person left, and the stream with it. */
  remove(gone = false) {
    this.deaf?.();
    this.player?.stop({ gone });
    this.video.srcObject = null;
    this.element.remove();
  }
}
