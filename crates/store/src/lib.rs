//! Where rooms are kept. A store runs a decision on a room atomically and hands the events it
//! returned to the outbox in the order of the commits; it knows no rules and no clients.

mod agreements;
mod ban;
mod chats;
pub mod clock;
#[cfg(test)]
mod contract;
mod counts;
mod deadlines;
pub mod error;
mod history;
mod journal;
mod listing;
mod memory;
mod probe;
pub mod redis;
mod tables;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use room::audience::Viewer;
use room::{Event, Kind, Millis, Refusal, Room, RoomId, Rules, StreamId, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use clock::Clock;
pub use error::Error;
use sign::Secret;

pub use agreements::Agreement;
pub use ban::Ban;
pub use chats::{ChatEntry, ChatRecord, KeptGroup};
pub use counts::{Census, Counters};
pub use history::{Entry, History, News, Note, Span};
pub use journal::Journal;
#[cfg(fuzzing)]
pub use journal::read_records;
pub use memory::Memory;
pub use probe::{Probe, Probed, Trouble};
pub use redis::{Redis, Target};
pub use tables::{Row, Table};

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

/// What a store answers, in time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A decision on a room's slot. It may run more than once, each time on the newest state, and must
/// leave the slot as it was when it refuses.
pub type Decide<'a> = dyn FnMut(&mut Option<Room>) -> Result<Vec<Event>, Refusal> + Send + 'a;

/// Looks at a room and at the number of its viewers.
pub type See<'a> = dyn FnMut(&Room, usize) + Send + 'a;

/// Where committed events go, in commit order for each room.
pub type Outbox = mpsc::UnboundedSender<Vec<Event>>;

/// What follows from these changes belongs to the trace of the call that made them.
fn note_trace(events: &[Event]) {
    telemetry::traces::committed(events.iter().map(|event| (event.room.as_str(), event.seq)));
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

/// How many viewers a room has, and the ones it lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewers {
    /// All of them.
    pub count: usize,
    /// The listed ones, in order of entering.
    pub listed: Vec<Viewer>,
}

/// A place for rooms. All calls are atomic for one room.
pub trait Store: Send + Sync + 'static {
    /// Runs a decision on a room's slot and commits what it did.
    fn update<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()>;

    /// The same for a change that makes no event, and is to outlive this process all the same.
    fn keep<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        self.update(id, decide)
    }

    /// Shows a room. Says whether there is one.
    fn see<'a>(&'a self, id: &'a RoomId, see: &'a mut See<'a>) -> Answer<'a, bool>;

    /// The sign of life of a pusher in a room of this kind. Gives the version of the list of pushers.
    fn touch<'a>(&'a self, id: &'a RoomId, now: Millis, kind: Kind, user: &'a UserId) -> Answer<'a, i64>;

    /// Shows the active rooms of a kind, oldest first, `count` of them from position `index`.
    fn list<'a>(&'a self, kind: Kind, index: usize, count: usize, see: &'a mut See<'a>) -> Answer<'a, ()>;

    /// The rooms that need looking at by now, at most `limit`, each claimed for a moment: asked again
    /// at once, others come. Costs only what is due.
    fn due(&self, now: Millis, limit: usize) -> Answer<'_, Vec<RoomId>>;

    /// Counts a viewer of a live room. Says whether the count changed.
    fn add_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId, info: &'a str) -> Answer<'a, bool>;

    /// Takes a viewer out. Says whether it was in.
    fn delete_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId) -> Answer<'a, bool>;

    /// The viewers of a room; none if there is no room.
    fn viewers<'a>(&'a self, id: &'a RoomId) -> Answer<'a, Viewers>;

    /// The ids of all rooms, active or not, in no order: for those who must hear of what was there before them.
    fn ids(&self) -> Answer<'_, Vec<RoomId>>;

    /// Remembers that a session ended before its time `until`, for as long as that matters.
    fn revoke(&self, session: u64, until: Millis, now: Millis) -> Answer<'_, ()>;

    /// The sessions that ended early, at least those revoked `since` then, and until when each must be refused.
    fn revoked(&self, since: Millis) -> Answer<'_, Vec<(u64, Millis)>>;

    /// Keeps a ban, in place of an older one of the same user and room, until it ends or is lifted.
    fn ban<'a>(&'a self, ban: &'a Ban) -> Answer<'a, ()>;

    /// The bans that are kept, at least those that came or were lifted `since` then, older ones first where a user and
    /// a room come twice. Some may be over.
    fn bans(&self, since: Millis) -> Answer<'_, Vec<Ban>>;

    /// What the pusher of a stream agrees to from now on; `None`: to nothing. Holds for twelve hours; need not outlive the
    /// streams' server.
    fn agree<'a>(&'a self, stream: &'a StreamId, to: Option<&'a Agreement>, now: Millis) -> Answer<'a, ()>;

    /// What the pusher of a stream agreed to.
    fn agreement<'a>(&'a self, stream: &'a StreamId, now: Millis) -> Answer<'a, Option<Agreement>>;

    /// Puts a row into a table, in place of an older one of its key only with `replace`. Says whether that changed anything.
    fn put_row<'a>(&'a self, table: Table, row: &'a Row, replace: bool, now: Millis) -> Answer<'a, bool>;

    /// Takes a row out of a table.
    fn take_row<'a>(&'a self, table: Table, key: &'a str) -> Answer<'a, ()>;

    /// A row of a table.
    fn row<'a>(&'a self, table: Table, key: &'a str, now: Millis) -> Answer<'a, Option<Row>>;

    /// Rows of a table with keys below this one, greatest first, at most `count`.
    fn rows<'a>(&'a self, table: Table, below: Option<&'a str>, count: usize, now: Millis) -> Answer<'a, Vec<Row>>;

    /// Makes a change that means nothing, to know whether changes can be made. Bounded in time.
    fn probe(&self) -> Probed<'_> {
        Box::pin(async { Ok(()) })
    }

    /// What it did, where there is more to it than memory.
    fn counters(&self) -> Option<&Counters> {
        None
    }

    /// What is in it, where that is known without asking.
    fn census(&self) -> Option<Census> {
        None
    }

    /// How many rooms there are, active or not.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
