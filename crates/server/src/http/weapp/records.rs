//! `get_record_list`: finished recordings, as members may see them.

use serde::{Deserialize, Serialize};

use super::body::{Number, Text};
use super::call::Member;
use super::reply::{Fail, Sent, success};
use ::rooms::recordings::Listed;
use ::rooms::recordings::finished::{Finished, Place, is_id};
use room::{Kind, RoomId, UserId};
use streams::live::Plays;

/// Most recordings of one answer.
const MAX_COUNT: i64 = 200;
/// Recordings of one answer, unless asked otherwise.
const USUAL: i64 = 20;

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
    #[serde(rename = "ownerID", borrow, default)]
    owner_id: Option<Text<'a>>,
    #[serde(default)]
    cnt: Option<Number>,
    #[serde(borrow, default)]
    cursor: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Records {
    records: Vec<Record>,
    cursor: String,
}

/// Every field is there in each record, and of one type: clients of phones fail a whole answer otherwise.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "recordID")]
    record_id: String,
    #[serde(rename = "roomID")]
    room_id: String,
    room_type: &'static str,
    title: String,
    #[serde(rename = "userID")]
    user_id: String,
    /// Unix seconds.
    start_time: u64,
    /// Seconds.
    duration: u64,
    /// Bytes.
    file_size: u64,
    #[serde(rename = "playURL")]
    play_url: String,
}

/// A page of the finished recordings that the caller may see, newest first.
pub async fn get_record_list(member: &Member<'_>) -> Sent {
    member.no_other()?;
    let asked: Asked<'_> = member.call.body()?;
    let room = filled(asked.room_id).map(|id| member.room(Some(&id))).transpose()?;
    let owner = filled(asked.owner_id)
        .map(|id| UserId::parse(id.as_str()).map_err(|_| Fail::malformed("ownerID")))
        .transpose()?;
    let cursor = filled(asked.cursor);
    if cursor.as_ref().is_some_and(|cursor| !is_id(cursor.as_str())) {
        return Err(Fail::malformed("cursor"));
    }
    let count = asked.cnt.map_or(USUAL, |Number(count)| count);
    if count < 1 {
        return Err(Fail::malformed("cnt 必须大于 0"));
    }
    let count = usize::try_from(count.min(MAX_COUNT)).unwrap_or_default();
    let wanted = |record: &Finished| {
        room.as_ref().is_none_or(|room| record.room.as_ref() == Some(room))
            && owner.as_ref().is_none_or(|owner| record.user.as_ref() == Some(owner))
            && record.kind.is_none_or(|kind| kind == member.kind)
            && may_see(member, record)
    };
    let weapp = member.call.weapp;
    let after = cursor.as_ref().map(Text::as_str);
    let page = match weapp.choices.listed {
        Listed::Off => Default::default(),
        Listed::Own | Listed::Live => weapp.rooms.records(after, count, &wanted).await?,
    };
    let plays = member.plays();
    let records = page.records.into_iter().map(|(id, record)| shown(&plays, id, record)).collect();
    success(&Records { records, cursor: page.next.unwrap_or_default() })
}

/// A text that says something.
fn filled(text: Option<Text<'_>>) -> Option<Text<'_>> {
    text.filter(|text| !text.as_str().is_empty())
}

/// A user sees recordings of its own streams, and those of live rooms where the operator says so; none of a room that it is
/// kept out of.
fn may_see(member: &Member<'_>, record: &Finished) -> bool {
    let weapp = member.call.weapp;
    let user = &member.session.user;
    let own = record.user.as_ref() == Some(user);
    let open = weapp.choices.listed == Listed::Live && record.kind == Some(Kind::Live);
    (own || open) && weapp.bans.until(user, record.room.as_ref(), member.call.now).is_none()
}

fn shown(plays: &Plays<'_>, id: String, record: Finished) -> Record {
    let play_url = match record.place {
        Place::Url(url) => url,
        Place::File(file) => plays.recording(&file, record.room.as_ref()).unwrap_or_default(),
    };
    Record {
        record_id: id,
        room_id: record.room.as_ref().map_or("", RoomId::as_str).into(),
        room_type: record.kind.map_or("", Kind::path),
        user_id: record.user.as_ref().map_or("", UserId::as_str).into(),
        title: record.title,
        start_time: record.started.secs(),
        duration: record.duration.div_ceil(1000),
        file_size: record.size,
        play_url,
    }
}
