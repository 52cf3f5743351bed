//! The rooms whose audience changed since it was last read. Knows no reader.

use hashbrown::HashSet;
use parking_lot::Mutex;
use room::RoomId;
use tokio::sync::Notify;

/// Rooms whose audience is not what it was.
#[derive(Debug, Default)]
pub struct Audiences {
    changed: Mutex<HashSet<RoomId>>,
    wake: Notify,
}

impl Audiences {
    /// A room's audience changed. There are never more of them than rooms.
    pub fn changed(&self, room: &RoomId) {
        let mut changed = self.changed.lock();
        if !changed.contains(room) {
            changed.insert(room.clone());
            self.wake.notify_one();
        }
    }

    /// Waits until there are some.
    pub async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Takes all of them.
    pub fn take(&self) -> HashSet<RoomId> {
        std::mem::take(&mut *self.changed.lock())
    }
}
