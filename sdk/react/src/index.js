// React hooks for rooms of roomservice-sdk.

import { useEffect, useRef, useSyncExternalStore } from 'react';
import { viewOf } from 'roomservice-sdk/view';

/** The room as one value; the component is drawn again at every change. */
export function useRoom(room) {
  const view = viewOf(room);
  return useSyncExternalStore(view.subscribe, view.get, view.get);
}

/** A `ref` for a <video> that plays a pusher, or anything that `room.play` takes, as long as it is shown. */
export function useVideo(room, source, options) {
  const element = useRef(null);
  const newest = useRef({ source, options });
  newest.current = { source, options };
  const key = source?.userID ?? source?.whepURL ?? source?.mixedPlayURL;
  useEffect(() => {
    if (!key || !element.current) return undefined;
    const player = room.play(newest.current.source, element.current, newest.current.options);
    return () => {
      room.inBackground(player.stop());
    };
  }, [room, key]);
  return element;
}

/** A `ref` for a <video> that shows our own camera or screen. It makes no sound. */
export function useLocalVideo(room) {
  const element = useRef(null);
  const stream = useRoom(room).local?.stream;
  useEffect(() => {
    const video = element.current;
    if (!video) return;
    video.muted = true;
    video.srcObject = stream ?? null;
    // Refused while it is taken away, or before the page was touched: it is shown all the same.
    if (stream) video.play().catch(() => {});
  }, [stream]);
  return element;
}
