//! Viewers whom a chat service elsewhere cannot reach: one who is not back within a moment counts as gone. Remembers for a while who
//! entered or came back, since such a service speaks late of what it saw. Bounded; knows no rooms.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use room::{Millis, RoomId, UserId};

use crate::Rooms;
use store::error::Error;
use store::{Row, Table};

/// How long a viewer has to be back, in milliseconds.
const GRACE: u64 = 45_000;
/// Most viewers who are waited for. More are left in their audiences.
const MOST: usize = 50_000;
/// For how long, in milliseconds, it is remembered who came, and of how many at most.
const REMEMBERED: (u64, usize) = (10 * 60_000, 50_000);
/// How often it is looked who did not come back.
const LOOK: Duration = Duration::from_secs(1);

/// A viewer of a room.
type Who = (RoomId, UserId);

/// Viewers who are waited for.
pub(super) struct Absences {
    /// Other nodes may hear that a viewer is back: what is waited for stands in the store.
    shared: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Until when each is waited for, and all in the order of that; those that came back still stand in it.
    waiting: HashMap<Who, Millis>,
    due: VecDeque<(Millis, Who)>,
    /// Since when each is there, in the order of being noted.
    here: HashMap<Who, Millis>,
    noted: VecDeque<(Millis, Who)>,
}

impl State {
    fn came(&mut self, who: Who, at: Millis, now: Millis) {
        let (kept, most) = REMEMBERED;
        while self.noted.front().is_some_and(|(at, _)| now.since(*at) > kept) || self.noted.len() >= most {
            let Some((at, who)) = self.noted.pop_front() else { break };
            if self.here.get(&who).is_some_and(|last| *last <= at) {
                self.here.remove(&who);
            }
        }
        self.waiting.remove(&who);
        let last = self.here.entry(who.clone()).or_default();
        *last = at.max(*last);
        self.noted.push_back((now.max(at), who));
    }

    fn vanished(&mut self, who: &Who, now: Millis) -> Option<Millis> {
        if self.waiting.contains_key(who) || self.due.len() >= MOST {
            return None;
        }
        let until = now.plus(GRACE);
        self.waiting.insert(who.clone(), until);
        self.due.push_back((until, who.clone()));
        Some(until)
    }

    fn over(&mut self, now: Millis) -> Vec<(Millis, Who)> {
        let mut over = Vec::new();
        while let Some((until, who)) = self.due.pop_front_if(|(until, _)| *until <= now) {
            if self.waiting.get(&who) == Some(&until) {
                self.waiting.remove(&who);
                over.push((until, who));
            }
        }
        over
    }
}

fn key(who: &Who) -> String {
    let (room, user) = who;
    // No id has a space.
    format!("away {room} {user}")
}

impl Rooms {
    /// Waits for viewers whom a chat service elsewhere cannot reach; `shared`: with other nodes.
    #[must_use]
    pub fn waiting_for_viewers(self, shared: bool) -> Self {
        Self { absences: Some(Absences { shared, state: Mutex::default() }), ..self }
    }

    /// Whether a viewer came after this time, as far as that is remembered.
    pub(super) fn came_since(&self, id: &RoomId, user: &UserId, at: Millis) -> bool {
        let of = |absences: &Absences| absences.state.lock().here.get(&(id.clone(), user.clone())).copied();
        self.absences.as_ref().and_then(of).is_some_and(|here| here > at)
    }

    /// A viewer is there: it entered, or is back.
    ///
    /// # Errors
    /// The store is away.
    pub(super) async fn came(&self, id: &RoomId, user: &UserId, at: Millis) -> Result<(), Error> {
        let Some(absences) = &self.absences else { return Ok(()) };
        let who = (id.clone(), user.clone());
        let row = key(&who);
        absences.state.lock().came(who, at, self.clock.now());
        if absences.shared { self.store.take_row(Table::Marks, &row).await } else { Ok(()) }
    }

    /// A viewer cannot be reached: it counts as gone unless it is back in time.
    ///
    /// # Errors
    /// The store is away.
    pub(super) async fn wait_for(&self, id: &RoomId, user: &UserId) -> Result<(), Error> {
        let Some(absences) = &self.absences else { return self.delete_viewer(id, user).await };
        let now = self.clock.now();
        let who = (id.clone(), user.clone());
        let waits = absences.state.lock().vanished(&who, now);
        if let Some(until) = waits.filter(|_| absences.shared) {
            let row = Row { key: key(&who).into(), value: until.0.into(), until: until.plus(GRACE) };
            self.store.put_row(Table::Marks, &row, true, now).await?;
        }
        Ok(())
    }

    /// Takes viewers out who were waited for in vain, for ever.
    pub async fn take_out_the_absent(self: Arc<Self>) {
        let Some(absences) = &self.absences else { return };
        loop {
            tokio::time::sleep(LOOK).await;
            let over = absences.state.lock().over(self.clock.now());
            for (until, who) in over {
                if let Err(error) = self.take_out(absences.shared, until, &who).await {
                    tracing::debug!(room = %who.0, user = %who.1, %error, "a viewer who vanished could not be taken out");
                }
            }
        }
    }

    async fn take_out(&self, shared: bool, until: Millis, who: &Who) -> Result<(), Error> {
        if shared {
            let row = self.store.row(Table::Marks, &key(who), self.clock.now()).await?;
            if row.is_none_or(|row| row.value != until.0) {
                return Ok(());
            }
            self.store.take_row(Table::Marks, &key(who)).await?;
        }
        self.delete_viewer(&who.0, &who.1).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(n: usize) -> Who {
        (RoomId::parse("r").unwrap(), UserId::parse(&format!("u{n}")).unwrap())
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut state = State::default();
        for n in 0..MOST + REMEMBERED.1 {
            state.came(who(n), Millis(1_000), Millis(1_000));
            state.vanished(&who(n), Millis(1_000));
        }
        assert_eq!((state.due.len(), state.waiting.len()), (MOST, MOST));
        assert_eq!((state.noted.len(), state.here.len()), (REMEMBERED.1, REMEMBERED.1));
        assert_eq!(state.over(Millis(1_000 + GRACE)).len(), MOST);
        assert!(state.vanished(&who(0), Millis(100_000)).is_some(), "there is room again");
        state.came(who(0), Millis(100_001), Millis(100_001));
        assert_eq!(state.over(Millis(100_000 + GRACE)), [], "it came back");
        state.came(who(1), Millis(2_000_000), Millis(2_000_000));
        assert_eq!(state.here.len(), 1, "the others came long ago");
    }
}
