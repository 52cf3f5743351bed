// From one URL of a stream to those of the other protocols, where a server did not list them all.

const RAW = 'raw=1';
/** Who comes before its publisher waits for it. */
const WAITS = 'wait=9';

/** Of a push or play URL: `{ app, stream, query }`; null if it is none. */
export function parts(url) {
  const found = /^[a-z]+:\/\/[^/]+\/([^/?]+)\/([^/?]+?)(?:\.flv|\.m3u8)?(?:\?(.*))?$/.exec(url ?? '');
  return found && { app: found[1], stream: found[2], query: found[3] ?? '' };
}

/** The name of the stream that a source shows: its URLs are signed anew at each look at the room. */
export function stream({ whepURL, accelerateURL, mixedPlayURL } = {}) {
  return parts(whepURL || accelerateURL || mixedPlayURL)?.stream;
}

/** Where a browser publishes: the server's own word, or the same stream and signature at `/whip/`. */
export function whip(server, { whipURL, pushURL }) {
  return whipURL || derive(server, 'whip', pushURL);
}

/**
 * Where a browser plays a pusher, or a room's mixed stream. `raw`: the pusher's own stream even while the audience is shown
 * a mix in its place, which is what co-anchors want.
 */
export function whep(server, { whepURL, accelerateURL, mixedPlayURL }, raw = false) {
  const derived = () => {
    const url = derive(server, 'whep', accelerateURL || mixedPlayURL);
    return url && `${url}&${WAITS}`;
  };
  const url = whepURL || derived();
  return url && marked(url, raw);
}

function marked(url, raw) {
  const [address, query = ''] = url.split('?');
  const pairs = query.split('&').filter((pair) => pair && pair !== RAW);
  if (raw) pairs.push(RAW);
  return pairs.length ? `${address}?${pairs.join('&')}` : address;
}

/** The same path at the server itself. */
export function at(server, url) {
  return origin(server) + url.replace(/^[a-z]+:\/\/[^/]*/, '');
}

/** All ways to play a pusher, for people: `[[name, url]]`. */
export function plays(server, pusher) {
  const from = parts(pusher.accelerateURL);
  const http = (extension) =>
    from && marked(`${origin(server)}/${from.app}/${from.stream}.${extension}?${from.query}`, false);
  return [
    ['RTMP', pusher.accelerateURL],
    ['HTTP-FLV', pusher.flvURL || http('flv')],
    ['HLS', pusher.hlsURL || http('m3u8')],
    ['WHEP', whep(server, pusher)],
  ].filter(([, url]) => url);
}

function derive(server, door, url) {
  const from = parts(url);
  return from && `${origin(server)}/${door}/${from.stream}?${from.query}`;
}

function origin(server) {
  return server || globalThis.location?.origin || '';
}
