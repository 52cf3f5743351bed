// Whom the cameras of the film see: two people drawn for a moment of a loop, and what one of them shows on her screen.

const turn = (t, n = 1) => Math.sin(2 * Math.PI * n * t);

/** A head and shoulders, above the point that they stand at. `t` goes from 0 to 1, and everything is then as it was. */
function figure(t, { skin, shade, hair, shirt, collar, long, waves }) {
  const closed = [0.22, 0.71].some((at) => t > at && t < at + 0.045);
  const talking = t > 0.08 && t < 0.6;
  const mouth = talking ? 3 + 9 * Math.abs(turn(t, 6)) : 2.5;
  const eye = (x) =>
    closed
      ? `<path d="M${x - 9} -206q9 6 18 0" fill="none" stroke="#2b2320" stroke-width="3.5" stroke-linecap="round"/>`
      : `<ellipse cx="${x}" cy="-206" rx="9" ry="8" fill="#fff"/><circle cx="${x + 2 * turn(t)}" cy="-206" r="5.6" fill="#33261f"/><circle cx="${x + 2 + 2 * turn(t)}" cy="-208" r="1.8" fill="#fff"/>`;
  const behind = long
    ? '<path d="M-74 -212c-6 60-14 96-26 122 30 14 64 14 100 14s70 0 100-14c-12-26-20-62-26-122z"/>'
    : '<path d="M-78 -214c-4 40-2 70 8 92 40 10 100 10 140 0 10-22 12-52 8-92z"/>';
  const fringe = long
    ? '<path d="M-68 -196c-10-70 22-104 68-104s78 34 68 104c-8-30-22-50-40-62-24 22-62 34-96 62z"/>'
    : '<path d="M-70 -190c-8-76 26-108 70-108s78 32 70 108c-4-20-8-34-12-44-38 6-78 6-116 0-4 10-8 24-12 44z"/>';
  const up = waves && t > 0.55 && t < 0.95 ? Math.min(1, (t - 0.55) * 12, (0.95 - t) * 12) : 0;
  const arm = waves
    ? `<g transform="translate(142 ${20 - 150 * up}) rotate(${14 * turn(t, 5) * up} 0 60)">
        <path d="M-22 150L-20 52q20-14 40 0L26 150z" fill="${shirt}"/>
        <rect x="-15" y="18" width="30" height="44" rx="13" fill="${skin}"/>
        <g fill="${skin}"><rect x="-24" y="-14" width="48" height="50" rx="20"/><rect x="-24" y="-44" width="11" height="46" rx="5.5"/><rect x="-11" y="-52" width="11" height="50" rx="5.5"/><rect x="2" y="-50" width="11" height="50" rx="5.5"/><rect x="14" y="-40" width="11" height="42" rx="5.5"/><rect x="-38" y="-8" width="11" height="34" rx="5.5" transform="rotate(-34 -32 14)"/></g>
      </g>`
    : '';
  return `<g transform="translate(${4 * turn(t)} ${2 + 2 * turn(t, 2)})">
    ${arm}
    <g fill="${hair}" transform="rotate(${2.5 * turn(t)} 0 -130)">${behind}</g>
    <path d="M-168 30c0-104 34-128 108-140h120c74 12 108 36 108 140z" fill="${shirt}"/>
    <path d="M-40 -112q40 44 80 0l-8-8h-64z" fill="${collar}"/>
    <path d="M-26 -150h52v40q-26 26-52 0z" fill="${shade}"/>
    <g transform="rotate(${3 * turn(t) + 1.2 * turn(t, 3)} 0 -130)">
      <ellipse cx="-62" cy="-198" rx="10" ry="15" fill="${shade}"/><ellipse cx="62" cy="-198" rx="10" ry="15" fill="${shade}"/>
      <path d="M-62 -216c0-50 24-72 62-72s62 22 62 72c0 52-26 90-62 90s-62-38-62-90z" fill="${skin}"/>
      <circle cx="-36" cy="-178" r="12" fill="#e2735b" opacity=".22"/><circle cx="36" cy="-178" r="12" fill="#e2735b" opacity=".22"/>
      ${eye(-25)}${eye(25)}
      <path d="M-38 ${-224 - 2 * turn(t, 2)}q13-7 25-1M38 ${-224 - 2 * turn(t, 2)}q-13-7-25-1" fill="none" stroke="${hair}" stroke-width="5" stroke-linecap="round"/>
      <path d="M-1 -200q-7 16 1 20q4 1 6-1" fill="none" stroke="${shade}" stroke-width="4" stroke-linecap="round"/>
      <path d="M-19 -156q19 ${8 + mouth} 38 0q-19 ${4 - mouth / 4} -38 0z" fill="#9c3f3a" stroke="#9c3f3a" stroke-width="3" stroke-linejoin="round"/>
      <g fill="${hair}">${fringe}</g>
    </g>
  </g>`;
}

/** Ada at her desk: a shelf, a lamp, and a window in which clouds go by. */
function study(t) {
  const books = ['#c8553d', '#588b8b', '#f28f3b', '#2d3047', '#93b7be', '#c8553d', '#e0ca3c']
    .map(
      (color, i) =>
        `<rect x="${470 + i * 19}" y="${64 - (i % 3) * 7}" width="15" height="${56 + (i % 3) * 7}" rx="2" fill="${color}"/>`,
    )
    .join('');
  return `<rect width="640" height="360" fill="#dfe6dc"/>
    <rect x="34" y="34" width="150" height="170" rx="6" fill="#fff"/><rect x="44" y="44" width="130" height="150" fill="#a9d3ec"/>
    <g fill="#fff" opacity=".9"><ellipse cx="${84 + 20 * turn(t)}" cy="96" rx="28" ry="12"/><ellipse cx="${106 + 20 * turn(t)}" cy="88" rx="24" ry="13"/></g>
    <path d="M44 194v-26q30-30 62-8t68-12v46z" fill="#7fae7b"/><path d="M109 44v150M44 119h130" stroke="#fff" stroke-width="7"/>
    <rect x="452" y="120" width="166" height="10" rx="3" fill="#a9744f"/>${books}
    <path d="M560 360v-70h48v70z" fill="#c8553d"/><g fill="#4d7c57"><ellipse cx="584" cy="262" rx="13" ry="38"/><ellipse cx="562" cy="270" rx="11" ry="30" transform="rotate(-28 562 270)"/><ellipse cx="606" cy="270" rx="11" ry="30" transform="rotate(28 606 270)"/></g>`;
}

/** Mei in the evening: a string of lights. */
function evening(t, width, height) {
  const lights = Array.from({ length: 7 }, (_, i) => {
    const x = ((i + 0.5) * width) / 7;
    const y = 46 + 26 * Math.sin((Math.PI * (i + 0.5)) / 7);
    const glow = 0.55 + 0.45 * Math.abs(turn(t + i / 7));
    return `<circle cx="${x}" cy="${y}" r="17" fill="#ffd27a" opacity="${0.22 * glow}"/><circle cx="${x}" cy="${y}" r="7" fill="#ffd98c" opacity="${glow}"/>`;
  }).join('');
  return `<defs><linearGradient id="dusk" x2="0" y2="1"><stop stop-color="#3b3663"/><stop offset="1" stop-color="#8a5a7d"/></linearGradient></defs>
    <rect width="${width}" height="${height}" fill="url(#dusk)"/>
    <path d="M0 42Q${width / 2} 100 ${width} 42" fill="none" stroke="#221f3d" stroke-width="3"/>${lights}
    <rect y="${height - 96}" width="${width}" height="96" fill="#4a3f63"/>`;
}

const svg = (width, height, inside) =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${inside}</svg>`;

/** What each camera sees: how large, and a picture for each moment. */
export const CAST = {
  ada: {
    size: [640, 360],
    draw: (t) =>
      svg(
        640,
        360,
        `${study(t)}<g transform="translate(320 364)">${figure(t, {
          skin: '#f1c7a3',
          shade: '#dda983',
          hair: '#6b3f2a',
          shirt: '#2f6f5e',
          collar: '#f6f1e7',
          long: true,
        })}</g>`,
      ),
  },
  mei: {
    size: [640, 360],
    draw: (t) =>
      svg(
        640,
        360,
        `${evening(t, 640, 360)}<g transform="translate(300 364)">${figure((t + 0.5) % 1, {
          skin: '#f3cfa6',
          shade: '#d9a877',
          hair: '#1f1b24',
          shirt: '#e07a5f',
          collar: '#fbe9d7',
          waves: true,
        })}</g>`,
      ),
  },
};

/** The page that Ada shows. */
export const PLAN = `<!doctype html><meta charset="utf-8"><title>Plan</title>
<style>
  body { margin: 0; font: 30px/1.3 system-ui, sans-serif; background: #fdfaf3; color: #22302b; display: grid; grid-template-rows: auto 1fr; height: 100vh; }
  h1 { font-size: 56px; margin: 0; padding: 44px 60px 20px; }
  main { display: grid; grid-template-columns: 1fr 1fr; gap: 50px; padding: 10px 60px 50px; }
  li { margin: 0 0 20px; } ol { padding-left: 1.2em; margin: 0; font-size: 36px; }
  .bars { display: flex; align-items: end; gap: 22px; border-bottom: 4px solid #22302b; }
  .bars i { flex: 1; border-radius: 10px 10px 0 0; background: #2f6f5e; height: var(--h); animation: grow 3s ease-in-out infinite alternate; transform-origin: bottom; }
  .bars i:nth-child(even) { background: #e07a5f; animation-delay: -1.3s; }
  @keyframes grow { from { transform: scaleY(.72); } }
</style>
<h1>Sunday’s tea · 周日茶会</h1>
<main><ol><li>Green from Hangzhou</li><li>Oolong from Wuyi</li><li>Black from Qimen</li></ol>
<div class="bars"><i style="--h:55%"></i><i style="--h:80%"></i><i style="--h:64%"></i><i style="--h:96%"></i><i style="--h:72%"></i></div></main>`;
