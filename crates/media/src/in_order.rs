//! Renditions of streams with B-frames whose pictures are in presentation order, for viewers whose protocol carries nothing else.
//! One ffmpeg a stream makes them, as mixes are made: begun when one is wanted, shared by all, ended some seconds after the last
//! reader has gone. Knows no viewers and no protocol.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::frame::{Frame, Kind};
use crate::hub::{Hub, Item, Pace, Reader, Start, StreamInfo, Want, in_order};
use crate::mix::{self, Input, Layout, Mixer, Output, Place};
use crate::name::StreamName;

pub use crate::mix::Settings;

/// How long one is made without a reader.
const IDLE: Duration = Duration::from_secs(5);
/// How often is looked at what time brings.
const LOOK: Duration = Duration::from_millis(500);
/// Of a stream at which ffmpeg failed none is made for so long.
const FAILED_FOR: Duration = Duration::from_secs(20);
/// A stream whose pictures have been in order for so long needs none, in microseconds.
const ORDERLY: i64 = 20_000_000;
/// How long the process may take beyond its first picture until that is published.
const SETTLES: Duration = Duration::from_secs(5);
/// What is measured of a younger stream says little: encoders begin slowly.
const MEASURED: Duration = Duration::from_secs(5);
/// Most pixels of a picture: what is larger is made smaller.
const MOST_PIXELS: f64 = 1920.0 * 1088.0;
/// The size of pictures that do not say theirs.
const UNKNOWN_WIDTH: u32 = 1280;
const UNKNOWN_HEIGHT: u32 = 720;
/// Frame rates that cameras and encoders have.
const RATES: [u32; 10] = [5, 10, 12, 15, 20, 24, 25, 30, 50, 60];
/// Bits a second: no less and no more.
const LEAST_BITS: u64 = 300_000;
const MOST_BITS: u64 = 8_000_000;

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// There are [`Settings::most`].
    #[error("the server makes as many renditions without them as webrtc.renditions allows")]
    TooMany,
    /// The program is not installed.
    #[error("the server has no ffmpeg (mix.ffmpeg) to make a rendition without them")]
    NoProgram,
    /// The program failed at it.
    #[error("the server's ffmpeg failed to make a rendition without them, its log says why")]
    Failed,
    /// There is no such stream any more.
    #[error("the stream is over")]
    Over,
}

/// All of them; cheap to clone.
#[derive(Clone)]
pub(crate) struct InOrder {
    inner: Arc<Inner>,
}

struct Inner {
    hub: Hub,
    mixer: Mixer,
    start: Duration,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that are made, and what is cancelled when they no longer are.
    made: HashMap<StreamName, CancellationToken>,
    failed: HashMap<StreamName, Instant>,
}

impl InOrder {
    /// None yet. Must be called within the runtime that is to make them.
    pub fn new(hub: Hub, settings: Settings) -> Self {
        let start = settings.start;
        // A stream whose publisher may come back is there.
        let settings = Settings { deserted: Duration::ZERO, ..settings };
        let mixer = Mixer::new(hub.clone(), settings);
        let inner = Inner { hub, mixer, start, runtime: Handle::current(), state: Mutex::default() };
        InOrder { inner: Arc::new(inner) }
    }

    /// How many are made now.
    pub fn len(&self) -> usize {
        self.inner.state.lock().made.len()
    }

    /// Whether one of this stream is made, or about to be.
    pub fn is_made(&self, name: &StreamName) -> bool {
        self.inner.state.lock().made.contains_key(name)
    }

    /// What there is to read of one already.
    pub fn seen(&self, name: &StreamName) -> Option<StreamName> {
        let made = in_order(name);
        self.inner.hub.info(&made).filter(|_| self.is_made(name)).map(|_| made)
    }

    /// Has one made of a stream, unless that is done already.
    pub fn ensure(&self, name: &StreamName) -> Result<CancellationToken, Refused> {
        let Inner { hub, mixer, runtime, state, .. } = &*self.inner;
        let mut state = state.lock();
        if let Some(over) = state.made.get(name) {
            return Ok(over.clone());
        }
        state.failed.retain(|_, at| at.elapsed() < FAILED_FOR);
        if state.failed.contains_key(name) {
            return Err(Refused::Failed);
        }
        let info = hub.info(name).ok_or(Refused::Over)?;
        let reader = hub.subscribe(name, Want::internal(Pace::Realtime, Start::Next)).map_err(|_| Refused::Over)?;
        let guess = Guess::of(&info);
        let _entered = runtime.enter();
        mixer.start(name.as_str(), Output::Own(in_order(name)), guess.layout(name)).map_err(|why| match why {
            mix::Refused::NoProgram => Refused::NoProgram,
            _ => Refused::TooMany,
        })?;
        let over = CancellationToken::new();
        state.made.insert(name.clone(), over.clone());
        let of_one = One { all: self.clone(), name: name.clone(), guess };
        tokio::spawn(of_one.keep(reader));
        Ok(over)
    }

    /// Has one made, and waits until there is something to read, bounded in time. Cancel safe.
    pub async fn open(&self, name: &StreamName) -> Result<StreamName, Refused> {
        let over = self.ensure(name)?;
        let made = in_order(name);
        let want = Want::internal(Pace::Realtime, Start::Group);
        let wait = self.inner.hub.wait(&made, want, Some(self.inner.start + SETTLES));
        tokio::select! {
            reader = wait => reader.map(|_| made).map_err(|_| Refused::Failed),
            () = over.cancelled() => Err(Refused::Failed),
        }
    }
}

/// What is known of the stream that one is made of.
#[derive(Clone, PartialEq)]
struct Guess {
    size: (u32, u32),
    /// Pictures and bits a second, once they were measured.
    flow: Option<(u32, u32)>,
}

impl Guess {
    fn of(info: &StreamInfo) -> Self {
        let video = info.video.as_ref().filter(|video| video.width > 0 && video.height > 0);
        let size = video.map_or((UNKNOWN_WIDTH, UNKNOWN_HEIGHT), |video| fitting(video.width, video.height));
        let measured = info.age >= MEASURED && info.frame_rate >= 1.0 && info.bitrate_in > 0;
        let flow = measured.then(|| {
            let bits = info.bitrate_in.clamp(LEAST_BITS, MOST_BITS);
            (usual(info.frame_rate), u32::try_from(bits).unwrap_or(u32::MAX))
        });
        Guess { size, flow }
    }

    /// What is to be done about it now that this is known: what was measured first holds, sizes change.
    fn follow(&mut self, now: Guess) -> bool {
        let changes = self.size != now.size || self.flow.is_none() && now.flow.is_some();
        self.size = now.size;
        self.flow = self.flow.or(now.flow);
        changes
    }

    fn layout(&self, stream: &StreamName) -> Layout {
        let (width, height) = self.size;
        let place = Some(Place { x: 0, y: 0, width, height, crop: None });
        let inputs = vec![Input { stream: stream.clone(), place, heard: true }];
        let bitrate = self.flow.map(|(_, bits)| bits);
        let rate = self.flow.map_or(mix::RATE, |(rate, _)| rate);
        Layout { size: self.size, color: 0, inputs, bitrate, rate, passes_sound: true }
    }
}

/// The size of the rendition of pictures of this size.
fn fitting(width: u32, height: u32) -> (u32, u32) {
    let factor = (MOST_PIXELS / (f64::from(width) * f64::from(height))).sqrt().min(1.0);
    let even = |side: u32| ((f64::from(side) * factor / 2.0).round() as u32 * 2).max(2);
    (even(width), even(height))
}

/// The frame rate that was meant.
fn usual(measured: f32) -> u32 {
    let far = |rate: &u32| (*rate as f32 - measured).abs();
    RATES.into_iter().min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(mix::RATE)
}

/// Since when pictures are in order, in their own time.
#[derive(Default)]
struct Order {
    since: Option<i64>,
    latest: i64,
}

impl Order {
    fn see(&mut self, item: &Item) {
        match item {
            Item::Tracks(_) => {}
            Item::Frame(frame) => self.see_frame(frame),
            Item::Burst(burst) => burst.frames.iter().for_each(|frame| self.see_frame(frame)),
        }
    }

    fn see_frame(&mut self, frame: &Frame) {
        if frame.kind != Kind::Video {
            return;
        }
        let at = frame.pts();
        if self.since.is_none() || at < self.latest {
            self.since = Some(at);
        }
        self.latest = at;
    }

    fn has_returned(&self) -> bool {
        self.since.is_some_and(|since| self.latest - since > ORDERLY)
    }
}

/// One of them.
struct One {
    all: InOrder,
    name: StreamName,
    guess: Guess,
}

impl One {
    /// Looks after it until it is over.
    async fn keep(mut self, reader: Reader) {
        tracing::info!(stream = %self.name, "a rendition without B-frames is made for viewers by WebRTC");
        let why = self.watch(reader).await;
        let Inner { mixer, state, .. } = &*self.all.inner;
        mixer.stop(self.name.as_str());
        let mut state = state.lock();
        match why {
            Ok(why) => tracing::info!(stream = %self.name, why, "the rendition without B-frames ends"),
            Err(()) => {
                state.failed.insert(self.name.clone(), Instant::now());
                tracing::warn!(stream = %self.name, "ffmpeg fails to make a rendition without B-frames");
            }
        }
        if let Some(over) = state.made.remove(&self.name) {
            over.cancel();
        }
    }

    /// Says why it is over; an error: the program failed.
    async fn watch(&mut self, mut reader: Reader) -> Result<&'static str, ()> {
        let mut order = Order::default();
        let mut used = Instant::now() + self.all.inner.start;
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                item = reader.next() => match item {
                    Some(item) => order.see(&item),
                    None => return Ok("the stream is over"),
                },
                _ = tick.tick() => {
                    if self.all.inner.mixer.output(self.name.as_str()).is_none() {
                        return Err(());
                    }
                    if order.has_returned() {
                        return Ok("the stream has no B-frames any more");
                    }
                    self.follow();
                    match self.is_read() {
                        Some(true) => used = Instant::now(),
                        Some(false) => used = used.min(Instant::now()),
                        None => {}
                    }
                    if used.elapsed() >= IDLE {
                        return Ok("nobody watches it");
                    }
                }
            }
        }
    }

    /// Whether somebody reads it; nothing where it is not there yet.
    fn is_read(&self) -> Option<bool> {
        let info = self.all.inner.hub.info(&in_order(&self.name))?;
        Some(info.readers.iter().any(|(_, readers)| *readers > 0))
    }

    /// Has it made in another size where the stream's has changed.
    fn follow(&mut self) {
        let Inner { hub, mixer, .. } = &*self.all.inner;
        let known = hub.info(&self.name).filter(|info| info.video.is_some());
        if known.is_some_and(|info| self.guess.follow(Guess::of(&info))) {
            let layout = self.guess.layout(&self.name);
            // It runs, and goes on as it is if it cannot change.
            let _ = mixer.start(self.name.as_str(), Output::Own(in_order(&self.name)), layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Codec;

    #[test]
    fn sizes_are_kept_even_and_no_larger_than_1080p() {
        assert_eq!(fitting(1280, 720), (1280, 720));
        assert_eq!(fitting(1920, 1080), (1920, 1080));
        assert_eq!(fitting(641, 361), (642, 362));
        let (width, height) = fitting(3840, 2160);
        assert!(width * height <= 1930 * 1090 && width > 1900 && (width * 9).abs_diff(height * 16) < 40);
    }

    #[test]
    fn the_frame_rate_is_the_one_that_was_meant() {
        assert_eq!([29.4, 24.7, 59.1, 14.9, 144.0].map(usual), [30, 25, 60, 15, 60]);
    }

    #[test]
    fn a_stream_is_in_order_again_when_no_picture_stepped_back_for_a_while() {
        let mut order = Order::default();
        let mut see = |at: i64, cts: i32| {
            order.see(&Item::Frame(Arc::new(Frame::video(Codec::H264, at, cts, false, vec![0].into()))));
            order.has_returned()
        };
        for n in 0..500 {
            // I P b P b: every second picture is shown before the one that came before it.
            assert!(!see(n * 40_000, if n % 2 == 0 { 80_000 } else { 0 }));
        }
        let from = 500 * 40_000;
        assert!(!(0..500).any(|n| see(from + n * 40_000, 0)));
        assert!(see(from + ORDERLY + 40_000, 0));
    }
}
