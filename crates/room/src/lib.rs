//! Rules of rooms and chat: pure functions on values, with the time passed in.
//!
//! Nothing here calls out. A rule takes a slot (`&mut Option<Room>`), decides, changes the slot and
//! returns the events that the caller publishes after the change is committed.

pub mod audience;
pub mod chat;
pub mod custom;
pub mod event;
pub mod id;
pub mod kind;
pub mod once;
pub mod presence;
pub mod pushers;
pub mod recorded;
pub mod refusal;
pub mod room;
pub mod rules;
pub mod sanctions;
pub mod sweep;
pub mod time;

pub use audience::Audience;
pub use custom::Custom;
pub use event::{CloseReason, Event, LeaveReason, What};
pub use id::{RoomId, StreamId, UserId};
pub use kind::Kind;
pub use pushers::{Joined, NewPusher, NewRoom};
pub use refusal::Refusal;
pub use room::{Pusher, Room};
pub use rules::Rules;
pub use time::Millis;

#[cfg(test)]
mod histories;
