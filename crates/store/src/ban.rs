//! A ban as stores keep it, and the table that those keep that have a process' memory. Whom it keeps from what is
//! decided elsewhere.

use hashbrown::HashMap;
use parking_lot::Mutex;
use room::{Millis, RoomId, StreamId, UserId};
use serde::{Deserialize, Serialize};

/// Keeps a user out of a room, or of everything. Of one user and one room there is one: the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Who.
    pub user: UserId,
    /// Out of where; none: out of everything.
    pub room: Option<RoomId>,
    /// Until when. 0: the user is let in again.
    pub until: Millis,
    /// When it was said. Never before what was said last, which may be of a clock that was ahead.
    pub at: Millis,
    /// Streams that the user had, whatever their names say: they are refused too.
    #[serde(default)]
    pub streams: Vec<StreamId>,
    /// What the operator noted.
    #[serde(default)]
    pub reason: Box<str>,
    /// A kick: the user was put out of a room, and may come back soon.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kick: bool,
}

impl Ban {
    /// Whether it says that the user is let in again.
    #[must_use]
    pub fn lifts(&self) -> bool {
        self.until == Millis(0)
    }
}

/// The bans of a store in memory.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    bans: HashMap<(UserId, Option<RoomId>), Ban>,
    /// When there are so many, those that are over go.
    full: usize,
}

/// So many are looked through for nothing.
const FEW: usize = 64;

impl Kept {
    /// Puts one in place of an older one. What `then` does happens in the order of the bans; it must not wait. What is over is
    /// over by `now`: a ban may say that it is later, where the clock was set back.
    pub fn put<T>(&self, ban: &Ban, now: Millis, then: impl FnOnce() -> T) -> T {
        let mut kept = self.0.lock();
        if kept.bans.len() >= kept.full {
            kept.bans.retain(|_, old| old.until > now);
            kept.full = 2 * kept.bans.len().max(FEW);
        }
        let key = (ban.user.clone(), ban.room.clone());
        if ban.lifts() {
            kept.bans.remove(&key);
        } else {
            kept.bans.insert(key, ban.clone());
        }
        then()
    }

    /// Drops those that are over.
    pub fn forget(&self, now: Millis) {
        self.0.lock().bans.retain(|_, ban| ban.until > now);
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Ban> {
        self.0.lock().bans.values().cloned().collect()
    }
}
