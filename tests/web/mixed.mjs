// The demo's own pages: two people co-anchor, each with a colour and a tone, and the audience sees and hears both in one
// picture: in the demo (WHEP) and by RTMP, at both of two nodes, before, while and after; late joiners included.

import assert from 'node:assert/strict';
import { decoded, heard, isBlue, isRed, plays, probes, stream } from './probes.mjs';
import { browse, create, enter, nodes, shot, until } from './stage.mjs';

const TONES = [440, 880];
const { a, b, end } = await nodes();
const { browser, open, problems } = await browse();

/** A page of the demo; with a colour and a tone in place of its camera and microphone. */
const visit = (server, name, colour, hz) => {
  const camera = ([colour, hz]) => {
    navigator.mediaDevices.getUserMedia = async (wish) => {
      let n = 0;
      const picture = () =>
        window.probe.canvas((pen) => {
          pen.fillStyle = colour;
          pen.fillRect(0, 0, 624, 352);
          pen.fillStyle = n++ % 2 ? '#000' : '#fff';
          pen.fillRect(0, 350, 624, 2);
        });
      return new MediaStream([...(wish.video ? [picture()] : []), ...(wish.audio ? [window.probe.tone(hz)] : [])]);
    };
  };
  return open(`${server.base}/`, { name, init: [[probes], ...(colour ? [[camera, [colour, hz]]] : [])] });
};
/** The colours of a tile, at the places of both people in a mix of two. */
const shows = (page, tile) =>
  page.evaluate(
    ([tile, places]) => {
      const video = document.querySelector(`${tile} video`);
      return video?.videoWidth
        ? window.probe.colours(video, places)
        : [
            [0, 0, 0],
            [0, 0, 0],
          ];
    },
    [tile, PLACES],
  );
const hears = (page, tile, wanted, who) =>
  until(`${who} hears ${wanted}`, async () => {
    const levels = await page.evaluate(
      ([tile, tones]) => {
        const video = document.querySelector(`${tile} video`);
        // Between two connections there is none.
        return video?.srcObject ? window.probe.tones(video, tones) : tones.map(() => -Infinity);
      },
      [tile, TONES],
    );
    return levels.every((level, n) => level > -60 === wanted[n]);
  });
/** The middle of the anchor's picture, and of the first co-anchor's in it. */
const PLACES = [
  [0.1, 0.1],
  [280 / 360, 430 / 640],
];
const alone = ([first, second]) => isRed(first) && isRed(second);
const both = ([first, second]) => isRed(first) && isBlue(second);
const MIX = '.tile[data-user="mix:"]';

const anchor = await visit(a, 'Grace', '#d02020', 440);
await create(anchor, 'live_room', 'Colours');
const room = new URL(anchor.url()).hash.match(/[^/#?=]+$/)[0];
const co = await visit(a, 'Linus', '#2020d0', 880);
const audience = [await visit(a, 'Mei'), await visit(b, 'Noor')];
for (const page of [co, ...audience]) {
  await enter(page, 'Colours');
  await until('the anchor is seen', async () => alone(await shows(page, '.tile')));
}
await hears(audience[0], '.tile', [true, false], 'the audience');

const eve = await stream(b, 'eve', 'live_room', room);
const {
  pushers: [{ accelerateURL }],
} = await eve.call('get_pushers');
const rtmp = {
  a: plays(a, accelerateURL).urls.rtmp.replace(RegExp(process.env.RTMP_PORT_B), process.env.RTMP_PORT),
  b: plays(b, accelerateURL).urls.rtmp,
};
assert.ok(alone((await decoded(rtmp.b, PLACES)).colours));

await co.getByRole('button', { name: 'Ask to join' }).click();
await anchor.getByRole('button', { name: 'Accept' }).click();
const asked = Date.now();
for (const page of audience)
  await until('the audience sees both in one picture', async () => both(await shows(page, MIX)));
console.log(`seen by the audience of the demo ${Date.now() - asked} ms after the anchor accepted`);
await shot(audience[1], 'mixed-audience');
for (const page of audience) await hears(page, MIX, [true, true], 'the audience');
for (const url of Object.values(rtmp)) {
  await until(`both by ${url}`, async () => both((await decoded(url, PLACES)).colours));
  assert.deepEqual(await heard(url, TONES), [true, true], url);
}
// Who comes late, and who is on the stage: each other, not the mix.
const late = await visit(b, 'Olga');
await enter(late, 'Colours');
await until('a late viewer sees both', async () => both(await shows(late, MIX)));
await hears(late, MIX, [true, true], 'a late viewer');
await until('the co-anchor sees the anchor alone', async () => alone(await shows(co, '.tile:not(.mine)')));
await hears(co, '.tile:not(.mine)', [true, false], 'the co-anchor');
await until('the anchor sees the co-anchor', async () => (await shows(anchor, '.tile:not(.mine)')).every(isBlue));

await anchor.getByRole('button', { name: 'Take off air' }).click();
for (const page of [...audience, late, co]) {
  await until('the anchor alone again', async () => alone(await shows(page, '.tile')));
  await hears(page, '.tile', [true, false], 'the audience');
}
for (const url of Object.values(rtmp)) {
  await until(`the anchor alone by ${url}`, async () => alone((await decoded(url, PLACES)).colours));
  assert.deepEqual(await heard(url, TONES), [true, false], url);
}

assert.deepEqual(problems, []);
await browser.close();
await end();
