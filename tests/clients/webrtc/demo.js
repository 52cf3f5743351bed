// What runs inside a page of the demo, in Firefox and Chromium alike: it presses what a person presses, and says what
// the page decodes.
(() => {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const links = [];
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...how) {
      super(...how);
      links.push(this);
    }
  };

  async function there(find) {
    const end = performance.now() + 9_000;
    while (performance.now() < end) {
      const found = find();
      if (found) return found;
      await sleep(50);
    }
    throw new Error(`never came: ${find} in ${document.body.textContent.slice(0, 300)}`);
  }
  const at = (selector) => document.querySelector(selector);

  /** Goes in by the preview; `since` is when the person did. */
  async function inside() {
    (await there(() => at('.preview button[type=submit]'))).click();
    window.demo.since = performance.now();
    await there(() => at('.room[data-online=true]'));
    return true;
  }

  async function create(name) {
    (await there(() => at('input[name=name]'))).value = name;
    at('input[value=multi_room]').click();
    at('.start button[type=submit]').click();
    return inside();
  }

  async function enter(name) {
    const card = () => [...document.querySelectorAll('.rooms .card')].find((one) => one.textContent.includes(name));
    (await there(card)).querySelector('button').click();
    return inside();
  }

  /** A row for each connection that brings pictures: its codec, decoded pictures, and how loud its sound was in all. */
  async function seen() {
    const rows = [];
    for (const link of links.filter((one) => one.connectionState === 'connected')) {
      const stats = await link.getStats();
      const row = { frames: 0, energy: 0 };
      for (const one of stats.values()) {
        if (one.type !== 'inbound-rtp') continue;
        if (one.kind === 'audio') row.energy = one.totalAudioEnergy ?? 0;
        else Object.assign(row, { frames: one.framesDecoded ?? 0, codec: stats.get(one.codecId)?.mimeType });
      }
      if (row.codec) rows.push(row);
    }
    return { ms: Math.round(performance.now() - window.demo.since), rows };
  }

  window.demo = { create, enter, seen };
})();
