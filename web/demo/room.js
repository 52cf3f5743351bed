// A room: the stage, the controls, and the side with chat. What the protocol does is the SDK's; this shows it.

import { Code, LiveRoom, RTCRoom } from '/sdk/index.js';
import { el, icon, iconButton, relabel, toast } from '/web/dom.js';
import { ChatPane } from './chat.js';
import { chooseDevices } from './devices.js';
import { openLocal } from './local.js';
import { PeoplePane, StreamPane, tabs } from './panes.js';
import { t, why } from './text.js';
import { Tile } from './tile.js';

/** The key of the tile that shows a mixed picture. */
const MIX = 'mix:';

/** Stops camera and microphone of a stream, if there is one. */
function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

export class RoomView {
  /** `create`: the name of a room to make; without it, the room is entered. */
  constructor({ session, kind, roomID, create, leave }) {
    Object.assign(this, { kind, roomID, create, goAway: leave, live: kind === 'live_room' });
    this.room = this.live ? new LiveRoom({ session }) : new RTCRoom({ session, double: kind === 'double_room' });
    this.tiles = new Map();
    this.said = new Map();
    this.mic = this.cam = true;
    this.chosen = {};
    this.chat = new ChatPane(this.room);
    this.people = new PeoplePane();
    this.streams = new StreamPane((on) => this.#obs(on));
    this.#draw();
    this.#listen();
  }

  #draw() {
    this.title = el('h1', {}, this.create ?? '…');
    this.state = el('span.badge', { role: 'status' }, t('connecting'));
    this.count = el('span.badge', { hidden: true });
    this.stage = el('section.stage', { 'aria-label': this.roomID });
    this.alone = el('p.alone', { hidden: true }, t('alone'));
    this.hear = el(
      'button.button.primary.little.hear',
      { type: 'button', hidden: true, onclick: () => this.#hear() },
      t('unmutePage'),
    );
    this.asks = el('div.asks', { 'aria-live': 'assertive' });
    this.stage.append(this.alone, this.hear, this.asks);
    const link = iconButton('share', t('link'), async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        toast(t('copied'));
      } catch {
        toast(location.href);
      }
    });
    this.micButton = iconButton('mic', t('mute'), () => this.#toggle('mic'));
    this.camButton = iconButton('cam', t('camOff'), () => this.#toggle('cam'));
    this.deviceButton = iconButton('gear', t('devices'), () =>
      chooseDevices(this.chosen, (c) => this.#choose(c)).catch((e) => toast(why(e), 'bad')),
    );
    this.askButton = el(
      'button.button.primary',
      { type: 'button', hidden: true, onclick: () => this.#ask() },
      icon('hand'),
      el('span', {}, t('ask')),
    );
    this.likes = el('span', {}, '0');
    this.likeButton = el(
      'button.button.likes',
      { type: 'button', hidden: !this.live, 'aria-label': t('like'), onclick: () => this.#like() },
      icon('heart'),
      this.likes,
    );
    const leave = iconButton(
      'leave',
      t('leave'),
      () => {
        sessionStorage.removeItem(`room ${this.roomID}`);
        this.goAway();
      },
      'hangup',
    );
    this.element = el(
      'div.room',
      {},
      el(
        'header',
        {},
        this.title,
        el('span.badge.grow', {}, t(this.kind)),
        this.count,
        el('span.spring'),
        this.state,
        link,
      ),
      this.stage,
      el(
        'div.bar',
        { role: 'toolbar', 'aria-label': t('devices') },
        this.micButton,
        this.camButton,
        this.deviceButton,
        this.askButton,
        this.likeButton,
        leave,
      ),
      tabs([
        [t('chat'), this.chat.element],
        [t('people'), this.people.element],
        [t('streams'), this.streams.element],
      ]),
    );
    this.#controls();
  }

  #listen() {
    const names = (pushers) => pushers.map((p) => p.userName || p.userID).join(', ');
    this.room.setListener({
      onGetPusherList: () => this.#sync(),
      onPusherJoin: ({ pushers }) => {
        this.chat.note(t('joined', { name: names(pushers) }));
        this.#tellMine();
      },
      onPusherQuit: ({ pushers }) => {
        for (const p of pushers) this.said.delete(p.userID);
        this.chat.note(t('left', { name: names(pushers) }));
      },
      onRoomUpdate: () => this.#sync(),
      onRoomClose: ({ reason }) => this.#over(reason),
      onRecvRoomTextMsg: (message) => this.chat.say(message),
      onRecvRoomCustomMsg: ({ userID, cmd, msg }) => {
        if (cmd !== 'media') return;
        this.said.set(userID, msg ?? {});
        this.tiles.get(userID)?.describe(msg ?? {});
      },
      onNotice: ({ textMsg }) => {
        this.chat.note(t('notice', { text: textMsg }), 'notice');
        toast(t('notice', { text: textMsg }));
      },
      onConnection: ({ online }) => this.#online(online),
      onChatState: ({ state }) =>
        this.#online(state === 'open' || (state === 'connecting' && !this.wasOpen), state === 'open'),
      onError: (error) => console.info(error.message),
      onRecvJoinPusherRequest: (viewer) => this.#asked(viewer),
      onKickoutJoinPusher: () => {
        toast(t('kicked'));
        this.#stopLocal();
        this.#sync();
      },
    });
  }

  async open() {
    try {
      await this.room.login();
      if (this.live && !this.create && !this.#made()) {
        await this.room.enterRoom({ roomID: this.roomID });
      } else {
        // Both take a moment: the camera is opened meanwhile.
        const local = this.#openLocal();
        await this.#enter();
        await local;
        if (!this.gone) this.#publish();
      }
      if (this.gone) return;
      this.#sync();
      this.#online(true);
    } catch (error) {
      if (this.gone) return;
      this.#over('failed', error);
    }
  }

  /** The name of this room, if this tab made it before it was loaded anew. */
  #made() {
    return sessionStorage.getItem(`room ${this.roomID}`);
  }

  /** Enters as pusher. A link to a room that is over begins it again: whoever has the link wants to meet there. */
  async #enter() {
    const { room, roomID, create } = this;
    if (create) {
      await room.createRoom({ roomID, roomInfo: create });
      sessionStorage.setItem(`room ${roomID}`, create);
    } else if (this.#made()) {
      await room.push({ roomID, roomInfo: this.#made() });
    } else {
      await room.enterRoom({ roomID }).catch((error) => {
        if (error.code !== Code.NO_ROOM) throw error;
        return room.push({ roomID, roomInfo: t('someonesRoom', { name: room.user.userName }) });
      });
    }
  }

  // Our own picture and sound

  async #openLocal() {
    const { stream, drawn } = await openLocal({ name: this.room.user.userName, ...this.chosen });
    if (this.gone) {
      stop(stream);
      return;
    }
    this.local = { stream, drawn };
    if (drawn && this.chosen.camera !== 'drawn') toast(t(drawn === 'denied' ? 'denied' : 'noCamera'));
    this.#controls();
  }

  #publish() {
    if (!this.local || !this.room.isPusher) return;
    this.#sync();
    this.room
      .publish(this.local.stream, {
        onState: (state, error) => {
          if (error) console.info(error.message);
          const tile = this.tiles.get(this.room.user?.userID);
          tile?.element.classList.toggle('sending', state === 'open');
        },
      })
      .catch(() => {});
  }

  #stopLocal() {
    stop(this.local?.stream);
    this.local = null;
    this.#controls();
  }

  #toggle(which) {
    this[which] = !this[which];
    const [kind, on, off, say] =
      which === 'mic'
        ? ['audio', 'mic', 'micOff', ['mute', 'unmute']]
        : ['video', 'cam', 'camOff', ['camOff', 'camOn']];
    this.local?.stream
      .getTracks()
      .filter((track) => track.kind === kind)
      .forEach((track) => {
        track.enabled = this[which];
      });
    const button = which === 'mic' ? this.micButton : this.camButton;
    relabel(button, this[which] ? on : off, t(say[this[which] ? 0 : 1]), !this[which]);
    this.tiles.get(this.room.user.userID)?.describe({ mic: this.mic, cam: this.cam });
    this.#tellMine();
  }

  /** Others cannot see from a black picture that it is meant. */
  #tellMine() {
    if (!this.room.isPusher || (this.mic && this.cam && !this.told)) return;
    this.told = true;
    this.room.sendRoomCustomMsg({ cmd: 'media', msg: { mic: this.mic, cam: this.cam } }).catch(() => {});
  }

  async #choose(chosen) {
    Object.assign(this.chosen, chosen);
    if ('speaker' in chosen) {
      for (const tile of this.tiles.values()) tile.video.setSinkId?.(chosen.speaker).catch(() => {});
      return;
    }
    const before = this.local?.stream;
    const { stream, drawn } = await openLocal({ name: this.room.user.userName, ...this.chosen });
    for (const track of stream.getTracks()) track.enabled = track.kind === 'audio' ? this.mic : this.cam;
    this.local = { stream, drawn };
    this.tiles.get(this.room.user.userID)?.show(stream, drawn);
    if (this.room.publisher) {
      this.room.publisher.stream = stream;
      for (const track of stream.getTracks()) await this.room.publisher.replaceTrack(track);
    }
    stop(before);
  }

  /** Another program pushes our stream instead of this page; then we play it like everybody. */
  async #obs(on) {
    this.byObs = on;
    if (on) await this.room.unpublish();
    else this.#publish();
    this.tiles.get(this.room.user.userID)?.remove();
    this.tiles.delete(this.room.user.userID);
    this.#sync();
  }

  #controls() {
    const sending = Boolean(this.local);
    for (const button of [this.micButton, this.camButton, this.deviceButton]) button.hidden = !sending;
    this.askButton.hidden = !this.live || this.room.isCreator || !this.room.entered;
    this.askButton.classList.toggle('primary', !this.room.isPusher);
    if (!this.asking) this.askButton.lastChild.textContent = t(this.room.isPusher ? 'leaveStage' : 'ask');
  }

  // Who is on the stage

  #sync() {
    const { room } = this;
    if (!room.roomID) return;
    const me = room.user.userID;
    const wanted = new Map();
    if (room.isPusher) wanted.set(me, { userID: me, userName: room.user.userName });
    if (this.live && !room.isPusher && room.custom.mixed) {
      wanted.set(MIX, { userID: MIX, userName: room.roomInfo, ...room.mix });
    } else {
      for (const pusher of room.others) wanted.set(pusher.userID, pusher);
    }
    for (const [id, tile] of this.tiles) {
      if (!wanted.has(id)) {
        tile.remove(!room.pushers.some((p) => p.userID === id));
        this.tiles.delete(id);
      }
    }
    for (const [id, pusher] of wanted) if (!this.tiles.has(id)) this.#addTile(id, pusher);
    const mine = this.tiles.get(me);
    if (mine && this.local && !this.byObs && mine.video.srcObject !== this.local.stream)
      mine.show(this.local.stream, this.local.drawn);
    this.stage.dataset.count = this.tiles.size;
    this.#say(room);
  }

  #addTile(id, pusher) {
    const { room } = this;
    const mine = id === room.user.userID && !this.byObs;
    const tile = new Tile({
      id,
      name: pusher.userName || id,
      mine,
      anchor: this.live && id === room.roomCreator,
      kick:
        this.live &&
        room.isCreator &&
        id !== room.user.userID &&
        (() => room.kickoutSubPusher({ userID: id }).catch((e) => toast(why(e), 'bad'))),
      onSilenced: () => {
        this.hear.hidden = false;
      },
    });
    this.tiles.set(id, tile);
    this.stage.append(tile.element);
    if (this.said.has(id)) tile.describe(this.said.get(id));
    if (!mine) {
      const source = id === room.user.userID ? (room.pushers.find((p) => p.userID === id) ?? pusher) : pusher;
      if (this.byObs && id === room.user.userID) tile.note.textContent = t('obsOn');
      tile.play(room, source);
    }
  }

  #say(room) {
    this.title.textContent = room.roomInfo || room.roomID;
    document.title = `${this.title.textContent} · RoomService`;
    this.alone.hidden = this.live || room.others.length > 0;
    this.people.show({ pushers: room.pushers, creator: room.roomCreator, me: room.user.userID, live: this.live });
    this.streams.showPlays(room.pushers.map((p) => [p.userName || p.userID, room.playURLs(p)]));
    if (room.isPusher && this.shownPush !== room.roomID) {
      this.shownPush = room.roomID;
      this.streams.showPush(room.mine.pushURL);
    } else if (!room.isPusher) {
      this.shownPush = null;
      this.streams.showPush(null);
    }
    if (this.live) {
      this.likes.textContent = String(room.custom.like ?? 0);
      this.#audience();
    }
    this.#controls();
  }

  async #audience() {
    if (this.looking) return;
    this.looking = true;
    try {
      const list = await this.room.getAudienceList();
      this.count.hidden = false;
      this.count.replaceChildren(icon('eye'), t('viewers', { n: list.audienceCount }));
      this.people.showAudience(list);
    } catch {
      /* The next look will tell. */
    } finally {
      this.looking = false;
    }
  }

  #hear() {
    this.hear.hidden = true;
    for (const tile of this.tiles.values())
      if (!tile.mine) {
        tile.video.muted = false;
        tile.video.play().catch(() => {});
      }
  }

  #online(online, chat) {
    if (chat) this.wasOpen = true;
    this.state.textContent = t(online ? 'online' : 'reconnecting');
    this.state.classList.toggle('bad', !online);
    this.element.dataset.online = String(online);
  }

  // Live rooms

  async #like() {
    if (this.liking) return;
    this.liking = true;
    try {
      const { custom } = await this.room.setCustomField({ fieldName: 'like', operation: 'inc' });
      this.likes.textContent = String(custom.like);
    } catch (error) {
      toast(why(error), 'bad');
    } finally {
      this.liking = false;
    }
  }

  async #ask() {
    const { room } = this;
    if (room.isPusher) {
      await room.quitJoinPusher().catch((e) => toast(why(e), 'bad'));
      this.#stopLocal();
      return this.#sync();
    }
    this.asking = true;
    this.askButton.disabled = true;
    this.askButton.lastChild.textContent = t('asked');
    try {
      await room.requestJoinPusher();
      await this.#openLocal();
      await room.joinPusher();
      this.#publish();
      toast(t('accepted'));
    } catch (error) {
      if (!room.isPusher) this.#stopLocal();
      if (!this.gone) toast({ refused: t('rejected'), timeout: t('timeout') }[error.code] ?? why(error), 'bad');
    } finally {
      this.asking = false;
      this.askButton.disabled = false;
      this.#controls();
    }
  }

  /** A viewer asks the anchor. */
  #asked(viewer) {
    for (const old of this.asks.children) if (old.dataset.user === viewer.userID) return;
    const answer = (accept) => async () => {
      card.remove();
      await (accept ? this.room.acceptJoinPusher(viewer) : this.room.rejectJoinPusher({ ...viewer, reason: '' })).catch(
        (e) => toast(why(e), 'bad'),
      );
    };
    const card = el(
      'div.ask.card',
      { role: 'alertdialog', 'aria-label': t('wants', { name: viewer.userName }) },
      el('p', {}, t('wants', { name: viewer.userName })),
      el(
        'div',
        {},
        el('button.button.little', { type: 'button', onclick: answer(false) }, t('reject')),
        el('button.button.primary.little', { type: 'button', onclick: answer(true) }, t('accept')),
      ),
    );
    card.dataset.user = viewer.userID;
    this.asks.append(card);
    setTimeout(() => card.remove(), 30_000);
  }

  // The end

  #over(reason, error) {
    sessionStorage.removeItem(`room ${this.roomID}`);
    this.#stopLocal();
    for (const tile of this.tiles.values()) tile.remove(!error);
    this.tiles.clear();
    const text = error ? why(error) : t(reason === 'kicked' || reason === 'banned' ? 'closedKicked' : 'closed');
    this.element.replaceChildren(
      el(
        'div.gate.card',
        { role: 'alert' },
        el('h2', {}, text),
        el('button.button.primary', { type: 'button', onclick: () => this.goAway() }, t('back')),
      ),
    );
    this.element.className = '';
  }

  /** `dying`: with the page, whose connections end at once. */
  async close(dying = false) {
    if (this.gone) return;
    this.gone = true;
    document.title = 'RoomService';
    for (const tile of this.tiles.values()) tile.remove(dying);
    this.#stopLocal();
    await this.room.close({ unloading: dying });
  }
}
