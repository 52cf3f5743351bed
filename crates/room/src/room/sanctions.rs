//! Who may not speak in a room's chat, or not be in it, and until when: kept with the room, so that it outlives a restart.
//! The chat group enforces it; this only remembers.

use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

use crate::chat::MAX_SANCTIONS;
use crate::id::UserId;
use crate::time::Millis;

/// What a user is kept from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sanction {
    /// Nothing that it sends is taken.
    Mute,
    /// It may not be in the group.
    Ban,
}

/// The sanctions of a room; most rooms have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sanctions(ThinVec<(Sanction, UserId, Millis)>);

impl Sanctions {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that hold now: what, whom, and until when.
    pub fn iter(&self, now: Millis) -> impl Iterator<Item = (Sanction, &UserId, Millis)> {
        self.0.iter().filter(move |(.., until)| *until > now).map(|(sanction, user, until)| (*sanction, user, *until))
    }

    /// Keeps a sanction until then, in place of an older one; a time that is past lifts it. Of too many the one that ends
    /// first is forgotten.
    pub(crate) fn set(&mut self, now: Millis, sanction: Sanction, user: &UserId, until: Millis) {
        let all = &mut self.0;
        all.retain(|(what, whom, until)| *until > now && (*what, whom) != (sanction, user));
        if until > now {
            all.push((sanction, user.clone(), until));
        }
        if all.len() > 2 * MAX_SANCTIONS {
            let first = all.iter().enumerate().min_by_key(|(_, (.., until))| *until).map(|(at, _)| at);
            first.map(|at| all.remove(at));
        }
        all.shrink_to_fit();
    }
}
