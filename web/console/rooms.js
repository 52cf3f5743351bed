// Rooms with who is in them, and what an operator may do about it.

import { el } from '/web/dom.js';
import { Pages, Whole } from './list.js';
import { span, t } from './text.js';

const KINDS = ['double', 'multi', 'live', 'webrtc', 'webexe'];
/** So many rooms of a kind come with a snapshot. */
const SENT = 100;

/** A room of the operator API as snapshots have it; what is said in its chat is not known. */
function seen({ roomID, kind, info, creator, created, custom, audienceCount, members }) {
  const pushers = members.map(({ userID, name, ...rest }) => ({ ...rest, userID, userName: name }));
  const base = { roomID, kind, roomInfo: info, roomCreator: creator, created, custom, audienceCount };
  return { ...base, pushers, audiences: [], chat: null };
}

/** What a room is found by. */
function words({ roomID, roomInfo, pushers, audiences, chat }) {
  const people = [...pushers, ...audiences].map((p) => `${p.userName ?? ''} ${p.userID} ${p.stream ?? ''}`);
  return [roomID, roomInfo, ...people, ...(chat?.muted ?? []), ...(chat?.banned ?? [])].join(' ');
}

export class Rooms {
  /** `see(stream)`: shows its picture. */
  constructor(acts, see) {
    Object.assign(this, { acts, see });
    this.body = el('div');
    this.count = el('span.badge', {}, '0');
    this.none = el('p.nothing', {}, t('noRooms'));
    const again = () => this.data && this.update(this.data);
    this.pages = new Pages({
      text: words,
      filters: [
        {
          label: t('kind'),
          options: [['', t('anyKind')], ...KINDS.map((kind) => [kind, t(`kind_${kind}`)])],
          fits: (room, kind) => room.kind === kind,
        },
      ],
      changed: again,
    });
    const fetch = async () => (await acts.link.list('/rooms', 'rooms')).map(seen);
    this.whole = new Whole({ fetch, key: (room) => `${room.kind} ${room.roomID}`, changed: again });
    this.element = el(
      'section.section.card',
      {},
      el('header', {}, el('h2', {}, t('rooms')), this.count, this.pages.tools),
      this.none,
      this.pages.none,
      this.body,
      this.pages.pager,
    );
  }

  update(data) {
    this.data = data;
    const { rooms: sent, now, recordings, emptyRecordings } = data.snapshot;
    const cut = KINDS.some((kind) => sent.filter((room) => room.kind === kind).length >= SENT);
    const all = this.whole.of(sent, cut);
    this.none.hidden = all.length > 0;
    const rooms = this.pages.of(all);
    // Redrawn only when something differs: a button under the pointer stays the same button.
    this.recording =
      recordings && new Set([...recordings, ...(emptyRecordings ?? [])].filter((r) => r.running).map((r) => r.stream));
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
    this.body.replaceChildren(...rooms.map((room) => this.#room(room, now.at)));
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
              el('td'),
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
      el('td.mono', {}, stream && this.#picture(stream)),
      time('joined', joined),
      time('seen', seen),
      el(
        'td.acts',
        {},
        muted
          ? this.#button('unmute', () => this.acts.do('mute', { ...fields, seconds: 0 }))
          : this.#button('mute', () => this.acts.mute(fields)),
        (stream || watches) && this.#button('kick', () => this.acts.kick(fields), '.bad'),
        banned
          ? this.#button('unban', () => this.acts.unban(fields))
          : this.#button('ban', () => this.acts.ban(fields), '.bad'),
      ),
    );
  }

  #picture(stream) {
    const name = { type: 'button', title: t('see'), 'aria-label': `${t('see')}: ${stream}` };
    return el('button.link', { ...name, onclick: () => this.see(stream) }, stream);
  }

  #button(name, onclick, kind = '') {
    return el(`button.button.little${kind}`, { type: 'button', onclick }, t(name));
  }
}
