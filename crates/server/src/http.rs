//! The HTTP server: which path is which call. Every call's own file says what it takes and gives, and each group of calls
//! has a door: the parts that it works with.

mod api;
mod bounded;
mod callback;
mod checks;
mod connections;
mod console;
mod flv;
mod heads;
mod health;
mod hls;
mod http2;
mod impatient;
mod limited;
mod operators;
mod pages;
mod pullstream;
mod recorded;
mod redirect;
mod rtc_session;
mod streaming;
mod weapp;
pub mod webrtc;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get};

use crate::chat_door::ChatDoor;
use crate::web::Web;
use crate::webim;
use crate::ws;

pub use api::{Api, Repeats, Tokens, description};
pub use callback::Callbacks;
pub use checks::Checks;
pub use connections::{Routes, serve};
pub use console::Console;
pub use health::Health;
pub use rtc_session::{Sessions, answer as answer_of_sessions};
pub use streaming::Media;
pub use weapp::{Choices, LABELS, Weapp, codes};

/// What each group of handlers works with.
#[derive(Clone)]
pub struct Doors {
    /// Every request.
    pub web: Arc<Web>,
    /// Calls of the room protocol.
    pub weapp: Arc<Weapp>,
    /// What Tencent's services notify us of.
    pub callbacks: Arc<Callbacks>,
    /// Streams.
    pub media: Arc<Media>,
    /// Chat.
    pub chat: Arc<ChatDoor>,
    /// The operator API.
    pub api: Arc<Api>,
    /// The operators' console.
    pub console: Arc<Console>,
    /// What those who watch over the server ask.
    pub health: Arc<Health>,
}

/// Everything that is served.
pub fn router(doors: &Doors) -> Router {
    Router::new()
        .merge(pages::routes(doors.media.cors.clone()))
        .merge(console::routes(doors.console.clone()))
        .merge(health::routes(doors.health.clone()))
        .merge(streaming::routes(doors.media.clone()))
        .nest_service("/api/v1", api::service(&doors.api))
        .merge(callback::routes(doors.callbacks.clone()))
        .merge(weapp::routes(doors.weapp.clone()))
        .merge(chat_routes(doors.chat.clone()))
        .layer(DefaultBodyLimit::max(bounded::BODY_LIMIT))
        .layer(axum::middleware::from_fn_with_state(doors.web.clone(), bounded::read))
}

fn chat_routes(door: Arc<ChatDoor>) -> Router {
    Router::new()
        .route("/ws", get(ws::connect))
        .route("/ws/validate", get(ws::validate))
        .route("/v4/{service}/{command}", any(webim::serve))
        .route("/v1/{service}/{command}", any(webim::serve))
        .with_state(door)
}

#[cfg(test)]
mod tests;
