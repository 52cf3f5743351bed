//! The HTTP server: which path is which call. Every call's own file says what it takes and gives.

mod api;
mod audience;
mod body;
mod bounded;
mod call;
mod callback;
mod connections;
mod console;
mod current;
mod custom;
mod flv;
mod heads;
mod health;
mod hls;
mod http2;
mod impatient;
mod limited;
mod login;
mod mix;
mod operators;
mod pages;
mod pushers;
mod redirect;
mod reply;
mod rooms;
mod urls;
mod utils;
mod view;
pub mod webrtc;
mod webrtc_room;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get, patch, post};
use futures_util::FutureExt;
use http_body_util::{Either, Full};
use room::UserId;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::webim;
use crate::ws;
use call::{Call, RequestId};
use reply::{Fail, Reply};
use telemetry::logs::Answered;
use telemetry::traces::Said;

pub use call::LABELS;
pub use connections::{Doors, serve};
pub use current::{Cors, Current};

/// `[http]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who may call from a browser: `*` or one origin; empty: nobody from elsewhere.
    pub cors: String,
    /// Largest body of a call, in bytes.
    pub body_limit: usize,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Seconds within which a request's head and body must have come.
    pub read_timeout: u64,
    /// Seconds within which a client must take something of what it is sent.
    pub write_timeout: u64,
    /// A proxy in front does TLS: `X-Forwarded-Proto` and `X-Forwarded-Host` are believed.
    pub tls_by_proxy: bool,
    /// Addresses and networks of proxies, whose `X-Forwarded-For` and PROXY protocol are believed.
    pub trusted_proxies: Vec<String>,
    /// Connections begin with a header of the PROXY protocol (version 1 or 2), and come from trusted proxies only.
    pub proxy_protocol: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5757)),
            cors: "*".into(),
            body_limit: 64 * 1024,
            max_connections: 50_000,
            read_timeout: 10,
            write_timeout: 30,
            tls_by_proxy: false,
            trusted_proxies: vec!["127.0.0.1".into(), "::1".into()],
            proxy_protocol: false,
        }
    }
}

/// Largest body of what is no call of the room protocol, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// Everything that is served.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(pages::routes())
        .merge(console::routes())
        .merge(health::routes())
        .merge(media_routes())
        .nest_service("/api/v1", api::service(&app))
        .route("/weapp", any(weapp))
        .route("/weapp/", any(weapp))
        .route("/weapp/callback/{which}", post(callback::take))
        .route("/weapp/{*call}", any(weapp))
        .route("/ws", get(ws::connect))
        .route("/ws/validate", get(ws::validate))
        .route("/v4/{service}/{command}", any(webim::serve))
        .route("/v1/{service}/{command}", any(webim::serve))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(axum::middleware::from_fn_with_state(app.clone(), bounded::read))
        .with_state(app)
}

fn media_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/live/{file}", get(hls::or_flv))
        .route("/live/{stream}/{file}", get(hls::file))
        .route("/whip/{stream}", post(webrtc::whip).options(webrtc::preflight))
        .route("/whep/{stream}", post(webrtc::whep).options(webrtc::preflight))
        .route("/rtc/session/{id}", patch(webrtc::patch).delete(webrtc::delete).options(webrtc::preflight))
        .route("/rtc/v1/publish/", post(webrtc::json_publish).options(webrtc::preflight))
        .route("/rtc/v1/play/", post(webrtc::json_play).options(webrtc::preflight))
        .layer(axum::middleware::map_response(retry_after))
}

/// Whoever is told to come later is told when.
async fn retry_after(mut response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
    }
    response
}

/// A call of the room protocol that came through the router.
async fn weapp(State(app): State<Arc<App>>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    answer(&app, peer, call::find(request.uri().path()), request).await.map(Body::new)
}

/// An answer that is whole, and one of any kind.
type Whole = axum::http::Response<Full<Bytes>>;
type Answer = axum::http::Response<Either<Full<Bytes>, Body>>;

/// Every call of the room protocol: reads its body, answers and notes the answer.
async fn answer<B>(app: &App, peer: Option<IpAddr>, found: Option<call::Found>, request: Request<B>) -> Whole
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let (begun, since) = (app.clock.now(), Instant::now());
    let id = RequestId::next();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let named = found.map_or(call::UNKNOWN, |(_, name)| name.index());
    let found = match found {
        None => Err(StatusCode::NOT_FOUND),
        Some(_) if parts.method == Method::OPTIONS => Err(StatusCode::NO_CONTENT),
        Some((_, name)) if !name.allows(&parts.method) => Err(StatusCode::METHOD_NOT_ALLOWED),
        Some(found) => Ok(found),
    };
    let within = match (found, peer) {
        (Ok((_, name)), Some(peer)) => app.limits.address(peer, limited::what(name)),
        _ => Ok(()),
    };
    let traced = app.traces.as_ref().and_then(|traces| traces.call(&parts.headers));
    let reply = match found {
        Err(status) => Reply::status(status),
        Ok(_) if let Err(much) = within => Reply::from_sent(Err(Fail::too_much(much)), None),
        Ok((kind, name)) => match call::read(app, &parts, body).await {
            Err(status) => Reply::status(status),
            Ok(body) => {
                let call = Call::new(app, id, kind, name, &parts, body, begun).from(peer);
                // A panic is a defect of ours: it costs this one call and is told with its number.
                let run = AssertUnwindSafe(call.run()).catch_unwind();
                let done = match &traced {
                    None => run.await,
                    Some(traced) => Box::pin(traced.within(run)).await,
                };
                done.unwrap_or_else(|_| Reply::internal(id))
            }
        },
    };
    let took = since.elapsed();
    app.metrics.call(named, reply.code, took);
    if let Some(traced) = traced {
        let said = vec![
            Said::Number("http.response.status_code", reply.status.as_u16().into()),
            Said::Number("roomservice.code", reply.code.into()),
            Said::Text("roomservice.request", id.to_string()),
        ];
        traced.end(LABELS[named], reply.code == reply::INTERNAL || reply.status.is_server_error(), said);
    }
    let answered = Answered {
        request: &id,
        method: parts.method.as_str(),
        path: call::loggable(path),
        status: reply.status.as_u16(),
        code: reply.code,
        user: reply.user.as_ref().map(UserId::as_str),
        peer,
        ms: took.as_millis(),
    };
    app.logs.answered(begun.0, &answered);
    if reply.code == reply::INTERNAL {
        tracing::error!(request = %id, call = call::loggable(path), "a call failed inside");
    }
    respond(app, path, reply)
}

fn respond(app: &App, path: &str, reply: Reply) -> Whole {
    let mut response = Whole::new(Full::from(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if reply.status == StatusCode::METHOD_NOT_ALLOWED
        && let Some((_, name)) = call::find(path)
    {
        headers.insert(header::ALLOW, HeaderValue::from_static(name.methods()));
    }
    match reply.wait {
        Some(wait) => _ = headers.insert(header::RETRY_AFTER, HeaderValue::from(wait)),
        None if reply.status == StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        None => {}
    }
    app.cors.apply(headers, reply.status == StatusCode::NO_CONTENT);
    response
}

#[cfg(test)]
mod tests;
