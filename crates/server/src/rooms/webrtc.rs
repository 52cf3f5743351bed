//! Rooms of calls, `webrtc_room`: made by their first member, gone with their last; members go by heartbeats.

use room::custom::{self, Operation, Value};
use room::pushers::{self, NewPusher};
use room::{Kind, LeaveReason, Refusal, Room, RoomId, StreamId, UserId};

use super::{Rooms, of_kind};
use crate::error::Error;
use crate::store::See;

/// The custom field that holds a room's type.
const TYPE: &str = "roomType";
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

impl Rooms {
    /// Makes a room with its first member in it; without an id, with a free number as id.
    ///
    /// # Errors
    /// [`Refusal::RoomExists`]; [`Refusal::TooLong`].
    pub async fn create_call(
        &self,
        id: Option<&RoomId>,
        user: &UserId,
        nick: &str,
        info: &str,
        kind: &str,
    ) -> Result<RoomId, Error> {
        if let Some(id) = id {
            self.make_call(id, user, nick, info, kind).await?;
            return Ok(id.clone());
        }
        for _ in 0..TRIES {
            // Never 0: clients take it for none.
            let number = (sign::fresh_id() & u64::from(u32::MAX)).max(1);
            let id = RoomId::parse(&number.to_string())?;
            match self.make_call(&id, user, nick, info, kind).await {
                Err(Error::Refused(Refusal::RoomExists)) => {}
                other => return other.map(|()| id),
            }
        }
        Err(Refusal::RoomExists.into())
    }

    async fn make_call(&self, id: &RoomId, user: &UserId, nick: &str, info: &str, kind: &str) -> Result<(), Error> {
        self.may_make()?;
        let (now, stream) = (self.clock.now(), stream(id, user)?);
        let new =
            NewPusher { room: id, kind: Kind::Webrtc, user, name: nick, avatar: "", stream: &stream, info: Some(info) };
        let decide = &mut |slot: &mut Option<Room>| {
            if slot.is_some() {
                return Err(Refusal::RoomExists);
            }
            let mut events = pushers::add_pusher(slot, now, &new, &self.rules)?.events;
            if !kind.is_empty() {
                let operation = Operation::Set(Value::Text(kind.into()));
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
        self.store.update(id, decide).await
    }

    /// Enters a room that exists.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`], [`Refusal::Full`].
    pub async fn enter_call(&self, id: &RoomId, user: &UserId, nick: &str) -> Result<(), Error> {
        let (now, stream) = (self.clock.now(), stream(id, user)?);
        let new = NewPusher { room: id, kind: Kind::Webrtc, user, name: nick, avatar: "", stream: &stream, info: None };
        let decide = &mut |slot: &mut Option<Room>| {
            of_kind(slot, Kind::Webrtc, Refusal::NoRoom)?;
            if slot.is_none() {
                return Err(Refusal::NoRoom);
            }
            Ok(pushers::add_pusher(slot, now, &new, &self.rules)?.events)
        };
        self.store.update(id, decide).await
    }

    /// A member's heartbeat.
    ///
    /// # Errors
    /// [`Refusal::NotMember`].
    pub async fn call_heartbeat(&self, id: &RoomId, user: &UserId) -> Result<(), Error> {
        // Whoever calls has no session: pushers of other kinds are none of their business.
        self.see(Kind::Webrtc, id, &mut |_, _| {}).await?;
        self.store.touch(id, self.clock.now(), Kind::Webrtc, user).await.map(drop)
    }

    /// Leaves a room.
    ///
    /// # Errors
    /// [`Refusal::NotMember`].
    pub async fn quit_call(&self, id: &RoomId, user: &UserId) -> Result<(), Error> {
        self.delete_pusher(Kind::Webrtc, id, user, LeaveReason::Quit).await
    }

    /// Shows a page of the rooms, oldest first: all, or those of a type.
    ///
    /// # Errors
    /// The store is away.
    pub async fn list_calls(
        &self,
        index: usize,
        count: usize,
        kind: Option<&str>,
        see: &mut See<'_>,
    ) -> Result<(), Error> {
        let Some(kind) = kind else { return self.list(Kind::Webrtc, index, count, see).await };
        let end = index.saturating_add(count);
        let (mut at, mut matched) = (0, 0);
        while at < MAX_LOOKED_AT && matched < end {
            let mut seen = 0;
            let filter = &mut |room: &Room, viewers: usize| {
                seen += 1;
                if room_type(room) == kind {
                    if (index..end).contains(&matched) {
                        see(room, viewers);
                    }
                    matched += 1;
                }
            };
            self.list(Kind::Webrtc, at, PAGE, filter).await?;
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
