// A room with media by WebRTC: our camera, microphone and screen, the others' streams, who speaks, how good it is.

import { Code, isPassing, RoomError, rejectsWell } from './errors.js';
import { watchLevel } from './levels.js';
import { deviceError, LocalMedia, listDevices } from './local.js';
import { Room } from './room.js';
import { Silenced } from './silenced.js';
import * as urls from './urls.js';

/** So many tries in a row that reach no server at all are told. */
const UNREACHED = 4;
/** Milliseconds: a stream that is refused for so long before it was ever published is given up. One that was silent for 5 s gives way. */
const REFUSED_FOR = 20_000;

export class MediaRoom extends Room {
  /** `media`: where the platform has it built in; `levels`: whether `speaking` is told. */
  constructor({ media = null, levels = false, ...options }) {
    super(options);
    this.media = media;
    this.levels = levels;
    this.players = new Set();
    this.heard = new Map();
    this.qualities = new Map();
    this.local = null;
    // What a person turned off, which stays off where all is closed and opened anew, too.
    this.off = {};
    this.speaker = '';
    this.silenced = new Silenced(() => this.tell('onAudioBlocked', { blocked: this.audioBlocked }));
  }

  #media() {
    if (!this.media)
      throw new RoomError(Code.MEDIA, 'here media is played by <live-player> and pushed by <live-pusher>');
    return this.media;
  }

  // Ours

  /**
   * Opens camera and microphone, before or after entering: `{ camera, microphone }` are true, false or a device's id.
   * Resolves with the stream, whose tracks change with what is turned on.
   */
  openMedia(options) {
    return this.told(this.#own().then((local) => local.open(options)));
  }

  async #own() {
    this.#media();
    this.local ??= new LocalMedia({
      send: async (track) => {
        if (track.kind === 'audio') this.#listenToMine();
        await this.publisher?.replaceTrack(track, { keep: true });
      },
      changed: () => this.#localChanged(),
      fail: (error) => this.fail(error),
      off: this.off,
    });
    return this.local;
  }

  #localChanged() {
    if (!this.local) return;
    this.tell('onLocalMedia', { stream: this.local.stream, ...this.local.state });
    if (this.publisher) this.inBackground(this.said.say(this.local.state));
  }

  /** Closes what `openMedia` opened. */
  closeMedia() {
    this.heard.get('')?.stop();
    this.heard.delete('');
    this.local?.close();
    this.local = null;
    this.emit('view');
  }

  setMicrophoneEnabled(on) {
    return this.told(this.#own().then((local) => local.setMicrophone(Boolean(on))));
  }

  setCameraEnabled(on) {
    return this.told(this.#own().then((local) => local.setCamera(Boolean(on))));
  }

  /** Shows the screen in place of the camera. Rejects with `denied` where the person chose none. */
  setScreenShareEnabled(on, options) {
    return this.told(this.#screen(on, options));
  }

  /** In the same turn as the click. */
  async #screen(on, options) {
    if (!this.local) this.inBackground(this.#own());
    return this.local ? this.local.setScreen(Boolean(on), options) : this.#own();
  }

  /** Another `camera`, `microphone` or `speaker`, at once where it is in use. */
  switchDevice(name, deviceID) {
    return this.told(this.#switch(name, deviceID));
  }

  async #switch(name, deviceID) {
    if (name === 'camera' || name === 'microphone') return (await this.#own()).choose(name, deviceID);
    if (name !== 'speaker') throw new RoomError(Code.MALFORMED, `there is no device ${name}`);
    const before = this.speaker;
    this.speaker = deviceID;
    try {
      await this.#soundTo(deviceID);
    } catch (cause) {
      this.speaker = before;
      throw deviceError(cause);
    } finally {
      this.#watchSpeaker();
    }
  }

  async #soundOf(element) {
    try {
      await element?.setSinkId?.(this.speaker);
    } catch (cause) {
      const error = deviceError(cause);
      // It went while nothing was played.
      if (error.code === Code.NO_DEVICE) await this.#speakerGone();
      else throw error;
    }
  }

  #soundTo(deviceID) {
    return Promise.all([...this.players].map(async ({ element }) => element?.setSinkId?.(deviceID)));
  }

  /** A speaker that was chosen and is pulled out takes the sound with it: as long as something is played, it is looked for. */
  #watchSpeaker() {
    const needed = Boolean(this.speaker) && this.players.size > 0;
    if (!needed) this.stopListening?.();
    if (!needed || this.stopListening) return;
    const { mediaDevices } = globalThis.navigator ?? {};
    const look = () => this.inBackground(this.#lookForSpeaker());
    mediaDevices?.addEventListener?.('devicechange', look);
    this.stopListening = () => {
      mediaDevices?.removeEventListener?.('devicechange', look);
      this.stopListening = null;
    };
  }

  async #lookForSpeaker() {
    const { speaker } = await listDevices();
    if (!speaker.some(({ deviceId }) => deviceId === this.speaker)) await this.#speakerGone();
  }

  async #speakerGone() {
    if (!this.speaker) return;
    this.speaker = '';
    this.#watchSpeaker();
    await this.#soundTo('').catch(() => {});
    this.fail(new RoomError(Code.NO_DEVICE, 'the chosen speaker is gone: sound goes to the system’s own'));
  }

  /** A track of the app's in place of camera or microphone, such as a canvas. */
  useTrack(track) {
    return this.told(this.#own().then((local) => local.use(track)));
  }

  /** `{ camera, microphone, speaker }`: lists of devices. They have names once one was opened. */
  getDevices() {
    return listDevices();
  }

  /**
   * Publishes what `openMedia` opened, or a MediaStream of the app's, as ours in the room. Resolves with the publisher once
   * media flows; rejects, and is over, where the server refuses it for long.
   */
  publish(stream, options = {}) {
    return this.told(this.#publish(stream, options));
  }

  async #publish(stream, options) {
    const { Publisher } = this.#media();
    if (!this.isPusher) throw new RoomError(Code.STATE, 'not a pusher');
    const { roomID, visit } = this;
    const word = this.#newWord();
    const local = globalThis.MediaStream ? await this.#own() : null;
    this.#mustBeLast(word, visit);
    if (stream && local && local.stream !== stream) local.adopt(stream);
    const { userID } = this.user;
    await this.#endPublisher();
    this.#mustBeLast(word, visit);
    // Asked for at each connection: signatures end.
    const url = async () => this.session.mediaURL((await this.getPushURL({ roomID })).whipURL);
    const onQuality = this.#measures(userID, options);
    const refused = this.#refusals(userID, true);
    const patience = new Patience();
    const onState = (state, error) => {
      patience.take(state, error, refused(state, error));
      if (state === 'open') this.onPublished();
      if (state === 'closed') this.#unmeasured(userID);
      this.guard('state', () => options.onState?.(state, error));
    };
    const sent = stream ?? local?.stream;
    const publisher = new Publisher({ platform: this.platform, url, stream: sent, ...options, onState, onQuality });
    this.publisher = publisher;
    this.followCodecs();
    if (local) {
      this.#listenToMine();
      this.inBackground(this.said.say(local.state));
    }
    try {
      await Promise.race([publisher.start(), patience.end]);
    } catch (error) {
      if (this.publisher === publisher) this.inBackground(this.#endPublisher());
      throw error;
    }
    return publisher;
  }

  /** Of `publish` and `unpublish` the last word holds: what was begun before it and still waits for something gives up. */
  #newWord() {
    this.word = {};
    return this.word;
  }

  #mustBeLast(word, visit) {
    this.mustBeIn(visit);
    if (this.word !== word) throw new RoomError(Code.ENDED, 'published anew, or no longer, meanwhile');
    if (!this.isPusher) throw new RoomError(Code.STATE, 'not a pusher any more');
  }

  /** Resolves when nothing is published: the server has one publisher of a stream, and the one before must be gone. */
  #endPublisher(options) {
    const { publisher } = this;
    this.publisher = null;
    const ended = Promise.all([this.ending?.catch(() => {}), publisher?.stop(options)]).finally(() => {
      if (this.ending === ended) this.ending = null;
    });
    this.ending = ended;
    return ended;
  }

  /** Our stream is at the server, for the first time or again. */
  onPublished() {}

  async unpublish(options) {
    this.#newWord();
    this.qualities?.delete(this.user?.userID);
    await this.#endPublisher(options);
  }

  // Theirs

  /**
   * Plays a pusher, or anything with a `whepURL`, `accelerateURL` or `mixedPlayURL`, into a media element. While the anchor
   * mixes, the audience is shown the mix in place of the anchor's stream; pushers are shown each other's own streams.
   * `raw` says otherwise for either.
   */
  play(source, element, { raw, ...options } = {}) {
    const { Player } = this.#media();
    const { userID } = source;
    const newest = () => this.pushers.find((p) => p.userID === userID);
    const wantsRaw = () => raw ?? Boolean(this.isPusher && newest());
    // Signatures end: who plays the mix for long needs that of the newest look at the room.
    const name = urls.stream(source);
    const current = () => newest() ?? (name && name === urls.stream(this.mix) ? this.mix : source);
    let asked;
    const url = () => {
      asked = wantsRaw();
      return this.session.mediaURL(urls.whep(this.session.server, current(), asked));
    };
    const refused = this.#refusals(userID);
    const onState = (state, error) => {
      if (state === 'closed') this.#played(player, userID);
      if (error?.status === 401 || error?.status === 403) this.refreshSoon();
      refused(state, error);
      this.guard('state', () => options.onState?.(state, error));
    };
    const onStream = (stream) => {
      this.#listen(userID, stream, player);
      this.guard('stream', () => options.onStream?.(stream));
    };
    const onQuality = this.#measures(userID, options);
    const onSilenced = () => this.players.has(player) && this.silenced.add(element);
    const on = { onState, onStream, onQuality, onSilenced };
    // Phones would show nothing else beside it.
    if (element && !element.controls) element.playsInline = true;
    const player = new Player({ platform: this.platform, url, element, ...options, ...on });
    Object.assign(player, { visit: this.visit, userID });
    // Who begins to push while a mix runs would see itself in it, and hear itself late.
    player.follow = () => {
      if (asked !== undefined && asked !== wantsRaw()) player.restart();
    };
    this.players.add(player);
    this.#watchSpeaker();
    if (this.speaker) this.inBackground(this.#soundOf(element));
    const started = player.start();
    // Without WebRTC it never runs.
    started.catch(() => player.running || this.#played(player, userID));
    this.inBackground(started);
    return player;
  }

  /**
   * What is asked at each state of a connection: why it is refused, or cannot be made, is told by `error` once until it is open or
   * there is another reason. It is tried again all the same: the stream may change. That its server is not reached is told where
   * everything else is, after some tries: the page may not ask there at all. `publishes`: for a player 404 and 409 say that nobody
   * publishes yet. Gives what was told last.
   */
  #refusals(userID, publishes = false) {
    let told;
    let words;
    let missed = 0;
    let stood = 0;
    return (state, error) => {
      if (state === 'open') told = words = undefined;
      const stands = error?.status === 404 || error?.status === 409;
      if (error || state === 'open') {
        missed = error?.code === Code.NETWORK ? missed + 1 : 0;
        stood = stands ? stood + 1 : 0;
      }
      const away = missed >= UNREACHED && this.connection === 'connected';
      // Another session of ours may just be ending: the next try may do.
      const passes = !error || (stands && !(publishes && stood >= UNREACHED)) || (isPassing(error) && !away);
      if (passes || (!error.status && !error.addresses && !away) || error.message === words) return told;
      words = error.message;
      error.userID = userID;
      told = publishes && error.status === 409 ? elsewhere(error) : error;
      this.fail(told);
      return told;
    };
  }

  #played(player, userID) {
    this.players.delete(player);
    this.#watchSpeaker();
    const { element } = player;
    if (element && ![...this.players].some((other) => other.element === element)) this.silenced.drop(element);
    this.#unmeasured(userID);
    const heard = this.heard.get(userID);
    if (heard?.by !== player) return;
    heard.stop();
    this.heard.delete(userID);
  }

  /** One connection of somebody's has ended: where it was the last one, there is nothing to say of it any more. */
  #unmeasured(userID) {
    const ours = this.publisher && userID === this.user?.userID;
    if (!ours && ![...this.players].some((player) => player.userID === userID)) this.qualities.delete(userID);
  }

  /** Whether something is played without sound, because the browser allows none before somebody clicks. */
  get audioBlocked() {
    return this.silenced.any;
  }

  /** Plays it with sound, where somebody clicks. Rejects with `denied` where the browser allows it still not. */
  resumeAudio() {
    return this.told(this.silenced.resume());
  }

  /** What was played in the room is neither heard nor seen any more. */
  leave(gone) {
    const { visit } = this;
    super.leave(gone);
    for (const player of this.players) if (visit && player.visit === visit) this.inBackground(player.stop({ gone }));
  }

  /** Players go over to what we are shown now that we push, or do so no longer. */
  followMedia() {
    for (const player of this.players) player.follow();
    this.followCodecs();
  }

  /**
   * Says which codecs we decode where that matters: we have no H.264, or somebody else has said it. Then publishes what all
   * members can see. Who says nothing takes H.264, as mobile clients do.
   */
  followCodecs() {
    const { decodes, codecFor } = this.media ?? {};
    const ours = decodes?.();
    if (!ours || !this.isPusher || !this.knowsItsAudience) return;
    const theirs = this.others.map(({ userID }) => this.said.codecsOf(userID));
    if (!ours.includes('H264') || theirs.some(Boolean)) this.inBackground(this.said.say({ video: ours }));
    this.publisher?.use?.(codecFor(theirs));
  }

  /** Whether all who see our stream are members. */
  get knowsItsAudience() {
    return true;
  }

  /** The server was started anew: its media sessions are gone, which WebRTC would notice many seconds later. */
  restartMedia() {
    for (const link of [this.publisher, ...this.players]) link?.restart({ gone: true });
  }

  // Who speaks, and how good it is

  #listenToMine() {
    // By the track: the stream stays when the microphone is exchanged.
    const tracks = this.local?.stream.getAudioTracks?.() ?? [];
    if (this.levels && tracks.length) this.#listen('', new MediaStream(tracks), null);
  }

  #listen(key, stream, by) {
    this.heard.get(key)?.stop();
    const one = { by, level: 0, stop: () => {} };
    this.heard.set(key, one);
    if (!this.levels || key === undefined) return;
    const stop = watchLevel(
      stream,
      (speaking) => {
        const userID = key || this.user?.userID;
        // Before one has entered there is nobody to name.
        if (userID) this.tell('onSpeaking', { userID, speaking });
      },
      (level) => {
        one.level = level;
      },
    );
    one.stop = stop;
  }

  /** How loud somebody is, from 0 to 1; 0 too for who is not played here. Needs `levels: true`. */
  audioLevelOf(userID) {
    return this.heard.get(userID === this.user?.userID ? '' : userID)?.level ?? 0;
  }

  #measures(userID, { onQuality } = {}) {
    if (!userID) return onQuality;
    return (figures) => {
      this.qualities.set(userID, figures);
      this.tell('onQuality', { userID, ...figures });
      this.guard('quality', () => onQuality?.(figures));
    };
  }

  /** The newest `{ quality, roundTrip, loss, bitrate }` of somebody's stream; null before there is one. */
  qualityOf(userID) {
    return this.qualities.get(userID) ?? null;
  }
}

/** For how long it is borne that a stream is refused which was never published. */
class Patience {
  /** Rejects when it is over. */
  end = new Promise((_, reject) => {
    this.lose = reject;
  });

  constructor() {
    this.end.catch(() => {});
  }

  /** The state of the connection, and why; `told`: the same, as it was told. */
  take(state, error, told) {
    if (state === 'open') this.content = true;
    if (this.content || !error) return;
    // A server that is away or busy refuses nothing.
    if (!error.status || isPassing(error)) this.since = undefined;
    else this.since ??= Date.now();
    if (Date.now() - this.since >= REFUSED_FOR) this.lose(told ?? error);
  }
}

/** The server has a publisher of the same stream, and keeps it. */
function elsewhere(cause) {
  const { code, status, userID } = cause;
  const text = `${userID} publishes elsewhere already, as in another tab or program, or did a moment ago`;
  return new RoomError(code, `${text}: ${cause.message}`, { status, userID, cause });
}

// The others give what is `told`.
rejectsWell(MediaRoom, ['getDevices', 'unpublish']);
