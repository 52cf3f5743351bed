// What is played and published: refusals, leaving, what systems pause, and speakers that are pulled out.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Player } from '../src/media.js';
import { RTCRoom } from '../src/rtc_room.js';
import { inPages } from './devices.js';
import { clock, settle } from './fake.js';
import { enter, pass, world } from './world.js';

inPages();

class Peer extends EventTarget {
  static made = [];
  connectionState = 'new';
  constructor() {
    super();
    Peer.made.push(this);
  }
  addTransceiver() {}
  async createOffer() {
    return { sdp: 'offer' };
  }
  async setLocalDescription() {}
  async setRemoteDescription() {
    this.dispatchEvent(Object.assign(new Event('track'), { track: { kind: 'video' } }));
  }
  async getStats() {
    return new Map();
  }
  close() {}
  become(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
}

/** A <video>; `refuses`: it may not play with sound. */
class Video extends EventTarget {
  plays = 0;
  muted = false;
  refuses = false;
  sinks = [];
  async play() {
    if (this.refuses && !this.muted) throw Object.assign(new Error('no'), { name: 'NotAllowedError' });
    this.plays += 1;
    this.dispatchEvent(new Event('playing'));
  }
  async setSinkId(id) {
    this.sinks.push(id);
  }
}

beforeEach(() => {
  Peer.made = [];
  globalThis.RTCPeerConnection = Peer;
});
afterEach(() => {
  delete globalThis.RTCPeerConnection;
  clock.reset();
});

/** A room in which ada is, and of which WHIP and WHEP answer with that status. */
async function playing({ status = 201, media = { Player } } = {}) {
  clock.enable();
  const server = world();
  const platform = server.platform();
  const { request } = platform;
  const answers = { status };
  platform.request = async (url, options) =>
    /\/whe?i?p\//.test(url)
      ? { status: answers.status, text: answers.status === 201 ? 'answer' : 'why', header: () => null }
      : request(url, options);
  const room = new RTCRoom({ platform, media });
  const seen = await enter(room, (r) => r.push({ roomID: 'r' }));
  return { server, room, seen, answers };
}
const BOB = { userID: 'bob', whepURL: 'http://h/whep/bob' };

for (const status of [409, 404])
  test(`a publisher that is refused again and again with ${status} says so once; a player waits`, async () => {
    const { room, seen } = await playing({ status, media: { Player, Publisher: Player } });
    const states = [];
    const publishing = room.publish(null, { onState: (state) => states.push(state) }).catch((error) => error);
    room.play(BOB, new Video());
    await pass(1_000);
    assert.deepEqual(seen('onError'), [], 'another session of ours may just be ending');
    await pass(60_000);
    const told = seen('onError');
    assert.deepEqual(
      told.map((e) => [e.code, e.status, e.userID]),
      [['media', status, 'ada']],
    );
    assert.match(
      told[0].message,
      status === 409 ? /^ada publishes elsewhere already.*409: why$/ : /answered 404: why$/,
    );
    assert.equal(await publishing, told[0], 'and rejects');
    assert.deepEqual([room.publisher, states.at(-1)], [null, 'closed'], 'and is over');
    await room.logout();
  });

test('who leaves hears and sees nobody any more; what was played outside of a room plays on', async () => {
  const { room } = await playing();
  await room.exitRoom();
  const [outside, video, other] = [new Video(), new Video(), new Video()];
  room.play({ whepURL: 'http://h/whep/film' }, outside);
  await room.push({ roomID: 'r' });
  const player = room.play(BOB, video);
  room.play({ ...BOB, userID: 'eve' }, other);
  await settle();
  assert.ok(video.srcObject && other.srcObject && outside.srcObject);
  const own = {};
  other.srcObject = own;
  const leaving = room.exitRoom();
  assert.deepEqual([video.srcObject, other.srcObject], [null, own], 'what the app put there is its own');
  await leaving;
  await pass(2_000);
  assert.deepEqual([player.running, room.players.size], [false, 1]);
  assert.ok(outside.srcObject);
  // Closed by the server, it is no other than left.
  await room.push({ roomID: 'r' });
  room.play(BOB, video);
  await settle();
  assert.ok(video.srcObject);
  room.closed('kicked');
  assert.equal(video.srcObject, null);
  for (const one of room.players) await one.stop();
  await room.logout();
});

test('a picture that comes after the player was stopped is not shown', async () => {
  const { room } = await playing();
  const video = new Video();
  const player = room.play(BOB, video);
  await settle();
  await player.stop();
  Peer.made[0].dispatchEvent(Object.assign(new Event('track'), { track: { kind: 'audio' } }));
  assert.equal(video.srcObject, null);
  await room.logout();
});

test('what the system has paused plays again, when the page is shown again too', async () => {
  const { server, room } = await playing();
  const blocked = [];
  room.on('audioBlocked', (event) => blocked.push(event.blocked));
  const video = new Video();
  video.isConnected = true;
  const player = room.play(BOB, video);
  await settle();
  const happens = async (name) => {
    const before = video.plays;
    if (name === 'return') server.networkBack();
    else video.dispatchEvent(new Event(name));
    await pass(1_000);
    return video.plays - before;
  };
  assert.deepEqual([await happens('pause'), await happens('return')], [1, 1]);
  video.refuses = true;
  assert.deepEqual([await happens('pause'), video.muted, blocked], [1, true, [true]]);
  // In the background it would be refused for nothing.
  globalThis.document.visibilityState = 'hidden';
  assert.equal(await happens('pause'), 0);
  globalThis.document.visibilityState = 'visible';
  assert.equal(await happens('return'), 1);
  // A person pressed the button.
  video.controls = true;
  assert.deepEqual([await happens('pause'), await happens('return')], [0, 0]);
  video.controls = false;
  // The app took it out of the page, or shows something else in it.
  video.isConnected = false;
  assert.equal(await happens('pause'), 0);
  video.isConnected = true;
  const { srcObject } = video;
  video.srcObject = {};
  assert.deepEqual([await happens('pause'), await happens('return')], [0, 0]);
  video.srcObject = srcObject;
  await player.stop();
  assert.deepEqual([await happens('pause'), await happens('return')], [0, 0]);
  player.start();
  await settle();
  assert.deepEqual([await happens('pause'), await happens('return')], [1, 1]);
  await player.stop();
  await room.logout();
});

test('sound goes elsewhere when the chosen speaker is pulled out', async () => {
  const { mediaDevices } = navigator;
  const page = new EventTarget();
  let listeners = 0;
  mediaDevices.addEventListener = (name, call) => {
    listeners += 1;
    page.addEventListener(name, call);
  };
  mediaDevices.removeEventListener = (name, call) => {
    listeners -= 1;
    page.removeEventListener(name, call);
  };
  const { room, seen } = await playing();
  const changed = async () => {
    page.dispatchEvent(new Event('devicechange'));
    await settle();
  };
  const video = new Video();
  const player = room.play(BOB, video);
  await room.switchDevice('speaker', 's1');
  assert.deepEqual([video.sinks, listeners], [['s1'], 1]);
  await changed();
  assert.deepEqual([video.sinks, room.speaker], [['s1'], 's1']);
  mediaDevices.enumerateDevices = async () => [{ deviceId: 's2', kind: 'audiooutput' }];
  await changed();
  await changed();
  assert.deepEqual([video.sinks, room.speaker, listeners], [['s1', ''], '', 0]);
  assert.deepEqual(
    seen('onError').map((e) => e.code),
    ['no_device'],
  );
  await room.switchDevice('speaker', 's2');
  assert.equal(listeners, 1);
  await player.stop();
  assert.equal(listeners, 0);
  await room.logout();
});

test('what a person turned off stays off when all is closed and opened again', async () => {
  const { room } = await playing();
  await room.openMedia();
  await room.setMicrophoneEnabled(false);
  await room.setCameraEnabled(false);
  room.closeMedia();
  const stream = await room.openMedia();
  assert.deepEqual(
    [stream.getAudioTracks()[0].enabled, room.local.state.mic, room.local.state.cam],
    [false, false, false],
  );
  await room.setMicrophoneEnabled(true);
  assert.equal(stream.getAudioTracks()[0].enabled, true);
  room.closeMedia();
  assert.equal((await room.openMedia()).getAudioTracks()[0].enabled, true);
  room.closeMedia();
  await room.logout();
});

test('a publisher that is refused for a while, or finds no server, is published when it is let in, and tried again from then on', async () => {
  const { room, seen, answers } = await playing({ status: 409, media: { Player, Publisher: Player } });
  const publishing = room.publish(null);
  await pass(12_000);
  answers.status = 503;
  await pass(60_000);
  answers.status = 201;
  await pass(9_000);
  Peer.made.at(-1).become('connected');
  assert.equal(await publishing, room.publisher);
  answers.status = 409;
  Peer.made.at(-1).become('failed');
  await pass(60_000);
  assert.deepEqual(
    seen('onError').flatMap((e) => e.status ?? []),
    [409, 409],
  );
  answers.status = 201;
  await pass(9_000);
  Peer.made.at(-1).become('connected');
  assert.equal(room.publisher.state, 'open', 'what was published comes back by itself');
  await room.logout();
});

test('of what is stopped no quality is told, and none is kept', async () => {
  const { room } = await playing({ media: { Player, Publisher: Player } });
  const told = [];
  room.on('quality', ({ userID, quality }) => told.push([userID, quality]));
  room.on('roomClose', () => told.push('closed'));
  const begin = async () => {
    room.publish(null).catch(() => {});
    const player = room.play(BOB, new Video());
    await settle();
    for (const peer of Peer.made) peer.become('connected');
    await pass(3_000);
    return player;
  };
  const player = await begin();
  const qualities = () => ['ada', 'bob'].map((userID) => room.qualityOf(userID));
  assert.ok(qualities().every(Boolean));
  told.length = 0;
  await room.unpublish();
  await player.stop();
  assert.deepEqual([qualities(), told.filter(([, quality]) => quality === 'lost')], [[null, null], []]);
  // One that never had pictures.
  const early = room.play({ ...BOB, userID: 'eve' }, new Video());
  assert.ok(room.qualityOf('eve'));
  await early.stop();
  assert.equal(room.qualityOf('eve'), null);
  await begin();
  told.length = 0;
  room.closed('kicked');
  await pass(5_000);
  assert.deepEqual([told, qualities()], [['closed'], [null, null]]);
  await room.logout();
});

test('without WebRTC nothing is played or published, which is told, and nothing is left behind', async () => {
  const { room, seen } = await playing({ media: { Player, Publisher: Player } });
  delete globalThis.RTCPeerConnection;
  room.play(BOB, new Video());
  await settle();
  assert.equal(room.players.size, 0);
  await assert.rejects(room.publish(null), { code: 'media' });
  assert.equal(room.publisher, null);
  assert.deepEqual(
    seen('onError').map((e) => e.code),
    ['media', 'media'],
  );
  await room.logout();
});
