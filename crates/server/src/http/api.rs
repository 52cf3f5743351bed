//! The operator API, `/api/v1`: what the app's backend and its tools do to a running server. Owns which path is which call;
//! the calls stand in the files beside, what they do in `crates/rooms/src/moderation.rs`.

mod bans;
mod chat;
mod document;
mod door;
mod enter;
mod examples;
mod page;
mod problem;
mod recordings;
mod records;
pub(super) mod repeat;
mod request;
mod rooms;
mod server;
mod streams;
mod tokens;
mod webhooks;

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use tower::{Service, ServiceExt};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use enter::enter;

pub use door::{Api, Tokens};
pub(super) use problem::{Problem, too_many};
pub use recordings::{EmptyView, RecordingView};
pub use repeat::Repeats;
pub use streams::StreamView;

/// The API, below its prefix. It is put together when it is first asked for: describing the calls takes more memory than
/// all else that a server at rest has.
pub fn service(
    api: &Arc<Api>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {
    let api = api.clone();
    let made = Arc::new(OnceLock::new());
    tower::service_fn(move |request| {
        let router: &Router = made.get_or_init(|| router(&api));
        router.clone().oneshot(request)
    })
}

/// The OpenAPI document, as `/api/v1/openapi.json` has it.
#[must_use]
pub fn description() -> String {
    document::whole().to_string()
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
