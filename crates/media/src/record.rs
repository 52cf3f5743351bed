//! Recordings: streams written to disk as fragmented MP4, so that a file plays whenever its writing stopped. Off the hot
//! path: a task that reads the hub, a bounded queue, a thread that writes. Knows streams, not rooms.

mod attempt;
mod file;
mod queue;
mod space;
mod take;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::frame::Codec;
use crate::hub::{Hub, Pace, Start, Want};
use crate::name::StreamName;
use crate::rendition::Renditions;
use attempt::{Attempt, Attempts};
use file::Index;
use space::Space;
use take::Take;

pub use attempt::{Empty, Stopped};
pub use space::spare;

/// The audio that is written as it is; other audio becomes the first of these. Many phones open no MP4 file with Opus.
const AUDIO: &[Codec] = &[Codec::Aac];

/// Where and how much.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory; made if it is not there.
    pub dir: PathBuf,
    /// Most bytes of all recordings. Beyond it, and where less than [`spare`] stays free of the disk, the oldest finished ones are
    /// deleted, but for what just ended. When there are none, a recording that needs more room has a gap until there is some.
    pub quota: u64,
    /// A file ends with the first keyframe after this long, and another begins; earlier, where the files being written would become
    /// a quarter of all room.
    pub longest: Duration,
}

/// One recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The file's name within the directory: `{stream}.{start in Unix milliseconds}.mp4`.
    pub file: String,
    /// What was recorded.
    pub stream: String,
    /// When it began, in Unix milliseconds.
    pub started: u64,
    /// Bytes so far.
    pub size: u64,
    /// How long it plays so far.
    pub duration: Duration,
    /// Whether it is still being written.
    pub running: bool,
}

/// What became of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file was begun.
    Started(Recording),
    /// A file is complete.
    Ready(Recording),
    /// It ended without a file.
    Empty(Empty),
}

/// Records streams; cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    renditions: Renditions,
    settings: Settings,
    index: Arc<Index>,
    attempts: Attempts,
    /// Recordings, until all of them is written.
    writing: TaskTracker,
    skipped: Arc<AtomicU64>,
    /// The time in the name of the newest file: two that start within a millisecond still differ.
    newest: AtomicU64,
}

impl Recorder {
    /// Opens the directory and reads what is there; a file that was cut short gets its duration written. Blocks.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn new(hub: Hub, settings: Settings) -> io::Result<Self> {
        let space = Space::new(settings.quota, Box::new(space::of_disk));
        Self::within(space, hub, settings)
    }

    fn within(space: Space, hub: Hub, settings: Settings) -> io::Result<Self> {
        let index = Arc::new(Index::open(&settings.dir, space)?);
        Ok(Recorder {
            inner: Arc::new(Inner {
                renditions: Renditions::new(hub),
                settings,
                index,
                attempts: Attempts::default(),
                writing: TaskTracker::new(),
                skipped: Arc::new(AtomicU64::new(0)),
                newest: AtomicU64::new(0),
            }),
        })
    }

    /// Records a stream until it ends or it is stopped; what cannot be written leaves a gap. The recording begins now, or with the first keyframe
    /// after now, for which the publisher is asked; nothing of before is in it. A stream that is not published yet is
    /// waited for as long as the hub does. Returns false if it is being recorded already.
    pub fn record(&self, stream: &StreamName) -> bool {
        let Some(attempt) = self.inner.attempts.begin(stream) else { return false };
        let inner = Arc::clone(&self.inner);
        let writing = inner.writing.token();
        let stream = stream.clone();
        tokio::spawn(async move {
            let running = Running { inner: &inner, attempt: &attempt };
            let outcome =
                Arc::new(Outcome { inner: Arc::clone(&inner), attempt: Arc::clone(&attempt), _writing: writing });
            let want = Want::internal(Pace::Audience, Start::Since(attempt.since)).with_further(true);
            let wait = inner.renditions.record(&stream, want, AUDIO);
            if let Some(Ok(reader)) = attempt.stop.run_until_cancelled(wait).await {
                Take::new(&stream, outcome).run(reader).await;
            }
            drop(running);
        });
        true
    }

    /// The same for a stream that is here now, and pushed to this node. Returns false if it is not.
    pub fn record_present(&self, stream: &StreamName) -> bool {
        self.inner.renditions.is_published(stream) && self.record(stream)
    }

    /// Ends a recording, and says whether anything was recorded. `None`: the stream is not being recorded.
    pub fn stop(&self, stream: &StreamName) -> Option<Stopped> {
        self.inner.attempts.stop(stream)
    }

    /// Ends all recordings; none begins any more. Returns when all files are complete, and told as such.
    pub async fn close(&self) {
        self.inner.attempts.close();
        self.inner.writing.close();
        self.inner.writing.wait().await;
    }

    /// Recordings without a file: the last of those that ended so, and those that still wait for a keyframe.
    pub fn empty(&self) -> Vec<Empty> {
        self.inner.attempts.empty()
    }

    /// All recordings, oldest first.
    pub fn list(&self) -> Vec<Recording> {
        self.inner.index.list()
    }

    /// What becomes of recordings from now on. A receiver that lags by more than 256 events loses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.index.events()
    }

    /// The path of a recording; `None` for names that are none of [`Recorder::list`].
    pub fn path(&self, file: &str) -> Option<PathBuf> {
        self.list().iter().any(|r| r.file == file).then(|| self.inner.settings.dir.join(file))
    }

    /// Deletes a finished recording. Returns false if there is none of that name.
    pub fn delete(&self, file: &str) -> bool {
        self.inner.index.delete(file)
    }

    /// Fragments that were left out because the disk was too slow, in all.
    pub fn skipped(&self) -> u64 {
        self.inner.skipped.load(Ordering::Relaxed)
    }
}

/// Takes the recording out of the running ones, however its task ends.
struct Running<'a> {
    inner: &'a Inner,
    attempt: &'a Attempt,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.inner.attempts.leave(self.attempt);
    }
}

/// Says that a recording came to nothing, if it did, once its task and the threads that write its files are done.
struct Outcome {
    inner: Arc<Inner>,
    attempt: Arc<Attempt>,
    // Dropped after that was said.
    _writing: TaskTrackerToken,
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if let Some(empty) = self.inner.attempts.end(&self.attempt) {
            let seconds = empty.waited.as_secs_f32();
            tracing::warn!(stream = empty.stream, seconds, "a recording has no file");
            self.inner.index.tell(Event::Empty(empty));
        }
    }
}
