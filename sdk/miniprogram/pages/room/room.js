// One live room: watched by <live-player>, or made and pushed to by <live-pusher>.

const { LiveRoom } = require('roomservice-sdk');
const { loginURL, server } = require('../../config.js');

/** What wx.request answers, as a promise. */
const ask = (url, data) =>
  new Promise((resolve, reject) => wx.request({ url, data, success: (r) => resolve(r.data), fail: reject }));
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
    room.on('connectionState', ({ state }) => this.setData({ note: state === 'reconnecting' ? '…' : '' }));
    room.on('roomClose', ({ reason }) => {
      this.setData({ liveURL: '', pushURL: '', others: [], note: reason });
      this.list();
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
      this.setData({ pushURL });
      this.show();
    });
  },

  leave() {
    return this.tell(async () => {
      await this.room.exitRoom();
      this.setData({ roomID: '', liveURL: '', pushURL: '', others: [], lines: [] });
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
    const { room } = this;
    const others = room.others
      .filter((p) => p.userID !== room.roomCreator)
      .map((p) => ({ userID: p.userID, name: p.userName, url: p.accelerateURL, mic: room.mediaStateOf(p.userID).mic }));
    this.setData({ roomID: room.roomID || '', liveURL: room.isCreator ? '' : room.mixedPlayURL, others });
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
