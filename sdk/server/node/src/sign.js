import { createHmac } from 'node:crypto';
import { deflateSync } from 'node:zlib';

const seconds = () => Math.floor(Date.now() / 1000);

/** What a client logs in with: a userSig of version 2, as Tencent's tls-sig-api-v2 makes it. `lifetime` is in seconds. */
export function userSig({ userID, sdkAppID, secretKey, lifetime = 86_400, now = seconds() }) {
  if (!/^[!#-&(-_a-~]{1,64}$/.test(userID))
    throw new TypeError('userID: 1 to 64 of printable ASCII without spaces and quotes');
  if (!secretKey) throw new TypeError('secretKey is empty');
  const signed = `TLS.identifier:${userID}\nTLS.sdkappid:${sdkAppID}\nTLS.time:${now}\nTLS.expire:${lifetime}\n`;
  const members = {
    'TLS.ver': '2.0',
    'TLS.identifier': userID,
    'TLS.sdkappid': sdkAppID,
    'TLS.expire': lifetime,
    'TLS.time': now,
    'TLS.sig': createHmac('sha256', secretKey).update(signed).digest('base64'),
  };
  const safe = { '+': '*', '/': '-', '=': '_' };
  return deflateSync(JSON.stringify(members))
    .toString('base64')
    .replace(/[+/=]/g, (character) => safe[character]);
}

/** A short token for the operator API, signed with an operator's key: `grants` are those of docs/api.md, a day at most. */
export function operatorToken({ key, grants, lifetime = 3600, now = seconds() }) {
  if (!key) throw new TypeError('key is empty');
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ exp: now + lifetime, video: grants })}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}
