// What merge_stream is asked for: who stands where in the mixed picture.

import { parts } from './urls.js';

const CANVAS = { width: 360, height: 640 };

/** The big anchor fills the picture; up to three co-anchors stand on its right side, from the bottom up. */
export function mixParams({ appID = 0, session, creator, others, now = Date.now() }) {
  const id = (pusher) => parts(pusher.pushURL ?? pusher.accelerateURL)?.stream ?? '';
  const small = { width: Math.round(CANVAS.width * 0.29), height: Math.round(CANVAS.height * 0.24) };
  const inputs = [creator, ...others.slice(0, 3)].map((pusher, i) => ({
    input_stream_id: id(pusher),
    layout_params:
      i === 0
        ? { image_layer: 1, image_width: CANVAS.width, image_height: CANVAS.height, location_x: 0, location_y: 0 }
        : {
            image_layer: i + 1,
            image_width: small.width,
            image_height: small.height,
            location_x: CANVAS.width - small.width - 8,
            location_y: CANVAS.height - i * (small.height + 8) - 72,
          },
  }));
  return {
    timestamp: Math.floor(now / 1000),
    eventId: Math.floor(now / 1000),
    interface: {
      interfaceName: 'Mix_StreamV2',
      para: {
        app_id: String(appID),
        interface: 'mix_streamv2.start_mix_stream_advanced',
        mix_stream_session_id: session,
        output_stream_id: id(creator),
        input_stream_list: inputs,
      },
    },
  };
}
