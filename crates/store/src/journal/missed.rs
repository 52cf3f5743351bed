//! What was said while the disk was away is brought into the log when it is back, and before the end.

use parking_lot::Mutex;

use super::log::{PIECE, Shared, Waiting};
use super::record::{Draft, Kind};
use crate::ChatEntry;
use crate::chats::Chats;

/// The frame of an entry; none if it is too large for one.
pub fn draft(entry: &ChatEntry) -> Option<Draft> {
    let state = serde_json::to_vec(entry).ok()?;
    Draft::new(Kind::Chat, "", &state, &[])
}

/// Appends about a piece of what is missing. Gives back what to wait for before the next one; none if nothing is missing.
pub fn append(chats: &Mutex<Chats>, log: &Shared) -> Option<Waiting> {
    let mut bytes = 0;
    let mut last = None;
    while bytes < PIECE {
        // Under the lock: nothing that comes later stands before it.
        let mut chats = chats.lock();
        let Some(entries) = chats.owed() else { break };
        for draft in entries.iter().filter_map(draft) {
            bytes += draft.len();
            last = Some(log.append(draft, Vec::new()));
        }
    }
    last
}

/// Appends all of it, for a thread that may stand still. What a disk that fails again leaves over is owed again.
pub fn append_all(chats: &Mutex<Chats>, log: &Shared) {
    while let Some(waiting) = append(chats, log) {
        if waiting.block().is_err() {
            return log.owe();
        }
    }
}

/// The same as a task.
#[cfg(feature = "simulation")]
pub async fn append_paced(chats: &Mutex<Chats>, log: &Shared) {
    while let Some(waiting) = append(chats, log) {
        if waiting.durable().await.is_err() {
            return log.owe();
        }
    }
}
