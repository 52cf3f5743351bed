// How long to wait before trying again: growing, with jitter, so that a thousand clients do not come back as one.

export class Backoff {
  constructor({ first = 300, most = 10_000, random = Math.random } = {}) {
    this.first = first;
    this.most = most;
    this.random = random;
    this.tries = 0;
  }

  /** The next wait in milliseconds. */
  next() {
    const full = Math.min(this.most, this.first * 2 ** this.tries);
    this.tries += 1;
    return full * (0.5 + this.random() / 2);
  }

  reset() {
    this.tries = 0;
  }
}

/** A wait that can be cut short: `{ done, cut }`. */
export function wait(ms) {
  let cut;
  const done = new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    cut = () => {
      clearTimeout(timer);
      resolve();
    };
  });
  return { done, cut };
}
