import { createHmac, timingSafeEqual } from 'node:crypto';

/** A request that is not from the server, or too old. Answer it with 401. */
export class WebhookError extends Error {
  name = 'WebhookError';
}

/**
 * The event of a webhook. `body` is what came, byte by byte; `signature` is the header X-RoomService-Signature; `tolerance` is
 * how many seconds its time may be from now. Throws WebhookError.
 */
export function readWebhook({ body, signature, secret, tolerance = 300, now = Date.now() / 1000 }) {
  if (!secret) throw new TypeError('secret is empty');
  const [, time, given] = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(signature ?? '') ?? [];
  if (!time) throw new WebhookError('there is no signature');
  const expected = createHmac('sha256', secret).update(`${time}.`).update(body).digest();
  if (!timingSafeEqual(Buffer.from(given, 'hex'), expected)) throw new WebhookError('the signature is another one');
  if (Math.abs(now - Number(time)) > tolerance) throw new WebhookError('the time is too far from now');
  return JSON.parse(Buffer.from(body).toString());
}
