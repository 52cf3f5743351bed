//! The messages of one life of a group: numbered, the newest kept, repeated sends recognised. Knows no members.

use std::collections::VecDeque;
use std::sync::Arc;

use super::message::{Content, Message};
use super::{Epoch, MAX_KEPT, MAX_KEPT_BYTES, MAX_RECENT};
use crate::id::{RoomId, UserId};
use crate::time::Millis;

/// Up to where a client has seen a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// In which life.
    pub epoch: Epoch,
    /// The last message that it has; 0 for none.
    pub seq: u64,
}

/// What a client missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatchUp {
    /// The messages that it does not have, oldest first, without gaps, up to the newest.
    pub messages: Vec<Arc<Message>>,
    /// Messages before `first` that the client does not have are no longer kept.
    pub gap: bool,
    /// What the client has is of another life of the group: forget it, and begin with these messages.
    pub anew: bool,
    /// Sequence number of the oldest message that is kept, or of the next one if none is.
    pub first: u64,
}

#[derive(Clone, Debug)]
struct Recent {
    random: u64,
    from: UserId,
    seq: u64,
    at: Millis,
}

/// The kept messages are always those just before `last`, without gaps.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    last: u64,
    kept: VecDeque<Arc<Message>>,
    bytes: usize,
    recent: VecDeque<Recent>,
}

impl Log {
    /// Sequence number of the newest message, 0 before the first.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Sequence number of the next message. Saturates, because `accept` takes numbers from elsewhere.
    const fn next(&self) -> u64 {
        self.last.saturating_add(1)
    }

    /// Sequence number of the oldest kept message, or of the next one.
    fn first(&self) -> u64 {
        self.kept.front().map_or(self.next(), |m| m.seq)
    }

    /// Numbers a message and keeps it.
    pub(super) fn append(&mut self, group: &RoomId, now: Millis, content: Content) -> Arc<Message> {
        let message = Arc::new(Message::new(group.clone(), self.next(), now, content));
        self.keep(message.clone());
        message
    }

    /// Takes over a message that another node numbered; false if it is old news.
    pub(super) fn accept(&mut self, message: Arc<Message>) -> bool {
        if message.seq <= self.last {
            return false;
        }
        if message.seq != self.next() {
            // Those in between never came, and what is kept has no gaps.
            self.kept.clear();
            self.bytes = 0;
        }
        self.keep(message);
        true
    }

    /// Goes on after this number, which is that of the newest message elsewhere.
    pub(super) fn resume(&mut self, last: u64) {
        if last > self.last {
            self.kept.clear();
            self.bytes = 0;
            self.last = last;
        }
    }

    /// Forgets what was said so far; numbers go on.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.bytes = 0;
        self.recent.clear();
    }

    /// Forgets the messages after this number: it was given to others.
    pub(super) fn rewind(&mut self, last: u64) {
        while let Some(message) = self.kept.pop_back_if(|m| m.seq > last) {
            self.bytes -= message.size();
        }
        self.recent.retain(|r| r.seq <= last);
        self.last = self.last.min(last);
    }

    fn keep(&mut self, message: Arc<Message>) {
        self.last = message.seq;
        if let Content::Said(said) = &message.content
            && let Some(random) = said.random
        {
            if self.recent.len() == MAX_RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(Recent { random, from: said.from.clone(), seq: message.seq, at: message.at });
        }
        self.bytes += message.size();
        self.kept.push_back(message);
        while self.kept.len() > MAX_KEPT || (self.bytes > MAX_KEPT_BYTES && self.kept.len() > 1) {
            self.bytes -= self.kept.pop_front().map_or(0, |m| m.size());
        }
    }

    /// Number and time of a message that this sender sent with this `random` not long ago.
    pub(super) fn sent_before(&self, from: &UserId, random: u64) -> Option<(u64, Millis)> {
        // A retry follows soon: the newest first.
        self.recent.iter().rev().find(|r| r.random == random && r.from == *from).map(|r| (r.seq, r.at))
    }

    /// What a client misses that has everything up to `seq`.
    pub(super) fn after(&self, seq: u64) -> CatchUp {
        let first = self.first();
        // A number that was never given can only come from a life that we know nothing of.
        let anew = seq > self.last;
        let seq = if anew { 0 } else { seq };
        let next = seq.saturating_add(1);
        let skip = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX).min(self.kept.len());
        CatchUp { messages: self.kept.range(skip..).cloned().collect(), gap: next < first, anew, first }
    }

    /// The newest `count` messages before number `before`, oldest first.
    pub(super) fn page(&self, before: u64, count: usize) -> Vec<Arc<Message>> {
        let end = usize::try_from(before.saturating_sub(self.first())).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.range(end.saturating_sub(count)..end).cloned().collect()
    }
}
