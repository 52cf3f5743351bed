//! One input of a mix: a stream read from the hub and written to ffmpeg, in time with the others. ffmpeg waits for the
//! slowest of its inputs, so a stream that stays away goes on as its last key frame and silence.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Input;
use super::graph::Has;
use crate::codec::AudioInfo;
use crate::ended::Ended;
use crate::fmp4::Muxer;
use crate::frame::{Codec, Frame, Kind};
use crate::hub::{Hub, Item, Pace, Reader, Start, Want};
use crate::name::StreamName;
use crate::rendition::Renditions;
use crate::silence;

/// How long an input may take to show its tracks before the mix starts without it.
const SHOWS: Duration = Duration::from_secs(3);
/// How often an input is looked at.
const TICK: Duration = Duration::from_millis(100);
/// A track that is late by this is filled in, in microseconds; at once, where its publisher is known to be gone.
const LATE: i64 = 700_000;
/// What is filled in ends this far before now, in microseconds.
const BEHIND: i64 = 200_000;
/// It is filled in again once that much more is missing, in microseconds: as often as is looked. All pictures of the mix
/// wait for the next of each input.
const AGAIN: i64 = BEHIND + 90_000;
/// Times further from now than this mean another clock, in microseconds.
const ASTRAY: i64 = 3_000_000;
/// Few pictures are waited for no longer than this, in microseconds: the whole mix waits.
const MOST_LATE: i64 = 2_000_000;
/// A track all of which is late by more than this, in microseconds,
const LAGS: i64 = 400_000;
/// for so long, will not be in time again by itself.
const KEEPS_LAGGING: i64 = 2_000_000;
/// What comes after a gap of this, in microseconds, comes at once, and says nothing of what follows.
const GAP: i64 = 1_000_000;

/// The time that all inputs of all processes of a mix share.
#[derive(Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Clock(Instant::now())
    }

    /// Microseconds, far enough from 0 for what came before the start.
    pub fn now(self) -> i64 {
        60_000_000 + i64::try_from(self.0.elapsed().as_micros()).unwrap_or(i64::MAX / 2)
    }
}

/// What is known of a stream, and kept for when it is away.
#[derive(Clone, Default)]
pub(super) struct Known {
    video: Option<Arc<Frame>>,
    audio: Option<Arc<Frame>>,
    key: Option<Arc<Frame>>,
}

pub(super) type Memory = Arc<Mutex<HashMap<StreamName, Known>>>;

/// An input about to be written.
pub(super) struct Feed {
    hub: Hub,
    input: Input,
    memory: Memory,
    clock: Clock,
    known: Known,
    reader: Option<Reader>,
    /// Frames read so far and not written.
    waiting: Vec<Arc<Frame>>,
    /// Stream time to mix time, and the newest time of the stream when that was found: what is older came late.
    offset: Option<i64>,
    edge: i64,
    lag: Lag,
    /// The time of the stream's newest picture, and whether it needs those before it.
    pictured: Option<(i64, bool)>,
    video: Option<Video>,
    audio: Option<Audio>,
    /// The stream is no longer what the process was told: it must be started anew.
    stale: CancellationToken,
}

struct Video {
    last: i64,
    /// Time between pictures of the stream, of late the longest.
    step: i64,
    filled: bool,
    /// Pictures come that were not announced to the process.
    foreign: bool,
}

struct Audio {
    end: i64,
    silence: (Bytes, i64),
    filled: bool,
    foreign: bool,
}

/// How late the frames of each track came, since a while.
#[derive(Default)]
struct Lag {
    since: i64,
    last: i64,
    /// By how much those did that were in time best: of pictures, and of sound.
    least: [Option<i64>; 2],
}

impl Lag {
    /// A frame came so late. Says by how much a track of the stream keeps being late.
    fn see(&mut self, kind: Kind, now: i64, late: i64) -> Option<i64> {
        if now - self.last > GAP {
            *self = Lag { since: now, ..Lag::default() };
        }
        self.last = now;
        let least = &mut self.least[usize::from(kind == Kind::Audio)];
        *least = Some(least.map_or(late, |least| least.min(late)));
        if now - self.since < KEEPS_LAGGING {
            return None;
        }
        let seen = std::mem::replace(self, Lag { since: now, last: now, ..Lag::default() });
        seen.least.into_iter().flatten().max().filter(|late| *late > LAGS)
    }
}

impl Feed {
    /// Looks at a stream until its tracks are known, bounded in time. One that is not there goes by what it was.
    pub async fn prepare(hub: &Hub, input: &Input, memory: &Memory, clock: Clock, stale: CancellationToken) -> Self {
        let known = memory.lock().get(&input.stream).cloned().unwrap_or_default();
        let reader = subscribe(hub, &input.stream);
        let mut feed = Feed {
            hub: hub.clone(),
            input: input.clone(),
            memory: Arc::clone(memory),
            clock,
            known: if reader.is_some() { Known::default() } else { known },
            reader,
            waiting: Vec::new(),
            offset: None,
            edge: i64::MIN,
            lag: Lag::default(),
            pictured: None,
            video: None,
            audio: None,
            stale,
        };
        let _ = tokio::time::timeout(SHOWS, feed.look()).await;
        feed.catch_up();
        let now = clock.now();
        let place = feed.input.place.filter(|_| feed.known.video.is_some() && feed.known.key.is_some());
        feed.video = place.map(|_| Video { last: now - LATE, step: 0, filled: false, foreign: false });
        let sound = feed.known.audio.as_ref().filter(|_| feed.input.heard);
        let silence = sound.and_then(|config| silence::frame(config));
        if let Some(config) = sound.filter(|_| silence.is_none()) {
            let kind = AudioInfo::of(config.codec, &config.payload).mime;
            tracing::warn!(stream = %feed.input.stream, kind, "the sound is left out of a mix: nothing could stand for it while it stays away");
        }
        feed.audio = silence.map(|silence| Audio { end: now - LATE, silence, filled: false, foreign: false });
        feed
    }

    /// What of it will be written.
    pub fn has(&self) -> Has {
        let aac = self.known.audio.as_ref().is_some_and(|config| config.codec == Codec::Aac);
        Has { video: self.video.is_some(), audio: self.audio.is_some(), aac: aac && self.audio.is_some() }
    }

    async fn look(&mut self) {
        loop {
            let picture = self.input.place.is_none() || self.known.key.is_some();
            let sound = !self.input.heard || self.known.audio.is_some();
            // A stream may have one track only; the other one's frames tell when enough was waited.
            let patience = self.waiting.len() > 50;
            if (picture && sound) || patience {
                return;
            }
            let Some(item) = self.read().await else {
                return;
            };
            self.keep(item);
        }
    }

    /// Reads what is there already, which may be seconds of a group of pictures: the newest of it is of now.
    fn catch_up(&mut self) {
        while let Some(item) = self.reader.as_mut().and_then(Reader::try_next) {
            self.keep(item);
        }
        self.align(self.waiting.iter().map(|f| f.dts).max());
    }

    /// The newest time of the stream, if it has any, is now.
    fn align(&mut self, newest: Option<i64>) {
        self.offset = newest.map(|newest| self.clock.now() - newest);
        self.edge = newest.unwrap_or(i64::MIN);
        self.lag = Lag::default();
    }

    /// Keeps what is not written yet.
    fn keep(&mut self, item: Item) {
        flatten(item, &mut |frame| {
            self.know(&frame);
            if !frame.kind.is_config() {
                self.waiting.push(frame);
            }
        });
    }

    async fn read(&mut self) -> Option<Item> {
        self.reader.as_mut()?.next().await
    }

    fn know(&mut self, frame: &Arc<Frame>) {
        match frame.kind {
            Kind::VideoConfig => self.known.video = Some(Arc::clone(frame)),
            Kind::AudioConfig => self.known.audio = Some(Arc::clone(frame)),
            Kind::Video if frame.key => self.known.key = Some(Arc::clone(frame)),
            _ => return,
        }
        self.memory.lock().insert(self.input.stream.clone(), self.known.clone());
    }

    /// Writes the input to the program that connects, until it goes, or takes nothing for as long as it may take to start: it
    /// reads one input after the other then.
    pub async fn run(mut self, listener: UnixListener, start: Duration) {
        let Ok(Ok((mut socket, _))) = tokio::time::timeout(start, listener.accept()).await else {
            return;
        };
        let video = self.known.video.clone().filter(|_| self.video.is_some());
        let audio = self.known.audio.clone().filter(|_| self.audio.is_some());
        let Some(mut muxer) = Muxer::new(video.as_deref(), audio.as_deref(), 0) else {
            return;
        };
        let mut out = BytesMut::from(&muxer.init()[..]);
        for frame in std::mem::take(&mut self.waiting) {
            self.take(&frame, &mut muxer);
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Some(fragment) = muxer.cut() {
                out.extend_from_slice(&fragment.bytes);
            }
            if !out.is_empty() {
                match tokio::time::timeout(start, socket.write_all(&out.split())).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => {
                        tracing::warn!(stream = %self.input.stream, "ffmpeg of a mix takes no more of an input; starting another");
                        return self.stale.cancel();
                    }
                }
            }
            let here = self.reader.is_some();
            tokio::select! {
                item = self.read(), if here => match item {
                    Some(item) => {
                        let mut frames = Vec::new();
                        flatten(item, &mut |frame| frames.push(frame));
                        frames.iter().for_each(|frame| self.take(frame, &mut muxer));
                    }
                    None => self.ended(),
                },
                _ = tick.tick() => {
                    if self.reader.is_none() {
                        self.come_back(&mut muxer);
                    }
                    self.fill(&mut muxer);
                }
            }
        }
    }

    /// The stream is over. One that was put out is not shown for a moment longer: the mix begins anew without it.
    fn ended(&mut self) {
        let why = self.reader.take().and_then(|reader| reader.ended());
        self.offset = None;
        if matches!(why, Some(Ended::Kicked(_))) {
            self.memory.lock().remove(&self.input.stream);
            self.known = Known::default();
            self.stale.cancel();
        }
    }

    /// Reads the stream again, if it is there again.
    fn come_back(&mut self, muxer: &mut Muxer) {
        let Some(mut reader) = subscribe(&self.hub, &self.input.stream) else {
            return;
        };
        let mut frames = Vec::new();
        while let Some(item) = reader.try_next() {
            flatten(item, &mut |frame| frames.push(frame));
        }
        self.reader = Some(reader);
        self.align(frames.iter().filter(|f| !f.kind.is_config()).map(|f| f.dts).max());
        frames.iter().for_each(|frame| self.take(frame, muxer));
    }

    fn take(&mut self, frame: &Arc<Frame>, muxer: &mut Muxer) {
        if frame.kind.is_config() {
            return self.configured(frame);
        }
        if frame.kind == Kind::Data {
            return;
        }
        let mut at = self.time_of(frame);
        // The process was started without pictures, although what they are is known: none could be decoded then.
        let is_new = frame.key && self.video.is_none() && self.input.place.is_some();
        if is_new && self.known.video.is_some() {
            self.stale.cancel();
        }
        match (frame.kind, &mut self.video, &mut self.audio) {
            (Kind::Video, Some(video), _) if !video.foreign => {
                let before = self.pictured.replace((frame.dts, !frame.key));
                let step = before.map_or(0, |(before, _)| frame.dts.saturating_sub(before));
                video.step = step.clamp(0, MOST_LATE).max(video.step - video.step / 8);
                // What was filled in broke the chain of references.
                if video.filled && !frame.key {
                    self.reader.iter().for_each(Reader::request_key);
                    return;
                }
                at = at.max(video.last + 1000);
                video.last = at;
                video.filled = false;
                muxer.push(&Arc::new(frame.at(at)));
            }
            (Kind::Audio, _, Some(audio)) if !audio.foreign && at + 60_000 > audio.end => {
                audio.end = at.saturating_add(audio.silence.1);
                audio.filled = false;
                muxer.push(&Arc::new(frame.at(at)));
            }
            _ => {}
        }
        self.know(frame);
    }

    /// The time of a frame in the mix.
    fn time_of(&mut self, frame: &Frame) -> i64 {
        let now = self.clock.now();
        let offset = *self.offset.get_or_insert(now - frame.dts);
        let at = frame.dts.saturating_add(offset);
        let used = if frame.kind == Kind::Video { self.video.is_some() } else { self.audio.is_some() };
        if frame.dts <= self.edge || !used {
            return at;
        }
        let late = if (at - now).abs() > ASTRAY {
            self.lag = Lag::default();
            Some(now - at)
        } else {
            // A publisher whose network backs up, or whose clock is slow, is as late from now on. Both tracks stay together.
            self.lag.see(frame.kind, now, now - at)
        };
        let moved = offset.saturating_add(late.unwrap_or_default());
        self.offset = Some(moved);
        frame.dts.saturating_add(moved)
    }

    /// A configuration that the process does not know: it goes on with what it has, until another one is there.
    fn configured(&mut self, frame: &Arc<Frame>) {
        let (known, used) = match frame.kind {
            Kind::VideoConfig => (&self.known.video, self.input.place.is_some()),
            _ => (&self.known.audio, self.input.heard),
        };
        if known.as_ref().is_some_and(|k| k.codec == frame.codec && k.payload == frame.payload) {
            return;
        }
        if frame.kind == Kind::VideoConfig {
            self.video.iter_mut().for_each(|v| v.foreign = true);
        } else {
            self.audio.iter_mut().for_each(|a| a.foreign = true);
        }
        if used {
            self.stale.cancel();
        }
    }

    /// Goes on for tracks that are late.
    fn fill(&mut self, muxer: &mut Muxer) {
        let now = self.clock.now();
        let gone = self.reader.is_none() || self.hub.is_paused(&self.input.stream);
        if let Some(video) = &mut self.video
            && let Some(key) = &self.known.key
        {
            // Who makes keyframes when asked is not waited for: what is filled in is soon what was seen last.
            let answers = self.hub.answers_wishes(&self.input.stream);
            let patience = match video.step {
                _ if answers => LATE,
                0 => MOST_LATE,
                step => (3 * step).clamp(LATE, MOST_LATE),
            };
            if now - video.last > if video.filled || gone { AGAIN } else { patience } {
                let is_older = self.pictured.is_some_and(|(_, needs_others)| needs_others);
                if is_older && !video.filled && !gone {
                    self.reader.iter().for_each(Reader::request_key);
                }
                video.last = now - BEHIND;
                video.filled = true;
                muxer.push(&Arc::new(key.at(video.last)));
            }
        }
        if let Some(audio) = &mut self.audio {
            let late = if audio.filled || gone { AGAIN } else { LATE };
            if now - audio.end > late {
                audio.filled = true;
                let (silence, length) = &audio.silence;
                let codec = self.known.audio.as_ref().map(|c| c.codec);
                while let Some(codec) = codec
                    && audio.end < now - BEHIND
                {
                    muxer.push(&Arc::new(Frame::audio(codec, audio.end, silence.clone())));
                    audio.end += length.max(&1000);
                }
            }
        }
    }
}

/// Reads an input, with its sound as something that ffmpeg is given.
fn subscribe(hub: &Hub, stream: &StreamName) -> Option<Reader> {
    let want = Want::internal(Pace::Realtime, Start::Fresh);
    Renditions::new(hub.clone()).join(stream, want, &[Codec::Aac, Codec::Opus]).ok()
}

fn flatten(item: Item, take: &mut dyn FnMut(Arc<Frame>)) {
    match item {
        Item::Tracks(tracks) => [tracks.video, tracks.audio].into_iter().flatten().for_each(take),
        Item::Frame(frame) => take(frame),
        Item::Burst(burst) => burst.frames.iter().cloned().for_each(take),
    }
}

#[cfg(test)]
mod tests;
