//! The viewers of a live room: a set, of which the first few are listed by name.
//! Kept beside the room, not in it, so that a million viewers are not one value.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::refusal::{Refusal, bounded};
use crate::rules::MAX_USER_INFO;

/// A listed viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    /// Who.
    pub user: UserId,
    /// What the app says about it.
    pub info: Box<str>,
}

/// A room's viewers. Adding twice and deleting an absent viewer change nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    listed: Vec<Viewer>,
    unlisted: HashSet<UserId>,
}

impl Audience {
    /// How many viewers there are, listed or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.listed.len() + self.unlisted.len()
    }

    /// The listed ones, in order of entering.
    #[must_use]
    pub fn listed(&self) -> &[Viewer] {
        &self.listed
    }

    /// The others, in no order.
    pub fn unlisted(&self) -> impl Iterator<Item = &UserId> {
        self.unlisted.iter()
    }

    /// All of them.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.listed.iter().map(|viewer| &viewer.user).chain(&self.unlisted)
    }

    /// Whether adding this viewer would change nothing, where `max` are listed.
    #[must_use]
    pub fn knows(&self, user: &UserId, info: &str, max: usize) -> bool {
        match self.listed.iter().find(|viewer| viewer.user == *user) {
            Some(viewer) => *viewer.info == *info,
            None => self.listed.len() >= max && self.unlisted.contains(user),
        }
    }

    /// Counts a viewer, and lists it while the list has fewer than `max`. A listed viewer's info is renewed.
    /// Says whether the count changed.
    ///
    /// # Errors
    /// [`Refusal::AudienceListFull`]: counted, not listed. [`Refusal::TooLong`].
    pub fn add(&mut self, user: &UserId, info: &str, max: usize) -> Result<bool, Refusal> {
        bounded("userInfo", info, MAX_USER_INFO)?;
        if let Some(viewer) = self.listed.iter_mut().find(|v| v.user == *user) {
            if *viewer.info != *info {
                viewer.info = info.into();
            }
            return Ok(false);
        }
        if self.listed.len() < max {
            let new = !self.unlisted.remove(user);
            self.listed.push(Viewer { user: user.clone(), info: info.into() });
            return Ok(new);
        }
        self.unlisted.insert(user.clone());
        Err(Refusal::AudienceListFull)
    }

    /// Counts a viewer of whom nothing is known that a list could show. Says whether the count changed.
    pub fn count_only(&mut self, user: &UserId) -> bool {
        !self.listed.iter().any(|viewer| viewer.user == *user) && self.unlisted.insert(user.clone())
    }

    /// Takes a viewer out. Says whether it was in.
    pub fn delete(&mut self, user: &UserId) -> bool {
        match self.listed.iter().position(|v| v.user == *user) {
            Some(at) => {
                self.listed.remove(at);
                true
            }
            None => self.unlisted.remove(user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: usize) -> UserId {
        UserId::parse(&format!("u{n}")).unwrap()
    }

    #[test]
    fn a_full_list_still_counts() {
        let mut a = Audience::default();
        assert_eq!(a.add(&user(0), "x", 2), Ok(true));
        assert_eq!(a.add(&user(0), "y", 2), Ok(false));
        assert_eq!(&*a.listed()[0].info, "y");
        assert_eq!(a.add(&user(1), "", 2), Ok(true));
        assert_eq!(a.add(&user(2), "", 2), Err(Refusal::AudienceListFull));
        assert_eq!(a.add(&user(2), "", 2), Err(Refusal::AudienceListFull));
        assert_eq!((a.count(), a.listed().len()), (3, 2));
        assert!(a.delete(&user(0)));
        assert!(!a.delete(&user(0)));
        // A place on the list is free again: the counted viewer moves in when it asks once more, and not by being counted.
        assert!(!a.count_only(&user(2)) && !a.count_only(&user(1)) && a.count_only(&user(3)));
        assert_eq!((a.count(), a.listed().len()), (3, 1));
        assert!(a.delete(&user(3)));
        assert_eq!(a.add(&user(2), "", 2), Ok(false));
        assert_eq!((a.count(), a.listed().len()), (2, 2));
    }

    #[test]
    fn info_is_bounded() {
        let mut a = Audience::default();
        let long = "x".repeat(MAX_USER_INFO + 1);
        assert_eq!(a.add(&user(0), &long, 2), Err(Refusal::TooLong { field: "userInfo", max: MAX_USER_INFO }));
        assert_eq!(a.count(), 0);
    }
}
