//! What a node knows of a group as a replica, and how a message of the bus settles into it.

use std::collections::VecDeque;
use std::sync::Arc;

use room::chat::{Epoch, Group, Message};

use crate::bus::{Heard, Sketch};
use crate::hub::groups::Slot;
use store::mends::{Mend, is_out};

/// A group as a replica.
#[derive(Default)]
pub struct Replica {
    /// The group's life in Redis, as far as this node has heard; 0 until it is loaded.
    pub life: u64,
    /// What is received while it is loaded.
    pub loading: Option<Vec<Heard>>,
    /// The last messages of the group that this node numbered by itself, by their numbers among what it says.
    pub adrift: VecDeque<u64>,
    /// Users at other nodes.
    pub users: Vec<(u64, Sketch)>,
    /// Users here, as the others know them.
    pub told: Sketch,
}

/// What a message is to a replica.
pub enum Settled {
    /// Known already.
    Known,
    /// New: all members here are to get it.
    New,
    /// New, and others were given the numbers of what was numbered here: all members must begin anew, in this life.
    Forked(Epoch),
}

impl Replica {
    pub fn loading() -> Self {
        Self { loading: Some(Vec::new()), ..Self::default() }
    }

    /// The newest message whose number is certain.
    pub fn confirmed(&self, group: &Group) -> u64 {
        group.last().saturating_sub(self.adrift.len() as u64)
    }

    /// Puts a message where it belongs. `own`: its number among what this node says, if it did.
    pub fn settle(&mut self, group: &mut Group, message: Arc<Message>, own: Option<u64>) -> Settled {
        let confirmed = self.confirmed(group);
        if message.seq <= confirmed {
            return Settled::Known;
        }
        let Some(first) = self.adrift.front() else {
            return if group.accept(message) { Settled::New } else { Settled::Known };
        };
        if own == Some(*first) && message.seq == confirmed.saturating_add(1) {
            self.adrift.pop_front();
            return Settled::Known;
        }
        let epoch = Epoch(group.epoch().0.saturating_add(1));
        group.fork(confirmed, epoch);
        self.adrift.clear();
        group.accept(message);
        Settled::Forked(epoch)
    }
}

impl Slot {
    /// Whether this is of an earlier life of the group than the one that is here, and came late.
    pub fn is_past(&self, heard: &Heard) -> bool {
        let Some(replica) = &self.replica else { return false };
        !is_out(Mend::LivesAreTold) && heard.life.is_some_and(|life| life < replica.life)
    }

    /// Users who are at other nodes and not at this one.
    pub fn elsewhere(&self) -> usize {
        let Some(replica) = self.replica.as_ref().filter(|replica| !replica.users.is_empty()) else { return 0 };
        let others = replica.users.iter().map(|(_, sketch)| sketch);
        match &self.group {
            // A large sketch is not looked through for each who comes.
            Some(group) if Sketch::is_small(group.users()) => Sketch::of(group).beyond(others),
            _ => replica.told.beyond(others),
        }
    }
}
