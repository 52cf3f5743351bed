//! `POST /weapp/callback/{im,live}`: what Tencent's services tell us by themselves. The last part of the
//! path is a setting, so that it can be a secret: the signature does not cover the body.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sign::Invalid;
use sign::stream_url::Query;

use super::call;
use crate::app::App;

/// Takes one in. The services send again what is not answered with 200.
pub async fn take(State(app): State<Arc<App>>, Path(which): Path<String>, request: Request) -> Response {
    let now = app.clock.now();
    let (parts, body) = request.into_parts();
    let (chat, live) = (&app.settings.chat.tencent.callback_path, &app.settings.live.tencent.callback_path);
    let of_chat = app.clouds.chat.is_some() && which == *chat;
    let of_live = app.clouds.live.is_some() && which == *live;
    if !of_chat && !of_live {
        return StatusCode::NOT_FOUND.into_response();
    }
    let body = match call::read(&app, &parts, body).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let (taken, thanks) = if of_chat {
        let taken = match Query::parse(parts.uri.query().unwrap_or_default()) {
            Ok(query) => app.clouds.chat_called(&query, &body, &app.rooms, now).await,
            Err(why) => Err(why),
        };
        (taken, r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#)
    } else {
        (app.clouds.live_called(&body, &app.rooms, now).await, r#"{"code":0}"#)
    };
    match taken {
        Ok(()) => ([(header::CONTENT_TYPE, "application/json")], thanks).into_response(),
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
