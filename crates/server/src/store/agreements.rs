//! Who agreed to be mixed with whom across rooms, in this process's memory. Bounded; an agreement ends by itself.

use hashbrown::HashMap;
use parking_lot::Mutex;
use room::{Millis, UserId};

/// For how long an agreement holds, in milliseconds.
pub const HOLDS: u64 = 12 * 3600 * 1000;
/// Most users that agree with somebody.
const MOST: usize = 100_000;

#[derive(Default)]
pub struct Agreements(Mutex<HashMap<UserId, Agreed>>);

struct Agreed {
    with: Box<[UserId]>,
    until: Millis,
}

impl Agreements {
    /// A user agrees with these, and with nobody else any more.
    pub fn set(&self, user: &UserId, with: &[UserId], now: Millis) {
        let mut all = self.0.lock();
        if with.is_empty() {
            all.remove(user);
            return;
        }
        if all.len() >= MOST {
            all.retain(|_, agreed| agreed.until > now);
        }
        // Who is not remembered is asked to try again, as one whose partner has not agreed yet.
        if all.len() < MOST {
            all.insert(user.clone(), Agreed { with: with.into(), until: now.plus(HOLDS) });
        }
    }

    /// Whether a user agrees with another one.
    pub fn has(&self, user: &UserId, with: &UserId, now: Millis) -> bool {
        self.0.lock().get(user).is_some_and(|agreed| agreed.until > now && agreed.with.contains(with))
    }
}
