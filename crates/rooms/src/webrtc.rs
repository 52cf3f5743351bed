//! Rooms of calls, `webrtc_room`, and the Windows portal's list of rooms, `webexe_room`: made by their first member, gone
//! with their last; members go by heartbeats.

use room::custom::{self, Operation, Value};
use room::pushers::{self, NewPusher};
use room::{CloseReason, Kind, LeaveReason, Refusal, Room, RoomId, StreamId, UserId};

use super::{Rooms, of_kind, once};
use store::See;
use store::error::Error;

/// The custom field that holds a room's type.
const TYPE: &str = "roomType";
/// The custom field that holds a room's status.
const STATUS: &str = "status";
/// Stands before the ids of listed rooms in the store: the portal makes the room that it lists under the same id, as a live
/// room, say, and ids are unique across kinds.
const LISTED: &str = "webexe:";
/// Tries to find a number that is free.
const TRIES: usize = 8;
/// Rooms looked at for one page of a type.
const MAX_LOOKED_AT: usize = 10_000;
/// Rooms looked at at a time.
const PAGE: usize = 200;

/// Media goes elsewhere: the name only says whose it would be.
fn stream(room: &RoomId, user: &UserId) -> Result<StreamId, Refusal> {
    StreamId::parse(&format!("webrtc_{room}_{user}"))
}

/// The id under which the store holds a room.
fn key(kind: Kind, id: &RoomId) -> Result<RoomId, Refusal> {
    if kind == Kind::Webexe { RoomId::parse(&format!("{LISTED}{id}")) } else { Ok(id.clone()) }
}

/// A number that Java and Android hold in an `int`, and never 0: clients take it for none.
/// The same for the same request, which may come again.
fn fresh_number(n: usize) -> Result<RoomId, Refusal> {
    let id = once::name().map_or_else(sign::fresh_id, |name| name.wrapping_add(n as u64));
    let number = (id & u64::from(i32::MAX.unsigned_abs())).max(1);
    RoomId::parse(&number.to_string())
}

/// What a room of a call, or of the list, is made from.
#[derive(Clone, Copy, Debug)]
pub struct NewCall<'a> {
    /// [`Kind::Webrtc`] or [`Kind::Webexe`].
    pub kind: Kind,
    /// Its id, if the client chose one.
    pub id: Option<&'a RoomId>,
    /// Its first member.
    pub user: &'a UserId,
    /// The member's name.
    pub nick: &'a str,
    /// Its info text.
    pub info: &'a str,
    /// Its type; may be empty.
    pub room_type: &'a str,
    /// Its members need no heartbeats.
    pub lasting: bool,
}

impl Rooms {
    /// Makes a room with its first member in it; without an id, with a free number as id. A listed room whose id is taken
    /// gets a number, too, as the first list server did.
    ///
    /// # Errors
    /// [`Refusal::RoomExists`]; [`Refusal::TooLong`].
    pub async fn create_call(&self, new: &NewCall<'_>) -> Result<RoomId, Error> {
        if let Some(id) = new.id {
            match self.make_call(id, new).await {
                Err(Error::Refused(Refusal::RoomExists)) if new.kind == Kind::Webexe => {}
                other => return other.map(|()| id.clone()),
            }
        }
        for n in 0..TRIES {
            let id = fresh_number(n)?;
            match self.make_call(&id, new).await {
                Err(Error::Refused(Refusal::RoomExists)) => {}
                other => return other.map(|()| id),
            }
        }
        Err(Refusal::RoomExists.into())
    }

    async fn make_call(&self, id: &RoomId, call: &NewCall<'_>) -> Result<(), Error> {
        self.may_make()?;
        let NewCall { kind, user, nick, info, room_type, lasting, .. } = *call;
        let id = &key(kind, id)?;
        let now = self.clock.steady();
        let stream = stream(id, user)?;
        let new = NewPusher { room: id, kind, user, name: nick, avatar: "", stream: &stream, info: Some(info) };
        let decide = &mut |slot: &mut Option<Room>| {
            if slot.is_some() {
                return Err(Refusal::RoomExists);
            }
            let mut events = pushers::add_pusher(slot, now, &new, &self.rules)?.events;
            if let Some(room) = slot {
                room.lasting = lasting;
            }
            if !room_type.is_empty() {
                let operation = Operation::Set(Value::Text(room_type.into()));
                match custom::set_custom_field(slot, now, TYPE, operation) {
                    Ok(more) => events.extend(more),
                    Err(refusal) => {
                        *slot = None;
                        return Err(refusal);
                    }
                }
            }
            Ok(events)
        };
        self.decide(id, decide).await
    }

    /// Enters a room that exists, and says what its status is from now on.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`], [`Refusal::Full`].
    pub async fn enter_call(
        &self,
        kind: Kind,
        id: &RoomId,
        user: &UserId,
        nick: &str,
        status: Option<i64>,
    ) -> Result<(), Error> {
        let id = &key(kind, id)?;
        let now = self.clock.steady();
        let stream = stream(id, user)?;
        let new = NewPusher { room: id, kind, user, name: nick, avatar: "", stream: &stream, info: None };
        let decide = &mut |slot: &mut Option<Room>| {
            of_kind(slot, kind, Refusal::NoRoom)?;
            if slot.is_none() {
                return Err(Refusal::NoRoom);
            }
            let mut events = pushers::add_pusher(slot, now, &new, &self.rules)?.events;
            if let Some(status) = status {
                events.extend(custom::set_custom_field(slot, now, STATUS, Operation::Set(Value::Int(status)))?);
            }
            Ok(events)
        };
        self.decide(id, decide).await
    }

    /// A member's heartbeat.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`], [`Refusal::NotMember`].
    pub async fn call_heartbeat(&self, kind: Kind, id: &RoomId, user: &UserId) -> Result<(), Error> {
        let id = &key(kind, id)?;
        // The caller has no session: pushers of other kinds are none of their business.
        self.see(kind, id, &mut |_, _| {}).await?;
        self.store.touch(id, self.clock.steady(), kind, user).await.map(drop)
    }

    /// Leaves a room.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`], [`Refusal::NotMember`].
    pub async fn quit_call(&self, kind: Kind, id: &RoomId, user: &UserId) -> Result<(), Error> {
        let id = &key(kind, id)?;
        self.see(kind, id, &mut |_, _| {}).await?;
        self.delete_pusher(kind, id, user, LeaveReason::Quit).await
    }

    /// Takes a room off the list with all members that are in it.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`].
    pub async fn delete_call(&self, kind: Kind, id: &RoomId) -> Result<(), Error> {
        let now = self.clock.steady();
        let decide = &mut |slot: &mut Option<Room>| {
            of_kind(slot, kind, Refusal::NoRoom)?;
            pushers::close_room(slot, now, CloseReason::Destroyed)
        };
        self.decide(&key(kind, id)?, decide).await
    }

    /// Shows a room.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`].
    pub async fn see_call(&self, kind: Kind, id: &RoomId, see: &mut See<'_>) -> Result<(), Error> {
        self.see(kind, &key(kind, id)?, see).await
    }

    /// Shows a page of the rooms, oldest first: all, or those of a type.
    ///
    /// # Errors
    /// The store is away.
    pub async fn list_calls(
        &self,
        kind: Kind,
        index: usize,
        count: usize,
        of_type: Option<&str>,
        see: &mut See<'_>,
    ) -> Result<(), Error> {
        let Some(of_type) = of_type else { return self.list(kind, index, count, see).await };
        let end = index.saturating_add(count);
        let mut at = 0;
        let mut matched = 0;
        while at < MAX_LOOKED_AT && matched < end {
            let mut seen = 0;
            let filter = &mut |room: &Room, viewers: usize| {
                seen += 1;
                if room_type(room) == of_type {
                    if (index..end).contains(&matched) {
                        see(room, viewers);
                    }
                    matched += 1;
                }
            };
            self.list(kind, at, PAGE, filter).await?;
            if seen < PAGE {
                break;
            }
            at += PAGE;
        }
        Ok(())
    }
}

/// What was said to be a room's type when it was made.
#[must_use]
pub fn room_type(room: &Room) -> &str {
    match room.custom.iter().find(|(name, _)| *name == TYPE) {
        Some((_, Value::Text(text))) => text,
        _ => "",
    }
}

/// What the last one who entered said of a room: 0 not begun, 1 begun.
#[must_use]
pub fn room_status(room: &Room) -> i64 {
    match room.custom.iter().find(|(name, _)| *name == STATUS) {
        Some((_, Value::Int(status))) => *status,
        _ => 0,
    }
}

/// A room's id as its clients know it.
#[must_use]
pub fn shown_id(room: &Room) -> &str {
    let id = room.id.as_str();
    if room.kind == Kind::Webexe { id.strip_prefix(LISTED).unwrap_or(id) } else { id }
}
