import type { AnyLiveRoom, AnyRTCRoom, PlayOptions, Source } from 'roomservice-sdk';
import type { RoomSeen } from 'roomservice-sdk/view';
import type { MaybeRefOrGetter, ShallowRef } from 'vue';

type Room = AnyRTCRoom | AnyLiveRoom;

/** The room as one value, in a ref that changes with it. */
export declare function useRoom(room: Room): Readonly<ShallowRef<RoomSeen>>;
/** For `<video ref="…">`: plays a pusher as long as it is shown. */
export declare function useVideo(
  room: Room,
  source: MaybeRefOrGetter<Source | null | undefined>,
  options?: PlayOptions,
): ShallowRef<HTMLVideoElement | null>;
/** For `<video ref="…">`: our own camera or screen. */
export declare function useLocalVideo(room: Room): ShallowRef<HTMLVideoElement | null>;
