// The logs: the newest lines as they come, by level, time and text, and a search through the files.

import { el } from '/web/dom.js';
import { t, why } from './text.js';

const KEPT = 1000;
/** Lines that a search finds at most. */
const FOUND = 500;
/** Which lines are shown, by `level` and `call` of what was read. */
const LEVELS = {
  '': () => true,
  errors: ({ level, call }) => level === 'error' && !call,
  warnings: ({ level, call }) => level !== 'info' && !call,
  program: ({ call }) => !call,
  calls: ({ call }) => call,
  failed: ({ level, call }) => call && level !== 'info',
};

/** What a line says of itself: `{ at, level, call }`; as text, or as JSON where the logs are so. */
function read({ kind, text }) {
  const call = kind === 'response';
  let fields = {};
  if (text.startsWith('{')) {
    try {
      fields = JSON.parse(text);
    } catch {
      /* A line that was cut short. */
    }
  }
  const at = fields.time ?? Date.parse(fields.timestamp ?? text.slice(0, text.indexOf(' ')));
  if (call) {
    const [, status, code] = / (\d{3}) (-?\d+) user=/.exec(text) ?? [null, fields.status, fields.code];
    const level = Number(status) >= 500 ? 'error' : Number(code) !== 0 || Number(status) >= 400 ? 'warn' : 'info';
    return { at, level, call };
  }
  const said = fields.level ?? /^\S+\s+(TRACE|DEBUG|INFO|WARN|ERROR)\b/.exec(text)?.[1] ?? 'INFO';
  return { at, level: { ERROR: 'error', WARN: 'warn' }[said] ?? 'info', call };
}

export class Logs {
  constructor(acts) {
    this.acts = acts;
    this.kept = [];
    this.list = el('ol.lines.mono', { tabindex: '0', 'aria-label': t('logs') });
    const again = () => this.#redraw();
    this.field = el('input', { type: 'search', placeholder: t('filter'), 'aria-label': t('filter'), oninput: again });
    this.level = el(
      'select',
      { 'aria-label': t('level'), onchange: again },
      Object.keys(LEVELS).map((name) => el('option', { value: name }, t(`level_${name}`))),
    );
    this.from = el('input', { type: 'datetime-local', step: '1', onchange: again });
    this.to = el('input', { type: 'datetime-local', step: '1', onchange: again });
    this.follow = el('input', { type: 'checkbox', checked: true });
    this.search = el('button.button.little', { type: 'button', onclick: () => this.#search() }, t('search'));
    this.note = el('p.small.soft.inset', { role: 'status', hidden: true });
    this.element = el(
      'section.section.card',
      {},
      el(
        'header',
        {},
        el('h2', {}, t('logs')),
        el(
          'div.tools',
          {},
          el('label', {}, this.follow, t('follow')),
          this.level,
          el('label', {}, t('from'), this.from),
          el('label', {}, t('to'), this.to),
          this.field,
          this.search,
        ),
      ),
      this.note,
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

  /** The bounds of time that were chosen, in Unix milliseconds. */
  get #times() {
    const [from, to] = [this.from, this.to].map(({ value }) => (value ? new Date(value).getTime() : Number.NaN));
    return { from: from || 0, to: to ? to + 999 : Number.POSITIVE_INFINITY };
  }

  #fits({ text, ...line }) {
    const { from, to } = this.#times;
    // A line without a time is about the lines around it.
    const inTime = Number.isNaN(line.at) || (line.at >= from && line.at <= to);
    return (
      inTime && LEVELS[this.level.value](line) && text.toLowerCase().includes(this.field.value.trim().toLowerCase())
    );
  }

  add(lines) {
    const added = lines.map((line) => ({ ...line, ...read(line) }));
    this.kept.push(...added);
    this.kept.splice(0, this.kept.length - KEPT);
    if (this.found) return;
    this.list.append(...added.filter((line) => this.#fits(line)).map(draw));
    while (this.list.children.length > KEPT) this.list.firstChild.remove();
    this.#down();
  }

  reset(lines) {
    this.kept = lines.map((line) => ({ ...line, ...read(line) }));
    this.#redraw();
  }

  #down() {
    if (this.follow.checked) this.list.scrollTop = this.list.scrollHeight;
  }

  /** Shows what was found, or else the newest lines. A changed text is another search. */
  #redraw() {
    if (this.found && this.field.value.trim() !== this.found.text) this.found = null;
    this.search.textContent = t(this.found ? 'backLive' : 'search');
    const shown = (this.found?.lines ?? this.kept).filter((line) => this.#fits(line));
    this.list.replaceChildren(...(shown.length ? shown.map(draw) : [el('li', {}, t('noLines'))]));
    this.note.hidden = !this.found || this.found.lines.length < FOUND;
    this.note.textContent = t('onlyNewest', { n: FOUND });
    if (this.found) this.list.scrollTop = 0;
    else this.#down();
  }

  /** What is looked for in the files: the text; without one, the part of the time that both bounds have in common. */
  #needle() {
    const text = this.field.value.trim();
    const { from, to } = this.#times;
    if (text || !from) return text;
    const [a, b] = [from, Math.min(to, Date.now())].map((at) => new Date(at).toISOString().slice(0, 19));
    let same = 0;
    while (same < a.length && a[same] === b[same]) same += 1;
    return a.slice(0, same);
  }

  async #search() {
    if (this.found) {
      this.found = null;
      this.field.value = '';
      return this.#redraw();
    }
    try {
      const { lines } = await this.acts.link.act('search_logs', { text: this.#needle() });
      this.found = { text: this.field.value.trim(), lines: lines.map((line) => ({ ...line, ...read(line) })) };
      this.#redraw();
    } catch (error) {
      this.list.replaceChildren(el('li.error', {}, why(error)));
    }
  }

  shown() {
    this.#down();
  }
}

function draw({ level, call, text }) {
  return el(`li.${level}${call ? '.call' : ''}`, {}, text);
}
