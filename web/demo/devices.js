// The dialog that chooses camera, microphone and speaker.

import { el } from '/web/dom.js';
import { t } from './text.js';

/** Shows it; `chosen({ camera, microphone, speaker })` is called at each change. */
export async function chooseDevices(room, now, chosen) {
  const found = await room.getDevices();
  const pick = (name, label, list, extra) => {
    if (!list.length && !extra) return null;
    const options = list.map((d, i) =>
      el('option', { value: d.deviceId, selected: d.deviceId === now[name] }, d.label || `${label} ${i + 1}`),
    );
    if (extra) options.push(el('option', { value: extra[0], selected: now[name] === extra[0] }, extra[1]));
    return el(
      'label',
      {},
      el('span', {}, label),
      el('select', { onchange: (e) => chosen({ [name]: e.target.value }) }, options),
    );
  };
  const canChooseSpeaker = 'setSinkId' in HTMLMediaElement.prototype;
  const dialog = el(
    'dialog',
    { 'aria-label': t('devices'), onclose: () => dialog.remove() },
    el(
      'form',
      { method: 'dialog' },
      el('h2', {}, t('devices')),
      pick('camera', t('camera'), found.camera, ['drawn', t('drawn')]),
      pick('microphone', t('microphone'), found.microphone),
      canChooseSpeaker &&
        pick('speaker', t('speaker'), found.speaker, found.speaker.length ? null : ['', t('noAudioOut')]),
      el('button.button.primary', {}, t('done')),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}
