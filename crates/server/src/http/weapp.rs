//! The room protocol, `/weapp/`: what its calls work with, and how each of them is read, answered and noted. Knows no call:
//! `call.rs` has their table.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use futures_util::FutureExt;
use http_body_util::Full;
use room::UserId;

use super::call::{self, Call, LABELS, RequestId};
use super::checks::Checks;
use super::language;
use super::limited;
use super::reply::{self, Fail, Reply};
use crate::web::{Cors, Web};
use access::bans::Bans;
use access::identity::Identity;
use access::operator::Operators;
use access::sessions::Sessions;
use rooms::Rooms;
use rooms::recordings::Listed;
use store::Store;
use streams::live::{Live, Urls};
use telemetry::logs::Answered;
use telemetry::traces::{Root, Said};

/// What calls of the room protocol work with.
pub struct Weapp {
    /// What every request needs.
    pub web: Arc<Web>,
    /// Rooms.
    pub rooms: Arc<Rooms>,
    /// Push and play URLs.
    pub urls: Arc<Urls>,
    /// The live service, which mixes.
    pub live: Arc<dyn Live>,
    /// User signatures.
    pub identity: Arc<Identity>,
    /// Session tokens.
    pub sessions: Arc<Sessions>,
    /// Who is kept out.
    pub bans: Arc<Bans>,
    /// Operators, whom `utils` answers.
    pub operators: Arc<Operators>,
    /// Where sessions that ended are kept, and who agreed to be mixed with whom.
    pub store: Arc<dyn Store>,
    /// Chat in this process, which ends with a session.
    pub chat: Arc<chat::Hub>,
    /// What `check_config` asks.
    pub checks: Checks,
    /// Settings that calls look at.
    pub choices: Choices,
}

/// Settings that calls of the room protocol look at.
#[derive(Clone, Copy, Debug)]
pub struct Choices {
    /// A proxy in front does TLS, and what it says of the client's request is believed.
    pub tls_by_proxy: bool,
    /// Every caller may call `webrtc_room`.
    pub open_webrtc: bool,
    /// The number that names of streams begin with.
    pub bizid: u32,
    /// Whose a stream is, is kept: somebody may tell of it, or record it.
    pub keep_owners: bool,
    /// Which finished recordings members may list.
    pub listed: Listed,
    /// Clients of 2017 are answered, on this machine.
    pub generation0: bool,
    /// Members may mix streams of rooms that are kept elsewhere.
    pub mix_elsewhere: bool,
}

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
    answer(&weapp, peer, call::find(request.uri().path()), request).await.map(Body::new)
}

/// An answer that is whole.
pub type Whole = axum::http::Response<Full<Bytes>>;

/// The call, if it may be made by this method; else the status of the answer.
fn admitted(found: Option<call::Found>, method: &Method) -> Result<call::Found, StatusCode> {
    match found {
        None => Err(StatusCode::NOT_FOUND),
        Some(_) if method == Method::OPTIONS => Err(StatusCode::NO_CONTENT),
        Some((_, name)) if !name.allows(method) => Err(StatusCode::METHOD_NOT_ALLOWED),
        Some(found) => Ok(found),
    }
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
pub async fn answer<B>(weapp: &Weapp, peer: Option<IpAddr>, found: Option<call::Found>, request: Request<B>) -> Whole
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let web = &weapp.web;
    let (begun, since) = (web.clock.now(), Instant::now());
    let id = RequestId::next();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let named = found.map_or(call::UNKNOWN, |(_, name)| name.index());
    let found = admitted(found, &parts.method);
    let within = match (found, peer) {
        (Ok((_, name)), Some(peer)) => web.limits.address(peer, limited::what(name)),
        _ => Ok(()),
    };
    let traced = web.traces.as_ref().and_then(|traces| traces.call(&parts.headers));
    let reply = match found {
        Err(status) => Reply::status(status),
        Ok(_) if let Err(much) = within => Reply::from_sent(Err(Fail::too_much(much)), None),
        Ok((kind, name)) => match call::read(&web.bounds, &parts, body).await {
            Err(status) => Reply::status(status),
            Ok(body) => {
                let call = Call::new(weapp, id, kind, name, &parts, body, begun).from(peer);
                // A panic is a defect of ours: it costs this one call, whose answer has its number.
                let run = AssertUnwindSafe(call.answer()).catch_unwind();
                let done = match &traced {
                    None => run.await,
                    Some(traced) => Box::pin(traced.within(run)).await,
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
        path: call::loggable(path),
        status: reply.status.as_u16(),
        code: reply.code,
        user: reply.user.as_ref().map(UserId::as_str),
        peer,
        ms: took.as_millis(),
    };
    web.logs.answered(begun.0, &answered);
    if reply.code == reply::INTERNAL {
        tracing::error!(request = %id, call = call::loggable(path), "a call failed inside");
    }
    respond(&web.cors, path, reply)
}

/// A reply as HTTP has it.
pub fn respond(cors: &Cors, path: &str, reply: Reply) -> Whole {
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
    cors.apply(headers, reply.status == StatusCode::NO_CONTENT);
    response
}
