//! Group commit: changes are queued in order, one thread writes all that waits as one piece and makes it durable with one
//! `fdatasync`, and only then are they answered and their events let out. Knows no rooms.
//!
//! When the disk is full or fails: callers that wait are answered at once, nothing more is taken ([`Log::ready`]), what was
//! queued is tried again in a fresh file until it stands, and then everything goes on by itself. A file in which writing or
//! syncing failed is never appended to again: the kernel may have dropped what it could not write. A disk that does not
//! answer ([`super::watch`]) is handled in the same way, though its write goes on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use room::Event;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::files::{Dir, Sheet};
#[cfg(feature = "simulation")]
use super::pace::Pace;
use super::record::Draft;
use crate::error::Error;
use crate::mends::{Mend, is_out};
use crate::{Counters, Outbox, Trouble};

/// How long after a failure the disk is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// Changes are written in pieces of about so many bytes, so that a disk which was away is not held to be away again because of
/// all that waits for it.
pub const PIECE: usize = 8 << 20;

/// What is asked of a log.
pub struct Options {
    /// Whether answers wait for the disk. If not, files are written but not synced.
    pub durable: bool,
    /// The number of the first frame.
    pub next: u64,
    /// Bytes of frames that stand in files and in no snapshot.
    pub unsaved: u64,
    /// Told when there is more of them than `save_after`, or something to be appended that could not be queued.
    pub full: mpsc::Sender<()>,
    /// A new file is begun after so many bytes.
    pub segment: u64,
}

/// Where changes are made durable.
pub struct Log {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer and its callers share.
pub struct Shared {
    pub(super) queue: Mutex<Queue>,
    work: Condvar,
    /// Wakes a writer that is a task.
    task: Notify,
    durable: watch::Sender<u64>,
    waits: bool,
    pub(super) counters: Counters,
}

#[derive(Default)]
pub struct Queue {
    /// Pieces that are full, and the one that is filled.
    pieces: VecDeque<Piece>,
    piece: Piece,
    /// What the writer has in hand, and since when it tries to write that.
    in_hand: Vec<Commit>,
    pub(super) since: Option<Instant>,
    /// The number that the next frame gets.
    next: u64,
    /// Why the disk cannot be written, while it cannot.
    pub(super) failing: Option<(Trouble, Arc<str>)>,
    pub(super) stop: bool,
    rotate: bool,
    unsaved: u64,
    save_after: u64,
    /// Something is not even queued, and is in no snapshot that is being written.
    owes: bool,
    /// A snapshot is being written that has what was in no file.
    saving: bool,
}

/// Changes that are written and made durable together.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    commits: Vec<Commit>,
    /// The number after its last frame.
    next: u64,
}

struct Commit {
    events: Vec<Event>,
    waiter: Option<oneshot::Sender<Result<(), Arc<str>>>>,
}

/// A change on its way to the disk.
#[must_use]
pub struct Waiting(Option<oneshot::Receiver<Result<(), Arc<str>>>>);

impl Waiting {
    /// Returns when the change, and all before it, are durable.
    ///
    /// # Errors
    /// [`Error::Unknown`]: the disk cannot be written now. The change will be made when it can, if this process lives so long.
    pub async fn durable(self) -> Result<(), Error> {
        let Some(waiting) = self.0 else { return Ok(()) };
        answer(waiting.await)
    }

    /// The same, for a thread that may stand still.
    pub fn block(self) -> Result<(), Error> {
        let Some(waiting) = self.0 else { return Ok(()) };
        answer(waiting.blocking_recv())
    }
}

fn answer(said: Result<Result<(), Arc<str>>, oneshot::error::RecvError>) -> Result<(), Error> {
    match said {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) if is_out(Mend::UnknownIsSaid) => Err(unavailable(&why)),
        Ok(Err(why)) => Err(Error::Unknown(format!("the journal could not be written in time: {why}"))),
        Err(_) => Err(Error::Unknown("the journal is being closed".into())),
    }
}

impl Queue {
    /// Tells everyone who waits that the disk cannot be written, and why.
    pub fn refuse(&mut self, trouble: Trouble, why: &Arc<str>) {
        self.failing = Some((trouble, why.clone()));
        let queued = self.pieces.iter_mut().chain([&mut self.piece]).flat_map(|piece| &mut piece.commits);
        for commit in self.in_hand.iter_mut().chain(queued) {
            if let Some(waiter) = commit.waiter.take() {
                // Who no longer waits need not hear it.
                let _ = waiter.send(Err(why.clone()));
            }
        }
    }

    /// Whether it is time to append what is in no file.
    pub(super) fn is_due(&self) -> bool {
        self.owes && self.failing.is_none()
    }

    /// Lets the writer come by.
    pub(super) fn stir(&mut self) {
        self.piece.commits.push(Commit { events: Vec::new(), waiter: None });
    }
}

fn unavailable(why: &str) -> Error {
    Error::Unavailable(format!("the journal cannot be written: {why}"))
}

impl Log {
    /// A log, and its writer, which must be run.
    pub fn new(dir: Arc<Dir>, outbox: Outbox, options: Options) -> (Self, Writer) {
        let Options { durable, next, unsaved, full, segment } = options;
        let queue = Queue { next, unsaved, save_after: u64::MAX, ..Queue::default() };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            work: Condvar::new(),
            task: Notify::new(),
            durable: watch::Sender::new(next.saturating_sub(1)),
            waits: durable,
            counters: Counters::default(),
        });
        let writer = Writer { shared: shared.clone(), dir, sheet: None, outbox, full, segment, next };
        (Self { shared, writer: None }, writer)
    }

    /// Has its writer run by a thread.
    pub fn start(&mut self, writer: Writer, patience: Duration) -> std::io::Result<()> {
        self.writer = Some(std::thread::Builder::new().name("journal".into()).spawn(move || writer.run())?);
        super::watch::start(&self.shared, patience)
    }

    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }
}

impl std::ops::Deref for Log {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Log {
    /// Writes what waits, and stops.
    fn drop(&mut self) {
        self.shared.queue.lock().stop = true;
        self.shared.work.notify_all();
        self.shared.task.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so.
            let _ = writer.join();
        }
    }
}

impl Shared {
    /// Whether changes can be taken now.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the disk cannot be written.
    pub fn ready(&self) -> Result<(), Error> {
        match &self.queue.lock().failing {
            None => Ok(()),
            Some((_, why)) => Err(unavailable(why)),
        }
    }

    /// What is wrong with the disk, if something is.
    pub fn trouble(&self) -> Option<Trouble> {
        self.queue.lock().failing.as_ref().map(|(trouble, _)| *trouble)
    }

    /// What was written.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Queues a change with its events. Called under the lock of what is changed: the order of calls is the order of all.
    pub fn append(&self, draft: Draft, events: Vec<Event>) -> Waiting {
        let mut queue = self.queue.lock();
        let number = queue.next;
        queue.next += 1;
        if queue.piece.bytes.len() >= PIECE {
            let full = std::mem::take(&mut queue.piece);
            queue.pieces.push_back(full);
        }
        draft.append(number, &mut queue.piece.bytes);
        queue.piece.next = queue.next;
        self.wait(&mut queue, events)
    }

    /// Waits for all that was queued before.
    pub fn barrier(&self) -> Waiting {
        let mut queue = self.queue.lock();
        if queue.since.is_none() && queue.piece.commits.is_empty() && queue.pieces.is_empty() {
            return Waiting(None);
        }
        self.wait(&mut queue, Vec::new())
    }

    fn wait(&self, queue: &mut Queue, events: Vec<Event>) -> Waiting {
        let (waiter, waiting) = if self.waits {
            let (waiter, waiting) = oneshot::channel();
            let waiter = match &queue.failing {
                None => Some(waiter),
                // It was let in before the disk failed: it stays queued, and its caller hears of it.
                Some((_, why)) => waiter.send(Err(why.clone())).err().and(None),
            };
            (waiter, Some(waiting))
        } else {
            (None, None)
        };
        queue.piece.commits.push(Commit { events, waiter });
        self.wake();
        Waiting(waiting)
    }

    /// Tells the writer that there is work.
    pub(super) fn wake(&self) {
        self.work.notify_one();
        self.task.notify_one();
    }

    /// A snapshot begins, and with the next batch a new file. Frames from the returned number on stand in it or in later ones.
    pub fn rotate(&self) -> u64 {
        let mut queue = self.queue.lock();
        queue.rotate = true;
        queue.saving = std::mem::take(&mut queue.owes);
        queue.next
    }

    /// Something could not be queued, and is appended when the disk is back.
    pub fn owe(&self) {
        self.queue.lock().owes = true;
    }

    /// Whether something is to be appended that could not be queued before. Who asks sees to it.
    pub fn take_owed(&self) -> bool {
        std::mem::take(&mut self.queue.lock().owes)
    }

    /// Whether it is time for a snapshot.
    pub fn is_full(&self) -> bool {
        let queue = self.queue.lock();
        queue.unsaved > queue.save_after
    }

    /// A snapshot holds all up to now: asks for the next one after so many bytes more.
    pub fn saved(&self, save_after: u64) {
        let mut queue = self.queue.lock();
        queue.unsaved = 0;
        queue.save_after = save_after;
        queue.saving = false;
    }

    /// Asks for a snapshot when so many bytes stand in no snapshot.
    pub fn save_after(&self, bytes: u64) {
        self.queue.lock().save_after = bytes;
    }

    /// A snapshot failed: asks again only after so many bytes more, not with every batch.
    pub fn not_saved(&self, bytes: u64) {
        let mut queue = self.queue.lock();
        queue.save_after = queue.unsaved.saturating_add(bytes);
        queue.owes |= std::mem::take(&mut queue.saving);
    }

    /// The number of the last durable frame, as it grows.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }
}

/// What takes changes from the queue to the disk.
pub struct Writer {
    shared: Arc<Shared>,
    dir: Arc<Dir>,
    /// The file that is appended to, and how much of it is sound.
    sheet: Option<(Box<dyn Sheet>, u64)>,
    outbox: Outbox,
    full: mpsc::Sender<()>,
    segment: u64,
    /// The number of the first frame that is not taken yet.
    next: u64,
}

struct Batch {
    bytes: Vec<u8>,
    first: u64,
    next: u64,
    rotate: bool,
}

/// A file in which a batch stands that is not durable yet.
struct Put {
    sheet: Box<dyn Sheet>,
    length: u64,
    begun: Instant,
}

impl Writer {
    fn run(mut self) {
        let mut spare = Vec::new();
        while let Some(batch) = self.wait(spare) {
            while let Err(error) = self.put(&batch).and_then(|put| self.settle(&batch, put)) {
                let stops = self.fail(&error, |work, queue| _ = work.wait_for(queue, RETRY));
                if stops {
                    return gives_up(&error);
                }
            }
            spare = self.deliver(batch);
        }
    }

    /// The same as a task, on a disk that takes its time by the runtime's clock.
    #[cfg(feature = "simulation")]
    pub async fn run_paced(mut self, pace: Arc<dyn Pace>) {
        loop {
            let shared = self.shared.clone();
            let taken = self.take(&mut shared.queue.lock(), Vec::new());
            let Some(batch) = taken else {
                if shared.queue.lock().stop {
                    return;
                }
                shared.task.notified().await;
                continue;
            };
            while let Err(error) = self.write_paced(&batch, &*pace).await {
                if self.fail(&error, |_, _| ()) {
                    return gives_up(&error);
                }
                tokio::time::sleep(RETRY).await;
            }
            pace.pause().await;
            self.deliver(batch);
        }
    }

    #[cfg(feature = "simulation")]
    async fn write_paced(&mut self, batch: &Batch, pace: &dyn Pace) -> std::io::Result<()> {
        pace.pause().await;
        let put = self.put(batch)?;
        pace.pause().await;
        self.settle(batch, put)
    }

    /// Waits for work and takes all of it; `None` at the end.
    fn wait(&mut self, mut spare: Vec<u8>) -> Option<Batch> {
        let shared = self.shared.clone();
        let mut queue = shared.queue.lock();
        loop {
            if let Some(batch) = self.take(&mut queue, std::mem::take(&mut spare)) {
                return Some(batch);
            }
            if queue.stop {
                return None;
            }
            shared.work.wait(&mut queue);
        }
    }

    /// Takes all that waits.
    fn take(&mut self, queue: &mut Queue, mut spare: Vec<u8>) -> Option<Batch> {
        queue.since = None;
        let full = queue.pieces.pop_front();
        if full.is_none() && queue.piece.commits.is_empty() {
            return None;
        }
        queue.since = Some(Instant::now());
        spare.clear();
        spare.shrink_to(1 << 20);
        let begun = Piece { bytes: spare, ..Piece::default() };
        let Piece { bytes, commits, next } = full.unwrap_or_else(|| std::mem::replace(&mut queue.piece, begun));
        queue.in_hand = commits;
        // One that only waits for those before it has no frame.
        let next = next.max(self.next);
        let first = std::mem::replace(&mut self.next, next);
        Some(Batch { bytes, first, next, rotate: std::mem::take(&mut queue.rotate) })
    }

    /// Writes a batch into the file; nothing if there is nothing in it.
    fn put(&mut self, batch: &Batch) -> std::io::Result<Option<Put>> {
        if batch.bytes.is_empty() {
            return Ok(None);
        }
        if batch.rotate || self.sheet.as_ref().is_some_and(|(_, length)| *length >= self.segment) {
            self.sheet = None;
        }
        let begun = Instant::now();
        let (mut sheet, length) = match self.sheet.take() {
            Some(sheet) => sheet,
            None => (self.dir.begin(batch.first)?, 0),
        };
        match sheet.append(&batch.bytes) {
            Ok(()) => Ok(Some(Put { sheet, length, begun })),
            Err(error) => Err(cut(sheet, length, error)),
        }
    }

    /// Makes it durable.
    fn settle(&mut self, batch: &Batch, put: Option<Put>) -> std::io::Result<()> {
        let Some(Put { mut sheet, length, begun }) = put else { return Ok(()) };
        if self.shared.waits
            && let Err(error) = sheet.sync()
        {
            return Err(cut(sheet, length, error));
        }
        self.shared.counters.trips.add(begun.elapsed());
        Counters::add(&self.shared.counters.changes, batch.next - batch.first);
        self.sheet = Some((sheet, length + batch.bytes.len() as u64));
        Ok(())
    }

    /// Answers all callers that wait, and rests a little. Says whether to give up.
    fn fail(&self, error: &std::io::Error, rest: impl FnOnce(&Condvar, &mut MutexGuard<'_, Queue>)) -> bool {
        let why: Arc<str> = error.to_string().into();
        Counters::add(&self.shared.counters.failures, 1);
        let mut queue = self.shared.queue.lock();
        if queue.failing.is_none() {
            tracing::error!(%error, "the journal cannot be written: changes are refused until it can");
        }
        queue.refuse(Trouble::DiskFails, &why);
        if !queue.stop {
            rest(&self.shared.work, &mut queue);
        }
        // It did answer.
        queue.since = Some(Instant::now());
        queue.stop
    }

    /// Lets the events out and answers, in order. Gives the buffer back.
    fn deliver(&self, batch: Batch) -> Vec<u8> {
        // Before the answers: who has one finds its change in the record.
        self.shared.durable.send_replace(batch.next.saturating_sub(1));
        let commits = std::mem::take(&mut self.shared.queue.lock().in_hand);
        for commit in commits {
            if !commit.events.is_empty() {
                // A closed outbox means that the server is going down.
                let _ = self.outbox.send(commit.events);
            }
            if let Some(waiter) = commit.waiter {
                // Who no longer waits need not hear it.
                let _ = waiter.send(Ok(()));
            }
        }
        let mut queue = self.shared.queue.lock();
        if queue.failing.take().is_some() {
            tracing::info!("the journal can be written again");
        }
        queue.unsaved = queue.unsaved.saturating_add(batch.bytes.len() as u64);
        if queue.is_due() || queue.unsaved > queue.save_after {
            // If the keeper is asked already, that will do.
            let _ = self.full.try_send(());
        }
        batch.bytes
    }
}

/// What a failed write left in a file is cut off. If this fails too, the reader of the next start stops at the damage and
/// goes on with the next file.
fn cut(mut sheet: Box<dyn Sheet>, length: u64, error: std::io::Error) -> std::io::Error {
    let _ = sheet.cut(length);
    error
}

fn gives_up(error: &std::io::Error) {
    tracing::error!(%error, "the journal could not be written before the end; unanswered changes are lost");
}
