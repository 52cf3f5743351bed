// A live picture of a stream, with its figures and its bitrate.

import { el } from '/web/dom.js';
import { Graph } from './graph.js';
import { figure, span, t, why } from './text.js';

const WIDE = 300_000;

/** Shows it until it is closed; `update(stream, points)` of what it returns is called with each snapshot, with null once it has ended. */
export function watch(acts, name) {
  const graph = new Graph({ label: t('bitrate'), say: (n) => figure(n, 'bit/s') });
  const video = el('video', { playsInline: true, controls: true, 'aria-label': name });
  video.muted = true;
  const state = el('p.small.soft', { role: 'status' }, t('frozen'));
  const facts = el('dl.facts.small');
  const end = el('button.button.little.bad', { type: 'button' }, t('end'));
  const view = { open: true };
  const player = play(acts, name, video, state);
  const dialog = el(
    'dialog.wide',
    {
      'aria-label': name,
      onclose: () => {
        view.open = false;
        player.then((p) => p?.stop());
        dialog.remove();
      },
    },
    el(
      'form',
      { method: 'dialog' },
      el('h2.mono', {}, name),
      video,
      state,
      facts,
      graph.element,
      el('div.tools', {}, end, el('button.button.little', {}, t('closeView'))),
    ),
  );
  end.addEventListener('click', () => acts.sure('end_stream', name, { stream: name }));
  view.update = (stream, points) => {
    end.hidden = !stream;
    if (!stream) {
      state.textContent = t('streamEnded');
      return;
    }
    const { video: v, audio: a } = stream;
    const all = [
      ['codec', v ? `${v.codec} ${v.width}×${v.height}` : '–'],
      ['audio', a ? `${a.codec} ${a.rate / 1000} kHz` : '–'],
      ['fps', stream.frameRate.toFixed(1)],
      ['bitrate', figure(stream.bitsIn, 'bit/s')],
      ['viewers', String(stream.viewers)],
      ['age', span(stream.age)],
    ];
    facts.replaceChildren(...all.map(([key, value]) => el('div', {}, el('dt', {}, t(key)), el('dd', {}, value))));
    graph.show(points, WIDE);
  };
  document.body.append(dialog);
  dialog.showModal();
  return view;
}

/** Plays it by WebRTC, and says why where there is no picture. */
async function play(acts, name, video, state) {
  if (!globalThis.RTCPeerConnection) {
    state.textContent = t('noWebrtc');
    return null;
  }
  const { browser, Player } = await import('/sdk/index.js');
  const url = async () => {
    const { whepURL } = await acts.link.act('watch', { stream: name });
    const { pathname, search } = new URL(whepURL);
    return pathname + search;
  };
  const onState = (_, error) => {
    if (error?.addresses) state.textContent = t('noMedia', { address: error.addresses.join(', ') });
    else if (error?.status === 406) state.textContent = t(error.message.includes('B-frames') ? 'bFrames' : 'noCodec');
    else if (error) state.textContent = why(error);
  };
  const player = new Player({ url, element: video, onState, platform: browser() });
  video.addEventListener('playing', () => {
    state.textContent = t('liveNow');
  });
  player.start().catch(() => {});
  return player;
}
