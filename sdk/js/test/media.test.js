import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { codecFor, decodes, iceServersOf, Player, Publisher } from '../src/media.js';
import { RTCRoom } from '../src/rtc_room.js';
import { Session } from '../src/session.js';
import * as urls from '../src/urls.js';
import { viewOf } from '../src/view.js';
import { clock, settle } from './fake.js';

afterEach(() => clock.reset());

class FakePeer extends EventTarget {
  static made = [];
  constructor() {
    super();
    FakePeer.made.push(this);
    this.connectionState = 'new';
    this.transceivers = [];
  }
  addTransceiver(what, how) {
    const t = {
      what,
      how,
      sender: {
        track: what,
        replaceTrack: async (n) => {
          t.sender.track = n;
        },
      },
    };
    this.transceivers.push(t);
    return t;
  }
  getTransceivers() {
    return this.transceivers;
  }
  async createOffer() {
    return { type: 'offer', sdp: 'offer' };
  }
  async setLocalDescription(d) {
    this.localDescription = d;
  }
  async setRemoteDescription(d) {
    this.remote = d;
  }
  getConfiguration() {
    return { bundlePolicy: 'max-bundle' };
  }
  setConfiguration(c) {
    this.configured = c;
    this.before = this.localDescription;
  }
  become(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
  close() {
    this.closed = true;
  }
}

function platform(answers) {
  const calls = [];
  return {
    calls,
    onReturn: () => () => {},
    request: async (url, options) => {
      calls.push([options.method, url, options.body]);
      return answers.shift() ?? { status: 200, text: '', header: () => null };
    },
  };
}

const created = (location) => ({ status: 201, text: 'answer', header: () => location });
const track = (kind) => ({
  kind,
  stop() {
    this.stopped = true;
  },
});
const stream = (...tracks) => ({
  getTracks: () => tracks,
  removeTrack: (t) => tracks.splice(tracks.indexOf(t), 1),
  addTrack: (t) => tracks.push(t),
});

/** A publisher of these tracks, and what it tells of itself. */
function publishing(p, url, ...tracks) {
  const states = [];
  const publisher = new Publisher({
    platform: p,
    url,
    stream: stream(...tracks),
    RTCPeerConnection: FakePeer,
    onState: (s) => states.push(s),
  });
  return { publisher, states };
}

test('publishes, comes back after a failure, and says goodbye', async () => {
  clock.enable();
  FakePeer.made = [];
  const p = platform([
    created('/whip/session/1'),
    { status: 200, text: '', header: () => null },
    created('/whip/session/2'),
  ]);
  const { publisher, states } = publishing(p, 'http://h/whip/s?x=1', track('video'), track('audio'));
  const ready = publisher.start();
  await settle();
  assert.deepEqual(p.calls[0], ['POST', 'http://h/whip/s?x=1', 'offer']);
  FakePeer.made[0].become('connected');
  await ready;
  FakePeer.made[0].become('failed');
  await settle();
  assert.deepEqual(p.calls[1].slice(0, 2), ['DELETE', 'http://h/whip/session/1']);
  clock.tick(1000);
  await settle();
  FakePeer.made[1].become('connected');
  await publisher.stop();
  assert.deepEqual(p.calls.at(-1).slice(0, 2), ['DELETE', 'http://h/whip/session/2']);
  assert.deepEqual(states, ['connecting', 'open', 'waiting', 'connecting', 'open', 'closed']);
  assert.ok(FakePeer.made.every((pc) => pc.closed));
});

test('a short disconnection is waited out, a long one is not', async () => {
  clock.enable();
  FakePeer.made = [];
  globalThis.MediaStream ??= class {
    addTrack() {}
  };
  const p = platform([created('/1'), undefined, created('/2')]);
  const player = new Player({ platform: p, url: () => 'http://h/whep/s', RTCPeerConnection: FakePeer, video: false });
  player.start();
  await settle();
  const [pc] = FakePeer.made;
  assert.deepEqual(
    pc.transceivers.map((t) => t.what),
    ['audio'],
  );
  pc.become('connected');
  pc.become('disconnected');
  clock.tick(2_000);
  pc.become('connected');
  clock.tick(5_000);
  await settle();
  assert.equal(player.state, 'open');
  pc.become('disconnected');
  clock.tick(3_000);
  await settle();
  assert.equal(player.state, 'waiting');
  await player.stop();
});

test('a restart waits for nothing and keeps the picture', async () => {
  clock.enable();
  FakePeer.made = [];
  const states = [];
  const p = platform([created('/1'), created('/2')]);
  const player = new Player({
    platform: p,
    url: () => 'http://h/whep/s',
    RTCPeerConnection: FakePeer,
    onState: (s) => states.push(s),
  });
  player.start();
  await settle();
  FakePeer.made[0].become('connected');
  player.restart();
  await settle();
  FakePeer.made[1].become('connected');
  await settle();
  assert.deepEqual(states, ['connecting', 'open', 'connecting', 'open']);
  await player.stop();
});

test('a refusal is told with its status and tried again', async () => {
  clock.enable();
  FakePeer.made = [];
  const p = platform([{ status: 404, text: 'no such stream', header: () => null }]);
  const errors = [];
  const player = new Player({
    platform: p,
    url: 'http://h/whep/s',
    RTCPeerConnection: FakePeer,
    onState: (_, error) => error && errors.push(error),
  });
  player.start();
  await settle();
  assert.deepEqual([errors[0].code, errors[0].status], ['media', 404]);
  await player.stop();
});

test('stopped while the answer is on its way, the session is ended', async () => {
  FakePeer.made = [];
  const p = platform([created('/whep/1')]);
  const player = new Player({ platform: p, url: 'http://h/whep/s', RTCPeerConnection: FakePeer });
  player.start();
  await player.stop();
  assert.equal(p.calls[1][0], 'DELETE');
  assert.equal(FakePeer.made[0].closed, true);
});

test('stopped and started at once, it says goodbye and then begins anew, once', async () => {
  FakePeer.made = [];
  const p = platform([
    created('/whip/session/1'),
    { status: 200, text: '', header: () => null },
    created('/whip/session/2'),
  ]);
  const { publisher, states } = publishing(p, 'http://h/whip/s', track('video'));
  publisher.start().catch(() => {});
  await settle();
  FakePeer.made[0].become('connected');
  const stopped = publisher.stop();
  const ready = publisher.start();
  await stopped;
  await settle();
  assert.deepEqual(
    p.calls.map(([method]) => method),
    ['POST', 'DELETE', 'POST'],
  );
  FakePeer.made[1].become('connected');
  await ready;
  assert.deepEqual(states, ['connecting', 'open', 'closed', 'connecting', 'open']);
  await publisher.stop();
  assert.equal(FakePeer.made.length, 2);
  // Stopped before it began.
  publisher.start().catch(() => {});
  await publisher.stop();
  await settle();
  assert.equal(publisher.state, 'closed');
  assert.ok(FakePeer.made.every((pc) => pc.closed));
});

test('stopped while descriptions are set, the session is ended', async () => {
  FakePeer.made = [];
  const p = platform([created('/whep/1')]);
  const player = new Player({ platform: p, url: 'http://h/whep/s', RTCPeerConnection: FakePeer });
  player.start().catch(() => {});
  await settle(1);
  const [pc] = FakePeer.made;
  let go;
  pc.setRemoteDescription = () => new Promise((resolve) => (go = resolve));
  while (!go) await new Promise((resolve) => setImmediate(resolve));
  const stopped = player.stop();
  go();
  await stopped;
  assert.equal(p.calls.at(-1)[0], 'DELETE');
  assert.equal(pc.closed, true);
});

test('a stream that ended needs no farewell', async () => {
  FakePeer.made = [];
  const p = platform([created('/whep/1')]);
  const player = new Player({ platform: p, url: 'http://h/whep/s', RTCPeerConnection: FakePeer });
  player.start();
  await settle();
  await player.stop({ gone: true });
  assert.equal(p.calls.length, 1);
});

test('a session that is over already is left without a complaint', async () => {
  for (const over of [
    { status: 404, text: 'no such session', header: () => null },
    { status: 410, text: '', header: () => null },
    null,
  ]) {
    FakePeer.made = [];
    const p = platform([created('/whip/1')]);
    const first = p.request;
    p.request = async (url, options) => {
      if (options.method !== 'DELETE') return first(url, options);
      p.calls.push([options.method, url]);
      if (!over) throw new Error('the server is gone');
      return over;
    };
    const states = [];
    const publisher = new Publisher({
      platform: p,
      url: 'http://h/whip/s',
      stream: stream(track('video')),
      RTCPeerConnection: FakePeer,
      onState: (state, error) => states.push([state, error]),
    });
    publisher.start();
    await settle();
    FakePeer.made[0].become('connected');
    await publisher.stop();
    assert.deepEqual(
      p.calls.map(([method]) => method),
      ['POST', 'DELETE'],
    );
    assert.deepEqual(states.at(-1), ['closed', undefined]);
    assert.ok(
      states.every(([, error]) => !error),
      'nobody is bothered with it',
    );
  }
});

test('candidates are gathered by the servers that the answer names', async () => {
  FakePeer.made = [];
  const link =
    '<stun:stun.example.net>; rel="ice-server", <turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="a, \\"b\\"; c"; credential-type="password", <https://h/x>; rel="other", <http://h>; rel="ice-server"';
  const servers = [
    { urls: 'stun:stun.example.net' },
    { urls: 'turn:turn.example.net?transport=udp', username: 'user', credential: 'a, "b"; c' },
  ];
  assert.deepEqual(iceServersOf(link), servers);
  for (const nothing of [null, undefined, '', 'x', '<', '<stun:x>', '<stun:x>; rel=next'])
    assert.deepEqual(iceServersOf(nothing), []);
  assert.deepEqual(iceServersOf('<stun:x>;rel=ice-server'), [{ urls: 'stun:x' }]);
  const p = platform([{ ...created('/1'), header: (name) => ({ Location: '/1', Link: link })[name] ?? null }]);
  const player = new Player({ platform: p, url: 'http://h/whep/s', RTCPeerConnection: FakePeer });
  player.start();
  await settle();
  assert.deepEqual(FakePeer.made[0].configured, { bundlePolicy: 'max-bundle', iceServers: servers });
  assert.equal(FakePeer.made[0].before, undefined, 'before anything is gathered');
  assert.deepEqual(FakePeer.made[0].localDescription, { type: 'offer', sdp: 'offer' });
  await player.stop();
});

test('another camera needs no new connection', async () => {
  FakePeer.made = [];
  const old = track('video');
  const publisher = new Publisher({
    platform: platform([created('/1')]),
    url: 'http://h/whip/s',
    stream: stream(old),
    RTCPeerConnection: FakePeer,
  });
  publisher.start();
  await settle();
  const fresh = track('video');
  await publisher.replaceTrack(fresh);
  assert.equal(FakePeer.made[0].transceivers[0].sender.track, fresh);
  assert.ok(old.stopped);
  await publisher.stop();
});

test('pictures are sent in one size, or in three of which the last is the largest', () => {
  const offered = (options) => {
    const peer = new FakePeer();
    const [camera, mic] = [track('video'), track('audio')];
    new Publisher({ platform: platform([]), url: 'u', stream: stream(camera, mic), ...options }).prepare(peer);
    return peer.transceivers.map(({ how }) => how.sendEncodings);
  };
  assert.deepEqual(offered({ maxBitrate: 900_000 }), [[{ maxBitrate: 900_000 }], []]);
  const [layers, sound] = offered({ maxBitrate: 2_400_000, simulcast: true });
  assert.deepEqual(sound, []);
  assert.deepEqual(
    layers.map((l) => [l.rid, l.scaleResolutionDownBy, l.maxBitrate]),
    [
      ['q', 4, 300_000],
      ['h', 2, 800_000],
      ['f', 1, 2_400_000],
    ],
  );
});

test('media is asked for where its URL says, or at the server itself', () => {
  const url = 'https://play.example/whep/1_r_ada?txSecret=x';
  const at = (options) => new Session({ platform: platform([]), ...options }).mediaURL(url);
  assert.equal(at({ server: 'https://live.example' }), url);
  assert.equal(
    at({ server: 'https://live.example:8443/', mediaAtServer: true }),
    'https://live.example:8443/whep/1_r_ada?txSecret=x',
  );
  assert.equal(new Session({ platform: platform([]), mediaAtServer: true }).mediaURL(undefined), undefined);
});

test('URLs of other protocols are found from one', () => {
  const rtmp = 'rtmp://h:1935/live/8_r%2Fx_ada?bizid=8&txSecret=s&txTime=t';
  assert.equal(urls.whip('https://h', { pushURL: rtmp }), 'https://h/whip/8_r%2Fx_ada?bizid=8&txSecret=s&txTime=t');
  assert.equal(
    urls.whep('https://h', { mixedPlayURL: 'https://h/live/8_r_ada.flv?x=1' }),
    'https://h/whep/8_r_ada?x=1&wait=9',
    'who comes early waits',
  );
  assert.equal(urls.whep('', { whepURL: 'w', accelerateURL: rtmp }), 'w');
  assert.equal(urls.whep('', {}), null);
  // Co-anchors ask for the stream itself, the audience for what is shown in its place.
  const own = 'rtmp://h/live/8_r_ada?bizid=8&raw=1&txSecret=x';
  assert.equal(urls.whep('https://h', { accelerateURL: own }), 'https://h/whep/8_r_ada?bizid=8&txSecret=x&wait=9');
  assert.equal(
    urls.whep('https://h', { accelerateURL: own }, true),
    'https://h/whep/8_r_ada?bizid=8&txSecret=x&wait=9&raw=1',
  );
  assert.equal(urls.whep('https://h', { whepURL: 'https://h/whep/s' }, true), 'https://h/whep/s?raw=1');
  assert.equal(
    Object.fromEntries(urls.plays('https://h', { accelerateURL: own }))['HTTP-FLV'],
    'https://h/live/8_r_ada.flv?bizid=8&txSecret=x',
  );
  assert.deepEqual(
    urls.plays('https://h', { accelerateURL: 'rtmp://h/live/s?q=1' }).map(([n]) => n),
    ['RTMP', 'HTTP-FLV', 'HLS', 'WHEP'],
  );
});

test('a media port that nobody reaches is named after five seconds, with what to do about it', async () => {
  clock.enable();
  FakePeer.made = [];
  const candidate = (kind, at) => `a=candidate:1 1 ${kind} 2130706175 ${at} typ host\r\n`;
  const text = candidate('udp', '203.0.113.7 8000') + candidate('tcp', '203.0.113.7 8000');
  const told = [];
  const player = new Player({
    platform: platform([{ status: 201, text, header: () => '/rtc/session/1' }]),
    url: 'http://h/whep/s?x=1',
    RTCPeerConnection: FakePeer,
    onState: (state, error) => error && told.push([state, error.code, error.addresses, error.message]),
  });
  player.start().catch(() => {});
  await settle();
  FakePeer.made[0].become('connecting');
  clock.tick(4_999);
  assert.equal(told.length, 0);
  clock.tick(1);
  const message =
    'media cannot reach 203.0.113.7:8000 by UDP or TCP: ask the operator to set webrtc.public and to open the port';
  assert.deepEqual(told.splice(0), [['connecting', 'media', ['203.0.113.7:8000'], message]]);
  clock.tick(7_000);
  await settle();
  assert.deepEqual(told, [['waiting', 'media', ['203.0.113.7:8000'], message]]);
  await player.stop();
});

test('a connection that fails before it was one says why, at once and each time', async () => {
  clock.enable();
  const text = 'a=candidate:1 1 udp 2130706175 203.0.113.7 8000 typ host\r\n';
  const cases = [
    ['checking', 0, /^media cannot reach 203\.0\.113\.7:8000 by UDP or TCP: ask the operator to set webrtc\.public/],
    ['failed', 8_000, /^media cannot reach 203\.0\.113\.7:8000/],
    ['connected', 0, /^media reaches 203\.0\.113\.7:8000, and its encryption \(DTLS\) does not come about/],
    ['connected', 8_000, /\(DTLS\)/],
  ];
  for (const [ice, after, words] of cases) {
    FakePeer.made = [];
    const told = [];
    const player = new Player({
      platform: platform([1, 2].map((n) => ({ status: 201, text, header: () => `/rtc/session/${n}` }))),
      url: 'http://h/whep/s',
      RTCPeerConnection: FakePeer,
      onState: (state, error) => told.push([state, error]),
    });
    player.start().catch(() => {});
    await settle();
    const [pc] = FakePeer.made;
    pc.iceConnectionState = ice;
    pc.become('connecting');
    clock.tick(after);
    pc.become('failed');
    await settle();
    const [state, error] = told.at(-1);
    assert.equal(state, 'waiting');
    assert.match(error.message, words);
    assert.deepEqual(error.addresses, ['203.0.113.7:8000']);
    clock.tick(8_000);
    await settle();
    // One that was connected is a loss, for which nothing is to be set.
    FakePeer.made[1].become('connected');
    FakePeer.made[1].become('failed');
    await settle();
    assert.deepEqual(told.at(-1), ['waiting', undefined]);
    await player.stop();
  }
});

test('what is published is in the first codec that all have', async () => {
  const H264 = [
    { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=0' },
    { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=1' },
  ];
  const others = [{ mimeType: 'video/VP8' }, { mimeType: 'video/rtx' }, { mimeType: 'video/AV1' }];
  globalThis.RTCRtpSender = { getCapabilities: () => ({ codecs: [...others, ...H264] }) };
  globalThis.RTCRtpReceiver = { getCapabilities: () => ({ codecs: others }) };
  try {
    assert.deepEqual(decodes(), ['VP8', 'AV1']);
    assert.equal(codecFor([]), 'H264');
    assert.equal(codecFor([null, ['H264', 'VP8']]), 'H264');
    assert.equal(
      codecFor([
        ['VP8', 'AV1'],
        ['H264', 'VP8'],
      ]),
      'VP8',
    );
    assert.equal(codecFor([['VP9', 'AV1'], ['AV1']]), 'AV1', 'VP9 is not ours');
    assert.equal(codecFor([['VP8'], null]), 'H264', 'a mobile client sees nothing else');
    FakePeer.made = [];
    const preferred = [];
    class Peer extends FakePeer {
      addTransceiver(what, how) {
        const made = super.addTransceiver(what, how);
        made.setCodecPreferences = (codecs) => preferred.push(codecs.map((c) => c.mimeType.slice(6)).join());
        return made;
      }
    }
    const p = platform([created('/1'), { status: 200, text: '', header: () => null }, created('/2')]);
    const publisher = new Publisher({
      platform: p,
      url: 'http://h/whip/s',
      stream: stream(track('video')),
      RTCPeerConnection: Peer,
    });
    publisher.use('H264');
    publisher.start().catch(() => {});
    await settle();
    FakePeer.made[0].become('connected');
    publisher.use('H264');
    publisher.use('VP8');
    await settle();
    FakePeer.made[1].become('connected');
    assert.deepEqual(preferred, ['H264,H264,VP8,rtx,AV1', 'VP8,rtx,AV1'], 'beside H.264 the server would take that');
    assert.deepEqual(
      p.calls.map(([method, url]) => `${method} ${url}`),
      ['POST http://h/whip/s', 'DELETE http://h/1', 'POST http://h/whip/s'],
    );
    await publisher.stop();
  } finally {
    delete globalThis.RTCRtpSender;
    delete globalThis.RTCRtpReceiver;
  }
});

/** A <video> in a page on which nobody has clicked, until `clicked`. */
class Video extends EventTarget {
  #muted = false;
  clicked = false;
  get muted() {
    return this.#muted;
  }
  set muted(on) {
    if (on === this.#muted) return;
    this.#muted = on;
    queueMicrotask(() => this.dispatchEvent(new Event('volumechange')));
  }
  async play() {
    if (!this.muted && !this.clicked) throw Object.assign(new Error('no'), { name: 'NotAllowedError' });
  }
}

test('what the browser plays without sound is told, and gets its sound with a click', async () => {
  FakePeer.made = [];
  const before = globalThis.MediaStream;
  globalThis.MediaStream = class {
    addTrack() {}
    getAudioTracks() {
      return [];
    }
  };
  globalThis.RTCPeerConnection = FakePeer;
  const room = new RTCRoom({ platform: platform([]), media: { Player } });
  const told = [];
  room.on('audioBlocked', ({ blocked }) => told.push(blocked));
  const plays = async (video, stream = 's') => {
    const player = room.play({ whepURL: `http://h/whep/${stream}` }, video);
    await settle();
    FakePeer.made.at(-1).dispatchEvent(Object.assign(new Event('track'), { track: track('audio') }));
    await settle();
    return player;
  };
  try {
    const [video, other, quiet] = [new Video(), new Video(), new Video()];
    quiet.muted = true;
    await plays(quiet);
    assert.deepEqual([told, room.audioBlocked], [[], false], 'what the app has muted is as it shall be');
    const player = await plays(video);
    await plays(other, 't');
    assert.deepEqual(
      [told.splice(0), video.muted, other.muted, viewOf(room).get().audioBlocked],
      [[true], true, true, true],
    );
    // Asked for without a click: it goes on without sound.
    await assert.rejects(room.resumeAudio(), { code: 'denied' });
    await settle();
    assert.deepEqual([told, video.muted, other.muted, room.audioBlocked], [[], true, true, true]);
    video.clicked = other.clicked = true;
    await room.resumeAudio();
    assert.deepEqual([told.splice(0), video.muted, other.muted, room.audioBlocked], [[false], false, false, false]);
    assert.equal(quiet.muted, true);
    // The app has a button of its own; or the stream ends, and the element is used for something else.
    const third = new Video();
    const last = await plays(third, 'u');
    third.muted = false;
    await settle();
    assert.deepEqual(told.splice(0), [true, false]);
    third.muted = true;
    await last.stop();
    assert.equal(third.muted, true, 'what the app muted stays so');
    const fourth = new Video();
    const ended = await plays(fourth, 'v');
    await ended.stop();
    assert.deepEqual([told.splice(0), fourth.muted], [[true, false], false]);
    await player.stop();
  } finally {
    for (const link of [...room.players]) await link.stop();
    globalThis.MediaStream = before;
    delete globalThis.RTCPeerConnection;
  }
});
