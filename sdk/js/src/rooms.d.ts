// The types that browsers and mini-programs share.

/** What the SDK needs of its surroundings. */
export interface Platform {
  readonly name: string;
}

export interface LoginInfo {
  userID: string;
  /** The signature that your backend made for this user, or a function that fetches one (called again when it ended). */
  /**
   * A function is asked again when the session ends. Where it throws it is asked again later, and `error` tells so once (`signature`); where
   * it gives '' nobody is logged in any more, and rooms close with the reason `session`.
   */
  userSig: string | ((userID: string) => string | Promise<string>);
  sdkAppID: number | string;
  accType?: string;
  userName?: string;
  userAvatar?: string;
}

export interface User {
  userID: string;
  userName: string;
  userAvatar: string;
}

export interface Pusher extends User {
  /** RTMP with little delay, for <live-player mode="RTC"> and co-anchors. */
  accelerateURL: string;
  whepURL?: string;
  flvURL?: string;
  hlsURL?: string;
}

/** A pusher, or anything else that says where it can be played. */
export interface Source {
  userID?: string;
  accelerateURL?: string;
  mixedPlayURL?: string;
  whepURL?: string;
  flvURL?: string;
  hlsURL?: string;
}

export type Custom = Record<string, unknown>;

/** A finished recording. What is not known is `''`. */
export interface RecordView {
  recordID: string;
  roomID: string;
  roomType: 'double_room' | 'multi_room' | 'live_room' | '';
  title: string;
  /** Who pushed. */
  userID: string;
  /** Unix seconds. */
  startTime: number;
  /** Seconds. */
  duration: number;
  /** Bytes. */
  fileSize: number;
  /** MP4 over HTTP, for a `<video>`. */
  playURL: string;
}

export interface RoomView {
  roomID: string;
  roomInfo: string;
  roomCreator: string;
  /** HTTP-FLV of the creator's stream, or of the mix that replaces it. */
  mixedPlayURL: string;
  flvURL?: string;
  hlsURL?: string;
  whepURL?: string;
  custom: Custom;
  pushers: Pusher[];
  audienceCount?: number;
  /** How many may push in it; where it was asked for (`limits`), of servers that say it. */
  maxMembers?: number;
  roomStatusCode?: number;
}

export interface PushURLs {
  pushURL: string;
  accelerateURL?: string;
  whipURL?: string;
  whepURL?: string;
  flvURL?: string;
  hlsURL?: string;
}

export declare const Code: {
  readonly MALFORMED: 1;
  readonly NO_ROOM: 3;
  readonly LOGIN_INCOMPLETE: 4;
  readonly NOT_MEMBER: 5;
  readonly NO_CHAT: 6;
  readonly UNAUTHORISED: 7;
  readonly TOO_LONG: 10;
  readonly EXISTS: 11;
  readonly BANNED: 12;
  readonly TOO_MUCH: 429;
  readonly FULL: 5001;
  readonly INTERNAL: -1;
  readonly NETWORK: 'network';
  readonly TIMEOUT: 'timeout';
  readonly ENDED: 'ended';
  readonly STATE: 'state';
  readonly REFUSED: 'refused';
  readonly MEDIA: 'media';
  /** The person, the browser or the system gives no camera, microphone or screen. */
  readonly DENIED: 'denied';
  readonly NO_DEVICE: 'no_device';
  readonly DEVICE_BUSY: 'device_busy';
  /** A listener of yours threw. */
  readonly LISTENER: 'listener';
  /** Your function `userSig` failed. */
  readonly SIGNATURE: 'signature';
  readonly MUTED: 'muted';
  readonly BANNED_FROM_CHAT: 'banned';
  readonly TOO_FAST: 'too_fast';
  readonly NOT_CREATOR: 'not_creator';
  readonly NOT_PERMITTED: 'not_permitted';
};

/** Every promise is rejected with one of these. Codes of the chat are texts: `muted`, `banned`, `too_fast`… */
export declare class RoomError extends Error {
  code: number | string;
  /** The code's name in `Code`, such as `NO_ROOM`. */
  readonly key: string;
  /** `message` in English: the protocol's own is Chinese. */
  readonly english: string;
  /** The HTTP status, where there was one. */
  status?: number;
  /** Whose stream it is about, where one that is played or published is refused or does not connect. */
  userID?: string;
  /** Where media should have gone, as `host:port`, where it does not get there. */
  addresses?: string[];
  /** The end of a measure (`muted`, `banned`) in Unix milliseconds; null: none. */
  until?: number | null;
  constructor(code: number | string, message: string, more?: object);
}

export type ConnectionState = 'disconnected' | 'connecting' | 'connected' | 'reconnecting';

/** Whether a pusher's microphone and camera are on, and whether it shows its screen in place of the camera. */
export interface PusherMedia {
  mic: boolean;
  cam: boolean;
  screen: boolean;
}

export interface Quality {
  /** `lost` while there is no connection. */
  quality: 'good' | 'fair' | 'poor' | 'lost';
  /** Milliseconds to the server and back. */
  roundTrip: number | null;
  /** The part of the packets that were lost, from 0 to 1. */
  loss: number | null;
  /** Bits a second. */
  bitrate: number;
}

export type DeviceName = 'camera' | 'microphone' | 'speaker';

/** A text (`textMsg`) or a command (`cmd` and `msg`), or what another kind of client sent. */
export interface HistoryMessage extends User {
  roomID: string;
  time: number;
  seq: number;
  textMsg?: string;
  cmd?: string;
  msg?: unknown;
}

export interface OpenOptions {
  /** Whether to open one, or which. Default: true. */
  camera?: boolean | string;
  microphone?: boolean | string;
  video?: MediaTrackConstraints;
  audio?: MediaTrackConstraints;
}

export interface RoomListener {
  /** Who is in, on entering; without ourselves. */
  onGetPusherList?(event: { pushers: Pusher[] }): void;
  onPusherJoin?(event: { pushers: Pusher[] }): void;
  onPusherQuit?(event: { pushers: Pusher[] }): void;
  /** After every look at the room. */
  onRoomUpdate?(event: { room: RoomView }): void;
  /**
   * We are out. `reason`: `destroyed`, `revoked`, `kicked`, `banned`, `lost` (not there any more), `session`, or `unloaded`: the page
   * was left, and the browser kept it and shows it again.
   */
  onRoomClose?(event: { roomID: string; reason: string }): void;
  onRecvRoomTextMsg?(event: User & { roomID: string; textMsg: string; time: number; seq: number }): void;
  onRecvRoomCustomMsg?(event: User & { roomID: string; cmd: string; msg: unknown; time: number; seq: number }): void;
  onRecvC2CCustomMsg?(event: User & { cmd: string; msg: unknown; time: number }): void;
  /** The operator says something to the room. */
  onNotice?(event: { textMsg: string }): void;
  /** How many users are in the room's chat. */
  onUserCount?(event: { users: number }): void;
  /** Whether the server answers. What was lost comes back by itself. */
  onConnection?(event: { online: boolean; error?: RoomError }): void;
  /** The same of chat, calls and the system's network together: what to show people. */
  onConnectionState?(event: { state: ConnectionState }): void;
  /** A pusher turned its microphone, camera or screen on or off; ourselves too. */
  onMediaState?(event: PusherMedia & { userID: string }): void;
  /** Our own microphone, camera or screen was turned on or off, or a device exchanged. */
  onLocalMedia?(event: PusherMedia & { stream: MediaStream }): void;
  /** Somebody begins or ceases to speak; with `levels: true`. */
  onSpeaking?(event: { userID: string; speaking: boolean }): void;
  /** Every two seconds of each stream that is published or played here. */
  onQuality?(event: Quality & { userID: string }): void;
  /** The browser plays without sound, until somebody clicks and `resumeAudio` is called; or it plays with sound again. */
  onAudioBlocked?(event: { blocked: boolean }): void;
  onChatState?(event: { state: 'connecting' | 'open' | 'waiting' | 'closed' | 'ended' }): void;
  /**
   * What goes wrong in the background. A stream that the server refuses to a player (406: `message` says why) or to us as its publisher
   * (409: it is published elsewhere), or that cannot be reached, is told once; it is tried again all the same, but for `publish` see there.
   */
  onError?(error: RoomError): void;
}

/** What anchors of two rooms say to each other of a PK, as Android's and iOS's clients do. */
export interface PKMessage {
  type?: 'request' | 'response' | string;
  /** Of a request. */
  action?: 'start' | 'stop' | string;
  /** Of a response. */
  result?: 'accept' | 'reject' | string;
  message?: string;
  /** The sender's room, and where its stream is played. */
  roomID?: string;
  accelerateURL?: string;
  timestamp?: number;
  [more: string]: unknown;
}

export interface LiveRoomListener extends RoomListener {
  /** For the anchor: a viewer asks to push. */
  onRecvJoinPusherRequest?(event: User & { time: number }): void;
  onRecvAcceptJoinPusher?(event: User): void;
  onRecvRejectJoinPusher?(event: User & { reason: string }): void;
  /** Another room's anchor says something of a PK; `data` is what it sent: see `sendPK`. */
  onRecvPK?(event: User & { time: number; data: PKMessage }): void;
  /** The anchor ended our pushing; we watch on. */
  onKickoutJoinPusher?(event: User & { roomID: string }): void;
}

/** Events by name, without the `on` of the listener's functions: `pusherJoin`, `recvRoomTextMsg`, `error`… */
export type EventsOf<Listener> = {
  [Name in keyof Listener as Name extends `on${infer Short}` ? Uncapitalize<Short> : never]-?: Parameters<
    Extract<Listener[Name], (event: never) => unknown>
  >[0];
};

/** Events with several listeners for each. What a listener throws, or a promise of it, is told by `error`. */
export declare class Emitter<Events> {
  /** Returns a function that ends it. */
  on<Name extends keyof Events>(name: Name, call: (event: Events[Name]) => unknown): () => void;
  once<Name extends keyof Events>(name: Name, call: (event: Events[Name]) => unknown): () => void;
  /** Of one listener, of an event, or of all. */
  off<Name extends keyof Events>(name?: Name, call?: (event: Events[Name]) => unknown): this;
}

export type MediaState = 'new' | 'connecting' | 'open' | 'waiting' | 'closed';

export interface PublishOptions {
  /** Bits a second, of the largest size. */
  maxBitrate?: number;
  /** Three sizes of the pictures, of which each WebRTC viewer is sent the one that its network carries. */
  simulcast?: boolean;
  onState?(state: MediaState, error?: RoomError): void;
  onQuality?(figures: Quality): void;
}
export interface PlayOptions {
  audio?: boolean;
  video?: boolean;
  /** The pusher's own stream even while the audience is shown a mix in its place. Default: true where a pusher plays another. */
  raw?: boolean;
  onStream?(stream: MediaStream): void;
  onQuality?(figures: Quality): void;
  onState?(state: MediaState, error?: RoomError): void;
}

/** Lives until `stop`; comes back by itself in between. */
export declare class MediaLink {
  readonly state: MediaState;
  /** `gone`: the stream itself has ended. */
  stop(options?: { gone?: boolean }): Promise<void>;
  restart(options?: { gone?: boolean }): void;
  stats(): Promise<RTCStatsReport | null>;
}
export declare class Publisher extends MediaLink {
  /** The track before it is stopped, unless it is to be kept. */
  replaceTrack(track: MediaStreamTrack, options?: { keep?: boolean }): Promise<void>;
}
export declare class Player extends MediaLink {}

export declare class AnySession {
  readonly user: User | null;
  open(login: LoginInfo): Promise<User>;
  close(): Promise<void>;
}

declare class Room<Listener extends RoomListener> extends Emitter<EventsOf<Listener>> {
  readonly roomID: string | null;
  readonly roomInfo: string;
  readonly roomCreator: string;
  readonly mixedPlayURL: string;
  /** The creator's stream, or the mix that replaces it: something to `play`. */
  readonly mix: Source;
  readonly custom: Custom;
  readonly pushers: Pusher[];
  readonly others: Pusher[];
  readonly user: User | null;
  readonly isCreator: boolean;
  readonly isPusher: boolean;
  /** One listener for everything, beside those of `on`; a second call replaces the first one's. */
  setListener(listener: Listener | null): void;
  /** With a shared session that is open, nothing need be given. */
  login(login?: LoginInfo): Promise<User>;
  /** Leaves and ends the chat; a shared session stays open. */
  close(options?: { unloading?: boolean }): Promise<void>;
  logout(): Promise<void>;
  getRoomList(page?: { index?: number; cnt?: number }): Promise<{ rooms: RoomView[] }>;
  /** Finished recordings that the user may see, newest first; `cursor` of an answer gives the next page, and is `''` at the end. */
  getRecordList(of?: {
    roomID?: string;
    ownerID?: string;
    /** 1 to 200. */
    cnt?: number;
    cursor?: string;
  }): Promise<{ records: RecordView[]; cursor: string }>;
  getPushURL(of?: { roomID?: string }): Promise<PushURLs>;
  createRoom(room?: { roomID?: string; roomInfo?: string; roomName?: string; pushURL?: string }): Promise<RoomView>;
  enterRoom(room: { roomID: string; pushURL?: string }): Promise<RoomView>;
  /** Enters as a pusher; where the room does not exist, it is made. */
  push(room: { roomID: string; roomInfo?: string; pushURL?: string }): Promise<RoomView>;
  /** `unloading`: the page goes (`pagehide`), and its media connections end with it. */
  exitRoom(options?: { unloading?: boolean }): Promise<void>;
  getPushers(of?: { roomID?: string; limits?: boolean }): Promise<RoomView>;
  refresh(): Promise<void>;
  sendRoomTextMsg(message: { msg: string }): Promise<void>;
  /** A text comes as the same text. All else goes as its JSON, and comes as what it was to this SDK, as text to other clients. */
  sendRoomCustomMsg(message: { cmd: string; msg: unknown }): Promise<void>;
  /** Kept messages, oldest first; those before number `before` if that is given. A room keeps 200. */
  getHistory(page?: { before?: number; count?: number }): Promise<{ messages: HistoryMessage[] }>;
  /** For the room's creator, as are the next ones: out of chat, streams and room for `seconds` (60; at most 600). */
  kickUser(user: { userID: string; seconds?: number }): Promise<void>;
  /** May not write, for `seconds` or as long as the room is there. */
  muteUser(user: { userID: string; seconds?: number }): Promise<void>;
  unmuteUser(user: { userID: string }): Promise<void>;
  /** May not be in the room. */
  banUser(user: { userID: string; seconds?: number }): Promise<void>;
  unbanUser(user: { userID: string }): Promise<void>;
  sendC2CCustomMsg(message: { userID: string; cmd: string; msg: unknown }): Promise<void>;
  readonly connection: ConnectionState;
  /** What a pusher said of itself. */
  mediaStateOf(userID: string): PusherMedia;
  /** Tells the others of a microphone and camera that something else than this SDK has, such as <live-pusher>. */
  tellMediaState(state: Partial<PusherMedia>): Promise<void>;
  /** Opens camera and microphone, before or after entering; the stream's tracks change with what is turned on. */
  openMedia(options?: OpenOptions): Promise<MediaStream>;
  closeMedia(): void;
  /** Others see it, also who comes later. A microphone that is off stays open; it is off at once, and stays off, whatever is closed and opened, until it is turned on here. */
  setMicrophoneEnabled(on: boolean): Promise<void>;
  /** A camera that is off is closed; black pictures go on. */
  setCameraEnabled(on: boolean): Promise<void>;
  /** The screen in place of the camera, which is back when it ends. Rejects with `denied` where none was chosen. */
  setScreenShareEnabled(on: boolean, options?: { video?: boolean | MediaTrackConstraints }): Promise<void>;
  switchDevice(name: DeviceName, deviceID: string): Promise<void>;
  /** A track of yours in place of camera or microphone, such as a canvas; it is never stopped. */
  useTrack(track: MediaStreamTrack): Promise<void>;
  getDevices(): Promise<Record<DeviceName, MediaDeviceInfo[]>>;
  /** How loud somebody is, from 0 to 1; with `levels: true`. */
  audioLevelOf(userID: string): number;
  qualityOf(userID: string): Quality | null;
  /**
   * What `openMedia` opened, or a stream of your own, whose tracks are never stopped. Resolves once media flows; rejects with `ended` where
   * `publish` or `unpublish` is called before, and with what `error` told where the server refuses the stream for 20 seconds before. Then
   * it is over; what was published once comes back by itself.
   */
  publish(stream?: MediaStream | null, options?: PublishOptions): Promise<Publisher>;
  unpublish(): Promise<void>;
  /** Until `stop()`, or until the room is left that it began in. */
  play(source: Source, element: HTMLMediaElement | null, options?: PlayOptions): Player;
  /** Whether something is played without sound, because the browser allows none before somebody clicks. */
  readonly audioBlocked: boolean;
  /** Plays it with sound; to be called where somebody clicks. Rejects with `denied` where the browser allows it still not. */
  resumeAudio(): Promise<void>;
  playURLs(pusher: Pusher): [name: string, url: string][];
}

export declare class AnyRTCRoom extends Room<RoomListener> {}

export declare class AnyLiveRoom extends Room<LiveRoomListener> {
  readonly viewer: boolean;
  /** Enters as a viewer. */
  enterRoom(room: { roomID: string }): Promise<RoomView>;
  getAudienceList(of?: { roomID?: string }): Promise<{ audienceCount: number; audiences: User[] }>;
  setCustomField(field: {
    fieldName: string;
    operation: 'set' | 'inc' | 'dec';
    value?: unknown;
  }): Promise<{ custom: Custom }>;
  /** Resolves when the anchor accepts; then call `joinPusher`. */
  requestJoinPusher(options?: { timeout?: number }): Promise<void>;
  joinPusher(options?: { pushURL?: string }): Promise<void>;
  quitJoinPusher(): Promise<void>;
  acceptJoinPusher(viewer: { userID: string }): Promise<void>;
  rejectJoinPusher(viewer: { userID: string; reason?: string }): Promise<void>;
  kickoutSubPusher(pusher: { userID: string }): Promise<void>;
  /** To another room's anchor. Our own room and stream are added. */
  sendPK(message: PKMessage & { userID: string }): Promise<void>;
  mergeStream(mergeParams?: object): Promise<void>;
}
