//! A page that publishes the camera by WHIP and plays it by WHEP, on 127.0.0.1:8090, to try the media server in a real
//! browser without the rest of the house. RTMP publishers may come to port 1936.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{delete, get, post};
use media::hub::{Hub, Settings};
use media::name::{Protocol, StreamName};
use media::request::{PlayOptions, PublishOptions, Query, Request, What};
use media::rtc::{Answer, Config, Refused, Server};
use tokio_util::sync::CancellationToken;

const PAGE: &str = r#"<!doctype html><title>rtc demo</title><video id=v autoplay muted playsinline></video><pre id=out>...</pre>
<script type=module>
const wait = ms => new Promise(r => setTimeout(r, ms));
async function exchange(pc, url) {
  await pc.setLocalDescription();
  const r = await fetch(url, {method: 'POST', headers: {'content-type': 'application/sdp'}, body: pc.localDescription.sdp});
  const text = await r.text();
  if (!r.ok) throw new Error(url + ': ' + r.status + ' ' + text);
  await pc.setRemoteDescription({type: 'answer', sdp: text});
}
const q = new URLSearchParams(location.search), stream = q.get('stream') || 'demo', seconds = +(q.get('seconds') || 8);
const report = {};
try {
  if (!q.get('playonly')) {
    const up = new RTCPeerConnection();
    const media = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 360, frameRate: 30}, audio: true});
    for (const track of media.getTracks()) up.addTransceiver(track, {direction: 'sendonly', streams: [media]});
    const h264 = RTCRtpReceiver.getCapabilities('video').codecs.filter(c => c.mimeType != 'video/VP8' && c.mimeType != 'video/VP9');
    up.getTransceivers().find(t => t.sender.track.kind == 'video').setCodecPreferences(h264);
    await exchange(up, '/whip/' + stream);
    window.up = up;
    await wait(2000);
  }
  const down = new RTCPeerConnection();
  down.addTransceiver('video', {direction: 'recvonly'});
  down.addTransceiver('audio', {direction: 'recvonly'});
  const all = new MediaStream();
  down.ontrack = e => { all.addTrack(e.track); v.srcObject = all; };
  const t0 = performance.now();
  v.onloadeddata = () => report.firstPictureMs ??= Math.round(performance.now() - t0);
  await exchange(down, '/whep/' + stream);
  await wait(seconds * 1000);
  for (const s of (await down.getStats()).values()) {
    if (s.type == 'inbound-rtp') report[s.kind] = {frames: s.framesDecoded, size: [s.frameWidth, s.frameHeight], fps: s.framesPerSecond,
      packets: s.packetsReceived, lost: s.packetsLost, delayMs: Math.round(s.jitterBufferDelay / s.jitterBufferEmittedCount * 1000),
      energy: s.totalAudioEnergy, concealed: s.concealedSamples, received: s.totalSamplesReceived, decoder: s.decoderImplementation,
      keys: s.keyFramesDecoded, playout: s.estimatedPlayoutTimestamp, freezes: s.freezeCount, plis: s.pliCount};
  }
  if (report.video && report.audio) report.lipSyncMs = Math.round(report.video.playout - report.audio.playout);
  const c = document.createElement('canvas'); c.width = v.videoWidth; c.height = v.videoHeight;
  const g = c.getContext('2d'); g.drawImage(v, 0, 0); report.pixel = [...g.getImageData(10, 10, 1, 1).data];
  report.ok = true;
} catch (e) { report.error = String(e); }
out.textContent = JSON.stringify(report, null, 1);
await fetch('/report', {method: 'POST', body: out.textContent});
</script>"#;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::new(Settings::default());
    let (requests, mut inbox) = media::request::channel(64, Duration::from_secs(5));
    tokio::spawn(async move {
        while let Some(request) = inbox.recv().await {
            match request {
                Request::Publish(ask) => ask.accept(PublishOptions::default()),
                Request::Play(ask) => ask.accept(PlayOptions::default()),
            }
        }
    });
    let mut config = Config::default();
    config.udp = (Ipv4Addr::UNSPECIFIED, 8000).into();
    config.tcp = Some((Ipv4Addr::UNSPECIFIED, 8000).into());
    let server = Server::start(config, hub.clone(), requests.clone(), CancellationToken::new())?;
    let app = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/whip/{stream}", post(whip))
        .route("/whep/{stream}", post(whep))
        .route("/session/{id}", delete(gone))
        .route("/report", post(|body: String| async move { println!("{body}") }))
        .with_state(server.clone());
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 8090)).await?;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            for s in hub.list() {
                eprintln!(
                    "{} {:?} {:.1} fps {} bit/s {:?}",
                    s.name,
                    s.video.map(|v| (v.width, v.height, v.mime)),
                    s.frame_rate,
                    s.bitrate_in,
                    s.readers
                );
            }
            eprintln!("{:?}", server.counters());
        }
    });
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
}

fn what(stream: &str, protocol: Protocol, peer: SocketAddr) -> Result<What, StatusCode> {
    let stream = StreamName::new(stream).map_err(|_| StatusCode::NOT_FOUND)?;
    Ok(What { stream, app: "live".into(), query: Query::default(), protocol, peer })
}

fn reply(answer: Result<Answer, Refused>) -> Response {
    match answer {
        Ok(answer) => {
            let mut headers = HeaderMap::new();
            let location = format!("/session/{}", answer.session);
            headers.insert(header::LOCATION, location.parse().expect("hexadecimal"));
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/sdp"));
            (StatusCode::CREATED, headers, answer.sdp).into_response()
        }
        Err(refused) => (StatusCode::NOT_ACCEPTABLE, refused.to_string()).into_response(),
    }
}

async fn whip(
    State(server): State<Server>,
    Path(stream): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    offer: String,
) -> Result<Response, StatusCode> {
    Ok(reply(server.publish(&offer, what(&stream, Protocol::Whip, peer)?).await))
}

async fn whep(
    State(server): State<Server>,
    Path(stream): Path<String>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    offer: String,
) -> Result<Response, StatusCode> {
    Ok(reply(server.play(&offer, what(&stream, Protocol::Whep, peer)?).await))
}

async fn gone(State(server): State<Server>, Path(id): Path<String>) -> StatusCode {
    server.delete(&id).await.map_or(StatusCode::NOT_FOUND, |()| StatusCode::OK)
}
