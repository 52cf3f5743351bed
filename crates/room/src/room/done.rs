//! Which named changes were made to a room of late, as a value.

use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

/// Names that a room remembers.
pub const REMEMBERED: usize = 64;

/// The newest named changes of a room, oldest first; most rooms have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Done(pub(crate) ThinVec<u64>);

impl Done {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this change was made.
    #[must_use]
    pub fn has(&self, name: u64) -> bool {
        self.0.contains(&name)
    }

    pub(crate) fn add(&mut self, name: u64) {
        let from = (self.0.len() + 1).saturating_sub(REMEMBERED);
        self.0 = self.0[from..].iter().copied().chain([name]).collect();
    }
}
