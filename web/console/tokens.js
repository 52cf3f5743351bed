// Tokens: a user is logged in, and somebody gets a part of what operators may do. They are shown once and kept nowhere.

import { copyRow, el, toast } from '/web/dom.js';
import { lasting, moment, t, why } from './text.js';

const GRANTS = ['roomList', 'roomCreate', 'roomAdmin', 'roomRecord', 'userAdmin', 'tokenCreate', 'serverAdmin'];
const LENGTHS = [600, 3_600, 21_600, 86_400];

export class Tokens {
  constructor(acts) {
    this.acts = acts;
    this.element = el('div.stack', {}, this.#user(), this.#operator());
  }

  #card(title, hint, fields, submit) {
    const made = el('div.fields', { role: 'status' });
    const form = el(
      'form.fields',
      {
        onsubmit: async (event) => {
          event.preventDefault();
          made.replaceChildren();
          try {
            made.append(...(await submit(new FormData(form))));
          } catch (error) {
            toast(why(error), 'bad');
          }
        },
      },
      fields,
    );
    const head = el('header', {}, el('h2', {}, t(title)));
    return el('section.section.card', {}, head, el('p.small.soft.inset', {}, t(hint)), form, made);
  }

  #user() {
    const fields = [
      el('label', {}, el('span', {}, t('user')), el('input', { name: 'user', required: true, maxlength: 64 })),
      el('button.button', { type: 'submit' }, t('makeUserToken')),
    ];
    return this.#card('userToken', 'userTokenHint', fields, async (given) => {
      const who = { userID: given.get('user').trim() };
      const { link } = this.acts;
      const signed = await link.api('POST', '/tokens/usersig', who);
      const session = await link.api('POST', '/tokens/session', who);
      return [
        row('sdkAppID', String(signed.sdkAppID)),
        row('userSig', signed.userSig),
        row('token', session.token),
        el('p.small.soft', {}, t('goodUntil', { time: moment(session.expires) })),
      ];
    });
  }

  #operator() {
    const grant = (name) =>
      el(
        'label.check',
        {},
        el('input', { type: 'checkbox', name: 'grant', value: name, checked: name === 'roomList' }),
        el('span', {}, el('b.mono', {}, name), ' ', t(`grant_${name}`)),
      );
    const length = (seconds) => el('option', { value: String(seconds), selected: seconds === 3_600 }, lasting(seconds));
    const fields = [
      el('fieldset', {}, el('legend', {}, t('grants')), GRANTS.map(grant)),
      el('label', {}, el('span', {}, t('grantRoom')), el('input', { name: 'room', maxlength: 64, placeholder: '*' })),
      el('label', {}, el('span', {}, t('length')), el('select', { name: 'seconds' }, LENGTHS.map(length))),
      el('button.button', { type: 'submit' }, t('makeOperatorToken')),
    ];
    return this.#card('operatorToken', 'operatorTokenHint', fields, async (given) => {
      const grants = Object.fromEntries(given.getAll('grant').map((name) => [name, true]));
      if (grants.roomAdmin) grants.room = given.get('room').trim() || '*';
      const body = { seconds: Number(given.get('seconds')), grants };
      const { token, expires } = await this.acts.link.api('POST', '/tokens/operator', body);
      return [row('token', token), el('p.small.soft', {}, t('goodUntil', { time: moment(expires) }))];
    });
  }
}

function row(name, value) {
  return copyRow(name, value, { copied: t('copied'), copy: t('copy') });
}
