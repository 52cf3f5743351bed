//! Bodies of requests, read whole before their handlers see them: within a size and a time, whoever sends them.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;

/// Reads the body within `http.read_timeout`. One that is declared too large is not begun.
pub async fn read(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Calls of the room protocol read theirs in the same way, and answer in the protocol.
    let path = request.uri().path();
    let is_call = path.starts_with("/weapp") && !path.starts_with("/weapp/callback/");
    if request.body().is_end_stream() || is_call {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let limit = app.http.body_limit().max(super::BODY_LIMIT);
    let read = tokio::time::timeout(app.http.read_timeout(), axum::body::to_bytes(body, limit)).await;
    let (status, why) = match read {
        Ok(Ok(bytes)) => return next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or was broken off"),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    // What is left of the body would be taken for the next request.
    (status, [(header::CONNECTION, "close")], why).into_response()
}
