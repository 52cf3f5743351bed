// Shapes of streams: how each is published, and what of it is to be seen and heard.

import { isSound, publish, tags } from '../../web/shapes.mjs';
import { start } from './programs.mjs';

/** Seconds that a stream lasts; changes come at 9 s. */
export const LENGTH = 20;
const CHANGE = 9_000;

const H264 = '-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -sc_threshold 0';
const AAC = '-c:a aac';

/** Pushes with ffmpeg: `video` and `audio` are what it encodes with; nothing: no such track. */
function pushed(program, video, audio, { fps = 25, more = '', seconds = LENGTH } = {}) {
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

const both = (size) => tags(LENGTH, { size });

/** One stream whose pictures change their size in the middle of a connection. */
async function resized() {
  const [small, large] = [await both('320x180'), await both('480x270')];
  const late = large.filter((tag) => tag.at >= CHANGE || (tag.config && tag.kind === 9));
  const moved = late.map((tag) => ({ ...tag, at: Math.max(tag.at, CHANGE) }));
  return [...small.filter((tag) => tag.at < CHANGE), ...moved.filter((tag) => tag.kind !== 18)];
}

async function back(own, again) {
  const first = await pushed('ffmpeg', `${H264} -g 25`, AAC)(own);
  const running = { stop: () => first.stop() };
  setTimeout(() => first.stop(), CHANGE);
  setTimeout(async () => {
    const second = await again(own);
    running.stop = () => second.stop();
  }, CHANGE + 1_000);
  return running;
}

/** `video`: pictures a second, 0 without; `sound`: whether there is any at the end of a viewer's time. */
export function shapes(ffmpeg9) {
  const of = (codec, program = 'ffmpeg') => ({ push: pushed(program, `${H264} -g 25`, codec), video: 25, sound: true });
  const plain = of(AAC);
  return {
    plain,
    'B-frames': { ...plain, push: pushed('ffmpeg', `${H264.replace('-tune zerolatency', '')} -g 25 -bf 2`, AAC) },
    'sound only': { push: pushed('ffmpeg', null, AAC), video: 0, sound: true },
    'pictures only': { push: pushed('ffmpeg', `${H264} -g 25`, null), video: 25, sound: false },
    'late sound': {
      push: sent(async () => (await both('320x180')).filter((tag) => !isSound(tag) || tag.at >= CHANGE)),
      video: 15,
      sound: true,
    },
    'sound stops': {
      push: sent(async () => (await both('320x180')).filter((tag) => !isSound(tag) || tag.at < CHANGE)),
      video: 15,
      sound: false,
    },
    'size changes': { push: sent(resized), video: 15, sound: true },
    'comes back': { push: (own) => back(own, pushed('ffmpeg', `${H264} -g 25`, AAC)), video: 25, sound: true },
    '5 fps long groups': { push: pushed('ffmpeg', `${H264} -g 100`, AAC, { fps: 5 }), video: 5, sound: true },
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
    'two tracks of sound': {
      ...plain,
      push: pushed(ffmpeg9, `${H264} -g 25`, AAC, { more: '-map 0:v -map 1:a -map 1:a' }),
    },
  };
}

/** What of these sounds nobody can be given but programs that decode them themselves. */
export const PASSED_ON = ['PCM', 'ADPCM', 'Speex', 'Nellymoser', 'AC-3', 'FLAC'];
