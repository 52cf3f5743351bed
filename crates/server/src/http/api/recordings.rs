//! Recordings of streams: list, fetch, delete; start and stop those of a room.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use media::record::{Empty, Recording};
use room::Room;
use serde::Serialize;
use utoipa::ToSchema;

use super::door::Api;
use super::page::Asked;
use super::problem::Problem;
use super::request::{Answer, Caller, Done, Path, Query, room_of};
use crate::http::recorded;
use access::operator::Need;
use rooms::recordings;

/// A recording.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Recording)]
pub struct RecordingView {
    /// Its file.
    file: String,
    /// What was recorded.
    stream: String,
    /// When it began, in Unix milliseconds.
    started: u64,
    /// Bytes so far.
    size: u64,
    /// Milliseconds that it plays so far.
    duration: u64,
    /// Whether it is still being written.
    running: bool,
}

impl From<Recording> for RecordingView {
    fn from(recording: Recording) -> Self {
        Self {
            duration: u64::try_from(recording.duration.as_millis()).unwrap_or(u64::MAX),
            file: recording.file,
            stream: recording.stream,
            started: recording.started,
            size: recording.size,
            running: recording.running,
        }
    }
}

/// A recording without a file: no keyframe has come since it was asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EmptyRecording)]
pub struct EmptyView {
    /// What was to be recorded.
    stream: String,
    /// When that was asked for, in Unix milliseconds.
    asked: u64,
    /// Milliseconds that a keyframe was waited for.
    waited: u64,
    /// Whether it still waits.
    running: bool,
}

impl From<Empty> for EmptyView {
    fn from(empty: Empty) -> Self {
        let waited = u64::try_from(empty.waited.as_millis()).unwrap_or(u64::MAX);
        Self { stream: empty.stream, asked: empty.asked, waited, running: empty.running }
    }
}

/// A page of recordings.
#[derive(Serialize, ToSchema)]
pub struct RecordingPage {
    /// The recordings, by file.
    recordings: Vec<RecordingView>,
    /// The cursor of the next page; none: this was the last.
    next: Option<String>,
    /// Recordings without a file: the last that ended so, and those that wait for a keyframe. The same on every page.
    empty: Vec<EmptyView>,
}

fn none() -> Problem {
    Problem::missing("no_recording", "there is no such recording")
}

/// The recordings on this machine.
#[utoipa::path(get, operation_id = "listRecordings", path = "/recordings", tag = "recordings", params(Asked),
    responses((status = 200, description = "A page of recordings", body = RecordingPage)))]
pub async fn list(State(api): State<Arc<Api>>, caller: Caller, Query(asked): Query<Asked>) -> Answer<RecordingPage> {
    caller.may(Need::Listen)?;
    let recordings = api.recorder.as_ref().map(|recorder| recorder.list()).unwrap_or_default();
    let (recordings, next) = asked.page(recordings, |recording| recording.file.clone())?;
    let empty = api.recorder.as_ref().map(|recorder| recorder.empty()).unwrap_or_default();
    Ok(axum::Json(RecordingPage {
        recordings: recordings.into_iter().map(RecordingView::from).collect(),
        next,
        empty: empty.into_iter().map(EmptyView::from).collect(),
    }))
}

/// A recording's bytes: all, or those of `Range`. A download that was cut off goes on with `If-Range`.
#[utoipa::path(get, operation_id = "getRecordingFile", path = "/recordings/{file}", tag = "recordings", params(("file" = String, Path)),
    responses((status = 200, description = "The file", content_type = "video/mp4", body = [u8]),
        (status = 206, description = "The part of it that `Range` asks for", content_type = "video/mp4", body = [u8]),
        (status = 416, description = "It has no such part")))]
pub async fn fetch(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Need::Listen)?;
    recorded::fetch(api.recorder.clone(), file, &headers).await.ok_or_else(none)
}

/// Deletes a finished recording.
#[utoipa::path(delete, operation_id = "deleteRecording", path = "/recordings/{file}", tag = "recordings", params(("file" = String, Path)),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(State(api): State<Arc<Api>>, caller: Caller, Path(file): Path<String>) -> Done {
    caller.may(Need::Record)?;
    let deleted = api.recorder.as_ref().is_some_and(|recorder| recorder.delete(&file));
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(none()) }
}

/// The streams for which something changed.
#[derive(Serialize, ToSchema)]
pub struct Streams {
    /// Their names.
    streams: Vec<String>,
    /// Those of them whose recording was stopped before anything was recorded.
    empty: Vec<EmptyView>,
}

async fn turn(api: &Api, caller: &Caller, room: &str, on: bool) -> Answer<Streams> {
    let room = room_of(room)?;
    caller.may(Need::Record)?;
    if api.recorder.is_none() {
        return Err(Problem::new(StatusCode::CONFLICT, "not_allowed", "record.enabled is off"));
    }
    let mut kind = None;
    api.rooms.see_any(&room, &mut |room: &Room, _| kind = Some(room.kind)).await?;
    let streams =
        recordings::room(&api.rooms, &api.hub, api.recorder.as_ref(), kind.ok_or(room::Refusal::NoRoom)?, &room, on)
            .await?;
    let names = streams.iter().map(|changed| changed.stream.to_string()).collect();
    let empty = streams.into_iter().filter_map(|changed| changed.empty).map(EmptyView::from).collect();
    Ok(axum::Json(Streams { streams: names, empty }))
}

/// Records a room's streams, and its mixes that are streams of their own, from now until that is stopped or the room closes.
#[utoipa::path(put, operation_id = "startRecording", path = "/rooms/{room}/recording", tag = "recordings", params(("room" = String, Path)),
    responses((status = 200, description = "The streams that are recorded from now on", body = Streams)))]
pub async fn start(State(api): State<Arc<Api>>, caller: Caller, Path(room): Path<String>) -> Answer<Streams> {
    turn(&api, &caller, &room, true).await
}

/// Stops recording a room's streams.
#[utoipa::path(delete, operation_id = "stopRecording", path = "/rooms/{room}/recording", tag = "recordings", params(("room" = String, Path)),
    responses((status = 200, description = "The streams that are recorded no more", body = Streams)))]
pub async fn stop(State(api): State<Arc<Api>>, caller: Caller, Path(room): Path<String>) -> Answer<Streams> {
    turn(&api, &caller, &room, false).await
}
