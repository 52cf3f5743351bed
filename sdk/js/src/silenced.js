// Media elements that the browser plays without sound only, because nobody has clicked on the page yet.

import { Code, RoomError } from './errors.js';

export class Silenced {
  #elements = new Map();
  #changed;

  /** `changed()`: the first one is silenced, or the last one heard again. */
  constructor(changed) {
    this.#changed = changed;
  }

  get any() {
    return this.#elements.size > 0;
  }

  add(element) {
    if (this.#elements.has(element)) return;
    this.#listen(element);
    if (this.#elements.size === 1) this.#changed();
  }

  /** The app may have a button of its own. */
  #listen(element) {
    const heard = () => !element.muted && this.#heard(element);
    element.addEventListener?.('volumechange', heard);
    this.#elements.set(element, () => element.removeEventListener?.('volumechange', heard));
  }

  #heard(element) {
    this.#elements.get(element)?.();
    if (this.#elements.delete(element) && !this.any) this.#changed();
  }

  /** It is played no longer: who plays something else in it finds it as it was. */
  drop(element) {
    if (!this.#elements.has(element)) return;
    this.#heard(element);
    element.muted = false;
  }

  /** Gives all of them their sound back, while a click is fresh. */
  async resume() {
    await Promise.all([...this.#elements.keys()].map((element) => this.#resume(element)));
  }

  async #resume(element) {
    this.#elements.get(element)();
    element.muted = false;
    try {
      await element.play();
    } catch (cause) {
      if (cause?.name === 'NotAllowedError') {
        element.muted = true;
        element.play().catch(() => {});
        if (this.#elements.has(element)) this.#listen(element);
        throw new RoomError(Code.DENIED, 'the browser allows no sound before somebody clicks', { cause });
      }
      // It is being connected anew: then it plays with sound.
    }
    this.#heard(element);
  }
}
