// The list of rooms, and the form that makes one. Thumbnails are live, small and silent, for a few rooms at a time.

// Of the SDK only what a list needs: so it is there sooner.
import { Player } from '/sdk/media.js';
import { Room } from '/sdk/room.js';
import { whep } from '/sdk/urls.js';
import { avatar, el, icon, toast } from '/web/dom.js';
import { t, why } from './text.js';

const EVERY = 3_000;
const THUMBNAILS = 6;
const KINDS = [
  ['double_room', 'people', 'double_hint'],
  ['multi_room', 'users', 'multi_hint'],
  ['live_room', 'eye', 'live_hint'],
];

export class Lobby {
  constructor({ session, go }) {
    this.session = session;
    this.go = go;
    const { platform } = session;
    this.clients = Object.fromEntries(KINDS.map(([kind]) => [kind, new Room({ session, kind, platform })]));
    this.cards = new Map();
    this.list = el('ul.rooms');
    this.empty = el('div.empty', { hidden: true }, el('h3', {}, t('noRooms')), el('p', {}, t('noRoomsHint')));
    this.element = el(
      'div.lobby',
      {},
      el('section.hero', {}, el('div', {}, el('h1', {}, t('heading')), el('p.soft', {}, t('lead'))), this.#form()),
      el('section', { 'aria-labelledby': 'rooms' }, el('h2', { id: 'rooms' }, t('rooms')), this.empty, this.list),
      el(
        'nav.more.small',
        { 'aria-label': t('more') },
        el('a', { href: '/console' }, t('console')),
        el('a', { href: '/api/v1' }, t('apiDocs')),
      ),
    );
  }

  #form() {
    const name = el('input', {
      name: 'name',
      maxlength: 60,
      placeholder: t('someonesRoom', { name: this.session.user.userName }),
      autocomplete: 'off',
    });
    const hint = el('p.hint.small.soft', { 'aria-live': 'polite' }, t(KINDS[0][2]));
    const kind = ([value, picture, text], i) =>
      el(
        'label',
        {},
        el('input', {
          type: 'radio',
          name: 'kind',
          value,
          checked: i === 0,
          onchange: () => {
            hint.textContent = t(text);
          },
        }),
        el('span', {}, icon(picture), t(value)),
      );
    const form = el(
      'form.start.card',
      {
        onsubmit: (event) => {
          event.preventDefault();
          const data = new FormData(form);
          const roomID = `r${Math.random().toString(36).slice(2, 10)}`;
          const info = data.get('name').trim() || t('someonesRoom', { name: this.session.user.userName });
          this.go({ kind: data.get('kind'), roomID, create: info });
        },
      },
      el('label', {}, el('span', {}, t('roomName')), name),
      el('fieldset.kinds', {}, el('legend', {}, t('kind')), KINDS.map(kind)),
      hint,
      el('button.button.primary', { type: 'submit' }, icon('plus'), t('create')),
    );
    return form;
  }

  async open() {
    await this.#look();
    if (!this.over) this.timer = setInterval(() => document.hidden || this.#look(), EVERY);
  }

  async #look() {
    try {
      const kinds = Object.entries(this.clients);
      const lists = await Promise.all(
        kinds.map(async ([kind, client]) => {
          const { rooms } = await client.getRoomList({ index: 0, cnt: 50 });
          return rooms.map((room) => ({ ...room, kind }));
        }),
      );
      if (!this.over) this.#show(lists.flat());
      this.failed = false;
    } catch (error) {
      // Said once: it is tried again anyway.
      if (!this.failed && !this.over) toast(why(error), 'bad');
      this.failed = true;
    }
  }

  #show(rooms) {
    const gone = new Set(this.cards.keys());
    for (const room of rooms) {
      const key = `${room.kind}/${room.roomID}`;
      gone.delete(key);
      if (!this.cards.has(key)) this.#add(key, room);
      this.cards.get(key).update(room);
    }
    for (const key of gone) {
      this.cards.get(key).remove();
      this.cards.delete(key);
    }
    this.empty.hidden = rooms.length > 0;
    this.#thumbnails();
  }

  #add(key, first) {
    const title = el('h3');
    const count = el('p.small.soft');
    const video = el('video', {
      playsInline: true,
      muted: true,
      'aria-hidden': 'true',
      onplaying: () => video.classList.add('on'),
    });
    // As attribute too: some browsers ask for it before they play by themselves.
    video.muted = true;
    const enter = el(
      'button.button.little',
      { type: 'button', onclick: () => this.go({ kind: first.kind, roomID: first.roomID }) },
      t(first.kind === 'live_room' ? 'watch' : 'enter'),
    );
    const thumb = el(
      'div.thumb',
      {},
      avatar(first.roomInfo || first.roomID, first.roomID),
      video,
      el('span.badge', {}, t(first.kind)),
    );
    const card = el('li.card', {}, thumb, el('div.info', {}, el('div', {}, title, count), enter));
    this.list.append(card);
    this.cards.set(key, {
      player: null,
      update: (room) => {
        this.cards.get(key).room = room;
        title.textContent = room.roomInfo || room.roomID;
        enter.setAttribute('aria-label', `${enter.textContent}: ${title.textContent}`);
        const names = room.pushers.map((p) => p.userName || p.userID).join(', ');
        count.textContent =
          room.kind === 'live_room' ? `${names} · ${t('viewers', { n: room.audienceCount ?? 0 })}` : names;
      },
      play: (player) => {
        video.classList.toggle('on', false);
        this.cards.get(key).player = player(video);
      },
      remove: () => {
        this.cards.get(key).player?.stop({ gone: true });
        card.remove();
      },
    });
  }

  /** The first rooms of the list move. */
  #thumbnails() {
    if (!globalThis.RTCPeerConnection) return;
    let free = THUMBNAILS;
    for (const card of this.cards.values()) {
      const pusher = card.room.pushers[0];
      if (card.player && (!pusher || free <= 0 || card.shows !== pusher.userID)) {
        card.player.stop({ gone: card.shows !== pusher?.userID });
        card.player = null;
      }
      if (pusher && free-- > 0 && !card.player) {
        card.shows = pusher.userID;
        card.play((video) => this.#play(pusher, video));
      }
    }
  }

  #play(pusher, element) {
    const { platform, server } = this.session;
    const player = new Player({ platform, url: this.session.mediaURL(whep(server, pusher)), element, audio: false });
    // It is tried again by itself.
    player.start().catch(() => {});
    return player;
  }

  /** `dying`: with the page, whose connections end at once. */
  async close(dying = false) {
    this.over = true;
    clearInterval(this.timer);
    for (const card of this.cards.values()) card.player?.stop({ gone: dying });
  }
}
