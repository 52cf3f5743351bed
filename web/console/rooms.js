// Rooms with who is in them, and what an operator may do about it.

import { el } from '/web/dom.js';
import { span, t } from './text.js';

export class Rooms {
  constructor(acts) {
    this.acts = acts;
    this.body = el('div');
    this.count = el('span.badge', {}, '0');
    this.element = el('section.section.card', {}, el('header', {}, el('h2', {}, t('rooms')), this.count), this.body);
  }

  update({ snapshot }) {
    // Redrawn only when something differs: a button under the pointer stays the same button.
    const { rooms, now, recordings, emptyRecordings = [] } = snapshot;
    this.recording =
      recordings && new Set([...recordings, ...emptyRecordings].filter((r) => r.running).map((r) => r.stream));
    const shape = JSON.stringify(
      rooms.map(({ pushers, ...room }) => [
        room,
        pushers.map((p) => [p.userID, p.stream, p.userName, this.recording?.has(p.stream)]),
      ]),
    );
    this.count.textContent = String(now.rooms);
    if (shape === this.shape) {
      for (const cell of this.body.querySelectorAll('td[data-user]')) {
        const at = rooms
          .find((r) => r.roomID === cell.dataset.room)
          ?.pushers.find((p) => p.userID === cell.dataset.user)?.[cell.dataset.time];
        if (at) cell.textContent = span(now.at - at);
      }
      return;
    }
    this.shape = shape;
    this.body.replaceChildren(
      ...(rooms.length ? rooms.map((room) => this.#room(room, now.at)) : [el('p.nothing', {}, t('noRooms'))]),
    );
  }

  #room(room, now) {
    const { roomID, chat } = room;
    const who = new Set([...room.pushers.map((p) => p.userID), ...(chat?.muted ?? []), ...(chat?.banned ?? [])]);
    const away = [...who].filter(
      (id) => !room.pushers.some((p) => p.userID === id) && !room.audiences.some((a) => a.userID === id),
    );
    return el(
      'article.room-card',
      {},
      el(
        'div.room-head',
        {},
        el('h3', {}, room.roomInfo || roomID),
        el('span.badge', {}, t(`kind_${room.kind}`)),
        room.kind === 'live' && el('span.badge', {}, t('audience', { n: room.audienceCount })),
        chat && el('span.badge', {}, t('inChat', { n: chat.users })),
        el('span.spring'),
        this.recording && this.#record(room),
        this.#button('notice', () => this.acts.notice(roomID)),
        this.#button('close', () => this.acts.sure('close_room', roomID, { roomID }), '.bad'),
      ),
      el('p.small.soft.mono', {}, `${roomID} ${Object.keys(room.custom).length ? JSON.stringify(room.custom) : ''}`),
      el(
        'div.scroll',
        {},
        el(
          'table',
          {},
          el(
            'thead',
            {},
            el(
              'tr',
              {},
              ...['user', 'stream', 'since', 'seen'].map((name) => el('th', { scope: 'col' }, t(name))),
              el('th'),
            ),
          ),
          el(
            'tbody',
            {},
            room.pushers.map((p) => this.#user(room, p, now)),
            room.audiences
              .filter((a) => !room.pushers.some((p) => p.userID === a.userID))
              .map((a) => this.#user(room, { ...a, watches: true }, now)),
            away.map((userID) => this.#user(room, { userID }, now)),
          ),
        ),
      ),
    );
  }

  #record({ roomID, kind, pushers }) {
    const on = !pushers.some((p) => this.recording.has(p.stream));
    return this.#button(on ? 'record' : 'stopRecording', () => this.acts.do('record', { kind, roomID, on }));
  }

  #user(room, { userID, userName, stream, joined, seen, watches }, now) {
    const { roomID, chat } = room;
    const muted = chat?.muted.includes(userID);
    const banned = chat?.banned.includes(userID);
    const time = (name, at) => {
      const cell = el('td', {}, at ? span(now - at) : '');
      if (at) Object.assign(cell.dataset, { room: roomID, user: userID, time: name });
      return cell;
    };
    const fields = { roomID, userID };
    return el(
      'tr',
      {},
      el(
        'td',
        {},
        userName ? `${userName} ` : '',
        el('span.mono.soft', {}, userID),
        ' ',
        room.roomCreator === userID && el('span.badge', {}, t('creator')),
        watches && el('span.badge', {}, t('watches')),
        muted && el('span.badge.bad', {}, t('muted')),
        banned && el('span.badge.bad', {}, t('banned')),
      ),
      el('td.mono', {}, stream ?? ''),
      time('joined', joined),
      time('seen', seen),
      el(
        'td.acts',
        {},
        this.#button(muted ? 'unmute' : 'mute', () =>
          this.acts.do('mute', { ...fields, ...(muted && { seconds: 0 }) }),
        ),
        (stream || watches) && this.#button('kick', () => this.acts.sure('kick', userID, fields)),
        banned
          ? this.#button('unban', () => this.acts.do('ban', { ...fields, seconds: 0 }))
          : this.#button('ban', () => this.acts.sure('ban', userID, { ...fields, seconds: 3600 }), '.bad'),
      ),
    );
  }

  #button(name, onclick, kind = '') {
    return el(`button.button.little${kind}`, { type: 'button', onclick }, t(name));
  }
}
