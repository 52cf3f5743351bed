//! Who was seen where, for all nodes that share a store. One process alone keeps that itself ([`room::presence::Presence`]).

use room::presence::Seen;
use room::{Millis, RoomId};

use crate::Answer;

/// What came of a look at who is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Rooms whose audience changed.
    pub changed: Vec<RoomId>,
    /// The node that looked has shown that it is there, and nothing is known of whom it has: it is new, or was taken for dead.
    pub begins: bool,
}

/// Who was seen where. A node is the number under which it shows that it is there; none: what a chat service elsewhere says.
pub trait Presences: Send + Sync {
    /// Takes what was seen, in order for each user. Gives the rooms whose audience changed.
    fn seen<'a>(&'a self, node: Option<u64>, seen: &'a [Seen], now: Millis) -> Answer<'a, Vec<RoomId>>;

    /// A node begins anew: all users whom it had are away and may come back for so long, but for those who are there now.
    fn begin<'a>(&'a self, node: u64, everybody: &'a [Seen], grace: u64, now: Millis) -> Answer<'a, Vec<RoomId>>;

    /// Takes out who was away for too long and is at no node; whom nodes had that are gone is away from now on, for so long.
    /// Nothing while there is a node that does not say whom it has.
    fn look(&self, node: Option<u64>, grace: u64) -> Answer<'_, Looked>;
}
