//! Recordings: streams written to disk as fragmented MP4, so that a file plays whenever its writing stopped. Off the hot
//! path: a task that reads the hub, a bounded queue, a thread that writes. Knows streams, not rooms.

mod attempt;
mod file;
mod queue;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::fmp4::Muxer;
use crate::frame::{Codec, Frame, Kind};
use crate::hub::{Hub, Item, Pace, Reader, Start, Want};
use crate::name::StreamName;
use crate::rendition::Renditions;
use attempt::{Attempt, Attempts};
use file::Index;
use queue::{Offer, Queue};

pub use attempt::{Empty, Stopped};

/// A key frame ends a fragment that is longer than this, in microseconds.
const SHORT: i64 = 1_000_000;
/// Any frame ends a fragment that is longer than this, in microseconds: what a crash loses.
const LONG: i64 = 2_000_000;

/// Without a keyframe for this long one is asked for, in microseconds: it is where players can jump to.
const KEY_EVERY: i64 = 5_000_000;

/// The audio that is written as it is.
const AUDIO: &[Codec] = &[Codec::Aac, Codec::Opus];

/// Where and how much.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory; made if it is not there.
    pub dir: PathBuf,
    /// Most bytes of all recordings. Beyond it the oldest finished ones are deleted; when there are none, the recording that
    /// needs more room ends.
    pub quota: u64,
    /// A recording ends after this long.
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
        let index = Arc::new(Index::open(&settings.dir, settings.quota)?);
        Ok(Recorder {
            inner: Arc::new(Inner {
                renditions: Renditions::new(hub),
                settings,
                index,
                attempts: Attempts::default(),
                skipped: Arc::new(AtomicU64::new(0)),
                newest: AtomicU64::new(0),
            }),
        })
    }

    /// Records a stream until it ends, it is stopped, or it is too long. The recording begins now, or with the first keyframe
    /// after now, for which the publisher is asked; nothing of before is in it. A stream that is not published yet is
    /// waited for as long as the hub does. Returns false if it is being recorded already.
    pub fn record(&self, stream: &StreamName) -> bool {
        let Some(attempt) = self.inner.attempts.begin(stream) else { return false };
        let inner = Arc::clone(&self.inner);
        let stream = stream.clone();
        tokio::spawn(async move {
            let running = Running { inner: &inner, attempt: &attempt };
            let want = Want::internal(Pace::Audience, Start::Since(attempt.since));
            let wait = inner.renditions.record(&stream, want, AUDIO);
            if let Some(Ok(reader)) = attempt.stop.run_until_cancelled(wait).await {
                Take::new(&inner, &stream, &attempt).run(reader).await;
            }
            drop(running);
        });
        true
    }

    /// Ends a recording, and says whether anything was recorded. `None`: the stream is not being recorded.
    pub fn stop(&self, stream: &StreamName) -> Option<Stopped> {
        self.inner.attempts.stop(stream)
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

/// Takes the recording out of the running ones, however its task ends, and says if it came to nothing.
struct Running<'a> {
    inner: &'a Inner,
    attempt: &'a Attempt,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(empty) = self.inner.attempts.end(self.attempt) {
            let seconds = empty.waited.as_secs_f32();
            tracing::warn!(stream = empty.stream, seconds, "a recording has no file: no keyframe came");
            self.inner.index.tell(Event::Empty(empty));
        }
    }
}

/// One recording of one stream: several files if its codecs change.
struct Take<'a> {
    inner: &'a Inner,
    stream: &'a StreamName,
    attempt: &'a Attempt,
    video: Option<Arc<Frame>>,
    audio: Option<Arc<Frame>>,
    writing: Option<Writing>,
}

struct Writing {
    muxer: Muxer,
    queue: Queue,
    origin: i64,
    /// When the fragment being made began.
    since: i64,
    last: i64,
    /// When the newest keyframe came.
    key: i64,
}

impl<'a> Take<'a> {
    fn new(inner: &'a Inner, stream: &'a StreamName, attempt: &'a Attempt) -> Self {
        Take { inner, stream, attempt, video: None, audio: None, writing: None }
    }

    async fn run(mut self, mut reader: Reader) {
        let deadline = Instant::now() + self.inner.settings.longest;
        let why = loop {
            let item = tokio::select! {
                item = reader.next() => item,
                () = self.attempt.stop.cancelled() => break "stopped",
                () = tokio::time::sleep_until(deadline) => break "as long as a recording may be",
            };
            match item {
                None => break "the stream ended",
                Some(Item::Tracks(tracks)) => self.configure(tracks.video, tracks.audio),
                Some(Item::Frame(frame)) => self.push(&frame),
                Some(Item::Burst(burst)) => burst.frames.iter().for_each(|f| self.push(f)),
            }
            if self.writing.as_ref().is_some_and(|w| w.queue.failed()) {
                break "it cannot be written";
            }
            if self.writing.as_ref().is_some_and(Writing::wants_key) {
                reader.request_key();
            }
        };
        self.close();
        tracing::info!(stream = %self.stream, why, "recording ended");
    }

    fn configure(&mut self, video: Option<Arc<Frame>>, audio: Option<Arc<Frame>>) {
        let same = |a: &Option<Arc<Frame>>, b: &Option<Arc<Frame>>| match (a, b) {
            (Some(a), Some(b)) => a.codec == b.codec && a.payload == b.payload,
            (a, b) => a.is_none() && b.is_none(),
        };
        if !(same(&self.video, &video) && same(&self.audio, &audio)) {
            self.close();
            self.video = video;
            self.audio = audio;
        }
    }

    fn push(&mut self, frame: &Arc<Frame>) {
        match frame.kind {
            Kind::VideoConfig => self.configure(Some(Arc::clone(frame)), self.audio.clone()),
            Kind::AudioConfig => self.configure(self.video.clone(), Some(Arc::clone(frame))),
            Kind::Video | Kind::Audio => {
                if frame.kind == Kind::Audio && !frame.codec.is_configured() && self.audio.is_some() {
                    self.configure(self.video.clone(), None);
                }
                self.media(frame);
            }
            Kind::Data => {}
        }
    }

    fn media(&mut self, frame: &Arc<Frame>) {
        if self.writing.is_none() {
            self.open(frame);
        }
        let Some(w) = &mut self.writing else {
            return;
        };
        let long = frame.dts.saturating_sub(w.since);
        let leads = frame.kind == Kind::Video || !w.muxer.has_video();
        if (leads && (long >= LONG || (frame.key && long >= SHORT))) || long >= 2 * LONG {
            if frame.kind == Kind::Video {
                w.muxer.settle(Some(frame.dts));
            }
            w.cut(frame.dts, &self.inner.skipped);
        }
        w.muxer.push(frame);
        w.last = w.last.max(frame.dts);
        if frame.key {
            w.key = frame.dts;
        }
    }

    fn open(&mut self, frame: &Frame) {
        let Some(muxer) = Muxer::new(self.video.as_deref(), self.audio.as_deref(), frame.dts) else {
            return;
        };
        if muxer.has_video() && !frame.key {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let after = |newest: u64| now.max(newest.saturating_add(1));
        let newest = &self.inner.newest;
        let before = newest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(after(n))).unwrap_or_default();
        let queue = Queue::start(Arc::clone(&self.inner.index), self.stream, after(before), muxer.init());
        self.attempt.wrote();
        self.writing =
            Some(Writing { muxer, queue, origin: frame.dts, since: frame.dts, last: frame.dts, key: frame.dts });
    }

    fn close(&mut self) {
        if let Some(mut w) = self.writing.take() {
            w.muxer.settle(None);
            let end = w.last;
            w.cut(end, &self.inner.skipped);
        }
    }
}

impl Writing {
    /// Whether players would find no place to jump to: publishers that make no keyframes by themselves are asked.
    fn wants_key(&self) -> bool {
        self.muxer.has_video() && self.last - self.key >= KEY_EVERY
    }

    fn cut(&mut self, end: i64, skipped: &AtomicU64) {
        let Some(fragment) = self.muxer.cut() else {
            return;
        };
        self.since = end;
        let until = u64::try_from(end.saturating_sub(self.origin) / 1000).unwrap_or(0);
        if let Offer::Skipped = self.queue.offer(fragment, until) {
            skipped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
