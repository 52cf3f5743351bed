// Players of pages, in Chromium: what they load, how they are told to play, and what is seen of them.

/** By name: the files of its package, the URL that it plays, and how it is begun in the page: with a place in it, a URL
 *  and where to say what fails. */
export const PLAYERS = {
  'mpegts.js': {
    files: ['mpegts.js/dist/mpegts.js'],
    url: 'flv',
    begin(place, url, fails) {
      const video = place.appendChild(document.createElement('video'));
      const player = mpegts.createPlayer({ type: 'flv', isLive: true, url }, { enableStashBuffer: false });
      player.on(mpegts.Events.ERROR, (kind, detail) => fails(`${kind} ${detail}`));
      player.attachMediaElement(video);
      player.load();
      video.play().catch(() => {});
    },
  },
  'flv.js': {
    files: ['flv.js/dist/flv.js'],
    url: 'flv',
    begin(place, url, fails) {
      const video = place.appendChild(document.createElement('video'));
      const player = flvjs.createPlayer({ type: 'flv', isLive: true, url }, { enableStashBuffer: false });
      player.on(flvjs.Events.ERROR, (kind, detail) => fails(`${kind} ${detail}`));
      player.attachMediaElement(video);
      player.load();
      video.play().catch(() => {});
    },
  },
  'xgplayer-flv': {
    files: ['xgplayer/dist/index.min.js', 'xgplayer-flv/dist/index.min.js'],
    url: 'flv',
    begin(place, url, fails) {
      const player = new Player({ el: place, url, isLive: true, autoplay: true, plugins: [FlvPlayer] });
      player.on('error', (error) => fails(error.message));
    },
  },
  'hls.js': {
    files: ['hls.js/dist/hls.js'],
    url: 'hls',
    begin(place, url, fails) {
      const video = place.appendChild(document.createElement('video'));
      const player = new Hls({ lowLatencyMode: true });
      player.on(Hls.Events.ERROR, (_, error) => error.fatal && fails(`${error.type} ${error.details}`));
      player.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch(() => {}));
      player.loadSource(url);
      player.attachMedia(video);
    },
  },
  'shaka-player': {
    files: ['shaka-player/dist/shaka-player.compiled.js'],
    url: 'hls',
    begin(place, url, fails) {
      const video = place.appendChild(document.createElement('video'));
      const player = new shaka.Player();
      player.configure({ streaming: { lowLatencyMode: true } });
      player.addEventListener('error', ({ detail }) => fails(`${detail.category} ${detail.code}`));
      const load = async () => {
        await player.attach(video);
        await player.load(url);
        await video.play();
      };
      load().catch((error) => fails(`${error.code ?? error}`));
    },
  },
  'video.js': {
    files: ['video.js/dist/video.js'],
    url: 'hls',
    begin(place, url, fails) {
      const video = place.appendChild(document.createElement('video'));
      const player = videojs(video, { html5: { vhs: { overrideNative: true } }, autoplay: true });
      player.on('error', () => fails(player.error()?.message));
      player.src({ src: url, type: 'application/vnd.apple.mpegurl' });
    },
  },
  'Chromium HLS': {
    files: [],
    url: 'hls',
    begin(place, url, fails) {
      const video = place.appendChild(document.createElement('video'));
      video.onerror = () => fails(video.error?.message);
      video.src = url;
      video.play().catch(() => {});
    },
  },
  WHEP: {
    files: [],
    url: 'whep',
    begin(place, url, fails) {
      const video = place.appendChild(document.createElement('video'));
      const pc = new RTCPeerConnection();
      const stream = new MediaStream();
      pc.ontrack = ({ track }) => stream.addTrack(track);
      for (const kind of ['video', 'audio']) pc.addTransceiver(kind, { direction: 'recvonly' });
      const offer = async () => {
        await pc.setLocalDescription();
        const { sdp: body } = pc.localDescription;
        const reply = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body });
        const sdp = await reply.text();
        if (!reply.ok) throw new Error(`${reply.status} ${sdp}`);
        await pc.setRemoteDescription({ type: 'answer', sdp });
      };
      offer().catch((error) => fails(error.message));
      video.srcObject = stream;
      video.play().catch(() => {});
    },
  },
  tcplayer: {
    // Its part for WebRTC, which it would load from its maker's servers otherwise.
    files: ['tcplayer.js/dist/libs/TXLivePlayer-1.3.5.min.js', 'tcplayer.js/dist/tcplayer.v5.3.4.min.js'],
    url: 'webrtc',
    begin(place, url, fails) {
      const video = place.appendChild(document.createElement('video'));
      video.id = `tcplayer${document.querySelectorAll('video').length}`;
      const signalDomain = { protocol: 'http', domain: location.host, query: false };
      const options = {
        sources: [{ src: url }],
        autoplay: true,
        reportable: false,
        webrtcConfig: { signalDomain, connectRetryCount: 3, connectRetryDelay: 1 },
      };
      const player = TCPlayer(video.id, options);
      // 55: it was given no licence of its maker's. It plays without.
      player.on('error', ({ data }) => Number(data?.code) !== 55 && fails(`${data?.code}`));
      player.on('webrtcfallback', ({ data }) => fails(`falls back to ${data.target.replace(/\?.*/, '')}`));
    },
  },
};

/** Runs in a page: begins to watch with a player, and measures from then on. */
export async function watch([name, url]) {
  const place = document.body.appendChild(document.createElement('div'));
  place.style.cssText = 'width:160px;height:90px;display:inline-block';
  const failures = [];
  const from = performance.now();
  window.players[name](place, url, (what) => failures.push(String(what)));
  // Some make their element later.
  while (!place.querySelector('video')) await new Promise((resolve) => setTimeout(resolve, 10));
  const video = place.querySelector('video');
  const seen = { video, failures, longest: 0, apart: 0, frames: 0, loudest: -Infinity };
  let [time, moved] = [-1, from];
  const picture = (now) => {
    const { shown } = seen;
    seen.frames += 1;
    seen.first ??= Math.round(performance.now() - from);
    // Some show one before they begin.
    if (seen.began !== undefined && now - (shown ?? now) > seen.apart)
      [seen.apart, seen.parted] = [Math.round(now - shown), Math.round(shown - from)];
    seen.shown = now;
    video.requestVideoFrameCallback(picture);
  };
  video.requestVideoFrameCallback(picture);
  // Chromium sets the time right by itself at times, and shows on; what a player goes back by is seen again.
  let sought = false;
  video.addEventListener('seeking', () => {
    sought = true;
  });
  setInterval(() => {
    const now = performance.now();
    if (!sought && video.currentTime < time - 0.1) time = -1;
    // Players that look for a place to begin move the time, too.
    const plays = seen.began !== undefined || (!video.seeking && video.readyState > HTMLMediaElement.HAVE_CURRENT_DATA);
    if (video.currentTime > time && video.currentTime > 0 && plays) {
      if (seen.began === undefined) seen.began = Math.round(now - from);
      else if (now - moved > seen.longest)
        [seen.longest, seen.stood] = [Math.round(now - moved), Math.round(moved - from)];
      [time, moved] = [video.currentTime, now];
      sought = false;
    }
    seen.still = Math.round(now - moved);
  }, 50);
  // The level of the tone, as soon as there is sound.
  const listen = async () => {
    const stream = video.srcObject ?? video.captureStream();
    if (!stream?.getAudioTracks().length) return;
    const context = new AudioContext({ sampleRate: 48_000 });
    const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(new MediaStream(stream.getAudioTracks())).connect(analyser);
    const bins = new Float32Array(analyser.frequencyBinCount);
    for (let n = 0; n < 5; n++) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      analyser.getFloatFrequencyData(bins);
      seen.loudest = Math.max(seen.loudest, bins[Math.round((440 * 8192) / 48_000)]);
    }
    await context.close();
  };
  seen.listen = listen;
  return seen;
}

/** Runs in a page: what was seen. */
export async function told(seen) {
  await seen.listen().catch(() => {});
  // The last picture, too: none may have come since.
  const since = Math.round(performance.now() - seen.shown);
  if (since > seen.apart) [seen.apart, seen.parted] = [since, Number.MAX_SAFE_INTEGER];
  const { video, failures, first, began, longest, stood, apart, parted, still, frames, loudest } = seen;
  const failed = [...new Set(failures)].slice(0, 2);
  return {
    first,
    began,
    longest,
    stood,
    apart,
    parted,
    still,
    frames,
    size: video.videoWidth,
    sound: loudest > -50,
    failed,
  };
}
