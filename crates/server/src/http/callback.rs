//! `POST /weapp/callback/{im,live}`: what Tencent's services notify us of. The last part of the
//! path is a setting, so that it can be a secret: the signature does not cover the body.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use sign::Invalid;
use sign::stream_url::Query;

use super::bounded;
use crate::web::Web;
use access::bans::Bans;
use rooms::Rooms;
use tencent::clouds::{Clouds, Taken};

/// What the services' own calls work with.
pub struct Callbacks {
    /// What every request needs.
    pub web: Arc<Web>,
    /// The services, where they are configured.
    pub clouds: Arc<Clouds>,
    /// Rooms, which are given what the services notify us of.
    pub rooms: Arc<Rooms>,
    /// Who is kept out: the chat service asks.
    pub bans: Arc<Bans>,
    /// The last part of the path for chat, a setting.
    pub chat_path: String,
    /// The last part of the path for streams, a setting.
    pub live_path: String,
}

/// What the chat service is answered that asks whether a banned user may enter a group, or say something there.
const REFUSED: &str = r#"{"ActionStatus":"OK","ErrorInfo":"banned","ErrorCode":1}"#;

/// The route.
pub fn routes(callbacks: Arc<Callbacks>) -> Router {
    Router::new().route("/weapp/callback/{which}", post(take)).with_state(callbacks)
}

/// Takes one in. The services send again what is not answered with 200.
async fn take(State(door): State<Arc<Callbacks>>, Path(which): Path<String>, request: Request) -> Response {
    let now = door.web.clock.now();
    let (parts, body) = request.into_parts();
    let of_chat = door.clouds.chat.is_some() && which == door.chat_path;
    let of_live = door.clouds.live.is_some() && which == door.live_path;
    if !of_chat && !of_live {
        return StatusCode::NOT_FOUND.into_response();
    }
    let body = match bounded::of_call(&door.web.bounds, &parts, body).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let (taken, thanks) = if of_chat {
        let taken = match Query::parse(parts.uri.query().unwrap_or_default()) {
            Ok(query) => door.clouds.chat_called(&query, &body, &door.rooms, &door.bans, now).await,
            Err(why) => Err(why),
        };
        (taken, r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#)
    } else {
        (door.clouds.live_called(&body, &door.rooms, now).await, r#"{"code":0}"#)
    };
    match taken {
        Ok(Taken::Later) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Ok(Taken::Done) => ([(header::CONTENT_TYPE, "application/json")], thanks).into_response(),
        Ok(Taken::Refused) => ([(header::CONTENT_TYPE, "application/json")], REFUSED).into_response(),
        Err(why) => {
            tracing::warn!(%why, of = if of_chat { "chat" } else { "live" }, "a callback is not believed");
            let status = match why {
                Invalid::Malformed(_) => StatusCode::BAD_REQUEST,
                _ => StatusCode::FORBIDDEN,
            };
            status.into_response()
        }
    }
}
