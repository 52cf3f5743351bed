//! Webhooks: telling again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use room::Millis;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::door::Api;
use super::problem::Problem;
use super::request::{Caller, Json, room_of};
use access::operator::Need;

/// What to tell again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The first event.
    from: Begin,
    /// Of this room only.
    #[serde(rename = "roomID", default)]
    #[schema(pattern = "^[!#-&(-_a-~]{1,64}$")]
    room: Option<String>,
}

/// The first event that is told again: one of the three.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The event of this `id`.
    #[serde(default)]
    id: Option<String>,
    /// The room's change of this `seq`; with `roomID`.
    #[serde(default, deserialize_with = "super::request::whole")]
    seq: Option<u64>,
    /// The first event of this time or later, in Unix milliseconds.
    #[serde(default, deserialize_with = "super::request::whole")]
    time: Option<u64>,
}

/// How much is told again.
#[derive(Serialize, ToSchema)]
pub struct Replayed {
    /// Events.
    events: usize,
    /// URLs that still hear an earlier replay, and are left out of this one.
    #[serde(rename = "leftOut")]
    left_out: usize,
}

/// Tells every webhook again what happened from some point on, as far as it is kept: under the ids that the events had,
/// in the background. An event that a URL does not accept is tried four times. `409 running`: every URL still hears an earlier
/// replay.
#[utoipa::path(post, operation_id = "replayWebhooks", path = "/webhooks/replay", tag = "server", request_body = Replay,
    responses((status = 202, description = "How much is told again, in the background", body = Replayed)))]
pub async fn replay(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(replay): Json<Replay>,
) -> Result<(StatusCode, axum::Json<Replayed>), Problem> {
    caller.may(Need::Server)?;
    let off = || Problem::new(StatusCode::CONFLICT, "no_webhooks", "webhooks.urls is empty");
    let hooks = api.hooks.as_ref().filter(|hooks| hooks.is_on()).ok_or_else(off)?;
    let room = replay.room.as_deref().map(room_of).transpose()?;
    let from = match (replay.from.id, replay.from.seq, replay.from.time) {
        (Some(id), None, None) if !webhooks::Cursor::is_id(&id) => {
            return Err(Problem::malformed("from: id is that of an event: numbers with '-' between them"));
        }
        (Some(id), None, None) => webhooks::Cursor::Id(id),
        (None, Some(seq), None) if room.is_some() => webhooks::Cursor::Seq(seq),
        (None, None, Some(time)) => webhooks::Cursor::Time(Millis(time)),
        _ => return Err(Problem::malformed("from: one of id, seq (with roomID) and time")),
    };
    let replayed = hooks.replay(from, room).await.map_err(|why| match why {
        webhooks::NotReplayed::Off => off(),
        webhooks::NotReplayed::Running => {
            let detail = "every URL still hears an earlier replay: ask again when that is over";
            Problem::new(StatusCode::CONFLICT, "running", detail)
        }
        webhooks::NotReplayed::Store(error) => error.into(),
    })?;
    let webhooks::Replayed { events, left_out } = replayed;
    Ok((StatusCode::ACCEPTED, axum::Json(Replayed { events, left_out })))
}
