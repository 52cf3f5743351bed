//! Users whose last connection to a group broke, without a word of their leaving: an app that was killed, an empty battery. Their
//! rooms are told once they have not come back for a while. Of one machine alone: several nodes do not know of each other's members.

use std::collections::VecDeque;

use hashbrown::HashMap;
use parking_lot::Mutex;
use room::{Millis, RoomId, UserId};

use super::Hub;

/// Most that are remembered; beyond it the oldest are forgotten.
const MOST: usize = 100_000;

type Who = (RoomId, UserId);

/// Who is away since when.
#[derive(Default)]
pub(super) struct Absent(Mutex<Breaks>);

#[derive(Default)]
struct Breaks {
    /// All of them, oldest first.
    all: VecDeque<(Millis, Who)>,
    /// The newest of each.
    newest: HashMap<Who, Millis>,
}

impl Breaks {
    fn note(&mut self, now: Millis, who: Who) {
        if self.all.len() >= MOST {
            self.oldest();
        }
        self.newest.insert(who.clone(), now);
        self.all.push_back((now, who));
    }

    /// Takes the oldest out. Nothing, if the same user was back since, and gone again.
    fn oldest(&mut self) -> Option<Who> {
        let (at, who) = self.all.pop_front()?;
        if self.newest.get(&who) != Some(&at) {
            return None;
        }
        self.newest.remove(&who);
        Some(who)
    }

    fn due(&mut self, since: Millis) -> Vec<Who> {
        let mut due = Vec::new();
        while self.all.front().is_some_and(|(at, _)| *at <= since) {
            due.extend(self.oldest());
        }
        due
    }
}

impl Hub {
    /// A user's last connection to a group broke.
    pub(super) fn note_absent(&self, group: &RoomId, user: &UserId) {
        if !self.is_shared() && !self.is_stopping() {
            self.absent.0.lock().note(self.now(), (group.clone(), user.clone()));
        }
    }

    /// Who has been away from a group for so many milliseconds and is not back, each once.
    pub fn absent_for(&self, ms: u64) -> Vec<(RoomId, UserId)> {
        let since = Millis(self.now().0.saturating_sub(ms));
        let due = self.absent.0.lock().due(since);
        due.into_iter()
            .filter(|(group, user)| !self.groups.look(group, |slot| is_in(slot, user)).unwrap_or(false))
            .collect()
    }
}

fn is_in(slot: &super::groups::Slot, user: &UserId) -> bool {
    slot.group.as_ref().is_some_and(|group| group.has(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut breaks = Breaks::default();
        let who = |n: usize| (RoomId::parse("r").unwrap(), UserId::parse(&format!("u{n}")).unwrap());
        for n in 0..2 * MOST {
            breaks.note(Millis(1_000), who(n % (MOST / 2)));
            breaks.note(Millis(1_000), who(n));
        }
        assert!(breaks.all.len() <= MOST && breaks.newest.len() <= MOST);
        assert!(breaks.due(Millis(1_000)).len() <= MOST);
        assert!(breaks.all.is_empty() && breaks.newest.is_empty());
    }
}
