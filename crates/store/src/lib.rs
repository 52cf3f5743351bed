//! Where rooms are kept. A store runs a decision on a room atomically and hands the events it
//! returned to the outbox in the order of the commits; it knows no rules and no clients.

mod agreements;
mod ban;
mod chats;
pub mod clock;
#[cfg(any(test, feature = "simulation"))]
#[allow(missing_docs, clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test, which the simulator runs too")]
pub mod contract;
mod counts;
mod deadlines;
pub mod error;
mod history;
mod journal;
mod listing;
pub mod logouts;
mod memory;
pub mod mends;
mod open;
mod presences;
mod probe;
pub mod redis;
mod store;
mod tables;

pub use clock::Clock;
pub use error::Error;

pub use agreements::Agreement;
pub use ban::Ban;
pub use chats::{ChatEntry, ChatRecord, KeptGroup};
pub use counts::{Counters, Totals};
pub use history::{Entry, History, News, Note, Span, Takes};
pub use journal::Journal;
/// A journal on a disk of one's own.
#[cfg(feature = "simulation")]
pub mod simulation {
    pub use crate::journal::{About, Disk, Ground, Pace, Sheet, Task};
}
#[cfg(fuzzing)]
pub use journal::read_records;
pub use logouts::{EndedBefore, Logouts};
pub use memory::Memory;
pub use open::{Durability, Opened, Place, Settings, open};
pub use presences::{Looked, Presences};
pub use probe::{Probe, Probed, Trouble};
pub use redis::{Redis, Target};
pub use store::{Answer, Decide, Outbox, See, Store, Viewers};
pub use tables::{Row, Table};
