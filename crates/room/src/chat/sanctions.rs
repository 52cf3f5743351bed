//! Users under a measure until some time: the muted ones of a group, or the banned ones.
//! Who may ask for it is the caller's to check.

use std::collections::HashMap;

use super::{MAX_SANCTIONS, Refusal};
use crate::id::UserId;
use crate::time::Millis;

#[derive(Clone, Debug, Default)]
pub(super) struct Sanctions(HashMap<UserId, Millis>);

impl Sanctions {
    /// Sets the end of the measure against a user; one that is not in the future lifts it.
    pub(super) fn set(&mut self, now: Millis, user: &UserId, until: Millis) -> Result<(), Refusal> {
        if until <= now {
            self.0.remove(user);
            return Ok(());
        }
        if self.0.len() >= MAX_SANCTIONS && !self.0.contains_key(user) {
            self.0.retain(|_, end| *end > now);
            if self.0.len() >= MAX_SANCTIONS {
                return Err(Refusal::TooManySanctions { max: MAX_SANCTIONS });
            }
        }
        self.0.insert(user.clone(), until);
        Ok(())
    }

    /// The end of the measure against this user, if it is under one.
    pub(super) fn until(&self, now: Millis, user: &UserId) -> Option<Millis> {
        self.0.get(user).copied().filter(|end| *end > now)
    }

    /// All that are in force, in no order.
    pub(super) fn iter(&self, now: Millis) -> impl Iterator<Item = (&UserId, Millis)> {
        self.0.iter().map(|(user, end)| (user, *end)).filter(move |(_, end)| *end > now)
    }
}
