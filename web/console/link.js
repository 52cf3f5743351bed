// The connection to the server: events pushed over one answer that does not end, and actions.

import { why as whyOf } from './text.js';

/** Things of a list that are fetched, at most about. */
const MOST = 5_000;

export class Link {
  /** `on`: `hello`, `snapshot`, `lines`, `online(boolean, why)`, `locked({ refused, why })`. */
  constructor(on) {
    this.on = on;
    this.key = sessionStorage.getItem('operatorKey') ?? '';
    this.again = 500;
  }

  get #headers() {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  useKey(key) {
    this.key = key;
    sessionStorage.setItem('operatorKey', key);
  }

  /** Listens until a key is needed. */
  async run() {
    for (;;) {
      let why;
      try {
        const answer = await fetch('/console/events', { headers: this.#headers });
        if (!answer.ok) why = whyOf(await answer.json().catch(() => ({})));
        if (answer.status === 401 || answer.status === 403) {
          const refused = this.key !== '';
          this.useKey('');
          // A key that is known, and may not do this, or a page that may not ask.
          return this.on.locked(answer.status === 403 ? { why } : { refused });
        }
        if (answer.status !== 429) why = undefined;
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        this.again = 500;
        this.on.online(true);
        await this.#read(answer.body.getReader());
      } catch {
        /* Tried again. */
      }
      this.on.online(false, why);
      await new Promise((resolve) => setTimeout(resolve, this.again));
      this.again = Math.min(this.again * 2, 5_000);
    }
  }

  // EventSource cannot send a key.
  async #read(reader) {
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end < 0) break;
        this.#event(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  }

  #event(block) {
    const fields = block
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trimStart()]);
    const name = fields.find(([key]) => key === 'event')?.[1];
    const data = fields
      .filter(([key]) => key === 'data')
      .map(([, value]) => value)
      .join('\n');
    if (name && data) this.on[name]?.(JSON.parse(data));
  }

  /**
   * The URL of a recording for a media element, which cannot send a key: of a finished one a signed URL, which is fetched by
   * parts, of one that is still written its bytes so far.
   */
  async recording(file, running) {
    if (!running) {
      const { pathname, search } = new URL((await this.act('play', { file })).playURL);
      return pathname + search;
    }
    const answer = await fetch(`/console/recordings/${encodeURIComponent(file)}`, { headers: this.#headers });
    if (!answer.ok) throw failed(answer, await answer.json().catch(() => ({})));
    return URL.createObjectURL(await answer.blob());
  }

  /** A call of the operator API. */
  async api(method, path, body) {
    const headers = { ...(body && { 'Content-Type': 'application/json' }), ...this.#headers };
    const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
    const reply = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
    if (!answer.ok) throw failed(answer, reply);
    return reply;
  }

  /** A list of the operator API, all its pages, as far as a person might look through it. */
  async list(path, key) {
    const found = [];
    let next = '';
    do {
      const page = await this.api('GET', `${path}?limit=200${next && `&cursor=${next}`}`);
      found.push(...page[key]);
      next = page.next ?? '';
    } while (next && found.length < MOST);
    return found;
  }

  /** `{ ready, checks }`, also from a server that is not well. */
  async health() {
    const answer = await fetch('/readyz');
    return answer.json();
  }

  async act(action, fields = {}) {
    const answer = await fetch('/console/act', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...this.#headers },
      body: JSON.stringify({ action, ...fields }),
    });
    const reply = await answer.json().catch(() => ({ code: 'broken' }));
    if (reply.code !== 0) throw failed(answer, reply);
    return reply;
  }
}

/** What an answer says, with its code. */
function failed({ status }, { code, detail, message }) {
  return Object.assign(new Error(detail ?? message ?? `status ${status}`), { code });
}
