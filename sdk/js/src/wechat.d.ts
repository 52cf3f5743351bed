import { AnyLiveRoom, AnyRTCRoom, Platform, Pusher, PusherMedia } from './rooms.js';

export { Code, RoomError } from './rooms.js';
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

/** Of WeChat's `wx`. */
export declare function wechat(wx: unknown): Platform;

export interface WeChatOptions {
  server: string;
  /** Of the server's messages, such as `en`. */
  language?: string;
  wx?: unknown;
}

/** What <live-player>s play: each URL stays as long as it is the same stream. */
export interface ToPlay {
  /** For mode `live`: what the audience of a live room sees; else empty. */
  live: string;
  /** For mode `RTC`. */
  others: (Pusher & PusherMedia & { url: string })[];
}

interface Played {
  toPlay(): ToPlay;
  /** For the codes 2006 and -2301 of `bindstatechange`: until it resolves, `toPlay` has no URL for that stream, and then a fresh one. */
  playAgain(url: string): Promise<void>;
}

/** `publish` and `play` are not for mini-programs: give `pushURL` to <live-pusher> and what `toPlay` says to <live-player>. */
export declare class RTCRoom extends AnyRTCRoom implements Played {
  constructor(options: WeChatOptions & { double?: boolean });
  toPlay(): ToPlay;
  playAgain(url: string): Promise<void>;
}
export declare class LiveRoom extends AnyLiveRoom implements Played {
  constructor(options: WeChatOptions & { autoMix?: boolean });
  toPlay(): ToPlay;
  playAgain(url: string): Promise<void>;
}
