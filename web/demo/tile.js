// One person on the stage: picture, name, whether it speaks, how good it is, and what stands there without a picture.

import { avatar, el, icon, iconButton, relabel } from '/web/dom.js';
import { Playback } from './playback.js';
import { t, why } from './text.js';

export class Tile {
  /** `kick`, `pin`: what the buttons do; `onShape`: the picture has another shape; `onSilenced`: it plays without sound. */
  constructor({ id, name, mine = false, anchor = false, kick, pin, onShape, onSilenced }) {
    Object.assign(this, { id, mine, name, shape: 16 / 9 });
    this.video = el('video', { playsInline: true, 'aria-label': name });
    this.note = el('p', {}, mine ? t('connecting') : t('waitingFor', { name }));
    this.muted = el('span', { hidden: true, role: 'img', 'aria-label': t('isMuted', { name }) }, icon('micOff'));
    this.hand = el('span.hand', { hidden: true, role: 'img', 'aria-label': t('hand', { name }) }, icon('hand'));
    this.bars = el('span.bars', { hidden: true, role: 'img' }, el('i'), el('i'), el('i'));
    this.pin = iconButton('pin', t('pin', { name }), pin, 'pin');
    this.element = el(
      `figure.tile${mine ? '.mine' : ''}`,
      { ondblclick: pin },
      this.video,
      el('div.wait', {}, avatar(name, id), this.note),
      el(
        'figcaption',
        {},
        this.muted,
        el('span', {}, mine ? `${name} (${t('you')})` : name),
        anchor && el('em', {}, t('anchor')),
        this.bars,
      ),
      el(
        'div.tools',
        {},
        kick && el('button.button.little.kick', { type: 'button', onclick: kick }, t('kick')),
        this.pin,
      ),
      this.hand,
    );
    this.element.dataset.user = id;
    this.video.muted = mine;
    this.video.addEventListener('playing', () => this.element.classList.add('on'));
    this.video.addEventListener('volumechange', () => !mine && this.video.muted && onSilenced?.());
    this.video.addEventListener('resize', () => {
      const { videoWidth, videoHeight } = this.video;
      if (!videoWidth || !videoHeight) return;
      this.shape = Math.min(2.4, Math.max(0.42, videoWidth / videoHeight));
      onShape?.();
    });
  }

  place(left, top, width, height) {
    for (const [name, value] of Object.entries({ left, top, width, height }))
      this.element.style.setProperty(name, `${Math.round(value)}px`);
    this.element.classList.toggle('tiny', width < 220);
  }

  showPinned(pinned, big) {
    this.element.classList.toggle('big', big);
    if (this.pinned === pinned) return;
    this.pinned = pinned;
    relabel(this.pin, 'pin', t(pinned ? 'unpin' : 'pin', { name: this.name }), pinned);
  }

  /** Shows our own stream. */
  show(stream) {
    this.video.srcObject = stream;
    this.video.play().catch(() => {});
  }

  /** Plays somebody else's. */
  play(room, source) {
    this.playback = new Playback(this.video, {
      play: (element, options) => room.play(source, element, options),
      hls: () => room.session.mediaURL(room.playURLs(source).find(([name]) => name === 'HLS')?.[1]) ?? '',
      onState: (state, error) => {
        if (state === 'waiting') this.element.classList.remove('on');
        if (error) this.complain(error);
      },
    });
  }

  /** Why there is no picture, where the user or the operator can do something about it. */
  complain(error) {
    const { addresses, code, status, message } = error;
    if (addresses) this.note.textContent = t('noMedia', { address: addresses.join(', ') });
    else if (status === 406) this.note.textContent = t(message.includes('B-frames') ? 'bFrames' : 'noCodec');
    else if (code === 'network') this.note.textContent = why(error);
  }

  /** What the other side says of itself: microphone, camera, screen. */
  describe({ mic, cam, screen }) {
    this.muted.hidden = mic !== false;
    this.element.classList.toggle('dark', cam === false && !screen);
    this.element.classList.toggle('screen', screen === true);
    if (cam === false) this.note.textContent = t('noPicture');
  }

  raise(up) {
    this.hand.hidden = !up;
  }

  judge({ quality, roundTrip, loss }) {
    this.bars.hidden = false;
    this.bars.dataset.quality = quality;
    const figures = roundTrip === null ? '' : ` · ${roundTrip} ms · ${((loss ?? 0) * 100).toFixed(1)} %`;
    const text = t(`quality_${quality}`) + figures;
    this.bars.title = text;
    this.bars.setAttribute('aria-label', text);
  }

  /** `gone`: because the person left, and the stream with it. */
  remove(gone = false) {
    this.playback?.stop({ gone });
    this.video.srcObject = null;
    this.element.remove();
  }
}
