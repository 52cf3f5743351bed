//! What a store counts: what it did since its start, and what is in it. Knows no format.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use room::{Kind, Room};

use telemetry::Histogram;

/// What a store did since its start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Pieces written to disk, each durable with all the changes in it; or exchanges with Redis.
    pub trips: Histogram,
    /// Those that failed.
    pub failures: AtomicU64,
    /// Changes of rooms that were committed here.
    pub changes: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// What is in a store, by kind of room in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rooms, active or not.
    pub rooms: [usize; Kind::ALL.len()],
    /// Their pushers.
    pub members: [usize; Kind::ALL.len()],
    /// Viewers of live rooms.
    pub viewers: usize,
}

/// Totals that are kept up to date with every change. Numbers are of one moment each, not of one together.
#[derive(Debug, Default)]
pub(super) struct Running {
    rooms: [AtomicUsize; Kind::ALL.len()],
    members: [AtomicUsize; Kind::ALL.len()],
    viewers: AtomicUsize,
}

/// What counts of a room: its kind and its pushers.
pub(super) type Counted = Option<(Kind, usize)>;

pub(super) fn counted(room: Option<&Room>) -> Counted {
    room.map(|room| (room.kind, room.pushers.len()))
}

impl Running {
    /// A room changed.
    pub fn change(&self, before: Counted, after: Counted) {
        if before == after {
            return;
        }
        if let Some((kind, members)) = after {
            self.rooms[at(kind)].fetch_add(1, Ordering::Relaxed);
            self.members[at(kind)].fetch_add(members, Ordering::Relaxed);
        }
        if let Some((kind, members)) = before {
            self.rooms[at(kind)].fetch_sub(1, Ordering::Relaxed);
            self.members[at(kind)].fetch_sub(members, Ordering::Relaxed);
        }
    }

    /// So many viewers came.
    pub fn viewers_came(&self, n: usize) {
        self.viewers.fetch_add(n, Ordering::Relaxed);
    }

    /// So many viewers are gone.
    pub fn viewers_gone(&self, n: usize) {
        self.viewers.fetch_sub(n, Ordering::Relaxed);
    }

    pub fn read(&self) -> Totals {
        let of = |counts: &[AtomicUsize; Kind::ALL.len()]| std::array::from_fn(|n| counts[n].load(Ordering::Relaxed));
        Totals { rooms: of(&self.rooms), members: of(&self.members), viewers: self.viewers.load(Ordering::Relaxed) }
    }
}

fn at(kind: Kind) -> usize {
    Kind::ALL.iter().position(|k| *k == kind).expect("ALL holds every kind")
}
