import type { RefCallback } from 'react';
import type { AnyLiveRoom, AnyRTCRoom, PlayOptions, Source } from 'roomservice-sdk';
import type { RoomSeen } from 'roomservice-sdk/view';

type Room = AnyRTCRoom | AnyLiveRoom;

/** The room as one value; the component is drawn again at every change. */
export declare function useRoom(room: Room): RoomSeen;
/** For `<video ref={…}>`: plays a pusher as long as it is shown. */
export declare function useVideo(
  room: Room,
  source: Source | null | undefined,
  options?: PlayOptions,
): RefCallback<HTMLVideoElement>;
/** For `<video ref={…}>`: our own camera or screen. */
export declare function useLocalVideo(room: Room): RefCallback<HTMLVideoElement>;
