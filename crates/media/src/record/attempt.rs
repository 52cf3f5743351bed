//! Recordings that have no file yet, or never got one: nothing is written before a keyframe, a stream may have none, and a disk
//! may be full.
//! Knows no files.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::name::StreamName;

/// How many recordings without a file are remembered after their end.
const REMEMBERED: usize = 64;

/// A recording without a file: no keyframe has come since it was asked for, or no file could be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Empty {
    /// What was to be recorded.
    pub stream: String,
    /// When that was asked for, in Unix milliseconds.
    pub asked: u64,
    /// How long a keyframe was waited for, until now or until the end.
    pub waited: Duration,
    /// Whether it still waits.
    pub running: bool,
}

/// What stopping a recording found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// There is a file, ready in a moment.
    Recorded,
    /// Nothing was recorded.
    Empty(Empty),
}

/// A recording from when it is asked for until its end.
pub(super) struct Attempt {
    stream: StreamName,
    asked: u64,
    pub since: Instant,
    pub stop: CancellationToken,
    has_file: AtomicBool,
    /// A file is being begun.
    begins: AtomicBool,
}

impl Attempt {
    pub fn begin(stream: &StreamName) -> Arc<Self> {
        Arc::new(Attempt {
            stream: stream.clone(),
            asked: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64),
            since: Instant::now(),
            stop: CancellationToken::new(),
            has_file: AtomicBool::new(false),
            begins: AtomicBool::new(false),
        })
    }

    /// A file is about to be begun.
    pub fn begins(&self) {
        self.begins.store(true, Ordering::Relaxed);
    }

    /// A file was begun, or could not be.
    pub fn begun(&self, is_there: bool) {
        self.has_file.fetch_or(is_there, Ordering::Relaxed);
        self.begins.store(false, Ordering::Relaxed);
    }

    /// What it is as long as no file was begun.
    pub fn empty(&self, running: bool) -> Option<Empty> {
        let empty =
            || Empty { stream: self.stream.to_string(), asked: self.asked, waited: self.since.elapsed(), running };
        (!self.has_file.load(Ordering::Relaxed)).then(empty)
    }
}

/// The attempts that run, and the last that ended without a file.
#[derive(Default)]
pub(super) struct Attempts {
    running: Mutex<HashMap<StreamName, Arc<Attempt>>>,
    /// None begins any more.
    closed: AtomicBool,
    over: Mutex<VecDeque<Empty>>,
}

impl Attempts {
    /// Begins one, unless the stream has one.
    pub fn begin(&self, stream: &StreamName) -> Option<Arc<Attempt>> {
        let mut running = self.running.lock();
        if self.closed.load(Ordering::Relaxed) {
            return None;
        }
        match running.entry(stream.clone()) {
            std::collections::hash_map::Entry::Occupied(_) => None,
            std::collections::hash_map::Entry::Vacant(place) => Some(Arc::clone(place.insert(Attempt::begin(stream)))),
        }
    }

    /// Asks one to end.
    pub fn stop(&self, stream: &StreamName) -> Option<Stopped> {
        // Another may begin at once, while this one still writes its last.
        let attempt = self.running.lock().remove(stream)?;
        attempt.stop.cancel();
        let empty = attempt.empty(false).filter(|_| !attempt.begins.load(Ordering::Relaxed));
        Some(empty.map_or(Stopped::Recorded, Stopped::Empty))
    }

    /// Asks all to end; none begins any more.
    pub fn close(&self) {
        let mut running = self.running.lock();
        self.closed.store(true, Ordering::Relaxed);
        running.drain().for_each(|(_, attempt)| attempt.stop.cancel());
    }

    /// How many run.
    pub fn len(&self) -> usize {
        self.running.lock().len()
    }

    /// One reads no more: another may begin.
    pub fn leave(&self, attempt: &Attempt) {
        let mut running = self.running.lock();
        if running.get(&attempt.stream).is_some_and(|newest| std::ptr::eq(Arc::as_ptr(newest), attempt)) {
            running.remove(&attempt.stream);
        }
    }

    /// One has ended and written all it had. Gives it back if it has no file.
    pub fn end(&self, attempt: &Attempt) -> Option<Empty> {
        let empty = attempt.empty(false)?;
        let mut over = self.over.lock();
        if over.len() == REMEMBERED {
            over.pop_front();
        }
        over.push_back(empty.clone());
        Some(empty)
    }

    /// Those without a file: the last that ended, then those that wait.
    pub fn empty(&self) -> Vec<Empty> {
        let mut list: Vec<Empty> = self.over.lock().iter().cloned().collect();
        list.extend(self.running.lock().values().filter_map(|attempt| attempt.empty(true)));
        list
    }
}
