//! What operators may do from the console. Each action is one call of the part that it concerns.

use room::{Kind, RoomId, StreamId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Console;
use crate::http::api::EmptyView;
use rooms::moderation::{self, Code, Out, Refused, refused};
use rooms::recordings;
use streams::live::{Base, Scheme};

/// Most lines that a search finds.
const FOUND: usize = 500;
/// Shortest and longest text to search for, in bytes.
const NEEDLE: std::ops::RangeInclusive<usize> = 2..=200;

/// An action; `seconds` of a measure: none is for ever, 0 lifts it.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Ends a room for all its users.
    CloseRoom {
        #[serde(rename = "roomID")]
        room_id: String,
    },
    /// Puts a user out of a room: no longer a pusher, stream ended, out of the chat for a minute.
    Kick {
        #[serde(rename = "roomID")]
        room_id: String,
        #[serde(rename = "userID")]
        user_id: String,
    },
    /// Lets a user say nothing in a room.
    Mute {
        #[serde(rename = "roomID")]
        room_id: String,
        #[serde(rename = "userID")]
        user_id: String,
        seconds: Option<u64>,
    },
    /// Keeps a user out of a room's chat, and puts it out of the room.
    Ban {
        #[serde(rename = "roomID")]
        room_id: String,
        #[serde(rename = "userID")]
        user_id: String,
        seconds: Option<u64>,
    },
    /// Ends a stream: its publisher and all viewers.
    EndStream { stream: String },
    /// Says something to a room, or to all of them.
    Notice {
        #[serde(rename = "roomID")]
        room_id: Option<String>,
        text: String,
    },
    /// Records what is pushed in a room, or stops that.
    Record {
        kind: Kind,
        #[serde(rename = "roomID")]
        room_id: String,
        on: bool,
    },
    /// Deletes a finished recording.
    DeleteRecording { file: String },
    /// Ends a mix; its inputs go on.
    EndMix { session: String },
    /// Asks every configured service whether it admits us with these settings.
    CheckConfig {},
    /// Looks for a text in the log files, newest lines first.
    SearchLogs { text: String },
    /// Permits to see a stream.
    Watch { stream: String },
    /// Permits to see a finished recording.
    Play { file: String },
}

/// Does it.
pub async fn run(console: &Console, action: Action) -> Result<Value, Refused> {
    match action {
        Action::CloseRoom { room_id } => {
            console.rooms.close(&RoomId::parse(&room_id)?).await?;
            Ok(json!({}))
        }
        Action::Kick { room_id, user_id } => {
            let room = RoomId::parse(&room_id)?;
            let user = UserId::parse(&user_id)?;
            console.moderation.kick(&room, &user, moderation::KICKED).await?;
            Ok(json!({}))
        }
        Action::Ban { room_id, user_id, seconds } => {
            ban(console, &RoomId::parse(&room_id)?, &UserId::parse(&user_id)?, seconds).await?;
            Ok(json!({}))
        }
        Action::Mute { room_id, user_id, seconds } => {
            console.moderation.mute(&RoomId::parse(&room_id)?, &UserId::parse(&user_id)?, seconds).await?;
            Ok(json!({}))
        }
        Action::EndStream { stream } => {
            console.moderation.end_stream(&stream).await?;
            Ok(json!({}))
        }
        Action::Notice { room_id, text } => {
            let room = room_id.as_deref().map(RoomId::parse).transpose()?;
            Ok(json!({ "rooms": console.moderation.notice(room.as_ref(), &text).await? }))
        }
        Action::Record { kind, room_id, on } => {
            let streams = recordings::room(
                &console.rooms,
                &console.hub,
                console.recorder.as_ref(),
                kind,
                &RoomId::parse(&room_id)?,
                on,
            )
            .await?;
            let empty: Vec<EmptyView> = streams.iter().filter_map(|c| c.empty.clone()).map(EmptyView::from).collect();
            let names: Vec<&str> = streams.iter().map(|changed| changed.stream.as_str()).collect();
            Ok(json!({ "streams": names, "empty": empty }))
        }
        Action::DeleteRecording { file } => {
            let deleted = console.recorder.as_ref().is_some_and(|recorder| recorder.delete(&file));
            if deleted { Ok(json!({})) } else { Err(refused(Code::NoRecording, "there is no such finished recording")) }
        }
        Action::EndMix { session } => {
            if console.live.end_mix(&session) {
                Ok(json!({}))
            } else {
                Err(refused(Code::NoMix, "there is no such mix"))
            }
        }
        Action::CheckConfig {} => Ok(json!({ "problems": console.checks.ask().await })),
        Action::SearchLogs { text } => Ok(json!({ "lines": search(console, text).await? })),
        Action::Watch { stream } => watch(console, &stream),
        Action::Play { file } => play(console, &file),
    }
}

async fn search(console: &Console, text: String) -> Result<Vec<telemetry::logs::Line>, Refused> {
    if !NEEDLE.contains(&text.len()) {
        return Err(refused(Code::BadRequest, "2 to 200 bytes can be searched for"));
    }
    let logs = console.web.logs.clone();
    Ok(tokio::task::spawn_blocking(move || logs.search(&text, FOUND)).await.unwrap_or_default())
}

/// Where a browser plays a stream, by a URL that is no user's. The page takes its path and query: the host is the page's own.
fn watch(console: &Console, stream: &str) -> Result<Value, Refused> {
    let urls = &console.moderation.urls;
    if urls.elsewhere().is_some() {
        return Err(refused(Code::Elsewhere, "streams are elsewhere, and cannot be seen here"));
    }
    let stream = StreamId::parse(stream).map_err(|_| refused(Code::NoStream, "there is no such stream"))?;
    let base = Base { scheme: Scheme::Http, authority: "localhost" };
    let plays = urls.plays(base, None, console.web.clock.now());
    Ok(json!({ "whepURL": plays.of(&stream, None).whep().to_string() }))
}

/// Where a browser plays a recording by parts, as for a stream: a media element cannot send a key.
fn play(console: &Console, file: &str) -> Result<Value, Refused> {
    let base = Base { scheme: Scheme::Http, authority: "localhost" };
    let list = console.recorder.as_ref().map(|recorder| recorder.list()).unwrap_or_default();
    let is_whole = list.iter().any(|known| known.file == file && !known.running);
    let plays = console.moderation.urls.plays(base, None, console.web.clock.now());
    let url = is_whole.then(|| plays.recording(file, None)).flatten();
    let url = url.ok_or_else(|| refused(Code::NoRecording, "there is no such recording"))?;
    Ok(json!({ "playURL": url }))
}

/// A ban, or its end.
async fn ban(console: &Console, room: &RoomId, user: &UserId, seconds: Option<u64>) -> Result<(), Refused> {
    if seconds == Some(0) {
        return console.moderation.let_in(user, Some(room)).await.map(drop);
    }
    let out = Out { user, room: Some(room), seconds, reason: "", kick: false };
    console.moderation.put_out(out).await.map(drop)
}
