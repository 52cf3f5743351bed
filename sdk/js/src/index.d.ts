import { AnyLiveRoom, AnyRTCRoom, AnySession } from './rooms.js';

export * from './rooms.js';

/** What the SDK needs of its surroundings. */
export interface Platform {
  readonly name: string;
}
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
