//! `create_room`, `destroy_room`, `get_room_list`.

use serde::{Deserialize, Serialize};

use super::body::{Number, Text};
use super::call::Member;
use super::pushers;
use super::reply::{Fail, List, Sent, done, success};
use super::view::{Lens, RoomView};
use room::{Refusal, RoomId};
use sign::token::Generation;
use store::error::Error;
use streams::live::Plays;

/// Most rooms of one answer.
const MAX_COUNT: i64 = 200;

#[derive(Deserialize)]
struct Create<'a> {
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
    #[serde(rename = "roomInfo", borrow, default)]
    room_info: Option<Text<'a>>,
    #[serde(rename = "roomName", borrow, default)]
    room_name: Option<Text<'a>>,
    /// With which clients of 2017 enter at once.
    #[serde(rename = "pushURL", borrow, default)]
    push_url: Option<Text<'a>>,
    #[serde(rename = "userName", borrow, default)]
    user_name: Option<Text<'a>>,
    #[serde(rename = "userAvatar", borrow, default)]
    user_avatar: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Created<'a> {
    #[serde(rename = "roomID")]
    room_id: &'a RoomId,
}

/// Makes an empty room.
pub async fn create_room(member: &Member<'_>) -> Sent {
    let body: Create<'_> = member.call.body()?;
    let user = member.actor(body.user_id.as_ref())?;
    // The second generation's clients need not say it.
    let optional = (member.session.generation == Generation::Second).then(Text::default);
    let info = body.room_info.or(body.room_name).or(optional).ok_or_else(|| Fail::missing("roomInfo"))?;
    let id = body.room_id.filter(|id| !id.as_str().is_empty()).map(|id| member.room(Some(&id))).transpose()?;
    match member.call.weapp.rooms.create(member.kind, id.as_ref(), info.as_str(), user).await {
        Ok(id) => {
            if let Some(url) = body.push_url.filter(|_| member.call.weapp.choices.generation0) {
                let text = |field: &Option<Text<'_>>| field.as_ref().map(Text::as_str).unwrap_or_default().to_owned();
                let shown = (text(&body.user_name), text(&body.user_avatar));
                pushers::enter(member, &id, url.as_str(), &shown.0, &shown.1, None).await?;
            }
            success(&Created { room_id: &id })
        }
        Err(Error::Refused(Refusal::RoomExists)) => {
            let named = id.as_ref().map_or("", RoomId::as_str);
            Err(Fail::from(Refusal::RoomExists).with_room(named))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct Ids<'a> {
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
}

/// Closes a room at its creator's wish.
pub async fn destroy_room(member: &Member<'_>) -> Sent {
    let body: Ids<'_> = member.call.body()?;
    let room = member.room(body.room_id.as_ref())?;
    let user = member.actor(body.user_id.as_ref())?;
    match member.call.weapp.rooms.destroy(member.kind, &room, user).await {
        Ok(()) => done(),
        // The first servers do not tell the two apart.
        Err(Error::Refused(Refusal::NoRoom)) => Err(Refusal::NotCreator.into()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct Page {
    cnt: Option<Number>,
    index: Option<Number>,
}

/// A page of the active rooms, oldest first.
pub async fn get_room_list(member: &Member<'_>) -> Sent {
    let Page { cnt, index } = member.call.body()?;
    let number = |name, n: Option<Number>| match n {
        None => Err(Fail::missing(name)),
        Some(Number(n)) if n < 0 => Err(Fail::malformed(&format_args!("{name} 不能为负数"))),
        Some(Number(n)) => Ok(n),
    };
    let count = number("cnt", cnt)?.min(MAX_COUNT);
    let index = number("index", index)?;
    if count == 0 {
        return Err(Fail::malformed("cnt 必须大于 0"));
    }
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let count = usize::try_from(count).unwrap_or_default();
    let lens = member.lens();
    let mut rooms = List::new("rooms", count.min(32) * 1536);
    let see = &mut |room: &room::Room, viewers: usize| {
        rooms.add(|out| {
            out.push(b'{');
            RoomView { room, viewers, lens: &lens, detailed: false }.write(out);
            out.push(b'}');
        });
    };
    member.call.weapp.rooms.list(member.kind, index, count, see).await?;
    rooms.sent()
}

impl Member<'_> {
    /// Makes the play URLs of the answer to this member.
    pub fn plays(&self) -> Plays<'_> {
        self.call.weapp.urls.plays(self.call.base(), Some(&self.session.user), self.call.now)
    }

    /// How this member sees rooms.
    pub fn lens(&self) -> Lens<'_> {
        Lens { plays: self.plays(), user: &self.session.user }
    }
}
