// The types promise the values that are there, and no others.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('../', import.meta.url);
const text = (name) => readFileSync(new URL(name, root), 'utf8');

/** The names that a file of types says can be used as values. */
function values(name) {
  const types = text(`src/${name}`);
  const own = [...types.matchAll(/^export declare (?:abstract )?(?:class|const|function) (\w+)/gm)].map(
    ([, one]) => one,
  );
  const from = [...types.matchAll(/^export (\*|\{[^}]*\}) from '\.\/(\w+)\.js'/gm)].flatMap(([, what, file]) => {
    const there = values(`${file}.d.ts`);
    return what === '*' ? there : there.filter((one) => what.match(/\w+/g).includes(one));
  });
  return [...own, ...from].sort();
}

for (const name of ['index', 'wechat', 'view'])
  test(`${name}.d.ts has the values of ${name}.js`, async () => {
    const there = Object.keys(await import(new URL(`src/${name}.js`, root))).sort();
    assert.deepEqual(values(`${name}.d.ts`), there);
  });

test('everything of the package that can be imported has types', () => {
  const { exports } = JSON.parse(text('package.json'));
  const build = text('build.mjs');
  for (const [name, { types }] of Object.entries(exports).filter(([name]) => !name.endsWith('.json'))) {
    assert.match(types ?? '', /\.d\.c?ts$/, name);
    const made = types.startsWith('./dist/') && build.includes(`'${types.slice(2)}'`);
    assert.ok(made || existsSync(new URL(types, root)), `${name}: ${types}`);
  }
});
