// A room: the stage, the controls, and the side with chat. What the protocol does is the SDK's; this shows it.

import { Code, LiveRoom, RoomError, RTCRoom } from '/sdk/index.js';
import { el, focusHeading, icon, iconButton, relabel, toast } from '/web/dom.js';
import { ChatPane } from './chat.js';
import { Hands } from './hands.js';
import { Mine } from './mine.js';
import { PeoplePane, StreamPane, tabs } from './panes.js';
import { preview } from './preview.js';
import { Stage } from './stage.js';
import { t, why } from './text.js';

/** How many of the newest messages a newcomer reads: all that a room keeps. */
const READ = 200;
/** Milliseconds. */
const PUBLISH_AGAIN_AFTER = 5_000;

export class RoomView {
  /** `create`: the name of a room to make; without it, the room is entered. */
  constructor({ session, kind, roomID, create, leave }) {
    Object.assign(this, { kind, roomID, create, goAway: leave, live: kind === 'live_room' });
    const options = { session, levels: true };
    this.room = this.live ? new LiveRoom(options) : new RTCRoom({ ...options, double: kind === 'double_room' });
    this.mine = new Mine(this.room, () => this.#sync());
    this.stage = new Stage(this.room, {
      live: this.live,
      label: roomID,
      kick: (userID) => this.room.kickoutSubPusher({ userID }).catch((e) => toast(why(e), 'bad')),
      changed: () => this.#views(),
    });
    this.chat = new ChatPane(this.room, (n) => this.#unread(n));
    this.people = new PeoplePane();
    this.hands = new Hands(this.room, (...hand) => this.#hand(...hand));
    this.streams = new StreamPane((on) => this.#obs(on));
    this.inside = this.#draw();
    this.element = el('div.entrance', {}, el('p.quiet.loading', { role: 'status' }, t('connecting')));
    this.onkeydown = (event) => this.#key(event);
    this.#listen();
  }

  #draw() {
    this.title = el('h1', {}, this.create ?? '…');
    this.state = el('span.badge', { role: 'status' }, t('connecting'));
    this.count = el('span.badge', { hidden: true });
    const link = iconButton('share', t('link'), async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        toast(t('copied'));
      } catch {
        toast(location.href);
      }
    });
    this.speakerButton = iconButton('speaker', t('speakerView'), () => this.stage.setSpeakers(!this.stage.speakers));
    this.pipButton = iconButton('pip', t('pip'), () => this.#pip());
    this.pipButton.hidden = !document.pictureInPictureEnabled;
    const full = iconButton('full', t('fullScreen'), () => this.#fullScreen());
    full.hidden = !document.fullscreenEnabled;
    this.tabs = tabs([
      [t('chat'), this.chat.element],
      [t('people'), this.people.element],
      [t('streams'), this.streams.element],
    ]);
    this.chat.shownIn(this.tabs);
    const kind = el('span.badge.grow', {}, t(this.kind));
    return el(
      'div.room',
      {},
      el(
        'header',
        {},
        ...[this.title, kind, this.count, el('span.spring'), this.state],
        ...[this.speakerButton, this.pipButton, full, link],
      ),
      this.stage.element,
      this.#bar(),
      this.tabs.element,
    );
  }

  #bar() {
    this.askButton = el(
      'button.button.primary.join',
      { type: 'button', hidden: true, onclick: () => this.#ask() },
      icon('hand'),
      el('span', {}, t('ask')),
    );
    this.likes = el('span', {}, '0');
    const like = el(
      'button.button.likes',
      {
        type: 'button',
        hidden: !this.live,
        title: t('like'),
        'aria-label': `${t('like')}: 0`,
        onclick: () => this.#like(),
      },
      icon('heart'),
      this.likes,
    );
    const leave = iconButton('leave', t('leave'), () => this.#leave(), 'hangup');
    this.handButton = iconButton('hand', `${t('handUp')} (H)`, () => this.#raise(), 'hand');
    this.handButton.hidden = this.kind !== 'multi_room';
    const label = { role: 'toolbar', 'aria-label': t('devices') };
    this.bar = el('div.bar', label, this.handButton, this.askButton, like, leave);
    return this.bar;
  }

  #leave() {
    this.#forget();
    this.goAway();
  }

  #listen() {
    const names = (pushers) => pushers.map((p) => p.userName || p.userID).join(', ');
    this.room.setListener({
      onGetPusherList: () => this.#sync(),
      onPusherJoin: ({ pushers }) => this.chat.note(t('joined', { name: names(pushers) })),
      onPusherQuit: ({ pushers }) => {
        this.chat.note(t('left', { name: names(pushers) }));
        for (const { userID } of pushers) this.hands.forget(userID);
      },
      onRoomUpdate: () => this.#sync(),
      onRoomClose: ({ reason }) => this.#closed(reason),
      onRecvRoomTextMsg: (message) => this.chat.say(message),
      onRecvRoomCustomMsg: (message) => this.hands.heard(message),
      onNotice: ({ textMsg }) => {
        this.chat.note(t('notice', { text: textMsg }), 'notice');
        toast(t('notice', { text: textMsg }));
      },
      onConnectionState: ({ state }) => this.#online(state !== 'reconnecting'),
      onError: (error) => {
        console.info(error.message);
        if (error.status === 409) toast(t('elsewhere'), 'bad');
      },
      onRecvJoinPusherRequest: (viewer) => this.#asked(viewer),
      onKickoutJoinPusher: () => {
        toast(t('kicked'));
        this.mine.stop();
        this.#sync();
      },
    });
  }

  // The way in

  async open() {
    try {
      await this.room.login();
      await this.#begin();
    } catch (error) {
      if (!this.gone) this.#failed(error);
    }
  }

  async #begin(again = false) {
    const watching = this.live && !this.create && !this.#remembered('room');
    if (watching) {
      await this.room.enterRoom({ roomID: this.roomID });
      return this.#entered();
    }
    // A page that was loaded anew goes on; everybody else sees first what others will see.
    if (!this.#remembered('room') && !this.#remembered('in') && !(await this.#preview(again))) return;
    if (this.gone) return;
    const local = this.mine.open ? null : this.mine.start();
    await this.#enter(again);
    await local;
    if (this.gone) return this.mine.stop();
    this.#entered();
    this.#publish();
  }

  /** Whether the person wants in. A room that has ended, or is full, is told without a camera being opened. */
  async #preview(again) {
    const { room, roomID, create } = this;
    const there = create || again ? null : await room.getPushers({ roomID, limits: true });
    if (there && this.#isFull(there)) return this.#full();
    await this.mine.start();
    if (this.gone) {
      this.mine.stop();
      return false;
    }
    const { element, chosen } = preview({
      room,
      mine: this.mine,
      title: create ?? there?.roomInfo ?? roomID,
      who: there?.pushers.map((p) => p.userName || p.userID) ?? [],
      make: Boolean(create || again),
    });
    this.#show(element);
    this.#keys(true);
    await chosen;
    return !this.gone;
  }

  #isFull({ pushers, maxMembers = this.kind === 'double_room' ? 2 : Number.POSITIVE_INFINITY }) {
    return pushers.filter((p) => p.userID !== this.room.user.userID).length >= maxMembers;
  }

  #entered() {
    if (this.gone) return;
    this.bar.prepend(...this.mine.buttons);
    this.#show(this.inside);
    this.#keys(true);
    this.#sync();
    this.#online(true);
    this.#before();
  }

  /** What was said before we came. Where that cannot be read, what is said from now on is seen. */
  async #before() {
    for (let n = 0; n < 5; n++) {
      try {
        const { messages } = await this.room.getHistory({ count: READ });
        if (this.gone) return;
        this.chat.before(messages);
        if (!this.live) this.hands.read(messages);
        return;
      } catch {
        // The chat is joined in its own time.
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
  }

  #show(what) {
    this.element.replaceWith(what);
    this.element = what;
    focusHeading(what);
  }

  #keys(on) {
    document[on ? 'addEventListener' : 'removeEventListener']('keydown', this.onkeydown);
    // Another language would end an anchor's room for a moment.
    document.body.classList.toggle('air', on && this.live && this.room.isCreator);
  }

  /** What this tab knows of the room from before it was loaded anew: that it made it, or was in it. */
  #remembered(what) {
    return sessionStorage.getItem(`${what} ${this.roomID}`);
  }

  #forget() {
    for (const what of ['room', 'in']) sessionStorage.removeItem(`${what} ${this.roomID}`);
  }

  /** Enters as pusher; `again`: makes a room anew that has ended. */
  async #enter(again) {
    const { room, roomID, create } = this;
    const made = this.#remembered('room');
    if (create) {
      await room.createRoom({ roomID, roomInfo: create });
      sessionStorage.setItem(`room ${roomID}`, create);
    } else if (made) await room.push({ roomID, roomInfo: made });
    else if (again) await room.push({ roomID, roomInfo: t('someonesRoom', { name: room.user.userName }) });
    else await room.enterRoom({ roomID });
    sessionStorage.setItem(`in ${roomID}`, '1');
  }

  #publish() {
    if (!this.mine.open || !this.room.isPusher || this.byObs) return;
    this.#sync();
    const onState = (state, error) => {
      const tile = this.stage.tiles.get(this.room.user?.userID);
      tile?.element.classList.toggle('sending', state === 'open');
      if (error?.addresses) toast(t('noMedia', { address: error.addresses.join(', ') }), 'bad');
    };
    // What goes wrong is told by `error`. What is refused for long is tried again later: the other tab may have been closed.
    this.room.publish(null, { onState }).catch(({ status }) => {
      if (status) setTimeout(() => this.gone || this.room.publisher || this.#publish(), PUBLISH_AGAIN_AFTER);
    });
  }

  /** Another program pushes our stream instead of this page; then we play it like everybody. */
  async #obs(on) {
    this.byObs = on;
    if (on) await this.room.unpublish();
    else this.#publish();
    this.stage.drop(this.room.user.userID);
    this.#sync();
  }

  // What is shown

  #sync() {
    const { room } = this;
    if (!room.roomID || !room.entered || this.gone) return;
    this.stage.sync({ drawn: this.mine.drawn || room.local?.screen, byObs: this.byObs });
    this.#say(room);
  }

  #say(room) {
    this.name = room.roomInfo || room.roomID;
    this.title.textContent = this.name;
    this.#unread(this.chat.unread);
    this.#showPeople();
    this.streams.showPlays(room.pushers.map((p) => [p.userName || p.userID, room.playURLs(p)]));
    if (room.isPusher && this.shownPush !== room.roomID) {
      this.shownPush = room.roomID;
      this.streams.showPush(room.mine.pushURL);
    } else if (!room.isPusher) {
      this.shownPush = null;
      this.streams.showPush(null);
    }
    if (this.live) {
      this.#liked(room.custom.like ?? 0);
      this.#audience();
    }
    this.askButton.hidden = !this.live || room.isCreator || !room.entered;
    this.askButton.classList.toggle('primary', !room.isPusher);
    if (this.asking) return;
    this.askButton.lastChild.textContent = t(room.isPusher ? 'leaveStage' : 'ask');
    this.askButton.title = this.askButton.lastChild.textContent;
  }

  #showPeople() {
    const { room, live, hands, stage } = this;
    for (const tile of stage.tiles.values()) tile.raise(hands.up.has(tile.id));
    this.people.show({ pushers: room.pushers, creator: room.roomCreator, me: room.user.userID, live, hands: hands.up });
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

  #unread(n) {
    this.tabs?.mark(0, n);
    if (this.name && !this.gone) document.title = `${n ? `(${n}) ` : ''}${this.name} · RoomService`;
  }

  #online(online) {
    this.state.textContent = t(online ? 'online' : 'reconnecting');
    this.state.classList.toggle('bad', !online);
    this.inside.dataset.online = String(online);
  }

  #views() {
    const { stage, speakerButton } = this;
    if (!speakerButton) return;
    relabel(speakerButton, 'speaker', t(stage.speakers ? 'gridView' : 'speakerView'), stage.speakers);
    speakerButton.hidden = stage.tiles.size < 2;
  }

  async #fullScreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.inside.requestFullscreen().catch((e) => toast(why(e), 'bad'));
  }

  async #pip() {
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else await this.stage.main?.video.requestPictureInPicture();
    } catch (error) {
      toast(why(error), 'bad');
    }
  }

  /** A hand went up or down; our own or another's. */
  #hand(userID, up, now) {
    const { room, hands } = this;
    relabel(this.handButton, 'hand', `${t(hands.mine ? 'handDown' : 'handUp')} (H)`, hands.mine);
    if (!room.entered || this.gone) return;
    this.#showPeople();
    const name = room.pushers.find((p) => p.userID === userID)?.userName || userID;
    if (up && now && userID !== room.user.userID) this.chat.note(t('hand', { name }));
  }

  #raise() {
    if (!this.handButton.hidden) this.hands.toggle().catch((e) => toast(why(e), 'bad'));
  }

  /** M, V, S and H while nothing is being written; Esc makes what is large small again. */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const writes = event.target.closest?.('input, select, textarea, dialog');
    if (event.key === 'Escape') {
      if (writes && !event.target.closest('dialog')) event.target.blur();
      else if (!writes) this.stage.unpin();
      return;
    }
    const what = { m: 'mic', v: 'cam', s: 'screen', h: 'hand' }[event.key.toLowerCase()];
    if (!what || writes) return;
    event.preventDefault();
    if (what !== 'hand') this.mine.toggle(what);
    else if (this.room.entered) this.#raise();
  }

  // Live rooms

  #liked(n) {
    this.likes.textContent = String(n);
    this.likes.parentElement.setAttribute('aria-label', `${t('like')}: ${n}`);
  }

  async #like() {
    if (this.liking) return;
    this.liking = true;
    try {
      const { custom } = await this.room.setCustomField({ fieldName: 'like', operation: 'inc' });
      this.#liked(custom.like);
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
      this.mine.stop();
      return this.#sync();
    }
    this.asking = true;
    this.askButton.disabled = true;
    this.askButton.lastChild.textContent = t('asked');
    try {
      if (this.#isFull(await room.getPushers({ limits: true }))) throw new RoomError(Code.FULL, t('fullTitle'));
      await room.requestJoinPusher();
      await this.mine.start();
      await room.joinPusher();
      this.#publish();
      toast(t('accepted'));
    } catch (error) {
      if (!room.isPusher) this.mine.stop();
      if (!this.gone) toast({ refused: t('rejected'), timeout: t('timeout') }[error.code] ?? why(error), 'bad');
    } finally {
      this.asking = false;
      this.askButton.disabled = false;
      this.#sync();
    }
  }

  /** A viewer asks the anchor. */
  #asked(viewer) {
    const { asks } = this.stage;
    for (const old of asks.children) if (old.dataset.user === viewer.userID) return;
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
    asks.append(card);
    setTimeout(() => card.remove(), 30_000);
  }

  // The end

  /** An anchor that loads its page anew makes its room again: who watched is in it again. */
  async #closed(reason) {
    const waits = this.live && reason === 'destroyed' && !this.#remembered('room');
    const text = t(reason === 'kicked' || reason === 'banned' ? 'closedKicked' : 'closed');
    this.#over(text, waits ? t('maybeBack') : '');
    for (let n = 0; waits && n < 15; n++) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      if (this.gone) return;
      if (await this.room.enterRoom({ roomID: this.roomID }).catch(() => null)) return this.#entered();
    }
    if (waits && !this.gone) this.#over(text);
  }

  #failed(error) {
    if (error.code === Code.FULL) return this.#full();
    if (error.code !== Code.NO_ROOM) return this.#over(why(error), '', false);
    // It is not begun again by itself, with the camera on, by whoever follows an old link.
    const again = el('button.button', { type: 'button', onclick: () => this.#again() }, t('again'));
    this.#over(t('endedTitle'), this.live ? '' : t('endedHint'), true, this.live ? null : again);
  }

  #full() {
    this.#over(t('fullTitle'), t('fullHint'), false);
    return false;
  }

  async #again() {
    try {
      await this.#begin(true);
    } catch (error) {
      if (!this.gone) this.#failed(error);
    }
  }

  /** `ended`: the room has, and its streams with it. */
  #over(text, hint = '', ended = true, more = null) {
    this.#forget();
    this.#keys(false);
    this.mine.stop();
    this.stage.clear(ended);
    const back = el('button.button.primary', { type: 'button', onclick: () => this.goAway() }, t('back'));
    this.#show(
      el(
        'div.gate.card',
        { role: 'alert' },
        el('h1', {}, text),
        hint && el('p.soft', {}, hint),
        el('div.row', {}, back, more),
      ),
    );
  }

  /** `dying`: with the page, whose connections end at once. */
  async close(dying = false) {
    if (this.gone) return;
    this.gone = true;
    this.#keys(false);
    document.title = 'RoomService';
    this.chat.close();
    this.stage.clear(dying);
    this.mine.stop();
    await this.room.close({ unloading: dying });
  }
}
