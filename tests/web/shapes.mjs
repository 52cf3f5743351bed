// A publisher by RTMP that sends exactly the tags that it is given: shapes of streams that ffmpeg does not make by itself,
// such as sound that is announced and never comes.

import { connect } from 'node:net';
import { output } from './probes.mjs';

const [AUDIO, VIDEO, SCRIPT] = [8, 9, 18];

/** The tags of a stream of so many seconds: `{ kind, at, body, config }`, at in milliseconds; a key picture each second. */
export async function tags(seconds, { audio = true, video = true, size = '160x90', hz = 440 } = {}) {
  const inputs = [
    ...(video ? ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=15:duration=${seconds}`] : []),
    ...(audio ? ['-f', 'lavfi', '-i', `sine=frequency=${hz}:sample_rate=44100:duration=${seconds}`] : []),
  ];
  const coded =
    '-pix_fmt yuv420p -c:v libx264 -preset ultrafast -tune zerolatency -g 15 -threads 1 -c:a aac -b:a 64k -f flv -flvflags no_duration_filesize -'.split(
      ' ',
    );
  const file = await output('ffmpeg', ['-nostdin', '-loglevel', 'error', ...inputs, ...coded]);
  const found = [];
  for (let at = 13; at + 11 <= file.length; ) {
    const [kind, length] = [file[at], file.readUIntBE(at + 1, 3)];
    const body = file.subarray(at + 11, at + 11 + length);
    found.push({
      kind,
      at: file.readUIntBE(at + 4, 3) + (file[at + 7] << 24),
      body,
      config: kind !== SCRIPT && body[1] === 0,
    });
    at += length + 15;
  }
  return found;
}

export const isSound = (tag) => tag.kind === AUDIO && !tag.config;
export const isPicture = (tag) => tag.kind === VIDEO && !tag.config;

const number = (n) => {
  const out = Buffer.alloc(9);
  out.writeDoubleBE(n, 1);
  return out;
};
const text = (s) => Buffer.concat([Buffer.from([2, s.length >> 8, s.length & 255]), Buffer.from(s)]);
const key = (s) => Buffer.concat([Buffer.from([s.length >> 8, s.length & 255]), Buffer.from(s)]);
const object = (fields) =>
  Buffer.concat([
    Buffer.from([3]),
    ...Object.entries(fields).flatMap(([name, value]) => [key(name), text(value)]),
    Buffer.from([0, 0, 9]),
  ]);
const NULL = Buffer.from([5]);

function message(chunkStream, kind, at, body, stream, size) {
  const head = Buffer.alloc(12);
  head[0] = chunkStream;
  head.writeUIntBE(at, 1, 3);
  head.writeUIntBE(body.length, 4, 3);
  head[7] = kind;
  head.writeUInt32LE(stream, 8);
  const pieces = [head, body.subarray(0, size)];
  for (let n = size; n < body.length; n += size)
    pieces.push(Buffer.from([0xc0 | chunkStream]), body.subarray(n, n + size));
  return Buffer.concat(pieces);
}

/** Publishes tags at their own pace, from `from` milliseconds on. `done`: when all are sent. */
export async function publish(url, tags) {
  const { hostname, port, pathname, search } = new URL(url.replace('rtmp:', 'http:'));
  const socket = connect(Number(port || 1935), hostname).on('error', () => {});
  let said = Buffer.alloc(0);
  socket.on('data', (data) => {
    said = Buffer.concat([said, data]);
  });
  const until = async (there) => {
    while (!there()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.setNoDelay(true);
  socket.write(Buffer.concat([Buffer.from([3]), Buffer.alloc(1536)]));
  await until(() => said.length >= 3073);
  socket.write(said.subarray(1, 1537));
  const size = 65_536;
  const chunk = Buffer.alloc(4);
  chunk.writeUInt32BE(size);
  socket.write(message(2, 1, 0, chunk, 0, 128));
  const command = (stream, ...values) => socket.write(message(3, 20, 0, Buffer.concat(values), stream, size));
  const [, app, name] = pathname.match(/^\/([^/]+)\/(.+)$/);
  command(0, text('connect'), number(1), object({ app, tcUrl: `rtmp://${hostname}:${port}/${app}` }));
  command(0, text('createStream'), number(2), NULL);
  await until(() => said.includes('NetConnection.Connect.Success'));
  command(1, text('publish'), number(3), NULL, text(name + search), text('live'));
  await until(() => said.includes('NetStream.Publish'));
  if (!said.includes('NetStream.Publish.Start')) throw new Error('not permitted to publish');
  const began = Date.now();
  const send = async () => {
    for (const { kind, at, body } of tags) {
      const wait = began + at - tags[0].at - Date.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      if (socket.destroyed) return;
      said = Buffer.alloc(0);
      const whole = kind === SCRIPT ? Buffer.concat([text('@setDataFrame'), body]) : body;
      socket.write(message({ [AUDIO]: 4, [VIDEO]: 6, [SCRIPT]: 5 }[kind], kind, at, whole, 1, size));
    }
  };
  return { done: send(), stop: () => socket.destroy() };
}
