// A long list on a page: searched, filtered, and turned over page by page.

import { el } from '/web/dom.js';
import { t } from './text.js';

export class Pages {
  /**
   * `text(item)`: what is searched; `filters`: `[{ label, options: [[value, text]], fits(item, value) }]`, whose first option
   * lets everything through; `changed()`: another page, or another search.
   */
  constructor({ size = 20, text, filters = [], changed }) {
    Object.assign(this, { size, text, filters, changed, at: 0 });
    const again = () => {
      this.at = 0;
      changed();
    };
    this.field = el('input', { type: 'search', placeholder: t('find'), 'aria-label': t('find'), oninput: again });
    this.choices = filters.map(({ label, options }) =>
      el(
        'select',
        { 'aria-label': label, onchange: again },
        options.map(([value, name]) => el('option', { value }, name)),
      ),
    );
    this.tools = el('div.tools', {}, this.choices, this.field);
    this.where = el('span.small.soft', { role: 'status' });
    this.back = el('button.button.little', { type: 'button', onclick: () => this.#turn(-1) }, t('pageBack'));
    this.on = el('button.button.little', { type: 'button', onclick: () => this.#turn(1) }, t('pageOn'));
    this.pager = el('nav.pager', { 'aria-label': t('pages'), hidden: true }, this.back, this.where, this.on);
    this.none = el('p.nothing', { hidden: true }, t('nothingFits'));
  }

  #turn(by) {
    this.at += by;
    this.changed();
    this.pager.parentElement?.scrollIntoView({ block: 'start' });
  }

  /** What is on the page that is shown. */
  of(items) {
    const words = this.field.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = this.filters.map(({ fits }, i) => [fits, this.choices[i].value]);
    const fitting = items.filter((item) => {
      if (!chosen.every(([fits, value]) => !value || fits(item, value))) return false;
      if (!words.length) return true;
      const text = this.text(item).toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const last = Math.max(0, Math.ceil(fitting.length / this.size) - 1);
    this.at = Math.min(this.at, last);
    const begin = this.at * this.size;
    const page = fitting.slice(begin, begin + this.size);
    this.pager.hidden = last === 0;
    this.where.textContent = t('pageOf', { from: begin + 1, to: begin + page.length, n: fitting.length });
    this.back.disabled = this.at === 0;
    this.on.disabled = this.at === last;
    this.none.hidden = fitting.length > 0 || items.length === 0;
    return page;
  }
}

/**
 * Elements that stay the same as long as their things are there: what is under the pointer, or has the focus, stays there.
 * `make(item)` gives `{ element, update(item) }`.
 */
export class Keyed {
  #rows = new Map();

  constructor(parent, key, make) {
    Object.assign(this, { parent, key, make });
  }

  show(items) {
    const keys = new Set(items.map(this.key));
    for (const [key, { element }] of this.#rows) {
      if (keys.has(key)) continue;
      element.remove();
      this.#rows.delete(key);
    }
    let at = this.parent.firstElementChild;
    for (const item of items) {
      const key = this.key(item);
      if (!this.#rows.has(key)) this.#rows.set(key, this.make(item));
      const row = this.#rows.get(key);
      if (row.element === at) at = at.nextElementSibling;
      else this.parent.insertBefore(row.element, at);
      // In its place: what is drawn is as wide as that.
      row.update(item);
    }
  }
}

/** Things by which a list may be cut short in a snapshot are fetched again after so many milliseconds. */
const FRESH = 5_000;

/** The whole of a list whose beginning comes with every snapshot. It is fetched only where the snapshot had not all. */
export class Whole {
  /** `fetch()` resolves with all; `key(item)`: what is the same thing; `changed()`: there are more now. */
  constructor({ fetch, key, changed }) {
    Object.assign(this, { fetch, key, changed, rest: [], at: 0 });
  }

  of(first, cut) {
    if (!cut) return first;
    if (Date.now() - this.at > FRESH) this.#load();
    const known = new Set(first.map(this.key));
    return [...first, ...this.rest.filter((item) => !known.has(this.key(item)))];
  }

  async #load() {
    this.at = Date.now();
    try {
      this.rest = await this.fetch();
      this.changed();
    } catch {
      /* Tried again with a later snapshot; what the snapshots have is shown. */
    }
  }
}
