// Streams with what they are made of, who watches, and their bitrate over time.

import { el } from '/web/dom.js';
import { draw } from './graph.js';
import { Mixes, Network } from './media.js';
import { figure, span, t } from './text.js';

const WIDE = 300_000;

export class Streams {
  constructor(acts) {
    this.acts = acts;
    this.rows = new Map();
    this.body = el('tbody');
    this.count = el('span.badge', {}, '0');
    this.none = el('p.nothing', {}, t('noStreams'));
    const head = [
      ['name'],
      ['source'],
      ['codec'],
      ['audio'],
      ['fps', 1],
      ['bitrate', 1],
      [''],
      ['viewers', 1],
      ['age', 1],
      [''],
    ];
    this.table = el(
      'div.scroll',
      {},
      el(
        'table',
        {},
        el(
          'thead',
          {},
          el(
            'tr',
            {},
            head.map(([name, number]) => el(`th${number ? '.number' : ''}`, { scope: 'col' }, name && t(name))),
          ),
        ),
        this.body,
      ),
    );
    this.mixes = new Mixes(acts);
    this.network = new Network();
    this.element = el(
      'div.stack',
      {},
      el('section.section.card', {}, el('header', {}, el('h2', {}, t('streams')), this.count), this.none, this.table),
      this.mixes.element,
      this.network.element,
    );
  }

  update({ snapshot: { streams, now, mixes, webrtc } }) {
    this.mixes.update(mixes);
    this.network.update(webrtc);
    this.count.textContent = String(now.streams);
    this.none.hidden = streams.length > 0;
    this.table.hidden = streams.length === 0;
    const gone = new Set(this.rows.keys());
    for (const stream of streams) {
      gone.delete(stream.name);
      if (!this.rows.has(stream.name)) this.#add(stream.name);
      this.rows.get(stream.name)(stream, now.at);
    }
    for (const name of gone) {
      this.rows.get(name)(null);
      this.rows.delete(name);
    }
  }

  #add(name) {
    const cells = Object.fromEntries(
      ['source', 'video', 'audio', 'fps', 'bits', 'viewers', 'age'].map((key) => [
        key,
        el(`td${key === 'source' ? '.wrap' : ['fps', 'bits', 'viewers', 'age'].includes(key) ? '.number' : ''}`),
      ]),
    );
    const canvas = el('canvas', { role: 'img', 'aria-label': `${t('bitrate')}: ${name}` });
    const end = el(
      'button.button.little.bad',
      { type: 'button', onclick: () => this.acts.sure('end_stream', name, { stream: name }) },
      t('end'),
    );
    const row = el(
      'tr',
      {},
      el('td.mono', {}, name),
      cells.source,
      cells.video,
      cells.audio,
      cells.fps,
      cells.bits,
      el('td', {}, canvas),
      cells.viewers,
      cells.age,
      el('td.acts', {}, end),
    );
    this.body.append(row);
    const points = [];
    this.rows.set(name, (s, at) => {
      if (!s) return row.remove();
      points.push([at, s.bitsIn]);
      if (points.length > 300) points.shift();
      cells.source.replaceChildren(
        `${s.protocol} `,
        el('span.soft.mono', {}, s.peer),
        s.paused ? el('span.badge.bad', {}, t('paused')) : '',
      );
      cells.video.textContent = s.video ? `${s.video.codec} ${s.video.width}×${s.video.height}` : '–';
      cells.audio.textContent = s.audio ? `${s.audio.codec} ${s.audio.rate / 1000} kHz` : '–';
      cells.fps.textContent = s.frameRate.toFixed(1);
      cells.bits.textContent = figure(s.bitsIn, 'bit/s');
      cells.viewers.textContent = `${s.viewers}${
        s.viewers
          ? ` (${Object.entries(s.readers)
              .filter(([p]) => p !== 'internal')
              .map(([p, n]) => `${p} ${n}`)
              .join(', ')})`
          : ''
      }`;
      cells.age.textContent = span(s.age);
      draw(canvas, points, WIDE);
    });
  }
}
