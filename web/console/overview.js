// The server at a glance: whether it is well and why not, and each figure over time.

import { el } from '/web/dom.js';
import { Graph } from './graph.js';
import { problemOf, said } from './said.js';
import { figure, lasting, span, t } from './text.js';

const RANGES = [300, 900, 3_600];
/** Health is asked for again after so many milliseconds. */
const EVERY = 5_000;
const KINDS = [
  ['rooms', (s) => s.rooms, (n) => figure(n)],
  ['streams', (s) => s.streams, (n) => figure(n)],
  ['viewers', (s) => s.viewers, (n) => figure(n)],
  ['chat', (s) => s.chat, (n) => figure(n)],
  ['bitsIn', (s) => s.bitsIn, (n) => figure(n, 'bit/s')],
  ['bitsOut', (s) => s.bitsOut, (n) => figure(n, 'bit/s')],
  ['memory', (s) => s.memory, (n) => figure(n, 'B')],
  ['cpu', (s) => s.cpu, (n) => `${n.toFixed(1)} %`],
];

export class Overview {
  constructor(acts) {
    Object.assign(this, { acts, asked: 0, problems: [] });
    this.cards = KINDS.map(([name, of, say]) => {
      const value = el('b', {}, '–');
      const graph = new Graph({ label: t(name), say });
      const element = el('div.figure.card', {}, el('span.small.soft', {}, t(name)), value, graph.element);
      return { of, say, value, graph, element };
    });
    this.range = el(
      'select',
      { 'aria-label': t('range'), onchange: () => this.data && this.update(this.data) },
      RANGES.map((seconds) =>
        el('option', { value: String(seconds), selected: seconds === 3_600 }, t('last', { time: lasting(seconds) })),
      ),
    );
    this.state = el('span.badge', { role: 'status' }, '…');
    this.fine = el('ul.causes.row');
    this.causes = el('ul.causes');
    const notice = el('button.button.little', { type: 'button', onclick: () => acts.notice() }, t('noticeAll'));
    this.element = el(
      'div.stack',
      {},
      el(
        'section.section.card',
        {},
        el('header', {}, el('h2', {}, t('health')), this.state, notice),
        this.causes,
        this.fine,
      ),
      el('div.tools', {}, this.range),
      el(
        'div.figures',
        {},
        this.cards.map((c) => c.element),
      ),
    );
  }

  /** What is wrong with the settings does not change while the server runs. */
  begin({ problems }) {
    this.problems = problems;
    this.asked = 0;
  }

  update(data) {
    this.data = data;
    const { history } = data;
    if (Date.now() - this.asked > EVERY) this.#ask();
    if (!history.length) return;
    const width = Number(this.range.value) * 1000;
    for (const { of, say, value, graph } of this.cards) {
      const points = history.filter((s) => of(s) !== undefined && of(s) !== null).map((s) => [s.at, of(s)]);
      value.textContent = points.length ? say(points.at(-1)[1]) : '–';
      graph.show(points, width);
    }
  }

  async #ask() {
    this.asked = Date.now();
    try {
      this.#say(await this.acts.link.health());
    } catch {
      /* That the server does not answer stands at the top. */
    }
  }

  #say({ ready, checks }) {
    const bad = checks.filter((check) => !check.ok);
    const shape = JSON.stringify([checks, this.problems, this.data?.snapshot?.webhooks]);
    if (shape === this.shape) return;
    this.shape = shape;
    const well = ready && !bad.length && !this.problems.length;
    this.state.textContent = t(well ? 'well' : ready ? 'notAllWell' : 'notReady');
    this.state.classList.toggle('bad', !well);
    const late = (this.data?.snapshot?.webhooks ?? []).filter((url) => url.events > 0);
    this.causes.replaceChildren(
      ...bad.map(cause),
      ...this.problems.map((problem) => item(false, t('settings'), problemOf(problem))),
      ...late.map(behind),
    );
    this.causes.hidden = !this.causes.children.length;
    const good = checks.filter((check) => check.ok);
    this.fine.replaceChildren(...good.map(({ name }) => item(true, t(`check_${name}`), t(`ok_${name}`))));
  }
}

function item(ok, name, why, cure) {
  return el(
    'li',
    {},
    el(`span.badge${ok ? '' : '.bad'}`, {}, name),
    ' ',
    ok ? el('span.soft', {}, why) : why,
    cure && el('span.soft', {}, ` ${cure}`),
  );
}

/** A check of `/readyz` that is not well: what is wrong, and what helps. */
function cause({ name, needed, said: sentence }) {
  const why = `${said(sentence)}${needed ? '' : ` (${t('onlyWarning')})`}.`;
  return item(false, t(`check_${name}`), why, t(`cure_${name}`));
}

function behind({ url, events, oldest }) {
  return item(true, t('webhook'), `${url}: ${t('waiting')} ${figure(events)}, ${t('oldest')} ${span(oldest * 1000)}`);
}
