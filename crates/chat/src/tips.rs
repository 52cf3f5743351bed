//! Tips of who comes and goes, for long-polling clients: their pages make lines of them. They have no numbers, and are not kept.

use room::{Millis, UserId};

/// Where more users listen nobody is told: each that comes would answer the polls of all the others.
pub const MOST_USERS: usize = 100;

/// A user came into a group, or went.
#[derive(Debug)]
pub struct Tip {
    /// Who.
    pub user: UserId,
    /// It came.
    pub came: bool,
    /// Users that listen now.
    pub users: usize,
    /// When.
    pub at: Millis,
}
