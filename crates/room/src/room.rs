//! The room as a value: what is true of it now. Changes are made by the rules beside this file.

pub mod done;
pub mod fields;
pub mod sanctions;

use serde::{Deserialize, Serialize};

use crate::event::{CloseReason, Event, LeaveReason, What};
use crate::id::{RoomId, StreamId, UserId};
use crate::kind::Kind;
use crate::time::Millis;
use done::Done;
use fields::Custom;
use sanctions::Sanctions;

/// A user who pushes a stream into a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pusher {
    /// Who.
    pub user: UserId,
    /// Display name.
    pub name: Box<str>,
    /// Address of an image, or anything that the app puts there.
    pub avatar: Box<str>,
    /// The stream that it pushes.
    pub stream: StreamId,
    /// Since when it is in the room.
    pub joined: Millis,
    /// Last sign of life.
    pub seen: Millis,
    /// Not before then is the live service asked about it again.
    pub ask_after: Millis,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// Its kind.
    pub kind: Kind,
    /// What the app says about it: a name, or JSON.
    pub info: Box<str>,
    /// The first to push, and the stream that the mix replaces. Stays when the creator leaves a room of equals.
    pub creator: Option<(UserId, StreamId)>,
    /// Who pushes, in order of entering.
    pub pushers: Vec<Pusher>,
    /// Custom fields.
    pub custom: Custom,
    /// Who is muted or kept out of the chat.
    #[serde(rename = "measures", default, skip_serializing_if = "Sanctions::is_empty")]
    pub sanctions: Sanctions,
    /// Members need no heartbeats: they stay until they leave, or for [`crate::rules::LASTING`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lasting: bool,
    /// What is pushed is recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
    /// Which named changes were made of late.
    #[serde(default, skip_serializing_if = "Done::is_empty")]
    pub done: Done,
    /// Version of the list of pushers, `roomStatusCode` to clients: another one after each change of the list.
    pub status: i64,
    /// When it was made; the room list is ordered by it.
    pub created: Millis,
    /// Sequence number of its last event.
    pub seq: u64,
}

impl Room {
    /// A room that no pusher has entered yet.
    #[must_use]
    pub fn empty(id: RoomId, kind: Kind, info: &str, now: Millis) -> Self {
        Self {
            id,
            kind,
            info: info.into(),
            creator: None,
            pushers: Vec::new(),
            custom: Custom::default(),
            sanctions: Sanctions::default(),
            lasting: false,
            recorded: false,
            done: Done::default(),
            status: 0,
            created: now,
            seq: 0,
        }
    }

    /// Whether it is listed: it has a pusher.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        !self.pushers.is_empty()
    }

    /// The pusher with this id.
    #[must_use]
    pub fn pusher(&self, user: &UserId) -> Option<&Pusher> {
        self.pushers.iter().find(|p| p.user == *user)
    }

    /// Whether this is the live room that this user made and asks for again, as one of this kind.
    pub fn is_live_of(&self, kind: Kind, user: &UserId) -> bool {
        self.kind == Kind::Live && kind == Kind::Live && self.is_creator(user)
    }

    /// Whether this user is the room's creator.
    #[must_use]
    pub fn is_creator(&self, user: &UserId) -> bool {
        self.creator.as_ref().is_some_and(|(c, _)| c == user)
    }

    /// Gives back memory that is held for nothing, as by a room that was read from somewhere: what is said twice is kept once.
    pub fn compact(&mut self) {
        self.pushers.shrink_to_fit();
        if let Some((user, stream)) = &mut self.creator
            && let Some(pusher) = self.pushers.iter().find(|pusher| pusher.user == *user)
        {
            *user = pusher.user.clone();
            if *stream == pusher.stream {
                *stream = pusher.stream.clone();
            }
        }
    }

    /// Numbers the next event, and the list of pushers where the event changes it.
    pub(crate) fn event(&mut self, now: Millis, what: What) -> Event {
        self.seq += 1;
        if matches!(what, What::Joined { .. } | What::Updated { .. } | What::Left { .. }) {
            // Clients keep it in 32 bits. Anything else is as good as a greater one: they compare for equality.
            self.status = if (0..i64::from(i32::MAX)).contains(&self.status) { self.status + 1 } else { 1 };
        }
        Event { room: self.id.clone(), kind: self.kind, seq: self.seq, at: now, what }
    }

    /// The events of closing this room: a leave for each pusher, then the close.
    pub(crate) fn close(mut self, now: Millis, reason: CloseReason) -> Vec<Event> {
        let left: Vec<UserId> = self.pushers.drain(..).map(|p| p.user).collect();
        let mut events: Vec<Event> = left
            .into_iter()
            .map(|user| self.event(now, What::Left { user, reason: LeaveReason::RoomClosed }))
            .collect();
        events.push(self.event(now, What::Closed { reason }));
        events
    }
}
