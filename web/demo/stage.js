// The stage of a room: a tile for each person, in a grid or with one of them large.

import { el } from '/web/dom.js';
import { arrange } from './layout.js';
import { t } from './text.js';
import { Tile } from './tile.js';

/** The key of the tile that shows a mixed picture. */
export const MIX = 'mix:';

export class Stage {
  /** `kick(userID)`: what the anchor's button does. */
  constructor(room, { live, label, kick, changed }) {
    Object.assign(this, { room, live, kick, changed, tiles: new Map(), pinned: null, speakers: false, spoke: null });
    this.alone = el('p.alone', { hidden: true }, t('alone'));
    this.hear = el(
      'button.button.primary.little.hear',
      { type: 'button', hidden: true, onclick: () => this.#hear() },
      t('unmutePage'),
    );
    this.asks = el('div.asks', { 'aria-live': 'assertive' });
    this.element = el('section.stage', { 'aria-label': label }, this.alone, this.hear, this.asks);
    this.watching = new ResizeObserver(() => this.arrange());
    room.on('mediaState', ({ userID, ...state }) => this.tiles.get(userID)?.describe(state));
    room.on('quality', ({ userID, ...figures }) => this.tiles.get(userID)?.judge(figures));
    room.on('speaking', ({ userID, speaking }) => this.#speaks(userID, speaking));
    room.on('localMedia', (state) => this.tiles.get(room.user?.userID)?.describe(state));
  }

  #speaks(userID, speaking) {
    this.tiles.get(userID)?.element.classList.toggle('speaking', speaking);
    // Our own voice does not make us large to ourselves.
    if (!speaking || userID === this.room.user?.userID) return;
    this.spoke = userID;
    if (this.speakers && !this.pinned) this.arrange();
  }

  /** Large, small again, or somebody else. */
  pin(id) {
    this.pinned = this.pinned === id ? null : id;
    this.arrange();
  }

  setSpeakers(on) {
    this.speakers = on;
    this.pinned = null;
    this.arrange();
  }

  /** What Esc does; whether there was anything to do. */
  unpin() {
    const was = this.pinned !== null;
    this.pinned = null;
    this.arrange();
    return was;
  }

  arrange() {
    const tiles = [...this.tiles.values()];
    const others = tiles.filter((tile) => !tile.mine);
    const spoken = this.speakers ? (this.tiles.get(this.spoke) ?? others[0]) : undefined;
    const big = this.tiles.get(this.pinned) ?? spoken;
    for (const tile of tiles) tile.showPinned(tile.id === this.pinned, tile === big && tiles.length > 1);
    arrange(this.element, tiles, big);
    this.changed();
  }

  /** Shows who is there. `byObs`: another program pushes our stream. */
  sync({ drawn, byObs }) {
    const { room } = this;
    const me = room.user.userID;
    // For the first time, or after it was cleared.
    if (!this.tiles.size) this.watching.observe(this.element);
    const wanted = new Map();
    if (room.isPusher) wanted.set(me, { userID: me, userName: room.user.userName });
    if (this.live && !room.isPusher && room.custom.mixed) {
      wanted.set(MIX, { userID: MIX, userName: room.roomInfo, ...room.mix });
    } else {
      for (const pusher of room.others) wanted.set(pusher.userID, pusher);
    }
    for (const [id, tile] of this.tiles) {
      if (wanted.has(id)) continue;
      tile.remove(!room.pushers.some((p) => p.userID === id));
      this.tiles.delete(id);
      if (this.pinned === id) this.pinned = null;
    }
    for (const [id, pusher] of wanted) if (!this.tiles.has(id)) this.#add(id, pusher, byObs);
    const mine = this.tiles.get(me);
    if (mine && room.local && !byObs && mine.video.srcObject !== room.local.stream) mine.show(room.local.stream);
    mine?.element.classList.toggle('drawn', Boolean(drawn));
    this.alone.hidden = this.live || room.others.length > 0;
    this.element.dataset.count = this.tiles.size;
    this.arrange();
  }

  #add(id, pusher, byObs) {
    const { room } = this;
    const me = room.user.userID;
    const mine = id === me && !byObs;
    const tile = new Tile({
      id,
      name: pusher.userName || id,
      mine,
      anchor: this.live && id === room.roomCreator,
      kick: this.live && room.isCreator && id !== me && (() => this.kick(id)),
      pin: () => this.pin(id),
      onShape: () => this.arrange(),
      onSilenced: () => {
        this.hear.hidden = false;
      },
    });
    this.tiles.set(id, tile);
    this.element.append(tile.element);
    tile.describe(mine && room.local ? room.local.state : room.mediaStateOf(id));
    if (mine) return;
    if (byObs && id === me) tile.note.textContent = t('obsOn');
    tile.play(room, id === me ? (room.pushers.find((p) => p.userID === id) ?? pusher) : pusher);
  }

  /** Begins one tile anew. */
  drop(id) {
    this.tiles.get(id)?.remove();
    this.tiles.delete(id);
  }

  #hear() {
    this.hear.hidden = true;
    for (const { mine, video } of this.tiles.values()) {
      if (mine) continue;
      video.muted = false;
      video.play().catch(() => {});
    }
  }

  /** The picture for a window of its own: the large one, else somebody else's. */
  get main() {
    const tiles = [...this.tiles.values()];
    return this.tiles.get(this.pinned) ?? this.tiles.get(this.spoke) ?? tiles.find((x) => !x.mine) ?? tiles[0];
  }

  /** `gone`: because the room is, and its streams with it. */
  clear(gone) {
    this.watching.disconnect();
    for (const tile of this.tiles.values()) tile.remove(gone);
    this.tiles.clear();
  }
}
