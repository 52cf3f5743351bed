//! One recording of one stream: when a file begins and ends, and what is in it. A browser's sound comes before its pictures, and
//! its pictures change their size: neither is a reason for another file. Knows no disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::queue::{Offer, Queue};
use super::{AUDIO, Inner, Outcome};
use crate::fmp4::{Index, Muxer};
use crate::frame::{Frame, Kind, is_same};
use crate::hub::{Item, Reader, Tracks};
use crate::name::StreamName;

/// A key frame ends a fragment that is longer than this, in microseconds.
const SHORT: i64 = 1_000_000;
/// Any frame ends a fragment that is longer than this, in microseconds: what a crash loses.
const LONG: i64 = 2_000_000;
/// Without a keyframe for this long one is asked for, in microseconds: it is where players can jump to.
const KEY_EVERY: i64 = 5_000_000;
/// For how long sound waits for pictures before there is a file of it alone, in microseconds.
const SOUND_ALONE: i64 = 2_000_000;
/// For how long pictures wait for sound before there is a file of them alone, in microseconds.
const PICTURES_ALONE: i64 = 500_000;
/// How long after a file that could not be written another is begun.
const AGAIN: Duration = Duration::from_secs(10);

/// One recording of one stream: several files if its codecs change, if it is long or large, and if one cannot be written.
pub(super) struct Take<'a> {
    stream: &'a StreamName,
    outcome: Arc<Outcome>,
    video: Option<Arc<Frame>>,
    audio: Option<Arc<Frame>>,
    /// Further tracks of sound that a file can be written with.
    further: Vec<Arc<Frame>>,
    /// What a file would begin with, while there is none.
    waiting: Vec<Arc<Frame>>,
    /// When the first frame came since there is no file.
    since: Option<i64>,
    /// When the newest picture came since then.
    pictured: Option<i64>,
    writing: Option<Writing>,
    /// The last file ended because it was long: the next one waits for nothing.
    goes_on: bool,
    /// The last file could not be written: the next one waits until then.
    again: Option<Instant>,
}

struct Writing {
    muxer: Muxer,
    queue: Queue,
    origin: i64,
    /// When the fragment being made began.
    since: i64,
    last: i64,
    /// When the newest keyframe came, and the newest picture.
    key: i64,
    picture: i64,
    /// Bytes so far, and whether those are as many as a file may have.
    bytes: u64,
    large: bool,
}

impl<'a> Take<'a> {
    pub fn new(stream: &'a StreamName, outcome: Arc<Outcome>) -> Self {
        Take {
            stream,
            outcome,
            video: None,
            audio: None,
            further: Vec::new(),
            waiting: Vec::new(),
            since: None,
            pictured: None,
            writing: None,
            goes_on: false,
            again: None,
        }
    }

    pub async fn run(mut self, mut reader: Reader) {
        let outcome = Arc::clone(&self.outcome);
        let why = loop {
            let item = tokio::select! {
                item = reader.next() => item,
                () = outcome.attempt.stop.cancelled() => break "stopped",
            };
            match item {
                None => break "the stream ended",
                Some(Item::Tracks(tracks)) => {
                    self.configure_further(tracks.further);
                    self.configure(tracks.video, tracks.audio);
                }
                Some(Item::Frame(frame)) => self.push(&frame),
                Some(Item::Burst(burst)) => burst.frames.iter().for_each(|f| self.push(f)),
            }
            if self.writing.as_ref().is_some_and(|w| w.queue.failed()) {
                // There may be room later, or another disk.
                self.close();
                self.again = Some(Instant::now() + AGAIN);
            }
            if self.wants_key() {
                reader.request_key();
            }
        };
        // Pictures that waited for sound are a file.
        if self.waiting.first().is_some_and(|frame| frame.key) {
            self.begin();
        }
        self.close();
        tracing::info!(stream = %self.stream, why, "recording ended");
    }

    /// Whether a file could not begin, or players would find no place to jump to: publishers that make no keyframes by
    /// themselves are asked.
    fn wants_key(&self) -> bool {
        match &self.writing {
            Some(w) => w.muxer.has_video() && (w.last - w.key >= KEY_EVERY || self.is_over(w, w.last)),
            None if self.rests() => false,
            None => self.video.is_some() && self.since.is_some() && self.waiting.first().is_none_or(|f| !f.key),
        }
    }

    /// Whether nothing is begun for now.
    fn rests(&self) -> bool {
        self.again.is_some_and(|at| Instant::now() < at)
    }

    /// Whether a file is as long at this time, or as large, as one may be.
    fn is_over(&self, writing: &Writing, at: i64) -> bool {
        if writing.large {
            return true;
        }
        let longest = self.outcome.inner.settings.longest.as_micros();
        u128::try_from(at.saturating_sub(writing.origin)).is_ok_and(|length| length >= longest)
    }

    fn configure(&mut self, video: Option<Arc<Frame>>, audio: Option<Arc<Frame>>) {
        let same_video = is_same(self.video.as_deref(), video.as_deref());
        let same_audio = is_same(self.audio.as_deref(), audio.as_deref());
        if same_video && same_audio {
            return;
        }
        let old = std::mem::replace(&mut self.video, video);
        let had_audio = std::mem::replace(&mut self.audio, audio).is_some();
        if same_audio
            && let (Some(w), Some(old), Some(new)) = (&mut self.writing, &old, &self.video)
            && w.muxer.has_video()
            && Muxer::may_follow(old, new)
        {
            w.queue.vary();
            return;
        }
        self.close();
        // What waits for sound goes on waiting when that comes.
        if !same_video || had_audio {
            self.waiting.clear();
        }
    }

    /// Further tracks that come, or change, are in the next file: it begins now.
    fn configure_further(&mut self, mut further: Vec<Arc<Frame>>) {
        further.retain(|config| AUDIO.contains(&config.codec));
        let is_same = |(a, b): (&Arc<Frame>, &Arc<Frame>)| a.track == b.track && is_same(Some(a), Some(b));
        if further.len() != self.further.len() || !further.iter().zip(&self.further).all(is_same) {
            self.further = further;
            self.close();
        }
    }

    fn push(&mut self, frame: &Arc<Frame>) {
        match frame.kind {
            Kind::AudioConfig if frame.is_further() => {
                let mut further = self.further.clone();
                Tracks::put_further(&mut further, frame);
                self.configure_further(further);
            }
            Kind::VideoConfig => self.configure(Some(Arc::clone(frame)), self.audio.clone()),
            Kind::AudioConfig => self.configure(self.video.clone(), Some(Arc::clone(frame))),
            Kind::Video | Kind::Audio => {
                let is_bare = frame.kind == Kind::Audio && !frame.is_further() && !frame.codec.is_configured();
                if is_bare && self.audio.is_some() {
                    self.configure(self.video.clone(), None);
                }
                // A file of sound alone was begun while the pictures stood still.
                let alone = self.writing.as_ref().is_some_and(|w| !w.muxer.has_video());
                if self.writing.as_ref().is_some_and(|w| self.is_over(w, frame.dts) && w.may_end_before(frame)) {
                    self.goes_on = true;
                    self.end(Some(frame));
                } else if frame.key && alone && Muxer::new(self.video.as_deref(), None, 0).is_some() {
                    self.close();
                }
                match self.writing {
                    Some(_) => self.write(frame),
                    None if self.rests() => {}
                    None => self.wait(frame),
                }
            }
            Kind::Data => {}
        }
    }

    /// Keeps what a file would begin with, and begins it once its tracks are there or had their time.
    fn wait(&mut self, frame: &Arc<Frame>) {
        let since = *self.since.get_or_insert(frame.dts);
        if frame.kind == Kind::Video {
            self.pictured = Some(frame.dts);
        }
        let waited = frame.dts.saturating_sub(since);
        let Some(muxer) = Muxer::new(self.video.as_deref(), self.audio.as_deref(), since) else {
            return;
        };
        // Pictures that are known and stand still are waited for no longer than unknown ones.
        let stand = self.pictured.is_none_or(|at| frame.dts.saturating_sub(at) >= SOUND_ALONE);
        let has_video = muxer.has_video() && !stand;
        if has_video && (frame.key || self.waiting.first().is_none_or(|first| !first.key)) {
            self.waiting.clear();
        }
        if !has_video || frame.key || !self.waiting.is_empty() {
            self.waiting.push(Arc::clone(frame));
        }
        let enough = if !has_video {
            waited >= SOUND_ALONE
        } else if muxer.has_audio() {
            !self.waiting.is_empty()
        } else {
            waited >= PICTURES_ALONE
        };
        if enough || (self.goes_on && !self.waiting.is_empty()) {
            self.begin();
        }
    }

    /// Begins a file with what waits.
    fn begin(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let Some(first) = waiting.first() else { return };
        let video = self.video.as_deref().filter(|_| first.key);
        let Some(muxer) = Muxer::new(video, self.audio.as_deref(), first.dts) else {
            return;
        };
        let muxer = muxer.with_further(&self.further);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let after = |newest: u64| now.max(newest.saturating_add(1));
        let newest = &self.outcome.inner.newest;
        let before = newest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(after(n))).unwrap_or_default();
        let init = muxer.init();
        let bytes = (init.len() + Index::new(&init).room()) as u64;
        let again = self.again.take().is_some();
        let queue = Queue::start(&self.outcome, self.stream, after(before), init, again);
        let at = first.dts;
        let writing =
            Writing { muxer, queue, origin: at, since: at, last: at, key: at, picture: at, bytes, large: false };
        self.writing = Some(writing);
        self.since = None;
        self.pictured = None;
        self.goes_on = false;
        waiting.iter().for_each(|frame| self.write(frame));
    }

    fn write(&mut self, frame: &Arc<Frame>) {
        let Some(w) = &mut self.writing else {
            return;
        };
        let long = frame.dts.saturating_sub(w.since);
        let leads = frame.kind == Kind::Video || !w.muxer.has_video();
        if (leads && (long >= LONG || (frame.key && long >= SHORT))) || long >= 2 * LONG {
            if frame.kind == Kind::Video {
                w.muxer.settle(Some(frame.dts));
            }
            w.cut(frame.dts, &self.outcome.inner);
        }
        w.muxer.push(frame);
        w.last = w.last.max(frame.dts);
        if frame.kind == Kind::Video {
            w.picture = frame.dts;
        }
        if frame.key {
            w.key = frame.dts;
        }
    }

    fn close(&mut self) {
        self.end(None);
    }

    /// Ends a file, where another begins with this frame if there is one.
    fn end(&mut self, next: Option<&Frame>) {
        if let Some(mut w) = self.writing.take() {
            w.muxer.settle(next.filter(|next| next.kind == Kind::Video).map(|next| next.dts));
            let end = next.map_or(w.last, |next| next.dts);
            w.cut(end, &self.outcome.inner);
        }
    }
}

impl Writing {
    /// Whether another file can begin with this frame: where pictures stay away, as one of sound alone.
    fn may_end_before(&self, frame: &Frame) -> bool {
        frame.key || !self.muxer.has_video() || frame.dts.saturating_sub(self.picture) >= 2 * KEY_EVERY
    }

    fn cut(&mut self, end: i64, inner: &Inner) {
        let Some(fragment) = self.muxer.cut() else {
            return;
        };
        self.since = end;
        self.bytes += fragment.bytes.len() as u64;
        // Others may have begun since.
        self.large = self.bytes >= inner.index.share(inner.attempts.len());
        let until = u64::try_from(end.saturating_sub(self.origin) / 1000).unwrap_or(0);
        if let Offer::Skipped = self.queue.offer(fragment, until) {
            inner.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
