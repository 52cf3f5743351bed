// What was recorded: played here, or deleted.

import { el, toast } from '/web/dom.js';
import { Keyed, Pages } from './list.js';
import { figure, moment, span, t, why } from './text.js';

export class Recordings {
  constructor(acts) {
    this.acts = acts;
    this.count = el('span.badge', {}, '0');
    this.none = el('p.nothing');
    const head = [['file'], ['started'], ['duration', 1], ['size', 1]].map(([name, number]) =>
      el(`th${number ? '.number' : ''}`, { scope: 'col' }, t(name)),
    );
    const rows = el('tbody');
    this.rows = new Keyed(
      rows,
      ({ file, stream }) => file ?? ` ${stream}`,
      (r) => (r.file === undefined ? new EmptyRow(r) : new FileRow(this, r)),
    );
    this.table = el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, head, el('td'))), rows));
    this.pages = new Pages({ size: 25, text: (r) => r.file, changed: () => this.data && this.update(this.data) });
    this.element = el(
      'section.section.card',
      {},
      el('header', {}, el('h2', {}, t('recordings')), this.count, this.pages.tools),
      this.none,
      this.table,
      this.pages.none,
      this.pages.pager,
    );
  }

  update(data) {
    this.data = data;
    const { recordings, emptyRecordings } = data.snapshot;
    const empty = emptyRecordings ?? [];
    const shown = this.pages.of(recordings ?? []);
    const any = Boolean(recordings?.length || empty.length);
    this.count.textContent = String(recordings?.length ?? 0);
    this.none.hidden = any;
    this.none.textContent = t(recordings ? 'noRecordings' : 'recordingOff');
    this.table.hidden = !any;
    this.rows.show([...empty, ...shown]);
  }

  async play(file, running) {
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
      toast(why(error), 'bad');
    }
  }
}

/** One without a file: no keyframe has come, or none ever came. */
class EmptyRow {
  constructor({ stream }) {
    this.state = el('span.badge');
    this.asked = el('td');
    this.waited = el('td.number');
    const name = el('td.mono', {}, stream, ' ', this.state);
    this.element = el('tr', {}, name, this.asked, this.waited, el('td.number', {}, '–'), el('td.acts'));
  }

  update({ asked, waited, running }) {
    this.state.textContent = t(running ? 'waitsForKeyframe' : 'nothingRecorded');
    this.state.classList.toggle('bad', !running);
    this.asked.textContent = moment(asked);
    this.waited.textContent = span(waited);
  }
}

class FileRow {
  constructor(page, { file }) {
    const button = (name, onclick, kind = '') =>
      el(`button.button.little${kind}`, { type: 'button', onclick }, t(name));
    this.running = el('span.badge', {}, t('running'));
    this.cells = { started: el('td'), duration: el('td.number'), size: el('td.number') };
    this.remove = button('remove', () => page.acts.sure('delete_recording', file, { file }), '.bad');
    this.element = el(
      'tr',
      {},
      el('td.mono', {}, file, ' ', this.running),
      Object.values(this.cells),
      el(
        'td.acts',
        {},
        button('play', () => page.play(file, !this.running.hidden)),
        this.remove,
      ),
    );
  }

  update({ started, duration, size, running }) {
    this.running.hidden = !running;
    this.remove.hidden = Boolean(running);
    this.cells.started.textContent = moment(started);
    this.cells.duration.textContent = span(duration);
    this.cells.size.textContent = figure(size, 'B');
  }
}
