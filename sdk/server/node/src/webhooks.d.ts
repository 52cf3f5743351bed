/** A request that is not from the server, or too old. Answer it with 401. */
export class WebhookError extends Error {}

/** What happened: docs/webhooks.md has the members of each event. */
export interface WebhookEvent {
  id: string;
  event: string;
  /** Unix milliseconds. */
  time: number;
  roomID?: string;
  userID?: string;
  [member: string]: unknown;
}

/** The event of a webhook. Throws WebhookError. */
export function readWebhook(given: {
  /** What came, byte by byte. */
  body: string | Uint8Array;
  /** The header X-RoomService-Signature. */
  signature: string | undefined;
  /** `webhooks.secret`. */
  secret: string;
  /** How many seconds its time may be from now: 300. */
  tolerance?: number;
  /** Unix seconds. */
  now?: number;
}): WebhookEvent;
