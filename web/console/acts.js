// Doing things to rooms, users and streams: the button says what will be done, and is red where something ends.

import { el, toast } from '/web/dom.js';
import { lasting, t, why } from './text.js';

/** For how many seconds; 0: until it is lifted. The second one is chosen unless another is, a kick's first. */
const LENGTHS = {
  kick: [60, 600, 3_600, 86_400],
  mute: [60, 600, 3_600, 86_400, 0],
  ban: [600, 3_600, 86_400, 604_800, 0],
};
/** Longest reason: 500 bytes of whatever language. */
const REASON = 125;
const part = encodeURIComponent;

export class Acts {
  constructor(link) {
    this.link = link;
  }

  /** Runs something and says how it went; null where it went wrong. */
  async run(ask, said = () => t('done')) {
    try {
      const reply = await ask();
      toast(said(reply));
      return reply;
    } catch (error) {
      toast(why(error), 'bad');
      return null;
    }
  }

  do(action, fields) {
    const said = (reply) => (reply.rooms === undefined ? t('done') : t('told', { n: reply.rooms }));
    return this.run(() => this.link.act(action, fields), said);
  }

  api(method, path, body) {
    return this.run(() => this.link.api(method, path, body));
  }

  /** Asks first. */
  async sure(action, id, fields) {
    const sure = await ask({ question: t(`sure_${action}`, { id }), verb: t(`do_${action}`), red: true });
    return sure && this.do(action, fields);
  }

  async kick({ roomID, userID }) {
    const given = await ask({
      question: t('sure_kick', { id: userID }),
      hint: t('hint_kick'),
      fields: [lengths('kick')],
      verb: t('kick'),
      red: true,
    });
    const path = `/rooms/${part(roomID)}/members/${part(userID)}`;
    if (given) await this.api('DELETE', `${path}?seconds=${given.get('seconds')}`);
  }

  async mute({ roomID, userID }) {
    const question = t('sure_mute', { id: userID });
    const given = await ask({ question, fields: [lengths('mute')], verb: t('mute'), red: true });
    const seconds = Number(given?.get('seconds')) || undefined;
    if (given) await this.do('mute', { roomID, userID, seconds });
  }

  /** Out of a room or of everything; what is not known is asked for. */
  async ban({ roomID = '', userID = '' }) {
    const user = userID
      ? el('input', { type: 'hidden', name: 'user', value: userID })
      : labelled('user', { name: 'user', required: true, maxlength: 64, autocomplete: 'off' });
    const where = roomID
      ? el(
          'label',
          {},
          el('span', {}, t('outOf')),
          el(
            'select',
            { name: 'room' },
            el('option', { value: roomID }, t('thisRoom', { id: roomID })),
            el('option', { value: '' }, t('everything')),
          ),
        )
      : labelled('roomOrAll', { name: 'room', maxlength: 64, autocomplete: 'off' });
    const reason = labelled('reason', { name: 'reason', maxlength: REASON, autocomplete: 'off' });
    const given = await ask({
      question: userID ? t('sure_ban', { id: userID }) : t('banUser'),
      hint: t('hint_ban'),
      fields: [user, where, lengths('ban'), reason],
      verb: t('ban'),
      red: true,
    });
    if (!given) return null;
    const [id, room] = [given.get('user').trim(), given.get('room').trim()];
    const seconds = Number(given.get('seconds')) || undefined;
    return this.api('PUT', bans(id, room), { seconds, reason: given.get('reason').trim() });
  }

  unban({ roomID, userID }) {
    return this.api('DELETE', bans(userID, roomID));
  }

  async notice(roomID) {
    const given = await ask({
      question: roomID ? `${t('notice')}: ${roomID}` : t('noticeAll'),
      fields: [el('input', { name: 'text', required: true, maxlength: 300, 'aria-label': t('noticeText') })],
      verb: t('send'),
    });
    const text = given?.get('text').trim();
    if (text) await this.do('notice', { ...(roomID && { roomID }), text });
  }
}

function bans(user, room) {
  return room ? `/rooms/${part(room)}/bans/${part(user)}` : `/bans/${part(user)}`;
}

function labelled(name, props) {
  return el('label', {}, el('span', {}, t(name)), el('input', props));
}

function lengths(of) {
  const option = (seconds, i) =>
    el('option', { value: String(seconds), selected: i === (of === 'kick' ? 0 : 1) }, lasting(seconds));
  return el('label', {}, el('span', {}, t('length')), el('select', { name: 'seconds' }, LENGTHS[of].map(option)));
}

/** Resolves with what was filled in, or null. */
function ask({ question, hint, fields = [], verb, red = false }) {
  return new Promise((resolve) => {
    const form = el(
      'form',
      { method: 'dialog' },
      el('h2', {}, question),
      hint && el('p.soft.small', {}, hint),
      fields,
      el(
        'div.tools',
        {},
        el('button.button', { value: 'cancel', formnovalidate: true }, t('cancel')),
        el(`button.button.${red ? 'danger' : 'primary'}`, { value: 'yes' }, verb),
      ),
    );
    const dialog = el(
      'dialog',
      {
        'aria-label': question,
        onclose: () => {
          dialog.remove();
          resolve(dialog.returnValue === 'yes' ? new FormData(form) : null);
        },
      },
      form,
    );
    // Enter in a field must not press the first button, which is not that one.
    form.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.target.tagName !== 'INPUT') return;
      event.preventDefault();
      form.requestSubmit(form.querySelector('[value=yes]'));
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
