//! The operators' console: `GET /console/events` pushes what the server does, `POST /console/act` changes it.
//! Owns who is let in; what is shown and done stands in the files beside.

mod act;
mod beside;
mod snapshot;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{Stream, stream};
use media::Hub;
use media::record::Recorder;
use room::Millis;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::checks::Checks;
use super::{operators, recorded};
use crate::figures::Figures;
use crate::web::Web;
use access::operator::{Need, Operators};
use rooms::Rooms;
use rooms::moderation::Moderation;
use streams::live::Live;
use telemetry::logs::Line;
use webhooks::Hooks;

/// Time between two snapshots.
const EVERY: Duration = Duration::from_secs(1);
/// Most consoles open at a time: each costs a look at everything a second.
const MOST: usize = 16;
/// Most log lines that go out together.
const LINES: usize = 200;
/// Largest request to act, in bytes.
const BODY: usize = 16 * 1024;

/// What the console works with.
pub struct Console {
    /// What every request needs.
    pub web: Arc<Web>,
    /// Who may look and act.
    pub operators: Arc<Operators>,
    /// Putting users out, mutes and notices.
    pub moderation: Moderation,
    /// Rooms.
    pub rooms: Arc<Rooms>,
    /// Chat in this process.
    pub chat: Arc<chat::Hub>,
    /// Streams of the media server in this process.
    pub hub: Hub,
    /// The live service, which mixes.
    pub live: Arc<dyn Live>,
    /// Recordings, if the operator allows any.
    pub recorder: Option<Recorder>,
    /// Webhooks, where the store keeps a record.
    pub hooks: Option<Arc<Hooks>>,
    /// What the graphs are made of.
    pub figures: Arc<Figures>,
    /// WebRTC, if it runs.
    pub webrtc: Option<media::rtc::Server>,
    /// The settings, and what is wrong with them.
    pub checks: Checks,
}

impl Console {
    /// Whether this request is an operator's who may do this, made from a page of ours.
    fn admit(&self, peer: SocketAddr, headers: &HeaderMap, need: Need<'_>) -> Result<(), Box<Response>> {
        admit(&self.operators, self.web.clock.now(), peer, headers, need)
    }
}

/// The routes.
pub fn routes(console: Arc<Console>) -> Router {
    Router::new()
        .route("/console/events", get(events))
        .route("/console/recordings/{file}", get(recording))
        .route("/console/act", post(act).layer(DefaultBodyLimit::max(BODY)))
        .with_state(console)
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "code": code, "message": message }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// Whether this request is an operator's who may do this, made from a page of ours.
pub(super) fn admit(
    operators: &Operators,
    now: Millis,
    peer: SocketAddr,
    headers: &HeaderMap,
    need: Need<'_>,
) -> Result<(), Box<Response>> {
    let operator =
        operators::admit(operators, now, Some(peer), headers).map_err(|r| refuse(r.status, r.code, r.message))?;
    if operator.may(need) {
        return Ok(());
    }
    Err(refuse(StatusCode::FORBIDDEN, "forbidden", "this key may not do that").into())
}

/// One console that is open.
struct Watch {
    console: Arc<Console>,
    /// By which it was let in.
    peer: SocketAddr,
    headers: HeaderMap,
    begun: bool,
    beat: Interval,
    lines: broadcast::Receiver<Line>,
    _place: OwnedSemaphorePermit,
}

async fn events(
    State(console): State<Arc<Console>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    static PLACES: std::sync::LazyLock<Arc<Semaphore>> = std::sync::LazyLock::new(|| Arc::new(Semaphore::new(MOST)));
    if let Err(refused) = console.admit(peer, &headers, Need::Listen) {
        return *refused;
    }
    let Ok(place) = PLACES.clone().try_acquire_owned() else {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "too_many", "too many consoles are open");
    };
    let lines = console.web.logs.tail();
    let mut beat = interval(EVERY);
    // A console that was asleep does not want the seconds that it slept through.
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch { console, peer, headers, begun: false, beat, lines, _place: place };
    let mut response = Sse::new(pushed(watch)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
    // nginx in front must hand it on at once.
    headers.insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

/// First what does not change, then a snapshot a second, and log lines as they come. Ends within a second of the key or token
/// by which it was opened.
fn pushed(watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(watch, |mut watch| async move {
        let (name, value) = if std::mem::replace(&mut watch.begun, true) {
            tokio::select! {
                biased;
                _ = watch.beat.tick() => {
                    watch.console.admit(watch.peer, &watch.headers, Need::Listen).ok()?;
                    ("snapshot", snapshot::now(&watch.console).await)
                }
                lines = gather(&mut watch.lines) => ("lines", json!(lines)),
            }
        } else {
            ("hello", snapshot::hello(&watch.console).await)
        };
        Some((Ok(Event::default().event(name).data(value.to_string())), watch))
    })
}

/// The next line and those that are there already. Waits for nothing after it took a line, so that none is lost when
/// the snapshot's time comes first.
async fn gather(lines: &mut broadcast::Receiver<Line>) -> Vec<Line> {
    let mut found = vec![match lines.recv().await {
        Ok(line) => line,
        Err(RecvError::Lagged(missed)) => Line::missed(missed),
        // The logs live as long as the server.
        Err(RecvError::Closed) => std::future::pending().await,
    }];
    while found.len() < LINES
        && let Ok(line) = lines.try_recv()
    {
        found.push(line);
    }
    found
}

async fn recording(
    State(console): State<Arc<Console>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = console.admit(peer, &headers, Need::Listen) {
        return *refused;
    }
    let none = || refuse(StatusCode::NOT_FOUND, "no_recording", "there is no such recording");
    recorded::fetch(console.recorder.clone(), file, &headers).await.unwrap_or_else(none)
}

async fn act(
    State(console): State<Arc<Console>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refused) = console.admit(peer, &headers, Need::Listen) {
        return *refused;
    }
    // A form of another site cannot have this type without asking first, and it is not allowed when it asks.
    let is_json = |h: &axum::http::HeaderValue| h.to_str().is_ok_and(|h| h.starts_with("application/json"));
    if !headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "Content-Type: application/json");
    }
    let action: act::Action = match serde_json::from_slice(&body) {
        Ok(action) => action,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, "bad_request", &why.to_string()),
    };
    // Looking through logs, or at a stream or a recording, changes nothing.
    let looks = matches!(action, act::Action::SearchLogs { .. } | act::Action::Watch { .. } | act::Action::Play { .. });
    let need = if looks { Need::Listen } else { Need::Server };
    if let Err(refused) = console.admit(peer, &headers, need) {
        return *refused;
    }
    tracing::info!(%peer, ?action, "an operator acts");
    match act::run(&console, action).await {
        Ok(mut answer) => {
            answer["code"] = Value::from(0);
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, answer.to_string()).into_response()
        }
        Err(why) => refuse(StatusCode::CONFLICT, why.code.text(), &why.message),
    }
}
