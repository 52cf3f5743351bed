import { AnyLiveRoom, AnyRTCRoom, AnySession } from './rooms.js';

export * from './rooms.js';

export interface BrowserOptions { server?: string; session?: Session }

/** One login for several rooms. */
export declare class Session extends AnySession { constructor(options?: { server?: string }) }

/** Two (`double`) or several equals. `server`: `https://host`; without it, the page's own. */
export declare class RTCRoom extends AnyRTCRoom { constructor(options?: BrowserOptions & { double?: boolean }) }
/** An anchor, co-anchors and an audience. */
export declare class LiveRoom extends AnyLiveRoom { constructor(options?: BrowserOptions & { autoMix?: boolean }) }
