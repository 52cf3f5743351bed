//! What is wrong with a request of the operator API: one JSON shape for all (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use rooms::moderation::Refused;
use store::error::Error;

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

    /// There is no such thing.
    pub fn missing(code: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
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

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused.code {
            "no_room" | "not_member" | "no_stream" | "no_recording" | "no_mix" => StatusCode::NOT_FOUND,
            "bad_request" | "too_long" | "not_a_number" => StatusCode::BAD_REQUEST,
            "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "unknown" => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, refused.code, refused.message)
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
