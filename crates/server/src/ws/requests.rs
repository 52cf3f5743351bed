//! The frames that WebSocket clients send, and the answers to them (docs/chat.md). Every answer waits in the
//! connection's queue like everything else, so that a client sees all in one order.

use bytes::Bytes;
use room::chat::{Body, Epoch, Joined, Nick, Refusal, Said, Sent, Since};
use room::sanctions::Sanction;
use room::{RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::chat_door::ChatDoor;
use chat::hub::link::Link;
use chat::render;
use chat::say::{self, Unfit};
use rooms::groups::{outside, sanction, with_group};
use rooms::moderation::{Code, Refused, creator};
use telemetry::traces::{self, part};
use webhooks::Whom;

/// Most messages of an answer to `history`.
const MAX_HISTORY: usize = 100;

/// Any request: each kind uses some of the fields.
#[derive(Deserialize)]
struct Request<'a> {
    r#type: Kind,
    id: Option<u64>,
    room: Option<String>,
    since: Option<Position>,
    text: Option<String>,
    custom: Option<Custom>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    random: Option<u64>,
    to: Option<String>,
    user: Option<String>,
    before: Option<u64>,
    count: Option<usize>,
    nick: Option<String>,
    seconds: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Join,
    Quit,
    Send,
    Direct,
    History,
    Nick,
    Mute,
    Ban,
    Kick,
    Ping,
}

#[derive(Deserialize)]
struct Position {
    epoch: u64,
    seq: u64,
}

#[derive(Deserialize)]
struct Custom {
    data: String,
    #[serde(default)]
    desc: String,
    #[serde(default)]
    ext: String,
}

/// What is said against a request.
struct Problem {
    code: &'static str,
    message: String,
    more: Option<(&'static str, Value)>,
}

fn problem(code: &'static str, message: impl Into<String>) -> Problem {
    Problem { code, message: message.into(), more: None }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let until = |code, message: &str, until| Self {
            more: Some(("until", json!(render::until_text(until)))),
            ..problem(code, message)
        };
        match refusal {
            Refusal::NoGroup => problem("no_room", "there is no such room"),
            Refusal::NotMember => problem("not_member", "not in this room"),
            Refusal::Muted { until: end } => until("muted", "may not send in this room now", end),
            Refusal::Banned { until: end } => until("banned", "may not be in this room now", end),
            Refusal::Empty { field } => problem("empty", format!("{field} must not be empty")),
            Refusal::TooLong { field, max } => problem("too_long", format!("{field} may have {max} bytes")),
            Refusal::TooManyGroups { max } => problem("too_many_rooms", format!("{max} rooms a connection")),
            Refusal::TooManyConnections { max } => problem("too_many_connections", format!("{max} connections a user")),
            Refusal::GroupFull { max } => problem("room_full", format!("{max} connections a room")),
            Refusal::TooManySanctions { max } => problem("too_many_sanctions", format!("{max} users a room")),
            Refusal::MailboxFull => problem("mailbox_full", "the receiver is away, and as much waits as may"),
            Refusal::Overloaded => problem("overloaded", "the server has too much to keep"),
            Refusal::NoConnection => problem("no_connection", "the connection has ended"),
            Refusal::Away => problem("unavailable", "what several servers share is away; try again"),
        }
    }
}

impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Malformed => problem("bad_body", "body is a list of {MsgType, MsgContent}"),
            Unfit::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused.code {
            Code::TooMany => problem("too_many_sanctions", refused.message),
            Code::Unavailable
            | Code::Unknown
            | Code::NoRoom
            | Code::NotMember
            | Code::Exists
            | Code::BadRequest
            | Code::TooLong
            | Code::NotANumber
            | Code::Full
            | Code::Refused
            | Code::Muted
            | Code::Banned
            | Code::NoStream
            | Code::NoRecording
            | Code::NoMix
            | Code::Elsewhere => problem("unavailable", refused.message),
        }
    }
}

fn error(id: Option<u64>, problem: Problem) -> Bytes {
    let mut frame = json!({"type": "error", "code": problem.code, "message": problem.message});
    if let Some(id) = id {
        frame["id"] = id.into();
    }
    if let Some((name, value)) = problem.more {
        frame[name] = value;
    }
    render::frame(&frame)
}

/// A refusal as error frame.
pub fn refusal(id: Option<u64>, refusal: Refusal) -> Bytes {
    error(id, refusal.into())
}

/// The error frame for a request that came too soon; it may come again after `wait` milliseconds.
pub fn too_fast(text: &str, wait: u64) -> Bytes {
    #[derive(Deserialize)]
    struct Id {
        id: Option<u64>,
    }
    let id = serde_json::from_str(text).ok().and_then(|Id { id }| id);
    error(id, Problem { more: Some(("retryAfter", wait.into())), ..problem("too_fast", "too many requests") })
}

/// Reads a frame as [`answer`] does.
#[cfg(fuzzing)]
pub(crate) fn read(text: &str) {
    let _ = serde_json::from_str::<Request<'_>>(text);
    too_fast(text, 1);
}

/// Does what a frame asks for, and queues the answer.
pub async fn answer(door: &ChatDoor, link: &Link, text: &str) {
    let request: Request<'_> = match serde_json::from_str(text) {
        Ok(request) => request,
        Err(why) => {
            #[derive(Deserialize)]
            struct Id {
                id: Option<u64>,
            }
            let id = serde_json::from_str(text).ok().and_then(|Id { id }| id);
            return link.frame(|| error(id, problem("bad_frame", why.to_string())));
        }
    };
    let id = request.id;
    match run(door, link, request).await {
        Ok(None) => {}
        Ok(Some(more)) => link.frame(|| acknowledge(id, more)),
        Err(problem) => link.frame(|| error(id, problem)),
    }
}

fn acknowledge(id: Option<u64>, mut more: Value) -> Bytes {
    more["type"] = "ack".into();
    if let Some(id) = id {
        more["id"] = id.into();
    }
    render::frame(&more)
}

/// Mutes, bans or kicks a user of a room. Where the room's creator does it, what the user pushes and plays there ends too.
async fn moderate(door: &ChatDoor, me: &UserId, request: &Request<'_>) -> Result<(), Problem> {
    let room = request.room()?;
    let user = named("user", request.user.as_deref())?;
    let creates = may_command(door, me, &room).await?;
    let ms = request.seconds.map_or(u64::MAX, |seconds| seconds.saturating_mul(1000));
    let stepped = match request.r#type {
        Kind::Mute => sanction(&door.chat, &door.rooms, &room, Sanction::Mute, &user, ms).await.map_err(Refusal::from),
        Kind::Ban => sanction(&door.chat, &door.rooms, &room, Sanction::Ban, &user, ms).await.map_err(Refusal::from),
        _ => with_group(&door.chat, &door.rooms, &room, || door.chat.kick(&room, &user)).await,
    };
    match request.r#type {
        _ if !creates => stepped?,
        Kind::Mute => stepped?,
        Kind::Ban if ms == 0 => {
            stepped?;
            creator::let_in(&door.moderation, &room, &user).await?;
        }
        // Who only pushes or plays is removed too.
        _ => match stepped {
            Err(Refusal::NotMember) if creator::is_in(&door.moderation, &room, &user).await => {
                creator::remove(&door.moderation, &room, &user, request.seconds).await?;
            }
            stepped => {
                stepped?;
                creator::remove(&door.moderation, &room, &user, request.seconds).await?;
            }
        },
    }
    Ok(())
}

/// Says something in a room, and tells the app's backend.
async fn send(door: &ChatDoor, me: &UserId, room: &RoomId, request: &Request<'_>) -> Result<Sent, Problem> {
    let said = door.chat.said(me, request.random, request.said()?);
    if let Some(sent) = door.sent_before_asking(room, &said).await? {
        return Ok(sent);
    }
    may_say(door, Whom::Room(room), &said).await?;
    let sent = match part("chat.send", traces::Kind::Internal, || None, door.chat.send(room, said)).await {
        Ok(sent) => sent,
        Err(why) => return Err(outside(&door.rooms, room, why).await.into()),
    };
    if let Some(hooks) = &door.hooks
        && let Some(message) = &sent.message
    {
        hooks.said(message).await?;
    }
    Ok(sent)
}

/// The fields of the acknowledgement; none if it is queued already.
async fn run(door: &ChatDoor, link: &Link, request: Request<'_>) -> Result<Option<Value>, Problem> {
    let chat = &door.chat;
    let me = &link.user;
    Ok(Some(match request.r#type {
        Kind::Join => {
            let room = request.room()?;
            let since = request.since.as_ref().map(|at| Since { epoch: Epoch(at.epoch), seq: at.seq });
            admit(door, me, &room)?;
            let id = request.id;
            let ack = |joined: &Joined| acknowledge(id, joined_fields(&room, joined));
            with_group(&door.chat, &door.rooms, &room, || chat.join(link, &room, since, 0, ack)).await?;
            return Ok(None);
        }
        Kind::Quit => {
            chat.quit(link, &request.room()?)?;
            json!({})
        }
        Kind::Send => {
            let room = request.room()?;
            let sent = send(door, me, &room, &request).await?;
            json!({"seq": sent.seq, "time": sent.at, "again": sent.message.is_none()})
        }
        Kind::Direct => {
            let to = named("to", request.to.as_deref())?;
            let said = chat.said(me, request.random, request.said()?);
            may_say(door, Whom::User(&to), &said).await?;
            let posted = chat.send_direct(&to, None, said).await?;
            let message = &posted.message;
            if let Some(hooks) = door.hooks.as_ref().filter(|_| !posted.again) {
                hooks.said_directly(message).await?;
            }
            json!({"seq": message.seq, "time": message.at, "waits": posted.waits, "again": posted.again})
        }
        Kind::History => {
            let room = request.room()?;
            let count = request.count.unwrap_or(20).min(MAX_HISTORY);
            let messages = chat.history(me, &room, request.before.unwrap_or(u64::MAX), count)?;
            json!({"room": room, "messages": messages.iter().map(|m| render::historic(m)).map(json_value).collect::<Vec<_>>()})
        }
        Kind::Nick => {
            let nick = request.nick.as_deref().filter(|nick| !nick.is_empty());
            chat.set_nick(me, nick.map(Nick::parse).transpose()?)?;
            json!({})
        }
        Kind::Mute | Kind::Ban | Kind::Kick => {
            moderate(door, me, &request).await?;
            json!({})
        }
        Kind::Ping => json!({"time": door.web.clock.now()}),
    }))
}

/// Refuses who is kept out of a room by an operator.
fn admit(door: &ChatDoor, user: &UserId, room: &RoomId) -> Result<(), Refusal> {
    door.bans.until(user, Some(room), door.web.clock.now()).map_or(Ok(()), |until| Err(Refusal::Banned { until }))
}

fn json_value(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn joined_fields(room: &RoomId, joined: &Joined) -> Value {
    let missed = &joined.catch_up;
    json!({
        "room": room, "epoch": joined.epoch, "last": joined.last, "users": joined.users,
        "missed": missed.messages.len(), "gap": missed.gap, "anew": missed.anew, "first": missed.first,
    })
}

fn named(field: &'static str, text: Option<&str>) -> Result<UserId, Problem> {
    UserId::parse(text.unwrap_or_default()).map_err(|why| problem("bad_frame", format!("{field}: {why:?}")))
}

/// Asks the app's backend, where it wants to be asked.
async fn may_say(door: &ChatDoor, whom: Whom<'_>, said: &Said) -> Result<(), Problem> {
    match &door.hooks {
        Some(hooks) => hooks.may_say(whom, said).await.map_err(|why| problem("not_permitted", why)),
        None => Ok(()),
    }
}

/// The room's creator may; where no room stands behind the group yet, who made the group. Says whether it is a room's.
async fn may_command(door: &ChatDoor, me: &UserId, room: &RoomId) -> Result<bool, Problem> {
    let (creator, stands) = match door.rooms.creator(room).await {
        Ok(creator) => (creator, true),
        Err(_) => (door.chat.owner(room)?, false),
    };
    if creator.as_ref() == Some(me) {
        return Ok(stands);
    }
    Err(problem("not_creator", "only the room's creator may"))
}

impl Request<'_> {
    fn room(&self) -> Result<RoomId, Problem> {
        let room = self.room.as_deref().unwrap_or_default();
        RoomId::parse(room).map_err(|why| problem("bad_frame", format!("room: {why:?}")))
    }

    fn said(&self) -> Result<Body, Problem> {
        Ok(match (&self.text, &self.custom, self.body) {
            (Some(text), None, None) => say::text(text)?,
            (None, Some(custom), None) => say::custom(&custom.data, &custom.desc, &custom.ext)?,
            (None, None, Some(list)) => say::list(list)?,
            _ => return Err(problem("bad_frame", "one of text, custom and body is needed")),
        })
    }
}
