//! How each call of the room protocol is read, answered and noted. Knows no call: `name.rs` has their table.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use futures_util::FutureExt;
use room::UserId;
use telemetry::logs::Answered;
use telemetry::traces::{Root, Said};

use super::call::Call;
use super::door::Weapp;
use super::language;
use super::name::{self, LABELS, Name, UNKNOWN};
use super::reply::{self, Fail, Reply};
use super::request_id::RequestId;
use super::respond::{Whole, respond};
use super::run;
use crate::http::bounded;
use crate::web::Web;
use access::limits::{Budget, TooMuch};

/// The routes.
pub fn routes(weapp: Arc<Weapp>) -> Router {
    Router::new()
        .route("/weapp", any(serve))
        .route("/weapp/", any(serve))
        .route("/weapp/{*call}", any(serve))
        .with_state(weapp)
}

/// A call of the room protocol that came through the router.
async fn serve(State(weapp): State<Arc<Weapp>>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    answer(&weapp, peer, name::find(request.uri().path()), request).await.map(Body::new)
}

/// The call, if it may be made by this method; else the status of the answer.
fn admitted(found: Option<Name>, method: &Method) -> Result<Name, StatusCode> {
    match found {
        None => Err(StatusCode::NOT_FOUND),
        Some(_) if method == Method::OPTIONS => Err(StatusCode::NO_CONTENT),
        Some(name) if !name.allows(method) => Err(StatusCode::METHOD_NOT_ALLOWED),
        Some(name) => Ok(name),
    }
}

/// Whether its caller's address may ask for this, too.
fn within(web: &Web, peer: Option<IpAddr>, found: Result<Name, StatusCode>) -> Result<(), TooMuch> {
    let what = match found {
        Ok(name) => name.asks_for(),
        Err(StatusCode::METHOD_NOT_ALLOWED) => Budget::Call,
        // What is no call at all was counted by its path.
        Err(_) => return Ok(()),
    };
    peer.map_or(Ok(()), |peer| web.limits.address(peer, what))
}

/// A path as it may stand in a log: up to what no path of ours has, where a client's mistake may have put
/// a token.
fn loggable(path: &str) -> &str {
    let ours = |b: u8| b.is_ascii_alphanumeric() || b"/_-.".contains(&b);
    let end = path.bytes().take(64).take_while(|b| ours(*b)).count();
    &path[..end]
}

/// Ends a call's span, with what was answered.
fn end(traced: Root, named: usize, id: RequestId, reply: &Reply) {
    let said = vec![
        Said::Number("http.response.status_code", reply.status.as_u16().into()),
        Said::Number("roomservice.code", reply.code.into()),
        Said::Text("roomservice.request", id.to_string()),
    ];
    traced.end(LABELS[named], reply.code == reply::INTERNAL || reply.status.is_server_error(), said);
}

/// Every call of the room protocol: reads its body, answers and notes the answer.
pub async fn answer<B>(weapp: &Weapp, peer: Option<IpAddr>, found: Option<Name>, request: Request<B>) -> Whole
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let web = &weapp.web;
    let begun = web.clock.now();
    let since = Instant::now();
    let id = RequestId::next();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let named = found.map_or(UNKNOWN, Name::index);
    let found = admitted(found, &parts.method);
    let within = within(web, peer, found);
    let traced = web.traces.as_ref().and_then(|traces| traces.call(&parts.headers));
    let reply = match found {
        _ if let Err(much) = within => Reply::from_sent(Err(Fail::too_much(much)), None),
        Err(status) => Reply::status(status),
        Ok(name) => match bounded::of_call(&web.bounds, &parts, body).await {
            Err(status) => Reply::status(status),
            Ok(body) => {
                let call = Call::new(weapp, id, name, &parts, body, begun).from(peer);
                // A panic is a defect of ours: it costs this one call, whose answer has its number.
                let mut run = pin!(AssertUnwindSafe(run::answer(&call)).catch_unwind());
                let done = match &traced {
                    None => run.as_mut().await,
                    Some(traced) => Box::pin(traced.within(run.as_mut())).await,
                };
                done.unwrap_or_else(|_| Reply::internal(id))
            }
        },
    };
    let reply = if language::wants_english(&parts.headers) { reply.in_english() } else { reply };
    let took = since.elapsed();
    web.metrics.call(named, reply.code, took);
    if let Some(traced) = traced {
        end(traced, named, id, &reply);
    }
    let answered = Answered {
        request: &id,
        method: parts.method.as_str(),
        path: loggable(path),
        status: reply.status.as_u16(),
        code: reply.code,
        user: reply.user.as_ref().map(UserId::as_str),
        peer,
        ms: took.as_millis(),
    };
    // What a browser asks before a call is no call, and bounded by nothing.
    if parts.method != Method::OPTIONS {
        web.logs.answered(begun.0, &answered);
    }
    if reply.code == reply::INTERNAL {
        tracing::error!(request = %id, call = loggable(path), "a call failed inside");
    }
    respond(&web.cors, path, reply)
}
