import { AnyLiveRoom, AnyRTCRoom, AnySession, Platform } from './rooms.js';

export { Code, Player, Publisher, RoomError } from './rooms.js';
// Types alone: the SDK has no such values, also where they are classes here.
export type {
  Platform,
  LoginInfo,
  User,
  Pusher,
  Source,
  Custom,
  RecordView,
  RoomView,
  PushURLs,
  ConnectionState,
  PusherMedia,
  Quality,
  DeviceName,
  HistoryMessage,
  OpenOptions,
  RoomListener,
  PKMessage,
  LiveRoomListener,
  EventsOf,
  Emitter,
  MediaState,
  PublishOptions,
  PlayOptions,
  MediaLink,
  AnySession,
  AnyRTCRoom,
  AnyLiveRoom,
} from './rooms.js';

/** A browser's, or that of Node: before Node 22 with a `WebSocket` of your own, such as that of the package `ws`. */
export declare function browser(options?: { fetch?: unknown; WebSocket?: unknown }): Platform;

export interface BrowserOptions {
  server?: string;
  session?: Session;
  /** Of the server's messages, such as `en`. */
  language?: string;
  /** WHIP and WHEP are asked at `server`, whichever host their URLs name. */
  mediaAtServer?: boolean;
  platform?: Platform;
  /** Whether it is listened to who speaks: `speaking`, `audioLevelOf`. */
  levels?: boolean;
  /** Whether who closes the page, or goes to another one, leaves the room at once and not after 20 s. Default: true. */
  leaveWithPage?: boolean;
}

/** One login for several rooms. */
export declare class Session extends AnySession {
  constructor(options?: { server?: string; platform?: Platform; language?: string; mediaAtServer?: boolean });
}

/** Two (`double`) or several equals. `server`: `https://host`; without it, the page's own. */
export declare class RTCRoom extends AnyRTCRoom {
  constructor(options?: BrowserOptions & { double?: boolean });
}
/** An anchor, co-anchors and an audience. */
export declare class LiveRoom extends AnyLiveRoom {
  constructor(options?: BrowserOptions & { autoMix?: boolean });
}
