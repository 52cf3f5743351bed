// A room as one value that changes: for frameworks that draw what they are given, such as React and Vue.

/** The newest messages that a view keeps. */
const KEPT = 200;
/** The events that change what is seen. */
const SEEN = [
  'getPusherList',
  'roomUpdate',
  'roomClose',
  'connectionState',
  'mediaState',
  'localMedia',
  'speaking',
  'quality',
  'audioBlocked',
  'userCount',
  'recvRoomTextMsg',
  // For views alone: the room is left, or our devices are closed.
  'view',
];
const views = new WeakMap();

/** What something that `room.play` takes is known by: the same as long as it is the same stream, however its URLs are signed. */
export function sourceKey({ userID, whepURL, accelerateURL, mixedPlayURL } = {}) {
  return userID ?? (whepURL || accelerateURL || mixedPlayURL)?.split('?')[0];
}

/** The view of a room: `get()` its newest value, `subscribe(call)` to changes, which gives what ends that. */
export function viewOf(room) {
  if (!views.has(room)) views.set(room, new View(room));
  return views.get(room);
}

class View {
  #room;
  #calls = new Set();
  #value = null;
  #messages = [];
  #speaking = new Set();
  #users = 0;
  #closed = null;
  #of = null;

  /** Listens as long as the room lives: what is asked for twice without a change between must be the same value. */
  constructor(room) {
    this.#room = room;
    this.#value = this.#look();
    for (const name of SEEN) room.on(name, (event) => this.#happened(name, event));
  }

  get = () => this.#value;

  subscribe = (call) => {
    const one = () => call();
    this.#calls.add(one);
    return () => this.#calls.delete(one);
  };

  #happened(name, event) {
    const { roomID } = this.#room;
    if (roomID !== this.#of) {
      // Another room than before, the same one anew, or none: what was said there is kept until there is one.
      this.#of = roomID;
      this.#speaking.clear();
      this.#users = 0;
      if (roomID) this.#messages = [];
      if (roomID) this.#closed = null;
    }
    if (name === 'recvRoomTextMsg') this.#messages = [...this.#messages, event].slice(-KEPT);
    else if (name === 'speaking') this.#speaking[event.speaking ? 'add' : 'delete'](event.userID);
    else if (name === 'userCount') this.#users = event.users;
    else if (name === 'roomClose' && !roomID) this.#closed = event.reason;
    this.#value = this.#look();
    for (const call of [...this.#calls]) this.#room.guard('view', call);
  }

  #look() {
    const room = this.#room;
    const { roomID, roomInfo, roomCreator, custom, connection, isPusher, isCreator, user, audioBlocked } = room;
    const pushers = room.pushers.map((pusher) => ({
      ...pusher,
      ...room.mediaStateOf(pusher.userID),
      speaking: this.#speaking.has(pusher.userID),
      quality: room.qualityOf(pusher.userID),
    }));
    return {
      ...{ roomID, roomInfo, roomCreator, custom, connection, isPusher, isCreator, user, audioBlocked },
      pushers,
      others: pushers.filter((p) => p.userID !== user?.userID),
      local: room.local && { stream: room.local.stream, ...room.local.state },
      messages: this.#messages,
      users: this.#users,
      closed: this.#closed,
    };
  }
}
