// The site of docs/, made by docs/site/build; pages and sidebar are laid out by stage.mjs.

import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitepress';

const pages = new URL('../pages/', import.meta.url);
const sidebar = JSON.parse(readFileSync(new URL('sidebar.json', pages), 'utf8'));

/**
 * Words of Latin letters as they are; Chinese, which has no spaces, by two characters. It is handed to the browser as text, so it
 * uses nothing from outside.
 */
function tokenize(text) {
  const words = [];
  for (const [run] of text.toLowerCase().matchAll(/[\p{Script=Han}]+|[\p{L}\p{N}]+/gu)) {
    if (!/\p{Script=Han}/u.test(run)) words.push(run);
    else if (run.length === 1) words.push(run);
    else for (let at = 0; at + 1 < run.length; at += 1) words.push(run.slice(at, at + 2));
  }
  return words;
}

/** Names of headings as they are where the documents are read in the repository, so that links to them lead there too. */
function slugify(heading) {
  const plain = heading.trim().toLowerCase();
  return plain.replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '').replaceAll(' ', '-');
}

const chinese = {
  button: { buttonText: '搜索', buttonAriaLabel: '搜索' },
  modal: {
    displayDetails: '显示内容',
    resetButtonTitle: '清除',
    backButtonTitle: '关闭',
    noResultsText: '没有找到',
    footer: { selectText: '打开', navigateText: '选择', closeText: '关闭' },
  },
};

export default defineConfig({
  title: 'RoomService',
  base: process.env.BASE ?? '/',
  srcDir: 'pages',
  outDir: 'dist',
  cleanUrls: true,
  lastUpdated: false,
  markdown: { languageAlias: { chat: 'json' }, anchor: { slugify } },
  // Addresses of the reader's own server are no pages.
  ignoreDeadLinks: 'localhostLinks',
  locales: {
    root: {
      label: 'English',
      lang: 'en',
      description: 'Rooms, chat and media for live streams and video calls, as one program',
      themeConfig: {
        sidebar: sidebar.en,
        nav: [
          { text: 'Recipes', link: '/docs/recipes/' },
          { text: 'Documents', link: '/docs/' },
          { text: 'SDK', link: '/sdk/js/' },
        ],
      },
    },
    zh: {
      label: '中文',
      lang: 'zh-CN',
      description: '直播连麦与视频房间的后端，只有一个程序',
      themeConfig: {
        sidebar: sidebar.zh,
        nav: [
          { text: '实用手册', link: '/zh/docs/recipes/' },
          { text: '文档', link: '/zh/docs/' },
          { text: 'SDK', link: '/zh/sdk/js/' },
        ],
        outline: { label: '本页内容' },
        docFooter: { prev: '上一页', next: '下一页' },
        darkModeSwitchLabel: '深色',
        sidebarMenuLabel: '目录',
        returnToTopLabel: '回到顶部',
      },
    },
  },
  themeConfig: {
    outline: [2, 3],
    i18nRouting: false,
    search: {
      provider: 'local',
      options: {
        locales: { zh: { translations: chinese } },
        miniSearch: { options: { tokenize }, searchOptions: { prefix: true, boost: { title: 4, text: 2 } } },
      },
    },
  },
});
