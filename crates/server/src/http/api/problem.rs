//! What is wrong with a request of the operator API: one JSON shape for all (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::Full;
use serde::Serialize;
use utoipa::ToSchema;

use access::limits::TooMuch;
use rooms::moderation::{Code, Refused};
use store::error::Error;

/// Code and words for a body that is longer than it may be.
pub const TOO_LARGE: (&str, &str) = ("too_large", "the body is too large, or was broken off");
/// Code and words for a body that was waited for as long as it may be.
pub const TOO_SLOW: (&str, &str) = ("too_slow", "the body did not come in time");
/// Code and words for an address that asks for too much.
pub const TOO_MANY: (&str, &str) = ("too_many", "this address asks for more than it may");

/// A problem, as `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:roomservice:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status, in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// For programs.
    code: &'static str,
    /// For people.
    detail: String,
}

impl Problem {
    /// A problem with this code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem");
        Self { kind: format!("urn:roomservice:{code}"), title, status: status.as_u16(), code, detail: detail.into() }
    }

    /// The request is not of the form that it should have.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// The body is longer than it may be.
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE.0, TOO_LARGE.1)
    }

    /// The body was waited for as long as it may be.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, TOO_SLOW.0, TOO_SLOW.1)
    }

    /// There is no such thing.
    pub fn missing(code: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }
}

/// The answer to an address that asks for more than `[limits]` allows, whatever it asks of the API.
pub fn too_many(TooMuch(wait): TooMuch) -> axum::http::Response<Full<Bytes>> {
    let mut response = Problem::new(StatusCode::TOO_MANY_REQUESTS, TOO_MANY.0, TOO_MANY.1).whole();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Problem {
    /// In words alone, for who does not read the shape.
    pub fn plain(self) -> Response {
        (self.status(), self.detail).into_response()
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// As an answer whose body is there.
    fn whole(&self) -> axum::http::Response<Full<Bytes>> {
        let status = self.status();
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = axum::http::Response::new(Full::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                _ = headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                _ = headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            _ => {}
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.whole().map(axum::body::Body::new)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused.code {
            Code::NoRoom | Code::NotMember | Code::NoStream | Code::NoRecording | Code::NoMix => StatusCode::NOT_FOUND,
            Code::BadRequest | Code::TooLong | Code::NotANumber => StatusCode::BAD_REQUEST,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unknown => StatusCode::GATEWAY_TIMEOUT,
            Code::Exists
            | Code::TooMany
            | Code::Full
            | Code::Refused
            | Code::Muted
            | Code::Banned
            | Code::Elsewhere => StatusCode::CONFLICT,
        };
        Self::new(status, refused.code.text(), refused.message)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Refused::from(error).into()
    }
}

impl From<room::Refusal> for Problem {
    fn from(refusal: room::Refusal) -> Self {
        Refused::from(refusal).into()
    }
}

impl From<room::chat::Refusal> for Problem {
    fn from(refusal: room::chat::Refusal) -> Self {
        Refused::from(refusal).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use room::Millis;
    use room::chat::Refusal;

    #[test]
    fn what_the_chat_refuses_has_a_status_and_a_sentence() {
        let until = Millis(1);
        let cases = [
            (Refusal::NoGroup, 404, "no_room"),
            (Refusal::NotMember, 404, "not_member"),
            (Refusal::Muted { until }, 409, "muted"),
            (Refusal::Banned { until }, 409, "banned"),
            (Refusal::Empty { field: "text" }, 400, "bad_request"),
            (Refusal::TooLong { field: "text", max: 9 }, 400, "too_long"),
            (Refusal::TooManyGroups { max: 9 }, 409, "too_many"),
            (Refusal::TooManyConnections { max: 9 }, 409, "too_many"),
            (Refusal::GroupFull { max: 9 }, 409, "full"),
            (Refusal::TooManySanctions { max: 9 }, 409, "too_many"),
            (Refusal::MailboxFull, 409, "full"),
            (Refusal::Overloaded, 503, "unavailable"),
            (Refusal::NoConnection, 409, "refused"),
            (Refusal::Away, 503, "unavailable"),
        ];
        for (refusal, status, code) in cases {
            let problem = Problem::from(refusal);
            assert_eq!((problem.status, problem.code), (status, code), "{refusal:?}");
            assert!(problem.detail.contains(' '), "{refusal:?}: {}", problem.detail);
        }
    }
}
