//! `[store]`, and the store that it asks for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use room::{Millis, Rules};
use serde::{Deserialize, Serialize};
use sign::Secret;

use crate::redis::{self, Redis, Target};
use crate::{ChatRecord, History, Journal, Memory, Outbox, Store};

/// Where rooms are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In this process; gone with it.
    Memory,
    /// In this process and on its disk.
    #[default]
    Journal,
    /// In Redis, for several nodes.
    Redis,
}

/// When a change is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// When it would survive a loss of power.
    #[default]
    Disk,
    /// At once; the last moments before a crash may be lost.
    None,
}

/// `[store]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where rooms are kept.
    pub kind: Place,
    /// When a change is answered (`journal`).
    pub durability: Durability,
    /// Where Redis is (`redis`): [`Target::parse`]. May hold a password.
    pub redis: Secret,
    /// A file with the certificate of who signed Redis' own (PEM), for `rediss://`; empty: whom the system trusts.
    pub redis_ca: PathBuf,
    /// How many replicas of Redis must have a change before it is answered (`redis`).
    pub redis_replicas: usize,
}

impl Settings {
    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        if self.kind == Place::Redis
            && let Err(why) = self.target()
        {
            found.push(format!("store.redis {why}"));
        }
        if self.redis_replicas > 0 && self.target().is_ok_and(|target| target.is_cluster()) {
            found.push("store.redis_replicas is not for a cluster: min-replicas-to-write of its servers is".into());
        }
    }

    /// Where Redis is.
    ///
    /// # Errors
    /// What is wrong with that.
    pub fn target(&self) -> Result<Target, String> {
        let read = || std::fs::read(&self.redis_ca).map_err(|e| format!("_ca = {:?}: {e}", self.redis_ca));
        let authority = (!self.redis_ca.as_os_str().is_empty()).then(read).transpose()?;
        Target::with_authority(self.redis.expose(), authority)
    }
}

/// An opened store.
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its record of commits, where it keeps one.
    pub history: Option<Arc<dyn History>>,
    /// Where the hub of a single node keeps what it says, if that outlives the process.
    pub chats: Option<Arc<dyn ChatRecord>>,
}

/// Opens the store that the settings ask for. Waits for the disk: at the start only. Redis need not be there yet. `tell`
/// makes what groups that Redis keeps hear of a room's changes.
///
/// # Errors
/// The data directory cannot be read or written, or another server has it.
pub async fn open(
    settings: &Settings,
    data_dir: &Path,
    rules: Arc<Rules>,
    outbox: Outbox,
    now: Millis,
    tell: Option<redis::Tell>,
) -> io::Result<Opened> {
    Ok(match settings.kind {
        Place::Memory => Opened { store: Arc::new(Memory::new(rules, outbox)), history: None, chats: None },
        Place::Journal => {
            let durable = settings.durability == Durability::Disk;
            let journal = Arc::new(Journal::open(&data_dir.join("journal"), durable, rules, outbox, now)?);
            Opened { store: journal.clone(), history: Some(journal.clone()), chats: Some(journal) }
        }
        Place::Redis => {
            let target = settings.target().map_err(io::Error::other)?;
            let redis = Redis::open(target, rules, outbox, tell).await.with_replicas(settings.redis_replicas);
            let redis = Arc::new(redis);
            Opened { store: redis.clone(), history: Some(redis), chats: None }
        }
    })
}
