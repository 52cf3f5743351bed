//! What the hub sees of users in groups: who came, who left by itself, whose last connection broke without a word (an app that was
//! killed, an empty battery, a tunnel). Kept until it is taken, the newest sign of each; bounded. What follows for a room's
//! audience is not known here.

use hashbrown::HashMap;
use parking_lot::Mutex;
use room::presence::{Seen, Sign, Who};
use room::{RoomId, UserId};

use super::Hub;

/// Most signs that are kept. Beyond it they are all forgotten, and who takes them looks at all users who are here.
const MOST: usize = 100_000;
/// Milliseconds for which a user whose connection broke may come back: an app in the background, a tunnel.
pub const BACK_WITHIN: u64 = 180_000;

/// Signs that were not taken yet.
#[derive(Default)]
pub(super) struct Signs(Mutex<Untaken>);

#[derive(Default)]
struct Untaken {
    newest: HashMap<Who, Sign>,
    forgot: bool,
}

impl Untaken {
    fn note(&mut self, who: Who, sign: Sign) {
        if self.newest.len() >= MOST {
            self.newest = HashMap::new();
            self.forgot = true;
        }
        self.newest.insert(who, sign);
    }
}

/// Signs that are taken.
#[derive(Debug, Default)]
pub struct Taken {
    /// The newest of each user.
    pub signs: Vec<Seen>,
    /// There were too many, and some are missing.
    pub forgot: bool,
}

impl Hub {
    /// Something was seen of a user. When this process stops, all connections break off, and nothing is said of that: what comes after it
    /// waits for all of them.
    pub(super) fn note_sign(&self, group: &RoomId, user: &UserId, sign: Sign) {
        if !self.is_stopping() {
            self.signs.0.lock().note((group.clone(), user.clone()), sign);
        }
    }

    /// A user's last connection to a group broke.
    pub(super) fn note_away(&self, group: &RoomId, user: &UserId) {
        self.note_sign(group, user, Sign::Away(self.now().plus(BACK_WITHIN)));
    }

    /// What was seen since it was last asked.
    pub fn take_signs(&self) -> Taken {
        let Untaken { newest, forgot } = std::mem::take(&mut *self.signs.0.lock());
        let seen = |((room, user), sign)| Seen { room, user, sign, at: None };
        Taken { signs: newest.into_iter().map(seen).collect(), forgot }
    }

    /// What was taken in vain comes back, where nothing newer was seen.
    pub fn put_signs_back(&self, taken: Taken) {
        let mut untaken = self.signs.0.lock();
        untaken.forgot |= taken.forgot;
        for Seen { room, user, sign, .. } in taken.signs {
            let who = (room, user);
            if !untaken.newest.contains_key(&who) {
                untaken.note(who, sign);
            }
        }
    }

    /// All users who are in a group at this node.
    #[must_use]
    pub fn everybody(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        for room in self.groups.ids() {
            let here = |user: &UserId| Seen { room: room.clone(), user: user.clone(), sign: Sign::Here, at: None };
            self.groups.look(&room, |slot| {
                all.extend(slot.group.iter().flat_map(|group| group.names()).map(here));
            });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_says_so() {
        let mut untaken = Untaken::default();
        let who = |n: usize| (RoomId::parse("r").unwrap(), UserId::parse(&format!("u{n}")).unwrap());
        for n in 0..MOST {
            untaken.note(who(n), Sign::Here);
        }
        assert!(!untaken.forgot);
        untaken.note(who(MOST), Sign::Quit);
        assert!(untaken.forgot && untaken.newest.len() == 1);
    }
}
