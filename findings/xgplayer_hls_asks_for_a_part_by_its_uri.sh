#!/usr/bin/env bash
# xgplayer-hls 3.0.24 and hls.js 1.7.4 in Chromium 156: a live low-latency playlist that lets players wait for what comes next
# (CAN-BLOCK-RELOAD) and hints at its next part (EXT-X-PRELOAD-HINT).
#
# Expected: both ask for the playlist that holds the next part by two numbers, _HLS_msn and _HLS_part (rfc8216bis §6.2.5).
# Seen: hls.js does. xgplayer-hls puts the hint's URI into _HLS_part and leaves _HLS_msn out, from its second request on; a server that refuses
# directives which make no sense ends it before its first picture.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps \
    xgplayer@3.0.26 xgplayer-hls@3.0.24 hls.js@1.7.4 playwright-core@1.56.1
ffmpeg -loglevel error -f lavfi -i testsrc2=size=320x180:rate=25 -t 8 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -sc_threshold 0 \
    -f hls -hls_time 2 -hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4 -hls_segment_filename 's%d.m4s' -hls_list_size 0 made.m3u8

cat > play.mjs <<'JS'
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

// Segment 3 is being made: its first part is complete, the next one is hinted at.
const playlist = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=6.0
#EXT-X-PART-INF:PART-TARGET=2.0
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-MAP:URI="init.mp4"
#EXTINF:2.0,
s0.m4s
#EXTINF:2.0,
s1.m4s
#EXTINF:2.0,
s2.m4s
#EXT-X-PART:DURATION=2.0,URI="s3.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="s4.m4s"
`;
let asked = [];
const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const file = pathname.slice(1);
  if (file === 'live.m3u8') {
    if (searchParams.size) asked.push(`_HLS_msn=${searchParams.get('_HLS_msn')} _HLS_part=${searchParams.get('_HLS_part')}`);
    // What it waits for does not come.
    if (searchParams.size) return setTimeout(() => response.writeHead(503).end(), 3000);
    return response.setHeader('Content-Type', 'application/vnd.apple.mpegurl').end(playlist);
  }
  if (file && existsSync(file)) return response.setHeader('Content-Type', 'video/mp4').end(readFileSync(file));
  if (file) return response.writeHead(404).end();
  response.setHeader('Content-Type', 'text/html').end('<div id="place"></div>');
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'] });
console.log(`Chromium ${browser.version()}`);
const libraries = { 'hls.js': ['hls.js/dist/hls.js'], 'xgplayer-hls': ['xgplayer/dist/index.min.js', 'xgplayer-hls/dist/index.min.js'] };
for (const [name, files] of Object.entries(libraries)) {
  asked = [];
  const page = await browser.newPage();
  await page.goto(base);
  for (const file of files) await page.addScriptTag({ path: `node_modules/${file}` });
  await page.evaluate(([url, name]) => {
    const place = document.getElementById('place');
    if (name === 'xgplayer-hls') {
      new Player({ el: place, url, isLive: true, autoplay: true, autoplayMuted: true, plugins: [HlsPlayer.default ?? HlsPlayer] });
    } else {
      const player = new Hls({ lowLatencyMode: true });
      player.loadSource(url);
      player.attachMedia(place.appendChild(document.createElement('video')));
    }
  }, [`${base}/live.m3u8`, name]);
  await new Promise((resolve) => setTimeout(resolve, 4000));
  console.log(`${name} asks for ${asked[0] ?? 'nothing'}`);
  await page.close();
}
await browser.close();
server.closeAllConnections();
server.close();
JS
node play.mjs | tee seen
grep -qx 'hls.js asks for _HLS_msn=3 _HLS_part=1' seen
grep -qx 'xgplayer-hls asks for _HLS_msn=null _HLS_part=s4.m4s' seen
echo "as described"
