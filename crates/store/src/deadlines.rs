//! When each room needs looking at, ordered by time, so that the sweeper pays only for what is due.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use room::{Millis, RoomId};

/// A time, and a room; between them a number of the room's id: after a restart very many rooms have the same time, and to compare
/// a number is far less than to compare texts.
type Entry = (Millis, u32, RoomId);

/// An ordered set of times; a room has one.
#[derive(Debug, Default)]
pub struct Deadlines(Mutex<BTreeSet<Entry>>);

fn entry(at: Millis, id: &RoomId) -> Entry {
    (at, crc32fast::hash(id.as_str().as_bytes()), id.clone())
}

impl Deadlines {
    /// These, in any order.
    pub fn of(rooms: Vec<(Millis, RoomId)>) -> Self {
        Self(Mutex::new(rooms.into_iter().map(|(at, id)| entry(at, &id)).collect()))
    }

    /// Moves a room from its old time (if it had one) to a new one (if it gets one).
    pub fn set(&self, id: &RoomId, old: Option<Millis>, new: Option<Millis>) {
        if old == new {
            return;
        }
        let mut set = self.0.lock();
        if let Some(old) = old {
            set.remove(&entry(old, id));
        }
        if let Some(new) = new {
            set.insert(entry(new, id));
        }
    }

    /// Takes out the first `limit` whose time has come.
    pub fn take(&self, now: Millis, limit: usize) -> Vec<(Millis, RoomId)> {
        let mut set = self.0.lock();
        let mut taken = Vec::new();
        while taken.len() < limit && set.first().is_some_and(|(at, ..)| *at <= now) {
            taken.extend(set.pop_first().map(|(at, _, id)| (at, id)));
        }
        taken
    }
}
