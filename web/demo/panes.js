// The side of a room: tabs, who is here, and the URLs for other programs.

import { avatar, copyRow, el, icon } from '/web/dom.js';
import { t } from './text.js';

/** Tabs of `[[name, pane]]`; arrow keys move between them. `{ element, mark(i, n) }`: `n` things are unread in one. */
export function tabs(panes) {
  const buttons = panes.map(([name, pane], i) => {
    pane.setAttribute('role', 'tabpanel');
    pane.setAttribute('aria-label', name);
    return el('button', { type: 'button', role: 'tab', onclick: () => choose(i) }, name);
  });
  const choose = (chosen, focus) => {
    panes.forEach(([, pane], i) => {
      pane.hidden = i !== chosen;
      buttons[i].setAttribute('aria-selected', String(i === chosen));
      buttons[i].tabIndex = i === chosen ? 0 : -1;
    });
    if (focus) buttons[chosen].focus();
  };
  const row = el(
    'div.tabs',
    {
      role: 'tablist',
      onkeydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        choose((buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length, true);
      },
    },
    buttons,
  );
  choose(0);
  const element = el(
    'aside.side.card',
    {},
    row,
    panes.map(([, pane]) => pane),
  );
  const mark = (i, n) => {
    const [name] = panes[i];
    const sign = n > 0 && el('span.unread', { 'aria-label': t('unread', { n }) }, n > 99 ? '99+' : String(n));
    buttons[i].replaceChildren(...[name, sign].filter(Boolean));
  };
  return { element, mark };
}

/** Who pushes, and of a live room who watches. */
export class PeoplePane {
  constructor() {
    this.list = el('ul.list');
    this.audience = el('ul.list');
    this.title = el('h2', { hidden: true });
    this.element = el('div.pane.scroll', {}, this.list, this.title, this.audience);
  }

  show({ pushers, creator, me, live, hands }) {
    const line = ({ userID, userName }) =>
      el(
        'li',
        {},
        avatar(userName || userID, userID),
        el('span', {}, (userName || userID) + (userID === me ? ` (${t('you')})` : '')),
        live && userID === creator && el('span.badge', {}, t('anchor')),
        hands.has(userID) && el('span.badge', {}, icon('hand'), t('handIsUp')),
      );
    this.list.replaceChildren(...pushers.map(line));
  }

  showAudience({ audienceCount, audiences }) {
    this.title.hidden = false;
    this.title.textContent = `${t('audience')} · ${audienceCount}`;
    this.audience.replaceChildren(
      ...audiences.map(({ userID, userName }) => el('li', {}, avatar(userName, userID), el('span', {}, userName))),
    );
  }
}

/** URLs to push with OBS and to play elsewhere. */
export class StreamPane {
  /** `obs(on)`: pushes from another program instead of the camera. */
  constructor(obs) {
    this.obs = obs;
    this.using = false;
    this.push = el('div.list');
    this.plays = el('div.list');
    this.element = el('div.pane.scroll', {}, this.push, this.plays);
  }

  showPush(pushURL) {
    if (!pushURL) {
      this.push.replaceChildren();
      return;
    }
    const names = { copied: t('copied'), copy: t('copy') };
    const cut = pushURL.lastIndexOf('/');
    const button = el(
      'button.button.little',
      {
        type: 'button',
        'aria-pressed': 'false',
        onclick: () => {
          this.using = !this.using;
          button.textContent = t(this.using ? 'useCam' : 'useObs');
          button.setAttribute('aria-pressed', String(this.using));
          this.obs(this.using);
        },
      },
      t('useObs'),
    );
    this.push.replaceChildren(
      el('h2', {}, t('pushTitle')),
      el('p.small.soft', {}, t('pushHint')),
      copyRow(t('server'), pushURL.slice(0, cut), names),
      copyRow(t('key'), pushURL.slice(cut + 1), names),
      button,
    );
  }

  /** `all`: `[[who, [[protocol, url]]]]`. */
  showPlays(all) {
    const shape = JSON.stringify(all.map(([who, urls]) => [who, urls.map(([name]) => name)]));
    // Signatures differ each time; redrawing would take the focus away.
    if (shape === this.shape) return;
    this.shape = shape;
    const names = { copied: t('copied'), copy: t('copy') };
    this.plays.replaceChildren(
      ...(all.length ? [el('h2', {}, t('playTitle')), el('p.small.soft', {}, t('playHint'))] : []),
      ...all.flatMap(([who, urls]) =>
        [all.length > 1 && el('p.small.soft', {}, who), ...urls.map(([name, url]) => copyRow(name, url, names))].filter(
          Boolean,
        ),
      ),
    );
  }
}
