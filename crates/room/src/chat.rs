//! Chat as a state machine: a [`Group`] per room, and a [`Directory`] of who is connected.
//! Two kinds of values that never touch each other, so that a server can lock each apart.
//! Knows no sockets, no JSON, no wire codes; what is sent comes back as a shared [`Message`] for the caller to carry.
//!
//! How a caller puts them together. Where both are needed, the group is locked first and stays locked while the
//! directory is asked: so the two never disagree about who is in, whatever happens at the same time.
//! - connect: [`Directory::connect`]; queue what waited before the directory is unlocked.
//! - join: lock the group, [`Directory::enter`], [`Group::join`]; if the group refuses and `enter` said that the
//!   connection is new there, [`Directory::leave`]. Queue the catch-up before the group is unlocked.
//! - send: [`Group::send`], then walk [`Group::connections`] under the same lock, with a bounded queue for each.
//! - quit, removed, destroyed: the group first, then [`Directory::leave`] for each connection that it names.
//! - disconnect: [`Directory::disconnect`] and unlock, then [`Group::quit`] for each group that it names.

mod counts;
mod directory;
mod group;
mod log;
mod mailbox;
mod message;
mod refusal;
mod roster;
mod sanctions;

pub use counts::{Count, Counts};
pub use directory::{Connected, Directory, Gone, Posted};
pub use group::{Closed, Created, End, Group, Joined, NewGroup, OutReason, PutOut, Quit, Sent, create, destroy};
pub use log::{CatchUp, Since};
pub use message::{Body, Content, Direct, Form, Message, Nick, Notice, Said, System};
pub use refusal::Refusal;

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// Longest message body in bytes: 8 KiB of payload and the JSON around it.
pub const MAX_BODY: usize = 8 * 1024 + 256;
/// Longest nick name in bytes.
pub const MAX_NICK: usize = 64;
/// Longest name of a group in bytes.
pub const MAX_GROUP_NAME: usize = 256;
/// Most messages that a group keeps for catching up.
pub const MAX_KEPT: usize = 200;
/// Most bytes of messages that a group keeps; the newest message is kept whatever its size.
pub const MAX_KEPT_BYTES: usize = 256 * 1024;
/// Most sends of a group that are remembered to recognise a repeated one.
pub const MAX_RECENT: usize = 1024;
/// Most connections in a group.
pub const MAX_LISTENERS: usize = 100_000;
/// Most muted users of a group, and most banned ones.
pub const MAX_SANCTIONS: usize = 1024;
/// Most groups that a connection may be in.
pub const MAX_GROUPS: usize = 16;
/// Most connections of a user.
pub const MAX_CONNECTIONS: usize = 16;
/// Most point-to-point messages that are kept for a receiver.
pub const MAX_MAIL: usize = 100;
/// Most bytes of point-to-point messages that are kept for a receiver.
pub const MAX_MAIL_BYTES: usize = 256 * 1024;
/// Most bytes of point-to-point messages that a directory keeps for all receivers.
pub const MAX_ALL_MAIL_BYTES: usize = 64 * 1024 * 1024;
/// Milliseconds that a point-to-point message, or the nick name of a user who left, is kept.
pub const AWAY: u64 = 60_000;
/// Least milliseconds between two count notices of a group.
pub const COUNT_EVERY: u64 = 1_000;

/// A connection of a user, numbered by the caller. A number is not given to another connection
/// before the first one is out of the directory and of all groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// How a connection is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket; a user may have several.
    Socket,
    /// A long-polling client; a newer one of the same user takes its place.
    Poller,
}

/// Which life of a group with this id; sequence numbers of one life mean nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The life that begins now. `salt` (a counter or a random number; ten bits are used) tells lives of the same
    /// millisecond apart. Below 2^53, so that JavaScript can hold it, for as long as it matters.
    #[must_use]
    pub const fn new(now: Millis, salt: u16) -> Self {
        Self((now.0 & ((1 << 43) - 1)) << 10 | (salt as u64 & 1023))
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
