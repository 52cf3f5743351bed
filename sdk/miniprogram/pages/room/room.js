// One live room: watched by <live-player>, or made and pushed to by <live-pusher>.

const { LiveRoom } = require('roomservice-sdk');
const { loginURL, server } = require('../../config.js');

/** Codes of <live-player>: the stream ended, or was not reached after some tries of its own. */
const PLAY_ENDED = [2006, -2301];
/** Codes of <live-pusher>: the connection broke, the server refused it, the system took camera and microphone away. */
const PUSH_ENDED = [-1307, 3004, 5000];
const PUSH_BEGUN = 1002;
const NO_DEVICE = { '-1301': 'no camera', '-1302': 'no microphone' };

/** Why one is out of a room. */
const CLOSED = {
  destroyed: 'The room was closed',
  revoked: 'The room was closed',
  kicked: 'You were put out of the room',
  banned: 'You may not be in this room',
  lost: 'The room is not there any more',
  session: 'The login has ended',
};
/** What holds outside of a room: the microphone is on when one goes live again. */
const OUT = { roomID: '', liveURL: '', pushURL: '', others: [], mic: true };

/** What wx.request answers, as a promise. A server that is away has not said that nobody is logged in. */
const ask = (url, data) =>
  new Promise((resolve, reject) => {
    const success = ({ statusCode, data: answer }) =>
      statusCode < 500 ? resolve(answer) : reject(new Error(`the server answered ${statusCode}`));
    wx.request({ url, data, success, fail: reject });
  });
const loginCode = () => new Promise((resolve, reject) => wx.login({ success: (r) => resolve(r.code), fail: reject }));

Page({
  data: { roomID: '', rooms: [], liveURL: '', pushURL: '', others: [], lines: [], text: '', mic: true, note: '' },

  async onLoad() {
    this.room = new LiveRoom({ server });
    const { room } = this;
    room.on('pusherJoin', () => this.show());
    room.on('pusherQuit', () => this.show());
    room.on('mediaState', () => this.show());
    room.on('roomUpdate', () => this.show());
    room.on('recvRoomTextMsg', ({ userName, textMsg, seq }) =>
      this.setData({ lines: [...this.data.lines, { seq, text: `${userName}: ${textMsg}` }].slice(-50) }),
    );
    room.on('connectionState', ({ state }) => {
      this.setData({ note: state === 'reconnecting' ? '…' : '' });
      if (state === 'connected') this.pushAgain({ now: true });
    });
    room.on('roomClose', ({ reason }) => {
      this.setData({ ...OUT, note: CLOSED[reason] || reason });
      this.tell(() => this.list());
    });
    room.on('error', (error) => this.setData({ note: error.message }));
    await this.tell(async () => {
      // Called again when the signature has ended.
      const sign = async () => (await ask(loginURL, { code: await loginCode() })).userSig;
      const login = await ask(loginURL, { code: await loginCode() });
      await room.login({ ...login, userSig: sign });
      await this.list();
    });
  },

  onShow() {
    this.pushAgain({ now: true });
  },

  onUnload() {
    this.room.logout();
  },

  async list() {
    const { rooms } = await this.room.getRoomList({ cnt: 20 });
    this.setData({ rooms: rooms.map(({ roomID, roomInfo }) => ({ roomID, roomInfo })) });
  },

  enter(event) {
    return this.tell(async () => {
      await this.room.enterRoom({ roomID: event.currentTarget.dataset.room });
      this.show();
    });
  },

  begin() {
    return this.tell(async () => {
      const { roomID } = await this.room.createRoom({ roomInfo: this.room.user.userName });
      const { pushURL } = await this.room.getPushURL({ roomID });
      this.pushGoes();
      this.setData({ pushURL });
      this.show();
    });
  },

  leave() {
    return this.tell(async () => {
      await this.room.exitRoom();
      this.setData({ ...OUT, lines: [] });
      await this.list();
    });
  },

  /** <live-pusher> has the microphone: it is told here, and so are the others. */
  toggleMicrophone() {
    const mic = !this.data.mic;
    this.setData({ mic });
    return this.tell(() => this.room.tellMediaState({ mic }));
  },

  type(event) {
    this.setData({ text: event.detail.value });
  },

  say() {
    const msg = this.data.text.trim();
    if (!msg) return undefined;
    this.setData({ text: '' });
    return this.tell(() => this.room.sendRoomTextMsg({ msg }));
  },

  show() {
    const { live, others } = this.room.toPlay();
    this.setData({
      roomID: this.room.roomID || '',
      liveURL: live,
      others: others.map(({ userID, userName, url, mic }) => ({ userID, name: userName, url, mic })),
    });
  },

  async onPlayState({ detail, currentTarget }) {
    if (!PLAY_ENDED.includes(detail.code)) return;
    const again = this.room.playAgain(currentTarget.dataset.url);
    this.show();
    await again;
    this.show();
  },

  onPushState({ detail: { code } }) {
    if (code === PUSH_BEGUN) this.pushGoes();
    if (NO_DEVICE[code]) this.setData({ note: NO_DEVICE[code] });
    if (!PUSH_ENDED.includes(code)) return;
    this.pushEnded = true;
    this.pushAgain();
  },

  pushGoes() {
    this.pushEnded = false;
    this.pushTries = 0;
  },

  /** Pushes again by a fresh URL, also when the page is shown again and when the network is back. */
  async pushAgain({ now = false } = {}) {
    const { room } = this;
    if (now) this.tryNow?.();
    if (!this.pushEnded || this.pushing || !room.isPusher) return;
    this.pushing = true;
    // <live-pusher> begins anew where its URL is another one.
    this.setData({ pushURL: '' });
    while (room.isPusher && !this.data.pushURL) {
      // 1 to 2 s at first, 8 to 16 s where it goes on to fail.
      const pause = 1000 * 2 ** Math.min(this.pushTries, 3) * (1 + Math.random());
      this.pushTries += 1;
      await new Promise((resolve) => {
        this.tryNow = resolve;
        setTimeout(resolve, pause);
      });
      // Left meanwhile, and perhaps live again by a URL of its own.
      if (!room.isPusher || this.data.pushURL) break;
      await this.tell(async () => {
        const { roomID } = room;
        const { pushURL } = await room.getPushURL({ roomID });
        if (room.roomID === roomID && room.isPusher) this.setData({ pushURL });
      });
    }
    this.pushing = false;
  },

  /** The person refused camera or microphone, for example. */
  onMediaError({ detail }) {
    this.setData({ note: detail.errMsg || `error ${detail.errCode}` });
  },

  /** Does it, and shows what went wrong. */
  async tell(work) {
    try {
      await work();
    } catch (error) {
      this.setData({ note: error.message || error.errMsg });
    }
  },
});
