//! The reading end of a stream: a cursor of its own over what all readers share. A reader that lags is skipped forward,
//! never waited for.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::cursor::Cursor;
use super::item::{Expected, Flowing, Item, Tracks};
use super::readers::Readers;
use super::squeeze::Squeeze;
use super::stream::{State, Stream};
use super::{Inner, Pace, Start, View, Want, overlay};
use crate::ended::Ended;
use crate::frame::Codec;
use crate::name::{Protocol, StreamName};

/// A wait for a keyframe that is worth a line in the log.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// The longest that a reader goes on with what it reads although it is to be shown something else.
const LONGEST_DELAY: Duration = Duration::from_millis(500);
/// A group of pictures that began this long before what was handed out is squeezed in at a change, in microseconds.
const SQUEEZED: i64 = 2_500_000;

/// One reader of a stream.
pub struct Reader {
    hub: Weak<Inner>,
    /// What was asked for; its figures count this reader, unless there is an original.
    home: Arc<Stream>,
    /// What `home` is a rendition of: its figures count this reader instead.
    original: Option<Arc<Stream>>,
    /// What is read: that, or its overlay, or a rendition of the overlay.
    stream: Arc<Stream>,
    /// `stream` was made for readers such as this one, and counts it while it is read.
    borrowed: bool,
    want: Want,
    cursor: Cursor,
    slot: usize,
    /// What was handed out, and what of another stream fits behind it.
    handed: Squeeze,
    /// Since when it waits for a keyframe.
    waits: Option<Instant>,
    /// Since when it delays a change.
    delays: Option<Instant>,
    /// It only looked: its figures forget it.
    withdrawn: bool,
    /// Who knows better what this reader can use.
    form: Option<Box<dyn Form>>,
    /// The newest publisher when it last looked whether its home began anew.
    looked: u64,
    /// The layer of the stream that its viewer is sent.
    layer: Option<usize>,
}

/// Knows which form of a stream a reader can use.
pub(crate) trait Form: Send + Sync {
    /// Whether a stream with audio of this codec can be read as it is. Asked with every item: takes no lock.
    fn takes(&self, audio: Codec) -> bool;

    /// What to read of the stream `name`, whose audio is of this codec.
    fn of(&self, name: &StreamName, audio: Codec) -> Fit;
}

/// How a stream fits a reader.
pub(crate) enum Fit {
    /// It can be read as it is.
    AsItIs,
    /// This reads the rendition that is to be read instead.
    Instead(Box<Reader>),
    /// There is no rendition yet.
    NotYet,
}

impl Reader {
    pub(super) fn new(
        hub: &Arc<Inner>,
        stream: &Arc<Stream>,
        original: Option<Arc<Stream>>,
        mut want: Want,
    ) -> Result<Self, Ended> {
        let settings = &hub.settings;
        let most = settings.max_viewers;
        let shown = u32::from(want.view == View::Shown);
        if let Some(original) = &original {
            let readers = &mut original.state.lock().readers;
            readers.admit(want.protocol, most)?;
            readers.shown += shown;
        }
        let mut state = stream.state.lock();
        let prompt = want.protocol == Protocol::Rtmp && state.readers.by(want.protocol) < settings.few;
        want.pace = if prompt { Pace::Realtime } else { want.pace };
        let here = if original.is_some() { Protocol::Internal } else { want.protocol };
        state.readers.admit(here, most)?;
        state.readers.shown += if original.is_some() { 0 } else { shown };
        let (cursor, slot) = Cursor::enter(&mut state, want, 0);
        drop(state);
        let mut reader = Reader {
            hub: Arc::downgrade(hub),
            home: Arc::clone(stream),
            original,
            stream: Arc::clone(stream),
            borrowed: false,
            want,
            cursor,
            slot,
            handed: Squeeze::new(),
            waits: None,
            delays: None,
            withdrawn: false,
            form: None,
            looked: 0,
            layer: None,
        };
        reader.arrive();
        Ok(reader)
    }

    /// The stream that was asked for.
    pub fn name(&self) -> &StreamName {
        &self.home.name
    }

    /// The next item; `None` once the stream has ended and all of it was read. Registers the task for the wake that its
    /// pace wants: per frame, or once per merge interval. While nothing can be shown, the publisher is asked for a
    /// keyframe.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            if self.home.over.load(Ordering::Acquire) && !self.is_home() {
                self.move_in();
            }
            let mut state = self.stream.state.lock();
            if state.overlay.is_none() {
                self.delays = None;
            }
            if state.overlay.is_some() || self.is_unfit(&state) {
                drop(state);
                let delayed = self.delays.is_some();
                if self.change() {
                    continue;
                }
                if !delayed && self.delays.is_some() {
                    // No picture may come that would wake it.
                    let waker = cx.waker().clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(LONGEST_DELAY).await;
                        waker.wake();
                    });
                }
                state = self.stream.state.lock();
            }
            if let Some(item) = self.cursor.take(&state, self.want.pace) {
                drop(state);
                let Some(item) = self.handed.pass(item) else { continue };
                if self.waits.is_some() && self.cursor.has_begun() {
                    self.waited("a reader began with the keyframe that it waited for");
                }
                return Poll::Ready(Some(item));
            }
            if state.ended.is_some() {
                drop(state);
                if self.go_home() {
                    continue;
                }
                return Poll::Ready(None);
            }
            if self.cursor.wants_key(&state) {
                self.waits.get_or_insert_with(Instant::now);
                self.stream.keys.ask();
            }
            state.wakers(self.want.pace).register(self.slot, cx.waker());
            return Poll::Pending;
        }
    }

    /// Whether the stream's audio is of a codec that this reader cannot use.
    fn is_unfit(&self, state: &State) -> bool {
        self.form.as_ref().zip(state.audio_codec()).is_some_and(|(form, audio)| !form.takes(audio))
    }

    /// Goes over to what this reader is to be shown by now, or can use. True: something changed.
    fn change(&mut self) -> bool {
        let at_home = self.is_home();
        let state = self.stream.state.lock();
        let over = state.overlay.clone().filter(|_| at_home && self.want.view == View::Shown);
        let audio = state.audio_codec().filter(|_| self.form.is_some());
        // From a publisher that is gone no more pictures come to wait for.
        let is_gone = state.is_paused() || state.ended.is_some();
        drop(state);
        if let Some(over) = over
            && (is_gone || self.may_change())
            && self.change_over(over)
        {
            self.delays = None;
            return true;
        }
        let Some(audio) = audio else { return false };
        match self.form.as_ref().map(|form| form.of(&self.stream.name, audio)) {
            Some(Fit::Instead(other)) if at_home => {
                self.follow(&other);
                true
            }
            Some(Fit::Instead(other)) => self.change_to(&other.home, true),
            _ => false,
        }
    }

    /// Whether an overlay may follow what was handed out. It does so after [`LONGEST_DELAY`], where all pictures are
    /// keyframes or none come.
    fn may_change(&mut self) -> bool {
        if self.handed.since_key.may_change() {
            self.delays = None;
            return true;
        }
        self.delays.get_or_insert_with(Instant::now).elapsed() >= LONGEST_DELAY
    }

    /// Goes on with the overlay, in the form that this reader can use.
    fn change_over(&mut self, over: Arc<Stream>) -> bool {
        let audio = over.state.lock().audio_codec();
        match self.form.as_ref().zip(audio).map(|(form, audio)| form.of(&over.name, audio)) {
            Some(Fit::NotYet) => false,
            Some(Fit::Instead(other)) => self.change_to(&other.home, true),
            Some(Fit::AsItIs) | None => self.change_to(&over, false),
        }
    }

    /// Goes on with another stream in the same time, if it has a group of pictures of now.
    fn change_to(&mut self, to: &Arc<Stream>, borrowed: bool) -> bool {
        let least = self.least();
        let mut state = to.state.lock();
        if state.ended.is_some() || !self.has_current_group(&state, least) {
            return false;
        }
        let place = self.place(&mut state, least);
        drop(state);
        self.settle(Arc::clone(to), borrowed, place);
        true
    }

    /// The stream time from which on frames are of use to a reader that asked for nothing of before a moment, and was handed
    /// nothing yet. A rendition that is begun for it has older ones that come only now.
    fn least(&self) -> i64 {
        let asked = match self.want.start {
            Start::Since(moment) if self.handed.newest() == i64::MIN => self.stream.state.lock().time_since(moment),
            _ => i64::MIN,
        };
        asked.max(self.cursor.least())
    }

    fn has_current_group(&self, state: &State, least: i64) -> bool {
        let from = self.handed.newest().saturating_sub(SQUEEZED);
        let current = |at| state.ring.get(at).is_some_and(|slot| slot.frame.dts > from && slot.frame.dts >= least);
        state.ring.gop.is_some_and(current)
    }

    /// A place in another stream in the same time: with its group of pictures of now, or else the next keyframe.
    fn place(&self, state: &mut State, least: i64) -> (Cursor, usize) {
        let start = if self.has_current_group(state, least) { Start::Group } else { Start::Next };
        let (cursor, slot) = Cursor::enter(state, Want { start, ..self.want }, self.cursor.skipped());
        (cursor.not_before(least), slot)
    }

    /// Asks `form` from now on what to read.
    pub(crate) fn with_form(mut self, form: Box<dyn Form>) -> Self {
        self.form = Some(form);
        self
    }

    /// Goes on with what another reader reads, a rendition of what this one does, at its next keyframe. It still counts
    /// where it did.
    fn follow(&mut self, other: &Reader) {
        let rendition = Arc::clone(&other.home);
        let least = self.least();
        let mut state = rendition.state.lock();
        state.readers.join(Protocol::Internal);
        let place = self.place(&mut state, least);
        drop(state);
        let home = std::mem::replace(&mut self.home, Arc::clone(&rendition));
        match self.original {
            None => self.original = Some(home),
            Some(_) => home.state.lock().readers.leave(Protocol::Internal),
        }
        self.settle(rendition, false, place);
    }

    /// Takes this reader out of the counts of what was asked for.
    fn leave_home(&self, leave: fn(&mut Readers, Protocol)) {
        let shown = u32::from(self.want.view == View::Shown);
        let here = match &self.original {
            None => self.want.protocol,
            Some(original) => {
                let readers = &mut original.state.lock().readers;
                leave(readers, self.want.protocol);
                readers.shown -= shown;
                Protocol::Internal
            }
        };
        let readers = &mut self.home.state.lock().readers;
        leave(readers, here);
        readers.shown -= if self.original.is_some() { 0 } else { shown };
    }

    fn is_home(&self) -> bool {
        Arc::ptr_eq(&self.home, &self.stream)
    }

    /// The stream that was asked for is over, and what lies over it is read on: it may have begun anew, and then this
    /// reader is one of the new stream's. True for a new home.
    fn move_in(&mut self) -> bool {
        let name = &self.home.name;
        let Some(hub) = self.hub.upgrade() else { return false };
        // Asked at every turn: cheap while no publisher began since.
        if hub.ids.load(Ordering::Acquire) == self.looked {
            return false;
        }
        let base = if self.form.is_some() { name.home() } else { overlay::home(name) };
        let base = base.as_ref().unwrap_or(name);
        let streams = hub.streams.read();
        self.looked = hub.ids.load(Ordering::Acquire);
        let Some(new) = streams.get(base).filter(|new| !Arc::ptr_eq(new, &self.home)).cloned() else { return false };
        let original = base.home().and_then(|original| streams.get(&original).cloned());
        drop(streams);
        let shown = u32::from(self.want.view == View::Shown);
        self.leave_home(Readers::leave);
        let mut counts = original.as_ref().unwrap_or(&new).state.lock();
        counts.readers.join(self.want.protocol);
        counts.readers.shown += shown;
        drop(counts);
        if original.is_some() {
            new.state.lock().readers.join(Protocol::Internal);
        }
        self.home = new;
        self.original = original;
        true
    }

    /// Goes back from an overlay that ended. False for a reader that is home, or whose home ended before.
    fn go_home(&mut self) -> bool {
        if self.is_home() && !(self.came_before_home() && self.move_in()) {
            return false;
        }
        let home = Arc::clone(&self.home);
        let least = self.least();
        let mut state = home.state.lock();
        if state.ended.is_some() {
            return false;
        }
        let place = self.place(&mut state, least);
        drop(state);
        self.settle(home, false, place);
        true
    }

    /// It came while there was only the overlay, and was given that. Who asked for the overlay itself, as what makes a
    /// rendition of it does, ends with it.
    fn came_before_home(&self) -> bool {
        self.want.view == View::Shown && overlay::home(&self.home.name).is_some()
    }

    fn settle(&mut self, stream: Arc<Stream>, borrowed: bool, place: (Cursor, usize)) {
        self.depart();
        if borrowed {
            stream.state.lock().readers.join(Protocol::Internal);
        }
        self.stream = stream;
        self.borrowed = borrowed;
        (self.cursor, self.slot) = place;
        self.handed.begin();
        self.arrive();
    }

    fn arrive(&mut self) {
        if !self.cursor.has_begun() && self.stream.state.lock().tracks.video.is_some() {
            self.waits.get_or_insert_with(Instant::now);
            self.stream.keys.ask();
        }
        // The keeper rests while there is no audience.
        self.stream.changed.notify_one();
    }

    /// Leaves the stream that is read, though not the one that was asked for.
    fn depart(&mut self) {
        let mut state = self.stream.state.lock();
        state.wakers(self.want.pace).leave(self.slot);
        if self.borrowed {
            state.readers.leave(Protocol::Internal);
        }
    }

    /// Says how long this reader had nothing to show, if that was long.
    fn waited(&mut self, outcome: &'static str) {
        let Some(waited) = self.waits.take().map(|since| since.elapsed()) else { return };
        if waited > LONG_WAIT {
            let seconds = waited.as_secs_f32();
            tracing::info!(stream = %self.home.name, protocol = %self.want.protocol, seconds, "{outcome}");
        }
    }

    /// How long this reader has been waiting for a keyframe to begin with, if it is.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Option<Duration> {
        self.waits.map(|since| since.elapsed())
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
        self.stream.state.lock().tracks.with(self.want.further)
    }

    /// The time of the stream's newest frame, in microseconds.
    pub(crate) fn newest(&self) -> i64 {
        self.stream.state.lock().clock()
    }

    /// The stream's time at this moment, in microseconds: that of its newest sound, or, where none flows, of its newest picture
    /// and what has passed since.
    pub(crate) fn time(&self) -> i64 {
        let state = self.stream.state.lock();
        let now = Instant::now();
        let idle = state.ring.idle(now).filter(|_| !state.flowing(now).audio);
        let idle = i64::try_from(idle.unwrap_or_default().as_micros()).unwrap_or(0);
        state.clock().saturating_add(idle)
    }

    /// What of the stream flows, or is about to: what may be promised to a player.
    pub fn flowing(&self) -> Flowing {
        self.stream.state.lock().flowing(Instant::now())
    }

    /// What is to be expected of the stream's pictures: players take no track that comes after they were told what there is.
    pub fn expected(&self) -> Expected {
        self.stream.state.lock().flows.video.expected(Instant::now())
    }

    /// What the publisher said beforehand, if anything: whether there are pictures.
    pub(crate) fn says_pictures(&self) -> Option<bool> {
        self.stream.state.lock().flows.video.said
    }

    /// Why the stream ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.stream.ended()
    }

    /// What it sees of a stream that has an overlay.
    pub fn view(&self) -> View {
        self.want.view
    }

    /// Whether it reads for another node.
    pub(crate) fn is_relay(&self) -> bool {
        self.want.protocol == Protocol::Relay
    }

    /// Asks the publisher of what this reader is shown for a keyframe, where it can make one.
    pub fn request_key(&self) {
        let stream = if self.stream.ended().is_some() { &self.home } else { &self.stream };
        let over = stream.state.lock().overlay.clone().filter(|_| self.want.view == View::Shown);
        over.as_ref().unwrap_or(stream).keys.ask();
    }

    /// Reports bytes written to the peer, for the stream's figures.
    pub fn count_sent(&self, bytes: u64) {
        self.original.as_ref().unwrap_or(&self.home).bytes_out.fetch_add(bytes, Ordering::Relaxed);
        self.home.tally.went(self.want.protocol, bytes);
    }

    /// Says which layer of the stream its viewer is sent, for the stream's figures; none: what the stream itself carries.
    pub(crate) fn shows_layer(&mut self, layer: Option<usize>) {
        if layer != self.layer {
            let stream = self.original.as_ref().unwrap_or(&self.home);
            stream.state.lock().readers.change_layer(self.layer, layer);
            self.layer = layer;
        }
    }

    /// This one only looked, and is forgotten by the stream's figures.
    pub(crate) fn withdraw(mut self) {
        self.withdrawn = true;
    }

    /// From now on it is only counted: somebody else reads for it, and says what that one waited for.
    pub(crate) fn reads_no_more(&mut self) {
        self.waits = None;
    }

    /// Frames that this reader was skipped over because it was too slow.
    pub fn skipped(&self) -> u64 {
        self.cursor.skipped()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shows_layer(None);
        self.depart();
        if !self.withdrawn {
            self.waited("a reader left before a keyframe came");
        }
        let leave = if self.withdrawn { Readers::withdraw } else { Readers::leave };
        self.leave_home(leave);
    }
}
