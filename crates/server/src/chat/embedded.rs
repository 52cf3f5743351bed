//! The hub in this process as chat service.

use hashbrown::HashSet;
use parking_lot::Mutex;
use room::{Event, RoomId, What};

use super::Chat;
use crate::store::Answer;

/// Keeps the groups.
#[derive(Debug, Default)]
pub struct Embedded {
    groups: Mutex<HashSet<RoomId>>,
}

impl Embedded {
    /// Whether there is such a group.
    pub fn has(&self, room: &RoomId) -> bool {
        self.groups.lock().contains(room)
    }
}

impl Chat for Embedded {
    fn open<'a>(&'a self, room: &'a RoomId) -> Answer<'a, ()> {
        Box::pin(async move {
            self.groups.lock().insert(room.clone());
            Ok(())
        })
    }

    fn carry(&self, event: &Event) {
        match event.what {
            What::Created { .. } => _ = self.groups.lock().insert(event.room.clone()),
            What::Closed { .. } => _ = self.groups.lock().remove(&event.room),
            _ => {}
        }
    }
}
