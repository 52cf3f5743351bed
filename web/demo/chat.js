// The chat of a room: what was said, and a field to say something.

import { avatar, el, iconButton, toast } from '/web/dom.js';
import { language, t, why } from './text.js';

/** Older lines go: a busy room must not fill the page. */
const KEPT = 200;
const clock = new Intl.DateTimeFormat(language === 'zh' ? 'zh-CN' : undefined, { hour: '2-digit', minute: '2-digit' });

export class ChatPane {
  constructor(room) {
    this.room = room;
    this.log = el(
      'ol.log',
      { 'aria-live': 'polite', 'aria-label': t('chat'), tabindex: '0' },
      el('li.note', {}, t('noChat')),
    );
    this.field = el('input', {
      maxlength: 500,
      placeholder: t('say'),
      'aria-label': t('say'),
      autocomplete: 'off',
      enterkeyhint: 'send',
    });
    const form = el(
      'form.say',
      {
        onsubmit: (event) => {
          event.preventDefault();
          this.#send();
        },
      },
      this.field,
      iconButton('send', t('send'), null),
    );
    form.lastChild.type = 'submit';
    this.element = el('div.pane', { role: 'tabpanel' }, this.log, form);
  }

  async #send() {
    const msg = this.field.value.trim();
    if (!msg) return;
    this.field.value = '';
    try {
      await this.room.sendRoomTextMsg({ msg });
    } catch (error) {
      this.field.value ||= msg;
      toast(why(error), 'bad');
    }
  }

  say({ userID, userName, textMsg, time }) {
    this.#add(
      el(
        'li',
        {},
        avatar(userName, userID),
        el('div', {}, el('b', {}, `${userName} · ${clock.format(time)}`), el('p', {}, textMsg)),
      ),
    );
  }

  note(text, kind = 'note') {
    this.#add(el(`li.${kind}`, {}, text));
  }

  #add(line) {
    const { log } = this;
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    if (!this.begun) {
      this.begun = true;
      log.replaceChildren();
    }
    log.append(line);
    while (log.children.length > KEPT) log.firstChild.remove();
    if (follows) log.scrollTop = log.scrollHeight;
  }
}
