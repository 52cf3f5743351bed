import type {
  AnyLiveRoom,
  AnyRTCRoom,
  ConnectionState,
  Custom,
  HistoryMessage,
  Pusher,
  PusherMedia,
  Quality,
  Source,
  User,
} from './rooms.js';

export type PusherSeen = Pusher & PusherMedia & { speaking: boolean; quality: Quality | null };

/** A room as one value; every change makes a new one. */
export interface RoomSeen {
  roomID: string | null;
  roomInfo: string;
  roomCreator: string;
  custom: Custom;
  connection: ConnectionState;
  isPusher: boolean;
  isCreator: boolean;
  user: User | null;
  /** Whether the browser plays without sound until somebody clicks: then `room.resumeAudio()`. */
  audioBlocked: boolean;
  pushers: PusherSeen[];
  others: PusherSeen[];
  local: (PusherMedia & { stream: MediaStream }) | null;
  /** Texts that came since the view was first asked for; the newest 200. */
  messages: (HistoryMessage & { textMsg: string })[];
  users: number;
  /** Why the room was closed, or we are out; until a room is entered, the same one too. */
  closed: string | null;
}

/** For `useSyncExternalStore` and the like. */
export declare function viewOf(room: AnyRTCRoom | AnyLiveRoom): {
  get(): RoomSeen;
  subscribe(call: () => void): () => void;
};

/** What something that `room.play` takes is known by: the same as long as it is the same stream, however its URLs are signed. */
export declare function sourceKey(source?: Source): string | undefined;
