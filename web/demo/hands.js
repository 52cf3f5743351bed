// Hands that are up in a room of several: said to the room as a command, of which other clients show nothing. Who
// comes later finds it among the chat's kept messages.

const HAND = 'hand';

export class Hands {
  /** `changed(userID, up, now)`: a hand went up or down; `now`: this moment, not before we came. */
  constructor(room, changed) {
    Object.assign(this, { room, changed, up: new Set() });
  }

  get mine() {
    return this.up.has(this.room.user?.userID);
  }

  /** A command of somebody. */
  heard({ userID, cmd, msg }, now = true) {
    if (cmd === HAND) this.#set(userID, msg?.up === true, now);
  }

  /** What was said before we came. */
  read(messages) {
    const here = new Set(this.room.pushers.map((p) => p.userID));
    for (const said of messages) if (here.has(said.userID)) this.heard(said, false);
  }

  async toggle() {
    const up = !this.mine;
    await this.room.sendCommand(HAND, { up });
    this.#set(this.room.user.userID, up, true);
  }

  /** Who has left has no hand up. */
  forget(userID) {
    this.#set(userID, false, false);
  }

  #set(userID, up, now) {
    if (this.up.has(userID) === up) return;
    if (up) this.up.add(userID);
    else this.up.delete(userID);
    this.changed(userID, up, now);
  }
}
