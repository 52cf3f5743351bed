//! Whether a store takes changes, found out by making one that means nothing. What is found is known for a second, however
//! many ask. Knows no HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Store;

/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// For how long its outcome is believed.
const FRESH: Duration = Duration::from_secs(1);

/// What a store found when it tried to make a change.
pub type Probed<'a> = Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + 'a>>;

/// Why a store takes no changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A write to the journal failed.
    #[error("the journal's disk is full or fails")]
    DiskFails,
    /// A write to the journal does not come back.
    #[error("the journal's disk does not answer")]
    DiskHangs,
    /// Redis has reached `maxmemory` and may throw nothing away.
    #[error("Redis is full (maxmemory)")]
    RedisFull,
    /// Redis is the replica of another server.
    #[error("Redis is a replica and takes no changes")]
    RedisReplica,
    /// Redis has fewer replicas than `min-replicas-to-write`.
    #[error("Redis has too few replicas (min-replicas-to-write)")]
    RedisReplicas,
    /// Redis cannot write its own files.
    #[error("Redis cannot write its own disk")]
    RedisDisk,
    /// Redis cannot be reached, or refuses who asks.
    #[error("Redis does not answer, or does not let this server in")]
    RedisAway,
    /// Within its time there was neither a yes nor a no.
    #[error("no answer in time")]
    Silent,
    /// Anything else; the log has more.
    #[error("changes cannot be written")]
    Unwritable,
}

/// Asks a store, once for all who want to know at about the same time.
pub struct Probe {
    store: Arc<dyn Store>,
    last: tokio::sync::Mutex<Option<(Instant, Result<(), Trouble>)>>,
}

impl Probe {
    /// Asks when it is first asked.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, last: tokio::sync::Mutex::default() }
    }

    /// Whether changes can be made, as of the last second.
    ///
    /// # Errors
    /// Why not.
    pub async fn ask(&self) -> Result<(), Trouble> {
        let mut last = self.last.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < FRESH
        {
            return *found;
        }
        let found = timeout(PATIENCE, self.store.probe()).await.unwrap_or(Err(Trouble::Silent));
        *last = Some((Instant::now(), found));
        found
    }
}
