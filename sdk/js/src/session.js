// Who calls: logs in, makes calls in that user's name, and logs in again when the session has ended.

import { asRoomError, Code, RoomError, rejectsWell } from './errors.js';
import * as urls from './urls.js';

export class Session {
  /**
   * `server`: `https://host` (or '' for the page's own). A session is good for all kinds of rooms. `language`: that of the server's
   * messages, such as `en`. `mediaAtServer`: WHIP and WHEP are asked at `server`, whichever host their URLs name.
   */
  constructor({ server = '', platform, language = '', mediaAtServer = false }) {
    this.server = server.replace(/\/+$/, '');
    this.language = language;
    this.mediaAtServer = mediaAtServer;
    this.platform = platform;
    this.user = null;
    this.token = null;
    this.login = null;
    this.renewing = null;
  }

  /** `{userID, userSig, sdkAppID, accType, userName, userAvatar}`; `userSig` may also be a function that fetches one. */
  async open(login) {
    // What a server said instead of a login.
    if (login?.code) throw new RoomError(login.code, login.message);
    for (const name of ['userID', 'userSig', 'sdkAppID']) {
      if (!login?.[name]) throw new RoomError(Code.LOGIN_INCOMPLETE, `${name} is missing`);
    }
    this.login = { userName: login.userID, userAvatar: '', ...login };
    this.user = { userID: login.userID, userName: this.login.userName, userAvatar: this.login.userAvatar };
    await this.renew();
    return this.user;
  }

  /** A new session of the same user; asked for twice at once, one is made. */
  renew() {
    this.renewing ??= this.#logIn().finally(() => {
      this.renewing = null;
    });
    return this.renewing;
  }

  async #logIn() {
    if (!this.login) throw new RoomError(Code.UNAUTHORISED, 'not logged in');
    const { userID, sdkAppID, accType = '' } = this.login;
    const sig = await this.#sign();
    const query = new Map([
      ['sdkAppID', sdkAppID],
      ['userID', userID],
      ['userSig', sig],
      ['platform', 'web'],
    ]);
    if (accType) query.set('accountType', accType);
    const text = [...query].map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join('&');
    const answer = await this.#post(`/weapp/live_room/login?${text}`, {});
    this.token = answer.token;
  }

  /** The signature, from the app's own function too. */
  async #sign() {
    const { userID, userSig } = this.login;
    if (typeof userSig !== 'function') return userSig;
    let sig;
    try {
      sig = await userSig(userID);
    } catch (cause) {
      throw asRoomError(cause, Code.SIGNATURE);
    }
    if (!sig) throw new RoomError(Code.LOGIN_INCOMPLETE, 'userSig is missing');
    return sig;
  }

  async close() {
    if (!this.token) return;
    const path = this.#path('live_room', 'logout');
    this.token = this.login = this.user = null;
    await this.#post(path, {}).catch(() => {});
  }

  /** One call in the user's name; `kind`: `live_room`, `multi_room` or `double_room`. */
  async call(kind, name, body = {}, options) {
    if (!this.token) throw new RoomError(Code.UNAUTHORISED, 'not logged in');
    const used = this.token;
    try {
      return await this.#post(this.#path(kind, name), body, options);
    } catch (error) {
      if (error.code !== Code.UNAUTHORISED || !this.login) throw error;
      if (used === this.token) await this.renew();
      return this.#post(this.#path(kind, name), body, options);
    }
  }

  #path(kind, name) {
    // The user's id needs escaping here; a token is made of characters that do not.
    return `/weapp/${kind}/${name}?userID=${encodeURIComponent(this.user.userID)}&token=${this.token}`;
  }

  async #post(path, body, options) {
    const headers = { 'Content-Type': 'application/json', ...(this.language && { 'Accept-Language': this.language }) };
    const request = { method: 'POST', headers, body: JSON.stringify(body), ...options };
    return read(await this.platform.request(this.server + path, request));
  }

  /** Where a WHIP or WHEP URL is asked. */
  mediaURL(url) {
    return this.mediaAtServer && url ? urls.at(this.server, url) : url;
  }

  /** The URL of the chat's socket. */
  chatURL(since) {
    const page = globalThis.location?.origin ?? '';
    const base = (this.server || page).replace(/^http/, 'ws');
    const from = since === undefined ? '' : `&since=${since}`;
    return `${base}/ws?userID=${encodeURIComponent(this.user.userID)}&token=${this.token}${from}`;
  }
}

rejectsWell(Session, ['open', 'close', 'call', 'renew']);

/** An answer's fields, or its error. */
export function read({ status, text }) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new RoomError(status >= 500 ? Code.NETWORK : Code.INTERNAL, `the server answered ${status}, not JSON`, {
      status,
    });
  }
  if (answer?.code === 0) return answer;
  throw new RoomError(answer?.code ?? Code.INTERNAL, answer?.message ?? `the server answered ${status}`, { status });
}
