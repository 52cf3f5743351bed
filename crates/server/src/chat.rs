//! The chat service: a group for each room, told of the room's changes. One trait, one file per provider.

mod embedded;

use room::{Event, RoomId};
use serde::{Deserialize, Serialize};

use crate::store::Answer;

pub use embedded::Embedded;

/// Who carries chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The hub in this process.
    #[default]
    Embedded,
}

/// `[chat]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who carries chat.
    pub provider: Provider,
}

/// What rooms ask of the chat service.
pub trait Chat: Send + Sync + 'static {
    /// Makes the group of a room that is about to be made; one that exists already is fine. Bounded in time.
    fn open<'a>(&'a self, room: &'a RoomId) -> Answer<'a, ()>;

    /// Takes in a change, in order for each room. Never waits: what cannot be told at once is told later.
    fn carry(&self, event: &Event);
}
