// Making elements. User text goes in as text only: there is no way here to make markup of it.

const SVG = 'http://www.w3.org/2000/svg';

/** `el('button.primary', { onclick, 'aria-label': … }, 'text', child…)`. */
export function el(what, props = {}, ...children) {
  const [tag, ...classes] = what.split('.');
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(' ');
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== 'string') made[name] = value;
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return made;
}

// Drawn on 24 × 24 with a stroke.
const ICONS = {
  mic: 'M12 3.500a2.700 2.700 0 0 0-2.700 2.700v5.300a2.700 2.700 0 0 0 5.400 0V6.200A2.700 2.700 0 0 0 12 3.500zM6 11.200a6 6 0 0 0 12 0M12 17.500v3',
  micOff:
    'M9.300 9v2.500a2.700 2.700 0 0 0 4.200 2.200M14.700 10.500V6.200a2.700 2.700 0 0 0-5.100-1.200M6 11.200a6 6 0 0 0 9.300 5M18 11.200a6 6 0 0 1-.5 2.400M12 17.500v3M4 4l16 16',
  cam: 'M3.500 8.500a2 2 0 0 1 2-2h7.500a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2H5.500a2 2 0 0 1-2-2zM15 11l4.300-2.700a.8.8 0 0 1 1.200.7v6a.8.8 0 0 1-1.200.7L15 13',
  camOff:
    'M6.500 6.500H13a2 2 0 0 1 2 2V15M14.500 17H5.500a2 2 0 0 1-2-2V8.500a2 2 0 0 1 .7-1.500M15 11l4.300-2.700a.8.8 0 0 1 1.200.7v6M4 4l16 16',
  leave:
    'M3.500 14.500c-.6-1.800.3-3.600 2-4.400 4-1.900 9-1.900 13 0 1.700.8 2.600 2.600 2 4.400-.3.9-1.200 1.300-2.100 1.100l-2.500-.7c-.7-.2-1.100-.8-1.100-1.500v-1.300a11 11 0 0 0-5.600 0v1.300c0 .7-.4 1.300-1.100 1.500l-2.500.7c-.9.2-1.800-.2-2.100-1.100z',
  heart: 'M12 19.500S4 14.800 4 9.300A4.200 4.200 0 0 1 12 7.500a4.200 4.200 0 0 1 8 1.800c0 5.500-8 10.200-8 10.200z',
  hand: 'M7.500 12.500V6.700a1.300 1.300 0 0 1 2.600 0v4.300M10.100 10.500V5a1.300 1.300 0 0 1 2.600 0v5.500M12.700 10.500V6a1.300 1.300 0 0 1 2.600 0v5.500M15.300 11V8.500a1.300 1.300 0 0 1 2.600 0v5.700c0 3.800-2.300 6.300-5.600 6.300-2.400 0-3.800-1-5-3l-2.600-4.300c-.9-1.500.9-2.700 2-1.500l.8 1.200',
  users:
    'M9 11.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM3.500 18.500c.4-3 2.500-4.800 5.500-4.800s5.100 1.800 5.500 4.800M15.500 5.800a3 3 0 0 1 0 5.600M17 14.200c2 .6 3.200 2.100 3.500 4.300',
  eye: 'M2.800 12S6 6 12 6s9.200 6 9.200 6-3.200 6-9.200 6-9.200-6-9.200-6zM12 14.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z',
  copy: 'M9 9.500a1.500 1.500 0 0 1 1.500-1.500H18a1.500 1.500 0 0 1 1.500 1.500V18a1.500 1.500 0 0 1-1.500 1.500h-7.500A1.500 1.500 0 0 1 9 18zM6 16a1.500 1.500 0 0 1-1.500-1.500V6A1.500 1.500 0 0 1 6 4.500h8A1.500 1.500 0 0 1 15.500 6',
  gear: 'M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM12 3.500v2.200M12 18.300v2.200M3.500 12h2.200M18.300 12h2.200M6 6l1.600 1.600M16.400 16.400 18 18M6 18l1.600-1.600M16.400 7.600 18 6',
  send: 'M4.500 12 4 5.200a.7.7 0 0 1 1-.7l14.700 6.900a.7.7 0 0 1 0 1.200L5 19.500a.7.7 0 0 1-1-.7zM4.500 12H12',
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6 6 18',
  chat: 'M4 6.500A2 2 0 0 1 6 4.500h12a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-6.500L7 20v-3.500H6a2 2 0 0 1-2-2z',
  share:
    'M12 14.500V4M8.500 7.200 12 3.700l3.500 3.500M6 11.500v6.300A1.700 1.700 0 0 0 7.700 19.500h8.600a1.700 1.700 0 0 0 1.700-1.700v-6.300',
  screen:
    'M4 6a1.500 1.500 0 0 1 1.500-1.500h13A1.500 1.500 0 0 1 20 6v9a1.500 1.500 0 0 1-1.500 1.500h-13A1.500 1.500 0 0 1 4 15zM9 20h6M12 16.500V20M12 13.500v-6M9.500 9.800 12 7.300l2.500 2.500',
  full: 'M4.500 9V5.500a1 1 0 0 1 1-1H9M15 4.500h3.500a1 1 0 0 1 1 1V9M19.500 15v3.500a1 1 0 0 1-1 1H15M9 19.500H5.500a1 1 0 0 1-1-1V15',
  pip: 'M4 6.500A1.500 1.500 0 0 1 5.500 5h13A1.500 1.500 0 0 1 20 6.500v11a1.500 1.500 0 0 1-1.500 1.500h-13A1.500 1.500 0 0 1 4 17.500zM12 12h5.500v4.500H12z',
  pin: 'M9 4.500h6l-.7 6 3.200 3.200H6.500l3.200-3.200zM12 13.700v6',
  speaker: 'M4 5.500h16v9H4zM4 18h4M10 18h4M16 18h4',
  check: 'M5 12.500 10 17l9-10',
  people:
    'M12 11.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM5 19.500c.6-3.600 3.200-5.500 7-5.500s6.400 1.900 7 5.500',
};

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon and a name for those who do not see it. */
export function iconButton(name, label, onclick, kind = '') {
  return el(
    `button.round${kind && `.${kind}`}`,
    { type: 'button', 'aria-label': label, title: label, onclick },
    icon(name),
  );
}

/** Replaces an icon button's picture and name. */
export function relabel(button, name, label, pressed) {
  button.replaceChildren(icon(name));
  button.setAttribute('aria-label', label);
  button.title = label;
  if (pressed !== undefined) button.setAttribute('aria-pressed', String(pressed));
}

export function toast(text, kind = '') {
  const made = el(`p.toast${kind && `.${kind}`}`, {}, text);
  const all = document.getElementById('toasts');
  all.append(made);
  // More than two hide the page.
  while (all.children.length > 2) all.firstChild.remove();
  setTimeout(() => made.remove(), kind === 'bad' ? 8000 : 4000);
  return made;
}

/** Who goes by keys, or hears the page, is in a new view where that begins. */
export function focusHeading(view) {
  const heading = view.querySelector('h1');
  if (!heading) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

/** In full screen nothing is seen but what is in it, so that what is said goes there. */
export function sayInFullScreen() {
  const all = document.getElementById('toasts');
  document.addEventListener('fullscreenchange', () => (document.fullscreenElement ?? document.body).append(all));
}

/** A colour that stays the same for a person. */
export function hue(text) {
  let sum = 7;
  for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

/** A round picture with the first letter of a name. */
export function avatar(name, id = name) {
  const made = el('span.avatar', { 'aria-hidden': 'true' }, [...(name || '?')][0].toUpperCase());
  made.style.setProperty('--hue', hue(id));
  return made;
}

/** A text with a button that copies it. */
export function copyRow(label, text, { copied, copy }) {
  const field = el('input', { readonly: true, value: text, 'aria-label': label, onfocus: (e) => e.target.select() });
  const button = iconButton('copy', `${copy}: ${label}`, async () => {
    field.select();
    // Without TLS browsers have no clipboard; the selected text can still be copied by hand.
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      document.execCommand('copy');
    }
    toast(copied);
  });
  return el('div.copy', {}, el('span', {}, label), field, button);
}
