//! The calls that are held until there is something: a group's messages, and the user's own.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use room::RoomId;
use room::chat::{Content, Direct, MAX_KEPT, Message, Notice, Refusal, System};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Answer, Call, Fail, NOTHING_CAME, UNAUTHORISED, ended, fail, ok};
use access::sessions::PollKey;
use chat::hub::inbox::{Inbox, Unanswered};
use chat::hub::link::{Link, Login};
use chat::pages::Client;
use chat::render;

/// Seconds after which clients may give a poll up, as they are told.
pub const TIMEOUT: u64 = 60;

/// How long a poll is held at most. A mini-program hangs up after 60 seconds whatever it was told, and stops for good after ten times.
const LONGEST: Duration = Duration::from_secs(45);

/// How long the answer to a poll that may not be is held back. Mini-programs count broken connections alone as errors, and ask again
/// at once after every answer.
const REFUSED: Duration = Duration::from_secs(5);

/// What who has heard that its group is gone asks for next: more than any message's number, and a number to JavaScript.
const GONE: u64 = (1 << 53) - 1;

async fn refuse(why: impl Into<Fail>) -> Fail {
    let why = why.into();
    tokio::time::sleep(REFUSED).await;
    why
}

/// For how long a poll is held that asks for so many seconds.
fn hold(asked: Option<u64>) -> Duration {
    asked.map_or(LONGEST, Duration::from_secs).min(LONGEST)
}

/// The head is spelled out: raw JSON does not pass through a flattened one.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Messages<'a> {
    action_status: &'static str,
    error_code: u32,
    error_info: &'static str,
    next_seq: u64,
    hold_time: u64,
    key: &'a str,
    rsp_msg_list: Vec<&'a RawValue>,
}

/// What a poll of a group asks for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    #[serde(default)]
    start_seq: u64,
    hold_time: Option<u64>,
    key: String,
}

/// `get_msg`: a group's messages from `StartSeq` on.
pub async fn group(call: &Call<'_>) -> Answer {
    let asked: Asked = call.body()?;
    let (key, link) = match known(call, &asked) {
        Ok(known) => known,
        Err(why) => return Err(refuse(why).await),
    };
    let inbox = link.inbox().ok_or(Refusal::NoConnection)?;
    match enter(call, &asked, &key, &link, inbox).await {
        Ok(()) => {}
        // It was in when it asked last: it hears once that the room is gone.
        Err(Refusal::NoGroup) if asked.start_seq != GONE => return gone(call, &asked, &key),
        Err(why) if inbox.has_just_left() => return Err(why.into()),
        Err(why) => return Err(refuse(why).await),
    }
    // The SDK reads alike in all groups: the room is not looked at for it.
    let client = call.client(!call.is_tim() && is_of_room(call, &key.group, inbox).await);
    let polled = inbox.poll(&key.group, asked.start_seq, hold(asked.hold_time)).await;
    inbox.seen(call.door.web.clock.steady());
    let polled = polled.map_err(unanswered)?;
    let newest_first = polled.messages.iter().rev();
    let elements: Vec<_> = newest_first.filter_map(|m| render::element(m, &polled.name, client)).collect();
    messages(&asked.key, polled.next, &elements)
}

/// Whether a group is of a room that has its streams here. Asked before the first poll is held, when the room is there, and
/// remembered: its last messages may be read when it is gone.
async fn is_of_room(call: &Call<'_>, group: &RoomId, inbox: &Inbox) -> bool {
    if inbox.kind(group).is_none()
        && let Some(kind) = call.door.rooms.kind(group).await
    {
        inbox.note_kind(group, kind);
    }
    inbox.kind(group).is_some_and(|kind| !kind.is_elsewhere())
}

fn messages(key: &str, next_seq: u64, elements: &[Bytes]) -> Answer {
    let raw = |bytes| serde_json::from_slice::<&RawValue>(bytes).unwrap_or(RawValue::NULL);
    reply(&Messages {
        action_status: "OK",
        error_code: 0,
        error_info: "",
        next_seq,
        hold_time: TIMEOUT,
        key,
        rsp_msg_list: elements.iter().map(|bytes| raw(bytes)).collect(),
    })
}

/// The last message of a group that ended while who polls was away for so long that its connection was forgotten.
fn gone(call: &Call<'_>, asked: &Asked, key: &PollKey) -> Answer {
    let content = Content::System(System { by: None, notice: Notice::Destroyed });
    let last = Arc::new(Message::new(key.group.clone(), asked.start_seq.max(1), call.now, content));
    let element = render::element(&last, key.group.as_str(), call.client(true));
    messages(&asked.key, GONE, element.as_slice())
}

/// Who polls by this key, and its connection.
fn known(call: &Call<'_>, asked: &Asked) -> Result<(PollKey, Arc<Link>), Fail> {
    let door = call.door;
    let key = door.sessions.check_poll(&asked.key, call.now).map_err(|why| fail(UNAUTHORISED, why.to_string()))?;
    if let Some(until) = door.bans.until(&key.user, Some(&key.group), call.now) {
        return Err(Refusal::Banned { until }.into());
    }
    let login = Login { user: &key.user, session: key.session, at: key.at, expires: key.expires };
    let link = door.chat.poller_from(&login, call.peer)?;
    Ok((key, link))
}

/// Puts who polls into the group, if it may be in and is not.
async fn enter(call: &Call<'_>, asked: &Asked, key: &PollKey, link: &Link, inbox: &Inbox) -> Result<(), Refusal> {
    let door = call.door;
    if inbox.is_in(&key.group) {
        return Ok(());
    }
    if inbox.since <= key.at {
        // It has left, or was put out, since it got the key.
        return Err(Refusal::NotMember);
    }
    // Its connection is younger than the key, after a pause or a restart: the key says that it was in.
    let again = || door.chat.join(link, &key.group, None, MAX_KEPT, |_| Default::default());
    rooms::groups::with_group(&door.chat, &door.rooms, &key.group, again).await?;
    inbox.skip(&key.group, asked.start_seq, key.at);
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Events<'a> {
    action_status: &'static str,
    error_code: u32,
    error_info: &'static str,
    event_array: [Event<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    event: u8,
    #[serde(rename = "C2cMsgArray")]
    messages: Vec<Private<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Private<'a> {
    #[serde(rename = "From_Account")]
    from: &'a str,
    #[serde(rename = "To_Account")]
    to: &'a str,
    msg_seq: u64,
    msg_random: u64,
    msg_time_stamp: u64,
    notice_seq: u64,
    msg_body: Cow<'a, RawValue>,
}

/// `longpolling`: the user's own messages after `NoticeSeq`.
pub async fn direct(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Asked {
        timeout: Option<u64>,
        #[serde(default)]
        cookie: Cookie,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Cookie {
        notice_seq: Option<u64>,
    }
    let link: Arc<Link> = match call.link() {
        Ok(link) => link,
        Err(why) => return Err(refuse(why).await),
    };
    let asked: Asked = call.body()?;
    let inbox = link.inbox().ok_or(Refusal::NoConnection)?;
    let client = call.client(inbox.is_of_rooms());
    let polled = inbox.poll_direct(asked.cookie.notice_seq.unwrap_or(0), hold(asked.timeout)).await;
    inbox.seen(call.door.web.clock.steady());
    let messages = match polled {
        // The TIM web SDK tells its app of every answer that is not OK.
        Err(Unanswered::Timeout) if call.is_tim() => {
            return ok(json!({"EventArray": []}));
        }
        polled => polled.map_err(unanswered)?,
    };
    let messages = messages.iter().map(|m| private(m, client)).collect();
    let event_array = [Event { event: 9, messages }];
    reply(&Events { action_status: "OK", error_code: 0, error_info: "", event_array })
}

fn private(message: &Direct, client: Client) -> Private<'_> {
    Private {
        from: message.said.from.as_str(),
        to: message.to.as_str(),
        msg_seq: message.client_seq.unwrap_or(0),
        msg_random: message.said.random.unwrap_or(0),
        msg_time_stamp: message.at.secs(),
        notice_seq: message.seq,
        msg_body: render::private(&message.said, client),
    }
}

fn unanswered(why: Unanswered) -> Fail {
    match why {
        Unanswered::Timeout => fail(NOTHING_CAME, "nothing came in time"),
        Unanswered::Ended(why) => ended(why),
        Unanswered::Refused(refusal) => refusal.into(),
    }
}

fn reply(body: &impl Serialize) -> Answer {
    serde_json::to_vec(body).map_err(|_| fail(10_002, "internal error"))
}
