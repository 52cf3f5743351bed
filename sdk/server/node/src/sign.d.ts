import type { Grants } from './client.js';

/** What a client logs in with: a userSig of version 2, as Tencent's tls-sig-api-v2 makes it. */
export function userSig(given: {
  userID: string;
  sdkAppID: number;
  /** `im.secretKey`, as it stands in the settings. */
  secretKey: string;
  /** Seconds for which it is good: a day. */
  lifetime?: number;
  /** Unix seconds. */
  now?: number;
}): string;

/** A short token for the operator API, signed with an operator's key. */
export function operatorToken(given: {
  key: string;
  grants: Grants;
  /** Seconds, a day at most: an hour. */
  lifetime?: number;
  /** Unix seconds. */
  now?: number;
}): string;
