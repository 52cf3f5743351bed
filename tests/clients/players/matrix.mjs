// Pushes streams of every shape to a server of its own, plays each with every player, early and late, and prints a table of what was
// decoded. By hand:
//
//     SERVER=target/debug/roomservice node tests/clients/players/matrix.mjs DIRECTORY [--shapes A,B] [--players A,B] [--json FILE]
//
// DIRECTORY: where setup.sh installed the players.

import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { PLAYERS as PAGES, told, watch } from './browsers.mjs';
import { ffmpeg, mpv, vlc } from './programs.mjs';
import { serve } from './serve.mjs';
import { LENGTH, PASSED_ON, shapes } from './shapes.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { shapes: { type: 'string' }, players: { type: 'string' }, json: { type: 'string' } },
});
const tools = path.resolve(positionals[0] ?? '/tmp/roomservice-players');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const { server, browser, bare, stream, end: stop } = await serve(tools);
const ffmpeg9 = readdirSync(path.join(tools, 'venv/lib'), { recursive: true, withFileTypes: true })
  .filter((file) => file.name.startsWith('ffmpeg-linux'))
  .map((file) => path.join(file.parentPath ?? file.path, file.name))[0];
const PROGRAMS = {
  'ffmpeg 5 RTMP': ['rtmp', ffmpeg('ffmpeg')],
  'ffmpeg 5 FLV': ['flv', ffmpeg('ffmpeg')],
  'ffmpeg 5 HLS': ['hls', ffmpeg('ffmpeg')],
  'ffmpeg 9 RTMP': ['rtmp', ffmpeg(ffmpeg9)],
  'mpv FLV': ['flv', mpv],
  'mpv HLS': ['hls', mpv],
  'VLC FLV': ['flv', vlc],
  'VLC HLS': ['hls', vlc],
};
/** Played at once: more would make each other slow. */
const ROUNDS = [
  ['mpegts.js', 'flv.js', 'xgplayer-flv', 'WHEP', 'tcplayer'],
  ['hls.js', 'shaka-player', 'video.js', 'Chromium HLS'],
  Object.keys(PROGRAMS).slice(0, 4),
  Object.keys(PROGRAMS).slice(4),
];
/** When viewers come, in milliseconds after the publisher. */
const COME = { early: 2_000, late: 12_000 };

/** Begins to watch; gives what ends it and says what was seen. A page of its own each: browsers bound the connections that
 *  the pages of a profile have to one server. */
function begin(player, own) {
  if (PROGRAMS[player]) {
    const [by, play] = PROGRAMS[player];
    return play(own[by]).stop;
  }
  const { files, url, begin: code } = PAGES[player];
  const open = async () => {
    const page = await bare(browser, server.base);
    for (const file of files) await page.addScriptTag({ path: path.join(tools, 'node_modules', file) });
    await page.evaluate(`(window.players ??= {})[${JSON.stringify(player)}] = ({ ${code} }).begin`);
    return { page, seen: await page.evaluateHandle(watch, [player, own[url]]) };
  };
  const opened = open();
  return async () => {
    const { page, seen } = await opened;
    const what = await page.evaluate(told, seen);
    await page.context().close();
    return what;
  };
}

async function round(shape, name, players) {
  const own = await stream(server, `${name}${players[0]}`.replace(/\W/g, '').toLowerCase());
  const publisher = await shape.push(own);
  const from = Date.now();
  const viewers = [];
  for (const [when, after] of Object.entries(COME)) {
    await sleep(Math.max(0, from + after - Date.now()));
    viewers.push(...players.map((player) => ({ player, when, end: begin(player, own) })));
  }
  await sleep(Math.max(0, from + (LENGTH - 2) * 1_000 - Date.now()));
  const seen = viewers.map(async ({ player, when, end }) => {
    const what = await Promise.race([end(), sleep(8_000).then(() => ({ failed: ['does not answer'] }))]);
    return { shape: name, player, when, ...what };
  });
  const all = await Promise.all(seen);
  publisher.stop();
  return all;
}

const wanted = (text, all) => (text ? text.split(',') : all);
const all = shapes(ffmpeg9);
const chosen = wanted(values.players, ROUNDS.flat());
const found = [];
for (const name of wanted(values.shapes, Object.keys(all))) {
  for (const players of ROUNDS.map((group) => group.filter((player) => chosen.includes(player)))) {
    if (!players.length) continue;
    const seen = await round(all[name], name, players);
    found.push(...seen);
    for (const one of seen) console.error(JSON.stringify(one));
  }
}
await stop();

/** What a cell says: seconds to the first picture (or sound) of who came early and who came late, the longest standstill if
 *  it is one, pictures a second of who came early, and a note if sound is heard. `!`: something is not as it should be. */
function cell(shape, name, player, [early, late]) {
  const by = PAGES[player]?.url ?? PROGRAMS[player][0];
  const hears = shape.sound && (!PASSED_ON.includes(name) || ['ffmpeg 5 RTMP', 'ffmpeg 9 RTMP'].includes(player));
  const seconds = (ms) => (ms === undefined ? '–' : (ms / 1000).toFixed(1));
  const begins = (one) => (shape.video ? one.first : one.began);
  const watched = (LENGTH - 2) * 1_000 - COME.early - (begins(early) ?? 0);
  const rate = Math.round(((early.frames ?? 0) * 1_000) / watched);
  const bound = by === 'hls' ? 3_000 : 1_500;
  const longest = Math.max(early.longest ?? 0, late.longest ?? 0, early.still ?? 0, late.still ?? 0);
  const stands = longest > (name === 'comes back' ? 3_000 : 1_000);
  const failed = [...new Set([...(early.failed ?? []), ...(late.failed ?? [])])];
  const few = shape.video > 0 && rate < 0.7 * shape.video;
  const tooLate = [early, late].some((one) => !(begins(one) <= bound));
  const deaf = hears && (!early.sound || !late.sound);
  const isWrong = tooLate || few || stands || deaf || failed.length > 0;
  return [
    isWrong ? '!' : '',
    `${seconds(begins(early))}/${seconds(begins(late))}`,
    shape.video ? `${rate}` : '',
    early.sound || late.sound ? '♪' : '',
    stands ? `stands ${seconds(longest)}` : '',
    ...failed.map((why) => `(${why.slice(0, 40)})`),
  ]
    .filter(Boolean)
    .join(' ');
}

const players = chosen.filter((player) => found.some((one) => one.player === player));
console.log(`| | ${players.join(' | ')} |\n|${' --- |'.repeat(players.length + 1)}`);
for (const name of wanted(values.shapes, Object.keys(all))) {
  const cells = players.map((player) =>
    cell(
      all[name],
      name,
      player,
      ['early', 'late'].map((when) =>
        found.find((one) => one.shape === name && one.player === player && one.when === when),
      ),
    ),
  );
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
if (values.json) writeFileSync(values.json, JSON.stringify(found, null, 1));
