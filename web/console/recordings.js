// What was recorded: played here, or deleted.

import { el, toast } from '/web/dom.js';
import { Pages } from './list.js';
import { figure, moment, span, t } from './text.js';

export class Recordings {
  constructor(acts) {
    this.acts = acts;
    this.count = el('span.badge', {}, '0');
    this.body = el('div.scroll');
    this.pages = new Pages({ size: 25, text: (r) => r.file, changed: () => this.data && this.update(this.data) });
    this.element = el(
      'section.section.card',
      {},
      el('header', {}, el('h2', {}, t('recordings')), this.count, this.pages.tools),
      this.body,
      this.pages.none,
      this.pages.pager,
    );
  }

  update(data) {
    this.data = data;
    const { recordings, emptyRecordings } = data.snapshot;
    const empty = emptyRecordings ?? [];
    const shown = this.pages.of(recordings ?? []);
    const shape = JSON.stringify([recordings?.length, shown, empty]);
    if (shape === this.shape) return;
    this.shape = shape;
    this.count.textContent = String(recordings?.length ?? 0);
    if (!recordings?.length && !empty.length) {
      this.body.replaceChildren(el('p.nothing', {}, t(recordings ? 'noRecordings' : 'recordingOff')));
      return;
    }
    const head = [['file'], ['started'], ['duration', 1], ['size', 1]].map(([name, number]) =>
      el(`th${number ? '.number' : ''}`, { scope: 'col' }, t(name)),
    );
    this.body.replaceChildren(
      el(
        'table',
        {},
        el('thead', {}, el('tr', {}, head, el('td'))),
        el(
          'tbody',
          {},
          empty.map((r) => this.#emptyRow(r)),
          shown.map((r) => this.#row(r)),
        ),
      ),
    );
  }

  /** One without a file: no keyframe has come, or none ever came. */
  #emptyRow({ stream, asked, waited, running }) {
    return el(
      'tr',
      {},
      el(
        'td.mono',
        {},
        stream,
        ' ',
        el(`span.badge${running ? '' : '.bad'}`, {}, t(running ? 'waitsForKeyframe' : 'nothingRecorded')),
      ),
      el('td', {}, moment(asked)),
      el('td.number', {}, span(waited)),
      el('td.number', {}, '–'),
      el('td.acts'),
    );
  }

  #row({ file, started, duration, size, running }) {
    const button = (name, onclick, kind = '') =>
      el(`button.button.little${kind}`, { type: 'button', onclick }, t(name));
    return el(
      'tr',
      {},
      el('td.mono', {}, file, ' ', running && el('span.badge', {}, t('running'))),
      el('td', {}, moment(started)),
      el('td.number', {}, span(duration)),
      el('td.number', {}, figure(size, 'B')),
      el(
        'td.acts',
        {},
        button('play', () => this.#play(file, running)),
        !running && button('remove', () => this.acts.sure('delete_recording', file, { file }), '.bad'),
      ),
    );
  }

  async #play(file, running) {
    try {
      const url = await this.acts.link.recording(file, running);
      const video = el('video', { controls: true, autoplay: true, src: url, 'aria-label': file });
      const dialog = el(
        'dialog',
        {
          'aria-label': file,
          onclose: () => {
            URL.revokeObjectURL(url);
            dialog.remove();
          },
        },
        el('form', { method: 'dialog' }, video, el('button.button', {}, t('closeView'))),
      );
      document.body.append(dialog);
      dialog.showModal();
    } catch (error) {
      toast(error.message, 'bad');
    }
  }
}
