//! Logouts: sessions that ended before their time, and users all of whose sessions of before a time did. Kept as long as their
//! tokens would have been good. Knows no tokens.

use hashbrown::HashMap;
use room::Millis;
use serde::{Deserialize, Serialize};

/// Milliseconds between two looks for what is over: each costs as much as all that is kept.
const CLEAN: u64 = 60_000;

/// All that was issued to a user up to a time has ended: stands for many logouts of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBefore {
    /// Who, as a number.
    pub who: u64,
    /// Up to when.
    pub at: Millis,
    /// Until when the last of it would have been good.
    pub until: Millis,
    /// The sessions that need not be kept one by one any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<u64>,
}

/// Logouts that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logouts {
    /// Sessions, and until when each must be refused.
    pub ended: Vec<(u64, Millis)>,
    /// Users.
    pub before: Vec<EndedBefore>,
}

/// The table of those that have them in memory.
#[derive(Debug, Default)]
pub struct Table {
    ended: HashMap<u64, Millis>,
    /// By user: up to when, and until when.
    before: HashMap<u64, (Millis, Millis)>,
    cleaned: Millis,
}

impl Table {
    /// A session ended.
    pub fn end(&mut self, session: u64, until: Millis) {
        self.ended.insert(session, until);
    }

    /// All of a user's of before ended.
    pub fn end_before(&mut self, before: &EndedBefore) {
        for session in &before.ended {
            self.ended.remove(session);
        }
        let (at, until) = self.before.entry(before.who).or_default();
        *at = before.at.max(*at);
        *until = before.until.max(*until);
    }

    /// Takes those that another table had, or several nodes have said, in any order of the two kinds.
    pub fn take(&mut self, logouts: &Logouts) {
        self.ended.extend(logouts.ended.iter().copied());
        logouts.before.iter().for_each(|before| self.end_before(before));
    }

    /// Lets go of what is over, now and then.
    pub fn clean(&mut self, now: Millis) {
        if now >= self.cleaned.plus(CLEAN) || now < self.cleaned {
            self.ended.retain(|_, until| *until >= now);
            self.before.retain(|_, (_, until)| *until >= now);
            self.cleaned = now;
        }
    }

    /// Whether a session has ended, which has this number or was issued then to this user.
    pub fn has(&self, session: u64, issued: Millis, who: impl FnOnce() -> u64) -> bool {
        self.ended.contains_key(&session)
            || !self.before.is_empty() && self.before.get(&who()).is_some_and(|(at, _)| issued <= *at)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Logouts {
        let before = |(who, (at, until)): (&u64, &(Millis, Millis))| EndedBefore {
            who: *who,
            at: *at,
            until: *until,
            ended: Vec::new(),
        };
        let ended = self.ended.iter().map(|(session, until)| (*session, *until)).collect();
        Logouts { ended, before: self.before.iter().map(before).collect() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ended.len() + self.before.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_forgotten_once_a_minute() {
        let now = Millis(1_000_000);
        let mut table = Table::default();
        table.end(1, Millis(999_999));
        table.end(2, now.plus(1));
        table.clean(now);
        assert_eq!(table.len(), 1);
        table.end(3, now.plus(2));
        table.end_before(&EndedBefore { who: 9, at: now, until: now.plus(3), ended: Vec::new() });
        table.clean(now.plus(59_999));
        assert_eq!(table.len(), 3);
        table.end(4, Millis::NEVER);
        table.clean(now.plus(60_000));
        assert_eq!(table.all(), Logouts { ended: vec![(4, Millis::NEVER)], before: Vec::new() });
    }

    #[test]
    fn one_mark_stands_for_many_whatever_came_first() {
        let mark = EndedBefore { who: 9, at: Millis(100), until: Millis(1000), ended: vec![1, 2] };
        let mut table = Table::default();
        table.take(&Logouts { ended: vec![(1, Millis(900)), (2, Millis(900)), (3, Millis(900))], before: vec![mark] });
        table.end_before(&EndedBefore { who: 9, at: Millis(50), until: Millis(500), ended: Vec::new() });
        assert_eq!(table.len(), 2);
        assert!(table.has(3, Millis(500), || 7) && table.has(1, Millis(100), || 9));
        assert!(!table.has(1, Millis(101), || 9) && !table.has(1, Millis(100), || 8));
        let mut again = Table::default();
        again.take(&table.all());
        assert_eq!(again.all(), table.all());
    }
}
