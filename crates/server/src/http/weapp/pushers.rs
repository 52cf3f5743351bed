//! `add_pusher`, `get_pushers`, `delete_pusher`, `pusher_heartbeat`.

use serde::{Deserialize, Serialize};

use super::body::{Number, Text};
use super::call::Member;
use super::reply::{Fail, Sent, done, fields, success};
use super::view::{Members, RoomView};
use room::{LeaveReason, NewPusher, Refusal, RoomId};
use sign::token::Generation;
use store::error::Error;

#[derive(Deserialize)]
struct Add<'a> {
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(rename = "userName", borrow, default)]
    user_name: Option<Text<'a>>,
    #[serde(rename = "userAvatar", borrow, default)]
    user_avatar: Option<Text<'a>>,
    #[serde(rename = "pushURL", borrow, default)]
    push_url: Option<Text<'a>>,
    #[serde(rename = "roomInfo", borrow, default)]
    room_info: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Made<'a> {
    #[serde(rename = "roomID")]
    room_id: &'a RoomId,
}

/// Enters a room with a stream, making the room where it does not exist.
pub async fn add_pusher(member: &Member<'_>) -> Sent {
    let body: Add<'_> = member.call.body()?;
    let room = member.room(body.room_id.as_ref())?;
    member.actor(body.user_id.as_ref())?;
    let push_url = body.push_url.ok_or_else(|| Fail::missing("pushURL"))?;
    let text = |field: &Option<Text<'_>>| field.as_ref().map(Text::as_str).unwrap_or_default().to_owned();
    let name = text(&body.user_name);
    let avatar = text(&body.user_avatar);
    let info = body.room_info.as_ref().map(Text::as_str);
    let made = enter(member, &room, push_url.as_str(), &name, &avatar, info).await?;
    if made { success(&Made { room_id: &room }) } else { done() }
}

/// Enters a room with the stream of a push URL, under this name and avatar. Says whether the room was made.
pub async fn enter(
    member: &Member<'_>,
    room: &RoomId,
    push_url: &str,
    name: &str,
    avatar: &str,
    info: Option<&str>,
) -> Result<bool, Fail> {
    let weapp = member.call.weapp;
    let user = &member.session.user;
    let stream = weapp
        .urls
        .check_push_url(push_url, room, user, member.call.now)
        .map_err(|why| Fail::malformed(&format_args!("pushURL: {why}")))?;
    let new = NewPusher { room, kind: member.kind, user, name, avatar, stream: &stream, info };
    let made = weapp.rooms.add_pusher(&new).await?;
    if weapp.choices.keep_owners {
        weapp.rooms.keep_owner(&stream, room, user, info.unwrap_or_default()).await;
    }
    Ok(made)
}

#[derive(Deserialize)]
struct Ids<'a> {
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(rename = "roomStatusCode", default)]
    status: Option<Number>,
    #[serde(borrow, default)]
    limits: Option<Text<'a>>,
}

/// A room and who pushes in it; for who asks for `limits`, how many may.
pub async fn get_pushers(member: &Member<'_>) -> Sent {
    let body: Ids<'_> = member.call.body()?;
    let id = member.room(body.room_id.as_ref())?;
    let lens = member.lens();
    let mut sent = Err(Refusal::NoRoom.into());
    let most = body.limits.map(|_| member.call.weapp.rooms.capacity(member.kind));
    let see = &mut |room: &room::Room, viewers| {
        sent = fields(|out| {
            RoomView { room, viewers, lens: &lens, detailed: true }.write(out);
            if let Some(most) = most {
                out.extend_from_slice(format!(",\"maxMembers\":{most}").as_bytes());
            }
        });
    };
    member.call.weapp.rooms.see(member.kind, &id, see).await?;
    sent
}

/// Leaves a room.
pub async fn delete_pusher(member: &Member<'_>) -> Sent {
    let body: Ids<'_> = member.call.body()?;
    let room = member.room(body.room_id.as_ref())?;
    let user = member.actor(body.user_id.as_ref())?;
    match member.call.weapp.rooms.delete_pusher(member.kind, &room, user, LeaveReason::Quit).await {
        Ok(()) => done(),
        Err(Error::Refused(Refusal::NotMember)) => {
            Err(Fail::from(Refusal::NotMember).saying("退出房间失败，不是房间成员"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Says that a pusher is still there. A client that names an older version of the list of pushers gets the list.
pub async fn heartbeat(member: &Member<'_>) -> Sent {
    let body: Ids<'_> = member.call.body()?;
    let room = member.room(body.room_id.as_ref())?;
    let user = member.actor(body.user_id.as_ref())?;
    let version = member.call.weapp.rooms.heartbeat(member.kind, &room, user).await?;
    match body.status {
        // The first generation's numbers are its apps' own: none of them is a version.
        Some(Number(known)) if known != version && member.session.generation == Generation::Second => {
            members(member, &room).await
        }
        _ => done(),
    }
}

async fn members(member: &Member<'_>, id: &RoomId) -> Sent {
    let lens = member.lens();
    // The room may have closed since the heartbeat.
    let mut sent = Err(Refusal::NotMember.into());
    let see = &mut |room: &room::Room, _| sent = fields(|out| Members { room, lens: &lens }.write(out));
    match member.call.weapp.rooms.see(member.kind, id, see).await {
        Ok(()) | Err(Error::Refused(Refusal::NoRoom)) => sent,
        Err(error) => Err(error.into()),
    }
}
