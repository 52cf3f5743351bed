//! When each room needs looking at, ordered by time, so that the sweeper pays only for what is due.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use room::{Millis, RoomId};

/// An ordered set of times; a room has one.
#[derive(Debug, Default)]
pub struct Deadlines(Mutex<BTreeSet<(Millis, RoomId)>>);

impl Deadlines {
    /// Moves a room from its old time (if it had one) to a new one (if it gets one).
    pub fn set(&self, id: &RoomId, old: Option<Millis>, new: Option<Millis>) {
        if old == new {
            return;
        }
        let mut set = self.0.lock();
        if let Some(old) = old {
            set.remove(&(old, id.clone()));
        }
        if let Some(new) = new {
            set.insert((new, id.clone()));
        }
    }

    /// Takes out the first `limit` whose time has come.
    pub fn take(&self, now: Millis, limit: usize) -> Vec<(Millis, RoomId)> {
        let mut set = self.0.lock();
        let mut taken = Vec::new();
        while taken.len() < limit && set.first().is_some_and(|(at, _)| *at <= now) {
            taken.extend(set.pop_first());
        }
        taken
    }
}
