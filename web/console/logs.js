// The logs: the newest lines as they come, a filter over them, and a search through the files.

import { el } from '/web/dom.js';
import { t } from './text.js';

const KEPT = 1000;

export class Logs {
  constructor(acts) {
    this.acts = acts;
    this.kept = [];
    this.list = el('ol.lines.mono', { tabindex: '0', 'aria-label': t('logs') });
    this.field = el('input', {
      type: 'search',
      placeholder: t('filter'),
      'aria-label': t('filter'),
      oninput: () => this.#redraw(),
    });
    this.follow = el('input', { type: 'checkbox', checked: true });
    this.search = el('button.button.little', { type: 'button', onclick: () => this.#search() }, t('search'));
    this.element = el(
      'section.section.card',
      {},
      el(
        'header',
        {},
        el('h2', {}, t('logs')),
        el('div.tools', {}, el('label', {}, this.follow, t('follow')), this.field, this.search),
      ),
      this.list,
    );
    // An older line that is being read must not run away.
    this.list.addEventListener('scroll', () => {
      this.follow.checked = this.#atEnd() && !this.found;
    });
  }

  #atEnd() {
    return this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
  }

  #fits({ text }) {
    return text.toLowerCase().includes(this.field.value.trim().toLowerCase());
  }

  add(lines) {
    this.kept.push(...lines);
    this.kept.splice(0, this.kept.length - KEPT);
    if (this.found) return;
    this.list.append(...lines.filter((l) => this.#fits(l)).map(draw));
    while (this.list.children.length > KEPT) this.list.firstChild.remove();
    this.#down();
  }

  reset(lines) {
    this.kept = [...lines];
    this.#redraw();
  }

  #down() {
    if (this.follow.checked) this.list.scrollTop = this.list.scrollHeight;
  }

  #redraw() {
    this.found = null;
    this.search.textContent = t('search');
    const shown = this.kept.filter((l) => this.#fits(l));
    this.list.replaceChildren(...shown.map(draw));
    this.#down();
  }

  async #search() {
    if (this.found) {
      this.field.value = '';
      return this.#redraw();
    }
    try {
      const { lines } = await this.acts.link.act('search_logs', { text: this.field.value.trim() });
      this.found = lines;
      this.search.textContent = t('backLive');
      this.list.replaceChildren(...(lines.length ? lines.map(draw) : [el('li', {}, t('noLines'))]));
      this.list.scrollTop = 0;
    } catch (error) {
      this.list.replaceChildren(el('li.error', {}, error.message));
    }
  }

  shown() {
    this.#down();
  }
}

function draw({ kind, text }) {
  return el(`li.${kind}`, {}, text);
}
