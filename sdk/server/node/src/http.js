/** What the server refused: `status` is HTTP's, `code` is for programs, `message` for people. */
export class ApiError extends Error {
  name = 'ApiError';

  constructor(status, code, message, retryAfter) {
    super(message);
    this.status = status;
    this.code = code;
    // Seconds after which it may be tried again, where the server said so.
    this.retryAfter = retryAfter;
  }
}

/** A path whose parts may hold anything. What would lead to another path is refused. */
export function path(texts, ...parts) {
  return String.raw({ raw: texts }, ...parts.map(segment));
}

function segment(part) {
  const text = String(part ?? '');
  if (['', '.', '..'].includes(text)) throw new TypeError(`"${text}" cannot stand in a path`);
  return encodeURIComponent(text);
}

/** Sends requests. GET, and what has an `idempotencyKey`, is sent again when the server is away for a moment. */
export class Transport {
  #server;
  #headers;
  #options;

  constructor(server, key, { timeout = 15_000, retries = 3, longestWait = 10_000 } = {}) {
    this.#server = new URL(server).href.replace(/\/+$/, '');
    this.#headers = new Headers({ accept: 'application/json' });
    if (key) this.#headers.set('authorization', `Bearer ${key}`);
    this.#options = { timeout, retries, longestWait };
  }

  async call(method, place, { query = {}, body, idempotencyKey, binary = false } = {}) {
    const url = new URL(this.#server + this.root + place);
    for (const [name, value] of Object.entries(query)) if (value != null) url.searchParams.set(name, value);
    const headers = new Headers(this.#headers);
    if (idempotencyKey !== undefined) headers.set('idempotency-key', checked(idempotencyKey));
    if (body) headers.set('content-type', 'application/json');
    // A redirection would carry the key elsewhere.
    const request = { method, headers, body: body && JSON.stringify(body), redirect: 'manual' };
    const { retries, longestWait } = this.#options;
    const again = method === 'GET' || idempotencyKey !== undefined ? retries : 0;
    for (let attempt = 0; ; attempt++) {
      let wait = 250 * 2 ** attempt * (0.5 + Math.random() / 2);
      try {
        return await this.#once(url, request, binary);
      } catch (error) {
        if (error instanceof ApiError && !passes(error)) throw error;
        if (error.retryAfter !== undefined) wait = error.retryAfter * 1000;
        if (attempt >= again || wait > longestWait) throw error;
      }
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  async #once(url, request, binary) {
    const controller = new AbortController();
    const { timeout } = this.#options;
    const late = () => controller.abort(new DOMException(`no answer within ${timeout} ms`, 'TimeoutError'));
    const timer = setTimeout(late, timeout);
    try {
      const response = await fetch(url, { ...request, signal: controller.signal });
      if (response.ok && binary) return response.body;
      const text = await response.text();
      if (!response.ok) throw refused(response, text);
      return text ? JSON.parse(text) : undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}

function checked(key) {
  if (!/^[A-Za-z0-9_-]{1,255}$/.test(key)) throw new TypeError('an idempotencyKey is 1 to 255 of A-Z a-z 0-9 - _');
  return key;
}

/** Whether it may go well a little later: a proxy answers 502 and 504 while the server starts again, `running` is the same request, sent
 * before and still being done. */
function passes({ status, code }) {
  return [429, 502, 503, 504].includes(status) || code === 'running';
}

function refused(response, text) {
  let problem = {};
  try {
    problem = JSON.parse(text) ?? {};
  } catch {
    // A proxy's page.
  }
  const wait = response.headers.get('retry-after');
  const seconds = wait && /^\d+$/.test(wait) ? Number(wait) : undefined;
  return new ApiError(response.status, problem.code ?? '', problem.detail ?? `HTTP ${response.status}`, seconds);
}
