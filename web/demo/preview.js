// What stands before a room: our own picture, what is on and off, and the way in.

import { avatar, el } from '/web/dom.js';
import { t } from './text.js';

/** `{ element, chosen }`; `chosen` resolves when the person enters. `who`: those who are there already. */
export function preview({ room, mine, title, who, make }) {
  const video = el('video', { playsInline: true, muted: true, 'aria-label': t('preview') });
  video.muted = true;
  const { userID, userName } = room.user;
  const still = el('div.wait', {}, avatar(userName, userID));
  const picture = el('div.tile.mine.preview-picture', {}, video, still);
  video.addEventListener('playing', () => picture.classList.add('on'));
  const show = () => {
    const local = room.local;
    if (local && video.srcObject !== local.stream) {
      video.srcObject = local.stream;
      video.play().catch(() => {});
    }
    picture.classList.toggle('dark', Boolean(local) && !local.cam && !local.screen);
    picture.classList.toggle('drawn', Boolean(local?.camera?.drawn) || Boolean(local?.screen));
  };
  const end = [
    room.on('localMedia', show),
    room.on('speaking', ({ speaking }) => picture.classList.toggle('speaking', speaking)),
  ];
  let enter;
  const chosen = new Promise((resolve) => {
    enter = resolve;
  });
  const form = el(
    'form.preview.card',
    {
      onsubmit: (event) => {
        event.preventDefault();
        for (const stop of end) stop();
        video.srcObject = null;
        enter();
      },
    },
    el('h1', {}, title),
    el(
      'p.soft.small',
      {},
      who.length ? t('inside', { names: who.join(', ') }) : t(make ? 'yoursToBe' : 'nobodyInside'),
    ),
    picture,
    el('div.bar', { role: 'toolbar', 'aria-label': t('devices') }, mine.micButton, mine.camButton, mine.deviceButton),
    el('button.button.primary', { type: 'submit' }, t(make ? 'begin' : 'enterNow')),
  );
  show();
  return { element: form, chosen };
}
