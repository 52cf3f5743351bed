// The settings as the server runs with them, first those that differ from the defaults; secrets come masked. And what is
// wrong with them.

import { el } from '/web/dom.js';
import { problemOf } from './said.js';
import { t } from './text.js';

const isSection = (value) => value && typeof value === 'object' && !Array.isArray(value);

/** `[[name, value]]` with names as in the file: what stands in a section of a section is `tencent.host`. */
function flat(section) {
  return Object.entries(section).flatMap(([name, value]) =>
    isSection(value) ? flat(value).map(([inner, v]) => [`${name}.${inner}`, v]) : [[name, value]],
  );
}

function say(value) {
  if (value === undefined || value === null) return '–';
  if (value === '' || (Array.isArray(value) && !value.length)) return t('empty');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export class Settings {
  constructor(acts) {
    this.acts = acts;
    this.verdict = el('div');
    this.body = el('div.settings');
    this.changed = el('dl.mono.changed');
    this.count = el('span.badge', {}, '0');
    this.version = el('span.badge');
    this.find = el('input', {
      type: 'search',
      placeholder: t('find'),
      'aria-label': t('find'),
      oninput: () => this.#draw(),
    });
    this.none = el('p.nothing', {}, t('allDefault'));
    this.element = el(
      'div.stack',
      {},
      el(
        'section.section.card',
        {},
        el(
          'header',
          {},
          el('h2', {}, t('changedSettings')),
          this.count,
          this.version,
          this.find,
          el('button.button.little', { type: 'button', onclick: () => this.#ask() }, t('askServices')),
        ),
        this.verdict,
        this.none,
        this.changed,
      ),
      el('section.section.card', {}, el('header', {}, el('h2', {}, t('allSettings'))), this.body),
    );
  }

  show({ settings, defaults = settings, problems, version, mode }) {
    this.version.textContent = `${version} · ${mode}`;
    this.#say(problems);
    const usual = new Map(flat(defaults).map(([name, value]) => [name, JSON.stringify(value)]));
    this.all = flat(settings).map(([name, value]) => {
      const before = usual.get(name);
      return { name, value, before, changed: before !== JSON.stringify(value) };
    });
    this.#draw();
  }

  #draw() {
    const words = this.find.value.trim().toLowerCase();
    const shown = this.all.filter(({ name, value }) => `${name} ${say(value)}`.toLowerCase().includes(words));
    const changed = shown.filter((s) => s.changed);
    this.count.textContent = String(this.all.filter((s) => s.changed).length);
    this.none.hidden = changed.length > 0;
    this.none.textContent = t(words ? 'nothingFits' : 'allDefault');
    this.changed.replaceChildren(...changed.map(difference));
    // What stands in no section comes first, as in the file.
    const sections = new Map([['', []]]);
    for (const setting of shown) {
      const section = sectionOf(setting.name);
      sections.set(section, [...(sections.get(section) ?? []), setting]);
    }
    this.body.replaceChildren(...[...sections].filter(([, list]) => list.length).map((s) => group(...s)));
  }

  #say(problems) {
    this.verdict.replaceChildren(
      ...(problems.length ? problems.map((p) => el('p.problem', {}, problemOf(p))) : [el('p.fine', {}, t('fits'))]),
    );
  }

  /** Every service that is configured says whether it admits us. */
  async #ask() {
    const reply = await this.acts.do('check_config');
    if (reply) this.#say(reply.problems);
  }
}

function sectionOf(name) {
  return name.includes('.') ? name.slice(0, name.indexOf('.')) : '';
}

function difference({ name, value, before }) {
  const usual = before === undefined ? t('noDefault') : t('usually', { value: say(JSON.parse(before)) });
  return el('div', {}, el('dt', {}, name), el('dd', {}, el('b', {}, say(value)), ' ', el('span.soft', {}, usual)));
}

function group(section, list) {
  const inner = ({ name }) => (section ? name.slice(section.length + 1) : name);
  return el(
    'div',
    {},
    el('h3', {}, section ? `[${section}]` : 'roomservice'),
    el(
      'dl.mono',
      {},
      list.flatMap((s) => [el('dt', {}, inner(s)), el('dd', {}, s.changed ? el('b', {}, say(s.value)) : say(s.value))]),
    ),
  );
}
