// The server at a glance: each figure with its last hour.

import { el } from '/web/dom.js';
import { draw } from './graph.js';
import { figure, t } from './text.js';

const HOUR = 3_600_000;
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
    this.cards = KINDS.map(([name, of, say]) => {
      const value = el('b', {}, '–');
      const canvas = el('canvas', { role: 'img', 'aria-label': `${t(name)}, ${t('hour')}` });
      return {
        name,
        of,
        say,
        value,
        canvas,
        element: el('div.figure.card', {}, el('span.small.soft', {}, t(name)), value, canvas),
      };
    });
    this.element = el(
      'div',
      {},
      el(
        'div.figures',
        {},
        this.cards.map((c) => c.element),
      ),
    );
    this.element.append(
      el('p.tools', {}, el('button.button', { type: 'button', onclick: () => acts.notice() }, t('noticeAll'))),
    );
    this.webhooks = el('p.small.soft', {});
    this.element.append(this.webhooks);
    this.element.className = 'stack';
  }

  update({ history, snapshot }) {
    const late = (snapshot?.webhooks ?? []).filter((url) => url.events > 0);
    this.webhooks.textContent = late
      .map((url) => `${t('webhook')} ${url.url}: ${t('waiting')} ${figure(url.events)}, ${t('oldest')} ${url.oldest} s`)
      .join(' · ');
    const last = history.at(-1);
    if (!last) return;
    for (const { of, say, value, canvas } of this.cards) {
      const points = history.filter((s) => of(s) !== undefined && of(s) !== null).map((s) => [s.at, of(s)]);
      value.textContent = points.length ? say(points.at(-1)[1]) : '–';
      draw(canvas, points, HOUR);
    }
  }
}
