//! In which rooms a user pushes: the service reports users who vanish without saying from where.

use hashbrown::HashMap;
use room::{RoomId, UserId};

/// Users and their rooms, as this process saw them come and go.
#[derive(Debug, Default)]
pub(super) struct Whereabouts(HashMap<UserId, Vec<RoomId>>);

impl Whereabouts {
    pub(super) fn entered(&mut self, user: &UserId, room: &RoomId) {
        let rooms = self.0.entry(user.clone()).or_default();
        if !rooms.contains(room) {
            rooms.push(room.clone());
        }
    }

    pub(super) fn left(&mut self, user: &UserId, room: &RoomId) {
        if let Some(rooms) = self.0.get_mut(user) {
            rooms.retain(|r| r != room);
            if rooms.is_empty() {
                self.0.remove(user);
            }
        }
    }

    pub(super) fn of(&self, user: &UserId) -> Vec<RoomId> {
        self.0.get(user).cloned().unwrap_or_default()
    }
}
