//! A reader's place in a stream: where it begins, what it is given next, and over what it is skipped. Knows no streams but
//! their state, and asks nobody.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::item::Item;
use super::stream::{STILL_STEP, State};
use super::{Pace, Start, Want};
use crate::frame::{Burst, Frame, Kind};
use crate::name::Protocol;

/// A realtime reader further behind than this goes to the newest keyframe, if there is one ahead of it.
const REALTIME_LAG: Duration = Duration::from_secs(1);
/// A video track that was silent for this long does not hold back the audio of a reader that waits for a keyframe.
const VIDEO_SILENT: Duration = Duration::from_secs(3);
/// A group of pictures that began this long ago is worth a new keyframe, where one can be had.
const STALE: Duration = Duration::from_secs(1);
/// Of a group of pictures that began this long ago, RTMP players are given the sound of now on: they catch up with it, where they
/// would stay as far behind as the group is long.
const LONG: Duration = Duration::from_secs(3);
/// How long a publisher that answers wishes for keyframes may take before the group of pictures has to do.
const ANSWER: Duration = Duration::from_millis(500);

pub(super) struct Cursor {
    /// Number of the next frame.
    at: u64,
    /// Delta frames are of no use yet.
    need_key: bool,
    /// Until when a new keyframe is waited for although there is a group of pictures.
    fresh_until: Option<Instant>,
    /// The tracks may have changed behind the reader's back.
    resync: bool,
    /// Version of the tracks that the reader knows.
    version: Option<u32>,
    /// It is given further tracks of sound.
    further: bool,
    /// Number from which on sound is handed out.
    sound_from: u64,
    /// The stream time from which on frames are handed out, until one is.
    least: i64,
    /// Of pictures that stand still, while older ones than that are handed out: the time that the next one is given.
    still: Option<i64>,
    skipped: u64,
}

impl Cursor {
    /// A new place in a stream, and one among those who wait for it.
    pub fn enter(state: &mut State, want: Want, skipped: u64) -> (Self, usize) {
        let start = want.start;
        // So that a joiner of the audience starts with all there is, not with what the last burst held.
        state.ring.seal();
        let now = Instant::now();
        let began = state.ring.group_began();
        let better = start == Start::Fresh
            && state.answers()
            && began.is_some_and(|began| now.saturating_duration_since(began) > STALE);
        let takes_group = match start {
            Start::Group => true,
            Start::Next => false,
            Start::Fresh => !better,
            Start::Since(moment) => began.is_some_and(|began| began >= moment),
        };
        let is_long = state.group_age(now).is_some_and(|age| age > LONG);
        // Players of Media Source Extensions begin where all tracks do: they and all others are given whole groups.
        let catches_up = is_long && want.protocol == Protocol::Rtmp;
        let stands_still = catches_up && !state.flowing(now).video;
        let gop = if catches_up { state.ring.gop } else { state.ring.whole() }.filter(|_| takes_group);
        if start != Start::Next && gop.is_none() && state.tracks.video.is_some() {
            state.readers.tally.gop_waits.fetch_add(1, Ordering::Relaxed);
        }
        let cursor = Cursor {
            at: gop.unwrap_or_else(|| state.ring.end()),
            need_key: gop.is_none(),
            fresh_until: better.then(|| now + ANSWER),
            resync: true,
            version: None,
            further: want.further,
            sound_from: if catches_up { state.ring.end() } else { 0 },
            least: i64::MIN,
            still: gop.filter(|_| stands_still).map(|gop| state.before_now(gop)),
            skipped,
        };
        (cursor, state.wakers(want.pace).join())
    }

    /// The same without what is older by the stream's time.
    pub fn not_before(self, least: i64) -> Self {
        Cursor { least, ..self }
    }

    /// The stream time from which on frames are handed out.
    pub fn least(&self) -> i64 {
        self.least
    }

    /// Frames that were skipped over because their reader was too slow.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether nothing can be shown before a keyframe comes, and frames that are none do come.
    pub fn wants_key(&self, state: &State) -> bool {
        self.need_key && video_flows(state)
    }

    /// Whether it has begun: what follows can be decoded.
    pub fn has_begun(&self) -> bool {
        !self.need_key
    }

    /// What comes next, if it is there.
    pub fn take(&mut self, state: &State, pace: Pace) -> Option<Item> {
        if self.fresh_until.is_some() {
            self.settle_for_group(state);
        }
        match pace {
            Pace::Realtime => self.take_frame(state),
            Pace::Audience => self.take_burst(state),
        }
    }

    fn take_burst(&mut self, state: &State) -> Option<Item> {
        self.catch_up(state);
        loop {
            let burst = state.ring.burst(self.at)?.with(self.further);
            if burst.frames.is_empty() {
                self.at = burst.numbers.end;
                continue;
            }
            if self.is_early(&burst.frames[0]) || self.need_key && !burst.frames[0].key && video_flows(state) {
                self.at = burst.numbers.end;
                continue;
            }
            let is_old = burst.numbers.end <= self.sound_from;
            if is_old && burst.frames.iter().all(|frame| frame.kind == Kind::Audio) {
                self.at = burst.numbers.end;
                continue;
            }
            if let Some(tracks) = self.resynced(state) {
                return Some(tracks);
            }
            self.at = burst.numbers.end;
            self.need_key = false;
            self.version = Some(burst.version);
            return Some(Item::Burst(if is_old { self.without_sound(burst) } else { Arc::clone(burst) }));
        }
    }

    fn take_frame(&mut self, state: &State) -> Option<Item> {
        self.catch_up(state);
        if let (Some(slot), Some(gop)) = (state.ring.get(self.at), state.ring.whole())
            && gop > self.at
            && Instant::now().saturating_duration_since(slot.at) > REALTIME_LAG
        {
            self.skip_to(gop, state);
        }
        loop {
            let slot = state.ring.get(self.at)?;
            if slot.frame.is_further() && !self.further {
                self.at = slot.number + 1;
                continue;
            }
            if self.is_early(&slot.frame) || self.need_key && slot.frame.kind == Kind::Video && !slot.frame.key {
                self.at = slot.number + 1;
                continue;
            }
            if slot.number < self.sound_from && slot.frame.kind == Kind::Audio {
                self.at = slot.number + 1;
                continue;
            }
            if let Some(tracks) = self.resynced(state) {
                return Some(tracks);
            }
            self.at = slot.number + 1;
            self.need_key &= !slot.frame.key;
            self.version = Some(slot.version);
            let old = slot.number < self.sound_from;
            return Some(Item::Frame(if old { self.placed(&slot.frame) } else { Arc::clone(&slot.frame) }));
        }
    }

    /// Whether it is of before what the reader asked for. Frames of now that come first end that.
    fn is_early(&self, frame: &Frame) -> bool {
        self.need_key && frame.dts < self.least && !frame.kind.is_config()
    }

    /// A burst of before sound is handed out, without it.
    fn without_sound(&mut self, burst: &Burst) -> Arc<Burst> {
        let frames = Burst::without_sound(&burst.frames).iter().map(|frame| self.placed(frame)).collect();
        Arc::new(Burst::new(burst.numbers.clone(), burst.version, frames))
    }

    /// A frame of before sound is handed out: at its time, or close before now, if the pictures stand still.
    fn placed(&mut self, frame: &Arc<Frame>) -> Arc<Frame> {
        let Some(next) = &mut self.still else { return Arc::clone(frame) };
        let at = *next;
        *next += STILL_STEP;
        Arc::new(frame.at(at))
    }

    /// The group of pictures has to do if no new keyframe came in time.
    fn settle_for_group(&mut self, state: &State) {
        if !self.need_key {
            self.fresh_until = None;
        }
        if self.fresh_until.is_some_and(|until| Instant::now() < until && !state.is_paused()) {
            return;
        }
        let passed_over = |gop: &u64| *gop < self.at && state.ring.get(*gop).is_some();
        let gop = state.ring.whole().filter(passed_over);
        if self.fresh_until.take().is_some()
            && let Some(gop) = gop
        {
            // Its publisher was said to answer, and does not.
            state.set_answers(false);
            self.at = gop;
            self.resync = true;
        }
    }

    /// A reader whose place is gone goes on at the newest group of pictures, or with the next one.
    fn catch_up(&mut self, state: &State) {
        if self.at < state.ring.first() {
            self.skip_to(state.ring.whole().unwrap_or_else(|| state.ring.sealed()), state);
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
            Item::Tracks(state.tracks.with(self.further))
        })
    }
}

fn video_flows(state: &State) -> bool {
    let now = Instant::now();
    let recent = |at: Instant| now.saturating_duration_since(at) < VIDEO_SILENT;
    state.flowing(now).video && state.meter.last_video.is_none_or(recent)
}
