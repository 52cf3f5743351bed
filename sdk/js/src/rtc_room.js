// Rooms of equals: double rooms (two people) and multi rooms.

import { Room } from './room.js';

export class RTCRoom extends Room {
  /** `double`: for two. */
  constructor({ double = false, ...options }) {
    super({ ...options, kind: double ? 'double_room' : 'multi_room' });
  }
}
