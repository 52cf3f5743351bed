// Live rooms: an anchor, co-anchors by invitation, and an audience.

import { wait } from './backoff.js';
import { Code, isPassing, RoomError, rejectsWell } from './errors.js';
import { linkBody, parseObject, pkBody } from './messages.js';
import { mixParams } from './mix.js';
import { MediaRoom } from './media_room.js';

/** Milliseconds: after a change of who pushes, between two tries, how long is tried so often, and between later tries. */
const MIX_AFTER = 700;
const MIX_AGAIN_AFTER = 1_000;
const MIX_WITHIN = 30_000;
const MIX_LATER_AFTER = 10_000;
/** A server that has no mixer at all is not asked so often for good. */
const MIX_SELDOM_AFTER = 60_000;
const MIX_SELDOM_FROM = MIX_WITHIN + 10 * MIX_LATER_AFTER;
/** The server ends a mix whose anchor was away for a minute, of which nobody tells us where something else pushes. */
const MIX_ASKED_EVERY = 60_000;
/** Who watches is told again once chat is back after this long: the server takes out whose chat was gone for minutes. */
const AUDIENCE_AGAIN_AFTER = 30_000;
/** A large audience, whose number changes all the time, does not look all the time: within this, so much for each user. */
const COUNTED_WITHIN = 30_000;
const COUNTED_SPREAD = 5;
/** A stream of the mix is not pushed yet, or its size is not known yet. */
const NOT_PUSHED_YET = new Set([-505, -507]);
/** No mixer answers, or none is free. */
const NO_MIXER = -10031;

export class LiveRoom extends MediaRoom {
  /** `autoMix`: the anchor asks for a mixed picture whenever co-anchors come and go. */
  constructor({ autoMix = true, ...options }) {
    super({ ...options, kind: 'live_room' });
    this.autoMix = autoMix;
  }

  reset() {
    super.reset();
    this.viewer = false;
    this.asked = null;
    this.mixed = false;
    // The pushers of the mix that this connection's word started, and since when it is known to run.
    this.running = undefined;
    this.runningAt = 0;
  }

  /** Any player may watch, by RTMP, FLV and HLS too: they take H.264. */
  get knowsItsAudience() {
    return false;
  }

  get mayRemake() {
    return this.isCreator;
  }

  /** Enters as a viewer. Resolves with the room. */
  async enterRoom({ roomID } = {}) {
    this.mustBeOut();
    if (!roomID) throw new RoomError(Code.MALFORMED, 'roomID is missing');
    const visit = this.begin(roomID);
    this.viewer = true;
    try {
      await this.departing;
      this.mustBeIn(visit);
      await this.#addAudience();
      return await this.come();
    } catch (error) {
      if (this.visit === visit) this.leave();
      throw error;
    }
  }

  async #addAudience() {
    this.addedAt = Date.now();
    const { visit } = this;
    const { userID, userName, userAvatar } = this.user;
    const userInfo = JSON.stringify({ userName, userAvatar });
    try {
      await this.call('add_audience', { roomID: this.roomID, userID, userInfo });
    } catch (error) {
      // The list is full; we are counted all the same.
      if (error.code !== Code.FULL) throw error;
    }
    this.mustBeIn(visit, false);
  }

  async depart(roomID, pushed) {
    if (pushed) return super.depart(roomID, pushed);
    await this.call('delete_audience', { roomID, userID: this.user.userID }, { keepalive: true });
  }

  async missing() {
    const before = this.lostSince;
    await super.missing();
    // Once the room is back, it must be told anew that we watch.
    if (before && this.viewer && this.roomID) await this.#addAudience().catch(() => {});
  }

  onChatJoined() {
    if (this.viewer && Date.now() - this.addedAt >= AUDIENCE_AGAIN_AFTER) this.inBackground(this.#addAudience());
  }

  /** Resolves with `{audienceCount, audiences: [{userID, userName, userAvatar}]}`. */
  async getAudienceList({ roomID = this.roomID } = {}) {
    const { audienceCount, audiences } = await this.call('get_audiences', { roomID });
    return {
      audienceCount,
      audiences: audiences.map(({ userID, userInfo }) => ({ userID, ...readInfo(userID, userInfo) })),
    };
  }

  /** `operation`: `set` (with `value`), `inc` or `dec`. Resolves with all fields. */
  async setCustomField({ fieldName, operation, value }) {
    const { custom } = await this.call('set_custom_field', { roomID: this.roomID, fieldName, operation, value });
    this.custom = parseObject(custom) ?? {};
    return { custom: this.custom };
  }

  onCount(users) {
    super.onCount(users);
    this.refreshSoon(Math.min(COUNTED_WITHIN, Math.max(1_000, users * COUNTED_SPREAD)));
  }

  // Co-anchoring: a viewer asks, the anchor answers, the viewer pushes

  /** Asks the anchor. Resolves when it accepts; rejects with `refused` (and the reason) or `timeout`. */
  async requestJoinPusher({ timeout = 30_000 } = {}) {
    if (!this.viewer || this.isPusher) throw new RoomError(Code.STATE, 'only viewers ask');
    if (this.asked) throw new RoomError(Code.STATE, 'asked already');
    const { roomID, roomCreator } = this;
    const answer = new Promise((resolve, reject) => {
      this.asked = { resolve, reject };
    });
    const { asked } = this;
    answer.catch(() => {});
    const late = wait(timeout);
    late.done.then(() => asked.reject(new RoomError(Code.TIMEOUT, 'the anchor did not answer')));
    try {
      await this.chat.sendDirect(roomCreator, { body: linkBody({ type: 'request', roomID, ...this.user }) });
      await answer;
    } finally {
      late.cut();
      if (this.asked === asked) this.asked = null;
    }
  }

  async acceptJoinPusher({ userID }) {
    await this.#respond(userID, { type: 'response', result: 'accept', message: '' });
  }

  async rejectJoinPusher({ userID, reason = '' }) {
    await this.#respond(userID, { type: 'response', result: 'reject', message: reason });
  }

  /** Ends a co-anchor's pushing. */
  async kickoutSubPusher({ userID }) {
    await this.#respond(userID, { type: 'kickout' });
  }

  async #respond(userID, data) {
    await this.chat.sendDirect(userID, { body: linkBody({ roomID: this.roomID, ...data }) });
  }

  /** Pushes as co-anchor, after the anchor accepted. */
  joinPusher(options) {
    return this.#afterwards('joining', 'quitting', () => this.#join(options));
  }

  /** Joining and quitting wait for each other: the late word of one would undo the other. */
  #afterwards(mine, other, work) {
    const { visit } = this;
    const before = this[other];
    const begin = async () => {
      if (before) await before;
      if (this.visit !== visit) throw new RoomError(Code.STATE, 'left meanwhile');
      return work();
    };
    const done = begin();
    const over = done
      .catch(() => {})
      .then(() => {
        if (this[mine] === over) this[mine] = null;
      });
    this[mine] = over;
    return done;
  }

  async #join({ pushURL } = {}) {
    const { roomID, visit } = this;
    if (!this.viewer) throw new RoomError(Code.STATE, 'only viewers become co-anchors');
    const url = pushURL ?? (await this.getPushURL({ roomID })).pushURL;
    this.mustBeIn(visit);
    const { userID, userName, userAvatar } = this.user;
    await this.call('add_pusher', { roomID, userID, userName, userAvatar, pushURL: url });
    this.mustBeIn(visit, true);
    this.mine = { pushURL: url };
    await this.refresh();
  }

  /** Goes on watching. */
  quitJoinPusher() {
    return this.#afterwards('quitting', 'joining', () => this.#quit());
  }

  async #quit() {
    if (!this.viewer || !this.isPusher) return;
    const { roomID } = this;
    this.mine = null;
    await this.unpublish();
    await this.call('delete_pusher', { roomID, userID: this.user.userID });
    await this.refresh();
  }

  onLink(who, { type, result, message = '', roomID }) {
    if (roomID && roomID !== this.roomID) return;
    if (type === 'request' && this.isCreator) this.tell('onRecvJoinPusherRequest', who);
    // Answers count only from the anchor: anybody may send messages.
    if (who.userID !== this.roomCreator) return;
    if (type === 'response' && result === 'accept') {
      this.asked?.resolve();
      this.tell('onRecvAcceptJoinPusher', who);
    } else if (type === 'response') {
      this.asked?.reject(new RoomError(Code.REFUSED, String(message) || 'the anchor refused'));
      this.tell('onRecvRejectJoinPusher', { ...who, reason: String(message) });
    } else if (type === 'kickout' && this.viewer && this.isPusher) {
      const { roomID: room } = this;
      this.inBackground(this.quitJoinPusher());
      this.tell('onKickoutJoinPusher', { ...who, roomID: room });
    }
  }

  // PK: anchors of two rooms

  /**
   * Says something of a PK to another anchor, as Android's and iOS's clients do: `type` is `request` (with `action`: `start` or
   * `stop`) or `response` (with `result`: `accept` or `reject`, and `message`). Room and stream are added.
   */
  async sendPK({ userID, ...data }) {
    if (!this.isPusher) throw new RoomError(Code.STATE, 'not a pusher');
    const { roomID, user } = this;
    const { accelerateURL = '' } = this.pushers.find((p) => p.userID === user.userID) ?? {};
    await this.chat.sendDirect(userID, { body: pkBody({ roomID, ...user, accelerateURL, ...data }) });
  }

  onPK(who, data) {
    this.tell('onRecvPK', { ...who, data });
  }

  // The mixed picture

  changed() {
    if (!this.autoMix || !this.entered || !this.isCreator || !this.isPusher) return;
    const inputs = this.pushers
      .map((p) => p.userID)
      .sort()
      .join('\n');
    if (inputs === this.mixedFor) return;
    // Alone, there is nothing to mix; but an anchor who comes back alone may have left a mix behind.
    if (this.mixedFor === undefined && this.others.length === 0 && !this.mixed && !this.custom.mixed) return;
    this.mixedFor = inputs;
    this.mixTold = false;
    // Several changes at once make one mix.
    this.#mixIn(MIX_AFTER);
  }

  #mixIn(delay, since = Date.now()) {
    clearTimeout(this.mixing);
    const mine = setTimeout(() => {
      this.mergeStream().catch((error) => this.mixing === mine && this.#notMixed(error, since));
    }, delay);
    this.mixing = mine;
  }

  /** A co-anchor's pictures come when the person has permitted the camera: until then the mix is refused. */
  async #notMixed(error, since) {
    const waited = Date.now() - since;
    const late = NOT_PUSHED_YET.has(error.code);
    // Refused anew, it runs no longer.
    if (this.running === this.mixedFor) this.running = undefined;
    if (mayMixLater(error) && waited < MIX_WITHIN) return this.#mixIn(MIX_AGAIN_AFTER, since);
    if (mayMixLater(error)) this.#mixIn(late || waited < MIX_SELDOM_FROM ? MIX_LATER_AFTER : MIX_SELDOM_AFTER, since);
    if (this.mixTold) return;
    this.mixTold = true;
    this.fail(error);
    // While one pusher is waited for, the server goes on mixing those of before.
    if (late && this.running !== undefined) return;
    await this.#tellMixed(false);
  }

  async beat() {
    await super.beat();
    if (this.running === undefined || this.running !== this.mixedFor) return;
    if (Date.now() - this.runningAt >= MIX_ASKED_EVERY) this.#mixAnew();
  }

  /** A mix that may have ended without us is asked for again; one that runs goes on. */
  #mixAnew() {
    this.mixedFor = undefined;
    this.changed();
  }

  onChatState(state, why) {
    super.onChatState(state, why);
    if (state !== 'open') return;
    // The server may have been started anew.
    this.running = undefined;
    this.#mixAnew();
  }

  onPublished() {
    // Away for a minute, and the mix has ended.
    this.running = undefined;
    this.#mixAnew();
  }

  /** Asks for a mix of all pushers, or for its end when we push alone. Others learn of it by the field `mixed`. */
  async mergeStream(mergeParams) {
    const {
      roomID,
      mixedFor,
      user: { userID },
    } = this;
    const creator = { ...this.mine, ...this.pushers.find((p) => p.userID === userID) };
    const params = mergeParams ?? mixParams({ session: roomID, creator, others: this.others });
    try {
      const { result } = await this.call('merge_stream', { roomID, userID, mergeParams: params });
      if (result?.code) throw new RoomError(result.code, result.message ?? 'no mix');
    } catch (error) {
      // Without a mixer the audience plays every pusher by itself; what ran before may run on while another is waited for.
      if (this.roomID === roomID && !mayMixLater(error)) await this.#tellMixed(false);
      throw error;
    }
    if (this.roomID !== roomID) return;
    const mixed = parseObject(params)?.interface?.para?.input_stream_list?.length > 1;
    // What the app laid out itself is the app's to ask for again.
    this.running = mixed && !mergeParams ? mixedFor : undefined;
    this.runningAt = Date.now();
    await this.#tellMixed(mixed);
  }

  async #tellMixed(mixed) {
    // The room may have been made anew meanwhile, without its fields.
    if (this.mixed === mixed && Boolean(this.custom.mixed) === mixed) return;
    this.mixed = mixed;
    await this.setCustomField({ fieldName: 'mixed', operation: 'set', value: mixed ? 1 : 0 }).catch(() => {});
  }

  leave(gone) {
    clearTimeout(this.mixing);
    this.mixing = undefined;
    this.mixedFor = undefined;
    this.asked?.reject(new RoomError(Code.ENDED, 'left the room'));
    super.leave(gone);
  }
}

rejectsWell(LiveRoom, [
  ...['enterRoom', 'getAudienceList', 'setCustomField', 'requestJoinPusher', 'acceptJoinPusher', 'rejectJoinPusher'],
  ...['kickoutSubPusher', 'joinPusher', 'quitJoinPusher', 'sendPK', 'mergeStream'],
]);

function mayMixLater(error) {
  return NOT_PUSHED_YET.has(error.code) || error.code === NO_MIXER || isPassing(error);
}

function readInfo(userID, text) {
  try {
    const { userName = userID, userAvatar = '' } = JSON.parse(text);
    return { userName: String(userName), userAvatar: String(userAvatar) };
  } catch {
    return { userName: text || userID, userAvatar: '' };
  }
}
