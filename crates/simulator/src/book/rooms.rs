//! A room as its events say it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use room::{Event, UserId, What};
use tokio::time::Instant;

/// A room, over all its lives.
#[derive(Clone, Debug, Default)]
pub struct Room {
    /// How often it was made.
    pub life: u64,
    /// Whether it is there.
    pub there: bool,
    /// When it was made.
    pub made: Option<Instant>,
    /// The number of its last event.
    pub seq: u64,
    /// Who is in it.
    pub members: BTreeSet<UserId>,
    /// What the app's backend has not heard: numbers of events, in their order.
    pub untold: VecDeque<u64>,
    /// When who left last.
    pub left: BTreeMap<UserId, Instant>,
    /// The record has lost a change of it.
    pub rotten: bool,
}

impl Room {
    /// Takes an event in.
    ///
    /// # Errors
    /// It cannot follow what was before.
    pub fn apply(&mut self, event: &Event, rotten: bool) -> Result<(), String> {
        self.untold.push_back(event.seq);
        let created = matches!(event.what, What::Created { .. });
        let fits = if created { !self.there && event.seq == 1 } else { self.there && event.seq == self.seq + 1 };
        if !fits && rotten {
            self.rotten = true;
        }
        if !fits && !self.rotten {
            return Err(format!("{:?} with number {} after {}", event.what, event.seq, self.seq));
        }
        self.seq = event.seq;
        let once = match &event.what {
            What::Created { .. } => {
                self.life += 1;
                self.there = true;
                self.made = Some(Instant::now());
                true
            }
            What::Joined { user } => self.members.insert(user.clone()),
            What::Left { user, .. } => {
                self.left.insert(user.clone(), Instant::now());
                self.members.remove(user)
            }
            What::Updated { user } => self.members.contains(user),
            What::Closed { .. } => {
                self.there = false;
                self.members.is_empty()
            }
            What::Info | What::Custom { .. } => true,
        };
        if once || self.rotten { Ok(()) } else { Err(format!("{:?} among {:?}", event.what, self.members)) }
    }
}
