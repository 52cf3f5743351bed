// What the demo's tiles do where WebRTC does not serve a viewer.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Playback } from '../../../web/demo/playback.js';
import { clock, settle } from './fake.js';

beforeEach(() => {
  clock.enable();
  globalThis.RTCPeerConnection = class {};
});
afterEach(() => {
  delete globalThis.RTCPeerConnection;
  clock.reset();
});

class Video extends EventTarget {
  src = null;
  plays = 0;
  muted = false;
  canPlayType() {
    return this.able;
  }
  removeAttribute(name) {
    this[name] = null;
  }
  async play() {
    this.plays += 1;
  }
}

function played({ able = 'maybe' } = {}) {
  const video = Object.assign(new Video(), { able });
  const players = [];
  const states = [];
  const playback = new Playback(video, {
    play: (element, { onState }) => {
      const player = { element, onState, stopped: false, stop: () => Object.assign(player, { stopped: true }) };
      players.push(player);
      // As the SDK does, before it returns.
      onState('connecting');
      return player;
    },
    hls: () => 'https://h/live/s.m3u8',
    onState: (state) => state !== 'connecting' && states.push(state),
  });
  return { video, playback, players, states };
}
const unreached = { addresses: ['h:1'] };

test('media that does not get here is shown by HLS, and by WebRTC as soon as that serves', async () => {
  const { video, playback, players, states } = played();
  players[0].onState('waiting', unreached);
  assert.deepEqual([video.src, video.plays, players[0].stopped], ['https://h/live/s.m3u8', 1, true]);
  // A stream that has just begun has no pieces yet.
  video.dispatchEvent(new Event('error'));
  clock.tick(3_000);
  assert.equal(video.plays, 2);
  clock.tick(12_000);
  assert.deepEqual([players.length, players[1].element], [2, null], 'asked beside what is shown');
  players[1].onState('waiting', unreached);
  assert.deepEqual([players[1].stopped, video.src !== null], [true, true]);
  clock.tick(60_000);
  players[2].onState('open');
  assert.deepEqual([players[2].stopped, players[3].element, video.src !== null], [true, video, true]);
  players[3].onState('open');
  assert.deepEqual([video.src, states], [null, ['waiting', 'open']]);
  playback.stop();
  assert.ok(players.every((one) => one.stopped));
  clock.tick(120_000);
  await settle();
  assert.equal(players.length, 4);
});

test('a codec that the others change within seconds is waited for; one that stays is not', () => {
  const refusal = { status: 406 };
  const { video, playback, players } = played();
  players[0].onState('waiting', refusal);
  clock.tick(4_000);
  players[0].onState('waiting', refusal);
  players[0].onState('open');
  clock.tick(60_000);
  players[0].onState('waiting', refusal);
  assert.equal(video.src, null);
  clock.tick(6_000);
  players[0].onState('waiting', { status: 409 });
  assert.equal(video.src, null, 'nobody publishes');
  players[0].onState('waiting', refusal);
  assert.ok(video.src);
  playback.stop();
  assert.equal(video.src, null);
});

test('a browser that has no HLS goes on with WebRTC; one without WebRTC has HLS alone', () => {
  const { video, players } = played({ able: '' });
  players[0].onState('waiting', unreached);
  assert.deepEqual([video.src, players[0].stopped], [null, false]);
  delete globalThis.RTCPeerConnection;
  const old = played();
  assert.deepEqual([old.players, old.video.src], [[], 'https://h/live/s.m3u8']);
});
