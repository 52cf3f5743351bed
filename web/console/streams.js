// Streams with what they are made of, who watches, and their bitrate over time.

import { el } from '/web/dom.js';
import { draw } from './graph.js';
import { Keyed, Pages, Whole } from './list.js';
import { Mixes, Network } from './media.js';
import { figure, span, t } from './text.js';
import { watch } from './watch.js';

const WIDE = 300_000;
/** Points of a line: five minutes. */
const KEPT = 300;
/** Columns; 1: of numbers. */
const HEAD = [
  ['name'],
  ['source'],
  ['codec'],
  ['audio'],
  ['fps', 1],
  ['bitrate', 1],
  ['lastMinutes'],
  ['viewers', 1],
  ['age', 1],
  [''],
];
const PROTOCOLS = ['rtmp', 'whip', 'relay', 'mix'];

export class Streams {
  constructor(acts) {
    this.acts = acts;
    this.points = new Map();
    const again = () => this.data && this.update(this.data);
    this.pages = new Pages({
      size: 25,
      text: (s) => `${s.name} ${s.protocol} ${s.peer} ${s.video?.codec ?? ''}`,
      filters: [
        {
          label: t('source'),
          options: [['', t('anySource')], ...PROTOCOLS.map((p) => [p, p]), ['watched', t('onlyWatched')]],
          fits: (s, value) => (value === 'watched' ? s.viewers > 0 : s.protocol.toLowerCase().includes(value)),
        },
      ],
      changed: again,
    });
    const fetch = () => acts.link.list('/streams', 'streams');
    this.whole = new Whole({ fetch, key: (s) => s.name, changed: again });
    const body = el('tbody');
    this.rows = new Keyed(
      body,
      (s) => s.name,
      ({ name }) => this.#row(name),
    );
    this.count = el('span.badge', {}, '0');
    this.none = el('p.nothing', {}, t('noStreams'));
    const head = HEAD.map(([name, number]) =>
      name ? el(`th${number ? '.number' : ''}`, { scope: 'col' }, t(name)) : el('td'),
    );
    this.table = el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, head)), body));
    this.mixes = new Mixes(acts, (stream) => this.see(stream));
    this.network = new Network();
    this.element = el(
      'div.stack',
      {},
      el(
        'section.section.card',
        {},
        el('header', {}, el('h2', {}, t('streams')), this.count, this.pages.tools),
        this.none,
        this.pages.none,
        this.table,
        this.pages.pager,
      ),
      this.mixes.element,
      this.network.element,
    );
  }

  /** A line goes on also while its page is not shown. */
  remember({ snapshot: { streams, now } }) {
    this.latest = streams;
    const gone = new Set(this.points.keys());
    for (const { name, bitsIn } of streams) {
      gone.delete(name);
      const points = this.points.get(name) ?? [];
      points.push([now.at, bitsIn]);
      if (points.length > KEPT) points.shift();
      this.points.set(name, points);
    }
    for (const name of gone) this.points.delete(name);
  }

  /** What is shown of the one that is watched. */
  look() {
    if (!this.view?.open || !this.latest) return;
    const stream = this.latest.find((s) => s.name === this.seen);
    this.view.update(stream, this.points.get(this.seen) ?? []);
  }

  /** A live picture of one. */
  see(name) {
    this.seen = name;
    this.view = watch(this.acts, name);
    this.look();
  }

  update(data) {
    this.data = data;
    const { streams, now, mixes, webrtc } = data.snapshot;
    this.mixes.update(mixes);
    this.network.update(webrtc);
    this.count.textContent = String(now.streams);
    const all = this.whole.of(streams, now.streams > streams.length);
    this.none.hidden = all.length > 0;
    const shown = this.pages.of(all);
    this.table.hidden = shown.length === 0;
    this.rows.show(shown);
  }

  #row(name) {
    const cell = (key) =>
      key === 'source' ? 'td.wrap' : `td${HEAD.some(([n, number]) => n === key && number) ? '.number' : ''}`;
    const keys = ['source', 'codec', 'audio', 'fps', 'bitrate', 'viewers', 'age'];
    const cells = Object.fromEntries(keys.map((key) => [key, el(cell(key))]));
    const canvas = el('canvas', { role: 'img', 'aria-label': `${t('bitrate')}: ${name}` });
    const see = el(
      'button.link',
      { type: 'button', title: t('see'), 'aria-label': `${t('see')}: ${name}`, onclick: () => this.see(name) },
      name,
    );
    const end = el(
      'button.button.little.bad',
      { type: 'button', onclick: () => this.acts.sure('end_stream', name, { stream: name }) },
      t('end'),
    );
    const element = el(
      'tr',
      {},
      el('td.mono', {}, see),
      ...['source', 'codec', 'audio', 'fps', 'bitrate'].map((key) => cells[key]),
      el('td', {}, canvas),
      cells.viewers,
      cells.age,
      el('td.acts', {}, end),
    );
    const update = (stream) => {
      fill(cells, stream);
      draw(canvas, this.points.get(name) ?? [], WIDE);
    };
    return { element, update };
  }
}

function fill(cells, s) {
  const paused = s.paused ? el('span.badge.bad', {}, t('paused')) : '';
  cells.source.replaceChildren(`${s.protocol} `, el('span.soft.mono', {}, s.peer), paused);
  // Of a publisher that sends several sizes: who is sent which, the smallest first.
  const sizes = s.layers.map((layer) => `${layer.width}×${layer.height}: ${layer.viewers}`).join(', ');
  cells.codec.replaceChildren(
    s.video ? `${s.video.codec} ${s.video.width}×${s.video.height}` : '–',
    sizes && el('div.small.soft', {}, `${t('viewersBySize')}: ${sizes}`),
  );
  cells.audio.textContent = s.audio ? `${s.audio.codec} ${s.audio.rate / 1000} kHz` : '–';
  cells.fps.textContent = s.frameRate.toFixed(1);
  cells.bitrate.textContent = figure(s.bitsIn, 'bit/s');
  const by = Object.entries(s.readers).filter(([protocol]) => protocol !== 'internal');
  const named = by.map(([protocol, n]) => `${protocol} ${n}`).join(', ');
  cells.viewers.textContent = s.viewers ? `${s.viewers} (${named})` : '0';
  cells.age.textContent = span(s.age);
}
