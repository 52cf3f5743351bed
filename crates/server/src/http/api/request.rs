//! What a request of the operator API brings: who calls and what they may, path, query and body, each refused with a problem
//! that names what is wrong; and the shapes of answers.

use std::sync::Arc;

use access::operator::{Need, Operator};
use axum::body::{self, Body};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use room::{RoomId, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::door::Api;
use super::problem::Problem;
use crate::web::Current;

/// Longest time of a measure, in seconds: ten years. Without a time it has no end.
const LONGEST: u64 = 315_360_000;

/// What ids keep of themselves in a path.
pub const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The body, within these bounds.
pub async fn read(bounds: &Current, content: Body) -> Result<bytes::Bytes, Problem> {
    match tokio::time::timeout(bounds.read_timeout(), body::to_bytes(content, bounds.body_limit())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Problem::too_large()),
        Err(_) => Err(Problem::too_slow()),
    }
}

/// The operator who calls.
pub struct Caller(pub Operator);

impl Caller {
    /// Refuses what the operator may not do.
    pub fn may(&self, need: Need<'_>) -> Result<(), Problem> {
        if self.0.may(need) {
            return Ok(());
        }
        let detail = "this key or token does not allow it; docs/api.md has the grants";
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
    }

    /// A room of the path, if the operator may act on it.
    pub fn room(&self, id: &str) -> Result<RoomId, Problem> {
        let room = room_of(id)?;
        self.may(Need::Room(&room))?;
        Ok(room)
    }

    /// A room of the path, if the operator may hear what is said in it.
    pub fn listen(&self, id: &str) -> Result<RoomId, Problem> {
        let room = room_of(id)?;
        self.may(Need::Hear(&room))?;
        Ok(room)
    }

    /// A room of the path, if the operator may see it.
    pub fn look(&self, id: &str) -> Result<RoomId, Problem> {
        let room = room_of(id)?;
        self.may(Need::LookAt(&room))?;
        Ok(room)
    }
}

/// A room of the path.
pub fn room_of(id: &str) -> Result<RoomId, Problem> {
    Ok(RoomId::parse(id)?)
}

/// A user of the path or the body.
pub fn user_of(id: &str) -> Result<UserId, Problem> {
    Ok(UserId::parse(id)?)
}

/// A whole number that may be written as 60.0, as some JSON libraries do.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let float = || number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and in the range")]
    let found = number.as_u64().or_else(|| float().map(|n| n as u64));
    found.map(Some).ok_or_else(|| serde::de::Error::custom("not a whole number"))
}

/// A time of a measure.
pub fn bounded(seconds: Option<u64>) -> Result<Option<u64>, Problem> {
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
pub struct Json<T>(pub T);

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
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|why| Problem::malformed(why.body_text()))
    }
}

/// What stands in the path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|why| Problem::malformed(why.body_text()))
    }
}

/// Done, and there is nothing to say.
pub type Done = Result<StatusCode, Problem>;

/// An answer as JSON.
pub type Answer<T> = Result<axum::Json<T>, Problem>;
