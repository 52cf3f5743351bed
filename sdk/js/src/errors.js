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
});

/** Every promise of this SDK is rejected with one of these. */
export class RoomError extends Error {
  constructor(code, message, more = {}) {
    super(message);
    this.name = 'RoomError';
    this.code = code;
    Object.assign(this, more);
  }
}

/** Whatever was thrown, as a RoomError. */
export function asRoomError(cause, code = Code.INTERNAL) {
  return cause instanceof RoomError ? cause : new RoomError(code, cause?.message ?? String(cause), { cause });
}

/** Whether trying the same again may help. */
export function isPassing(error) {
  return error?.code === Code.NETWORK || error?.code === Code.TIMEOUT || error?.status >= 500 || error?.status === 429;
}
