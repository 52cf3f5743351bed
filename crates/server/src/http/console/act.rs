//! What operators may do from the console. Each action is one call of the part that it concerns.

use media::{Ended, StreamName};
use room::{Kind, LeaveReason, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::chat::repair::with_group;
use crate::error::Error;
use crate::recordings;

/// Most lines that a search finds.
const FOUND: usize = 500;
/// Shortest and longest text to search for, in bytes.
const NEEDLE: std::ops::RangeInclusive<usize> = 2..=200;
/// For how long who was put out of a room may not come back, unless told otherwise.
const OUT: u64 = 60;

/// An action; `seconds` of a measure: none is for ever, 0 lifts it.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Ends a room for everybody.
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
    /// Looks for a text in the log files, newest lines first.
    SearchLogs { text: String },
}

/// Why an action was not done.
#[derive(Debug)]
pub struct Refused {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

fn refused(code: &'static str, message: impl Into<String>) -> Refused {
    Refused { code, message: message.into() }
}

impl From<room::Refusal> for Refused {
    fn from(refusal: room::Refusal) -> Self {
        match refusal {
            room::Refusal::NoRoom => refused("no_room", "there is no such room"),
            room::Refusal::NotMember => refused("not_member", "not a pusher of this room"),
            other => refused("refused", format!("{other:?}")),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            other => {
                tracing::warn!(error = ?other, "an operator's action failed");
                refused("unavailable", "a part of the server is away; the log says more")
            }
        }
    }
}

impl From<room::chat::Refusal> for Refused {
    fn from(refusal: room::chat::Refusal) -> Self {
        match refusal {
            room::chat::Refusal::NoGroup => refused("no_room", "there is no such room"),
            other => refused("refused", format!("{other:?}")),
        }
    }
}

/// Does it.
pub async fn run(app: &App, action: Action) -> Result<Value, Refused> {
    match action {
        Action::CloseRoom { room_id } => {
            app.rooms.close(&RoomId::parse(&room_id)?).await?;
            Ok(json!({}))
        }
        Action::Kick { room_id, user_id } => put_out(app, &room_id, &user_id, OUT * 1000).await,
        Action::Ban { room_id, user_id, seconds } => {
            let (room, user, ms) = (RoomId::parse(&room_id)?, UserId::parse(&user_id)?, millis(seconds));
            if ms == 0 {
                with_group(&app.chat, &app.rooms, &room, || app.chat.ban(&room, &user, 0)).await?;
                return Ok(json!({}));
            }
            put_out(app, &room_id, &user_id, ms).await
        }
        Action::Mute { room_id, user_id, seconds } => {
            let (room, user, ms) = (RoomId::parse(&room_id)?, UserId::parse(&user_id)?, millis(seconds));
            with_group(&app.chat, &app.rooms, &room, || app.chat.mute(&room, &user, ms)).await?;
            Ok(json!({}))
        }
        Action::EndStream { stream } => {
            let name = StreamName::new(&stream).map_err(|_| refused("bad_request", "not a stream name"))?;
            if app.hub.end(&name, Ended::Kicked("an operator".into())) {
                return Ok(json!({}));
            }
            Err(refused("no_stream", "there is no such stream"))
        }
        Action::Notice { room_id, text } => notice(app, room_id.as_deref(), &text).await,
        Action::Record { kind, room_id, on } => {
            let streams = recordings::room(app, kind, &RoomId::parse(&room_id)?, on).await?;
            Ok(json!({ "streams": streams.iter().map(StreamName::as_str).collect::<Vec<_>>() }))
        }
        Action::DeleteRecording { file } => {
            let deleted = app.recorder.as_ref().is_some_and(|recorder| recorder.delete(&file));
            if deleted { Ok(json!({})) } else { Err(refused("no_recording", "there is no such finished recording")) }
        }
        Action::SearchLogs { text } => {
            if !NEEDLE.contains(&text.len()) {
                return Err(refused("bad_request", "2 to 200 bytes can be searched for"));
            }
            let logs = app.logs.clone();
            let lines = tokio::task::spawn_blocking(move || logs.search(&text, FOUND)).await.unwrap_or_default();
            Ok(json!({ "lines": lines }))
        }
    }
}

fn millis(seconds: Option<u64>) -> u64 {
    seconds.map_or(u64::MAX, |s| s.saturating_mul(1000))
}

/// Out of the room as pusher and as viewer, out of its chat, and the stream ended.
async fn put_out(app: &App, room: &str, user: &str, ms: u64) -> Result<Value, Refused> {
    let (room, user) = (RoomId::parse(room)?, UserId::parse(user)?);
    // The chat first: it tells the client why, before the room's news tells it that it is out.
    with_group(&app.chat, &app.rooms, &room, || app.chat.ban(&room, &user, ms)).await?;
    app.rooms.delete_viewer(&room, &user).await?;
    match app.rooms.kick(&room, &user, LeaveReason::Kicked).await {
        Ok(Some(stream)) => {
            if let Ok(name) = StreamName::new(stream.as_str()) {
                app.hub.end(&name, Ended::Kicked("an operator".into()));
            }
        }
        // A viewer is no pusher; its chat and its place are gone all the same.
        Ok(None) | Err(Error::Refused(room::Refusal::NotMember)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(json!({}))
}

async fn notice(app: &App, room: Option<&str>, text: &str) -> Result<Value, Refused> {
    if text.trim().is_empty() {
        return Err(refused("bad_request", "a notice needs a text"));
    }
    let field = json!({ "cmd": "notice", "data": text }).to_string();
    let rooms = match room {
        Some(room) => vec![RoomId::parse(room)?],
        None => app.chat.ids(),
    };
    let mut told = 0;
    for room in &rooms {
        match with_group(&app.chat, &app.rooms, room, || app.chat.notify(room, None, &field)).await {
            Ok(()) => told += 1,
            // One that closed meanwhile is no failure where all are told.
            Err(room::chat::Refusal::NoGroup) if rooms.len() > 1 => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(json!({ "rooms": told }))
}
