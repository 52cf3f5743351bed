// RoomService for browsers: rooms with WHIP and WHEP inside.

import { LiveRoom as AnyLiveRoom } from './live_room.js';
import { codecFor, decodes, Player, Publisher } from './media.js';
import { browser } from './platform/browser.js';
import { RTCRoom as AnyRTCRoom } from './rtc_room.js';
import { Session as AnySession } from './session.js';

export { Code, RoomError } from './errors.js';
export { Player, Publisher } from './media.js';
export { browser } from './platform/browser.js';

const media = { Player, Publisher, decodes, codecFor };

export class RTCRoom extends AnyRTCRoom {
  constructor(options = {}) {
    super({ platform: browser(), media, ...options });
  }
}

export class LiveRoom extends AnyLiveRoom {
  constructor(options = {}) {
    super({ platform: browser(), media, ...options });
  }
}

/** One login for several rooms: `new RTCRoom({ session })`. */
export class Session extends AnySession {
  constructor(options = {}) {
    super({ platform: browser(), ...options });
  }
}
