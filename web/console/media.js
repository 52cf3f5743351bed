// What goes on beside the streams: mixes that are made, and how WebRTC's network does.

import { el } from '/web/dom.js';
import { Keyed } from './list.js';
import { figure, t } from './text.js';

/** Pictures that are put together here; nothing is shown where another service mixes. */
export class Mixes {
  /** `see(stream)`: shows its picture. */
  constructor(acts, see) {
    Object.assign(this, { acts, see });
    this.count = el('span.badge', {}, '0');
    this.none = el('p.nothing', {}, t('noMixes'));
    const head = ['output', 'place', 'inputs'].map((name) => el('th', { scope: 'col' }, t(name)));
    const rows = el('tbody');
    this.rows = new Keyed(
      rows,
      ({ session, output }) => `${session} ${output}`,
      (mix) => this.#row(mix),
    );
    this.table = el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, head, el('td'))), rows));
    this.element = el(
      'section.section.card',
      { hidden: true },
      el('header', {}, el('h2', {}, t('mixes')), this.count),
      this.none,
      this.table,
    );
  }

  update(mixes) {
    this.element.hidden = !mixes;
    this.count.textContent = String(mixes?.length ?? 0);
    this.none.hidden = Boolean(mixes?.length);
    this.table.hidden = !mixes?.length;
    this.rows.show(mixes ?? []);
  }

  #row({ session, output }) {
    const place = el('td');
    const number = el('td');
    const see = el('button.link', { type: 'button', title: t('see'), onclick: () => this.see(output) }, output);
    const end = () => this.acts.sure('end_mix', output, { session });
    const button = el('button.button.little.bad', { type: 'button', onclick: end }, t('endMix'));
    const update = ({ own, inputs }) => {
      place.textContent = t(own ? 'placeOwn' : 'placeOver');
      number.textContent = String(inputs);
    };
    return { element: el('tr', {}, el('td.mono', {}, see), place, number, el('td.acts', {}, button)), update };
  }
}

const COUNTERS = [
  ['sessions'],
  ['connected'],
  ['unreached'],
  ['received'],
  ['sent'],
  ['nacks'],
  ['keyRequests'],
  ['garbage'],
  ['strangers'],
  ['overrun'],
  ['unsent'],
  ['rtt', (n) => (n === null ? '–' : `${n.toFixed(1)} ms`)],
  ['loss', (n) => (n === null ? '–' : `${(n * 100).toFixed(2)} %`)],
];

/** The counters of WebRTC; nothing is shown where it is off. */
export class Network {
  constructor() {
    this.values = new Map(COUNTERS.map(([name]) => [name, el('dd')]));
    this.element = el(
      'section.section.card',
      { hidden: true },
      el('header', {}, el('h2', {}, 'WebRTC')),
      el(
        'dl.counters',
        {},
        COUNTERS.map(([name]) => el('div', {}, el('dt', {}, t(`rtc_${name}`)), this.values.get(name))),
      ),
    );
  }

  update(webrtc) {
    this.element.hidden = !webrtc;
    if (webrtc) for (const [name, say = figure] of COUNTERS) this.values.get(name).textContent = say(webrtc[name]);
  }
}
