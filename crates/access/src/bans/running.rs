//! The media sessions of users that were let in, so that they can be ended. Sessions that are over are dropped when as many
//! again have come; knows nothing of why a user is let in.

use hashbrown::HashMap;
use media::request::Kick;
use parking_lot::Mutex;
use room::{RoomId, UserId};

/// Sessions that may come between two looks for those that are over, at least.
const LEAST: usize = 1024;

/// Sessions by user.
#[derive(Debug, Default)]
pub struct Running(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_user: HashMap<UserId, Vec<(Option<RoomId>, Kick)>>,
    kept: usize,
    /// How many may be kept before those that are over are dropped.
    most: usize,
}

impl Running {
    /// Remembers a session of a user in a room, as far as that is known.
    pub fn watch(&self, user: &UserId, room: Option<&RoomId>, kick: &Kick) {
        let mut table = self.0.lock();
        let table = &mut *table;
        if table.kept >= table.most.max(LEAST) {
            table.kept = 0;
            table.by_user.retain(|_, sessions| {
                sessions.retain(|(_, kick)| !kick.is_alone());
                table.kept += sessions.len();
                !sessions.is_empty()
            });
            table.most = table.kept.saturating_mul(2);
        }
        table.by_user.entry(user.clone()).or_default().push((room.cloned(), kick.clone()));
        table.kept += 1;
    }

    /// How many sessions of a user run.
    #[must_use]
    pub fn count(&self, user: &UserId) -> usize {
        let table = self.0.lock();
        table.by_user.get(user).map_or(0, |sessions| sessions.iter().filter(|(_, kick)| !kick.is_alone()).count())
    }

    /// Whether a user has a session in this room.
    #[must_use]
    pub fn runs(&self, user: &UserId, room: &RoomId) -> bool {
        let table = self.0.lock();
        let here = |(of, kick): &(Option<RoomId>, Kick)| of.as_ref() == Some(room) && !kick.is_alone();
        table.by_user.get(user).is_some_and(|sessions| sessions.iter().any(here))
    }

    /// Ends the sessions of a user in a room, or all. Says how many still ran.
    pub fn end(&self, user: &UserId, room: Option<&RoomId>, why: &str) -> usize {
        let mut table = self.0.lock();
        let Some(sessions) = table.by_user.get_mut(user) else { return 0 };
        let ended = sessions.extract_if(.., |(of, _)| room.is_none() || of.as_ref() == room);
        let ended: Vec<Kick> = ended.map(|(_, kick)| kick).collect();
        table.kept = table.kept.saturating_sub(ended.len());
        drop(table);
        let running = ended.iter().filter(|kick| !kick.is_alone());
        running.map(|kick| kick.kick(why)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_user_and_room_and_are_forgotten_when_over() {
        let running = Running::default();
        let bob = UserId::parse("bob").unwrap();
        let here = RoomId::parse("here").unwrap();
        let first = Kick::default();
        let second = Kick::default();
        let third = Kick::default();
        running.watch(&bob, Some(&here), &first);
        running.watch(&bob, None, &second);
        running.watch(&bob, Some(&here), &third);
        assert_eq!(running.count(&bob), 3);
        drop(third);
        assert_eq!(running.count(&bob), 2);
        assert!(running.runs(&bob, &here) && !running.runs(&bob, &RoomId::parse("there").unwrap()));
        assert_eq!(running.end(&bob, Some(&here), "out"), 1);
        assert!(first.why().is_some() && second.why().is_none());
        assert_eq!(running.end(&bob, None, "out"), 1);
        assert!(second.why().is_some());
        for _ in 0..10 * LEAST {
            running.watch(&bob, None, &Kick::default());
        }
        assert!(running.0.lock().kept <= LEAST + 1);
    }
}
