//! Chat: what was said in a room, saying something in somebody's name or as the system, and muting.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use room::chat::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::door::Api;
use super::problem::Problem;
use super::request::{Answer, Caller, Done, Json, Path, Query, bounded, user_of};
use access::operator::Need;
use chat::render;
use chat::say::{self, Unfit};
use rooms::groups::with_group;

/// Most messages of an answer.
const MOST: usize = 100;
/// The largest number that every JSON library takes.
const LAST: u64 = (1 << 53) - 1;

/// What is said elsewhere is not known here.
fn here(api: &Api) -> Result<(), Problem> {
    let elsewhere = || Problem::new(StatusCode::CONFLICT, "elsewhere", "chat.provider: chat is at another service");
    if api.moderation.cloud.is_some() { Err(elsewhere()) } else { Ok(()) }
}

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Those before this number; none: the newest.
    #[param(minimum = 0, maximum = 9007199254740991i64, required = false)]
    before: Option<u64>,
    /// How many, at most.
    #[param(minimum = 1, maximum = 100, required = false)]
    count: Option<usize>,
}

/// What is kept of a room's chat.
#[derive(Serialize, ToSchema)]
pub struct Messages {
    /// Users in the chat.
    users: usize,
    /// Number of the newest message.
    last: u64,
    /// Who may not speak.
    muted: Vec<String>,
    /// The messages, oldest first, as docs/chat.md has them.
    #[schema(value_type = Vec<Object>)]
    messages: Vec<Value>,
}

/// What was said in a room. A room keeps its newest 200 messages.
#[utoipa::path(get, operation_id = "listMessages", path = "/rooms/{room}/messages", tag = "chat", params(("room" = String, Path), Which),
    responses((status = 200, description = "The messages that are kept", body = Messages)))]
pub async fn messages(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(room): Path<String>,
    Query(which): Query<Which>,
) -> Answer<Messages> {
    // Who may see rooms need not hear what is said in them.
    let room = caller.listen(&room)?;
    let count = which.count.unwrap_or(50);
    if !(1..=MOST).contains(&count) {
        return Err(Problem::malformed(format!("count: 1 to {MOST}")));
    }
    if which.before.is_some_and(|before| before > LAST) {
        return Err(Problem::malformed(format!("before: at most {LAST}")));
    }
    here(&api)?;
    let before = which.before.unwrap_or(u64::MAX);
    let look = || Ok((api.chat.show(&room)?, api.chat.kept(&room, before, count)?));
    let (shown, kept) = with_group(&api.chat, &api.rooms, &room, look).await?;
    let json = |message: &Arc<Message>| serde_json::to_value(render::historic(message)).unwrap_or_default();
    Ok(axum::Json(Messages {
        users: shown.users,
        last: shown.last,
        muted: shown.muted.iter().map(|(user, _)| user.to_string()).collect(),
        messages: kept.iter().map(json).collect(),
    }))
}

/// Something to be said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// In whose name, who need not be in the room.
    #[serde(rename = "userID")]
    #[schema(pattern = "^[!#-&(-_a-~]{1,64}$")]
    from: String,
    /// A text.
    #[schema(min_length = 1, max_length = 1000)]
    text: String,
}

/// Where a message stands.
#[derive(Serialize, ToSchema)]
pub struct SentMessage {
    /// Its number in the room.
    seq: u64,
    /// When, in Unix milliseconds.
    time: u64,
}

/// Says something in a room in a user's name. Mutes do not hold it back.
#[utoipa::path(post, operation_id = "sendMessage", path = "/rooms/{room}/messages", tag = "chat", params(("room" = String, Path)),
    request_body = NewMessage, responses((status = 201, description = "It is said, and where it stands", body = SentMessage)))]
pub async fn send(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(room): Path<String>,
    Json(new): Json<NewMessage>,
) -> Result<(StatusCode, axum::Json<SentMessage>), Problem> {
    let room = caller.room(&room)?;
    let from = user_of(&new.from)?;
    if say::reserved(from.as_str()) {
        return Err(Problem::new(StatusCode::CONFLICT, "reserved", "the system's accounts do not chat"));
    }
    let body = say::text(&new.text).map_err(|unfit| match unfit {
        Unfit::Malformed => Problem::malformed("text"),
        Unfit::Refused(refusal) => refusal.into(),
    })?;
    here(&api)?;
    with_group(&api.chat, &api.rooms, &room, || api.chat.show(&room)).await?;
    let sent = api.chat.post(&room, api.chat.said(&from, None, body)).await?;
    Ok((StatusCode::CREATED, axum::Json(SentMessage { seq: sent.seq, time: sent.at.0 })))
}

/// A notice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// What clients get as `{"cmd":"notice","data":text}`.
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    text: String,
}

/// How many rooms were told.
#[derive(Serialize, ToSchema)]
pub struct Told {
    /// Rooms.
    rooms: usize,
}

/// Says something to a room as the system.
#[utoipa::path(post, operation_id = "sendNotice", path = "/rooms/{room}/notices", tag = "chat", params(("room" = String, Path)),
    request_body = Notice, responses((status = 200, description = "The room was told", body = Told)))]
pub async fn notice(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(room): Path<String>,
    Json(notice): Json<Notice>,
) -> Answer<Told> {
    let room = caller.room(&room)?;
    Ok(axum::Json(Told { rooms: api.moderation.notice(Some(&room), &notice.text).await? }))
}

/// Says something to all rooms in which somebody chats, as the system.
#[utoipa::path(post, operation_id = "sendNoticeToAll", path = "/notices", tag = "chat", request_body = Notice,
    responses((status = 200, description = "How many rooms were told", body = Told)))]
pub async fn notice_all(State(api): State<Arc<Api>>, caller: Caller, Json(notice): Json<Notice>) -> Answer<Told> {
    caller.may(Need::Server)?;
    Ok(axum::Json(Told { rooms: api.moderation.notice(None, &notice.text).await? }))
}

/// For how long.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// For so many seconds; none: for as long as the room is there.
    #[serde(default, deserialize_with = "super::request::whole")]
    #[schema(minimum = 1, maximum = 315360000)]
    seconds: Option<u64>,
}

/// Lets a user say nothing in a room.
#[utoipa::path(put, operation_id = "muteUser", path = "/rooms/{room}/mutes/{user}", tag = "chat",
    params(("room" = String, Path), ("user" = String, Path)), request_body = Mute,
    responses((status = 204, description = "The user may not speak")))]
pub async fn mute(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((room, user)): Path<(String, String)>,
    Json(mute): Json<Mute>,
) -> Done {
    let room = caller.room(&room)?;
    let user = user_of(&user)?;
    if mute.seconds == Some(0) {
        return Err(Problem::malformed("seconds: 1 at least; DELETE lets the user speak again"));
    }
    api.moderation.mute(&room, &user, bounded(mute.seconds)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a user speak again. One who is not muted is fine.
#[utoipa::path(delete, operation_id = "unmuteUser", path = "/rooms/{room}/mutes/{user}", tag = "chat",
    params(("room" = String, Path), ("user" = String, Path)), responses((status = 204, description = "The user may speak again")))]
pub async fn unmute(State(api): State<Arc<Api>>, caller: Caller, Path((room, user)): Path<(String, String)>) -> Done {
    let room = caller.room(&room)?;
    let user = user_of(&user)?;
    api.moderation.mute(&room, &user, Some(0)).await?;
    Ok(StatusCode::NO_CONTENT)
}
