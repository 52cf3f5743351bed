// A line over time, drawn on a canvas: no axes where the figure beside it says the value.

/** Draws `[[time, value]]` on a canvas; `span`: how many milliseconds it is wide. */
export function draw(canvas, points, span) {
  const ratio = globalThis.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  const end = points.at(-1)?.[0] ?? 0;
  const shown = points.filter(([at]) => at >= end - span);
  if (shown.length < 2) return;
  // A young server's line fills the width too, once it is a minute old.
  const begin = Math.max(end - span, Math.min(shown[0][0], end - 60_000));
  const most = Math.max(1, ...shown.map(([, value]) => value)) * 1.15;
  const x = (at) => ((at - begin) / (end - begin)) * width;
  const y = (value) => height - 2 - (value / most) * (height - 6);
  pen.strokeStyle = style.getPropertyValue('--line');
  pen.beginPath();
  pen.moveTo(0, height - 1);
  pen.lineTo(width, height - 1);
  pen.stroke();
  pen.beginPath();
  // The first `lineTo` of a path moves there.
  for (const [at, value] of shown) pen.lineTo(x(at), y(value));
  pen.strokeStyle = style.getPropertyValue('--accent');
  pen.lineWidth = 1.8;
  pen.lineJoin = 'round';
  pen.stroke();
  pen.lineTo(x(end), height);
  pen.lineTo(x(shown[0][0]), height);
  pen.closePath();
  pen.globalAlpha = 0.13;
  pen.fillStyle = style.getPropertyValue('--accent');
  pen.fill();
  pen.globalAlpha = 1;
}
