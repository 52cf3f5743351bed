// Rooms with who is in them, and what an operator may do about it.

import { el } from '/web/dom.js';
import { Keyed, Pages, Whole } from './list.js';
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

function button(name, onclick, kind = '') {
  return el(`button.button.little${kind}`, { type: 'button', onclick }, t(name));
}

/** What somebody is. */
const BADGES = [
  ['creator', ''],
  ['watches', ''],
  ['muted', '.bad'],
  ['banned', '.bad'],
];
const COLUMNS = ['user', 'stream', 'since', 'seen'];

export class Rooms {
  /** `see(stream)`: shows its picture. */
  constructor(acts, see) {
    Object.assign(this, { acts, see });
    this.body = el('div');
    const card = (room) => new Card(this, room);
    this.cards = new Keyed(this.body, ({ kind, roomID }) => `${kind} ${roomID}`, card);
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
    this.now = now.at;
    this.recording =
      recordings && new Set([...recordings, ...(emptyRecordings ?? [])].filter((r) => r.running).map((r) => r.stream));
    this.count.textContent = String(now.rooms);
    this.cards.show(this.pages.of(all));
  }
}

/** A room. */
class Card {
  constructor(page, { kind, roomID }) {
    const { acts } = page;
    this.page = page;
    this.title = el('h3');
    this.audience = el('span.badge');
    this.inChat = el('span.badge');
    this.custom = el('p.small.soft.mono');
    this.record = button('record', () => acts.do('record', { kind, roomID, on: !this.records }));
    const head = COLUMNS.map((name) => el('th', { scope: 'col' }, t(name)));
    const users = el('tbody');
    this.users = new Keyed(
      users,
      ({ userID }) => userID,
      (user) => new Row(page, roomID, user),
    );
    this.element = el(
      'article.room-card',
      {},
      el(
        'div.room-head',
        {},
        this.title,
        el('span.badge', {}, t(`kind_${kind}`)),
        this.audience,
        this.inChat,
        el('span.spring'),
        this.record,
        button('notice', () => acts.notice(roomID)),
        button('close', () => acts.sure('close_room', roomID, { roomID }), '.bad'),
      ),
      this.custom,
      el('div.scroll', {}, el('table', {}, el('thead', {}, el('tr', {}, head, el('td'))), users)),
    );
  }

  update(room) {
    const { recording } = this.page;
    const { kind, roomID, roomInfo, chat, custom } = room;
    this.title.textContent = roomInfo || roomID;
    this.audience.hidden = kind !== 'live';
    this.audience.textContent = t('audience', { n: room.audienceCount });
    this.inChat.hidden = !chat;
    this.inChat.textContent = t('inChat', { n: chat?.users });
    this.custom.textContent = `${roomID} ${Object.keys(custom).length ? JSON.stringify(custom) : ''}`;
    this.records = room.pushers.some((p) => recording?.has(p.stream));
    this.record.hidden = !recording;
    this.record.textContent = t(this.records ? 'stopRecording' : 'record');
    this.users.show(users(room));
  }
}

/** Who pushes, who watches, and who is gone and is muted or banned. */
function users({ pushers, audiences, chat, roomCreator }) {
  const [muted, banned] = [chat?.muted ?? [], chat?.banned ?? []];
  const pushes = new Set(pushers.map((p) => p.userID));
  const watching = audiences.filter((a) => !pushes.has(a.userID)).map((a) => ({ ...a, watches: true }));
  const here = new Set([...pushes, ...watching.map((a) => a.userID)]);
  const away = [...new Set([...muted, ...banned])].filter((id) => !here.has(id)).map((userID) => ({ userID }));
  return [...pushers, ...watching, ...away].map((user) => ({
    ...user,
    creator: roomCreator === user.userID,
    muted: muted.includes(user.userID),
    banned: banned.includes(user.userID),
  }));
}

/** Somebody in a room. */
class Row {
  constructor(page, roomID, { userID }) {
    const { acts } = page;
    const fields = { roomID, userID };
    this.page = page;
    this.name = el('span');
    this.badges = el('span');
    this.picture = el('button.link', { type: 'button', title: t('see'), onclick: () => page.see(this.user.stream) });
    this.times = { joined: el('td'), seen: el('td') };
    this.mute = button('mute', () =>
      this.user.muted ? acts.do('mute', { ...fields, seconds: 0 }) : acts.mute(fields),
    );
    this.kick = button('kick', () => acts.kick(fields), '.bad');
    this.ban = button('ban', () => (this.user.banned ? acts.unban(fields) : acts.ban(fields)));
    this.element = el(
      'tr',
      {},
      el('td', {}, this.name, el('span.mono.soft', {}, userID), ' ', this.badges),
      el('td.mono', {}, this.picture),
      this.times.joined,
      this.times.seen,
      el('td.acts', {}, this.mute, this.kick, this.ban),
    );
  }

  update(user) {
    this.user = user;
    const { userName, stream, muted, banned, watches } = user;
    this.name.textContent = userName ? `${userName} ` : '';
    const shown = BADGES.filter(([name]) => user[name]);
    this.badges.replaceChildren(...shown.map(([name, kind]) => el(`span.badge${kind}`, {}, t(name))));
    this.picture.hidden = !stream;
    this.picture.textContent = stream ?? '';
    this.picture.setAttribute('aria-label', `${t('see')}: ${stream}`);
    for (const [name, cell] of Object.entries(this.times))
      cell.textContent = user[name] ? span(this.page.now - user[name]) : '';
    this.mute.textContent = t(muted ? 'unmute' : 'mute');
    this.kick.hidden = !stream && !watches;
    this.ban.textContent = t(banned ? 'unban' : 'ban');
    this.ban.classList.toggle('bad', !banned);
  }
}
