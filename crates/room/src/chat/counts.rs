//! How many users listen to a group: published when it changed, at most once a second.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::COUNT_EVERY;
use crate::id::RoomId;
use crate::time::Millis;

/// A count notice. Not numbered and not kept: the next one replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The group.
    pub group: RoomId,
    /// Users that are in it.
    pub users: usize,
}

/// A group's side of it. While it is not marked, what was published last is true.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    told: usize,
    at: Option<Millis>,
    marked: bool,
}

impl Tally {
    fn due(&self) -> Millis {
        self.at.map_or(Millis(0), |at| at.plus(COUNT_EVERY))
    }

    /// Marks a changed count. The time when to publish it, unless that was given already.
    pub(super) fn changed(&mut self, now: Millis) -> Option<Millis> {
        (!std::mem::replace(&mut self.marked, true)).then(|| self.due().max(now))
    }

    /// The count, if it is time to publish it and it differs from what was published last.
    pub(super) fn poll(&mut self, now: Millis, users: usize) -> Option<usize> {
        if !self.marked || now < self.due() {
            return None;
        }
        self.marked = false;
        if users == self.told {
            return None;
        }
        self.told = users;
        self.at = Some(now);
        Some(users)
    }
}

/// The groups whose count has changed, in order of when to publish it. A third value beside groups and directory,
/// with a lock of its own.
#[derive(Clone, Debug, Default)]
pub struct Counts(BinaryHeap<Reverse<(Millis, RoomId)>>);

impl Counts {
    /// Takes note of the `count_due` that a group gave. A group gives none before it was polled, so this holds
    /// at most one entry for it.
    pub fn mark(&mut self, due: Millis, group: &RoomId) {
        self.0.push(Reverse((due, group.clone())));
    }

    /// When [`Counts::poll`] has something; [`Millis::NEVER`] if nothing is marked.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        self.0.peek().map_or(Millis::NEVER, |Reverse((due, _))| *due)
    }

    /// A group whose count is due: ask [`Group::poll_count`](super::Group::poll_count). Call until it gives none.
    pub fn poll(&mut self, now: Millis) -> Option<RoomId> {
        if self.deadline() > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, group))| group)
    }
}
