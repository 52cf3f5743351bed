// WHIP and WHEP: one offer, one answer, and the same again when the connection is lost. For browsers only.

import { Backoff, wait } from './backoff.js';
import { asRoomError, Code, RoomError, rejectsWell } from './errors.js';
import { EVERY, Meter } from './quality.js';

/** A connection that says it is disconnected often recovers; after this many milliseconds it is made anew. */
const RECOVER_WITHIN = 3_000;
const CONNECT_WITHIN = 12_000;
/** Not connected by then: the app is told what most likely stands in the way. */
const UNREACHED_AFTER = 5_000;
/** So long after it was paused an element plays again. */
const PLAY_AGAIN_AFTER = 300;

/** What publishing and playing have in common: connect, watch, come back. */
class Link {
  /**
   * `url`: text, or a function that gives one (signed URLs end); `onState(state, error)`; `onQuality(figures)`, of a
   * connection every two seconds.
   */
  constructor({ url, onState, onQuality, platform, RTCPeerConnection = globalThis.RTCPeerConnection }) {
    this.url = url;
    this.onState = onState;
    this.onQuality = onQuality;
    this.platform = platform;
    this.RTCPeerConnection = RTCPeerConnection;
    this.state = 'new';
    this.backoff = new Backoff({ first: 500, most: 8_000 });
  }

  /** Runs until `stop`; resolves when media flows for the first time. */
  start() {
    if (this.running) return this.ready;
    if (!this.RTCPeerConnection) return Promise.reject(new RoomError(Code.MEDIA, 'no WebRTC here'));
    this.running = true;
    this.stopWatching = this.platform.onReturn(() => {
      this.pause?.cut();
      this.returned();
    });
    this.ready = new Promise((resolve, reject) => {
      this.first = { resolve, reject };
    });
    // Nobody has to wait for it.
    this.ready.catch(() => {});
    // One that was stopped says goodbye first.
    this.turn = Symbol('turn');
    this.loop = this.loop ? this.#after(this.loop, this.turn) : this.#run(this.turn);
    return this.ready;
  }

  /** `gone`: the stream itself has ended, and the server's session with it. */
  async stop({ gone = false } = {}) {
    if (!this.running) return this.loop;
    this.running = false;
    this.farewell = !gone;
    this.stopWatching();
    this.pause?.cut();
    this.lost?.('stopped');
    this.first.reject(new RoomError(Code.ENDED, 'stopped'));
    await this.loop;
  }

  /** Makes the connection anew, as with another camera. `gone`: the old one has no server any more. */
  restart({ gone = false } = {}) {
    this.backoff.reset();
    this.pause?.cut();
    this.farewell = !gone;
    this.atOnce = !gone;
    this.lost?.('restarted');
  }

  /** The page is shown again, or the network is back. */
  returned() {}

  /** What WebRTC measured: `RTCStatsReport`, or null. */
  async stats() {
    return this.pc ? this.pc.getStats() : null;
  }

  become(state, error) {
    this.state = state;
    this.#measure(state);
    this.hand(this.onState, state, error);
  }

  /** Calls what the app gave; its mistakes do not end the connection. */
  hand(call, ...what) {
    try {
      call?.(...what);
    } catch (error) {
      console.error(error);
    }
  }

  #measure(state) {
    if (!this.onQuality) return;
    clearInterval(this.looking);
    this.looking = undefined;
    // What was stopped is not lost.
    if (!this.running || state === 'closed') return;
    if (state !== 'open')
      return this.hand(this.onQuality, { quality: 'lost', roundTrip: null, loss: null, bitrate: 0 });
    const meter = new Meter();
    const look = async () => {
      const report = await this.stats().catch(() => null);
      const figures = report && this.running && this.state === 'open' && meter.take(report);
      if (figures) this.hand(this.onQuality, figures);
    };
    look();
    this.looking = setInterval(look, EVERY);
  }

  #runs(turn) {
    return this.running && this.turn === turn;
  }

  async #after(before, turn) {
    await before;
    await this.#run(turn);
  }

  async #run(turn) {
    while (this.#runs(turn)) {
      this.become('connecting');
      this.atOnce = false;
      let error;
      try {
        await this.#connection(turn);
      } catch (cause) {
        error = asRoomError(cause, Code.MEDIA);
      }
      if (!this.#runs(turn)) break;
      if (this.atOnce && !error) continue;
      this.become('waiting', error);
      if (!this.#runs(turn)) break;
      this.pause = wait(this.backoff.next());
      await this.pause.done;
      this.pause = null;
    }
    if (this.turn === turn) this.loop = undefined;
    if (this.state !== 'closed') this.become('closed');
  }

  async #connection(turn) {
    const pc = new this.RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    let resource;
    this.farewell = this.mustEnd;
    try {
      this.pc = pc;
      this.prepare(pc);
      const offer = await pc.createOffer();
      const url = typeof this.url === 'function' ? await this.url() : this.url;
      if (!url) throw new RoomError(Code.MEDIA, 'the stream has no such URL');
      const answer = await this.platform.request(url, {
        // No candidates are in it: the server has a public address and sees ours. They are gathered when it is known by
        // which servers.
        method: 'POST',
        body: offer.sdp,
        headers: { 'Content-Type': 'application/sdp' },
        timeout: 15_000,
      });
      if (answer.status !== 201 && answer.status !== 200) {
        throw new RoomError(Code.MEDIA, `the media server answered ${answer.status}: ${answer.text.slice(0, 200)}`, {
          status: answer.status,
        });
      }
      const location = answer.header('Location');
      resource = location && new URL(location, new URL(url, globalThis.location?.href)).href;
      // Stopped while the answer was on its way.
      if (!this.#runs(turn) || this.atOnce) return;
      const iceServers = iceServersOf(answer.header('Link'));
      if (iceServers.length) pc.setConfiguration({ ...pc.getConfiguration(), iceServers });
      await pc.setLocalDescription(offer);
      await pc.setRemoteDescription({ type: 'answer', sdp: answer.text });
      // Nothing could end it before.
      if (!this.#runs(turn) || this.atOnce) return;
      await this.#watch(pc, answer.text);
    } finally {
      this.pc = null;
      this.lost = null;
      // Before the connection is closed: that ends the session too, and there would be nothing to delete.
      // One that the server has ended by itself answers 404 or 410, which is as good.
      const deleted =
        resource &&
        this.farewell &&
        this.platform.request(resource, { method: 'DELETE', keepalive: true }).catch(() => {});
      if (deleted) await Promise.race([deleted, wait(1_000).done]);
      pc.close();
    }
  }

  /** Resolves when the connection is over; rejects with what it means where there was none. */
  #watch(pc, answer) {
    return new Promise((resolve, reject) => {
      const early = setTimeout(() => this.become('connecting', unreachable(pc, answer)), UNREACHED_AFTER);
      let timer = setTimeout(() => reject(unreachable(pc, answer)), CONNECT_WITHIN);
      let connected = false;
      this.lost = () => {
        clearTimeout(early);
        clearTimeout(timer);
        resolve();
      };
      const look = () => {
        const state = pc.connectionState;
        if (state !== 'new' && state !== 'connecting') clearTimeout(early);
        if (state === 'connected') {
          connected = true;
          clearTimeout(timer);
          this.backoff.reset();
          this.become('open');
          this.first.resolve();
        } else if (state === 'disconnected') {
          clearTimeout(timer);
          timer = setTimeout(resolve, RECOVER_WITHIN);
        } else if (state === 'failed' || state === 'closed') {
          clearTimeout(timer);
          if (state === 'failed' && !connected) reject(unreachable(pc, answer));
          else resolve();
        }
      };
      pc.addEventListener('connectionstatechange', look);
      look();
    });
  }
}

/** Publishes a MediaStream. */
export class Publisher extends Link {
  /** After a lost connection the old session must go, or it stands in the new one's way. */
  get mustEnd() {
    return true;
  }

  constructor({ stream, maxBitrate = 1_200_000, simulcast = false, ...rest }) {
    super(rest);
    this.stream = stream;
    this.maxBitrate = maxBitrate;
    this.simulcast = simulcast;
    this.codec = ANYBODYS;
  }

  /** Publishes in this codec from now on, by a connection of its own where one in another runs. */
  use(codec) {
    if (codec === this.codec) return;
    this.codec = codec;
    if (this.running) this.restart();
  }

  prepare(pc) {
    for (const track of this.stream.getTracks()) {
      const sendEncodings = track.kind === 'video' ? encodings(this) : [];
      const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [this.stream], sendEncodings });
      if (track.kind === 'video') prefer(transceiver, this.codec);
    }
  }

  /** Another camera or microphone, without a break. The one before is stopped, unless it is to be kept. */
  async replaceTrack(track, { keep = false } = {}) {
    for (const old of this.stream.getTracks().filter((t) => t.kind === track.kind && t !== track)) {
      this.stream.removeTrack(old);
      if (!keep) old.stop();
    }
    if (!this.stream.getTracks().includes(track)) this.stream.addTrack(track);
    const sender = this.pc?.getTransceivers().find((t) => t.sender.track?.kind === track.kind)?.sender;
    if (sender) await sender.replaceTrack(track);
    else if (this.running) this.restart();
  }
}

/**
 * What pictures are sent as: one size, or three, of which each viewer is sent what its network carries. Browsers share the bitrate
 * out as it should be where the smallest comes first.
 */
function encodings({ maxBitrate, simulcast }) {
  if (!simulcast) return [{ maxBitrate }];
  const layer = (rid, smaller, part) => ({
    rid,
    scaleResolutionDownBy: smaller,
    maxBitrate: Math.round(maxBitrate / part),
  });
  return [layer('q', 4, 8), layer('h', 2, 3), layer('f', 1, 1)];
}

/** Plays a stream into a media element, or gives its tracks to `onStream`. `onSilenced()`: the browser allows no sound yet. */
export class Player extends Link {
  constructor({ element, onStream, onSilenced, video = true, audio = true, ...rest }) {
    super(rest);
    this.element = element;
    this.onStream = onStream;
    this.onSilenced = onSilenced;
    this.kinds = [audio && 'audio', video && 'video'].filter(Boolean);
  }

  get mustEnd() {
    return false;
  }

  prepare(pc) {
    const stream = new MediaStream();
    for (const kind of this.kinds) pc.addTransceiver(kind, { direction: 'recvonly' });
    pc.addEventListener('track', ({ track }) => {
      if (!this.running) return;
      stream.addTrack(track);
      this.hand(this.onStream, stream);
      if (!this.element || this.element.srcObject === stream) return;
      // The last picture of a broken connection stands until the new one moves.
      this.element.srcObject = stream;
      this.shown = stream;
      this.#listen();
      this.#play();
    });
  }

  /** Whether the element shows what we gave it, and not something else by now. */
  get shows() {
    return Boolean(this.running && this.shown && this.element.srcObject === this.shown);
  }

  #play() {
    // A page that was not touched yet may not make sound: muted it may play.
    this.element.play().catch((error) => {
      if (error.name !== 'NotAllowedError' || !this.running) return;
      const { muted } = this.element;
      this.element.muted = true;
      if (!muted) this.hand(this.onSilenced);
      this.element.play().catch(() => {});
    });
  }

  /** Systems pause what is played, as for a phone call, and begin it no more. Who has controls may pause it. */
  #listen() {
    if (this.stopListening) return;
    const { element } = this;
    const paused = () => {
      // One that is taken out of the page is to be silent.
      const taken = inPage && !element.isConnected;
      clearTimeout(this.again);
      if (!taken) this.again = setTimeout(() => this.returned(), PLAY_AGAIN_AFTER);
    };
    let inPage = element.isConnected;
    const playing = () => {
      inPage = element.isConnected;
    };
    element.addEventListener?.('pause', paused);
    element.addEventListener?.('playing', playing);
    this.stopListening = () => {
      clearTimeout(this.again);
      element.removeEventListener?.('pause', paused);
      element.removeEventListener?.('playing', playing);
      this.stopListening = null;
    };
  }

  returned() {
    // In the background it would be refused, and muted for good.
    if (!this.shows || this.element.controls || globalThis.document?.visibilityState === 'hidden') return;
    this.#play();
  }

  /** Nothing is seen or heard of it any more. */
  stop(options) {
    if (this.shows) this.element.srcObject = null;
    this.stopListening?.();
    return super.stop(options);
  }
}

rejectsWell(Link, ['stats'], Code.MEDIA);
rejectsWell(Publisher, ['replaceTrack'], Code.MEDIA);

/**
 * STUN and TURN servers that a `Link` header names (RFC 9725, section 4.6), as RTCPeerConnection takes them:
 * `<turn:t.example?transport=udp>; rel="ice-server"; username="u"; credential="c"; credential-type="password"`.
 */
export function iceServersOf(header) {
  const servers = [];
  // Commas and semicolons may stand inside of <…> and of quotes.
  for (const [, urls, rest] of (header ?? '').matchAll(
    /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",;]+))*)/g,
  )) {
    const values = {};
    for (const [, name, quoted, plain] of rest.matchAll(/;\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]+))/g)) {
      values[name.toLowerCase()] ??= quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1');
    }
    if (values.rel !== 'ice-server' || !/^(stun|turn)s?:/i.test(urls)) continue;
    const { username, credential } = values;
    servers.push(username === undefined ? { urls } : { urls, username, credential });
  }
  return servers;
}

/** Where an answer says that media goes, in an error that says what to do if no connection to there comes about. */
function unreachable(pc, answer) {
  const candidates = answer.matchAll(/^a=candidate:\S+ \d+ \S+ \d+ (\S+) (\d+) /gm);
  const addresses = [...new Set(Array.from(candidates, ([, host, port]) => `${host}:${port}`))];
  const where = addresses.join(', ') || 'the media server';
  const reached = pc.iceConnectionState === 'connected' || pc.iceConnectionState === 'completed';
  if (reached) {
    const text = `media reaches ${where}, and its encryption (DTLS) does not come about`;
    return new RoomError(Code.MEDIA, `${text}: something on the way changes it; ask the operator`, { addresses });
  }
  const hint = 'ask the operator to set webrtc.public and to open the port';
  return new RoomError(Code.MEDIA, `media cannot reach ${where} by UDP or TCP: ${hint}`, { addresses });
}

/** What mobile clients and viewers by RTMP, FLV and HLS take. */
const ANYBODYS = 'H264';
/** The codecs for a room, the one that most can decode first. */
const CODECS = [ANYBODYS, 'VP8', 'VP9', 'AV1'];

/** Which of these codecs the browser decodes (`RTCRtpReceiver`) or encodes (`RTCRtpSender`); null where it does not say. */
function able(end) {
  const codecs = globalThis[end]?.getCapabilities?.('video')?.codecs;
  return codecs ? CODECS.filter((name) => codecs.some(({ mimeType }) => isOf(mimeType, name))) : null;
}

const isOf = (mimeType, name) => mimeType.toUpperCase() === `VIDEO/${name}`;

/** The codecs that this browser decodes; null where it does not say. */
export const decodes = () => able('RTCRtpReceiver');

/**
 * In which codec to publish for members that decode these (null: nobody knows, as of mobile clients, which take H.264): the first one
 * that all have.
 */
export function codecFor(members) {
  const ours = able('RTCRtpSender') ?? [ANYBODYS];
  const all = (name) => members.every((codecs) => (codecs ?? [ANYBODYS]).includes(name));
  return CODECS.find((name) => ours.includes(name) && all(name)) ?? ANYBODYS;
}

/** Offers a codec first. The server takes H.264 where it is offered beside VP8: another one is offered without it. */
function prefer(transceiver, name) {
  const codecs = globalThis.RTCRtpSender?.getCapabilities?.('video')?.codecs;
  if (!codecs || !transceiver.setCodecPreferences) return;
  const rank = ({ mimeType, sdpFmtpLine = '' }) =>
    !isOf(mimeType, name) ? 2 : name !== ANYBODYS || sdpFmtpLine.includes('packetization-mode=1') ? 0 : 1;
  const offered = codecs.filter(({ mimeType }) => name === ANYBODYS || !isOf(mimeType, ANYBODYS));
  transceiver.setCodecPreferences(offered.sort((a, b) => rank(a) - rank(b)));
}
