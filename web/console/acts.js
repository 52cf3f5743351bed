// Doing things to rooms and users: asked for once more where they cannot be undone.

import { el, toast } from '/web/dom.js';
import { t } from './text.js';

export class Acts {
  constructor(link) {
    this.link = link;
  }

  async do(action, fields) {
    try {
      const reply = await this.link.act(action, fields);
      toast(reply.rooms === undefined ? t('done') : t('told', { n: reply.rooms }));
      return reply;
    } catch (error) {
      toast(error.message, 'bad');
      return null;
    }
  }

  /** Asks first. */
  async sure(action, id, fields) {
    const sure = await ask(t(`sure_${action}`, { id }), [
      ['button', 'cancel', t('cancel')],
      ['button.primary', 'yes', t('yes')],
    ]);
    return sure === 'yes' ? this.do(action, fields) : null;
  }

  async notice(roomID) {
    const text = el('input', { required: true, maxlength: 300, 'aria-label': t('noticeText') });
    const sure = await ask(
      roomID ? `${t('notice')}: ${roomID}` : t('noticeAll'),
      [
        ['button', 'cancel', t('cancel')],
        ['button.primary', 'yes', t('send')],
      ],
      text,
    );
    if (sure === 'yes' && text.value.trim())
      await this.do('notice', { ...(roomID && { roomID }), text: text.value.trim() });
  }
}

function ask(question, buttons, ...more) {
  return new Promise((resolve) => {
    const dialog = el(
      'dialog',
      {
        'aria-label': question,
        onclose: () => {
          dialog.remove();
          resolve(dialog.returnValue);
        },
      },
      el(
        'form',
        { method: 'dialog' },
        el('p', {}, question),
        ...more,
        el(
          'div.tools',
          {},
          buttons.map(([kind, value, label]) =>
            el(`button.${kind}`, { value, formnovalidate: value === 'cancel' }, label),
          ),
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
