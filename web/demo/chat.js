// The chat of a room: what was said, and a field to say something.

import { avatar, el, iconButton, toast } from '/web/dom.js';
import { language, t, why } from './text.js';

/** Older lines go: a busy room must not fill the page. */
const KEPT = 200;
const clock = new Intl.DateTimeFormat(language === 'zh' ? 'zh-CN' : undefined, { hour: '2-digit', minute: '2-digit' });

/** Addresses in a text; what ends a sentence does not belong to one. */
const LINK = /https?:\/\/[^\s<>"'，。；！？）】」]+[^\s<>"'，。；！？）】」.,;:!?)\]}]/g;

/** A text with its addresses as links. */
function linked(text) {
  const parts = [];
  let at = 0;
  for (const { 0: url, index } of text.matchAll(LINK)) {
    parts.push(text.slice(at, index), el('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, url));
    at = index + url.length;
  }
  return [...parts, text.slice(at)];
}

function line({ userID, userName, textMsg, time }) {
  return el(
    'li',
    {},
    avatar(userName, userID),
    el('div', {}, el('b', {}, `${userName} · ${clock.format(time)}`), el('p', {}, linked(textMsg))),
  );
}

export class ChatPane {
  /** `unread(n)`: so many texts came that nobody saw. */
  constructor(room, unread) {
    Object.assign(this, { room, tell: unread, unread: 0, known: new Set() });
    this.seen = () => this.#look();
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

  /** The pane is one of these tabs. */
  shownIn(tabs) {
    tabs.element.addEventListener('click', this.seen);
    tabs.element.addEventListener('keydown', this.seen);
    document.addEventListener('visibilitychange', this.seen);
  }

  close() {
    document.removeEventListener('visibilitychange', this.seen);
  }

  /** Whether what comes now is seen. */
  #look() {
    const seen = !this.element.hidden && document.visibilityState === 'visible';
    if (seen && this.unread) {
      this.unread = 0;
      this.tell(0);
    }
    return seen;
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

  say(message) {
    if (!this.#isNew(message)) return;
    this.#add(line(message), message.time);
    if (message.userID === this.room.user?.userID || this.#look()) return;
    this.unread += 1;
    this.tell(this.unread);
  }

  /** What was said before we came: nothing of it is new. */
  before(messages) {
    // It is there to be read, and not read out.
    this.log.setAttribute('aria-live', 'off');
    for (const message of messages) if (this.#isNew(message)) this.#add(line(message), message.time);
    setTimeout(() => this.log.setAttribute('aria-live', 'polite'), 1_000);
  }

  /** It may come twice: by itself, and among what was said before. */
  #isNew({ textMsg, seq, time }) {
    const key = `${seq} ${time}`;
    if (textMsg === undefined || this.known.has(key)) return false;
    this.known.add(key);
    if (this.known.size > 2 * KEPT) this.known.delete(this.known.values().next().value);
    return true;
  }

  note(text, kind = 'note') {
    this.#add(el(`li.${kind}`, {}, text), Date.now());
  }

  #add(made, time) {
    const { log } = this;
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    if (!this.begun) {
      this.begun = true;
      log.replaceChildren();
    }
    made.dataset.time = time;
    const later = [...log.children].find((other) => Number(other.dataset.time) > time);
    log.insertBefore(made, later ?? null);
    while (log.children.length > KEPT) log.firstChild.remove();
    if (follows) log.scrollTop = log.scrollHeight;
  }
}
