// What the SDK needs of a WeChat mini-program: `wx.request`, `wx.connectSocket`, network changes.
// Media is played by <live-player> and pushed by <live-pusher> with the URLs that the rooms give.

import { Code, RoomError } from '../errors.js';

export function wechat(wx) {
  return {
    name: 'wechat',

    request(url, { method = 'GET', body, headers = {}, timeout = 10_000 } = {}) {
      return new Promise((resolve, reject) => {
        wx.request({
          url,
          method,
          data: body,
          header: headers,
          timeout,
          // As text: what is JSON is read in one place, and answers to proxies' errors are not.
          dataType: 'text',
          responseType: 'text',
          success: ({ statusCode, data, header = {} }) => {
            const lower = Object.fromEntries(Object.entries(header).map(([k, v]) => [k.toLowerCase(), v]));
            const text = typeof data === 'string' ? data : JSON.stringify(data);
            resolve({ status: statusCode, text, header: (name) => lower[name.toLowerCase()] ?? null });
          },
          fail: ({ errMsg = '' } = {}) =>
            reject(
              errMsg.includes('timeout')
                ? new RoomError(Code.TIMEOUT, `no answer within ${timeout / 1000} s`)
                : new RoomError(Code.NETWORK, `the server cannot be reached: ${errMsg}`),
            ),
        });
      });
    },

    connect(url, on) {
      let over = false;
      const end = (code, reason) => {
        if (over) return;
        over = true;
        on.close(code, reason);
      };
      const task = wx.connectSocket({ url, fail: ({ errMsg = '' } = {}) => end(1006, errMsg) });
      task.onOpen(() => over || on.open());
      task.onMessage(({ data }) => over || (typeof data === 'string' && on.text(data)));
      // An error is not always followed by a close.
      task.onError(({ errMsg = '' } = {}) => end(1006, errMsg));
      task.onClose(({ code = 1006, reason = '' } = {}) => end(code, reason));
      return {
        send: (data) => task.send({ data, fail: () => end(1006, 'send failed') }),
        close: (code, reason) => {
          over = true;
          task.close({ code, reason });
        },
      };
    },

    onLost(call) {
      const changed = ({ isConnected }) => call(!isConnected);
      wx.onNetworkStatusChange?.(changed);
      return () => wx.offNetworkStatusChange?.(changed);
    },

    onReturn(call) {
      const changed = ({ isConnected }) => isConnected && call();
      wx.onNetworkStatusChange?.(changed);
      wx.onAppShow?.(call);
      return () => {
        wx.offNetworkStatusChange?.(changed);
        wx.offAppShow?.(call);
      };
    },
  };
}
