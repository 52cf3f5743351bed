// Lays the repository's documents out for the site: node stage.mjs ROOT OUT. Every page keeps its path, README.md becomes
// index.md, and Chinese pages (X.zh-CN.md) go below zh/. Links follow; files that are no pages are copied beside them.

import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const [root, out] = process.argv.slice(2);
const inside = ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'bench/README.md'];
const wanted = [
  'README.md',
  'README.zh-CN.md',
  ...inside,
  'SECURITY.zh-CN.md',
  'docs/*.md',
  'docs/{recipes,clients,decisions}/*.md',
];
const pages = list([...wanted, 'sdk/*/*.md', 'fuzz/README.md', 'findings/README.md']);

/** Files by patterns with `*` and `{a,b}`, which name one part of a path. */
function list(patterns) {
  const found = [];
  for (const pattern of patterns) {
    let dirs = [''];
    const parts = pattern.split('/').map(
      (part) =>
        new RegExp(
          `^${part
            .replaceAll('.', '\\.')
            .replaceAll('*', '[^.][^/]*')
            .replace(/\{(.*)\}/, (_, names) => `(${names.replaceAll(',', '|')})`)}$`,
        ),
    );
    for (const part of parts)
      dirs = dirs.flatMap((dir) =>
        entries(dir)
          .filter((name) => part.test(name))
          .map((name) => path.posix.join(dir, name)),
      );
    found.push(...dirs);
  }
  return [...new Set(found)];
}

function entries(dir) {
  const full = path.join(root, dir);
  return statSync(full).isDirectory() ? readdirSync(full).sort() : [];
}

const isChinese = (page) => page.endsWith('.zh-CN.md');
const english = (page) => page.replace('.zh-CN.md', '.md');
/** Where a page stands in the site. */
function placed(page) {
  const name = english(page).replace(/(^|\/)README\.md$/, '$1index.md');
  return isChinese(page) ? `zh/${name}` : name;
}
const address = (page) =>
  `/${placed(page)
    .replace(/(^|\/)index\.md$/, '$1')
    .replace(/\.md$/, '')}`;

/** Where a link of a page leads to. */
function link(page, target) {
  if (/^[a-z]+:|^#/.test(target)) return target;
  const [file, hash] = target.split('#');
  let to = path.posix.join(path.posix.dirname(page), file).replace(/\/$/, '');
  const full = path.join(root, to);
  if (existsSync(full) && statSync(full).isDirectory()) to = path.posix.join(to, 'README.md');
  if (pages.includes(to)) return address(to) + (hash ? `#${hash}` : '');
  if (!existsSync(path.join(root, to))) return null;
  const copy = path.join(out, 'public/files', to);
  mkdirSync(path.dirname(copy), { recursive: true });
  cpSync(path.join(root, to), copy);
  return `/files/${to}`;
}

/** A page with its links exchanged; blocks of code stay as they are. */
function written(page) {
  const text = readFileSync(path.join(root, page), 'utf8');
  let fenced = false;
  const lines = text.split('\n').map((line) => {
    if (/^\s*```/.test(line)) fenced = !fenced;
    if (fenced) return line;
    return line.replace(/(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g, (_all, image, words, target) => {
      const to = link(page, target);
      if (to === null) return words;
      // Files are not pages: a plain link, which the site's checks of links pass over.
      const file = to.startsWith('/files/') && !image;
      return file
        ? `<a href="BASE${to.slice(1)}" target="_blank">${words.replace(/`([^`]*)`/g, '$1')}</a>`
        : `${image}[${words}](${to})`;
    });
  });
  return lines.join('\n').replaceAll('href="BASE', `href="${process.env.BASE ?? '/'}`);
}

const title = (page) => /^# (.*)$/m.exec(readFileSync(path.join(root, page), 'utf8'))?.[1].replaceAll('`', '') ?? page;
const entry = (page) => ({ text: title(page), link: address(page) });

/** The pages that a page links to, in its order. */
function named(page) {
  const text = readFileSync(path.join(root, page), 'utf8');
  const found = [...text.matchAll(/\]\(([^)#\s]+\.md)\)/g)];
  const files = found.map((f) => path.posix.join(path.posix.dirname(page), f[1]));
  return [...new Set(files)].filter((f) => pages.includes(f) && path.posix.dirname(f) === path.posix.dirname(page));
}

function sidebar(chinese) {
  const of = (page) => {
    const local = page.replace(/\.md$/, '.zh-CN.md');
    return chinese && pages.includes(local) ? local : page;
  };
  const group = (text, list, collapsed = false) => ({ text, collapsed, items: list.map((page) => entry(of(page))) });
  const below = (page) => [page, ...named(page).filter((p) => !isChinese(p) && p !== page)];
  const say = (en, zh) => (chinese ? zh : en);
  return [
    group(say('Recipes', '实用手册'), below('docs/recipes/README.md')),
    group(say('Reference', '参考'), below('docs/README.md')),
    group(say('Clients', '客户端'), below('docs/clients/README.md'), true),
    group('SDK', list(['sdk/*/README.md']), true),
    group(say('Inside', '内部'), [...inside, 'docs/decisions/README.md'], true),
  ];
}

rmSync(out, { recursive: true, force: true });
for (const page of pages) {
  const file = path.join(out, placed(page));
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, written(page));
}
writeFileSync(path.join(out, 'sidebar.json'), JSON.stringify({ en: sidebar(false), zh: sidebar(true) }));
console.log(`${pages.length} pages`);
