//! The operator API, `/api/v1`: what the app's backend and its tools do to a running server. Owns who is let in, how a
//! request is read and how it is said what is wrong; the calls stand in the files beside, what they do in `rooms/moderation.rs`.

mod bans;
mod chat;
mod document;
mod page;
mod problem;
mod recordings;
mod records;
pub(super) mod repeat;
mod rooms;
mod server;
mod streams;
mod tokens;
mod webhooks;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, body};
use media::Hub;
use media::record::Recorder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use room::{RoomId, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tower::{Service, ServiceExt};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::operators;
use crate::figures::Figures;
use crate::web::{Current, Web};
use ::rooms::Rooms;
use ::rooms::moderation::Moderation;
use ::streams::live::Live;
use ::webhooks::Hooks;
use access::identity::Identity;
use access::operator::{Need, Operator, Operators};
use access::sessions::Sessions;
use problem::Problem;
use repeat::{Given, Seen};

/// Longest time of a measure, in seconds: ten years. Without a time it has no end.
const LONGEST: u64 = 315_360_000;

/// What ids keep of themselves in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub use recordings::{EmptyView, RecordingView};
pub use repeat::Repeats;
pub use streams::StreamView;

/// What the operator API works with.
pub struct Api {
    /// What every request needs.
    pub web: Arc<Web>,
    /// Who may call.
    pub operators: Arc<Operators>,
    /// Putting users out, mutes and notices.
    pub moderation: Moderation,
    /// Rooms.
    pub rooms: Arc<Rooms>,
    /// Chat in this process.
    pub chat: Arc<::chat::Hub>,
    /// Streams of the media server in this process.
    pub hub: Hub,
    /// The live service, which mixes.
    pub live: Arc<dyn Live>,
    /// Recordings, if the operator allows any.
    pub recorder: Option<Recorder>,
    /// Webhooks, where the store keeps a record.
    pub hooks: Option<Arc<Hooks>>,
    /// How much there is of everything.
    pub figures: Arc<Figures>,
    /// What logs users in.
    pub tokens: Tokens,
    /// Requests that come again.
    pub repeats: Arc<Repeats>,
}

/// What users are logged in with.
pub struct Tokens {
    /// User signatures.
    pub identity: Arc<Identity>,
    /// Session tokens.
    pub sessions: Arc<Sessions>,
    /// Seconds for which those are good.
    pub lifetime: u64,
}

/// The API, below its prefix. It is put together when it is first asked for: describing the calls takes more memory than
/// all else that a server at rest has.
pub fn service(
    api: &Arc<Api>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {
    let (api, made) = (api.clone(), Arc::new(OnceLock::new()));
    tower::service_fn(move |request| {
        let router: &Router = made.get_or_init(|| router(&api));
        router.clone().oneshot(request)
    })
}

fn router(api: &Arc<Api>) -> Router {
    let (router, _) = described();
    router
        .fallback(|| async { Problem::missing("no_such_path", "the document at /api/v1/openapi.json has the paths") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "bad_method", "Allow names the methods of this path")
        })
        .layer(middleware::from_fn_with_state(api.clone(), enter))
        .with_state(api.clone())
        .merge(document::routes())
}

/// The routes and what the document says of them: from the same lines, so that neither can be without the other.
fn described() -> (Router<Arc<Api>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(document::head())
        .routes(routes!(rooms::list, rooms::create))
        .routes(routes!(rooms::show, rooms::update, rooms::close))
        .routes(routes!(rooms::members))
        .routes(routes!(rooms::audience))
        .routes(routes!(bans::kick))
        .routes(routes!(bans::list))
        .routes(routes!(bans::ban, bans::unban))
        .routes(routes!(bans::ban_in_room, bans::unban_in_room))
        .routes(routes!(chat::mute, chat::unmute))
        .routes(routes!(chat::messages, chat::send))
        .routes(routes!(chat::notice))
        .routes(routes!(chat::notice_all))
        .routes(routes!(streams::list))
        .routes(routes!(streams::show, streams::end))
        .routes(routes!(streams::mixes))
        .routes(routes!(streams::end_mix))
        .routes(routes!(streams::mix))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::fetch, recordings::delete))
        .routes(routes!(records::list))
        .routes(routes!(records::show, records::delete))
        .routes(routes!(recordings::start, recordings::stop))
        .routes(routes!(tokens::session))
        .routes(routes!(tokens::user_sig))
        .routes(routes!(tokens::operator))
        .routes(routes!(server::stats))
        .routes(routes!(webhooks::replay))
        .split_for_parts()
}

/// Lets an operator in, and sees to requests that come again.
async fn enter(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let operator = match operators::admit(&api.operators, api.web.clock.now(), peer, request.headers()) {
        Ok(operator) => operator,
        Err(refused) => return Problem::new(refused.status, refused.code, refused.message).into_response(),
    };
    let mark = operator.mark();
    request.extensions_mut().insert(operator);
    let changes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method());
    if changes {
        tracing::info!(?peer, method = %request.method(), path = request.uri().path(), "an operator acts");
    }
    let name = request.headers().get(repeat::HEADER).filter(|_| changes).cloned();
    let mut response = match name {
        None => next.run(request).await,
        Some(name) => match name.to_str() {
            Ok(name) if repeat::is_name(name) => once(&api, &mark, name, request, next).await,
            _ => Problem::malformed("Idempotency-Key: 1 to 255 letters, digits, '-' and '_'").into_response(),
        },
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Does a request that has a name, unless it was done.
async fn once(api: &Api, mark: &str, name: &str, request: Request, next: Next) -> Response {
    let (parts, content) = request.into_parts();
    let content = match read(&api.web.bounds, content).await {
        Ok(content) => content,
        Err(problem) => return problem.into_response(),
    };
    let asked = digest::digest(&digest::SHA256, &content).as_ref().try_into().unwrap_or([0; 32]);
    // A name is its operator's and its call's: no operator gets an answer to another who may do something else.
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let name = format!("{name} {} {path} {mark}", parts.method);
    let seen = match api.repeats.begin(&name, asked, api.web.clock.now()).await {
        Ok(seen) => seen,
        Err(error) => return Problem::from(error).into_response(),
    };
    match seen {
        Seen::New => {}
        Seen::Running => {
            let detail = "the first request of this Idempotency-Key is still being done";
            return Problem::new(StatusCode::CONFLICT, "running", detail).into_response();
        }
        Seen::Other => {
            let detail = "this Idempotency-Key was given to another request";
            return Problem::new(StatusCode::CONFLICT, "key_reused", detail).into_response();
        }
        Seen::Done(Given { status, headers, body }) => {
            let mut response = (status, body).into_response();
            *response.headers_mut() = headers;
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            return response;
        }
    }
    let (limit, repeats) = (api.web.bounds.body_limit(), api.repeats.clone());
    let mark = repeat::mark(&[name.as_bytes(), &asked]);
    // What has begun is brought to its end, also when the client goes away: it will ask what came of it.
    let work = tokio::spawn(async move {
        let request = Request::from_parts(parts, Body::from(content));
        let response = ::rooms::once::named(mark, next.run(request)).await;
        let (parts, content) = response.into_parts();
        let kept = body::to_bytes(content, limit.max(1 << 20)).await.unwrap_or_default();
        let given = Given { status: parts.status, headers: parts.headers.clone(), body: kept.clone() };
        repeats.end(&name, Some(given).filter(|given| !given.status.is_server_error())).await;
        Response::from_parts(parts, Body::from(kept))
    });
    work.await.unwrap_or_else(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a defect of ours; the log says more")
            .into_response()
    })
}

async fn read(bounds: &Current, content: Body) -> Result<bytes::Bytes, Problem> {
    match tokio::time::timeout(bounds.read_timeout(), body::to_bytes(content, bounds.body_limit())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not come in time")),
    }
}

/// The operator who calls.
struct Caller(Operator);

impl Caller {
    /// Refuses what the operator may not do.
    fn may(&self, need: Need<'_>) -> Result<(), Problem> {
        if self.0.may(need) {
            return Ok(());
        }
        let detail = "this key or token does not allow it; docs/api.md has the grants";
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
    }

    /// A room of the path, if the operator may act on it.
    fn room(&self, id: &str) -> Result<RoomId, Problem> {
        let room = room_of(id)?;
        self.may(Need::Room(&room))?;
        Ok(room)
    }

    /// A room of the path, if the operator may hear what is said in it.
    fn listen(&self, id: &str) -> Result<RoomId, Problem> {
        let room = room_of(id)?;
        self.may(Need::Hear(&room))?;
        Ok(room)
    }

    /// A room of the path, if the operator may see it.
    fn look(&self, id: &str) -> Result<RoomId, Problem> {
        let room = room_of(id)?;
        self.may(Need::LookAt(&room))?;
        Ok(room)
    }
}

fn room_of(id: &str) -> Result<RoomId, Problem> {
    Ok(RoomId::parse(id)?)
}

fn user_of(id: &str) -> Result<UserId, Problem> {
    Ok(UserId::parse(id)?)
}

/// A whole number that may be written as 60.0, as some JSON libraries do.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let float = || number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and in the range")]
    let found = number.as_u64().or_else(|| float().map(|n| n as u64));
    found.map(Some).ok_or_else(|| serde::de::Error::custom("not a whole number"))
}

/// A time of a measure.
fn bounded(seconds: Option<u64>) -> Result<Option<u64>, Problem> {
    if seconds.is_some_and(|seconds| seconds > LONGEST) {
        return Err(Problem::malformed(format!("seconds: at most {LONGEST}; leave it out for no end")));
    }
    Ok(seconds)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let nobody = || Problem::new(StatusCode::UNAUTHORIZED, "unauthorised", "operators only");
        parts.extensions.get::<Operator>().cloned().map(Self).ok_or_else(nobody)
    }
}

/// A body of JSON.
struct Json<T>(T);

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let is_json = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let content = read(&api.web.bounds, request.into_body()).await?;
        if content.is_empty() {
            return Err(Problem::malformed("a body of JSON is needed; {} has no fields"));
        }
        if !is_json {
            let detail = "Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
        }
        let json = &mut serde_json::Deserializer::from_slice(&content);
        let parsed = serde_path_to_error::deserialize(&mut *json).map_err(|why| Problem::malformed(why.to_string()))?;
        json.end().map_err(|why| Problem::malformed(why.to_string()))?;
        Ok(Self(parsed))
    }
}

/// What stands in the query.
struct Query<T>(T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|why| Problem::malformed(why.body_text()))
    }
}

/// What stands in the path.
struct Path<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|why| Problem::malformed(why.body_text()))
    }
}

/// Done, and there is nothing to say.
type Done = Result<StatusCode, Problem>;

/// An answer as JSON.
type Answer<T> = Result<axum::Json<T>, Problem>;
