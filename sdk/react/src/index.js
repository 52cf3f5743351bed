// React hooks for rooms of roomservice-sdk.

import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { sourceKey, viewOf } from 'roomservice-sdk/view';

/** The room as one value; the component is drawn again at every change. */
export function useRoom(room) {
  const view = viewOf(room);
  return useSyncExternalStore(view.subscribe, view.get, view.get);
}

/** A `ref` for a <video> that plays a pusher, or anything that `room.play` takes, as long as it is shown. */
export function useVideo(room, source, options) {
  // A state: the <video> may come and go while the component stays.
  const [video, setVideo] = useState(null);
  const newest = useRef({ source, options });
  newest.current = { source, options };
  const key = sourceKey(source ?? undefined);
  useEffect(() => {
    if (!key || !video) return undefined;
    const player = room.play(newest.current.source, video, newest.current.options);
    return () => {
      room.inBackground(player.stop());
    };
  }, [room, key, video]);
  return setVideo;
}

/** A `ref` for a <video> that shows our own camera or screen. It makes no sound. */
export function useLocalVideo(room) {
  const [video, setVideo] = useState(null);
  const stream = useRoom(room).local?.stream;
  useEffect(() => {
    if (!video) return;
    video.muted = true;
    video.srcObject = stream ?? null;
    // Refused while it is taken away, or before the page was touched: it is shown all the same.
    if (stream) video.play().catch(() => {});
  }, [stream, video]);
  return setVideo;
}
