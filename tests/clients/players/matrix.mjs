// Pushes streams of every shape to a server of its own, plays each with every player, early and late, and prints a table of what was
// decoded. By hand:
//
//     SERVER=target/debug/roomservice node tests/clients/players/matrix.mjs DIRECTORY [--quick] [--shapes A,B] [--players A,B] [--json FILE] [--times N]
//
// DIRECTORY: where setup.sh installed the players. --quick is what ./check runs. --times: bounds are so many times as wide, for a
// machine that does other things too.

import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { PLAYERS as PAGES, told, watch } from './browsers.mjs';
import { ffmpeg, isThere, mpv, vlc } from './programs.mjs';
import { serve } from './serve.mjs';
import { PASSED_ON, shapes } from './shapes.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean' },
    shapes: { type: 'string' },
    players: { type: 'string' },
    json: { type: 'string' },
    times: { type: 'string', default: '1' },
  },
});
const tools = path.resolve(positionals[0] ?? '/tmp/roomservice-players');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const venv = path.join(tools, 'venv/lib');
const ffmpeg9 = (existsSync(venv) ? readdirSync(venv, { recursive: true, withFileTypes: true }) : [])
  .filter((file) => file.name.startsWith('ffmpeg-linux'))
  .map((file) => path.join(file.parentPath ?? file.path, file.name))[0];
const { server, browser, bare, stream, until, end: stop } = await serve(tools);
const PROGRAMS = {
  'ffmpeg 5 RTMP': ['rtmp', ffmpeg('ffmpeg'), 'ffmpeg'],
  'ffmpeg 5 FLV': ['flv', ffmpeg('ffmpeg'), 'ffmpeg'],
  'ffmpeg 5 HLS': ['hls', ffmpeg('ffmpeg'), 'ffmpeg'],
  'ffmpeg 9 RTMP': ['rtmp', ffmpeg(ffmpeg9), ffmpeg9],
  'mpv FLV': ['flv', mpv, 'mpv'],
  'mpv HLS': ['hls', mpv, 'mpv'],
  'VLC FLV': ['flv', vlc, 'vlc'],
  'VLC HLS': ['hls', vlc, 'vlc'],
};
/** Of ./check: who is tried with which shapes. All at once would make each other slow on two cores. */
const QUICK = [
  {
    players: ['mpegts.js', 'hls.js', 'ffmpeg 5 FLV'],
    shapes: [
      'plain',
      'late sound',
      'sound stops',
      'late pictures',
      'sound then pictures',
      'camera off',
      'page shrinks',
      'SEI AUD empty units',
      'two tracks of sound',
      'size changes',
    ],
  },
  {
    players: ['shaka-player', 'video.js', 'ffmpeg 5 RTMP', 'ffmpeg 5 HLS'],
    shapes: ['plain', 'late sound', 'late pictures', 'sound then pictures', 'size changes'],
  },
];
/** Played at once, each early and late: on two cores more pages make each other slow. */
const ALL = [
  ['mpegts.js', 'flv.js'],
  ['xgplayer-flv', 'hls.js'],
  ['shaka-player', 'video.js'],
  ['Chromium HLS', 'tcplayer'],
  ['WHEP', 'ffmpeg 5 RTMP', 'ffmpeg 5 FLV'],
  ['ffmpeg 5 HLS', 'ffmpeg 9 RTMP', 'mpv FLV'],
  ['mpv HLS', 'VLC FLV', 'VLC HLS'],
];
/** Seconds that a stream lasts, and when it changes and viewers come, in milliseconds after the publisher. */
const LENGTH = values.quick ? 11 : 20;
const CHANGE = values.quick ? 4_000 : 9_000;
const COME = values.quick ? { early: 700, late: 4_500 } : { early: 2_000, late: 12_000 };
/** When viewers are asked what they saw: hearing takes them more than a second. */
const END = (LENGTH - 2) * 1_000;
const TIMES = Number(values.times);
/** When a viewer's first picture is there at the latest, and how long it stands still at most, in milliseconds. */
const FIRST = { hls: 2_500 * TIMES, other: 1_000 * TIMES };
const STILL = 300 * TIMES;
/** What players do by themselves, whatever they are given: whose it is, how much of what it excuses, in milliseconds, and why.
 *  `opens`: how long the first picture stands. */
const LIMITS = {
  a: {
    player: ['ffmpeg 5 HLS', 'mpv HLS'],
    stands: 2_600,
    why: 'ffmpeg 5.1, which mpv reads with, reads whole segments and looks for new ones every 2 s: who begins with the short ones of a beginning runs out of them once',
  },
  b: {
    player: ['video.js'],
    first: 4_500,
    opens: 1_100,
    why: 'video.js 8.24.1 takes the segment that is being made to be as long as EXT-X-TARGETDURATION, and waits until the stream is where it wants to begin; and it begins with any part, whose first picture that can be decoded stands until its time',
  },
  c: {
    player: ['shaka-player'],
    stands: 1_100,
    why: 'shaka 5.2.12 adds 1 ms to how far it moves what is stamped since 1970, and begins its decoder anew where that differs by 1 ms: by rounding once in some viewings, and pictures are missing up to the next keyframe',
  },
  d: {
    player: ['Chromium HLS'],
    stands: 3_600,
    why: 'Chromium 156 reads a playlist again after EXT-X-TARGETDURATION: who begins with the short segments of a beginning runs out of them once',
  },
  e: {
    player: ['WHEP', 'tcplayer'],
    why: 'WebRTC has no B-frames: the answer is 406 and says how to have a rendition without them',
  },
  f: {
    player: ['mpv FLV', 'VLC FLV'],
    first: 8_000,
    stands: 450,
    why: 'libavformat looks for a second track of FLV for 5 s, and for a rate in 20 pictures; what VLC 3.0.24 counts it tells each 0.25 s',
  },
  g: {
    player: ['VLC HLS'],
    first: 8_000,
    stands: 20_000,
    few: true,
    why: 'VLC 3.0.24 reads a playlist again after EXT-X-TARGETDURATION, and ends at EXT-X-DISCONTINUITY, where pictures change: it gives its new reader of MP4 no initialisation segment',
  },
};

/** Gets ready to watch; gives what begins to, which gives what ends it and says what was seen. A page of its own each: browsers bound
 *  the connections that the pages of a profile have to one server. Loading one keeps the machine from showing others. */
async function ready(player, own) {
  if (PROGRAMS[player]) {
    const [by, play] = PROGRAMS[player];
    return () => play(own[by]).stop;
  }
  const { files, url, begin: code } = PAGES[player];
  const page = await bare(browser, server.base);
  for (const file of files) await page.addScriptTag({ path: path.join(tools, 'node_modules', file) });
  await page.evaluate(`(window.players ??= {})[${JSON.stringify(player)}] = ({ ${code} }).begin`);
  return () => {
    const watching = page.evaluateHandle(watch, [player, own[url]]);
    return async () => {
      const what = await page.evaluate(told, await watching);
      await page.context().close();
      return what;
    };
  };
}

const isSize = ({ wide, below }, size) => (below ? size < below : size === wide);

let rounds = 0;

async function round(shape, name, players) {
  const own = await stream(server, `${name}${players[0]}${rounds++}`.replace(/\W/g, '').toLowerCase());
  const viewers = Object.keys(COME).flatMap((when) => players.map((player) => ({ player, when })));
  for (const viewer of viewers) viewer.begin = await ready(viewer.player, own);
  const publisher = await shape.push(own, () => bare(browser, server.base));
  await until('the stream is there', async () => (await fetch(own.flv, { method: 'HEAD' })).ok);
  const from = Date.now();
  for (const [when, after] of Object.entries(COME)) {
    await sleep(Math.max(0, from + after - Date.now()));
    for (const viewer of viewers.filter((viewer) => viewer.when === when)) viewer.end = viewer.begin();
  }
  await sleep(Math.max(0, from + END - Date.now()));
  const seen = viewers.map(async ({ player, when, end }) => {
    const what = await Promise.race([end(), sleep(8_000).then(() => ({ failed: ['does not answer'] }))]);
    return { shape: name, player, when, ...what };
  });
  const all = await Promise.all(seen);
  publisher.stop();
  return all;
}

// Published for longer than they are watched: hearing takes a while at the end, and a beginning is not at once there.
const all = shapes(ffmpeg9, { length: LENGTH + 2, change: CHANGE });
const groups = values.quick ? QUICK : ALL.map((players) => ({ players, shapes: Object.keys(all) }));
const isWanted = (text, name) => !text || text.split(',').includes(name);
const named = Object.keys(all).filter((name) => isWanted(values.shapes, name));
const chosen = groups.flatMap((group) => group.players).filter((player) => isWanted(values.players, player));
const programs = chosen.filter((player) => PROGRAMS[player]).map((player) => PROGRAMS[player][2]);
const missing = [...new Set(['ffmpeg', ...programs, ...(values.quick ? [] : [ffmpeg9])])].filter(
  (one) => !isThere(one),
);
if (missing.length) {
  console.error(`not installed: ${missing.map((one) => one ?? 'ffmpeg 9').join(', ')} (setup.sh says what is needed)`);
  process.exit(2);
}
const found = new Map();
for (const name of named) {
  for (const group of groups.filter((group) => group.shapes.includes(name))) {
    let players = group.players.filter((player) => chosen.includes(player));
    // Who was late or stood still is tried again, beside fewer others: the machine may have been busy.
    for (let turn = 0; players.length && turn < (values.quick ? 3 : 1); turn++) {
      const seen = await round(all[name], name, players);
      for (const player of players) {
        const [early, late] = seen.filter((one) => one.player === player);
        found.set(`${name} ${player}`, { early, late, ...judged(all[name], name, player, early, late) });
      }
      if (!values.quick) for (const one of seen) console.error(JSON.stringify(one));
      players = players.filter((player) => found.get(`${name} ${player}`).isWrong);
    }
  }
}
await stop();

/** What a cell says: seconds to the first picture (or sound) of who came early and who came late, the longest standstill if
 *  it is one, pictures a second of who came early, a note if sound is heard, and the limit that excuses something. `!`: something
 *  is not as it should be. */
function judged(shape, name, player, early, late) {
  const by = PAGES[player]?.url ?? PROGRAMS[player][0];
  const isRtc = by === 'whep' || by === 'webrtc';
  const hears = shape.sound && (!PASSED_ON.includes(name) || ['ffmpeg 5 RTMP', 'ffmpeg 9 RTMP'].includes(player));
  const seconds = (ms) => (ms === undefined ? '–' : (ms / 1000).toFixed(1));
  // Who began to play sound alone has no pictures later, and hears on.
  const sees = (one) => shape.video > 0 && !(shape.alone && one === early);
  // Where there is only sound, WebRTC's element moves no time.
  const hearsBy = (one) => (isRtc ? (one.sound ? 0 : undefined) : one.began);
  const begins = (one) => (sees(one) ? one.first : hearsBy(one));
  const watched = END - COME.early - (begins(early) ?? 0);
  const rate = Math.round(((early.frames ?? 0) * 1_000) / watched);
  // WebRTC needs no black before pictures come.
  const blackFor = (one) => (isRtc && shape.isBlackFirst && one === early ? CHANGE - COME.early : 0);
  const bound = FIRST[by] ?? FIRST.other;
  const [letter, limit] = Object.entries(LIMITS).find(([, limit]) => limit.player.includes(player)) ?? ['', {}];
  // What does not move, and pictures that do not come while the time moves on.
  const between = shape.video ? 1_000 / Math.min(shape.video, shape.fewest ?? shape.video) : 0;
  const opens = ({ first, parted }) => (parted - first < 100 ? (limit.opens ?? 0) : 0);
  const stood = (one) => (isRtc && !sees(one) ? [] : [one.longest ?? 0, one.still ?? 0]);
  const pauses = (one) => [...stood(one), (one.apart ?? 0) - between - opens(one)];
  const longest = Math.max(...[early, late].flatMap(pauses));
  // The publisher is away for a second, and takes a while to begin.
  const still = name === 'comes back' ? 1_200 + STILL : STILL;
  const failed = [...new Set([early, late].flatMap((one) => one.failed ?? []))];
  const saysSo = (one) => one.failed?.some((why) => why.startsWith('406') || why === '-2002');
  const isRefused = isRtc && shape.refusedByRtc && saysSo(early) && saysSo(late);
  const few = sees(early) && !limit.few && rate < 0.7 * shape.video;
  const other = [early, late].find((one) => sees(one) && one.size !== undefined && !isSize(shape, one.size));
  // Who is not watched for as long as it may take has begun for all that is known.
  const isPending = (one, bound) => begins(one) === undefined && END - COME[one.when] < bound;
  const isInTime = (one, bound) => begins(one) <= bound || isPending(one, bound);
  const isLate = (bound) => [early, late].some((one) => !isInTime(one, bound + blackFor(one)));
  const tooLate = isLate(Math.max(bound, limit.first ?? 0));
  const stands = longest > Math.max(still, limit.stands ?? 0);
  const isExcused = (!tooLate && isLate(bound)) || (!stands && longest > still);
  const deaf = hears && [early, late].some((one) => !one.sound && !isPending(one, limit.first ?? 0));
  if (isRefused) return { isWrong: false, letter: 'e', text: 'refused (e)' };
  const isWrong = tooLate || few || other || stands || deaf || failed.length > 0;
  const words = [
    isWrong ? '!' : '',
    `${seconds(begins(early))}/${seconds(begins(late))}`,
    sees(early) ? `${rate}` : '',
    early.sound || late.sound ? '♪' : '',
    longest > still ? `stands ${seconds(longest)}` : '',
    isExcused ? `(${letter})` : '',
    other ? `${other.size} wide` : '',
    ...failed.map((why) => `(${why.slice(0, 40)})`),
  ];
  return { isWrong, letter: isExcused ? letter : '', text: words.filter(Boolean).join(' ') };
}

const shown = (list, of) => list.filter((one) => [...found.keys()].some((key) => of(key, one)));
const players = shown([...new Set(chosen)], (key, player) => key.endsWith(` ${player}`));
console.log(`| | ${players.join(' | ')} |\n|${' --- |'.repeat(players.length + 1)}`);
for (const name of shown(named, (key, name) => key.startsWith(`${name} `))) {
  const cells = players.map((player) => found.get(`${name} ${player}`)?.text ?? '');
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
for (const letter of new Set([...found.values()].flatMap((cell) => cell.letter || []))) {
  console.log(`(${letter}) ${LIMITS[letter].player.join(', ')}: ${LIMITS[letter].why}.`);
}
if (values.json) writeFileSync(values.json, JSON.stringify([...found], null, 1));
const wrong = [...found.values()].filter((cell) => cell.isWrong).length;
if (wrong) {
  console.log(`${wrong} cells are not as they should be.`);
  process.exitCode = 1;
}
