//! `webrtc_room`: rooms of calls whose media goes elsewhere (docs/protocol.md), and `webexe_room`, the same calls for
//! the list of rooms that the Windows portal and web pages show. Their calls have no
//! session and hand out signatures: in production they are answered to operators only, unless the
//! setting says otherwise.

use room::{Kind, Refusal, Room, RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sign::room_key;

use super::body::{Number, Text};
use super::call::Call;
use super::name::ListedCall;
use super::reply::{Fail, List, Sent, done, success};
use access::operator::Need;
use rooms::{NewCall, room_status, room_type, shown_id};
use store::error::Error;

/// Most rooms of one answer.
const MAX_COUNT: i64 = 200;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
    #[serde(rename = "roomInfo", borrow, default)]
    room_info: Option<Text<'a>>,
    #[serde(rename = "nickName", borrow, default)]
    nick_name: Option<Text<'a>>,
    #[serde(rename = "roomType", borrow, default)]
    room_type: Option<Text<'a>>,
    /// A number, a text or, from web pages, `false`.
    #[serde(rename = "needHeartBeat", default)]
    need_heart_beat: Option<Value>,
    #[serde(default)]
    status: Option<Number>,
    #[serde(default)]
    index: Option<Number>,
    #[serde(default)]
    count: Option<Number>,
}

fn text<'b>(field: &'b Option<Text<'_>>) -> &'b str {
    field.as_ref().map(Text::as_str).unwrap_or_default()
}

/// A missing parameter has a number of its own here.
fn needed<'b>(name: &'static str, field: &'b Option<Text<'_>>) -> Result<&'b str, Fail> {
    let text = text(field);
    if text.is_empty() { Err(Fail::missing(name).with_code(2)) } else { Ok(text) }
}

impl Body<'_> {
    fn user(&self, call: &Call<'_>) -> Result<UserId, Fail> {
        let id = needed("userID", &self.user_id)?;
        let good = (4..=24).contains(&id.len())
            && id.starts_with(|c: char| c.is_ascii_alphabetic())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !good || call.weapp.identity.is_administrator(id) {
            return Err(Fail::unauthorised("userID: a letter, then 3 to 23 letters, digits or '_'"));
        }
        let user = UserId::parse(id)?;
        let room = self.room_id.as_ref().and_then(|room| RoomId::parse(room.as_str()).ok());
        call.admit(&user, room.as_ref())?;
        Ok(user)
    }

    fn room(&self) -> Result<RoomId, Fail> {
        RoomId::parse(needed("roomID", &self.room_id)?).map_err(|refusal| Fail::from(refusal).with_code(2))
    }
}

/// Answers one of them, for rooms of this kind.
pub async fn run(call: &Call<'_>, kind: Kind, name: ListedCall) -> Sent {
    if !call.weapp.choices.open_webrtc {
        call.operator(Need::Tokens, "operators only: Authorization: Bearer KEY, or rooms.openWebrtcRoom")?;
    }
    let body: Body<'_> = call.body().map_err(|fail| fail.with_code(2))?;
    match name {
        ListedCall::GetLoginInfo => get_login_info(call, kind, &body),
        ListedCall::Create => create_room(call, kind, &body).await,
        ListedCall::Enter => enter_room(call, kind, &body).await,
        ListedCall::Quit => {
            let user = body.user(call)?;
            let room = body.room()?;
            stranger(kind, call.weapp.rooms.quit_call(kind, &room, &user).await)
        }
        ListedCall::Heartbeat => {
            let user = body.user(call)?;
            let room = body.room()?;
            stranger(kind, call.weapp.rooms.call_heartbeat(kind, &room, &user).await)
        }
        ListedCall::List => get_room_list(call, kind, &body).await,
        ListedCall::Members => get_room_members(call, kind, &body).await,
        // A room that is gone already is what the client wants.
        ListedCall::Delete => match call.weapp.rooms.delete_call(kind, &body.room()?).await {
            Ok(()) | Err(Error::Refused(Refusal::NoRoom)) => done(),
            Err(error) => Err(error.into()),
        },
    }
}

/// Who is not in a call hears that there is none; of a listed room it is not asked.
fn stranger(kind: Kind, outcome: Result<(), Error>) -> Sent {
    match outcome {
        Ok(()) => done(),
        Err(Error::Refused(Refusal::NotMember)) if kind == Kind::Webexe => done(),
        Err(Error::Refused(Refusal::NotMember)) => Err(Refusal::NoRoom.into()),
        Err(error) => Err(error.into()),
    }
}

/// What `needHeartBeat` says: not needed is 0 or false, however it is written.
fn needs_heartbeat(said: Option<&Value>) -> bool {
    match said {
        Some(Value::Bool(needed)) => *needed,
        Some(Value::Number(n)) => n.as_i64() != Some(0),
        Some(Value::String(text)) => !matches!(text.as_str(), "0" | "false"),
        _ => true,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginInfo<'a> {
    #[serde(rename = "userID")]
    user_id: &'a str,
    #[serde(rename = "sdkAppID")]
    sdk_app_id: u64,
    account_type: &'a str,
    user_sig: String,
}

/// Signs for ids that other calls refuse, too (digits first, say), as the first server did.
fn get_login_info(call: &Call<'_>, kind: Kind, body: &Body<'_>) -> Sent {
    let query = call.query()?;
    // The portal gets it.
    let named = query.get("userID").filter(|_| kind == Kind::Webexe && text(&body.user_id).is_empty());
    let user = match named.unwrap_or_else(|| text(&body.user_id)) {
        "" => UserId::parse(&format!("user{:016x}", sign::fresh_id()))?,
        id if call.weapp.identity.is_administrator(id) => {
            return Err(Fail::unauthorised("userID: the administrator's"));
        }
        id => UserId::parse(id)?,
    };
    call.admit(&user, None)?;
    let identity = &call.weapp.identity;
    let user_sig = identity.sign(&user, call.now).map_err(|why| Fail::unauthorised(&why.to_string()))?;
    let sdk_app_id = identity.sdk_app_id();
    let account_type = identity.account_type();
    success(&LoginInfo { user_id: user.as_str(), sdk_app_id, account_type, user_sig })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entered<'a> {
    #[serde(rename = "roomID")]
    room_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_info: Option<&'a str>,
    #[serde(rename = "userID")]
    user_id: &'a str,
    private_map_key: String,
}

fn entered(call: &Call<'_>, room: &RoomId, user: &UserId, room_info: Option<&str>) -> Sent {
    // A number in its plain spelling is a number to the media service; everything else is text.
    let number = room.as_str().parse::<u32>().ok().filter(|n| n.to_string() == room.as_str());
    let which = number.map_or_else(|| room_key::Room::Text(room.to_string()), room_key::Room::Number);
    let key = call.weapp.identity.room_key(user, which, call.now);
    let private_map_key = key.map_err(|why| Fail::unauthorised(&why.to_string()))?;
    success(&Entered { room_id: room.as_str(), room_info, user_id: user.as_str(), private_map_key })
}

async fn create_room(call: &Call<'_>, kind: Kind, body: &Body<'_>) -> Sent {
    let user = body.user(call)?;
    let info = needed("roomInfo", &body.room_info)?;
    let id = body.room_id.as_ref().filter(|id| !id.as_str().is_empty()).map(|_| body.room()).transpose()?;
    let new = NewCall {
        kind,
        id: id.as_ref(),
        user: &user,
        nick: text(&body.nick_name),
        info,
        room_type: text(&body.room_type),
        lasting: kind == Kind::Webexe && !needs_heartbeat(body.need_heart_beat.as_ref()),
    };
    let made = call.weapp.rooms.create_call(&new).await;
    let id = made.map_err(|error| match error {
        Error::Refused(refusal @ Refusal::TooLong { .. }) => Fail::from(refusal).with_code(11),
        error => error.into(),
    })?;
    entered(call, &id, &user, Some(info))
}

async fn enter_room(call: &Call<'_>, kind: Kind, body: &Body<'_>) -> Sent {
    let user = body.user(call)?;
    let room = body.room()?;
    let status = body.status.map(|Number(status)| status).filter(|_| kind == Kind::Webexe);
    call.weapp.rooms.enter_call(kind, &room, &user, text(&body.nick_name), status).await?;
    entered(call, &room, &user, None)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberView<'a> {
    #[serde(rename = "userID")]
    user_id: &'a str,
    nick_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallView<'a> {
    #[serde(rename = "roomID")]
    room_id: &'a str,
    room_info: &'a str,
    room_type: &'a str,
    room_creator: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i64>,
    members: Vec<MemberView<'a>>,
}

fn members(room: &Room) -> Vec<MemberView<'_>> {
    room.pushers.iter().map(|p| MemberView { user_id: p.user.as_str(), nick_name: &p.name }).collect()
}

async fn get_room_list(call: &Call<'_>, kind: Kind, body: &Body<'_>) -> Sent {
    let number = |n: Option<Number>, default| match n {
        None => Ok(default),
        Some(Number(n)) if n < 0 => Err(Fail::malformed("index, count").with_code(2)),
        Some(Number(n)) => Ok(n),
    };
    let index = number(body.index, 0)?;
    let count = number(body.count, MAX_COUNT)?.min(MAX_COUNT);
    let mut rooms = List::new("rooms", 4096);
    let see = &mut |room: &Room, _: usize| {
        let view = CallView {
            room_id: shown_id(room),
            room_info: &room.info,
            room_type: room_type(room),
            room_creator: room.creator.as_ref().map_or("", |(user, _)| user.as_str()),
            status: (kind == Kind::Webexe).then(|| room_status(room)),
            members: members(room),
        };
        rooms.add(|out| {
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(out, &view);
        });
    };
    let of_type = Some(text(&body.room_type)).filter(|of_type| !of_type.is_empty());
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let count = usize::try_from(count).unwrap_or_default();
    call.weapp.rooms.list_calls(kind, index, count, of_type, see).await?;
    rooms.sent()
}

async fn get_room_members(call: &Call<'_>, kind: Kind, body: &Body<'_>) -> Sent {
    #[derive(Serialize)]
    struct Members<'a> {
        members: Vec<MemberView<'a>>,
    }
    let room = body.room()?;
    let mut sent = Err(Refusal::NoRoom.into());
    let see = &mut |room: &Room, _: usize| sent = success(&Members { members: members(room) });
    call.weapp.rooms.see_call(kind, &room, see).await?;
    sent
}
