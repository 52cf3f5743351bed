//! Finished recordings in one list: those of this node's recorder, and those that a live service told of.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use room::{RoomId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::door::Api;
use super::page;
use super::problem::Problem;
use super::request::{Answer, Caller, Done, Path, Query, room_of, user_of};
use super::rooms::RoomKind;
use ::rooms::recordings::finished::{Finished, Place, is_id};
use access::operator::Need;

/// Which finished recordings.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Of this room only.
    #[param(pattern = "^[!#-&(-_a-~]{1,64}$", required = false)]
    room: Option<String>,
    /// Of this user's streams only.
    #[param(pattern = "^[!#-&(-_a-~]{1,64}$", required = false)]
    user: Option<String>,
    /// How many, at most.
    #[param(minimum = 1, maximum = 200, required = false)]
    limit: Option<usize>,
    /// `next` of the page before; none: the first page.
    #[param(pattern = "^[!-~]{1,600}$", required = false)]
    cursor: Option<String>,
}

/// A finished recording.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Record)]
pub struct RecordView {
    /// Its id.
    #[serde(rename = "recordID")]
    id: String,
    /// The room, where it is known.
    #[serde(rename = "roomID")]
    room: Option<String>,
    /// The room's kind, where it is known.
    kind: Option<RoomKind>,
    /// What the room said of itself.
    title: String,
    /// Who pushed, where it is known.
    #[serde(rename = "userID")]
    user: Option<String>,
    /// What was recorded.
    stream: String,
    /// When it began, in Unix milliseconds.
    started: u64,
    /// Milliseconds that it plays.
    duration: u64,
    /// Bytes.
    size: u64,
    /// Its file, of `GET /recordings/{file}`, where this node's recorder made it.
    file: Option<String>,
    /// Where it plays, where a live service has it.
    url: Option<String>,
}

impl RecordView {
    fn new(id: String, record: Finished) -> Self {
        let (file, url) = match record.place {
            Place::File(file) => (Some(file), None),
            Place::Url(url) => (None, Some(url)),
        };
        Self {
            id,
            room: record.room.map(|room| room.to_string()),
            kind: record.kind.map(RoomKind::of),
            title: record.title,
            user: record.user.map(|user| user.to_string()),
            stream: record.stream,
            started: record.started.0,
            duration: record.duration,
            size: record.size,
            file,
            url,
        }
    }
}

/// A page of finished recordings.
#[derive(Serialize, ToSchema)]
pub struct RecordPage {
    /// The recordings, newest first.
    records: Vec<RecordView>,
    /// The cursor of the next page; none: this was the last.
    next: Option<String>,
}

fn none() -> Problem {
    Problem::missing("no_recording", "there is no such recording")
}

/// Finished recordings, newest first.
#[utoipa::path(get, operation_id = "listRecords", path = "/records", tag = "recordings", params(Asked),
    responses((status = 200, description = "A page of finished recordings", body = RecordPage)))]
pub async fn list(State(api): State<Arc<Api>>, caller: Caller, Query(asked): Query<Asked>) -> Answer<RecordPage> {
    let limit = page::limit(asked.limit)?;
    let room: Option<RoomId> = asked.room.as_deref().map(room_of).transpose()?;
    let user: Option<UserId> = asked.user.as_deref().map(user_of).transpose()?;
    if asked.cursor.as_deref().is_some_and(|cursor| !is_id(cursor)) {
        return Err(Problem::malformed("cursor: next of the page before"));
    }
    caller.may(Need::Listen)?;
    let wanted = |record: &Finished| {
        room.as_ref().is_none_or(|room| record.room.as_ref() == Some(room))
            && user.as_ref().is_none_or(|user| record.user.as_ref() == Some(user))
    };
    let found = api.rooms.records(asked.cursor.as_deref(), limit, &wanted).await?;
    let records = found.records.into_iter().map(|(id, record)| RecordView::new(id, record)).collect();
    Ok(axum::Json(RecordPage { records, next: found.next }))
}

/// One finished recording.
#[utoipa::path(get, operation_id = "getRecord", path = "/records/{record}", tag = "recordings", params(("record" = String, Path)),
    responses((status = 200, description = "The recording", body = RecordView)))]
pub async fn show(State(api): State<Arc<Api>>, caller: Caller, Path(id): Path<String>) -> Answer<RecordView> {
    caller.may(Need::Listen)?;
    let id = Some(id).filter(|id| is_id(id)).ok_or_else(none)?;
    let record = api.rooms.recorded(&id).await?.ok_or_else(none)?;
    Ok(axum::Json(RecordView::new(id, record)))
}

/// Takes a finished recording out of the list, and its file off this node's disk. What a live service has stays there.
#[utoipa::path(delete, operation_id = "deleteRecord", path = "/records/{record}", tag = "recordings", params(("record" = String, Path)),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(State(api): State<Arc<Api>>, caller: Caller, Path(id): Path<String>) -> Done {
    caller.may(Need::Record)?;
    if is_id(&id) && api.rooms.unlist(&id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(none()) }
}
