//! What those who watch over the server ask: `/healthz` (does it answer), `/readyz` (may calls be sent here, and if not,
//! why) and `/metrics`. Owns who may read the metrics.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use room::Millis;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::console;
use crate::doctor;
use crate::lan;
use crate::said::{Said, said};
use crate::usage::Space;
use access::operator::{Need, Operators};
use store::Probe;
use store::clock::Clock;
use streams::live::Live;
use webhooks::Hooks;

/// Webhooks that have waited for so many seconds are reported.
const LATE: u64 = 60;

/// What those who watch over the server are answered from.
pub struct Health {
    /// Whether the store takes changes.
    pub probe: Arc<Probe>,
    /// The live service.
    pub live: Arc<dyn Live>,
    /// WebRTC, where it is on.
    pub webrtc: Option<media::rtc::Server>,
    /// Webhooks, where the store keeps a record.
    pub hooks: Option<Arc<Hooks>>,
    /// Cancelled once the server is about to end.
    pub leaving: CancellationToken,
    /// Room on the disk where keys, logs and state are kept.
    pub disk: Arc<Space>,
    /// Who may read the figures.
    pub operators: Arc<Operators>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Writes the page of `/metrics`.
    pub page: Box<dyn Fn() -> String + Send + Sync>,
}

/// The routes beside all others.
pub fn routes(health: Arc<Health>) -> Router {
    let routes = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz));
    routes.route("/metrics", get(figures)).with_state(health)
}

/// What is served at `metrics.listen`.
pub fn apart(health: Arc<Health>) -> Router {
    let routes = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz));
    routes.route("/metrics", get(figures_apart)).with_state(health)
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// Whether calls should go elsewhere while it is not well. If not, it is as bad at every other node, or only a warning.
    needed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The reason with its blanks, for pages in other languages.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<Said>,
}

fn check(name: &'static str, needed: bool, said: Option<Said>) -> Check {
    Check { name, ok: said.is_none(), needed, reason: said.as_ref().map(Said::to_string), said }
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

async fn healthz() -> Response {
    answer(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".into())
}

/// 200 if calls may be sent here, 503 if not: a change is made, because a store may answer and take none. The reply says
/// only what sort of trouble there is; the log says more.
async fn readyz(State(health): State<Arc<Health>>) -> Response {
    health.disk.ask().await;
    let mut checks = vec![
        check("leaving", true, health.leaving.is_cancelled().then(|| said!("the server is about to end"))),
        check("store", true, health.probe.ask().await.err().map(|why| Said::plain(why.to_string()))),
        check("disk", false, doctor::trouble_of(&health.disk)),
        check("live", false, health.live.is_away().then(|| said!("the live service does not answer"))),
        check("webhooks", false, late(health.hooks.as_deref(), health.clock.now())),
    ];
    if let Some(webrtc) = &health.webrtc {
        checks.push(check("webrtc", false, unreached(webrtc)));
    }
    let ready = checks.iter().all(|check| check.ok || !check.needed);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(&Readiness { ready, checks }).unwrap_or_default();
    answer(status, "application/json", body)
}

/// How far behind the webhooks are, if that is worth a word.
fn late(hooks: Option<&Hooks>, now: Millis) -> Option<Said> {
    let behind = hooks?.behind();
    let oldest = behind.iter().filter_map(|url| url.oldest).min()?;
    let seconds = now.since(oldest) / 1000;
    let events = behind.iter().map(|url| url.events).sum::<u64>();
    (seconds >= LATE).then(|| {
        said!(
            "{events} events or more are not accepted, the oldest for {seconds} s",
            events = events,
            seconds = seconds
        )
    })
}

/// Where media does not reach clients, if it is many.
fn unreached(webrtc: &media::rtc::Server) -> Option<Said> {
    let tried = webrtc.unreached()?;
    let addresses: Vec<String> = webrtc.advertised().0.iter().map(ToString::to_string).collect();
    let to = addresses.join(", ");
    Some(said!(
        "{unreached} of {clients} clients of the last 10 minutes could not reach {to}",
        unreached = tried.unreached,
        clients = tried.clients,
        to = to
    ))
}

/// `/metrics` on the public address: for this machine in development, behind an operator's key in production. A proxy
/// on the same machine makes remote callers look local, so being local is no permission there.
async fn figures(
    State(health): State<Arc<Health>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    asked: HeaderMap,
) -> Response {
    match console::admit(&health.operators, health.clock.now(), peer, &asked, Need::Look) {
        Ok(()) => told(&health).await,
        Err(refused) => *refused,
    }
}

/// `/metrics` at an address of its own: for the machines of the same network, and for operators.
async fn figures_apart(
    State(health): State<Arc<Health>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    asked: HeaderMap,
) -> Response {
    if is_near(peer.ip()) {
        return told(&health).await;
    }
    match console::admit(&health.operators, health.clock.now(), peer, &asked, Need::Look) {
        Ok(()) => told(&health).await,
        Err(refused) => *refused,
    }
}

async fn told(health: &Health) -> Response {
    health.disk.ask().await;
    answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", (health.page)())
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// Whether an address is this machine's or of a private network.
fn is_near(address: IpAddr) -> bool {
    address.to_canonical().is_loopback() || lan::is_private(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_no_stranger() {
        for near in ["127.0.0.1", "::1", "10.1.2.3", "192.168.7.7", "172.20.0.1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(is_near(near.parse().unwrap()), "{near}");
        }
        for far in ["8.8.8.8", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8", "100.64.0.1", "0.0.0.0"] {
            assert!(!is_near(far.parse().unwrap()), "{far}");
        }
    }
}
