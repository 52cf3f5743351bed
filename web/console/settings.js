// The settings as the server runs with them; secrets come masked. And what is wrong with them.

import { el } from '/web/dom.js';
import { t } from './text.js';

export class Settings {
  constructor(acts) {
    this.acts = acts;
    this.verdict = el('div');
    this.body = el('div.settings');
    this.version = el('span.badge');
    this.element = el(
      'section.section.card',
      {},
      el(
        'header',
        {},
        el('h2', {}, t('settings')),
        this.version,
        el('button.button.little', { type: 'button', onclick: () => this.#ask() }, t('askServices')),
      ),
      this.verdict,
      this.body,
    );
  }

  show({ settings, problems, version, mode }) {
    this.version.textContent = `${version} · ${mode}`;
    this.#say(problems);
    const say = (value) =>
      value === '' || (Array.isArray(value) && !value.length)
        ? t('empty')
        : typeof value === 'string'
          ? value
          : JSON.stringify(value);
    // What stands in a section of a section is named as in the file: tencent.host.
    const flat = (entries) =>
      entries.flatMap(([name, value]) =>
        isSection(value) ? flat(Object.entries(value)).map(([inner, v]) => [`${name}.${inner}`, v]) : [[name, value]],
      );
    const list = (entries) =>
      el(
        'dl.mono',
        {},
        entries.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, say(value))]),
      );
    const isSection = (value) => value && typeof value === 'object' && !Array.isArray(value);
    const plain = Object.entries(settings).filter(([, value]) => !isSection(value));
    this.body.replaceChildren(
      el('div', {}, el('h3', {}, 'roomservice'), list(plain)),
      ...Object.entries(settings)
        .filter(([, value]) => isSection(value))
        .map(([name, value]) => el('div', {}, el('h3', {}, `[${name}]`), list(flat(Object.entries(value))))),
    );
  }

  #say(problems) {
    this.verdict.replaceChildren(
      ...(problems.length ? problems.map((p) => el('p.problem', {}, p)) : [el('p.fine', {}, t('fits'))]),
    );
  }

  /** Every service that is configured says whether it admits us. */
  async #ask() {
    const reply = await this.acts.do('check_config');
    if (reply) this.#say(reply.problems);
  }
}
