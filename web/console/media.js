// What goes on beside the streams: mixes that are made, and how WebRTC's network does.

import { el } from '/web/dom.js';
import { figure, t } from './text.js';

/** Pictures that are put together here; nothing is shown where another service mixes. */
export class Mixes {
  /** `see(stream)`: shows its picture. */
  constructor(acts, see) {
    Object.assign(this, { acts, see });
    this.count = el('span.badge', {}, '0');
    this.body = el('div.scroll');
    this.element = el(
      'section.section.card',
      { hidden: true },
      el('header', {}, el('h2', {}, t('mixes')), this.count),
      this.body,
    );
  }

  update(mixes) {
    this.element.hidden = !mixes;
    const shape = JSON.stringify(mixes);
    if (shape === this.shape) return;
    this.shape = shape;
    this.count.textContent = String(mixes?.length ?? 0);
    if (!mixes?.length) {
      this.body.replaceChildren(el('p.nothing', {}, t('noMixes')));
      return;
    }
    const head = ['output', 'place', 'inputs'].map((name) => el('th', { scope: 'col' }, t(name)));
    this.body.replaceChildren(
      el(
        'table',
        {},
        el('thead', {}, el('tr', {}, head, el('td'))),
        el(
          'tbody',
          {},
          mixes.map((mix) => this.#row(mix)),
        ),
      ),
    );
  }

  #row({ session, output, own, inputs }) {
    return el(
      'tr',
      {},
      el(
        'td.mono',
        {},
        el('button.link', { type: 'button', title: t('see'), onclick: () => this.see(output) }, output),
      ),
      el('td', {}, t(own ? 'placeOwn' : 'placeOver')),
      el('td', {}, String(inputs)),
      el(
        'td.acts',
        {},
        el(
          'button.button.little.bad',
          { type: 'button', onclick: () => this.acts.sure('end_mix', output, { session }) },
          t('endMix'),
        ),
      ),
    );
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
