// A server of its own, on free ports, for the scripts beside: what tests/web/stage.mjs and probes.mjs need to know is set before
// they are read. `tools`: where setup.sh installed the players.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const free = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

export async function serve(tools) {
  const scratch = mkdtempSync(path.join(tmpdir(), 'roomservice-players-'));
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
  Object.assign(process.env, {
    NODE_MODULES: tools,
    SCREENSHOTS: scratch,
    SERVER: path.resolve(process.env.SERVER ?? 'target/debug/roomservice'),
    DATA_DIR: path.join(scratch, 'data'),
    HTTP_PORT: await free(),
    RTMP_PORT: await free(),
    RTC_PORT: await free(),
  });
  const { browse, Server, until } = await import('../../web/stage.mjs');
  const { bare, stream } = await import('../../web/probes.mjs');
  const server = new Server();
  await server.start();
  const { browser } = await browse();
  const end = async () => {
    await browser.close();
    await server.kill('SIGTERM');
  };
  return { server, browser, bare, stream, until, end };
}
