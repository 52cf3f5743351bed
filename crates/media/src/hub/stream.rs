//! One stream: its state under one lock, what a frame does to it, and the task that keeps its deadlines (end of a burst,
//! end of the resume window).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clean::Clean;
use super::figures::Tally;
use super::flow::Flows;
use super::info::{Meter, StreamInfo};
use super::item::{Flowing, Tracks};
use super::keys::Keys;
use super::readers::Readers;
use super::ring::Ring;
use super::timeline::Timeline;
use super::wakers::Wakers;
use super::{Gone, Inner, Origin, Pace, Settings};
use crate::codec::{AudioInfo, VideoInfo};
use crate::ended::Ended;
use crate::frame::{Codec, Frame, Kind, MOST_TRACKS};
use crate::name::StreamName;

/// What lies between pictures that stand still and are handed out at once, in microseconds.
pub(super) const STILL_STEP: i64 = 1_000;
/// How often a publisher who can be asked makes a keyframe for those who play by RTMP and FLV, as encoders do by themselves: such
/// players throw the first one away while they look into the stream, or begin anew after a while in the background, and ask nobody.
pub(super) const KEY_EVERY: Duration = Duration::from_secs(4);
/// The number of a publisher that is no longer let push: none has it.
const NOBODY: u64 = 0;

pub(super) struct Stream {
    pub name: StreamName,
    pub state: Mutex<State>,
    /// The keeper's deadlines changed.
    pub changed: Notify,
    pub keys: Keys,
    /// It has ended: the same as `state` says, without its lock.
    pub over: AtomicBool,
    pub bytes_out: AtomicU64,
    pub tally: Arc<Tally>,
}

pub(super) struct State {
    pub tracks: Tracks,
    /// Counts changes of `tracks`.
    pub version: u32,
    pub ring: Ring,
    pub meter: Meter,
    pub ended: Option<Ended>,
    pub skipped: AtomicU64,
    pub readers: Readers,
    /// What the audience gets instead of this stream.
    pub overlay: Option<Arc<Stream>>,
    /// Its publisher sends several sizes.
    pub layered: bool,
    pub flows: Flows,
    /// Its publisher answers wishes for keyframes at once.
    answers: AtomicBool,
    publisher: Publishing,
    timeline: Timeline,
    clean: Clean,
    /// When players that ask nobody want the next keyframe.
    key_due: Instant,
    /// A burst was opened by what was pushed last.
    opened: bool,
    started: Instant,
    video: Option<VideoInfo>,
    audio: Option<AudioInfo>,
    audience: Wakers,
    realtime: Wakers,
}

struct Publishing {
    id: u64,
    stop: CancellationToken,
    origin: Origin,
    since: Instant,
    /// Set while the publisher is gone and may come back.
    gone_until: Option<Instant>,
}

/// Whether a stream can be published once more.
pub(super) enum Again {
    Resumed,
    Busy,
    Ended,
}

impl Stream {
    pub fn new(
        name: StreamName,
        id: u64,
        stop: CancellationToken,
        origin: Origin,
        timeline: Timeline,
        tally: Arc<Tally>,
    ) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            tracks: Tracks::default(),
            version: 0,
            ring: Ring::default(),
            meter: Meter::new(now),
            ended: None,
            skipped: AtomicU64::new(0),
            readers: Readers::new(Arc::clone(&tally)),
            overlay: None,
            layered: false,
            flows: Flows::default(),
            answers: AtomicBool::new(false),
            publisher: Publishing { id, stop, origin, since: now, gone_until: None },
            timeline,
            clean: Clean::new(),
            key_due: now + KEY_EVERY,
            opened: false,
            started: now,
            video: None,
            audio: None,
            audience: Wakers::default(),
            realtime: Wakers::default(),
        };
        Arc::new(Stream {
            name,
            state: Mutex::new(state),
            changed: Notify::new(),
            keys: Keys::default(),
            over: AtomicBool::new(false),
            bytes_out: AtomicU64::new(0),
            tally,
        })
    }

    /// A publisher comes for a stream that exists: it continues one whose publisher is gone, takes over from a silent
    /// one, and else is refused.
    pub fn republish(&self, id: u64, stop: &CancellationToken, origin: Origin, settings: &Settings) -> Again {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.ended.is_some() {
            return Again::Ended;
        }
        let heard = state.meter.last_frame.map_or(state.publisher.since, |at| at.max(state.publisher.since));
        let silent = now.saturating_duration_since(heard) >= settings.takeover_after;
        if state.publisher.gone_until.is_none() && !silent {
            return Again::Busy;
        }
        let old = std::mem::replace(
            &mut state.publisher,
            Publishing { id, stop: stop.clone(), origin, since: now, gone_until: None },
        );
        state.timeline.interrupt();
        state.clean.interrupt();
        state.layered = false;
        state.forget_further();
        state.flows = Flows::default();
        state.set_answers(false);
        // What was decoded up to the break does not go on with the new publisher's first delta frames.
        state.ring.gop = None;
        drop(state);
        old.stop.cancel();
        self.changed.notify_one();
        Again::Resumed
    }

    pub fn push(&self, id: u64, frame: Frame, settings: &Settings) -> Result<(), Ended> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if let Some(ended) = &state.ended {
            return Err(ended.clone());
        }
        if state.publisher.id != id {
            return Err(Ended::TakenOver);
        }
        if let Some(config) = state.clean.configuration(&frame) {
            self.take(&mut state, config, now, settings);
        }
        let Some(frame) = state.clean.pass(frame) else { return Ok(()) };
        if !self.take(&mut state, frame, now, settings) {
            return Ok(());
        }
        let due = state.burst_due(settings).is_some_and(|at| now >= at);
        let late = if due { state.announce() } else { Vec::new() };
        let keeper = std::mem::take(&mut state.opened) && !due && state.audience.readers() > 0;
        let prompt = state.realtime.take();
        drop(state);
        if keeper {
            self.changed.notify_one();
        }
        wake(late);
        wake(prompt);
        Ok(())
    }

    /// The publisher `id` gave a sign of life.
    pub fn heard(&self, id: u64) {
        let mut state = self.state.lock();
        if state.publisher.id == id {
            state.meter.last_sign = Some(Instant::now());
        }
    }

    /// Puts a frame into the ring. False: it tells nothing new.
    fn take(&self, state: &mut State, mut frame: Frame, now: Instant, settings: &Settings) -> bool {
        frame.dts = if frame.kind.is_config() || frame.is_metadata() {
            state.timeline.now()
        } else {
            state.timeline.place_frame(&frame, now)
        };
        state.meter.count(&frame, now, self.bytes_out.load(Ordering::Relaxed));
        if !self.name.is_derived() {
            self.tally.came(state.publisher.origin.protocol, frame.payload.len());
        }
        if frame.key {
            self.keys.met();
            state.key_due = now + KEY_EVERY;
        } else if frame.kind == Kind::Video && now >= state.key_due && state.readers.ask_nobody() {
            state.key_due = now + KEY_EVERY;
            self.keys.ask();
        }
        state.flows.count(&frame, now);
        state.forget_gone(now);
        let frame = Arc::new(frame);
        if !state.keep(&frame) {
            return false;
        }
        state.opened |= state.ring.due_since.is_none();
        let version = state.version;
        state.ring.push(frame, version, now, settings);
        true
    }

    /// Why the stream ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        self.state.lock().ended.clone()
    }

    /// The publisher `id` is gone without a word.
    pub fn vanish(&self, id: u64, settings: &Settings) -> Gone {
        let mut state = self.state.lock();
        if state.ended.is_some() || state.publisher.id != id || state.publisher.gone_until.is_some() {
            return Gone::Stale;
        }
        if settings.resume_window.is_zero() {
            return Gone::Over;
        }
        state.publisher.gone_until = Some(Instant::now() + settings.resume_window);
        let late = state.announce();
        drop(state);
        self.changed.notify_one();
        wake(late);
        Gone::Paused
    }

    /// The number of its publisher.
    pub fn publisher(&self) -> u64 {
        self.state.lock().publisher.id
    }

    /// Takes the stream from its publisher `id`, which has been declared gone.
    pub fn unseat(&self, id: u64) {
        let mut state = self.state.lock();
        if state.publisher.id == id {
            state.publisher.id = NOBODY;
            let stop = state.publisher.stop.clone();
            drop(state);
            stop.cancel();
        }
    }

    /// Ends the stream, if `id` names its publisher or is not given. Returns whether it did.
    pub fn end(&self, id: Option<u64>, reason: Ended) -> bool {
        let mut state = self.state.lock();
        if state.ended.is_some() || id.is_some_and(|id| id != state.publisher.id) {
            return false;
        }
        state.ended = Some(reason);
        self.over.store(true, Ordering::Release);
        let stop = state.publisher.stop.clone();
        let late = state.announce();
        let prompt = state.realtime.take();
        drop(state);
        stop.cancel();
        self.changed.notify_one();
        wake(late);
        wake(prompt);
        true
    }

    /// The keeper: seals bursts when they are due and ends the stream when its publisher did not come back. Runs until the end.
    pub async fn keep(self: Arc<Self>, hub: Weak<Inner>, settings: Settings) {
        loop {
            let deadline = {
                let state = self.state.lock();
                if state.ended.is_some() {
                    return;
                }
                state.deadline(&settings)
            };
            match deadline {
                None => self.changed.notified().await,
                Some(at) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(at) => self.due(&hub, &settings),
                },
            }
        }
    }

    fn due(self: &Arc<Self>, hub: &Weak<Inner>, settings: &Settings) {
        let now = Instant::now();
        let mut state = self.state.lock();
        if let Some(gone) = state.publisher.gone_until {
            let id = state.publisher.id;
            drop(state);
            if gone <= now {
                let _ = match hub.upgrade() {
                    Some(hub) => hub.finish(self, Some(id), Ended::Deserted),
                    None => self.end(Some(id), Ended::Deserted),
                };
            }
            return;
        }
        if state.burst_due(settings).is_some_and(|at| now >= at) {
            let late = state.announce();
            drop(state);
            wake(late);
        }
    }

    pub fn info(&self, settings: &Settings) -> StreamInfo {
        let now = Instant::now();
        let mut state = self.state.lock();
        let bytes_out = self.bytes_out.load(Ordering::Relaxed);
        let rate = state.meter.rate(now, bytes_out);
        let since = |at: Option<Instant>| now.saturating_duration_since(at.unwrap_or(state.started));
        StreamInfo {
            name: self.name.clone(),
            protocol: state.publisher.origin.protocol,
            peer: state.publisher.origin.peer,
            paused: state.publisher.gone_until.is_some(),
            live: state.is_live(now, settings),
            age: now.saturating_duration_since(state.started),
            silent: since(state.meter.last_frame),
            unheard: since(state.meter.last_frame.max(state.meter.last_sign)),
            video: state.video.clone(),
            audio: state.audio.clone(),
            bitrate_in: rate.bits_in,
            bitrate_out: rate.bits_out,
            bytes_in: state.meter.bytes_in,
            bytes_out,
            frame_rate: rate.pictures,
            gop: state.meter.gop,
            frames: state.meter.frames,
            skipped: state.skipped.load(Ordering::Relaxed),
            readers: state.readers.list(),
            joined: state.readers.joined,
            left: state.readers.left,
        }
    }
}

impl State {
    /// Keeps what later readers need of a configuration or description. Returns false for one that changes nothing.
    fn keep(&mut self, frame: &Arc<Frame>) -> bool {
        if frame.is_further() {
            return self.keep_further(frame);
        }
        let place = match frame.kind {
            Kind::VideoConfig => &mut self.tracks.video,
            Kind::AudioConfig => &mut self.tracks.audio,
            Kind::Data if frame.is_metadata() => &mut self.tracks.metadata,
            // Without a configuration the first frame tells that there is a track, and that another is gone.
            Kind::Audio if self.audio.is_none() || !frame.codec.is_configured() => {
                if self.audio_codec() != Some(frame.codec) {
                    let first: &[u8] = if frame.codec.is_configured() { &[] } else { &frame.payload };
                    self.audio = Some(AudioInfo::of(frame.codec, first));
                    self.version = self.version.wrapping_add(u32::from(self.tracks.audio.take().is_some()));
                }
                return true;
            }
            _ => return true,
        };
        if place.as_ref().is_some_and(|old| old.codec == frame.codec && old.payload == frame.payload) {
            return false;
        }
        *place = Some(Arc::clone(frame));
        self.version = self.version.wrapping_add(1);
        match frame.kind {
            Kind::VideoConfig => self.video = Some(VideoInfo::of(frame.codec, &frame.payload)),
            Kind::AudioConfig => self.audio = Some(AudioInfo::of(frame.codec, &frame.payload)),
            _ => {}
        }
        true
    }

    /// The same for a further track of sound.
    fn keep_further(&mut self, frame: &Arc<Frame>) -> bool {
        if frame.kind != Kind::AudioConfig || frame.track >= MOST_TRACKS {
            return frame.track < MOST_TRACKS;
        }
        let is_news = Tracks::put_further(&mut self.tracks.further, frame);
        self.version = self.version.wrapping_add(is_news.into());
        is_news
    }

    /// Another publisher follows, which has its own.
    fn forget_further(&mut self) {
        if !self.tracks.further.is_empty() {
            self.tracks.further.clear();
            self.version = self.version.wrapping_add(1);
        }
    }

    /// A publisher that came back brought its own tracks: one that it has not is gone.
    fn forget_gone(&mut self, now: Instant) {
        if self.audio.is_some() && self.flows.audio.is_gone(now) {
            self.audio = None;
            self.tracks.audio = None;
            self.version = self.version.wrapping_add(1);
        }
        if self.video.is_some() && self.flows.video.is_gone(now) {
            self.video = None;
            self.tracks.video = None;
            self.version = self.version.wrapping_add(1);
        }
    }

    /// Whether pictures, and sound, are there for who comes now.
    pub fn flowing(&self, now: Instant) -> Flowing {
        Flowing {
            video: self.tracks.video.is_some() && self.flows.video.flows(now),
            audio: self.audio.is_some() && self.flows.audio.flows(now),
        }
    }

    /// Gives the audience what came since it was last woken: whom to wake, outside the lock.
    fn announce(&mut self) -> Vec<Waker> {
        self.ring.announce();
        self.audience.take()
    }

    fn deadline(&self, settings: &Settings) -> Option<Instant> {
        if self.publisher.gone_until.is_some() {
            return self.publisher.gone_until;
        }
        self.burst_due(settings).filter(|_| self.audience.readers() > 0)
    }

    /// When the audience gets what is gathered: at once if its players are few. With none at all (recorders and HLS do not
    /// mind) it is gathered as for many, because a reader that comes then reads large pieces.
    fn burst_due(&self, settings: &Settings) -> Option<Instant> {
        let since = self.ring.due_since?;
        let players = self.readers.players();
        if (1..=settings.few).contains(&players) {
            return Some(since);
        }
        let many = settings.many.max(1);
        Some(since + settings.merge.mul_f64(players.clamp(many, 3 * many) as f64 / many as f64))
    }

    pub fn is_live(&self, now: Instant, settings: &Settings) -> bool {
        let recent = |at| now.saturating_duration_since(at) <= settings.live_within;
        self.ended.is_none() && self.meter.last_frame.is_some_and(recent)
    }

    /// Whether its publisher is gone and may come back.
    pub fn is_paused(&self) -> bool {
        self.publisher.gone_until.is_some()
    }

    /// Whether its publisher answers wishes for keyframes at once.
    pub fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    pub fn set_answers(&self, answers: bool) {
        self.answers.store(answers, Ordering::Relaxed);
    }

    pub fn audio_codec(&self) -> Option<Codec> {
        self.audio.as_ref().map(|audio| audio.codec)
    }

    pub fn wakers(&mut self, pace: Pace) -> &mut Wakers {
        match pace {
            Pace::Realtime => &mut self.realtime,
            Pace::Audience => &mut self.audience,
        }
    }

    /// How old the current group of pictures is: since it came, or by its own time, where all of it came at once.
    pub fn group_age(&self, now: Instant) -> Option<Duration> {
        let first = self.ring.get(self.ring.gop?)?;
        let by_time = u64::try_from(self.clock().saturating_sub(first.frame.dts)).unwrap_or(0);
        Some(now.saturating_duration_since(first.at).max(Duration::from_micros(by_time)))
    }

    /// The time of the first picture from a frame on, if all of them are put close before now.
    pub fn before_now(&self, from: u64) -> i64 {
        let count = i64::try_from(self.ring.silent_from(from)).unwrap_or(0);
        self.clock().saturating_sub(count.saturating_mul(STILL_STEP)).max(0)
    }

    /// The stream's time now, in microseconds.
    pub fn clock(&self) -> i64 {
        self.timeline.now()
    }

    /// The time of the first frame that came at this moment or later, or will.
    pub fn time_since(&self, moment: Instant) -> i64 {
        self.ring.since(moment).map_or_else(|| self.clock().saturating_add(1), |frame| frame.dts)
    }

    /// The stream's time of pictures minus its publisher's, in microseconds.
    pub fn offset(&self) -> Option<i64> {
        self.timeline.offset()
    }

    /// Shows the audience another stream, or this one again: whom to wake, outside the lock.
    pub fn show(&mut self, overlay: Option<Arc<Stream>>) -> Vec<Waker> {
        self.overlay = overlay;
        let mut wakers = self.audience.take();
        wakers.extend(self.realtime.take());
        wakers
    }
}

pub(super) fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}
