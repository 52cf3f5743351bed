// What pushers say of themselves: microphone, camera and screen on or off, and where it matters which codecs they decode. It
// goes through the room's chat as a command, of which other clients show nothing. Who comes later finds it in the chat's newest
// messages.

/** The command's name. */
const MEDIA = 'media';
/** What holds for who has said nothing. */
const FRESH = Object.freeze({ mic: true, cam: true, screen: false });
/** How many of the newest messages a newcomer reads, and after how many ours is said again. */
const READ = 100;
const AGAIN_AFTER = 50;
/** Of how many codecs somebody can say that it decodes them. */
const MOST_CODECS = 8;

export class Said {
  constructor(room) {
    this.room = room;
    this.reset();
  }

  reset() {
    this.states = new Map();
    this.mine = null;
    this.newest = 0;
    // What is on its way in a room that is left is neither waited for nor heard of in the next one.
    this.turn = {};
    this.sending = false;
  }

  /** `{ mic, cam, screen }`. */
  of(userID) {
    return shown(this.#known(userID));
  }

  /** The names of the video codecs that somebody decodes; null for who has not said it. */
  codecsOf(userID) {
    return this.#known(userID).video ?? null;
  }

  #known(userID) {
    return this.states.get(userID)?.state ?? FRESH;
  }

  forget(userID) {
    this.states.delete(userID);
  }

  /** A command of somebody, in the order of its number, wherever it was read. */
  heard({ userID, cmd, msg, seq = 0 }) {
    if (cmd !== MEDIA || !msg || typeof msg !== 'object') return;
    const before = this.states.get(userID);
    if (before && before.seq > seq) return;
    const state = pick(msg);
    this.states.set(userID, { seq, state });
    this.#told(userID, before?.state ?? FRESH, state);
  }

  #told(userID, before, state) {
    if (!same(shown(state), shown(before))) this.room.tell('onMediaState', { userID, ...shown(state) });
    if (!same({ video: state.video }, { video: before.video })) this.room.followCodecs();
  }

  /** Says what holds for us, where others would believe something else; nothing, as long as we never said anything. */
  async say(state) {
    const { room } = this;
    if (!state && !this.mine) return;
    this.mine = { ...(this.mine ?? FRESH), ...state };
    if (!room.isPusher || room.chat.state !== 'open' || same(this.mine, this.#known(room.user.userID))) return;
    await this.#send();
  }

  async #send() {
    const { room, mine, turn } = this;
    if (this.sending) return;
    this.sending = true;
    try {
      const { seq } = await room.sendCommand(MEDIA, mine);
      if (this.turn !== turn) return;
      const before = this.#known(room.user.userID);
      this.states.set(room.user.userID, { seq, state: mine });
      this.#told(room.user.userID, before, mine);
    } catch (error) {
      if (this.turn === turn) throw error;
    } finally {
      if (this.turn === turn) this.sending = false;
    }
    // It was changed again meanwhile.
    if (this.mine && !same(mine, this.mine)) await this.say();
  }

  /** What was said before we came, or while we heard nothing. */
  async read() {
    const { room } = this;
    const { turn } = this;
    const { messages = [] } = await room.chat.history(room.roomID, { count: READ });
    if (this.turn !== turn) return;
    for (const message of messages) if (message.type === 'message') this.heard(room.read(message));
    await this.say();
  }

  /** A number of the chat went by: before ours is too old to be found, it is said again. */
  passed(seq = 0) {
    const { room } = this;
    this.newest = Math.max(this.newest, seq);
    const said = this.states.get(room.user?.userID);
    if (!this.mine || !said || same(this.mine, FRESH) || this.newest - said.seq < AGAIN_AFTER) return;
    said.seq = this.newest;
    room.inBackground(this.#send());
  }
}

function pick({ mic, cam, screen, video }) {
  const codecs = Array.isArray(video) ? video.filter((name) => typeof name === 'string').slice(0, MOST_CODECS) : null;
  return { mic: mic !== false, cam: cam !== false, screen: screen === true, ...(codecs && { video: codecs }) };
}

function shown({ mic, cam, screen }) {
  return { mic, cam, screen };
}

function same(a, b) {
  return a.mic === b.mic && a.cam === b.cam && a.screen === b.screen && `${a.video}` === `${b.video}`;
}
