//! Making rooms, entering, leaving and destroying them (docs/protocol.md, "Rooms of all kinds").

use crate::event::{CloseReason, Event, LeaveReason, What};
use crate::id::{RoomId, StreamId, UserId};
use crate::kind::Kind;
use crate::refusal::{Refusal, bounded};
use crate::room::{Pusher, Room};
use crate::rules::{MAX_AVATAR, MAX_NAME, MAX_ROOM_INFO, Rules};
use crate::time::Millis;

/// What a new room is made from.
#[derive(Clone, Debug)]
pub struct NewRoom<'a> {
    /// Its id.
    pub id: &'a RoomId,
    /// Its kind.
    pub kind: Kind,
    /// Its info text, up to [`MAX_ROOM_INFO`] bytes.
    pub info: &'a str,
    /// Who makes it.
    pub by: &'a UserId,
}

/// What a pusher brings along when it enters.
#[derive(Clone, Debug)]
pub struct NewPusher<'a> {
    /// The room.
    pub room: &'a RoomId,
    /// The kind that the room has, or gets if it is made.
    pub kind: Kind,
    /// Who enters.
    pub user: &'a UserId,
    /// Display name, up to [`MAX_NAME`] bytes.
    pub name: &'a str,
    /// Picture address, up to [`MAX_AVATAR`] bytes.
    pub avatar: &'a str,
    /// The stream that it pushes.
    pub stream: &'a StreamId,
    /// Info text for the room if it is made.
    pub info: Option<&'a str>,
}

/// The outcome of entering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The room did not exist and was made.
    pub made: bool,
    /// What happened.
    pub events: Vec<Event>,
}

/// Makes an empty room: unlisted, without a creator. The creator of a live room, whose app was killed, finds it as it is: it pushes
/// before it asks for the room, so that nobody would take it for gone.
///
/// # Errors
/// [`Refusal::RoomExists`]; [`Refusal::TooLong`] for the info.
pub fn create_room(slot: &mut Option<Room>, now: Millis, new: &NewRoom<'_>) -> Result<Vec<Event>, Refusal> {
    bounded("roomInfo", new.info, MAX_ROOM_INFO)?;
    if let Some(room) = slot {
        return if room.is_live_of(new.kind, new.by) { Ok(Vec::new()) } else { Err(Refusal::RoomExists) };
    }
    let room = slot.insert(Room::empty(new.id.clone(), new.kind, new.info, now));
    Ok(vec![room.event(now, What::Created { by: new.by.clone() })])
}

/// Enters a room, which is made if it does not exist; updates a pusher that is in already.
/// Counts as a heartbeat.
///
/// # Errors
/// [`Refusal::Full`]; [`Refusal::RoomExists`] if the id is taken by a room of another kind;
/// [`Refusal::TooLong`] names a field.
pub fn add_pusher(slot: &mut Option<Room>, now: Millis, new: &NewPusher<'_>, rules: &Rules) -> Result<Joined, Refusal> {
    bounded("userName", new.name, MAX_NAME)?;
    bounded("userAvatar", new.avatar, MAX_AVATAR)?;
    bounded("roomInfo", new.info.unwrap_or_default(), MAX_ROOM_INFO)?;
    if slot.as_ref().is_some_and(|room| room.kind != new.kind) {
        return Err(Refusal::RoomExists);
    }
    if let Some(room) = slot.as_mut()
        && let Some(at) = room.pushers.iter().position(|p| p.user == *new.user)
    {
        return Ok(Joined { made: false, events: update(room, at, now, new) });
    }
    let capacity = rules.capacity(new.kind);
    if slot.as_ref().map_or(0, |room| room.pushers.len()) >= capacity {
        return Err(Refusal::Full);
    }

    let mut events = Vec::with_capacity(2);
    let made = slot.is_none();
    let room = slot.get_or_insert_with(|| Room::empty(new.room.clone(), new.kind, new.info.unwrap_or_default(), now));
    if made {
        events.push(room.event(now, What::Created { by: new.user.clone() }));
    }
    if room.creator.is_none() {
        room.creator = Some((new.user.clone(), new.stream.clone()));
    }
    // Most rooms hold few people: room for exactly one more keeps a million rooms small.
    room.pushers.reserve_exact(1);
    room.pushers.push(Pusher {
        user: new.user.clone(),
        name: new.name.into(),
        avatar: new.avatar.into(),
        stream: new.stream.clone(),
        joined: now,
        seen: now,
        ask_after: now,
    });
    events.push(room.event(now, What::Joined { user: new.user.clone() }));
    Ok(Joined { made, events })
}

fn update(room: &mut Room, at: usize, now: Millis, new: &NewPusher<'_>) -> Vec<Event> {
    let pusher = &mut room.pushers[at];
    pusher.seen = now;
    let same = *pusher.name == *new.name && *pusher.avatar == *new.avatar && pusher.stream == *new.stream;
    if same {
        return Vec::new();
    }
    pusher.name = new.name.into();
    pusher.avatar = new.avatar.into();
    pusher.stream = new.stream.clone();
    if let Some((creator, stream)) = &mut room.creator
        && creator == new.user
    {
        *stream = new.stream.clone();
    }
    vec![room.event(now, What::Updated { user: new.user.clone() })]
}

/// Takes a pusher out of its room. The room closes where its rules say so.
///
/// # Errors
/// [`Refusal::NotMember`], also if there is no such room.
pub fn delete_pusher(
    slot: &mut Option<Room>,
    now: Millis,
    user: &UserId,
    reason: LeaveReason,
    rules: &Rules,
) -> Result<Vec<Event>, Refusal> {
    let Some(mut room) = slot.take() else { return Err(Refusal::NotMember) };
    let Some(at) = room.pushers.iter().position(|p| p.user == *user) else {
        *slot = Some(room);
        return Err(Refusal::NotMember);
    };
    room.pushers.remove(at);
    let mut events = vec![room.event(now, What::Left { user: user.clone(), reason })];
    if room.is_creator(user) && rules.closes_with_creator(room.kind) {
        events.extend(room.close(now, CloseReason::CreatorLeft));
    } else if room.pushers.is_empty() {
        events.extend(room.close(now, CloseReason::Empty));
    } else {
        *slot = Some(room);
    }
    Ok(events)
}

/// Closes a room at its creator's wish.
///
/// # Errors
/// [`Refusal::NoRoom`]; [`Refusal::NotCreator`].
pub fn destroy_room(slot: &mut Option<Room>, now: Millis, user: &UserId) -> Result<Vec<Event>, Refusal> {
    match slot {
        None => Err(Refusal::NoRoom),
        Some(room) if !room.is_creator(user) => Err(Refusal::NotCreator),
        Some(_) => close_room(slot, now, CloseReason::Destroyed),
    }
}

/// Closes a room with all pushers that are in it.
///
/// # Errors
/// [`Refusal::NoRoom`].
pub fn close_room(slot: &mut Option<Room>, now: Millis, reason: CloseReason) -> Result<Vec<Event>, Refusal> {
    slot.take().map(|room| room.close(now, reason)).ok_or(Refusal::NoRoom)
}

/// A heartbeat of a pusher in a room of this kind. Gives the version of the list of pushers.
///
/// # Errors
/// [`Refusal::NotMember`].
pub fn touch(room: Option<&mut Room>, now: Millis, kind: Kind, user: &UserId) -> Result<i64, Refusal> {
    let room = room.filter(|room| room.kind == kind).ok_or(Refusal::NotMember)?;
    let pusher = room.pushers.iter_mut().find(|p| p.user == *user).ok_or(Refusal::NotMember)?;
    // Nodes' clocks differ: a sign of life never makes a pusher older.
    pusher.seen = pusher.seen.max(now);
    Ok(room.status)
}

/// Changes the room's info text.
///
/// # Errors
/// [`Refusal::NoRoom`]; [`Refusal::TooLong`].
pub fn set_info(slot: &mut Option<Room>, now: Millis, info: &str) -> Result<Vec<Event>, Refusal> {
    bounded("roomInfo", info, MAX_ROOM_INFO)?;
    let room = slot.as_mut().ok_or(Refusal::NoRoom)?;
    if *room.info == *info {
        return Ok(Vec::new());
    }
    room.info = info.into();
    Ok(vec![room.event(now, What::Info)])
}

#[cfg(test)]
mod tests;
