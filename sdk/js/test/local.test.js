import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { LocalMedia, listDevices } from '../src/local.js';
import { browse, leave, machine, made, Stream, Track } from './devices.js';

beforeEach(browse);
afterEach(leave);

function local() {
  const devices = machine();
  const sent = [];
  const failed = [];
  const media = new LocalMedia({
    devices,
    send: async (track) => sent.push(track.label),
    fail: (error) => failed.push(error.code),
  });
  const shown = () => media.stream.getVideoTracks().map((t) => t.label);
  return { devices, media, sent, failed, shown };
}
const labelled = (label) => made.filter((t) => t.label === label);

test('a camera that is off is closed, and opened again in the same stream', async () => {
  const { media, sent, shown, devices } = local();
  const stream = await media.open();
  assert.deepEqual(media.state, { mic: true, cam: true, screen: false });
  await media.setCamera(false);
  assert.equal(labelled('first video')[0].readyState, 'ended', 'its light is out');
  assert.deepEqual([shown(), media.state.cam], [['blank'], false]);
  await media.setCamera(true);
  assert.deepEqual([shown(), media.stream === stream, media.state.cam], [['first video'], true, true]);
  assert.equal(labelled('blank')[0].readyState, 'ended');
  assert.deepEqual(sent, ['first audio', 'first video', 'blank', 'first video']);
  assert.deepEqual(Object.keys(devices.asked[1]), ['video']);
});

test('a microphone that is off stays open', async () => {
  const { media } = local();
  await media.open();
  await media.setMicrophone(false);
  const [track] = media.stream.getAudioTracks();
  assert.deepEqual([track.enabled, track.readyState, media.state.mic], [false, 'live', false]);
  await media.choose('microphone', 'other');
  assert.deepEqual(
    [media.stream.getAudioTracks()[0].label, media.stream.getAudioTracks()[0].enabled],
    ['other', false],
  );
  assert.equal(track.readyState, 'ended');
  await media.setMicrophone(true);
  assert.equal(media.stream.getAudioTracks()[0].enabled, true);
});

test('another camera at once; one that does not open changes nothing', async () => {
  const { media, devices, shown } = local();
  await media.open({ camera: 'front' });
  await media.choose('camera', 'back');
  assert.deepEqual([shown(), labelled('front')[0].readyState], [['back'], 'ended']);
  devices.busy = ['front'];
  await assert.rejects(media.choose('camera', 'front'), { code: 'device_busy' });
  assert.deepEqual([shown(), media.chosen.camera, media.state.cam], [['back'], 'back', true]);
  await media.setCamera(false);
  await media.choose('camera', 'third');
  assert.deepEqual(labelled('third'), [], 'a camera that is off stays off');
  await media.setCamera(true);
  assert.deepEqual(shown(), ['third']);
});

test('the screen stands in for the camera, which is back when it ends', async () => {
  const { media, devices, shown } = local();
  await media.open();
  await media.setScreen(true);
  assert.deepEqual([shown(), media.state], [['screen'], { mic: true, cam: true, screen: true }]);
  assert.equal(labelled('first video')[0].readyState, 'live');
  // By the browser's own bar.
  labelled('screen')[0].end();
  await media.turn;
  assert.deepEqual([shown(), media.state.screen], [['first video'], false]);
  // The camera may be turned off behind the screen.
  await media.setScreen(true);
  await media.setCamera(false);
  assert.deepEqual(shown(), ['screen']);
  await media.setScreen(false);
  assert.deepEqual([shown(), labelled('screen')[1].readyState], [['blank'], 'ended']);
  devices.refuse = 'NotAllowedError';
  await assert.rejects(media.setScreen(true), { code: 'denied' });
  assert.equal(media.state.screen, false);
});

test('a camera that is pulled out is replaced, or off and told', async () => {
  const { media, devices, failed, shown } = local();
  await media.open({ camera: 'usb' });
  devices.missing = ['usb'];
  labelled('usb')[0].end();
  await media.turn;
  assert.deepEqual([shown(), media.state.cam, failed], [['first video'], true, []]);
  devices.refuse = 'NotFoundError';
  labelled('first video')[0].end();
  await media.turn;
  assert.deepEqual([shown(), media.state.cam, failed], [['blank'], false, ['no_device']]);
});

test('tracks of the app are blackened and never stopped', async () => {
  const { media } = local();
  const theirs = new Stream([new Track('audio', 'theirs a'), new Track('video', 'theirs v')]);
  media.adopt(theirs);
  await media.setCamera(false);
  const [video] = theirs.getVideoTracks();
  assert.deepEqual([video.enabled, video.readyState], [false, 'live']);
  await media.setCamera(true);
  assert.equal(video.enabled, true);
  media.close();
  assert.ok(made.every((t) => t.readyState === 'live'));
});

test('where a track of the app has ended the camera is asked for, and black pictures go on until then', async () => {
  const { media, devices, shown } = local();
  const drawn = new Track('video', 'drawn');
  await media.use(drawn);
  await media.setCamera(false);
  drawn.stop();
  devices.refuse = 'NotAllowedError';
  await assert.rejects(media.setCamera(true), { code: 'denied' });
  assert.deepEqual([shown(), drawn.enabled, media.state.cam], [['blank'], false, false]);
  devices.refuse = null;
  await media.setCamera(true);
  assert.deepEqual([shown(), media.state.cam], [['first video'], true]);
});

test('a track of the app takes the place of the camera, and a camera its place again', async () => {
  const { media, shown } = local();
  await media.open();
  const drawn = new Track('video', 'drawn');
  await media.use(drawn);
  assert.deepEqual([shown(), labelled('first video')[0].readyState], [['drawn'], 'ended']);
  await media.choose('camera', 'back');
  assert.deepEqual([shown(), drawn.readyState], [['back'], 'live']);
});

test('what was opened is closed, with the camera behind a screen', async () => {
  const { media } = local();
  await media.open();
  await media.setScreen(true);
  media.close();
  assert.ok(made.every((t) => t.readyState === 'ended'));
  assert.deepEqual(media.state, { mic: false, cam: false, screen: false });
});

test('what was opened is closed where the app publishes a stream of its own', async () => {
  const { media } = local();
  const opened = await media.open();
  const [mic] = opened.getAudioTracks();
  const own = new Stream([mic, new Track('video', 'mine')]);
  media.adopt(own);
  assert.equal(labelled('first video')[0].readyState, 'ended', 'its light is out');
  assert.equal(mic.readyState, 'live', 'the app goes on with that one');
  media.close();
  assert.deepEqual([labelled('mine')[0].readyState, mic.readyState], ['live', 'ended']);
  // With the camera behind a screen.
  const other = local().media;
  await other.open();
  await other.setScreen(true);
  other.adopt(new Stream([new Track('video', 'mine too')]));
  for (const label of ['first video', 'screen', 'first audio'])
    assert.equal(labelled(label).at(-1).readyState, 'ended', label);
  assert.equal(other.state.screen, false);
});

test('devices are listed by what they are; refusals have codes', async () => {
  const { media, devices } = local();
  const found = await listDevices(devices);
  assert.deepEqual([found.camera.length, found.microphone.length, found.speaker.length], [1, 0, 1]);
  for (const [name, code] of [
    ['NotAllowedError', 'denied'],
    ['NotFoundError', 'no_device'],
    ['TypeError', 'media'],
  ]) {
    devices.refuse = name;
    await assert.rejects(media.open(), { code });
  }
});

test('a microphone that was pulled out is opened anew when it is turned on', async () => {
  const { media, devices, failed, sent } = local();
  await media.open();
  devices.refuse = 'NotFoundError';
  labelled('first audio')[0].end();
  await media.turn;
  assert.deepEqual([media.state.mic, failed], [false, ['no_device']]);
  await assert.rejects(media.setMicrophone(true), { code: 'no_device' });
  assert.equal(media.state.mic, false, 'nobody hears us');
  devices.refuse = null;
  await media.setMicrophone(true);
  const live = media.stream.getAudioTracks().map((t) => t.readyState);
  assert.deepEqual([live, media.state.mic, sent.at(-1)], [['live'], true, 'first audio']);
});

test('a machine that opens one camera at a time changes it, or keeps the one that it had', async () => {
  const { media, devices, shown, sent } = local();
  devices.single = true;
  await media.open({ camera: 'front' });
  await media.choose('camera', 'back');
  assert.deepEqual([shown(), labelled('front')[0].readyState, media.state.cam], [['back'], 'ended', true]);
  devices.missing = ['third'];
  await assert.rejects(media.choose('camera', 'third'), { code: 'no_device' });
  assert.deepEqual([shown(), media.chosen.camera, media.state.cam], [['back'], 'back', true]);
  // Another program has the third one: ours is given up for it, and taken back.
  devices.missing = [];
  devices.busy = ['third'];
  await assert.rejects(media.choose('camera', 'third'), { code: 'device_busy' });
  assert.deepEqual([shown(), media.chosen.camera, media.state.cam, sent.at(-1)], [['back'], 'back', true, 'back']);
  assert.equal(media.stream.getVideoTracks()[0].readyState, 'live');
});

test('another microphone is opened when the one before is closed; a refusal brings that back', async () => {
  const { media, devices, failed } = local();
  devices.single = true;
  await media.open({ microphone: 'desk' });
  await media.choose('microphone', 'ear');
  await media.turn;
  const heard = () => media.stream.getAudioTracks().map((t) => [t.label, t.readyState]);
  assert.deepEqual([heard(), media.chosen.microphone, media.state.mic], [[['ear', 'live']], 'ear', true]);
  devices.missing = ['far'];
  await assert.rejects(media.choose('microphone', 'far'), { code: 'no_device' });
  assert.deepEqual([heard(), media.chosen.microphone, media.state.mic], [[['ear', 'live']], 'ear', true]);
  // The system takes the new one for a moment: the choice stands.
  media.stream.getAudioTracks()[0].end();
  await media.turn;
  assert.deepEqual([heard(), media.chosen.microphone, failed], [[['ear', 'live']], 'ear', []]);
});

test('what the app gave is not closed for another device', async () => {
  const { media, devices } = local();
  media.adopt(new Stream([new Track('audio', 'theirs a'), new Track('video', 'theirs v')]));
  devices.refuse = 'NotReadableError';
  await assert.rejects(media.choose('camera', 'back'), { code: 'device_busy' });
  await assert.rejects(media.choose('microphone', 'ear'), { code: 'device_busy' });
  assert.ok(made.every((t) => t.readyState === 'live'));
});

test('closed while a device opens, its light goes out again', async () => {
  const { media, devices, failed } = local();
  let answer;
  devices.slow = new Promise((resolve) => {
    answer = resolve;
  });
  const opening = media.open();
  const later = media.setCamera(true);
  await new Promise((resolve) => setImmediate(resolve));
  media.close();
  answer();
  await assert.rejects(opening, { code: 'ended' });
  await assert.rejects(later, { code: 'ended' });
  assert.deepEqual([made.length, made.every((t) => t.readyState === 'ended'), failed], [2, true, []]);
  await assert.rejects(media.setMicrophone(true), { code: 'ended' });
  assert.equal(devices.asked.length, 1, 'no device is asked for any more');
});

test('closed while its tracks are put into a stream, none stays open', async () => {
  const { media } = local();
  let first = true;
  media.send = async () => {
    if (first) media.close();
    first = false;
  };
  await assert.rejects(media.open(), { code: 'ended' });
  assert.deepEqual([made.length, made.filter((t) => t.readyState === 'live')], [2, []]);
});

for (const [what, begin] of Object.entries({
  'another microphone opens': (media) => media.choose('microphone', 'other'),
  'another camera opens': (media) => media.choose('camera', 'other'),
  'a stand-in for the microphone opens': async (media) => media.stream.getAudioTracks()[0].end(),
  'a stand-in for the camera opens': async (media) => media.stream.getVideoTracks()[0].end(),
}))
  test(`closed while ${what}, nothing is asked for any more or told as a failure`, async () => {
    const { media, devices, failed } = local();
    await media.open({ camera: 'c', microphone: 'm' });
    let answer;
    devices.slow = new Promise((resolve) => {
      answer = resolve;
    });
    const begun = begin(media).catch((error) => error.code);
    await new Promise((resolve) => setImmediate(resolve));
    media.close();
    answer();
    await begun;
    await media.turn;
    assert.deepEqual([failed, devices.asked.length], [[], 2]);
    assert.ok(made.every((t) => t.readyState === 'ended'));
  });

test('closed while the screen waits for its turn, it is not shown any more', async () => {
  const { media, devices } = local();
  let answer;
  devices.slow = new Promise((resolve) => {
    answer = resolve;
  });
  const opening = media.open();
  const showing = media.setScreen(true);
  await new Promise((resolve) => setImmediate(resolve));
  media.close();
  answer();
  await assert.rejects(opening, { code: 'ended' });
  await assert.rejects(showing, { code: 'ended' });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    labelled('screen').map((t) => t.readyState),
    ['ended'],
  );
});

test('what is turned off before it is opened is off, until it is turned on', async () => {
  const { media, devices, shown } = local();
  await media.setMicrophone(false);
  await media.setCamera(false);
  await media.open({ camera: 'front', microphone: true });
  const [mic] = media.stream.getAudioTracks();
  assert.deepEqual(
    [mic.enabled, mic.readyState, media.state],
    [false, 'live', { mic: false, cam: false, screen: false }],
  );
  assert.deepEqual([shown(), devices.asked.map((wish) => Object.keys(wish))], [['blank'], [['audio']]], 'no light');
  await media.open({ microphone: true });
  assert.equal(media.stream.getAudioTracks()[0].enabled, false, 'opened anew it is off all the same');
  await media.setMicrophone(true);
  await media.setCamera(true);
  assert.deepEqual([media.state, shown()], [{ mic: true, cam: true, screen: false }, ['front']]);
  assert.equal(media.stream.getAudioTracks()[0].enabled, true);
});

test('what is turned off is off in what the app gives', async () => {
  const { media } = local();
  media.setMicrophone(false);
  media.setCamera(false);
  const theirs = new Stream([new Track('audio', 'theirs a'), new Track('video', 'theirs v')]);
  media.adopt(theirs);
  const on = () => media.stream.getTracks().map((track) => [track.kind, track.enabled]);
  await media.turn;
  const off = [
    ['audio', false],
    ['video', false],
  ];
  assert.deepEqual([on(), media.state], [off, { mic: false, cam: false, screen: false }]);
  await media.use(new Track('video', 'drawn'));
  assert.deepEqual([on(), media.state.cam], [off, false]);
  await media.setCamera(true);
  await media.setMicrophone(true);
  assert.deepEqual(
    on().map(([, enabled]) => enabled),
    [true, true],
  );
});

test('muted while the person is asked for the microphone, it is not heard for a moment', async () => {
  const { media, devices } = local();
  let answer;
  devices.slow = new Promise((resolve) => {
    answer = resolve;
  });
  const enabled = [];
  media.send = async (track) => enabled.push([track.kind, track.enabled]);
  const opening = media.open({ camera: false });
  await new Promise((resolve) => setImmediate(resolve));
  const muting = media.setMicrophone(false);
  answer();
  await Promise.all([opening, muting]);
  assert.deepEqual(enabled, [['audio', false]]);
});

test('a screen that is asked for twice is shown once, and ended with it', async () => {
  const { media, shown } = local();
  await media.open();
  await Promise.all([media.setScreen(true), media.setScreen(true)]);
  const live = () => labelled('screen').filter((t) => t.readyState === 'live').length;
  assert.deepEqual([shown(), live()], [['screen'], 1]);
  // The end of the one that was replaced is not the end of the other.
  labelled('screen')
    .find((t) => t.readyState === 'ended')
    .end();
  await media.turn;
  assert.deepEqual([shown(), media.state.screen], [['screen'], true]);
  await media.setScreen(true);
  assert.equal(labelled('screen').length, 2, 'one that is shown is not asked for again');
  await media.setScreen(false);
  assert.deepEqual([shown(), live(), media.state.screen], [['first video'], 0, false]);
});

test('a screen that is ended and asked for at once is shown', async () => {
  const { media, shown } = local();
  await media.open();
  await media.setScreen(true);
  await Promise.all([media.setScreen(false), media.setScreen(true)]);
  assert.deepEqual(
    [shown(), media.state.screen, labelled('screen').map((t) => t.readyState)],
    [['screen'], true, ['ended', 'live']],
  );
});

test('a screen that is ended in the browser’s bar before its turn is not shown', async () => {
  const { media, devices, shown } = local();
  await media.open();
  let answer;
  devices.slow = new Promise((resolve) => {
    answer = resolve;
  });
  const opening = media.setCamera(false).then(() => media.setCamera(true));
  await media.turn;
  const showing = media.setScreen(true);
  await new Promise((resolve) => setImmediate(resolve));
  labelled('screen')[0].end();
  answer();
  await opening;
  await assert.rejects(showing, { code: 'ended' });
  assert.deepEqual([shown(), media.state.screen], [['first video'], false]);
});

/** What holds changes back until it is answered, by what asks the person. */
const asks = {
  'a permission': (devices) => {
    let answer;
    devices.slow = new Promise((resolve) => {
      answer = resolve;
    });
    return { begin: (media) => media.choose('camera', 'other'), answer };
  },
  'a screen': (devices) => {
    const { getDisplayMedia } = devices;
    let answer;
    const chosen = new Promise((resolve) => {
      answer = resolve;
    });
    devices.getDisplayMedia = async () => {
      await chosen;
      return getDisplayMedia();
    };
    return { begin: (media) => media.setScreen(true), answer };
  },
};
const turned = () => new Promise((resolve) => setImmediate(resolve));

for (const [what, ask] of Object.entries(asks))
  test(`who is asked for ${what} is silent and black as soon as it is wanted`, async () => {
    const { media, devices } = local();
    const told = [];
    media.changed = () => told.push([media.mic, media.cam]);
    await media.open();
    const [mic] = media.stream.getAudioTracks();
    const [camera] = media.stream.getVideoTracks();
    const { begin, answer } = ask(devices);
    const begun = begin(media);
    await turned();
    told.length = 0;
    const off = [media.setMicrophone(false), media.setCamera(false)];
    assert.deepEqual([mic.enabled, camera.enabled], [false, false]);
    assert.deepEqual(told, [
      [false, true],
      [false, false],
    ]);
    answer();
    await Promise.all([begun, ...off]);
    assert.deepEqual([media.mic, media.cam, camera.readyState], [false, false, 'ended']);
    assert.ok(
      labelled('other').every((t) => t.readyState === 'ended'),
      'that of the new device, too',
    );
  });

test('of on and off the last word holds while a person is asked, and nothing is on in between', async () => {
  const { media, devices } = local();
  await media.open();
  const [mic] = media.stream.getAudioTracks();
  const enabled = [];
  Object.defineProperty(mic, 'enabled', { get: () => enabled.at(-1) ?? true, set: (on) => enabled.push(on) });
  await media.setMicrophone(false);
  await media.setCamera(false);
  const { begin, answer } = asks['a screen'](devices);
  const begun = begin(media);
  await turned();
  enabled.length = 0;
  const words = [true, false].flatMap((on) => [media.setMicrophone(on), media.setCamera(on)]);
  answer();
  await Promise.all([begun, ...words]);
  assert.ok(enabled.length && enabled.every((on) => !on), `${enabled}`);
  assert.deepEqual([media.state.mic, media.state.cam, devices.asked.length], [false, false, 1], 'no camera is opened');
  await Promise.all([true, false, true].flatMap((on) => [media.setMicrophone(on), media.setCamera(on)]));
  assert.deepEqual([mic.enabled, media.state.mic, media.state.cam], [true, true, true]);
});

test('a screen that is ended is seen no more, and not at all where it was ended before it was chosen', async () => {
  const { media, devices, sent } = local();
  await media.open();
  await media.setScreen(true);
  const [screen] = labelled('screen');
  const asked = asks['a permission'](devices);
  const opening = asked.begin(media);
  await turned();
  const ending = media.setScreen(false);
  assert.equal(screen.enabled, false);
  asked.answer();
  await Promise.all([opening, ending]);
  sent.length = 0;
  const { begin, answer } = asks['a screen'](devices);
  const begun = begin(media);
  const ended = media.setScreen(false);
  answer();
  await assert.rejects(begun, { code: 'ended' });
  await ended;
  await turned();
  assert.deepEqual(
    [sent, media.state.screen, labelled('screen').map((t) => t.readyState)],
    [[], false, ['ended', 'ended']],
  );
});
