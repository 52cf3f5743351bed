// Makes of the modules in src what others than browsers' own module loaders want: dist/roomservice.umd.js for a <script>, the
// same as dist/roomservice.umd.cjs for require, and miniprogram_dist/index.js for mini-programs. None is kept in the repository.
//
//     node build.mjs [--out DIRECTORY] [--publish]

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const given = process.argv.indexOf('--out');
const out = given > 0 ? path.resolve(process.argv[given + 1]) : here;
// Tests have it elsewhere than beside this file.
const { build } = createRequire(`${process.env.NODE_MODULES ?? here}/`)('esbuild');
const { version, license, repository } = JSON.parse(readFileSync(path.join(here, 'package.json'), 'utf8'));

if (process.argv.includes('--publish') && repository.url.includes('example.com')) {
  console.error(
    'package.json names no repository: publish what deploy/packages makes, which puts its address into each package',
  );
  process.exit(1);
}

const shared = { bundle: true, charset: 'utf8', legalComments: 'none', logLevel: 'warning' };
const banner = `/*! roomservice-sdk ${version}, ${license} */`;

mkdirSync(path.join(out, 'dist'), { recursive: true });
await build({
  ...shared,
  entryPoints: [path.join(here, 'src/index.js')],
  outfile: path.join(out, 'dist/roomservice.umd.cjs'),
  format: 'cjs',
  minify: true,
  target: 'es2020',
  banner: {
    js: `${banner}\n((root, make) => { if (typeof module === 'object' && module.exports) make(module); else if (typeof define === 'function' && define.amd) define([], () => { const module = { exports: {} }; make(module); return module.exports; }); else { const module = { exports: {} }; make(module); root.RoomService = module.exports; } })(typeof globalThis === 'object' ? globalThis : this, (module) => {`,
  },
  footer: { js: '});' },
});
// CDNs send no .cjs as JavaScript, and browsers then run none; require takes a .js of this package for a module.
copyFileSync(path.join(out, 'dist/roomservice.umd.cjs'), path.join(out, 'dist/roomservice.umd.js'));
// Its types, for require, and as `RoomService` for a <script>.
const typesOf = (name) =>
  readFileSync(path.join(here, 'src', name), 'utf8').replaceAll("'./rooms.js'", "'./rooms.cjs'");
writeFileSync(path.join(out, 'dist/rooms.d.cts'), typesOf('rooms.d.ts'));
writeFileSync(
  path.join(out, 'dist/roomservice.umd.d.cts'),
  `${typesOf('index.d.ts')}\nexport as namespace RoomService;\n`,
);
await build({
  ...shared,
  entryPoints: [path.join(here, 'src/wechat.js')],
  outfile: path.join(out, 'miniprogram_dist/index.js'),
  format: 'cjs',
  target: 'es2018',
  banner: { js: banner },
});
