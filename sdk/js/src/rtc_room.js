// Rooms of equals: double rooms (two people) and multi rooms.

import { MediaRoom } from './media_room.js';

export class RTCRoom extends MediaRoom {
  /** `double`: for two. */
  constructor({ double = false, ...options }) {
    super({ ...options, kind: double ? 'double_room' : 'multi_room' });
  }
}
