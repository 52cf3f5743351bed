//! Bodies of requests, read whole before their handlers see them: within a size and a time, for every sender.

use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http_body_util::BodyExt;

use super::api::Problem;
use crate::web::{Current, Web};

/// Largest body of what is no call of the room protocol, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Bytes beyond the limit that are read and dropped before a request is refused: many clients look for an answer only when
/// they have written all, and see a broken connection instead.
pub const DROPPED: usize = 4 * 1024 * 1024;

/// Reads a body of at most `limit` bytes, in one piece where it came in one. What is longer is dropped as it comes, and no
/// more of it is read than `most` bytes. `None` if it is longer, or was broken off.
pub async fn take<B>(body: B, limit: usize, most: usize) -> Option<Bytes>
where
    B: HttpBody<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut read = 0_usize;
    let mut first = Bytes::new();
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        read = read.saturating_add(data.len());
        if read > most {
            return None;
        }
        if read > limit {
            first = Bytes::new();
            rest = Vec::new();
        } else if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if read > limit {
        return None;
    }
    Some(if rest.is_empty() { first } else { [&first[..], &rest[..]].concat().into() })
}

/// How long a body is, as its head says.
pub fn declared(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How many bytes of a body with this head are read, the dropped ones among them; 0: it is refused unread.
pub fn most(headers: &HeaderMap, limit: usize) -> usize {
    let declared = declared(headers).unwrap_or_default();
    let most = limit.saturating_add(DROPPED);
    // A client that asks first hears it before it sends anything.
    let asks = declared > limit && headers.contains_key(header::EXPECT);
    if asks || declared > most { 0 } else { most }
}

/// Reads the body within `http.read_timeout`.
pub async fn read(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    // Calls of the room protocol read theirs in the same way, and answer in the protocol.
    let path = request.uri().path();
    let is_call = path.starts_with("/weapp") && !path.starts_with("/weapp/callback/");
    if request.body().is_end_stream() || is_call {
        return next.run(request).await;
    }
    // Its routes put headers for pages from elsewhere on all their answers, and this is one of them.
    let is_webrtc = ["/whip/", "/whep/", "/rtc/", "/webrtc/"].iter().any(|of| path.starts_with(of));
    let (parts, body) = request.into_parts();
    let limit = web.bounds.body_limit().max(BODY_LIMIT);
    let read = match most(&parts.headers, limit) {
        0 => Ok(None),
        most => tokio::time::timeout(web.bounds.read_timeout(), take(body, limit, most)).await,
    };
    let problem = match read {
        Ok(Some(bytes)) => return next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(None) => Problem::too_large(),
        Err(_) => Problem::too_slow(),
    };
    let is_api = parts.uri.path().starts_with("/api/");
    let mut response = if is_api { problem.into_response() } else { problem.plain() };
    // What is left of the body would be taken for the next request.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    if is_webrtc {
        web.cors.apply(response.headers_mut(), false);
    }
    response
}

/// The body of a call, within these bounds.
///
/// # Errors
/// The status that says why it could not be read.
pub async fn of_call<B>(bounds: &Current, parts: &Parts, body: B) -> Result<Bytes, StatusCode>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let limit = bounds.body_limit();
    let length = declared(&parts.headers);
    let bytes = most(&parts.headers, limit);
    if length.is_some_and(|n| n > limit) {
        if bytes > 0 {
            let _ = tokio::time::timeout(bounds.read_timeout(), take(body, 0, bytes)).await;
        }
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    if length == Some(0) || parts.method == Method::GET && length.is_none() {
        return Ok(Bytes::new());
    }
    let mut whole = pin!(take(body, limit, bytes));
    // Nearly always the body came with the head: no timer then.
    let read = match whole.as_mut().now_or_never() {
        Some(read) => Ok(read),
        None => tokio::time::timeout(bounds.read_timeout(), whole).await,
    };
    match read {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}
