import { AnyLiveRoom, AnyRTCRoom } from './rooms.js';

export {
  Code,
  RoomError,
  User,
  Pusher,
  RoomView,
  RoomListener,
  LiveRoomListener,
  LoginInfo,
  PushURLs,
} from './rooms.js';

export interface WeChatOptions {
  server: string;
  wx?: unknown;
}

/** `publish` and `play` are not for mini-programs: give `pushURL` to <live-pusher> and `accelerateURL` to <live-player>. */
export declare class RTCRoom extends AnyRTCRoom {
  constructor(options: WeChatOptions & { double?: boolean });
}
export declare class LiveRoom extends AnyLiveRoom {
  constructor(options: WeChatOptions & { autoMix?: boolean });
}
