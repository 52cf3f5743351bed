//! Users whose last connection to a group broke, without a word of their leaving: an app that was killed, an empty battery. Their
//! rooms are told once they have not come back for a while. Of one machine alone: several nodes do not know of each other's members.

use std::collections::VecDeque;

use parking_lot::Mutex;
use room::{Millis, RoomId, UserId};

use super::Hub;

/// Most that are remembered; beyond it the oldest are forgotten.
const MOST: usize = 100_000;

/// Who is away since when, oldest first.
#[derive(Default)]
pub(super) struct Absent(Mutex<VecDeque<(Millis, RoomId, UserId)>>);

impl Absent {
    fn note(&self, now: Millis, group: &RoomId, user: &UserId) {
        let mut all = self.0.lock();
        if all.len() >= MOST {
            all.pop_front();
        }
        all.push_back((now, group.clone(), user.clone()));
    }

    fn due(&self, since: Millis) -> Option<(RoomId, UserId)> {
        let mut all = self.0.lock();
        all.front().filter(|(at, ..)| *at <= since)?;
        all.pop_front().map(|(_, group, user)| (group, user))
    }
}

impl Hub {
    /// A user's last connection to a group broke.
    pub(super) fn note_absent(&self, group: &RoomId, user: &UserId) {
        if !self.is_shared() && !self.is_stopping() {
            self.absent.note(self.now(), group, user);
        }
    }

    /// Who has been away from a group for so many milliseconds and is not back, each once.
    pub fn absent_for(&self, ms: u64) -> Vec<(RoomId, UserId)> {
        let since = Millis(self.now().0.saturating_sub(ms));
        let due = std::iter::from_fn(|| self.absent.due(since));
        due.filter(|(group, user)| !self.groups.look(group, |slot| is_in(slot, user)).unwrap_or(false)).collect()
    }
}

fn is_in(slot: &super::groups::Slot, user: &UserId) -> bool {
    slot.group.as_ref().is_some_and(|group| group.has(user))
}
