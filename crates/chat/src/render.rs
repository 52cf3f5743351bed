//! Messages as clients get them: WebSocket events and elements of long-polling replies. Each form of a message is
//! made once, for the first receiver, and shared by all receivers.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use room::chat::{Body, Content, Count, Direct, Form, Message, Notice, OutReason, Said};
use room::{Millis, RoomId};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::pages::{self, Client, Page};

/// Who speaks for the system in the old web client's messages.
pub const SYSTEM_ACCOUNT: &str = "@TIM#SYSTEM";

/// A frame of anything that can be JSON: text, so that it is valid UTF-8.
pub fn frame(value: &impl Serialize) -> Bytes {
    // All that comes here is made of texts and numbers: it cannot fail.
    serde_json::to_string(value).unwrap_or_default().into()
}

/// A message of a group as WebSocket event.
pub fn event(message: &Arc<Message>) -> Bytes {
    message.form(Form::Socket, |m| json_bytes(&socket(m)))
}

/// A message of a group as element of `RspMsgList`; none where it holds nothing for this client's pages.
pub fn element(message: &Arc<Message>, group_name: &str, client: Client) -> Option<Bytes> {
    let make = |m: &Message| poll(m, group_name, client).map_or_else(Bytes::new, |element| json_bytes(&element));
    let bytes = match client {
        Client::Webim => message.form(Form::Webim, make),
        Client::Tim => message.form(Form::Tim, make),
        // Few are left.
        Client::Other => make(message),
    };
    (!bytes.is_empty()).then_some(bytes)
}

/// A body as JSON within JSON.
fn raw(body: &Body) -> &RawValue {
    serde_json::from_str(body.as_json()).unwrap_or(RawValue::NULL)
}

/// What a client is given of a body; none where there is nothing in it for its pages.
fn read_as(page: Page, body: &Body) -> Option<Cow<'_, RawValue>> {
    match page {
        Page::AsSaid => Some(Cow::Borrowed(raw(body))),
        Page::Instead(list) => Some(Cow::Owned(list)),
        Page::Nothing => None,
    }
}

fn nick(said: &Said) -> &str {
    said.nick.as_ref().map_or(said.from.as_str(), room::chat::Nick::as_str)
}

/// The body of a private message for a client.
pub fn private(said: &Said, client: Client) -> Cow<'_, RawValue> {
    read_as(pages::of_private(client, &said.body, nick(said)), &said.body).unwrap_or(Cow::Borrowed(RawValue::NULL))
}

fn json_bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[derive(Serialize)]
#[serde(untagged)]
enum Event<'a> {
    Said(Spoken<'a>),
    System(System<'a>),
}

/// What a member said, as WebSocket event.
#[derive(Serialize)]
pub struct Spoken<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a RoomId>,
    seq: u64,
    time: u64,
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nick: Option<&'a str>,
    body: &'a RawValue,
}

#[derive(Serialize)]
struct System<'a> {
    r#type: &'static str,
    room: &'a RoomId,
    seq: u64,
    time: u64,
    notice: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
}

fn socket(m: &Message) -> impl Serialize {
    match &m.content {
        Content::Said(said) => Event::Said(spoken("message", Some(&m.group), m.seq, m.at, said)),
        Content::System(system) => {
            let (notice, data) = match &system.notice {
                Notice::Destroyed => ("destroyed", None),
                Notice::Revoked => ("revoked", None),
                Notice::Custom(text) => ("custom", Some(&**text)),
            };
            let by = system.by.as_ref().map(room::UserId::as_str);
            Event::System(System { r#type: "system", room: &m.group, seq: m.seq, time: m.at.0, notice, by, data })
        }
    }
}

fn spoken<'a>(r#type: &'static str, room: Option<&'a RoomId>, seq: u64, at: Millis, said: &'a Said) -> Spoken<'a> {
    let nick = said.nick.as_ref().map(room::chat::Nick::as_str);
    Spoken { r#type, room, seq, time: at.0, from: said.from.as_str(), nick, body: raw(&said.body) }
}

/// A kept message for an answer that holds many.
pub fn historic(message: &Message) -> impl Serialize {
    socket(message)
}

/// A point-to-point message as WebSocket event.
pub fn direct_event(message: &Direct) -> Bytes {
    frame(&spoken("direct", None, message.seq, message.at, &message.said))
}

/// How many listen, as WebSocket event.
pub fn count_event(count: &Count) -> Bytes {
    frame(&json!({"type": "count", "room": count.group, "users": count.users}))
}

/// The receiver was removed from a group, as WebSocket event.
pub fn out_event(group: &RoomId, reason: OutReason) -> Bytes {
    frame(&match reason {
        OutReason::Kicked => json!({"type": "out", "room": group, "reason": "kicked"}),
        OutReason::Banned { until } => {
            json!({"type": "out", "room": group, "reason": "banned", "until": until_text(until)})
        }
    })
}

/// The end of a sanction: milliseconds, or null for one that has no end.
pub fn until_text(until: Millis) -> Option<u64> {
    (until != Millis::NEVER).then_some(until.0)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Element<'a> {
    event: u8,
    #[serde(rename = "From_Account")]
    from: &'a str,
    to_group_id: &'a RoomId,
    msg_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg_random: Option<u64>,
    msg_time_stamp: u64,
    group_info: GroupInfo<'a>,
    msg_body: ElementBody<'a>,
}

#[derive(Serialize)]
struct GroupInfo<'a> {
    /// The TIM web SDK looks here for the group that is gone.
    #[serde(rename = "GroupId")]
    id: &'a RoomId,
    #[serde(rename = "GroupName")]
    name: &'a str,
    #[serde(rename = "From_AccountNick", skip_serializing_if = "Option::is_none")]
    nick: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ElementBody<'a> {
    Said(Cow<'a, RawValue>),
    #[serde(rename_all = "PascalCase")]
    System {
        report_type: u8,
        #[serde(rename = "Operator_Account")]
        operator: &'a str,
        user_defined_field: &'a str,
    },
}

fn poll<'a>(m: &'a Message, name: &'a str, client: Client) -> Option<impl Serialize> {
    let (event, from, random, nick, msg_body) = match &m.content {
        Content::Said(said) => {
            let nick = nick(said);
            let body = read_as(pages::of_group(client, &said.body, nick), &said.body)?;
            (3, said.from.as_str(), Some(said.random.unwrap_or(0)), Some(nick), ElementBody::Said(body))
        }
        Content::System(system) => {
            let (report_type, user_defined_field) = match &system.notice {
                Notice::Destroyed => (5, ""),
                Notice::Revoked => (11, ""),
                Notice::Custom(text) => (255, &**text),
            };
            let operator = system.by.as_ref().map_or(SYSTEM_ACCOUNT, room::UserId::as_str);
            (5, SYSTEM_ACCOUNT, None, None, ElementBody::System { report_type, operator, user_defined_field })
        }
    };
    Some(Element {
        event,
        from,
        to_group_id: &m.group,
        msg_seq: m.seq,
        msg_random: random,
        msg_time_stamp: m.at.secs(),
        group_info: GroupInfo { id: &m.group, name, nick },
        msg_body,
    })
}
