//! Points in time as plain numbers; nothing here knows a clock.

use serde::{Deserialize, Serialize};

/// Unix time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// The last point in time: "never".
    pub const NEVER: Self = Self(u64::MAX);

    /// This time plus `ms` milliseconds; stops at [`Millis::NEVER`].
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time, 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Unix time in whole seconds, as URLs and signatures carry it.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }
}
