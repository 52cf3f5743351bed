//! The point-to-point messages of one receiver: kept for a minute, so that nothing is lost while it is
//! briefly away or its connection turns out to have been dead. Knows no connections.

use std::collections::VecDeque;
use std::sync::Arc;

use super::message::Direct;
use super::{AWAY, MAX_MAIL, MAX_MAIL_BYTES};
use crate::time::Millis;

/// A message and when it came, by the clock that waiting goes by: the time that it shows may be of another.
#[derive(Clone, Debug)]
struct Letter {
    came: Millis,
    direct: Arc<Direct>,
}

/// Ordered by number and by when they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Mailbox {
    kept: VecDeque<Letter>,
    bytes: usize,
    /// Number of the newest message, 0 before the first.
    last: u64,
    /// Up to where messages were handed to a connection.
    handed: u64,
}

impl Mailbox {
    /// The number of a message that comes now.
    pub(super) fn next(&self, now: Millis) -> u64 {
        now.0.max(self.last.saturating_add(1))
    }

    /// A number that is lower than that of every message from now on, and of none before.
    pub(super) fn mark(&self, now: Millis) -> u64 {
        self.last.max(now.0.saturating_sub(1))
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A kept message that is the same send as this one.
    pub(super) fn sent_before(&self, client_seq: Option<u64>, said: &super::Said) -> Option<&Arc<Direct>> {
        said.random?;
        let same =
            |d: &&Arc<Direct>| d.said.random == said.random && d.client_seq == client_seq && d.said.from == said.from;
        self.kept.iter().rev().map(|letter| &letter.direct).find(same)
    }

    /// Makes place for a message of this cost by letting go of messages that were handed over already.
    /// False, and nothing is let go, if those that still wait leave none.
    pub(super) fn make_place(&mut self, cost: usize) -> bool {
        let full = |count: usize, bytes: usize| count >= MAX_MAIL || bytes + cost > MAX_MAIL_BYTES;
        if !full(self.kept.len(), self.bytes) {
            return true;
        }
        let (count, bytes) = self.after(self.handed).fold((0, 0), |(n, b), d| (n + 1, b + d.cost()));
        if full(count, bytes) {
            return false;
        }
        while full(self.kept.len(), self.bytes) {
            self.drop_oldest();
        }
        true
    }

    /// Numbers on from a message; `keep` it, and `hand` it over at once.
    pub(super) fn put(&mut self, now: Millis, message: &Arc<Direct>, keep: bool, hand: bool) {
        self.last = message.seq;
        if hand {
            self.handed = message.seq;
        }
        if keep {
            self.bytes += message.cost();
            self.kept.push_back(Letter { came: now, direct: message.clone() });
        }
    }

    /// Hands over what comes after `since`, or else what was never handed over. A number that was not given yet is of a time
    /// before the machine's clock was set back.
    pub(super) fn hand(&mut self, since: Option<u64>) -> Vec<Arc<Direct>> {
        let since = since.filter(|since| *since <= self.last).unwrap_or(self.handed);
        let waiting = self.after(since).cloned().collect();
        self.handed = self.last;
        waiting
    }

    /// Messages up to this number were handed over elsewhere.
    pub(super) fn handed(&mut self, seq: u64) {
        self.handed = self.handed.max(seq.min(self.last));
    }

    pub(super) fn after(&self, since: u64) -> impl Iterator<Item = &Arc<Direct>> {
        self.kept.range(self.kept.partition_point(|l| l.direct.seq <= since)..).map(|letter| &letter.direct)
    }

    /// Lets go of what is too old; the time of the next such, if there is one.
    pub(super) fn expire(&mut self, now: Millis) -> Option<Millis> {
        loop {
            let due = self.kept.front()?.came.plus(AWAY);
            if due > now {
                return Some(due);
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        self.bytes -= self.kept.pop_front().map_or(0, |letter| letter.direct.cost());
    }
}
