// Where the console begins: tabs, the connection, and who gets what came.

import { el, focusHeading } from '/web/dom.js';
import { Acts } from './acts.js';
import { Bans } from './bans.js';
import { Hooks } from './hooks.js';
import { Link } from './link.js';
import { Logs } from './logs.js';
import { Overview } from './overview.js';
import { Recordings } from './recordings.js';
import { Rooms } from './rooms.js';
import { Settings } from './settings.js';
import { Streams } from './streams.js';
import { language, switchLanguage, t } from './text.js';
import { Tokens } from './tokens.js';

const KEPT = 3600;
const view = document.getElementById('view');
const nav = document.getElementById('tabs');
const state = document.getElementById('state');
const title = el('h1.unseen');

const link = new Link({
  hello(hello) {
    data.history = hello.history.map((sample, i, all) => withLoad(sample, all[i - 1]));
    pages.settings.show(hello);
    pages.overview.begin(hello);
    pages.logs.reset(hello.lines);
    // Stays when the server was started anew in between.
    show(location.hash.slice(1) || 'overview');
  },
  snapshot(snapshot) {
    data.history.push(withLoad(snapshot.now, data.history.at(-1)));
    if (data.history.length > KEPT) data.history.shift();
    data.snapshot = snapshot;
    // Streams keep their lines also while another page is shown.
    streams.remember(data);
    update();
  },
  lines: (lines) => pages.logs.add(lines),
  online(online, why) {
    state.textContent = why ?? t(online ? 'online' : 'offline');
    state.classList.toggle('bad', !online);
  },
  locked,
});

const acts = new Acts(link);
const streams = new Streams(acts);
const pages = {
  overview: new Overview(acts),
  rooms: new Rooms(acts, (stream) => streams.see(stream)),
  streams,
  recordings: new Recordings(acts),
  bans: new Bans(acts),
  webhooks: new Hooks(acts),
  tokens: new Tokens(acts),
  logs: new Logs(acts),
  settings: new Settings(acts),
};
const data = { history: [], snapshot: null };
let chosen = '';
/** Whether the form for the key was there, whose place in the page is gone. */
let wasLocked = false;

/** A sample with the share of a processor that was used since the one before it. */
function withLoad(sample, before) {
  const known = before && sample.cpuSeconds !== null && before.cpuSeconds !== null && sample.at > before.at;
  return {
    ...sample,
    cpu: known ? Math.max(0, ((sample.cpuSeconds - before.cpuSeconds) * 100_000) / (sample.at - before.at)) : null,
  };
}

function update() {
  if (!data.snapshot) return;
  pages[chosen]?.update?.(data);
  streams.look();
}

function mark(button, current) {
  if (!current) return button.removeAttribute('aria-current');
  button.setAttribute('aria-current', 'page');
  reveal();
}

/** On a phone not all tabs have room: the current one is seen, between its neighbours, also when the phone is turned. */
function reveal() {
  nav.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
}
new ResizeObserver(reveal).observe(nav);

function show(name) {
  chosen = pages[name] ? name : 'overview';
  title.textContent = t(chosen);
  document.title = `${t(chosen)} · RoomService`;
  view.replaceChildren(title, pages[chosen].element);
  if (wasLocked) focusHeading(view);
  wasLocked = false;
  for (const button of nav.children) mark(button, button.dataset.page === chosen);
  pages[chosen].shown?.();
  update();
}

nav.append(
  ...Object.keys(pages).map((name) => {
    const button = el(
      'button',
      {
        type: 'button',
        onclick: () => {
          location.hash = name;
        },
      },
      t(name),
    );
    button.dataset.page = name;
    return button;
  }),
);
document
  .querySelector('.top')
  .append(
    el(
      'button.language',
      { type: 'button', lang: language === 'zh' ? 'en' : 'zh-CN', onclick: switchLanguage },
      t('language'),
    ),
  );
// What is drawn has the colours and the size of before.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', update);
addEventListener('resize', update);
addEventListener('hashchange', () => data.snapshot && show(location.hash.slice(1)));
state.textContent = t('frozen');

/** Production: a key is needed. `refused`: the one that was given is none of the server's; `why`: what the server says of it. */
function locked({ refused = false, why }) {
  state.textContent = '';
  wasLocked = true;
  const key = el('input', {
    type: 'password',
    required: true,
    autocomplete: 'current-password',
    'aria-label': t('key'),
  });
  const open = el('button.button.primary', { type: 'submit' }, t('open'));
  view.replaceChildren(
    el(
      'form.gate.card',
      {
        onsubmit: (event) => {
          event.preventDefault();
          // The answer comes before the next try.
          key.disabled = open.disabled = true;
          link.useKey(key.value.trim());
          link.run();
        },
      },
      el('h1', {}, t('keyTitle')),
      el('p.soft', {}, t('keyText')),
      (why || refused) && el('p', { role: 'alert' }, why ?? t('keyRefused')),
      key,
      open,
    ),
  );
  key.focus();
}

link.run();
