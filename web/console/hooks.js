// Webhooks: how far behind each URL is, and telling again what was told.

import { el } from '/web/dom.js';
import { figure, span, t } from './text.js';

/** Seconds after which an event that waits is worth a word. */
const LATE = 60;

export class Hooks {
  constructor(acts) {
    this.acts = acts;
    this.count = el('span.badge', {}, '0');
    this.none = el('p.nothing', {}, t('noWebhooks'));
    this.body = el('tbody');
    const head = [['url'], ['state'], ['waits', 1], ['oldestEvent', 1], ['held', 1]].map(([name, number]) =>
      el(`th${number ? '.number' : ''}`, { scope: 'col' }, t(name)),
    );
    this.table = el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, head)), this.body));
    this.replay = this.#form();
    this.element = el(
      'div.stack',
      {},
      el('section.section.card', {}, el('header', {}, el('h2', {}, t('webhooks')), this.count), this.none, this.table),
      this.replay,
    );
  }

  #form() {
    const input = (name, props) => el('label', {}, el('span', {}, t(name)), el('input', { name, ...props }));
    const form = el(
      'form.fields',
      {
        onsubmit: (event) => {
          event.preventDefault();
          this.#again(new FormData(form));
        },
      },
      input('fromTime', { type: 'datetime-local', step: '1' }),
      input('fromId', { maxlength: 100, autocomplete: 'off' }),
      input('ofRoom', { maxlength: 64, autocomplete: 'off' }),
      input('fromSeq', { inputmode: 'numeric', pattern: '[0-9]{1,15}', autocomplete: 'off' }),
      el('button.button', { type: 'submit' }, t('replay')),
    );
    const title = el('header', {}, el('h2', {}, t('replayTitle')));
    return el('section.section.card', {}, title, el('p.small.soft.inset', {}, t('replayHint')), form);
  }

  /** The server says what is wrong with what was filled in. */
  async #again(given) {
    const text = (name) => given.get(name).trim();
    const from = {
      ...(text('fromTime') && { time: new Date(text('fromTime')).getTime() }),
      ...(text('fromId') && { id: text('fromId') }),
      ...(text('fromSeq') && { seq: Number(text('fromSeq')) }),
    };
    const body = { from, ...(text('ofRoom') && { roomID: text('ofRoom') }) };
    const said = ({ events }) => t('replayed', { n: events });
    await this.acts.run(() => this.acts.link.api('POST', '/webhooks/replay', body), said);
  }

  update({ snapshot: { webhooks } }) {
    const shape = JSON.stringify(webhooks);
    if (shape === this.shape) return;
    this.shape = shape;
    this.count.textContent = String(webhooks.length);
    this.none.hidden = webhooks.length > 0;
    this.table.hidden = this.replay.hidden = webhooks.length === 0;
    this.body.replaceChildren(...webhooks.map(row));
  }
}

function row({ url, rooms, events, oldest }) {
  const state = !events ? 'hookFine' : oldest >= LATE ? 'hookLate' : 'hookWaits';
  return el(
    'tr',
    {},
    el('td.mono', {}, url),
    el('td', {}, el(`span.badge${state === 'hookLate' ? '.bad' : ''}`, {}, t(state))),
    el('td.number', {}, figure(events)),
    el('td.number', {}, oldest === null ? '–' : span(oldest * 1000)),
    el('td.number', {}, figure(rooms)),
  );
}
