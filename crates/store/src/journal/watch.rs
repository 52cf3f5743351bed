//! Watches the writer of the journal: a disk that takes a write and does not answer refuses nothing, and would let every
//! call wait for ever. Callers that wait are answered, and nothing more is taken, until the write has come back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::log::Shared;
use crate::{Counters, Trouble};

/// A disk that needs longer for a write does not answer. Slow ones need seconds at times.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// How often is looked within that time.
const LOOKS: u32 = 10;

/// Watches until the log is gone.
pub fn start(log: &Arc<Shared>, patience: Duration) -> std::io::Result<()> {
    let log = Arc::downgrade(log);
    let watcher = std::thread::Builder::new().name("journal-watch".into());
    watcher.spawn(move || {
        while look(&log, patience) {
            std::thread::sleep(patience / LOOKS);
        }
    })?;
    Ok(())
}

/// The same as a task.
#[cfg(feature = "simulation")]
pub async fn run(log: Weak<Shared>, patience: Duration) {
    while look(&log, patience) {
        tokio::time::sleep(patience / LOOKS).await;
    }
}

/// Looks once, and says whether there is anything left to watch.
fn look(log: &Weak<Shared>, patience: Duration) -> bool {
    let Some(log) = log.upgrade() else { return false };
    let mut queue = log.queue.lock();
    if queue.since.is_some_and(|since| since.elapsed() >= patience) {
        let why = "the disk does not answer".into();
        if queue.failing.is_none() {
            tracing::error!(?patience, "the disk of the journal does not answer: changes are refused until it does");
        }
        if !matches!(queue.failing, Some((Trouble::DiskHangs, _))) {
            Counters::add(&log.counters.failures, 1);
        }
        queue.refuse(Trouble::DiskHangs, &why);
    }
    if queue.is_due() {
        queue.stir();
        log.wake();
    }
    !queue.stop
}
