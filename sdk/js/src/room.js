// What all rooms have in common: entering and leaving, who is in, heartbeats, chat, and coming back after the network or
// the server was away.

import { wait } from './backoff.js';
import { Chat, mayJoinLater } from './chat.js';
import { asRoomError, Code, isPassing, loggedOut, RoomError, rejectsWell } from './errors.js';
import { Emitter } from './events.js';
import { commandBody, directBody, messageOf, ownBody, parseObject, readBody, textBody } from './messages.js';
import { Said } from './said.js';
import { Session } from './session.js';
import * as urls from './urls.js';

/** Milliseconds. A pusher is removed after 20 s of silence. */
const HEARTBEAT_EVERY = 7_000;
/** For how long a room that seems gone may come back: its anchor may be a moment behind us after a restart. */
const LOST_AFTER = 20_000;
/** Up to so many users all look at once who pushes now; of more, each within this, which grows by so much for each of them. */
const SMALL = 200;
const PUSHERS_WITHIN = 5_000;
const PUSHERS_SPREAD = 0.5;

export class Room extends Emitter {
  #told = new WeakSet();

  /**
   * `session`: one that other rooms use too; without it, this room has its own. `leaveWithPage`: who closes the page, or goes to
   * another one, leaves the room at once. `language`, `mediaAtServer`: see `Session`.
   */
  constructor({ server, kind, platform, session, random, leaveWithPage = true, language, mediaAtServer }) {
    super();
    this.session = session ?? new Session({ server, platform, language, mediaAtServer });
    this.kind = kind;
    this.platform = platform;
    this.listener = {};
    this.leaveWithPage = leaveWithPage;
    this.unloaded = null;
    this.chat = new Chat(
      this.session,
      {
        state: (state, why) => this.onChatState(state, why),
        message: (m) => this.onMessage(m),
        system: (m) => this.onSystem(m),
        direct: (m) => this.onDirect(m),
        count: (m) => m.room === this.roomID && this.onCount(m.users),
        out: (m) => m.room === this.roomID && this.closed(m.reason),
        unsigned: (error) => this.#unsigned(error),
        lost: (room, error) => {
          if (room !== this.roomID) return;
          if (mayJoinLater(error) && error.code !== 'no_room') this.#unheard(error);
          else this.chatLost = true;
          this.inBackground(this.refresh());
        },
        missed: (room, { anew }) => {
          if (room !== this.roomID) return;
          if (anew) {
            this.restartMedia();
            this.said.states.clear();
          }
          this.inBackground(this.said.read());
          this.inBackground(this.refresh());
        },
        joined: (room, { fresh }) => {
          if (room !== this.roomID) return;
          this.unheard = null;
          if (!this.entered) return;
          this.#heardFromNowOn(fresh);
          this.onChatJoined();
        },
      },
      { random },
    );
    this.said = new Said(this);
    this.connection = 'disconnected';
    // How often it was logged in and closed, and whether it was closed last.
    this.logins = 0;
    this.closings = 0;
    this.over = false;
    // How often it was left, also before it was entered.
    this.exits = 0;
    this.reset();
  }

  reset() {
    this.roomID = null;
    this.visit = null;
    this.roomInfo = '';
    this.roomCreator = '';
    this.mixedPlayURL = '';
    this.mix = {};
    this.custom = {};
    this.pushers = [];
    this.mine = null;
    this.entered = false;
    this.lostSince = null;
    this.chatLost = false;
    // Why chat tells us of no changes, as long as that is so.
    this.unheard = null;
    // How many users the chat counted last, and how often in a row a look at the room failed.
    this.users = 0;
    this.failedLooks = 0;
    this.unseen = null;
    this.said.reset();
  }

  get user() {
    return this.session.user;
  }

  get isCreator() {
    return Boolean(this.user) && this.roomCreator === this.user.userID;
  }

  /** Whether we push in the room. */
  get isPusher() {
    return this.mine !== null;
  }

  /** `on…` functions; see the type definitions. A second call replaces the first one's. */
  setListener(listener) {
    this.listener = listener ?? {};
  }

  /** `onPusherJoin` of the listener that was set, and all that listen to `pusherJoin`. */
  tell(name, event) {
    const short = name[2].toLowerCase() + name.slice(3);
    this.guard(short, () => this.listener[name]?.(event));
    this.emit(short, event);
  }

  /** What is told by a promise too, or was told while it was waited for, is told once. */
  fail(cause) {
    const error = asRoomError(cause);
    if (this.#told.has(error)) return;
    this.#told.add(error);
    this.tell('onError', error);
  }

  /** A promise for the app, which may leave it alone: what goes wrong is told by `error`, too. */
  told(work) {
    const sure = work.catch((cause) => {
      throw asRoomError(cause);
    });
    this.inBackground(sure);
    return sure;
  }

  /** For work that nobody waits for: what goes wrong in it is told by `error`. */
  inBackground(work) {
    work.catch((error) => {
      // What ended because we left, or will be tried again, is no news.
      if (error?.code !== Code.ENDED && error?.code !== Code.STATE && !isPassing(error)) this.fail(error);
    });
  }

  /** One call of this kind of rooms. */
  call(name, body, options) {
    return this.session.call(this.kind, name, body, options);
  }

  /** Resolves with `{userID, userName, userAvatar}`. With a session that is open already, nothing need be given. */
  async login(login) {
    const { closings } = this;
    this.logins += 1;
    // What is just being left is left first: it may be the same room that is entered next.
    await this.closing;
    const user = login || !this.user ? await this.session.open(login) : this.user;
    if (closings !== this.closings) throw new RoomError(Code.ENDED, 'closed meanwhile');
    this.over = false;
    this.offline = false;
    this.unanswered = false;
    this.stopWatching ??= this.platform?.onLost?.((lost) => this.#lost(lost));
    if (this.leaveWithPage)
      this.stopLeaving ??= this.platform?.onLeave?.(
        () => this.#pageLeft(),
        () => this.#pageBack(),
      );
    this.chat.start();
    this.chat.nick = shorten(user.userName);
    return user;
  }

  /** Leaves and ends the chat; the session stays open for other rooms. `unloading`: see `exitRoom`. */
  close(options) {
    this.closings += 1;
    this.over = true;
    const leaving = this.exitRoom(options).catch(() => {});
    const before = this.closing;
    const closing = Promise.all([before, leaving]).then(() => {
      this.stopWatching?.();
      this.stopWatching = undefined;
      this.stopLeaving?.();
      this.stopLeaving = undefined;
      this.chat.stop();
      this.#connected();
      if (this.closing === closing) this.closing = undefined;
    });
    this.closing = closing;
    return closing;
  }

  #pageLeft() {
    this.unloaded = this.roomID;
    this.inBackground(this.exitRoom({ unloading: true }));
  }

  #pageBack() {
    const { unloaded: roomID } = this;
    this.unloaded = null;
    if (roomID) this.tell('onRoomClose', { roomID, reason: 'unloaded' });
  }

  /** The system says that the network is gone, or there again: whether the chat's connection lives is asked at once. */
  #lost(lost) {
    this.offline = lost;
    this.#connected();
    this.chat.probe?.();
  }

  /** Tells when the connection is lost and when it is back, whichever of chat, calls and system noticed. */
  #connected() {
    const { chat, connection } = this;
    const well = chat.state === 'open' && !this.offline && !this.unanswered;
    const over = !chat.running;
    const trying = connection === 'connected' || connection === 'reconnecting' ? 'reconnecting' : 'connecting';
    const now = over ? 'disconnected' : well ? 'connected' : trying;
    if (now === connection) return;
    this.connection = now;
    this.tell('onConnectionState', { state: now });
  }

  #answered(online, error) {
    this.unanswered = !online;
    if (online) this.offline = false;
    this.tell('onConnection', { online, ...(error && { error }) });
    this.#connected();
  }

  async logout() {
    const { logins } = this;
    await this.close();
    // Somebody may have logged in meanwhile.
    if (logins === this.logins) await this.session.close();
  }

  /** Resolves with `{rooms}`, oldest first. */
  async getRoomList({ index = 0, cnt = 20 } = {}) {
    const { rooms } = await this.call('get_room_list', { index, cnt });
    return { rooms: rooms.map(readRoom) };
  }

  /**
   * Finished recordings that we may see, newest first: `{records, cursor}`. `cursor` asks for the next page; it is `''` on
   * the last one.
   */
  async getRecordList({ roomID, ownerID, cnt = 20, cursor } = {}) {
    const { records, cursor: next } = await this.call('get_record_list', { roomID, ownerID, cnt, cursor });
    return { records, cursor: next };
  }

  /** Resolves with `{pushURL, whipURL, …}`: of our stream in a room, or of a fresh stream. */
  async getPushURL({ roomID } = {}) {
    if (!this.user) throw new RoomError(Code.UNAUTHORISED, 'not logged in');
    const { code, message, ...found } = await this.call('get_push_url', { userID: this.user.userID, roomID });
    return { ...found, whipURL: urls.whip(this.session.server, found) };
  }

  /** Makes a room and enters it as its first pusher. Resolves with the room. */
  async createRoom({ roomID, roomInfo, roomName, pushURL } = {}) {
    this.mustBeOut();
    await this.#unlessLeft(this.departing);
    const info = roomInfo ?? roomName ?? '';
    const made = await this.#unlessLeft(this.call('create_room', { userID: this.user.userID, roomID, roomInfo: info }));
    return this.push({ roomID: made.roomID, roomInfo: info, pushURL });
  }

  /** Enters a room as a pusher; where it does not exist, it is made. */
  async push({ roomID, roomInfo, pushURL }) {
    const visit = this.begin(roomID);
    if (roomInfo !== undefined) this.roomInfo = roomInfo;
    try {
      await this.departing;
      this.mustBeIn(visit);
      const url = pushURL ?? (await this.getPushURL({ roomID })).pushURL;
      this.mustBeIn(visit);
      this.mine = { pushURL: url };
      await this.#addPusher();
      this.mustBeIn(visit, true);
      return await this.come();
    } catch (error) {
      if (this.visit === visit) this.leave();
      throw error;
    }
  }

  #addPusher() {
    const { userID, userName, userAvatar } = this.user;
    const { roomID, roomInfo } = this;
    return this.call('add_pusher', { roomID, roomInfo, userID, userName, userAvatar, pushURL: this.mine.pushURL });
  }

  mustBeOut() {
    if (!this.user) throw new RoomError(Code.UNAUTHORISED, 'not logged in');
    if (this.over) throw new RoomError(Code.STATE, 'closed: log in first');
    if (this.roomID) throw new RoomError(Code.STATE, `already in room ${this.roomID}`);
  }

  /** Begins to be in a room, until it is left. What is done there meanwhile may find that it was left. */
  begin(roomID) {
    this.mustBeOut();
    this.roomID = roomID;
    const visit = { roomID };
    this.visit = visit;
    return visit;
  }

  /** Throws where the visit is over. `pushed`: as what we were put into the room's list meanwhile, which is taken back. */
  mustBeIn(visit, pushed) {
    if (this.visit === visit) return;
    if (pushed !== undefined && this.user && this.roomID !== visit.roomID)
      this.inBackground(this.#departing(this.#takeBack(visit.roomID, pushed)));
    throw new RoomError(Code.STATE, 'left meanwhile');
  }

  /** The part of entering that pushers and viewers have in common. */
  async come() {
    const { visit } = this;
    const room = await this.#fetch();
    this.mustBeIn(visit);
    this.entered = true;
    this.heart ??= setInterval(() => this.inBackground(this.beat()), HEARTBEAT_EVERY);
    // Pictures need not wait for it.
    this.#joinChat();
    this.tell('onGetPusherList', { pushers: this.others });
    return room;
  }

  /** Joins the room's chat, in its own time. What may pass is told once and tried again with each sign of life. */
  #joinChat(options) {
    const { roomID, visit } = this;
    this.chat.join(roomID, options).catch((error) => {
      if (this.visit === visit && error.code !== Code.ENDED) this.#unheard(error);
    });
  }

  #unheard(error) {
    const { unheard } = this;
    this.unheard = error;
    if (unheard?.code !== error.code) this.fail(error);
  }

  /** Chat tells us of changes from now on. What changed between our first look at the room and now, nobody told us. */
  #heardFromNowOn(fresh) {
    this.inBackground(this.beat());
    // What we turned off while there was no chat is said in either case.
    this.inBackground(fresh ? this.said.read() : this.said.say());
    if (!fresh) return;
    if (this.isPusher) this.inBackground(this.refresh());
    else this.refreshSoon();
  }

  /** Enters a room that exists. */
  async enterRoom({ roomID, pushURL } = {}) {
    this.mustBeOut();
    if (!roomID) throw new RoomError(Code.MALFORMED, 'roomID is missing');
    await this.#unlessLeft(this.departing);
    await this.#unlessLeft(this.call('get_pushers', { roomID }));
    return this.push({ roomID, pushURL });
  }

  /** What comes before entering: who leaves while it is on its way does not enter. */
  async #unlessLeft(work) {
    const { exits } = this;
    const answer = await work;
    if (exits !== this.exits) throw new RoomError(Code.STATE, 'left meanwhile');
    return answer;
  }

  /** Leaves; a room whose rules say so closes. `unloading`: the page goes, and its media connections end with it. */
  async exitRoom({ unloading = false } = {}) {
    this.exits += 1;
    const { roomID, mine, entered } = this;
    if (!roomID) return;
    this.leave(unloading);
    const pushed = mine !== null;
    await this.#departing(entered ? this.depart(roomID, pushed) : this.#takeBack(roomID, pushed));
  }

  /** Who enters waits until it is over: it may be the same room, out of which a late word would put us. */
  #departing(work) {
    const all = Promise.all([this.departing, work.catch(() => {})]).then(() => {
      if (this.departing === all) this.departing = undefined;
    });
    this.departing = all;
    return work;
  }

  /** Leaves where we may be in, or not be in yet, or no longer. */
  async #takeBack(roomID, pushed) {
    try {
      await this.depart(roomID, pushed);
    } catch (error) {
      if (error.code !== Code.NOT_MEMBER && error.code !== Code.NO_ROOM) throw error;
    }
  }

  async depart(roomID, pushed) {
    if (pushed) await this.call('delete_pusher', { roomID, userID: this.user.userID }, { keepalive: true });
  }

  /** Forgets the room on our side. `gone`: our stream has ended without us. */
  leave(gone = false) {
    clearInterval(this.heart);
    clearTimeout(this.soon);
    this.soon = undefined;
    this.heart = undefined;
    if (this.roomID) this.inBackground(this.chat.quit(this.roomID));
    this.inBackground(this.unpublish({ gone }));
    this.reset();
    this.emit('view');
  }

  closed(reason) {
    const { roomID } = this;
    if (!roomID) return;
    // Who puts somebody out ends the stream as well.
    this.leave(reason === 'kicked' || reason === 'banned');
    this.tell('onRoomClose', { roomID, reason });
  }

  // Who is in

  /** The pushers without ourselves: those to play. */
  get others() {
    return this.pushers.filter((p) => p.userID !== this.user?.userID);
  }

  /** `limits`: with `maxMembers`, how many may push in it. */
  async getPushers({ roomID = this.roomID, limits = false } = {}) {
    return readRoom(await this.call('get_pushers', { roomID, ...(limits && { limits: '1' }) }));
  }

  async #fetch() {
    const { roomID } = this;
    const room = await this.getPushers();
    if (this.roomID !== roomID) return room;
    const { roomInfo, roomCreator, mixedPlayURL, flvURL, hlsURL, whepURL, pushers, custom } = room;
    const before = new Map(this.others.map((p) => [p.userID, p]));
    Object.assign(this, { roomInfo, roomCreator, mixedPlayURL, pushers, custom, lostSince: null });
    this.mix = { mixedPlayURL, flvURL, hlsURL, whepURL };
    if (!this.entered) return room;
    if (this.chatLost) {
      // The group went with the room; now that the room is back, so is the group.
      this.chatLost = false;
      this.said.states.clear();
      this.#joinChat();
      this.restartMedia();
    }
    const now = new Map(this.others.map((p) => [p.userID, p]));
    const joined = [...now.values()].filter((p) => !before.has(p.userID));
    const gone = [...before.values()].filter((p) => !now.has(p.userID));
    for (const { userID } of gone) this.said.forget(userID);
    if (gone.length) this.tell('onPusherQuit', { pushers: gone });
    if (joined.length) this.tell('onPusherJoin', { pushers: joined });
    this.tell('onRoomUpdate', { room });
    this.followMedia();
    this.changed();
    return room;
  }

  /** For rooms that do something when the pushers change, or when the room's chat is there, for the first time or again. */
  changed() {}

  onChatJoined() {}

  // For rooms with media of their own.

  followMedia() {}

  followCodecs() {}

  restartMedia() {}

  async unpublish() {}

  /** Looks who is in; asked for again meanwhile, it looks once more afterwards. */
  async refresh() {
    if (!this.roomID || !this.entered) return;
    if (this.refreshing) {
      this.again = true;
      return;
    }
    this.refreshing = true;
    const { visit } = this;
    try {
      await this.#fetch();
      this.failedLooks = 0;
      this.unseen = null;
    } catch (error) {
      // What was refused there says nothing of a room that was entered since.
      if (this.visit === visit) await this.#unseen(error);
    } finally {
      this.refreshing = false;
    }
    if (this.again) {
      this.again = false;
      await this.refresh();
    }
  }

  async #unseen(error) {
    if (error.code === Code.NO_ROOM) await this.missing();
    else if (isPassing(error)) this.#lookLater(error);
    else if (!this.#isOut(error)) this.fail(error);
  }

  /** Closes the room where an error says that we are in no longer. */
  #isOut(error) {
    const reason = loggedOut(error);
    if (reason) this.closed(reason);
    return reason !== undefined;
  }

  /** A sign of life; without the room's chat also a look at who is in. */
  async beat() {
    const { roomID, visit } = this;
    if (!roomID || !this.entered || this.beating) return;
    this.beating = true;
    try {
      const beats = this.isPusher;
      if (beats) await this.call('pusher_heartbeat', { roomID, userID: this.user.userID });
      const looks = this.chat.state !== 'open' || this.lostSince || this.unheard;
      if (looks) await this.refresh();
      if (this.visit !== visit) return;
      // Who does no more than look has no answer then.
      if (looks && !beats && this.unseen) throw this.unseen;
      this.#answered(true);
      this.#joinAgain();
    } catch (error) {
      if (this.visit !== visit) return;
      if (error.code === Code.NOT_MEMBER) await this.#back();
      else if (!this.#isOut(error)) this.#notAnswered(error);
    } finally {
      this.beating = false;
    }
  }

  #notAnswered(error) {
    this.#unsigned(error);
    this.#answered(false, error);
  }

  /** That the app gave no signature is told once, until there is a session again. */
  #unsigned(error) {
    const { token } = this.session;
    if (error.code !== Code.SIGNATURE || this.unsignedAt === token) return;
    this.unsignedAt = token;
    this.fail(error);
  }

  #joinAgain() {
    const { unheard, chat, roomID } = this;
    // Without a connection it is joined as soon as there is one.
    if (!unheard || !this.entered || chat.state !== 'open' || chat.isJoining(roomID)) return;
    if (mayJoinLater(unheard)) this.#joinChat({ resume: true });
  }

  /** We are in no longer: the server was started anew, or we were silent for too long. */
  async #back() {
    const { visit } = this;
    try {
      await this.getPushers();
    } catch (error) {
      if (this.visit !== visit) return;
      if (error.code !== Code.NO_ROOM) return this.#isOut(error);
      // The room is gone: who may make it again does; the others wait for that.
      if (!this.mayRemake) return this.missing();
    }
    if (this.visit !== visit) return;
    try {
      await this.#addPusher();
      this.mustBeIn(visit, true);
      this.chatLost = true;
      await this.refresh();
    } catch (error) {
      if (this.visit === visit && !isPassing(error) && !this.#isOut(error)) this.closed('lost');
    }
  }

  /** Whether this client may make a lost room again under its old id. */
  get mayRemake() {
    return this.isPusher;
  }

  /** The room is not there. After a restart of the server it may come back. */
  async missing() {
    const { roomID } = this;
    this.lostSince ??= Date.now();
    if (Date.now() - this.lostSince >= LOST_AFTER) return this.closed('lost');
    await wait(1_000).done;
    if (this.roomID === roomID) this.again = true;
  }

  // Chat

  onChatState(state, why) {
    this.tell('onChatState', { state });
    this.#connected();
    // Whatever ended the connection may have ended our place in the room.
    if (state === 'open' || state === 'ended') this.inBackground(this.beat());
    if (state === 'ended') this.fail(new RoomError(Code.ENDED, why?.reason || 'chat ended'));
  }

  onMessage(message) {
    if (message.room !== this.roomID) return;
    const { text, ...said } = this.read(message);
    this.said.passed(message.seq);
    if (text !== undefined) this.tell('onRecvRoomTextMsg', { ...said, textMsg: text });
    else if (said.cmd !== undefined) {
      this.said.heard(said);
      this.tell('onRecvRoomCustomMsg', said);
    }
  }

  /** A message as the listeners get it, with `text` or `cmd` and `msg`. */
  read({ room, from, nick, time, body, seq }) {
    const { text, custom } = readBody(body);
    const data = parseObject(custom?.data) ?? {};
    const who = {
      roomID: room,
      userID: from,
      userName: text_(data.userName ?? data.nickName ?? nick ?? from),
      userAvatar: text_(data.userAvatar ?? data.headPic),
      time,
      seq,
    };
    if (text !== undefined) return { ...who, text };
    return custom?.cmd === 'CustomCmdMsg' ? { ...who, cmd: text_(data.cmd), msg: messageOf(data) } : who;
  }

  onSystem({ room, notice, data }) {
    if (room !== this.roomID) return;
    if (notice === 'destroyed' || notice === 'revoked') return this.closed(notice);
    const { cmd } = parseObject(data) ?? {};
    if (cmd === 'notice') this.tell('onNotice', { textMsg: text_(parseObject(data).data) });
    else if (cmd !== 'notifyPusherChange') this.refreshSoon();
    else if (this.users <= SMALL) this.inBackground(this.refresh());
    else this.refreshSoon(Math.min(PUSHERS_WITHIN, this.users * PUSHERS_SPREAD));
  }

  onCount(users) {
    this.users = users;
    this.tell('onUserCount', { users });
  }

  /** Looks at the room within about a second, or `within` milliseconds: many changes make one look, and a large audience does not look at once. */
  refreshSoon(within = 1_000) {
    const due = Date.now() + 200 + Math.random() * within;
    // What is to be known soon does not wait for what may come late.
    if (this.soon !== undefined && this.soonAt <= due) return;
    clearTimeout(this.soon);
    this.soonAt = due;
    this.soon = setTimeout(() => {
      this.soon = undefined;
      this.inBackground(this.refresh());
    }, due - Date.now());
  }

  /** The server was busy or away: nobody else tells us of what changed meanwhile. */
  #lookLater(error) {
    this.#unsigned(error);
    this.unseen = error;
    this.failedLooks += 1;
    if (this.roomID && this.entered) this.refreshSoon(Math.min(30_000, 1_000 * 2 ** this.failedLooks));
  }

  onDirect({ from, nick, time, body }) {
    const { custom } = readBody(body);
    if (!custom) return;
    const data = parseObject(custom.data) ?? {};
    const who = {
      userID: from,
      userName: text_(data.userName ?? nick ?? from),
      userAvatar: text_(data.userAvatar),
      time,
    };
    // Other clients' commands have all of their data in the place of our `msg`.
    if (custom.cmd === 'linkmic') this.onLink?.(who, data);
    else if (custom.cmd === 'pk' && this.onPK) this.onPK(who, data);
    else
      this.tell('onRecvC2CCustomMsg', { ...who, cmd: text_(custom.cmd), msg: 'msg' in data ? data.msg : custom.data });
  }

  #inRoom() {
    if (!this.roomID) throw new RoomError(Code.STATE, 'not in a room');
    return this.roomID;
  }

  async sendRoomTextMsg({ msg }) {
    await this.chat.send(this.#inRoom(), { body: textBody(msg, this.user) });
  }

  async sendRoomCustomMsg({ cmd, msg }) {
    await this.chat.send(this.#inRoom(), { body: commandBody(cmd, msg, this.user) });
  }

  /** A command that only this SDK knows; resolves with `{ seq }`. */
  sendCommand(cmd, msg) {
    return this.chat.send(this.#inRoom(), { body: ownBody(cmd, msg, this.user) });
  }

  /** What a pusher said of itself: `{ mic, cam, screen }`. */
  mediaStateOf(userID) {
    return { ...this.said.of(userID) };
  }

  /** Tells the others of our microphone and camera where something else than this SDK has them, as <live-pusher> does. */
  tellMediaState(state) {
    return this.told(this.#tellMedia(state));
  }

  async #tellMedia({ mic, cam, screen }) {
    await this.said.say(Object.fromEntries(Object.entries({ mic, cam, screen }).filter(([, is]) => is !== undefined)));
  }

  /** The newest kept messages, those before number `before` if that is given; oldest first. */
  async getHistory({ before, count } = {}) {
    const { messages } = await this.chat.history(this.#inRoom(), { before, count });
    const read = (message) => {
      const { text, ...said } = this.read(message);
      return text === undefined ? said : { ...said, textMsg: text };
    };
    return { messages: messages.filter(({ type }) => type === 'message').map(read) };
  }

  // What a room's creator may do

  /** Puts somebody out of chat, streams and room, for `seconds` (60 unless given, 600 at most). */
  kickUser({ userID, seconds }) {
    return this.#measure('kick', userID, seconds);
  }

  /** Somebody may not write, for `seconds`, or as long as the room is there. */
  muteUser({ userID, seconds }) {
    return this.#measure('mute', userID, seconds);
  }

  unmuteUser({ userID }) {
    return this.#measure('mute', userID, 0);
  }

  /** Somebody may not be in the room, for `seconds`, or as long as the room is there. */
  banUser({ userID, seconds }) {
    return this.#measure('ban', userID, seconds);
  }

  unbanUser({ userID }) {
    return this.#measure('ban', userID, 0);
  }

  async #measure(measure, userID, seconds) {
    await this.chat.command(measure, this.#inRoom(), userID, seconds);
  }

  async sendC2CCustomMsg({ userID, cmd, msg }) {
    await this.chat.sendDirect(userID, { body: directBody(cmd, msg, this.user) });
  }

  /** All ways to play a pusher: `[[name, url]]`. */
  playURLs(pusher) {
    return urls.plays(this.session.server, pusher);
  }
}

rejectsWell(Room, [
  ...[
    'login',
    'close',
    'logout',
    'getRoomList',
    'getRecordList',
    'getPushURL',
    'createRoom',
    'push',
    'enterRoom',
    'exitRoom',
  ],
  ...['getPushers', 'sendRoomTextMsg', 'sendRoomCustomMsg', 'sendCommand', 'getHistory'],
  ...['kickUser', 'muteUser', 'unmuteUser', 'banUser', 'unbanUser', 'sendC2CCustomMsg'],
]);

function text_(value) {
  return value === undefined || value === null ? '' : String(value);
}

/** A nick name may have 64 bytes. */
function shorten(name) {
  return [...name].slice(0, 16).join('');
}

/** A room as the server tells of it; `custom` is an object in either generation. */
function readRoom({ code, message, ...room }) {
  return { ...room, custom: parseObject(room.custom) ?? {} };
}
