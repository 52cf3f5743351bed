//! The reading end of a stream: a cursor of its own over what all readers share. A reader that lags is skipped forward,
//! never waited for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::overlay::follows;
use super::readers::Readers;
use super::stream::{State, Stream};
use super::{Pace, Settings, Start};
use crate::ended::Ended;
use crate::frame::{Burst, Codec, Frame, Kind};
use crate::name::{Protocol, StreamName};

/// A realtime reader further behind than this goes to the newest key frame, if there is one ahead of it.
const REALTIME_LAG: Duration = Duration::from_secs(1);
/// A video track that was silent for this long does not hold back the audio of a reader that waits for a key frame.
const VIDEO_SILENT: Duration = Duration::from_secs(3);

/// What a reader gets.
#[derive(Clone)]
pub enum Item {
    /// The stream as it is now: before the first frame, and again after a skip over a change.
    Tracks(Tracks),
    /// One frame ([`Pace::Realtime`]). Changed configurations come as frames of their own, in order.
    Frame(Arc<Frame>),
    /// Frames of one merge interval ([`Pace::Audience`]), changed configurations among them.
    Burst(Arc<Burst>),
}

/// Configuration and description of a stream's tracks.
#[derive(Debug, Clone, Default)]
pub struct Tracks {
    /// Configuration of the video track.
    pub video: Option<Arc<Frame>>,
    /// Configuration of the audio track; `None` also for codecs that need none.
    pub audio: Option<Arc<Frame>>,
    /// The last `onMetaData`.
    pub metadata: Option<Arc<Frame>>,
}

/// One reader of a stream.
pub struct Reader {
    /// What was asked for; its figures count this reader, unless there is an original.
    home: Arc<Stream>,
    /// What `home` is a rendition of: its figures count this reader instead.
    original: Option<Arc<Stream>>,
    /// What is read: that, or its overlay.
    stream: Arc<Stream>,
    protocol: Protocol,
    pace: Pace,
    cursor: Cursor,
    slot: usize,
    /// Time of the newest frame handed out.
    last: i64,
    /// It only looked: its figures forget it.
    withdrawn: bool,
    /// Who knows better what this reader can use.
    form: Option<Box<dyn Form>>,
}

/// Knows which form of a stream a reader can use, should the stream's audio change under it.
pub(crate) trait Form: Send + Sync {
    /// A reader of the form to go over to from a stream whose audio is of this codec now; none to stay.
    fn instead(&self, audio: Codec) -> Option<Reader>;
}

pub(super) struct Cursor {
    /// Number of the next frame.
    at: u64,
    /// Delta frames are of no use yet.
    need_key: bool,
    /// The tracks may have changed behind the reader's back.
    resync: bool,
    /// Version of the tracks that the reader knows.
    version: Option<u32>,
    /// A key frame that is not later than this is no start: it would be a step back in time.
    floor: i64,
    skipped: u64,
}

impl Reader {
    pub(super) fn new(
        stream: &Arc<Stream>,
        original: Option<Arc<Stream>>,
        protocol: Protocol,
        (pace, settings): (Pace, &Settings),
        start: Start,
    ) -> Result<Self, Ended> {
        let most = settings.max_viewers;
        if let Some(original) = &original {
            original.state.lock().readers.admit(protocol, most)?;
        }
        let mut state = stream.state.lock();
        let prompt = protocol == Protocol::Rtmp && state.readers.by(protocol) < settings.few;
        let pace = if prompt { Pace::Realtime } else { pace };
        state.readers.admit(if original.is_some() { Protocol::Internal } else { protocol }, most)?;
        let (cursor, slot) = Cursor::enter(&mut state, pace, start, i64::MIN, 0);
        drop(state);
        // The keeper rests while there is no audience.
        stream.changed.notify_one();
        let (home, stream) = (Arc::clone(stream), Arc::clone(stream));
        let (last, withdrawn) = (i64::MIN, false);
        Ok(Reader { home, original, stream, protocol, pace, cursor, slot, last, withdrawn, form: None })
    }

    /// The stream that was asked for.
    pub fn name(&self) -> &StreamName {
        &self.home.name
    }

    /// The next item; `None` once the stream has ended and all of it was read. Registers the task for the wake that its
    /// pace wants: per frame, or once per merge interval.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            let mut state = self.stream.state.lock();
            if let Some(over) = &state.overlay
                && follows(self.protocol)
            {
                let over = Arc::clone(over);
                drop(state);
                if self.change_over(over) {
                    continue;
                }
                state = self.stream.state.lock();
            }
            if let Some(form) = &self.form
                && let Some(audio) = state.audio_codec()
            {
                drop(state);
                if let Some(other) = form.instead(audio) {
                    self.follow(&other);
                    continue;
                }
                state = self.stream.state.lock();
            }
            if let Some(item) = self.cursor.take(&state, self.pace) {
                drop(state);
                self.last = self.last.max(item.newest());
                return Poll::Ready(Some(item));
            }
            if state.ended.is_some() {
                drop(state);
                if self.go_home() {
                    continue;
                }
                return Poll::Ready(None);
            }
            state.wakers(self.pace).register(self.slot, cx.waker());
            return Poll::Pending;
        }
    }

    /// Goes on with the overlay, if it has a key frame that is later than what was handed out.
    fn change_over(&mut self, over: Arc<Stream>) -> bool {
        let mut state = over.state.lock();
        let later = |at| state.ring.get(at).is_some_and(|slot| slot.frame.dts > self.last);
        if state.ended.is_some() || !state.ring.gop.is_some_and(later) {
            return false;
        }
        let (cursor, slot) = Cursor::enter(&mut state, self.pace, Start::Group, self.last, self.cursor.skipped);
        drop(state);
        self.settle(over, cursor, slot);
        true
    }

    /// From now on `form` is asked what to read.
    pub(crate) fn with_form(mut self, form: Box<dyn Form>) -> Self {
        self.form = Some(form);
        self
    }

    /// Goes on with what another reader reads, a rendition of what this one does, at its next key frame. It still counts
    /// where it did.
    fn follow(&mut self, other: &Reader) {
        self.form = None;
        let rendition = Arc::clone(&other.home);
        let mut state = rendition.state.lock();
        state.readers.join(Protocol::Internal);
        let later = |at| state.ring.get(at).is_some_and(|slot| slot.frame.dts > self.last);
        let start = if state.ring.gop.is_some_and(later) { Start::Group } else { Start::Next };
        let (cursor, slot) = Cursor::enter(&mut state, self.pace, start, self.last, self.cursor.skipped);
        drop(state);
        let home = std::mem::replace(&mut self.home, Arc::clone(&rendition));
        self.original.get_or_insert(home);
        self.settle(rendition, cursor, slot);
    }

    /// Goes back from an overlay that ended. False for a reader that is home.
    fn go_home(&mut self) -> bool {
        if Arc::ptr_eq(&self.home, &self.stream) {
            return false;
        }
        let home = Arc::clone(&self.home);
        let mut state = home.state.lock();
        let later = |at| state.ring.get(at).is_some_and(|slot| slot.frame.dts > self.last);
        let start = if state.ring.gop.is_some_and(later) { Start::Group } else { Start::Next };
        let (cursor, slot) = Cursor::enter(&mut state, self.pace, start, self.last, self.cursor.skipped);
        drop(state);
        self.settle(home, cursor, slot);
        true
    }

    fn settle(&mut self, stream: Arc<Stream>, cursor: Cursor, slot: usize) {
        self.stream.state.lock().wakers(self.pace).leave(self.slot);
        (self.stream, self.cursor, self.slot) = (stream, cursor, slot);
        self.stream.changed.notify_one();
    }

    /// The next item, as [`Reader::poll_next`]. Cancel safe.
    pub async fn next(&mut self) -> Option<Item> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next item if there is one now.
    pub fn try_next(&mut self) -> Option<Item> {
        let mut nobody = Context::from_waker(std::task::Waker::noop());
        match self.poll_next(&mut nobody) {
            Poll::Ready(item) => item,
            Poll::Pending => None,
        }
    }

    /// The tracks as they are now, whatever was read so far.
    pub fn tracks(&self) -> Tracks {
        self.stream.state.lock().tracks.clone()
    }

    /// Whether the stream has an audio track as far as is known, also one of a codec without configuration.
    pub fn has_audio(&self) -> bool {
        self.stream.state.lock().has_audio()
    }

    /// Why the stream ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.stream.ended()
    }

    /// Asks the publisher for a key frame, where it can make one.
    pub fn request_key(&self) {
        self.stream.key_wanted.notify_one();
    }

    /// Reports bytes written to the peer, for the stream's figures.
    pub fn count_sent(&self, bytes: u64) {
        self.original.as_ref().unwrap_or(&self.home).bytes_out.fetch_add(bytes, Ordering::Relaxed);
        self.home.tally.went(self.protocol, bytes);
    }

    /// This one only looked, and is forgotten by the stream's figures.
    pub(crate) fn withdraw(mut self) {
        self.withdrawn = true;
    }

    /// Frames that this reader was skipped over because it was too slow.
    pub fn skipped(&self) -> u64 {
        self.cursor.skipped
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stream.state.lock().wakers(self.pace).leave(self.slot);
        let leave = match self.withdrawn {
            true => Readers::withdraw,
            false => Readers::leave,
        };
        if let Some(original) = &self.original {
            leave(&mut original.state.lock().readers, self.protocol);
        }
        let here = if self.original.is_some() { Protocol::Internal } else { self.protocol };
        leave(&mut self.home.state.lock().readers, here);
    }
}

impl Item {
    /// Time of its newest frame.
    fn newest(&self) -> i64 {
        match self {
            Item::Tracks(_) => i64::MIN,
            Item::Frame(frame) => frame.dts,
            Item::Burst(burst) => burst.frames.last().map_or(i64::MIN, |f| f.dts),
        }
    }
}

impl Cursor {
    /// A new place in a stream, and one among those who wait for it.
    fn enter(state: &mut State, pace: Pace, start: Start, floor: i64, skipped: u64) -> (Self, usize) {
        // So that a joiner of the audience starts with all there is, not with what the last burst held.
        state.ring.seal();
        let gop = state.ring.gop.filter(|_| start == Start::Group);
        if start == Start::Group && gop.is_none() && state.tracks.video.is_some() {
            state.readers.tally.gop_waits.fetch_add(1, Ordering::Relaxed);
        }
        let cursor = Cursor {
            at: gop.unwrap_or_else(|| state.ring.end()),
            need_key: gop.is_none(),
            resync: true,
            version: None,
            floor,
            skipped,
        };
        (cursor, state.wakers(pace).join())
    }

    fn take(&mut self, state: &State, pace: Pace) -> Option<Item> {
        match pace {
            Pace::Realtime => self.take_frame(state),
            Pace::Audience => self.take_burst(state),
        }
    }

    fn take_burst(&mut self, state: &State) -> Option<Item> {
        self.catch_up(state);
        loop {
            let burst = state.ring.burst(self.at)?;
            if self.need_key && !self.starts(&burst.frames[0]) && video_flows(state) {
                self.at = burst.end();
                continue;
            }
            if let Some(tracks) = self.resynced(state) {
                return Some(tracks);
            }
            self.at = burst.end();
            self.need_key = false;
            self.version = Some(burst.version);
            return Some(Item::Burst(Arc::clone(burst)));
        }
    }

    fn take_frame(&mut self, state: &State) -> Option<Item> {
        self.catch_up(state);
        if let (Some(slot), Some(gop)) = (state.ring.get(self.at), state.ring.gop)
            && gop > self.at
            && Instant::now().saturating_duration_since(slot.at) > REALTIME_LAG
        {
            self.skip_to(gop, state);
        }
        loop {
            let slot = state.ring.get(self.at)?;
            if self.need_key && slot.frame.kind == Kind::Video && !self.starts(&slot.frame) {
                self.at += 1;
                continue;
            }
            if let Some(tracks) = self.resynced(state) {
                return Some(tracks);
            }
            self.at += 1;
            self.need_key &= !slot.frame.key;
            self.version = Some(slot.version);
            return Some(Item::Frame(Arc::clone(&slot.frame)));
        }
    }

    fn starts(&self, frame: &Frame) -> bool {
        frame.key && frame.dts > self.floor
    }

    /// A reader whose place is gone goes on at the newest group of pictures, or with the next one.
    fn catch_up(&mut self, state: &State) {
        if self.at < state.ring.first() {
            self.skip_to(state.ring.gop.unwrap_or_else(|| state.ring.sealed()), state);
        }
    }

    fn skip_to(&mut self, at: u64, state: &State) {
        let frames = at.saturating_sub(self.at);
        self.skipped += frames;
        state.skipped.fetch_add(frames, Ordering::Relaxed);
        state.readers.tally.skipped(frames);
        self.at = at;
        self.need_key = true;
        self.resync = true;
    }

    fn resynced(&mut self, state: &State) -> Option<Item> {
        let stale = std::mem::take(&mut self.resync) && self.version != Some(state.version);
        stale.then(|| {
            self.version = Some(state.version);
            Item::Tracks(state.tracks.clone())
        })
    }
}

fn video_flows(state: &State) -> bool {
    let recent = |at: Instant| Instant::now().saturating_duration_since(at) < VIDEO_SILENT;
    state.tracks.video.is_some() && state.meter.last_video.is_none_or(recent)
}
