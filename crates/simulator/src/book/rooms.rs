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
    /// The backend need not be told all: the record was lost.
    pub unheard: bool,
    /// Redis has lost it and its end is to come; whether all nodes knew all of it.
    pub forgotten: Option<bool>,
    /// When its last event was.
    pub last: Option<Instant>,
}

impl Room {
    /// Takes an event in.
    ///
    /// # Errors
    /// It cannot follow what was before.
    pub fn apply(&mut self, event: &Event, rotten: bool) -> Result<(), String> {
        self.untold.push_back(event.seq);
        let created = matches!(event.what, What::Created { .. });
        self.last = Some(Instant::now());
        if self.forgotten.is_some() && self.seq + 1 != event.seq && self.forgotten != Some(true) {
            // It ends from where some node knew it, or was not known at all.
            return self.go_on(event);
        }
        let fits = if created { !self.there && event.seq == 1 } else { self.there && event.seq == self.seq + 1 };
        if !fits && rotten {
            self.rotten = true;
        }
        if !fits && !self.rotten {
            return Err(format!("{:?} with number {} after {}", event.what, event.seq, self.seq));
        }
        self.seq = event.seq;
        if matches!(event.what, What::Created { .. } | What::Closed { .. }) {
            self.forgotten = None;
        }
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

    /// Takes an event of a room that was lost when not all nodes knew all of it.
    fn go_on(&mut self, event: &Event) -> Result<(), String> {
        self.seq = event.seq;
        match &event.what {
            What::Created { .. } => {
                let life = self.life + 1;
                let made = Some(Instant::now());
                *self = Self { life, there: true, made, seq: event.seq, last: made, unheard: true, ..Self::default() };
            }
            What::Left { user, .. } => {
                self.left.insert(user.clone(), Instant::now());
                self.members.remove(user);
            }
            What::Closed { .. } => {
                self.there = false;
                self.members.clear();
                self.forgotten = None;
            }
            _ => {}
        }
        Ok(())
    }
}
