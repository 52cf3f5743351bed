// What the SDK needs of a browser (or of Node): requests, WebSockets, and word that the network is back.

import { Code, RoomError } from '../errors.js';

export function browser({ fetch = globalThis.fetch, WebSocket = globalThis.WebSocket, scope = globalThis } = {}) {
  return {
    name: 'browser',

    /** `{ status, text, header(name) }`; rejects only when there was no answer. */
    async request(url, { method = 'GET', body, headers = {}, timeout = 10_000, keepalive = false } = {}) {
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), timeout);
      try {
        const answer = await fetch.call(scope, url, { method, body, headers, signal: stop.signal, keepalive });
        return { status: answer.status, text: await answer.text(), header: (name) => answer.headers.get(name) };
      } catch (cause) {
        if (stop.signal.aborted) throw new RoomError(Code.TIMEOUT, `no answer within ${timeout / 1000} s`);
        throw new RoomError(Code.NETWORK, 'the server cannot be reached', { cause });
      } finally {
        clearTimeout(timer);
      }
    },

    /** Opens a socket; `on` gets `open()`, `text(string)` and, exactly once, `close(code, reason)`. */
    connect(url, on) {
      if (!WebSocket)
        throw new RoomError(
          Code.STATE,
          'there is no WebSocket here (Node has one from 22 on): give the platform one, browser({ WebSocket })',
        );
      const socket = new WebSocket(url);
      socket.onopen = () => on.open();
      socket.onmessage = ({ data }) => typeof data === 'string' && on.text(data);
      socket.onclose = ({ code, reason }) => on.close(code, reason);
      return {
        send: (text) => socket.send(text),
        // After a dead network the closing handshake takes a minute: nobody waits for it.
        close: (code, reason) => {
          socket.onopen = socket.onmessage = socket.onclose = null;
          socket.close(code, reason);
        },
      };
    },

    /** Calls back with true when the network is gone, and with false when it is there again; returns how to stop that. */
    onLost(call) {
      const lost = () => call(true);
      const back = () => call(false);
      scope.addEventListener?.('offline', lost);
      scope.addEventListener?.('online', back);
      return () => {
        scope.removeEventListener?.('offline', lost);
        scope.removeEventListener?.('online', back);
      };
    },

    /** Calls `left` when the page goes, and `back` when the browser has kept it and shows it again. */
    onLeave(left, back) {
      const shown = ({ persisted }) => persisted && back();
      scope.addEventListener?.('pagehide', left);
      scope.addEventListener?.('pageshow', shown);
      return () => {
        scope.removeEventListener?.('pagehide', left);
        scope.removeEventListener?.('pageshow', shown);
      };
    },

    /** Calls back when trying again makes sense; returns how to stop that. */
    onReturn(call) {
      const shown = () => scope.document?.visibilityState === 'visible' && call();
      scope.addEventListener?.('online', call);
      scope.document?.addEventListener('visibilitychange', shown);
      return () => {
        scope.removeEventListener?.('online', call);
        scope.document?.removeEventListener('visibilitychange', shown);
      };
    },
  };
}
