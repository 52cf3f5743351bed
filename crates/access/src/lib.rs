//! Who may do what: identities, sessions, operators, bans and rate limits. In memory, without IO of its own.

pub mod bans;
pub mod identity;
pub mod limits;
pub mod operator;
pub mod sessions;
