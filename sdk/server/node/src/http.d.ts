/** What the server refused. */
export class ApiError extends Error {
  /** The HTTP status. */
  status: number;
  /** For programs: docs/api.md#problems. Empty where a proxy answered. */
  code: string;
  /** Seconds after which it may be tried again, where the server said so. */
  retryAfter?: number;
}

export interface Options {
  /** Milliseconds that an answer may take: 15000. */
  timeout?: number;
  /** How often GET, and what has an `idempotencyKey`, is sent again when the server is away: 3. */
  retries?: number;
  /** The longest pause before that, in milliseconds; a server that asks for more is not tried again: 10000. */
  longestWait?: number;
}

export class Transport {
  /** `server` as in `https://live.example.com`; `key`: an operator's key or token. */
  constructor(server: string, key?: string, options?: Options);
}
