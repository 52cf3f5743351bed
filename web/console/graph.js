// A figure over time, on a canvas: with axes and the value under the pointer, or as a small line in a table.

import { el } from '/web/dom.js';
import { language, t } from './text.js';

const locale = language === 'zh' ? 'zh-CN' : undefined;
const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const exact = new Intl.DateTimeFormat(locale, { timeStyle: 'medium', hourCycle: 'h23' });
const MINUTE = 60_000;
/** Below the line: the times. */
const FOOT = 18;

/** A pen for a canvas in its own size; null while it is not shown. */
function begin(canvas) {
  const ratio = globalThis.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return null;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height, style: getComputedStyle(canvas) };
}

/** The points of a span that ends with the newest, and where the time axis begins. */
function within(points, span) {
  const end = points.at(-1)?.[0] ?? 0;
  const shown = points.filter(([at]) => at >= end - span);
  // A young server's line fills the width too, once it is a minute old.
  const start = Math.max(end - span, Math.min(shown[0]?.[0] ?? end, end - MINUTE));
  return { shown, start, end };
}

function line(pen, style, shown, x, y, foot) {
  pen.beginPath();
  // The first `lineTo` of a path moves there.
  for (const [at, value] of shown) pen.lineTo(x(at), y(value));
  pen.strokeStyle = pen.fillStyle = style.getPropertyValue('--accent');
  pen.lineWidth = 1.8;
  pen.lineJoin = 'round';
  pen.stroke();
  pen.lineTo(x(shown.at(-1)[0]), foot);
  pen.lineTo(x(shown[0][0]), foot);
  pen.closePath();
  pen.globalAlpha = 0.13;
  pen.fill();
  pen.globalAlpha = 1;
}

/** Draws `[[time, value]]` small; `span`: how many milliseconds it is wide. */
export function draw(canvas, points, span) {
  const { pen, width, height, style } = begin(canvas) ?? {};
  const { shown, start, end } = within(points, span);
  if (!pen || shown.length < 2) return;
  const most = Math.max(1, ...shown.map(([, value]) => value)) * 1.15;
  const x = (at) => ((at - start) / (end - start)) * width;
  line(pen, style, shown, x, (value) => height - 2 - (value / most) * (height - 6), height);
}

/** A round number that is not less. */
function round(n) {
  const unit = 10 ** Math.floor(Math.log10(n));
  return unit * [1, 2, 5, 10].find((step) => step * unit >= n * 0.999);
}

export class Graph {
  /** `say(value)`: a value for people. */
  constructor({ label, say }) {
    Object.assign(this, { label, say, points: [], span: 60 * MINUTE, cursor: null });
    this.tip = el('output.tip', { hidden: true });
    this.canvas = el('canvas', {
      role: 'img',
      tabindex: '0',
      'aria-label': label,
      onpointermove: (event) => this.#point(event.offsetX),
      onpointerleave: () => this.#point(null),
      onblur: () => this.#point(null),
      onkeydown: (event) => this.#key(event),
    });
    this.element = el('div.graph', {}, this.canvas, this.tip);
  }

  show(points, span) {
    Object.assign(this, { points, span });
    const drawn = this.#draw();
    // Whoever listens to it is not interrupted.
    if (!drawn || this.canvas === document.activeElement) return;
    const values = drawn.shown.map(([, value]) => value);
    const [now, least, most] = [values.at(-1), Math.min(...values), Math.max(...values)].map(this.say);
    this.canvas.setAttribute('aria-label', t('graph', { label: this.label, now, least, most }));
  }

  #draw() {
    const { pen, width, height, style } = begin(this.canvas) ?? {};
    const { shown, start, end } = within(this.points, this.span);
    if (!pen || shown.length < 2) return null;
    const step = round(Math.max(2, ...shown.map(([, value]) => value)) / 2);
    const ticks = [0, step, 2 * step];
    const foot = height - FOOT;
    pen.font = '11px system-ui, sans-serif';
    const left = Math.ceil(Math.max(...ticks.map((v) => pen.measureText(this.say(v)).width))) + 8;
    const x = (at) => left + ((at - start) / (end - start)) * (width - left - 4);
    const y = (value) => foot - (value / ticks[2]) * (foot - 10);
    pen.fillStyle = style.getPropertyValue('--faint');
    pen.strokeStyle = style.getPropertyValue('--line');
    pen.lineWidth = 1;
    pen.textBaseline = 'middle';
    pen.textAlign = 'right';
    for (const value of ticks) {
      pen.fillText(this.say(value), left - 6, y(value));
      pen.beginPath();
      pen.moveTo(left, Math.round(y(value)) + 0.5);
      pen.lineTo(width, Math.round(y(value)) + 0.5);
      pen.stroke();
    }
    this.#times(pen, { start, end, x, left, width, height });
    line(pen, style, shown, x, y, foot);
    this.drawn = { shown, x, y };
    this.#mark(pen, style, foot, width);
    return this.drawn;
  }

  /** Times below, as many as there is room for, at round minutes. */
  #times(pen, { start, end, x, left, width, height }) {
    const room = Math.max(1, Math.floor((width - left) / 64));
    const steps = [1, 2, 5, 10, 15, 30, 60].map((minutes) => minutes * MINUTE);
    const step = steps.find((s) => (end - start) / s <= room) ?? steps.at(-1);
    pen.textAlign = 'center';
    for (let at = Math.ceil(start / step) * step; at <= end; at += step) {
      const half = pen.measureText(clock.format(at)).width / 2;
      if (x(at) - half < left || x(at) + half > width) continue;
      pen.fillText(clock.format(at), x(at), height - FOOT / 2 + 1);
    }
  }

  #mark(pen, style, foot, width) {
    const found = this.drawn.shown.find(([at]) => at === this.cursor);
    this.tip.hidden = !found;
    if (!found) return;
    const [at, value] = found;
    const [x, y] = [this.drawn.x(at), this.drawn.y(value)];
    pen.strokeStyle = pen.fillStyle = style.getPropertyValue('--ink');
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x, 4);
    pen.lineTo(x, foot);
    pen.stroke();
    pen.beginPath();
    pen.arc(x, y, 3.5, 0, 7);
    pen.fill();
    this.tip.textContent = `${this.say(value)} · ${exact.format(at)}`;
    this.tip.style.setProperty('left', `${Math.round(x)}px`);
    this.tip.classList.toggle('before', x > width / 2);
  }

  #point(x) {
    const { shown = [], x: of } = this.drawn ?? {};
    const near = (a, b) => (Math.abs(of(a[0]) - x) < Math.abs(of(b[0]) - x) ? a : b);
    this.cursor = x === null || !shown.length ? null : shown.reduce(near)[0];
    this.#draw();
  }

  /** The arrows go along the line. */
  #key(event) {
    const { shown = [] } = this.drawn ?? {};
    const at = shown.findIndex(([time]) => time === this.cursor);
    const last = shown.length - 1;
    const to = {
      ArrowLeft: at < 0 ? last : Math.max(0, at - 1),
      ArrowRight: at < 0 ? last : Math.min(last, at + 1),
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || !shown.length) return;
    event.preventDefault();
    this.cursor = shown[to][0];
    this.#draw();
  }
}
