// Events with several listeners for each. A listener's mistake costs the others nothing and is told by `error`.

import { Code, RoomError } from './errors.js';

export class Emitter {
  #listeners = new Map();

  /** Calls `call` at each event of that name. Returns a function that ends it. */
  on(name, call) {
    return this.#add(name, { call, once: false });
  }

  /** Calls `call` at the next event of that name alone. */
  once(name, call) {
    return this.#add(name, { call, once: true });
  }

  /** Ends `on` and `once`: of one listener, of an event, or of all. */
  off(name, call) {
    if (name === undefined) this.#listeners.clear();
    else if (call === undefined) this.#listeners.delete(name);
    else this.#keep(name, (one) => one.call !== call);
    return this;
  }

  /** Whether anybody listens to an event. */
  hears(name) {
    return this.#listeners.has(name);
  }

  #add(name, one) {
    if (typeof one.call !== 'function') throw new RoomError(Code.MALFORMED, `a listener of ${name} must be a function`);
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), one]);
    return () => this.#keep(name, (other) => other !== one);
  }

  #keep(name, which) {
    const kept = (this.#listeners.get(name) ?? []).filter(which);
    if (kept.length) this.#listeners.set(name, kept);
    else this.#listeners.delete(name);
  }

  /** Tells the listeners of now: who is added or taken away meanwhile changes nothing in this round. */
  emit(name, event) {
    for (const one of this.#listeners.get(name) ?? []) {
      if (one.once) this.#keep(name, (other) => other !== one);
      this.guard(name, () => one.call(event));
    }
  }

  /** Runs a listener; what it throws, now or as a promise, ends here. */
  guard(name, call) {
    try {
      const result = call();
      if (typeof result?.then === 'function') result.then(undefined, (cause) => this.#mistake(name, cause));
    } catch (cause) {
      this.#mistake(name, cause);
    }
  }

  #mistake(name, cause) {
    console.error(cause);
    // A mistake in a listener of errors is not told to it again.
    if (name === 'error') return;
    this.fail(new RoomError(Code.LISTENER, `a listener of ${name} failed: ${cause?.message ?? cause}`, { cause }));
  }

  /** Tells of an error that no promise carries to the app. */
  fail(error) {
    this.emit('error', error);
  }
}
