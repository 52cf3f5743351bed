// Where the demo begins: who we are, and which view the address shows.

import { RoomError } from '/sdk/errors.js';
import { browser } from '/sdk/platform/browser.js';
import { Session } from '/sdk/session.js';
import { avatar, el, focusHeading, sayInFullScreen, toast } from '/web/dom.js';
import { Lobby } from './lobby.js';
import { language, locale, switchLanguage, t, why } from './text.js';

// The pages may ask nothing of other hosts, and media is where they are, too, whichever host its URLs name.
const session = new Session({ platform: browser(), language: locale, mediaAtServer: true });
const view = document.getElementById('view');
let shown = null;
/** The views before, until they have gone. */
let leaving = null;
/** Logged out. */
let out = false;
let turn = 0;

document.documentElement.lang = locale;
sayInFullScreen();

/** A tab that is just being loaded anew lets go of its person within so many milliseconds. */
const CLAIMED_WITHIN = 700;
const claimed = new Set();

/** Whether this tab alone is that person. A tab that was duplicated begins with all that the first one has kept. */
async function claim(userID) {
  if (claimed.has(userID) || !navigator.locks) return true;
  const mine = await new Promise((resolve) => {
    const held = () => {
      resolve(true);
      return new Promise(() => {});
    };
    const signal = AbortSignal.timeout(CLAIMED_WITHIN);
    navigator.locks.request(`person ${userID}`, { signal }, held).catch(() => resolve(false));
  });
  if (mine) claimed.add(userID);
  return mine;
}

/** What the other tab has kept, of which it is in these rooms. */
function beginAnew() {
  for (const key of Object.keys(sessionStorage))
    if (key === 'userID' || /^(in|room) /.test(key)) sessionStorage.removeItem(key);
}

/** A person for each tab, so that two tabs are two people; the name is for all of them. */
function remembered() {
  const names = ['Ada', 'Grace', 'Linus', 'Mei', 'Alan', 'Yuki', 'Hedy', 'Tim', 'Lin', 'Noor'];
  const userName = localStorage.getItem('name') || names[Math.floor(Math.random() * names.length)];
  return { userID: sessionStorage.getItem('userID') || '', userName };
}

/** In development mode the server signs for whoever asks; in production the app's own backend does. */
async function signIn() {
  const { userID: before } = remembered();
  if (before && !(await claim(before))) beginAnew();
  const { userID, userName } = remembered();
  const headers = { 'Accept-Language': locale };
  const of = (id) =>
    fetch(`/weapp/utils/get_login_info?userID=${encodeURIComponent(id)}`, { headers }).then((r) => r.json());
  const info = await of(userID);
  if (info.code !== 0) throw new RoomError(info.code, info.message);
  await claim(info.userID);
  sessionStorage.setItem('userID', info.userID);
  const userSig = async () => (await of(info.userID)).userSig ?? info.userSig;
  await session.open({ ...info, userSig, userName });
}

/** What was pasted into the form of production; it stays with the tab, so that loading anew asks for nothing. */
const pasted = {
  get: () => JSON.parse(sessionStorage.getItem('login') ?? 'null'),
  keep: (login) => sessionStorage.setItem('login', JSON.stringify(login)),
  forget: () => sessionStorage.removeItem('login'),
};

async function openWith(given) {
  if (!(await claim(given.userID))) throw new RoomError('open_elsewhere', t('openElsewhere'));
  await session.open({ ...given, accType: '0', userName: given.userID });
  pasted.keep(given);
  start();
}

/** Goes on with what this tab was logged in by before; whether that went well. */
async function goOn() {
  const kept = pasted.get();
  if (!kept) return false;
  if (!(await claim(kept.userID))) {
    beginAnew();
    pasted.forget();
    return false;
  }
  try {
    await openWith(kept);
    return true;
  } catch (error) {
    // A server that is away, or has no time, says nothing about the signature.
    if (typeof error.code !== 'number' || error.status >= 429) throw error;
    pasted.forget();
    return false;
  }
}

async function logOut() {
  pasted.forget();
  // The page is loaded anew: no other view is shown, and a room is left first.
  out = true;
  await Promise.allSettled([leaving, shown?.close()]);
  await session.close();
  location.hash = '#/';
  location.reload();
}

/** What production shows instead: how an app plugs its own signature in. */
function gate() {
  const field = (name) =>
    el('label', {}, el('span', {}, t(name)), el('input', { name, required: true, autocomplete: 'off' }));
  const form = el(
    'form.gate.card',
    {
      onsubmit: async (event) => {
        event.preventDefault();
        const given = Object.fromEntries(new FormData(form));
        try {
          await openWith(given);
        } catch (error) {
          toast(why(error), 'bad');
        }
      },
    },
    el('h1', {}, t('productionTitle')),
    el('p.soft', {}, t('production')),
    field('userID'),
    field('userSig'),
    field('sdkAppID'),
    el('button.button.primary', { type: 'submit' }, t('login')),
  );
  document.getElementById('me').replaceChildren(languageButton());
  view.replaceChildren(form);
}

function languageButton() {
  return el(
    'button.language',
    { type: 'button', lang: language === 'zh' ? 'en' : 'zh-CN', onclick: switchLanguage },
    t('language'),
  );
}

function showMe() {
  const { userID, userName } = session.user;
  const name = el('input', { value: userName, maxlength: 24, 'aria-label': t('yourName'), spellcheck: 'false' });
  name.addEventListener('change', () => {
    const chosen = name.value.trim() || userName;
    name.value = chosen;
    session.user.userName = session.login.userName = chosen;
    localStorage.setItem('name', chosen);
    showMe();
  });
  const out = pasted.get() && el('button.language', { type: 'button', onclick: logOut }, t('logout'));
  const parts = [languageButton(), out, avatar(userName, userID), name];
  document.getElementById('me').replaceChildren(...parts.filter(Boolean));
}

function start() {
  showMe();
  addEventListener('hashchange', route);
  route();
}

/** `#/` is the list, `#/live_room/ID` a room. */
async function route() {
  if (out) return;
  const mine = ++turn;
  const [, kind, id] = location.hash.split('/');
  leaving = Promise.all([leaving, shown?.close()]);
  shown = null;
  await leaving;
  // Another address was chosen while we left.
  if (out || mine !== turn) return;
  if (['double_room', 'multi_room', 'live_room'].includes(kind) && id) {
    // The list needs none of it.
    const { RoomView } = await import('./room.js');
    if (out || mine !== turn) return;
    shown = new RoomView({
      session,
      kind,
      roomID: decodeURIComponent(id),
      create: history.state?.create,
      leave: () => {
        location.hash = '#/';
      },
    });
    history.replaceState(null, '');
  } else {
    shown = new Lobby({ session, go });
  }
  view.replaceChildren(shown.element);
  // The page itself begins at its top.
  if (mine > 1) focusHeading(shown.element);
  await shown.open();
}

/** Goes to a room; with `create`, makes it. */
function go({ kind, roomID, create }) {
  history.pushState(create ? { create } : null, '', `#/${kind}/${encodeURIComponent(roomID)}`);
  route();
}

addEventListener('pagehide', () => shown?.close(true));
// A page that the browser kept and shows again has left its room.
addEventListener('pageshow', (event) => event.persisted && location.reload());

for (;;) {
  try {
    await signIn();
    start();
    break;
  } catch (error) {
    if (error.code === 7) {
      try {
        if (!(await goOn())) gate();
        break;
      } catch {
        /* Tried again, as below. */
      }
    }
    view.replaceChildren(el('p.quiet.loading', { role: 'status' }, t('unreachable')));
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
}
