//! Who of a room's viewers broke off and has not come back. Viewers have no heartbeat: what is known of them is their connection to
//! a chat. One who was seen to break off and was seen nowhere when its time is up leaves the audience; when it is back, it is put
//! back. Bounded, and with no clock of its own. Knows nothing of what it is told by.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::{Millis, RoomId, UserId};

/// Most that are waited for; beyond it those who were to be looked at first are left in their audiences.
const MOST_AWAY: usize = 1_000_000;
/// Most of those taken out that are put back when they come.
const MOST_OUT: usize = 100_000;
/// For how long, in milliseconds, it is remembered when a service last spoke of a user, and of how many at most.
const REMEMBERED: u64 = 10 * 60_000;
const MOST_REMEMBERED: usize = 100_000;

/// A user of a room.
pub type Who = (RoomId, UserId);

/// What was seen of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is there.
    Here,
    /// It left the chat by itself: it may go on watching, and is not waited for.
    Quit,
    /// It broke off, and may come back until then.
    Away(Millis),
    /// It is gone for good.
    Gone,
}

/// A sign of a user of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The room.
    pub room: RoomId,
    /// The user.
    pub user: UserId,
    /// What was seen.
    pub sign: Sign,
    /// When, by a service that speaks late of what it saw: what is older than the last it said is dropped. None of what is seen
    /// here, in order.
    pub at: Option<Millis>,
}

/// What was known of a viewer that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// When its room was made: another one of the same id is not watched.
    pub of: Millis,
    /// What the app said about it.
    pub info: Option<Box<str>>,
}

/// What follows from a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing.
    Nothing,
    /// Who was taken out is back.
    Back(Out),
    /// It leaves the audience.
    Leaves,
}

/// Who is away.
#[derive(Debug, Default)]
pub struct Presence {
    away: HashMap<Who, Millis>,
    /// The same by time.
    due: BTreeSet<(Millis, Who)>,
    out: HashMap<Who, Out>,
    /// In the order of leaving; those who came back still stand in it.
    left: VecDeque<Who>,
    /// When a service last spoke of them, and in the order of that.
    last: HashMap<Who, Millis>,
    noted: VecDeque<(Millis, Who)>,
}

impl Presence {
    /// Takes a sign.
    pub fn take(&mut self, seen: &Seen, now: Millis) -> Follows {
        let who = (seen.room.clone(), seen.user.clone());
        if seen.at.is_some_and(|at| !self.is_news(&who, at, now)) {
            return Follows::Nothing;
        }
        match seen.sign {
            Sign::Here => {
                self.forget_away(&who);
                self.out.remove(&who).map_or(Follows::Nothing, Follows::Back)
            }
            Sign::Quit => {
                self.forget_away(&who);
                Follows::Nothing
            }
            Sign::Away(until) => {
                // A service says the same again; what is seen here is another break.
                if seen.at.is_none() || !self.away.contains_key(&who) {
                    self.wait(who, until);
                }
                Follows::Nothing
            }
            Sign::Gone => {
                self.forget_away(&who);
                Follows::Leaves
            }
        }
    }

    /// A user's own word that it watches, or watches no more, is above all that was seen.
    pub fn forget(&mut self, room: &RoomId, user: &UserId) {
        let who = (room.clone(), user.clone());
        self.forget_away(&who);
        self.out.remove(&who);
    }

    /// Those whose time is up, at most so many, each once.
    pub fn due(&mut self, now: Millis, most: usize) -> Vec<Who> {
        let mut over = Vec::new();
        while over.len() < most && self.due.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, who)) = self.due.pop_first() else { break };
            self.away.remove(&who);
            over.push(who);
        }
        over
    }

    /// One of them was a viewer, and is none any more.
    pub fn put_out(&mut self, who: Who, out: Out) {
        while self.left.len() >= MOST_OUT {
            let Some(oldest) = self.left.pop_front() else { break };
            self.out.remove(&oldest);
        }
        self.left.push_back(who.clone());
        self.out.insert(who, out);
    }

    /// How many are waited for.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.away.len()
    }

    fn wait(&mut self, who: Who, until: Millis) {
        self.forget_away(&who);
        if self.away.len() >= MOST_AWAY
            && let Some((_, first)) = self.due.pop_first()
        {
            self.away.remove(&first);
        }
        self.away.insert(who.clone(), until);
        self.due.insert((until, who));
    }

    fn forget_away(&mut self, who: &Who) {
        if let Some(until) = self.away.remove(who) {
            self.due.remove(&(until, who.clone()));
        }
    }

    /// Whether a service has said nothing newer of this user.
    fn is_news(&mut self, who: &Who, at: Millis, now: Millis) -> bool {
        while self.noted.front().is_some_and(|(at, _)| now.since(*at) > REMEMBERED)
            || self.noted.len() >= MOST_REMEMBERED
        {
            let Some((at, who)) = self.noted.pop_front() else { break };
            if self.last.get(&who).is_some_and(|last| *last <= at) {
                self.last.remove(&who);
            }
        }
        if self.last.get(who).is_some_and(|last| *last > at) {
            return false;
        }
        self.last.insert(who.clone(), at);
        self.noted.push_back((at.max(now), who.clone()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(n: usize) -> Who {
        (RoomId::parse("r").unwrap(), UserId::parse(&format!("u{n}")).unwrap())
    }

    fn seen(n: usize, sign: Sign, at: Option<u64>) -> Seen {
        let (room, user) = who(n);
        Seen { room, user, sign, at: at.map(Millis) }
    }

    #[test]
    fn who_stays_away_is_due_once_and_who_comes_back_is_not() {
        let mut presence = Presence::default();
        let now = Millis(1_000);
        for (n, until) in [(1, 5_000), (2, 4_000), (3, 5_000), (4, 5_000)] {
            presence.take(&seen(n, Sign::Away(Millis(until)), None), now);
        }
        presence.take(&seen(3, Sign::Here, None), now);
        presence.take(&seen(4, Sign::Quit, None), now);
        // Away again, and longer: the newest break counts.
        presence.take(&seen(1, Sign::Away(Millis(6_000)), None), now);
        assert_eq!(presence.due(Millis(5_000), 9), [who(2)]);
        assert_eq!(presence.due(Millis(6_000), 9), [who(1)]);
        assert_eq!((presence.due(Millis(9_000), 9), presence.waiting()), (vec![], 0));
    }

    #[test]
    fn who_was_taken_out_is_put_back_once_and_who_left_is_not() {
        let mut presence = Presence::default();
        let out = Out { of: Millis(7), info: Some("info".into()) };
        for n in 1..=2 {
            presence.put_out(who(n), out.clone());
        }
        assert_eq!(presence.take(&seen(1, Sign::Here, None), Millis(1)), Follows::Back(out));
        assert_eq!(presence.take(&seen(1, Sign::Here, None), Millis(1)), Follows::Nothing);
        let (room, user) = who(2);
        presence.forget(&room, &user);
        assert_eq!(presence.take(&seen(2, Sign::Here, None), Millis(1)), Follows::Nothing);
    }

    #[test]
    fn what_a_service_says_late_is_dropped() {
        let mut presence = Presence::default();
        let now = Millis(100_000);
        let away = Sign::Away(now.plus(5));
        assert_eq!(presence.take(&seen(1, Sign::Here, Some(200)), now), Follows::Nothing);
        presence.take(&seen(1, away, Some(199)), now);
        assert_eq!(presence.waiting(), 0, "it was there since");
        assert_eq!(presence.take(&seen(1, Sign::Gone, Some(199)), now), Follows::Nothing);
        presence.take(&seen(1, away, Some(200)), now);
        presence.take(&seen(1, Sign::Here, Some(150)), now);
        presence.take(&seen(1, Sign::Away(now.plus(9)), Some(200)), now);
        assert_eq!(presence.due.iter().map(|(until, _)| *until).collect::<Vec<_>>(), [now.plus(5)], "told again");
        assert_eq!(presence.take(&seen(1, Sign::Gone, Some(201)), now), Follows::Leaves);
        // Remembered for a while only.
        assert_eq!(presence.take(&seen(1, Sign::Gone, Some(5)), now.plus(REMEMBERED + 1)), Follows::Leaves);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut presence = Presence::default();
        for n in 0..MOST_AWAY + 10 {
            presence.take(&seen(n, Sign::Away(Millis(n as u64)), (n < 2 * MOST_REMEMBERED).then_some(1)), Millis(1));
            if n < MOST_OUT + 10 {
                presence.put_out(who(n), Out { of: Millis(1), info: None });
            }
        }
        assert_eq!((presence.waiting(), presence.due.len()), (MOST_AWAY, MOST_AWAY));
        assert_eq!((presence.out.len(), presence.left.len()), (MOST_OUT, MOST_OUT));
        assert!(presence.noted.len() <= MOST_REMEMBERED && presence.last.len() <= MOST_REMEMBERED);
        assert_eq!(presence.due(Millis(u64::MAX), 5).first(), Some(&who(10)), "those before it were forgotten");
    }
}
