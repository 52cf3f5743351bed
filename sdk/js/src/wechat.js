// RoomService for WeChat mini-programs: media by <live-pusher> and <live-player> with the URLs of getPushURL and pushers.

import { LiveRoom as AnyLiveRoom } from './live_room.js';
import { wechat } from './platform/wechat.js';
import { RTCRoom as AnyRTCRoom } from './rtc_room.js';

export { Code, RoomError } from './errors.js';
export { wechat } from './platform/wechat.js';

/* global wx */

export class RTCRoom extends AnyRTCRoom {
  constructor(options = {}) {
    super({ platform: wechat(options.wx ?? wx), ...options });
  }
}

export class LiveRoom extends AnyLiveRoom {
  constructor(options = {}) {
    super({ platform: wechat(options.wx ?? wx), ...options });
  }
}
