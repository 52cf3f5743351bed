//! Rooms in memory, every change of them on disk before it is answered: the store of one machine. Survives kill -9 and
//! loss of power. Heartbeats are not written: after a restart every member has one heartbeat timeout to come back. Viewers are
//! written, and no call waits for that.
//!
//! Why a log of our own and not an embedded database: rooms are read from memory only, so all that a database would add is a
//! second index of what is there already. Measured here, batches of 256, each durable: a bare log 174-449k changes a second,
//! fjall 3.1 88-97k, redb 4 21-32k, SQLite 18-20k. And fjall, the best of them, stays poisoned after a failed sync until it
//! is opened again, where this has to heal by itself when a full disk has room again. The log also is the queue of
//! the webhooks: one sync makes a change and the news of it durable together.

mod audience;
mod chats;
mod files;
mod history;
mod load;
mod log;
mod mend;
mod missed;
mod pace;
mod record;
mod snapshot;
#[cfg(test)]
mod tests;
mod watch;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use room::custom::Value;
use room::{Event, Kind, Millis, Room, RoomId, Rules, StreamId, UserId, What};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[cfg(feature = "simulation")]
pub use self::files::About;
use self::files::{Dir, OnDisk};
pub use self::files::{Disk, Sheet};
use self::load::Loaded;
use self::log::{Log, Shared, Waiting, Writer};
pub use self::pace::Pace;
use self::record::Draft;
use super::chats::Chats;
use super::logouts;
use super::memory::Filling;
use super::tables::Change;
use super::{
    Agreement, Answer, Ban, Counters, Decide, EndedBefore, Logouts, Memory, Outbox, Presences, Probed, Row, See, Store,
    Table, Totals, Trouble, Viewers,
};
use crate::error::Error;
use telemetry::traces::{Kind as Step, part};

/// The store of one machine.
pub struct Journal {
    // In this order: the writer ends first, and the keeper when it hears nothing more.
    log: Option<Log>,
    kept: Arc<Kept>,
    keeper: Option<JoinHandle<()>>,
}

/// What a journal stands on. Tests let the disk be full, stand still, or lose power.
pub struct Ground {
    /// Where its files are.
    pub disk: Arc<dyn Disk>,
    /// How long a write may take.
    pub patience: Duration,
    /// A new file is begun after so many bytes.
    pub segment: u64,
    /// A snapshot is written when the frames that stand in none have this many bytes, or as many as the last one.
    pub save_after: u64,
    /// The disk takes its time by the runtime's clock: then tasks do what threads do.
    pub pace: Option<Arc<dyn Pace>>,
}

impl Default for Ground {
    fn default() -> Self {
        let size = 16 << 20;
        Self { disk: Arc::new(OnDisk), patience: watch::PATIENCE, segment: size, save_after: size, pace: None }
    }
}

/// Work that is done beside a journal's calls.
#[cfg(feature = "simulation")]
pub type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a journal leaves to do beside its calls.
struct Beside {
    writer: Writer,
    asked: mpsc::Receiver<()>,
    patience: Duration,
}

struct Kept {
    dir: Arc<Dir>,
    memory: Memory,
    /// Sessions that ended early, until they would have ended.
    revoked: Mutex<logouts::Table>,
    /// How far those have read who must miss nothing.
    readers: Mutex<history::Readers>,
    /// What has begun and not ended, as notes said.
    spans: Mutex<history::Spans>,
    /// What the hub says.
    chats: Mutex<Chats>,
    /// What only a later version understands, for when it is back.
    foreign: Vec<load::Foreign>,
    /// One snapshot is written at a time.
    saving: Mutex<()>,
    pace: Option<Arc<dyn Pace>>,
    save_after: u64,
    /// When this process began with it.
    begun: Instant,
}

/// A custom field as it stands in a frame: cheaper than the whole room, where likes are counted.
#[derive(Serialize, Deserialize)]
struct Field {
    seq: u64,
    name: Box<str>,
    value: Value,
}

impl Journal {
    /// Opens the journal in this directory, making it where there is none. Members count as seen `now`.
    ///
    /// # Errors
    /// Another server holds the directory, or it cannot be read or written. Damage is no error.
    pub fn open(dir: &Path, durable: bool, rules: Arc<Rules>, outbox: Outbox, now: Millis) -> io::Result<Self> {
        Self::open_on(Ground::default(), dir, durable, rules, outbox, now)
    }

    fn open_on(
        ground: Ground,
        dir: &Path,
        durable: bool,
        rules: Arc<Rules>,
        outbox: Outbox,
        now: Millis,
    ) -> io::Result<Self> {
        let (mut journal, Beside { writer, mut asked, patience }) =
            Self::build(ground, dir, durable, rules, outbox, now)?;
        let log = journal.log.as_mut().expect("there until it is dropped");
        log.start(writer, patience)?;
        let shared = log.shared();
        let weak = Arc::downgrade(&journal.kept);
        let keeper = std::thread::Builder::new().name("journal-keeper".into());
        journal.keeper = Some(keeper.spawn(move || {
            while let Some(()) = asked.blocking_recv() {
                let Some(kept) = weak.upgrade() else { return };
                if shared.is_full() {
                    note_saved(kept.save(&shared));
                } else if shared.take_owed() {
                    missed::append_all(&kept.chats, &shared);
                }
            }
        })?);
        Ok(journal)
    }

    /// Opens a journal on a disk that takes its time by the runtime's clock, with the tasks that do its work: they are to be
    /// run until they end, which they do when the journal is dropped.
    ///
    /// # Errors
    /// As [`Journal::open`].
    #[cfg(feature = "simulation")]
    pub fn paced(
        ground: Ground,
        dir: &Path,
        durable: bool,
        rules: Arc<Rules>,
        outbox: Outbox,
        now: Millis,
    ) -> io::Result<(Self, Vec<Task>)> {
        let pace = ground.pace.clone().ok_or_else(|| io::Error::other("no pace"))?;
        let (journal, Beside { writer, mut asked, patience }) = Self::build(ground, dir, durable, rules, outbox, now)?;
        let shared = journal.log().shared();
        let weak = Arc::downgrade(&journal.kept);
        let watch = watch::run(Arc::downgrade(&shared), patience);
        let keep = async move {
            while let Some(()) = asked.recv().await {
                let Some(kept) = weak.upgrade() else { return };
                if shared.is_full() {
                    note_saved(kept.save_paced(&shared).await);
                } else if shared.take_owed() {
                    missed::append_paced(&kept.chats, &shared).await;
                }
            }
        };
        Ok((journal, vec![Box::pin(writer.run_paced(pace)), Box::pin(watch), Box::pin(keep)]))
    }

    fn build(
        ground: Ground,
        dir: &Path,
        durable: bool,
        rules: Arc<Rules>,
        outbox: Outbox,
        now: Millis,
    ) -> io::Result<(Self, Beside)> {
        let Ground { disk, patience, segment, save_after, pace } = ground;
        let dir = Arc::new(Dir::hold(disk, dir)?);
        let max_audiences = rules.max_audiences;
        let filling = Filling::of(Memory::silent(rules));
        let put = |rooms: Vec<Room>| filling.put(rooms.into_iter().map(|room| come_back(room, now)).collect());
        let Loaded { mut revoked, bans, tables, spans, chats, watching, foreign, next, snapshot, unsaved } =
            load::load(&dir, now, &put)?;
        let readers = history::Readers::load(&dir)?;
        // Numbers that a reader has read already, in a part of the journal that is lost, are not given again.
        let next = next.max(readers.furthest() + 1);
        let memory = filling.end().with_tables(tables);
        for (room, audience) in watching.audiences(max_audiences) {
            memory.restore_audience(&room, audience);
        }
        for ban in &bans {
            memory.kept_bans().put(ban, now, || ());
        }
        memory.kept_bans().forget(now);
        revoked.clean(now);
        let revoked = Mutex::new(revoked);
        let readers = Mutex::new(readers);
        let spans = Mutex::new(spans);
        let chats = Mutex::new(chats);
        let saving = Mutex::new(());
        let begun = Instant::now();
        let kept =
            Kept { dir: dir.clone(), memory, revoked, readers, spans, chats, foreign, saving, pace, save_after, begun };
        let (full, asked) = mpsc::channel(1);
        let (log, writer) = Log::new(dir, outbox, log::Options { durable, next, unsaved, full, segment });
        log.save_after(snapshot.max(save_after));
        let journal = Self { log: Some(log), kept: Arc::new(kept), keeper: None };
        Ok((journal, Beside { writer, asked, patience }))
    }

    fn log(&self) -> &Log {
        self.log.as_ref().expect("there until it is dropped")
    }

    /// Writes a snapshot now and removes what it makes needless. Waits for the disk.
    ///
    /// # Errors
    /// The disk is full or away.
    pub fn snapshot(&self) -> io::Result<()> {
        self.kept.save(self.log())
    }

    fn commit(&self, id: &RoomId, decide: &mut Decide<'_>) -> Result<Waiting, Error> {
        let log = self.log();
        log.ready()?;
        let queued = self.kept.memory.commit(id, decide, |room, events| queue(log, id, room, events))?;
        queued.ok_or_else(|| Error::Unavailable("a room is too large for the journal".into()))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(log) = &self.log {
            self.kept.append_missed(log);
        }
        self.log = None;
        if let Some(keeper) = self.keeper.take() {
            // One that panicked has said so.
            let _ = keeper.join();
        }
    }
}

/// Queues what a decision did to a room.
fn queue(log: &Log, id: &RoomId, room: Option<&Room>, events: Vec<Event>) -> Option<Waiting> {
    if events.is_empty() {
        // Nothing that has to be kept; but what was decided may rest on a change that is not durable yet.
        return Some(log.barrier());
    }
    let written = serde_json::to_vec(&events).ok()?;
    let id = id.as_str();
    let draft = match (room, &*events) {
        (None, _) => Draft::new(record::Kind::Gone, id, &[], &written),
        (Some(room), [Event { what: What::Custom { name }, seq, .. }])
            if room.custom.get(name).is_some() && room.done.is_empty() =>
        {
            let value = room.custom.get(name)?.clone();
            let field = serde_json::to_vec(&Field { seq: *seq, name: name.clone(), value }).ok()?;
            Draft::new(record::Kind::Field, id, &field, &written)
        }
        (Some(room), _) => Draft::new(record::Kind::Put, id, &serde_json::to_vec(room).ok()?, &written),
    };
    Some(log.append(draft?, events))
}

fn note_saved(saved: io::Result<()>) {
    if let Err(error) = saved {
        tracing::warn!(%error, "the journal's snapshot could not be written; trying again later");
    }
}

fn draft_of(change: Change) -> Result<Draft, Error> {
    let state = serde_json::to_vec(&change).unwrap_or_default();
    Draft::new(record::Kind::Row, "", &state, &[])
        .ok_or_else(|| Error::Unavailable("a row is too large for the journal".into()))
}

/// A room after a restart: no member is held to have been silent while the server did not run.
fn come_back(mut room: Room, now: Millis) -> Room {
    for pusher in &mut room.pushers {
        pusher.seen = now;
        pusher.ask_after = Millis(0);
    }
    if room.pushers.is_empty() {
        // Not listed before a pusher enters, so its place in the list is free to change.
        room.created = now;
    }
    room
}

impl Kept {
    /// Appends what is in no file before the end.
    fn append_missed(&self, log: &Shared) {
        if self.pace.is_some() {
            while missed::append(&self.chats, log).is_some() {}
            return;
        }
        // On a thread of its own: this one may be a runtime's, which must not wait.
        std::thread::scope(|scope| {
            let appends = std::thread::Builder::new().name("journal-missed".into());
            // Where there is no thread to be had, it is lost.
            let _ = appends.spawn_scoped(scope, || missed::append_all(&self.chats, log));
        });
    }

    fn save(&self, log: &Shared) -> io::Result<()> {
        let _alone = self.saving.lock();
        let saved = self.write_snapshot(log).and_then(|written| {
            let seen = written.seen.block();
            self.finish_snapshot(seen, written.from, written.length)
        });
        self.saved(log, saved)
    }

    #[cfg(feature = "simulation")]
    async fn save_paced(&self, log: &Shared) -> io::Result<()> {
        let pause = async || {
            if let Some(pace) = &self.pace {
                pace.pause().await;
            }
        };
        pause().await;
        let saved = async {
            let written = self.write_snapshot(log)?;
            let seen = written.seen.durable().await;
            pause().await;
            self.finish_snapshot(seen, written.from, written.length)
        };
        let saved = saved.await;
        self.saved(log, saved)
    }

    fn write_snapshot(&self, log: &Shared) -> io::Result<snapshot::Written> {
        let others = || {
            let revoked = self.revoked.lock().all();
            let spans = self.spans.lock().clone();
            snapshot::Others { revoked, spans, chats: self.chats.lock().save() }
        };
        let written = snapshot::write(&self.dir, &self.memory, others, &self.foreign, log);
        written.inspect_err(|_| snapshot::discard(&self.dir))
    }

    /// Puts the snapshot in its place. Gives back its number and its size.
    fn finish_snapshot(&self, seen: Result<(), Error>, from: u64, length: u64) -> io::Result<(u64, u64)> {
        let seen = seen.map_err(|error| io::Error::other(error.to_string()));
        seen.and_then(|()| snapshot::finish(&self.dir)).inspect_err(|_| snapshot::discard(&self.dir))?;
        Ok((from, length))
    }

    /// What follows from it, whether it stands or not.
    fn saved(&self, log: &Shared, saved: io::Result<(u64, u64)>) -> io::Result<()> {
        self.chats.lock().saved(saved.is_ok());
        match saved {
            Ok((from, length)) => {
                log.saved(length.max(self.save_after));
                self.dir.forget_before(self.needed_from(from)?)?;
                Ok(())
            }
            Err(error) => {
                log.not_saved(self.save_after);
                Err(error)
            }
        }
    }
}

impl Store for Journal {
    fn update<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        Box::pin(part("store.commit", Step::Internal, || None, async move { self.commit(id, decide)?.durable().await }))
    }

    fn make<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        self.update(id, decide)
    }

    fn keep<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let log = self.log();
            log.ready()?;
            let put = |room: Option<&Room>, _| {
                let draft = Draft::new(record::Kind::Put, id.as_str(), &serde_json::to_vec(room?).ok()?, &[]);
                Some(log.append(draft?, Vec::new()))
            };
            let queued = self.kept.memory.commit(id, decide, put)?;
            queued.ok_or_else(|| Error::Unavailable("a room is too large for the journal".into()))?.durable().await
        })
    }

    fn see<'a>(&'a self, id: &'a RoomId, see: &'a mut See<'a>) -> Answer<'a, bool> {
        self.kept.memory.see(id, see)
    }

    fn touch<'a>(&'a self, id: &'a RoomId, now: Millis, kind: Kind, user: &'a UserId) -> Answer<'a, i64> {
        self.kept.memory.touch(id, now, kind, user)
    }

    fn list<'a>(&'a self, kind: Kind, index: usize, count: usize, see: &'a mut See<'a>) -> Answer<'a, ()> {
        self.kept.memory.list(kind, index, count, see)
    }

    fn due(&self, now: Millis, limit: usize) -> Answer<'_, Vec<RoomId>> {
        self.kept.memory.due(now, limit)
    }

    fn add_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId, info: Option<&'a str>) -> Answer<'a, bool> {
        Box::pin(async move { self.enter(id, user, info) })
    }

    fn delete_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId) -> Answer<'a, bool> {
        Box::pin(async move { Ok(self.exit(id, user)) })
    }

    fn watching(&self) -> Vec<(RoomId, UserId)> {
        self.kept.memory.watching()
    }

    fn viewers<'a>(&'a self, id: &'a RoomId) -> Answer<'a, Viewers> {
        self.kept.memory.viewers(id)
    }

    fn presences(&self) -> Option<&dyn Presences> {
        None
    }

    fn probe(&self) -> Probed<'_> {
        Box::pin(async {
            let log = self.log();
            let trouble = || log.trouble().unwrap_or(Trouble::Unwritable);
            log.ready().map_err(|_| trouble())?;
            // A frame that says nothing: it goes the way of every change.
            let draft = Draft::new(record::Kind::Note, "", &[], &[]).ok_or(Trouble::Unwritable)?;
            log.append(draft, Vec::new()).durable().await.map_err(|_| trouble())
        })
    }

    fn counters(&self) -> Option<&Counters> {
        Some(self.log().counters())
    }

    fn totals(&self) -> Option<Totals> {
        self.kept.memory.totals()
    }

    fn len(&self) -> usize {
        self.kept.memory.len()
    }

    fn ids(&self) -> Answer<'_, Vec<RoomId>> {
        self.kept.memory.ids()
    }

    fn revoke(&self, session: u64, until: Millis, now: Millis) -> Answer<'_, ()> {
        Box::pin(async move {
            let log = self.log();
            log.ready()?;
            let draft = Draft::new(record::Kind::Revoked, &session.to_string(), &until.0.to_le_bytes(), &[]);
            let waiting = {
                let mut revoked = self.kept.revoked.lock();
                revoked.end(session, until);
                revoked.clean(now);
                log.append(draft.expect("twenty digits and eight bytes fit"), Vec::new())
            };
            waiting.durable().await
        })
    }

    fn revoke_before<'a>(&'a self, before: &'a EndedBefore, _: Millis) -> Answer<'a, ()> {
        Box::pin(async move {
            let log = self.log();
            log.ready()?;
            let state = serde_json::to_vec(before).unwrap_or_default();
            let draft = Draft::new(record::Kind::Before, "", &state, &[]);
            let waiting = {
                let mut revoked = self.kept.revoked.lock();
                revoked.end_before(before);
                log.append(draft.expect("some numbers fit"), Vec::new())
            };
            waiting.durable().await
        })
    }

    fn ban<'a>(&'a self, ban: &'a Ban, now: Millis) -> Answer<'a, ()> {
        Box::pin(async move {
            let log = self.log();
            log.ready()?;
            let state = serde_json::to_vec(ban).unwrap_or_default();
            let draft = Draft::new(record::Kind::Ban, "", &state, &[]);
            let draft = draft.ok_or_else(|| Error::Unavailable("a ban is too large for the journal".into()))?;
            let waiting = self.kept.memory.kept_bans().put(ban, now, || log.append(draft, Vec::new()));
            waiting.durable().await
        })
    }

    fn bans(&self, since: Millis) -> Answer<'_, Vec<Ban>> {
        self.kept.memory.bans(since)
    }

    fn agree<'a>(&'a self, stream: &'a StreamId, to: Option<&'a Agreement>, now: Millis) -> Answer<'a, ()> {
        // Mixes end with this process, and so does what they are made by.
        self.kept.memory.agree(stream, to, now)
    }

    fn agreement<'a>(&'a self, stream: &'a StreamId, now: Millis) -> Answer<'a, Option<Agreement>> {
        self.kept.memory.agreement(stream, now)
    }

    fn put_row<'a>(&'a self, table: Table, row: &'a Row, replace: bool, now: Millis) -> Answer<'a, bool> {
        Box::pin(async move {
            let log = self.log();
            log.ready()?;
            let draft = draft_of(Change { table, row: row.clone(), gone: false })?;
            let append = || log.append(draft, Vec::new());
            match self.kept.memory.tables().put(table, row, replace, now, append) {
                Some(waiting) => waiting.durable().await.map(|()| true),
                // It may have come a moment ago, and not be durable yet.
                None => log.barrier().durable().await.map(|()| false),
            }
        })
    }

    fn take_row<'a>(&'a self, table: Table, key: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let log = self.log();
            log.ready()?;
            let row = Row { key: key.into(), value: serde_json::Value::Null, until: Millis(0) };
            let draft = draft_of(Change { table, row, gone: true })?;
            match self.kept.memory.tables().take(table, key, || log.append(draft, Vec::new())) {
                Some(waiting) => waiting.durable().await,
                None => Ok(()),
            }
        })
    }

    fn row<'a>(&'a self, table: Table, key: &'a str, now: Millis) -> Answer<'a, Option<Row>> {
        self.kept.memory.row(table, key, now)
    }

    fn rows<'a>(&'a self, table: Table, below: Option<&'a str>, count: usize, now: Millis) -> Answer<'a, Vec<Row>> {
        self.kept.memory.rows(table, below, count, now)
    }

    fn revoked(&self, _since: Millis) -> Answer<'_, Logouts> {
        Box::pin(async move { Ok(self.kept.revoked.lock().all()) })
    }
}

/// Reads records as a start does: these bytes, and the same under a head that fits.
#[cfg(fuzzing)]
pub fn read_records(bytes: &[u8]) {
    let mut whole = Vec::from(u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
    let number = 7u64.to_le_bytes();
    whole.extend(crc32fast::hash(&[bytes, &number].concat()).to_le_bytes());
    whole.extend(number);
    whole.extend(bytes);
    for bytes in [bytes, &whole] {
        for (record, end) in record::frames(bytes) {
            assert!(end <= bytes.len());
            let _ = serde_json::from_slice::<room::Room>(record.state);
            let _ = serde_json::from_slice::<Vec<room::Event>>(record.events);
        }
    }
}
