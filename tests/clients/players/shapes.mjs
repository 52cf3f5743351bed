// Shapes of streams: how each is published, and what of it is to be seen and heard.

import { isPicture, isSound, publish, tags } from '../../web/shapes.mjs';
import { start } from './programs.mjs';

const H264 = '-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -sc_threshold 0';
const AAC = '-c:a aac';

/** Pushes with ffmpeg: `video` and `audio` are what it encodes with; nothing: no such track. */
function pushed(program, seconds, video, audio, { fps = 25, more = '' } = {}) {
  const words = (text) => text.split(' ').filter(Boolean);
  return async ({ rtmpIn }) => {
    const inputs = [
      ...(video ? words(`-re -f lavfi -i testsrc2=size=320x180:rate=${fps}`) : []),
      ...(audio ? words('-re -f lavfi -i sine=frequency=440:sample_rate=48000,volume=4') : []),
    ];
    const args = [...words(`-nostdin -v error -t ${seconds}`), ...inputs, '-t', `${seconds}`];
    const codecs = [...words(video ?? ''), ...words(audio ?? ''), ...words(more)];
    const child = start(program, [...args, ...codecs, ...words('-flvflags no_duration_filesize -f flv'), rtmpIn]);
    return { stop: () => child.kill('SIGKILL') };
  };
}

function sent(make) {
  return async ({ rtmpIn }) => publish(rtmpIn, await make());
}

/** One stream whose pictures change their size in the middle of a connection. */
function resized(small, large, change) {
  const late = large.filter((tag) => tag.at >= change || (tag.config && tag.kind === 9));
  const moved = late.map((tag) => ({ ...tag, at: Math.max(tag.at, change) }));
  return [...small.filter((tag) => tag.at < change), ...moved.filter((tag) => tag.kind !== 18)];
}

/** Sound that says nothing of pictures, which come all the same. */
function unannounced(tags, change) {
  const [config] = tags.filter((tag) => tag.kind === 9 && tag.config);
  const early = tags.filter((tag) => tag.kind === 8 && tag.at < change);
  const late = tags.filter((tag) => tag.at >= change && tag.kind !== 18);
  return [...early, { ...config, at: change }, ...late];
}

/** What cameras and drones send besides: each picture behind a delimiter, filler and a unit without a byte, and messages (SEI)
 *  in tags of their own. */
function littered(tags) {
  const unit = (...bytes) => [0, 0, 0, bytes.length, ...bytes];
  const before = Buffer.from([...unit(9, 0xf0), ...unit(), ...unit(12, 0xff, 0x80)]);
  const message = unit(6, 5, 17, ...Array(16).fill(0x41), 0x42, 0x80);
  return tags.flatMap((tag) => {
    if (!isPicture(tag)) return [tag];
    const body = Buffer.concat([tag.body.subarray(0, 5), before, tag.body.subarray(5)]);
    return [
      { ...tag, body: Buffer.from([0x27, 1, 0, 0, 0, ...message]) },
      { ...tag, body },
    ];
  });
}

/** A second track of sound beside the first, as enhanced RTMP has it: OBS's VOD track. */
function doubled(tags) {
  return tags.flatMap((tag) => {
    if (tag.kind !== 8) return [tag];
    const head = Buffer.from([0x95, tag.config ? 0 : 1, ...Buffer.from('mp4a'), 1]);
    return [tag, { ...tag, body: Buffer.concat([head, tag.body.subarray(2)]) }];
  });
}

async function back(own, change, again) {
  const first = await again(own);
  const running = { stop: () => first.stop() };
  setTimeout(() => first.stop(), change);
  setTimeout(async () => {
    const second = await again(own);
    running.stop = () => second.stop();
  }, change + 1_000);
  return running;
}

/** A page that publishes by WHIP: what it does there is told the URL and when to change. */
function fromPage(change, script) {
  return async ({ whip }, open) => {
    const page = await open();
    await page.evaluate(script, [whip, change]);
    return { stop: () => page.context().close() };
  };
}

/** With its camera off until it is turned on. */
async function turnsOn([url, change]) {
  const { canvas, tone, publish } = window.probe;
  const stream = new MediaStream([tone(440)]);
  const { pc } = await publish(url, ['video', stream.getAudioTracks()[0]]);
  let n = 0;
  const camera = canvas((pen) => {
    pen.fillStyle = `hsl(${n++ % 360} 80% 50%)`;
    pen.fillRect(0, 0, 624, 352);
  });
  setTimeout(() => pc.getSenders()[0].replaceTrack(camera), change);
}

/** With smaller pictures from then on, as browsers do by themselves where network or processor are short. */
async function shrinks([url, change]) {
  const { canvas, tone, publish } = window.probe;
  let n = 0;
  const camera = canvas((pen) => {
    pen.fillStyle = `hsl(${n++ % 360} 80% 50%)`;
    pen.fillRect(0, 0, 640, 360);
  });
  const { pc } = await publish(url, [camera, tone(440)]);
  const sender = pc.getSenders().find((one) => one.track.kind === 'video');
  setTimeout(() => {
    const parameters = sender.getParameters();
    parameters.encodings[0].scaleResolutionDownBy = 2;
    sender.setParameters(parameters);
  }, change);
}

/** What is published for `length` seconds and changes after `change` milliseconds. `video`: pictures a second, 0 without;
 *  `fewest`: how few where there are not always so many; `sound`: whether there is any at the end of a viewer's time; `wide`: how
 *  wide the picture is then, where that is known, or `below` what; `alone`: it begins as sound alone. */
export function shapes(ffmpeg9, { length, change }) {
  const made = new Map();
  const both = (size) => {
    if (!made.has(size)) made.set(size, tags(length, { size }));
    return made.get(size);
  };
  const push = (video, audio, { program = 'ffmpeg', ...more } = {}) => pushed(program, length, video, audio, more);
  const of = (codec, program) => ({
    push: push(`${H264} -g 25`, codec, { program }),
    video: 25,
    sound: true,
    wide: 320,
  });
  const from = (is) => sent(async () => (await both('480x270')).filter((tag) => is(tag)));
  const plain = of(AAC);
  const tagged = { video: 15, sound: true, wide: 480 };
  return {
    plain,
    'B-frames': {
      ...plain,
      refusedByRtc: true,
      push: push(`${H264.replace('-tune zerolatency', '')} -g 25 -bf 2`, AAC),
    },
    'sound only': { push: push(null, AAC), video: 0, sound: true },
    'pictures only': { ...plain, push: push(`${H264} -g 25`, null), sound: false },
    'late sound': { ...tagged, push: from((tag) => !isSound(tag) || tag.at >= change) },
    'sound stops': { ...tagged, push: from((tag) => !isSound(tag) || tag.at < change), sound: false },
    // Black until then: four pictures a second.
    'late pictures': {
      ...tagged,
      push: from((tag) => !isPicture(tag) || tag.at >= change),
      video: 8,
      fewest: 4,
      isBlackFirst: true,
    },
    // Nobody said that there would be any: who is there already hears on, and who comes then sees them.
    'sound then pictures': {
      ...tagged,
      push: sent(async () => unannounced(await both('480x270'), change)),
      alone: true,
    },
    'camera off': { push: fromPage(change, turnsOn), video: 8, fewest: 4, sound: true, wide: 624, isBlackFirst: true },
    // How small they are in the end is the browser's business.
    'page shrinks': { push: fromPage(change, shrinks), video: 20, fewest: 20, sound: true, below: 640 },
    'SEI AUD empty units': { ...tagged, push: sent(async () => littered(await both('480x270'))) },
    'size changes': {
      ...tagged,
      push: sent(async () => resized(await both('320x180'), await both('480x270'), change)),
    },
    'comes back': { ...plain, push: (own) => back(own, change, plain.push) },
    '5 fps long groups': { ...plain, push: push(`${H264} -g 100`, AAC, { fps: 5 }), video: 5 },
    MP3: of('-c:a libmp3lame -ar 44100'),
    'MP3 22 kHz': of('-c:a libmp3lame -ar 22050 -ac 1'),
    'G.711 A-law': of('-c:a pcm_alaw -ar 8000 -ac 1'),
    'G.711 mu-law': of('-c:a pcm_mulaw -ar 8000 -ac 1'),
    PCM: of('-c:a pcm_s16le -ar 44100'),
    ADPCM: of('-c:a adpcm_swf -ar 22050 -ac 1'),
    Speex: of('-c:a libspeex -ar 16000 -ac 1'),
    Nellymoser: of('-c:a nellymoser -ar 22050 -ac 1'),
    'AC-3': of('-c:a ac3', ffmpeg9),
    FLAC: of('-c:a flac -sample_fmt s16', ffmpeg9),
    Opus: of('-c:a libopus', ffmpeg9),
    'two tracks of sound': { ...tagged, push: sent(async () => doubled(await both('480x270'))) },
    'two tracks by FFmpeg 9': {
      ...plain,
      push: push(`${H264} -g 25`, AAC, { program: ffmpeg9, more: '-map 0:v -map 1:a -map 1:a' }),
    },
  };
}

/** What of these sounds nobody can be given but programs that decode them themselves. */
export const PASSED_ON = ['PCM', 'ADPCM', 'Speex', 'Nellymoser', 'AC-3', 'FLAC'];
