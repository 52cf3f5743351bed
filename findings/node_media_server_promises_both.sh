#!/usr/bin/env bash
# node-media-server 4.4.3: live HTTP-FLV of a stream of pictures and sound, of one of pictures alone (a camera) and of one of sound alone, all pushed
# by ffmpeg 5.1 by RTMP; mpegts.js 1.8.2, flv.js 1.6.2 and xgplayer-flv 3.0.24 in Chromium 156.
#
# Expected: the server's FLV begins with what the publisher said (onMetaData), and is played whatever it has.
# Seen: each FLV has a header that promises both. Its first tag is the publisher's command whole, @setDataFrame before onMetaData, which
# players do not take for metadata. ffmpeg reads all three, with a data stream more. The players wait for what was promised and
# does not come: pictures alone or sound alone are never played, and no error is told.
set -euo pipefail
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps \
    node-media-server@4.4.3 mpegts.js@1.8.2 flv.js@1.6.2 xgplayer@3.0.26 xgplayer-flv@3.0.24 playwright-core@1.56.1
read -r rtmp http < <(node -e "
const net = require('net');
const servers = [0, 0].map(() => net.createServer().listen(0, '127.0.0.1'));
setTimeout(() => { console.log(...servers.map((server) => server.address().port)); servers.forEach((server) => server.close()); }, 200);")
cat > serve.cjs <<'JS'
const Server = require('node-media-server');

new Server({ bind: '127.0.0.1', notify: {}, auth: { play: false, publish: false }, rtmp: { port: +process.argv[2] }, http: { port: +process.argv[3] }, static: {} }).run();
JS
node serve.cjs "$rtmp" "$http" > server.log &
pids+=($!)
sleep 2
picture=(-f lavfi -i testsrc2=size=320x240:rate=25)
sound=(-f lavfi -i sine=frequency=440:sample_rate=48000)
coders=(-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -c:a aac)
push() { timeout 150 ffmpeg -nostdin -loglevel quiet -re "${@:2}" "${coders[@]}" -f flv "rtmp://127.0.0.1:$rtmp/live/$1" & pids+=($!); }
push both "${picture[@]}" "${sound[@]}"
push pictures "${picture[@]}"
push sound "${sound[@]}"
sleep 3
for name in both pictures sound; do
    curl -s --max-time 2 "http://127.0.0.1:$http/live/$name.flv" -o "$name.flv" || true
    echo "$name: header $(od -An -tu1 -j4 -N1 "$name.flv" | tr -d ' '), first tag $(head -c 100 "$name.flv" | tr -d '\0' | grep -aoE '@setDataFrame|onMetaData' | tr '\n' ' ')"
    ffprobe -loglevel quiet -show_entries stream=codec_type -of csv=p=0 "$name.flv" | sort | tr '\n' ' ' | sed "s/^/$name, read by ffmpeg: /;s/ \$/\n/"
done | tee seen

cat > play.mjs <<'JS'
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const server = createServer((request, response) => response.setHeader('Content-Type', 'text/html').end('<div id="place"><video muted></video></div>')).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);
const libraries = { mpegts: ['mpegts.js/dist/mpegts.js'], flvjs: ['flv.js/dist/flv.js'], xgplayer: ['xgplayer/dist/index.min.js', 'xgplayer-flv/dist/index.min.js'] };
for (const name of Object.keys(libraries)) for (const stream of ['both', 'pictures', 'sound']) {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}`);
  for (const library of libraries[name]) await page.addScriptTag({ path: `node_modules/${library}` });
  const seen = await page.evaluate(async ([url, name]) => {
    const said = [];
    if (name === 'xgplayer') {
      const player = new Player({ el: document.getElementById('place'), url, isLive: true, autoplay: true, autoplayMuted: true, plugins: [FlvPlayer] });
      player.on('error', (error) => said.push(error.message));
    } else {
      const player = window[name].createPlayer({ type: 'flv', isLive: true, url }, { enableStashBuffer: false });
      player.on('error', (kind, detail) => said.push(detail));
      player.attachMediaElement(document.querySelector('video'));
      player.load();
      document.querySelector('video').play().catch(() => {});
    }
    await new Promise((resolve) => setTimeout(resolve, 8000));
    return { plays: document.querySelector('video').currentTime > 1, said };
  }, [`http://127.0.0.1:${process.argv[2]}/live/${stream}.flv`, name]);
  console.log(`${name}, ${stream}: ${seen.plays ? 'plays' : 'nothing in 8 s'}, errors: ${seen.said.join(', ') || 'none'}`);
  await page.close();
}
await browser.close();
server.close();
JS
node play.mjs "$http" | tee -a seen
for name in both pictures sound; do grep -qx "$name: header 5, first tag @setDataFrame onMetaData " seen; done
grep -qx 'both, read by ffmpeg: audio data video' seen
grep -qx 'pictures, read by ffmpeg: data video' seen
grep -qx 'sound, read by ffmpeg: audio data' seen
for name in mpegts flvjs xgplayer; do
    grep -qx "$name, both: plays, errors: none" seen
    grep -qx "$name, pictures: nothing in 8 s, errors: none" seen
    grep -qx "$name, sound: nothing in 8 s, errors: none" seen
done
echo "as described"
