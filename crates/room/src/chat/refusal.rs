//! Why the chat said no. Exhaustive, and without wire codes: those are the server's.

use crate::time::Millis;

/// A refusal of the chat. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such group.
    NoGroup,
    /// The sender is not in the group.
    NotMember,
    /// The sender may not send before then.
    Muted {
        /// The end of it; [`Millis::NEVER`] if there is none.
        until: Millis,
    },
    /// The user may not be in the group before then.
    Banned {
        /// The end of it; [`Millis::NEVER`] if there is none.
        until: Millis,
    },
    /// A text is empty that must not be.
    Empty {
        /// What it is.
        field: &'static str,
    },
    /// A text is longer than `max` bytes.
    TooLong {
        /// What it is.
        field: &'static str,
        /// The bound, in bytes.
        max: usize,
    },
    /// The connection is in as many groups as it may be.
    TooManyGroups {
        /// The bound.
        max: usize,
    },
    /// The user has as many connections as it may have.
    TooManyConnections {
        /// The bound.
        max: usize,
    },
    /// The group has as many connections as it may have.
    GroupFull {
        /// The bound.
        max: usize,
    },
    /// The group has as many muted, or as many banned, users as it may have.
    TooManySanctions {
        /// The bound.
        max: usize,
    },
    /// The receiver is away, and as much waits for it as may.
    MailboxFull,
    /// The receiver is away, and as much waits for all receivers together as may.
    Overloaded,
    /// The user has no such connection.
    NoConnection,
    /// What keeps the groups of several nodes is unavailable; asking again later may help.
    Away,
}

/// Checks a text's length in bytes.
pub(super) const fn bounded(field: &'static str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.len() > max { Err(Refusal::TooLong { field, max }) } else { Ok(()) }
}
