// What runs inside a browser's page, or in Node over @roamhq/wrtc's names: a WHIP publisher and a WHEP player.
// `client(role, codec, url, seconds, words)` gives a report; `window.told` grows while it runs.
(() => {
  const RSA = {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  };
  const told = [];
  const say = (fields) => told.push(fields);
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  function picture(width, height, rate) {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext('2d');
    let n = 0;
    setInterval(() => {
      pen.fillStyle = `hsl(${(n * 3) % 360},60%,50%)`;
      pen.fillRect(0, 0, width, height);
      pen.fillStyle = '#fff';
      pen.fillRect((n * 7) % (width - 40), 0, 40, height);
      n += 1;
    }, 1000 / rate);
    return canvas.captureStream(rate).getVideoTracks()[0];
  }

  function tone(context) {
    const source = context.createOscillator();
    const to = context.createMediaStreamDestination();
    source.frequency.value = 440;
    source.connect(to);
    source.start();
    return to.stream.getAudioTracks()[0];
  }

  /** Firefox runs no AudioContext where no sound card is; its fake microphone plays a tone. */
  async function microphone() {
    return (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks()[0];
  }

  /** The frequency that is strongest in a spectrum, null for silence. */
  function peak(analyser, rate) {
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    let at = 1;
    for (let i = 2; i < bins.length - 1; i += 1) if (bins[i] > bins[at]) at = i;
    if (!(bins[at] > -70)) return null;
    const [a, b, c] = [bins[at - 1], bins[at], bins[at + 1]];
    return Math.round(((at + (a - c) / (2 * (a - 2 * b + c))) * rate) / analyser.fftSize);
  }

  async function inbound(pc) {
    const found = {};
    for (const s of (await pc.getStats()).values()) {
      if (s.type === 'inbound-rtp') found[s.kind] = s;
      if (s.type === 'outbound-rtp' && s.kind === 'video') found.out = s;
    }
    return found;
  }

  /** Prefers a codec where the browser can; false: it has none of that name. */
  function prefer(pc, role, codec) {
    if (codec === 'default') return true;
    const side = role === 'publish' ? RTCRtpSender : RTCRtpReceiver;
    const able = side.getCapabilities('video').codecs;
    say({ able: [...new Set(able.map((c) => c.mimeType))] });
    const wanted = able.filter((c) => c.mimeType.toUpperCase() === `VIDEO/${codec}`);
    if (wanted.length === 0) return false;
    const helpers = able.filter((c) => /rtx|red|ulpfec|flexfec/i.test(c.mimeType));
    const video = pc.getTransceivers().find((t) => (t.sender.track ?? t.receiver.track).kind === 'video');
    video.setCodecPreferences([...wanted, ...helpers]);
    return true;
  }

  function gathered(pc) {
    if (pc.iceGatheringState === 'complete') return null;
    const complete = new Promise((resolve) => {
      pc.addEventListener('icegatheringstatechange', () => pc.iceGatheringState === 'complete' && resolve());
    });
    return Promise.race([complete, sleep(3000)]);
  }

  async function send(pc, url) {
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc);
    const offer = pc.localDescription.sdp;
    say({ offer });
    const start = performance.now();
    const reply = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: offer });
    const body = await reply.text();
    const ms = () => Math.round(performance.now() - start);
    say(reply.status === 201 ? { status: 201, answer: body, answered_ms: ms() } : { status: reply.status, body });
    if (reply.status !== 201) return null;
    pc.addEventListener('iceconnectionstatechange', () => say({ ice_connection_state: pc.iceConnectionState }));
    pc.addEventListener('connectionstatechange', () => {
      say({ connection_state: pc.connectionState });
      if (pc.connectionState === 'connected') say({ connected_ms: ms() });
    });
    await pc.setRemoteDescription({ type: 'answer', sdp: body });
    return { ms, place: new URL(reply.headers.get('location'), url).href };
  }

  /** Adds the two lines. Gives a function that reads the tone which is heard. */
  async function lines(pc, role, words) {
    const context = new AudioContext({ sampleRate: 48_000 });
    const order = words.includes('lines=sound') ? ['audio', 'video'] : ['video', 'audio'];
    if (role === 'publish') {
      const sound = words.includes('microphone') ? await microphone() : tone(context);
      const stream = new MediaStream([picture(640, 360, 25), sound]);
      for (const kind of order) {
        const track = stream.getTracks().find((t) => t.kind === kind);
        pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
      }
      return () => null;
    }
    for (const kind of order) pc.addTransceiver(kind, { direction: 'recvonly' });
    const analyser = context.createAnalyser();
    analyser.fftSize = 16_384;
    const shown = document.createElement('video');
    Object.assign(shown, { muted: true, autoplay: true, srcObject: new MediaStream() });
    document.documentElement.append(shown);
    pc.addEventListener('track', ({ track }) => {
      shown.srcObject.addTrack(track);
      if (track.kind === 'audio') context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    });
    return () => peak(analyser, context.sampleRate);
  }

  async function measure(pc, session, seconds, hear) {
    const end = performance.now() + seconds * 1000;
    let first;
    let middle;
    while (performance.now() < end) {
      const { video } = await inbound(pc);
      const now = performance.now();
      if (first === undefined && video?.framesDecoded > 0) {
        first = [now, video.framesDecoded];
        say({ first_ms: session.ms() });
      }
      if (first && !middle && now > (first[0] + end) / 2) middle = [now, video.framesDecoded];
      await sleep(first === undefined ? 20 : 200);
    }
    const { video, audio } = await inbound(pc);
    const now = performance.now();
    const frames = video?.framesDecoded ?? 0;
    // Pictures a second in the second half, and how many more than that came in the first: what was sent at once.
    const fps = middle ? ((frames - middle[1]) * 1000) / (now - middle[0]) : 0;
    const surplus = first ? Math.max(0, Math.round(frames - (fps * (now - first[0])) / 1000)) : 0;
    const size = video?.frameWidth ? `${video.frameWidth}x${video.frameHeight}` : null;
    const lost = { packets: video?.packetsReceived, freezes: video?.freezeCount, plis: video?.pliCount };
    const samples = audio?.totalSamplesReceived ?? audio?.packetsReceived ?? 0;
    const energy = audio?.totalAudioEnergy;
    say({ frames, fps: Math.round(fps * 10) / 10, surplus, size, samples, energy, hz: hear(), lost });
  }

  async function client(role, codec, url, seconds, words) {
    const certificates = words.includes('rsa') ? [await RTCPeerConnection.generateCertificate(RSA)] : undefined;
    const pc = new RTCPeerConnection(certificates ? { certificates } : {});
    const hear = await lines(pc, role, words);
    if (!prefer(pc, role, codec)) return say({ unable: `has no ${codec}` });
    const session = await send(pc, url);
    if (!session) return say({ stopped: 'refused' });
    if (role === 'play') await measure(pc, session, seconds, hear);
    else {
      await sleep(seconds * 1000);
      const { out } = await inbound(pc);
      say({ sent: out?.framesEncoded ?? 0, plis: out?.pliCount });
    }
    say({ deleted: (await fetch(session.place, { method: 'DELETE' })).status });
    pc.close();
  }

  window.told = told;
  window.client = (...all) => client(...all).catch((e) => say({ stopped: `${e.name}: ${e.message}` }));
})();
