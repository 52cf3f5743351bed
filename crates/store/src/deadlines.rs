//! When each room needs looking at, ordered by time, so that the sweeper pays only for what is due.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use room::{Millis, RoomId};

/// Bits of the number of a room's id.
const NUMBER: u32 = 16;
/// What is later than can be written in the other bits, 8,900 years from 1970, is never due.
const NEVER: u64 = u64::MAX >> NUMBER;

/// A time, behind it a number of the room's id, and the room: after a restart very many rooms have the same time, and to compare a
/// number is far less than to compare texts.
type Entry = (u64, RoomId);

/// An ordered set of times; a room has one.
#[derive(Debug, Default)]
pub struct Deadlines(Mutex<BTreeSet<Entry>>);

fn key(at: Millis, id: &RoomId) -> u64 {
    let number = crc32fast::hash(id.as_str().as_bytes()) >> (u32::BITS - NUMBER);
    at.0.min(NEVER) << NUMBER | u64::from(number)
}

fn entry(at: Millis, id: &RoomId) -> Entry {
    (key(at, id), id.clone())
}

const fn time(entry: &Entry) -> Millis {
    Millis(entry.0 >> NUMBER)
}

impl Deadlines {
    /// These, in any order.
    pub fn of(rooms: Vec<(Millis, RoomId)>) -> Self {
        Self(Mutex::new(rooms.into_iter().map(|(at, id)| (key(at, &id), id)).collect()))
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
        let is_due = |entry: &Entry| time(entry) <= now && time(entry).0 < NEVER;
        let mut taken = Vec::new();
        while taken.len() < limit && set.first().is_some_and(is_due) {
            taken.extend(set.pop_first().map(|entry| (time(&entry), entry.1)));
        }
        taken
    }
}
