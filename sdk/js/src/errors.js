// What goes wrong, with a code that programs read and a message that people read.

/** The server's codes, and our own for what never reached it (texts). Chat refusals have texts of their own: `muted`… */
export const Code = Object.freeze({
  MALFORMED: 1,
  NO_ROOM: 3,
  LOGIN_INCOMPLETE: 4,
  NOT_MEMBER: 5,
  NO_CHAT: 6,
  UNAUTHORISED: 7,
  TOO_LONG: 10,
  EXISTS: 11,
  BANNED: 12,
  TOO_MUCH: 429,
  FULL: 5001,
  INTERNAL: -1,
  NETWORK: 'network',
  TIMEOUT: 'timeout',
  ENDED: 'ended',
  STATE: 'state',
  REFUSED: 'refused',
  MEDIA: 'media',
  DENIED: 'denied',
  NO_DEVICE: 'no_device',
  DEVICE_BUSY: 'device_busy',
  LISTENER: 'listener',
  SIGNATURE: 'signature',
  MUTED: 'muted',
  BANNED_FROM_CHAT: 'banned',
  TOO_FAST: 'too_fast',
  NOT_CREATOR: 'not_creator',
  NOT_PERMITTED: 'not_permitted',
});

/** What the protocol's own codes mean; its messages are in Chinese, as its clients know them. */
const ENGLISH = {
  [Code.MALFORMED]: 'a parameter is missing or malformed',
  [Code.NO_ROOM]: 'there is no such room',
  [Code.LOGIN_INCOMPLETE]: 'a login parameter is missing',
  [Code.NOT_MEMBER]: 'not a member of this room',
  [Code.NO_CHAT]: 'the chat group could not be made',
  [Code.UNAUTHORISED]: 'not authorised: the session or the signature is not valid',
  [Code.TOO_LONG]: 'a field is too long',
  [Code.EXISTS]: 'the room exists already',
  [Code.BANNED]: 'banned from this server or room',
  [Code.TOO_MUCH]: 'too many requests, try again later',
  [Code.FULL]: 'the room is full',
  [Code.INTERNAL]: 'the server failed',
};
const CHINESE = /[\u3400-\u9fff]/;
const NAMES = new Map(Object.entries(Code).map(([name, code]) => [code, name]));

/** Every promise of this SDK is rejected with one of these. */
export class RoomError extends Error {
  constructor(code, message, more = {}) {
    super(message);
    this.name = 'RoomError';
    this.code = code;
    Object.assign(this, more);
  }

  /** The code's name in `Code`, such as `NO_ROOM`; for codes without one, the code as a text. */
  get key() {
    return NAMES.get(this.code) ?? String(this.code);
  }

  /** `message` in English, whichever language the server used. */
  get english() {
    if (!CHINESE.test(this.message)) return this.message;
    // What follows the colon is often the field, and says more than the code.
    const detail = this.message.slice(this.message.indexOf(': ') + 2);
    const more = this.message.includes(': ') && !CHINESE.test(detail) ? ` (${detail})` : '';
    return `${ENGLISH[this.code] ?? `error ${this.code}`}${more}`;
  }
}

/** Whatever was thrown, as a RoomError. */
export function asRoomError(cause, code = Code.INTERNAL) {
  return cause instanceof RoomError ? cause : new RoomError(code, cause?.message ?? String(cause), { cause });
}

/** Makes these methods of a class, which all give promises, reject with a RoomError whatever goes wrong in them. */
export function rejectsWell(Class, names, code) {
  for (const name of names) {
    const work = Class.prototype[name];
    Class.prototype[name] = async function (...given) {
      try {
        return await work.apply(this, given);
      } catch (cause) {
        throw asRoomError(cause, code);
      }
    };
  }
}

/** Whether trying the same again may help. */
export function isPassing(error) {
  return PASSING.has(error?.code) || error?.status >= 500 || error?.status === 429;
}

/** The app's backend may be away for a moment, too. */
const PASSING = new Set([Code.NETWORK, Code.TIMEOUT, Code.SIGNATURE]);

/** Why somebody is logged in no longer, and cannot be again: what a room is closed for then; undefined where that is not so. */
export function loggedOut(error) {
  return LOGGED_OUT.get(error?.code);
}

const LOGGED_OUT = new Map([
  [Code.UNAUTHORISED, 'session'],
  // The app gives no signature any more.
  [Code.LOGIN_INCOMPLETE, 'session'],
  [Code.BANNED, 'banned'],
]);
