//! A reply of the room protocol as HTTP has it.

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use http_body_util::Full;

use super::name;
use super::reply::Reply;
use crate::web::Cors;

/// An answer that is whole.
pub type Whole = axum::http::Response<Full<Bytes>>;

/// A reply as HTTP has it.
pub fn respond(cors: &Cors, path: &str, reply: Reply) -> Whole {
    let mut response = Whole::new(Full::from(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if reply.status == StatusCode::METHOD_NOT_ALLOWED
        && let Some(name) = name::find(path)
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
