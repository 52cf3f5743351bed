//! `merge_stream`: the video that an audience sees, put together from several streams.

use room::{Millis, Refusal, RoomId, StreamId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::Text;
use super::call::Member;
use super::reply::{Fail, Sent, success};
use store::Agreement;
use store::error::Error;
use streams::live::{MixOutcome, Mixable, is_of, mix};

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
    let weapp = member.call.weapp;
    let (mut streams, mine) = mixable(member, room.as_ref(), &params).await?;
    let waits_for = match (room, &mine) {
        (Some(room), Some((stream, joined))) => {
            let agreement = Agreement { room, joined: *joined, with: Vec::new() };
            partners(member, (stream, agreement), &params, &mut streams).await?
        }
        // Only its own.
        _ => None,
    };
    let MixOutcome { code, message } = match waits_for {
        Some(waits_for) => mix::refuse(
            mix::NOT_THERE_YET,
            format!("{waits_for} is of another room: its pusher must ask for a mix with {user}'s stream too"),
        ),
        None => weapp.live.mix(&params, &streams).await?,
    };
    success(&Merged {
        result: Outcome { code, message: &message, timestamp: member.call.now.secs() },
        merge_code: code,
        merge_msg: &message,
        merge_message: &message,
    })
}

/// The streams that may be mixed in this room, or before there is one; and the caller's own in it, since when.
async fn mixable(
    member: &Member<'_>,
    room: Option<&RoomId>,
    params: &Value,
) -> Result<(Mixable, Option<(StreamId, Millis)>), Fail> {
    let weapp = member.call.weapp;
    let user = &member.session.user;
    let mut streams = Mixable::default();
    let Some(room) = room else {
        streams.room = own(weapp.choices.bizid, user, params);
        return Ok((streams, None));
    };
    let mut mine = None;
    let see = &mut |room: &room::Room, _| {
        streams.room = room.pushers.iter().map(|p| p.stream.clone()).collect();
        mine = room.pusher(user).map(|p| (p.stream.clone(), p.joined));
    };
    match weapp.rooms.see(member.kind, room, see).await {
        Err(Error::Refused(Refusal::NoRoom)) if weapp.choices.mix_elsewhere && !weapp.rooms.exists(room).await => {
            streams.room = elsewhere(weapp.choices.bizid, user, params);
            Ok((streams, None))
        }
        Err(error) => Err(error.into()),
        Ok(()) if mine.is_none() => Err(Fail::unauthorised("only who pushes in the room may mix it")),
        Ok(()) => Ok((streams, mine)),
    }
}

/// The streams that a mix in a room of another server names: those that this server did not name, and the caller's own.
fn elsewhere(bizid: u32, user: &UserId, params: &Value) -> Vec<StreamId> {
    let mut named = mix::streams(params);
    // Where a mix ends, only what it was seen as is named.
    named.extend(params.pointer("/interface/para/output_stream_id").and_then(Value::as_str).map(str::to_owned));
    named.retain(|stream| is_of(bizid, stream, user, false) != Some(false));
    let mut streams: Vec<_> = named.iter().filter_map(|stream| StreamId::parse(stream).ok()).collect();
    streams.sort_unstable();
    streams.dedup();
    streams
}

/// The streams that a mix names and that were named for this user in no room, which is what it has before it has a room.
fn own(bizid: u32, user: &UserId, params: &Value) -> Vec<StreamId> {
    let mine = |stream: &String| is_of(bizid, stream, user, true) == Some(true);
    let streams = mix::streams(params).into_iter().filter(mine);
    streams.filter_map(|stream| StreamId::parse(&stream).ok()).collect()
}

/// Streams of other rooms (PK): each pusher names the other's as an input of a mix of its own, and who asks first is told to
/// try again, as clients do. So no pusher is shown beside one that it does not want to be shown with. `mine` is the asking
/// pusher's own stream. Gives a stream whose pusher has not asked yet.
async fn partners(
    member: &Member<'_>,
    mine: (&StreamId, Agreement),
    params: &Value,
    streams: &mut Mixable,
) -> Result<Option<String>, Error> {
    let weapp = member.call.weapp;
    let user = &member.session.user;
    let (stream, mut agreement) = mine;
    let mut others = Vec::new();
    for named in mix::streams(params).into_iter().filter(|named| !streams.in_room(named)) {
        let Some(own) = is_of(weapp.choices.bizid, &named, user, false) else { continue };
        others.extend(StreamId::parse(&named).ok().map(|id| (own, id)));
    }
    agreement.with = others.iter().map(|(_, id)| id.clone()).collect();
    streams.partners.clone_from(&agreement.with);
    // What cannot be mixed anyway says nothing.
    if others.is_empty() || mix::is_sound(params, streams) {
        weapp
            .store
            .agree(stream, Some(&agreement).filter(|agreement| !agreement.with.is_empty()), member.call.now)
            .await?;
    }
    streams.partners.clear();
    for (own, other) in others {
        if !own && !agrees(member, &other, stream).await? {
            return Ok(Some(other.to_string()));
        }
        streams.partners.push(other);
    }
    Ok(None)
}

/// Whether a stream's pusher agreed to be mixed with another one, and is still in the room in which it did.
async fn agrees(member: &Member<'_>, stream: &StreamId, with: &StreamId) -> Result<bool, Error> {
    let store = &member.call.weapp.store;
    let Some(said) = store.agreement(stream, member.call.now).await? else { return Ok(false) };
    let mut stays = false;
    let see = &mut |room: &room::Room, _| {
        stays = room.pushers.iter().any(|p| p.stream == *stream && p.joined == said.joined);
    };
    store.see(&said.room, see).await?;
    Ok(stays && said.with.contains(with))
}
