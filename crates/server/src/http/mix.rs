//! `merge_stream`: the picture that an audience sees, put together from several streams.

use room::{StreamId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::Text;
use super::call::Member;
use super::reply::{Fail, Sent, success};
use crate::error::Error;
use crate::live::{MixOutcome, Mixable, Owner, mix, owner};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(default)]
    merge_params: Option<Value>,
}

#[derive(Serialize)]
struct Merged<'a> {
    result: Outcome<'a>,
    merge_code: i32,
    merge_msg: &'a str,
    /// The name by which iOS's second generation reads it.
    merge_message: &'a str,
}

#[derive(Serialize)]
struct Outcome<'a> {
    code: i32,
    message: &'a str,
    timestamp: u64,
}

/// Hands the mix to the live service; what it says stands in `result`.
pub async fn merge_stream(member: &Member<'_>) -> Sent {
    let body: Body<'_> = member.call.body()?;
    let user = member.actor(body.user_id.as_ref())?;
    // Windows asks before it has a room, to lay its stream over a canvas, and says so by an empty id.
    let room = body.room_id.as_ref().filter(|id| !id.as_str().is_empty());
    let before = room.is_none() && body.room_id.is_some();
    let room = if before { None } else { Some(member.room(room)?) };
    let params = match body.merge_params.ok_or_else(|| Fail::missing("mergeParams"))? {
        Value::String(text) => serde_json::from_str(&text).map_err(|_| Fail::not_json("mergeParams"))?,
        value => value,
    };
    if !params.is_object() {
        return Err(Fail::not_json("mergeParams"));
    }
    let app = member.call.app;
    let mut streams = Mixable::default();
    if let Some(room) = &room {
        let mut pushes = false;
        let see = &mut |room: &room::Room, _| {
            streams.room = room.pushers.iter().map(|p| p.stream.clone()).collect();
            pushes = room.pusher(user).is_some();
        };
        app.rooms.see(member.kind, room, see).await?;
        if !pushes {
            return Err(Fail::unauthorised("only who pushes in the room may mix it"));
        }
    } else {
        streams.room = own(app.settings.live.bizid, user, &params);
    }
    let waits_for = match room {
        Some(_) => partners(member, user, &params, &mut streams).await?,
        // Only its own.
        None => None,
    };
    let MixOutcome { code, message } = match waits_for {
        Some(waits_for) => mix::refuse(
            mix::NOT_THERE_YET,
            format!("{waits_for} is of another room: its pusher must ask for a mix with {user}'s stream too"),
        ),
        None => app.live.mix(&params, &streams).await?,
    };
    success(&Merged {
        result: Outcome { code, message: &message, timestamp: member.call.now.secs() },
        merge_code: code,
        merge_msg: &message,
        merge_message: &message,
    })
}

/// The streams that a mix names and that were named for this user in no room, which is what it has before it has a room.
fn own(bizid: u32, user: &UserId, params: &Value) -> Vec<StreamId> {
    let mine = |stream: &String| matches!(owner(bizid, stream), Some(Owner::User(whose)) if whose == user.as_str());
    let streams = mix::streams(params).into_iter().filter(mine);
    streams.filter_map(|stream| StreamId::parse(&stream).ok()).collect()
}

/// Streams of other rooms (PK): each pusher names the other's as an input of a mix of its own, and who asks first is told to
/// try again, as clients do. So nobody is shown beside somebody by whom it does not want to be seen. Gives a stream whose
/// pusher has not asked yet.
async fn partners(
    member: &Member<'_>,
    user: &UserId,
    params: &Value,
    streams: &mut Mixable,
) -> Result<Option<String>, Error> {
    let (app, now) = (member.call.app, member.call.now);
    let mut others = Vec::new();
    for stream in mix::streams(params) {
        let (false, Some(owner)) = (streams.in_room(&stream), owner(app.settings.live.bizid, &stream)) else {
            continue;
        };
        let (Owner::User(whose) | Owner::Member { user: whose, .. }) = owner;
        if let (Ok(whose), Ok(id)) = (UserId::parse(&whose), StreamId::parse(&stream)) {
            others.push((whose, id));
        }
    }
    let with: Vec<UserId> = others.iter().map(|(whose, _)| whose.clone()).collect();
    app.store.agree(user, &with, now).await?;
    for (whose, stream) in others {
        if whose != *user && !app.store.agrees(&whose, user, now).await? {
            return Ok(Some(stream.to_string()));
        }
        streams.partners.push(stream);
    }
    Ok(None)
}
