// The pages' words: every code has some, in both languages, and none is in another language than the page.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { Code, RoomError } from '../src/errors.js';

const root = new URL('../../../', import.meta.url);
const CHINESE = /[\u3400-\u9fff]/;
const names = ['localStorage', 'document'];
const before = names.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
after(() => {
  for (const [name, was] of before) {
    delete globalThis[name];
    if (was) Object.defineProperty(globalThis, name, was);
  }
});

/** A page's texts in a language. */
async function texts(page, language) {
  for (const [name, value] of [
    ['localStorage', { getItem: () => language }],
    ['document', { documentElement: {} }],
  ])
    Object.defineProperty(globalThis, name, { configurable: true, value });
  return import(new URL(`web/${page}/text.js?${language}`, root));
}

/** The codes of the chat, as its document lists them. */
const chat = readFileSync(new URL('docs/chat.md', root), 'utf8').split('## Errors')[1].split('##')[0];
const rows = chat.split('\n').filter((line) => line.startsWith('| `'));
const codes = [
  ...Object.values(Code),
  ...rows.flatMap((row) => [...row.split('|')[1].matchAll(/`(\w+)`/g)].map((m) => m[1])),
];

test('the demo has words for every code, in both languages', async () => {
  assert.ok(codes.length > 40, `${codes}`);
  for (const language of ['en', 'zh']) {
    const { why } = await texts('demo', language);
    for (const code of codes) {
      const text = why(new RoomError(code, 'WORDS'));
      assert.equal(CHINESE.test(text), language === 'zh', `${language} ${code}: ${text}`);
      assert.ok(!text.endsWith('WORDS') || code === Code.MEDIA, `${language} ${code} has no words`);
      assert.ok(!text.includes('{'), text);
    }
  }
});

test('the console says by codes and names what the server says in English', async () => {
  const read = (path) => readFileSync(new URL(path, root), 'utf8').split('#[cfg(test)]')[0];
  const all = readdirSync(new URL('crates', root), { recursive: true }).filter((file) => file.endsWith('.rs'));
  const files = all.filter(
    (file) =>
      !file.includes('tests') && /^(server\/src\/http\/(api|console|operators)|rooms\/src\/moderation)/.test(file),
  );
  const found = files.flatMap((file) => [
    ...read(`crates/${file}`).matchAll(
      /(?:refused?\([^"{}();]*|Problem::(?:new|missing)\([^"{}();]*|code: |Self::\w+ => |const TOO_\w+[^"]*)"([a-z_]+)"/g,
    ),
  ]);
  const said = new Set(found.map(([, code]) => code));
  assert.ok(said.size >= 20, [...said].join());
  const chinese = await texts('console', 'zh');
  for (const code of said) assert.match(chinese.why({ code, message: 'words' }), CHINESE, code);
  assert.equal(chinese.why({ message: 'words' }), 'words');
  // In the language that the page has by now; that every sentence has its Chinese is the server's own test.
  const { problemOf } = await import(new URL('web/console/said.js', root));
  const seen = {
    text: '{url} answers {status}',
    with: [
      ['url', 'U'],
      ['status', '5'],
    ],
  };
  assert.equal(problemOf({ check: 'webhooks', seen, cure: null }), '回调：U 应答 5');
  const english = await texts('console', 'en');
  assert.equal(english.why({ code: 'no_room', message: 'no room' }), 'no room');
});
