// Who is kept out, of what, until when and why; lifted here, and said here.

import { el } from '/web/dom.js';
import { Keyed, Pages } from './list.js';
import { moment, t, why } from './text.js';

/** Asked for again while it is looked at, in milliseconds. */
const EVERY = 3_000;

export class Bans {
  constructor(acts) {
    Object.assign(this, { acts, bans: [], at: 0 });
    this.pages = new Pages({
      size: 25,
      text: ({ userID, roomID, reason }) => `${userID} ${roomID ?? ''} ${reason}`,
      filters: [
        {
          label: t('outOf'),
          options: [
            ['', t('anything')],
            ['room', t('aRoom')],
            ['all', t('everything')],
          ],
          fits: ({ roomID }, value) => (value === 'room') === Boolean(roomID),
        },
      ],
      changed: () => this.#draw(),
    });
    this.count = el('span.badge', {}, '0');
    this.none = el('p.nothing', { role: 'status' }, t('noBans'));
    const body = el('tbody');
    this.rows = new Keyed(
      body,
      ({ userID, roomID }) => JSON.stringify([userID, roomID]),
      (ban) => this.#row(ban),
    );
    const head = ['user', 'outOf', 'reason', 'begun', 'until', ''].map((name) =>
      name ? el('th', { scope: 'col' }, t(name)) : el('td'),
    );
    this.table = el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, head)), body));
    const ban = el(
      'button.button.little.bad',
      { type: 'button', onclick: () => this.#then(acts.ban({})) },
      t('banUser'),
    );
    this.element = el(
      'section.section.card',
      {},
      el('header', {}, el('h2', {}, t('bans')), this.count, this.pages.tools, ban),
      this.none,
      this.pages.none,
      this.table,
      this.pages.pager,
    );
  }

  shown() {
    this.#load();
  }

  update() {
    if (Date.now() - this.at > EVERY) this.#load();
  }

  async #then(act) {
    await act;
    await this.#load();
  }

  async #load() {
    this.at = Date.now();
    try {
      this.bans = await this.acts.link.list('/bans', 'bans');
      this.none.textContent = t('noBans');
    } catch (error) {
      this.bans = [];
      this.none.textContent = why(error);
    }
    this.#draw();
  }

  #draw() {
    const shown = this.pages.of(this.bans);
    this.none.hidden = this.bans.length > 0;
    this.count.textContent = String(this.bans.length);
    this.table.hidden = shown.length === 0;
    this.rows.show(shown);
  }

  #row({ userID, roomID }) {
    const lift = () => this.#then(this.acts.unban({ userID, roomID }));
    const name = `${t('unban')}: ${userID}`;
    const cells = { reason: el('td.wrap'), at: el('td'), until: el('td') };
    const element = el(
      'tr',
      {},
      el('td.mono', {}, userID),
      el('td.wrap', {}, roomID ? el('span.mono', {}, roomID) : el('span.badge.bad', {}, t('everything'))),
      Object.values(cells),
      el('td.acts', {}, el('button.button.little', { type: 'button', 'aria-label': name, onclick: lift }, t('unban'))),
    );
    const update = ({ reason, at, until }) => {
      cells.reason.textContent = reason || '–';
      cells.at.textContent = moment(at);
      cells.until.textContent = until ? moment(until) : t('untilLifted');
    };
    return { element, update };
  }
}
