// Vue composables for rooms of roomservice-sdk.

import { onScopeDispose, shallowRef, toValue, watch } from 'vue';
import { sourceKey, viewOf } from 'roomservice-sdk/view';

/** The room as one value, in a ref that changes with it. */
export function useRoom(room) {
  const view = viewOf(room);
  const seen = shallowRef(view.get());
  onScopeDispose(
    view.subscribe(() => {
      seen.value = view.get();
    }),
  );
  return seen;
}

/** A template ref for a <video> that plays a pusher, or anything that `room.play` takes, as long as it is shown. */
export function useVideo(room, source, options) {
  const element = shallowRef(null);
  const key = () => sourceKey(toValue(source) ?? undefined);
  watch(
    // A getter: a shallow ref in a list counts as changed whenever anything else in it is looked at.
    [() => element.value, key],
    ([video, shown], _, ended) => {
      if (!video || !shown) return;
      const player = room.play(toValue(source), video, options);
      ended(() => room.inBackground(player.stop()));
    },
    { immediate: true, flush: 'post' },
  );
  return element;
}

/** A template ref for a <video> that shows our own camera or screen. It makes no sound. */
export function useLocalVideo(room) {
  const element = shallowRef(null);
  const seen = useRoom(room);
  watch(
    [() => element.value, () => seen.value.local?.stream],
    ([video, stream]) => {
      if (!video) return;
      video.muted = true;
      video.srcObject = stream ?? null;
      // Refused while it is taken away, or before the page was touched: it is shown all the same.
      if (stream) video.play().catch(() => {});
    },
    { immediate: true, flush: 'post' },
  );
  return element;
}
