//! A group that has members at several nodes: each node keeps its own copy, and the caller has the messages numbered.

use std::sync::Arc;

use super::Group;
use crate::chat::Epoch;
use crate::chat::message::Message;
use crate::id::UserId;
use crate::time::Millis;

impl Group {
    /// Who is in it, in no order.
    pub fn names(&self) -> impl Iterator<Item = &UserId> {
        self.roster.names()
    }

    /// Takes over a message that another node numbered in this life of the group. True: it is new, deliver it.
    /// Where messages are missing before it, what was kept is let go, so that catching up names the gap.
    pub fn accept(&mut self, message: Arc<Message>) -> bool {
        message.group == self.id && self.log.accept(message)
    }

    /// The newest message elsewhere has this number: what is accepted from now on comes after it.
    pub fn resume(&mut self, last: u64) {
        self.log.resume(last);
    }

    /// Forgets the messages after number `last`, which others were given meanwhile, and begins another life: who has
    /// the forgotten ones must begin anew.
    pub fn fork(&mut self, last: u64, epoch: Epoch) {
        self.log.rewind(last);
        self.renew(epoch);
    }

    /// Another life of the group has begun elsewhere and takes this one's place: nothing stays but who is in.
    pub fn give_way(&mut self, next: Self) {
        let last = std::mem::replace(self, next);
        self.roster = last.roster;
        self.tally = last.tally;
    }

    /// Another node began another life of the group; the newest one counts.
    pub fn renew(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
    }

    /// Users of the group came or went at another node. For `Counts::mark`.
    pub fn recount(&mut self, now: Millis) -> Option<Millis> {
        self.tally.changed(now)
    }
}
