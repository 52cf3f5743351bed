//! The frames of one stream that are still to be had: the current group of pictures, a little history for readers that
//! lag, and the bursts they were sealed into. Bounded; pure: the time is an argument.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use crate::frame::{Burst, Frame, Kind};

/// What a frame costs beside its payload, counted against the bound.
const OVERHEAD: usize = 256;

/// Sound older than this goes before a group of pictures does; what is older than this and before it goes at once.
const HISTORY: Duration = Duration::from_secs(1);

pub(super) struct Slot {
    pub number: u64,
    pub frame: Arc<Frame>,
    pub at: Instant,
    /// Version of the tracks after this frame.
    pub version: u32,
}

impl Slot {
    /// What it counts against the bound.
    fn cost(&self) -> usize {
        self.frame.payload.len() + OVERHEAD
    }
}

#[derive(Default)]
pub(super) struct Ring {
    /// In the order of their numbers, with gaps where old sound was left out.
    frames: VecDeque<Slot>,
    first: u64,
    end: u64,
    bursts: VecDeque<Arc<Burst>>,
    sealed: u64,
    /// When the first frame came that the audience was not woken for yet.
    pub due_since: Option<Instant>,
    /// Where the current group of pictures starts, if all of it is here.
    pub gop: Option<u64>,
    /// Sound was left out of it.
    thin: bool,
    bytes: usize,
}

impl Ring {
    /// Number from which on frames are here.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number of the next frame to come.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many frames are here.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Number of the first frame that is in no burst yet.
    pub fn sealed(&self) -> u64 {
        self.sealed
    }

    /// The frame of this number, or the next one that is still here.
    pub fn get(&self, at: u64) -> Option<&Slot> {
        let index = at.checked_sub(self.first)?;
        // Nearly always there are no gaps.
        let direct = self.frames.get(usize::try_from(index).ok()?).filter(|slot| slot.number == at);
        direct.or_else(|| self.frames.get(self.frames.partition_point(|slot| slot.number < at)))
    }

    /// Where the current group of pictures starts, if all of it is here, and its sound.
    pub fn whole(&self) -> Option<u64> {
        self.gop.filter(|_| !self.thin)
    }

    /// When the current group of pictures began.
    pub fn group_began(&self) -> Option<Instant> {
        Some(self.get(self.gop?)?.at)
    }

    /// The first frame that came at this moment or later.
    pub fn since(&self, moment: Instant) -> Option<&Arc<Frame>> {
        let first = self.frames.partition_point(|slot| slot.at < moment);
        self.frames.range(first..).map(|slot| &slot.frame).find(|frame| !frame.kind.is_config())
    }

    /// How many frames from this number on are no sound.
    pub fn silent_from(&self, from: u64) -> usize {
        let start = self.frames.partition_point(|slot| slot.number < from);
        self.frames.iter().skip(start).filter(|slot| slot.frame.kind != Kind::Audio).count()
    }

    /// How long ago the newest frame came.
    pub fn idle(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.frames.back()?.at))
    }

    /// The burst that begins at frame `at`, which must be a boundary.
    pub fn burst(&self, at: u64) -> Option<&Arc<Burst>> {
        let index = self.bursts.partition_point(|b| b.numbers.start < at);
        self.bursts.get(index)
    }

    /// Appends a frame; a key frame closes the open burst first, so that a group of pictures starts with a burst.
    pub fn push(&mut self, frame: Arc<Frame>, version: u32, now: Instant, settings: &Settings) {
        if frame.key {
            self.seal();
            self.gop = Some(self.end());
            self.thin = false;
        } else if frame.kind == Kind::VideoConfig {
            self.gop = None;
        }
        let slot = Slot { number: self.end, frame, at: now, version };
        self.bytes += slot.cost();
        self.due_since.get_or_insert(now);
        self.frames.push_back(slot);
        self.end += 1;
        self.trim(now, settings);
    }

    /// Closes the open burst, because the audience is about to be woken.
    pub fn announce(&mut self) {
        self.seal();
        self.due_since = None;
    }

    /// Closes the open burst, if there is one.
    pub fn seal(&mut self) {
        let numbers = self.sealed..self.end;
        if numbers.is_empty() {
            return;
        }
        let start = self.frames.partition_point(|slot| slot.number < numbers.start);
        let frames: Box<[Arc<Frame>]> = self.frames.iter().skip(start).map(|s| Arc::clone(&s.frame)).collect();
        let version = self.frames.back().map_or(0, |s| s.version);
        self.bursts.push_back(Arc::new(Burst::of_all(numbers, version, frames)));
        self.sealed = self.end;
    }

    fn trim(&mut self, now: Instant, settings: &Settings) {
        let is_over = |ring: &Ring| ring.bytes > settings.gop_bytes || ring.frames.len() > settings.gop_frames;
        if is_over(self) {
            self.leave_out_sound(now);
        }
        while is_over(self) {
            if self.bursts.is_empty() {
                self.seal();
            }
            // More than the bound since the last key frame: there is no group of pictures to start with any more.
            if !self.drop_burst() {
                break;
            }
        }
        loop {
            let keep_from = self.gop.unwrap_or(self.end);
            let Some(burst) = self.bursts.front() else {
                break;
            };
            if burst.numbers.end > keep_from || !self.is_old(burst, now) {
                break;
            }
            self.drop_burst();
        }
    }

    /// Whether a burst's newest frame is history.
    fn is_old(&self, burst: &Burst, now: Instant) -> bool {
        let newest = self.get(burst.numbers.end - 1);
        newest.is_some_and(|slot| now.saturating_duration_since(slot.at) > HISTORY)
    }

    /// Leaves old sound out of the current group of pictures: who begins with it hears from now on.
    fn leave_out_sound(&mut self, now: Instant) {
        let Some(gop) = self.gop else { return };
        let from = self.bursts.partition_point(|burst| burst.numbers.start < gop);
        let old = self.bursts.iter().skip(from).take_while(|burst| self.is_old(burst, now)).count();
        let newer = self.bursts.split_off(from + old);
        let until = newer.front().map_or(self.sealed, |burst| burst.numbers.start);
        for burst in self.bursts.split_off(from) {
            let mut frames = Burst::without_sound(burst.all());
            if frames.len() == burst.all().len() {
                self.bursts.push_back(burst);
                continue;
            }
            let mut numbers = burst.numbers.clone();
            // The first one of a group has its keyframe.
            if frames.is_empty()
                && let Some(before) = self.bursts.pop_back()
            {
                numbers.start = before.numbers.start;
                frames = before.all().into();
            }
            self.thin = true;
            self.bursts.push_back(Arc::new(Burst::of_all(numbers, burst.version, frames)));
        }
        self.bursts.extend(newer);
        let bytes = &mut self.bytes;
        self.frames.retain(|slot| {
            let stays = slot.frame.kind != Kind::Audio || !(gop..until).contains(&slot.number);
            *bytes -= if stays { 0 } else { slot.cost() };
            stays
        });
    }

    fn drop_burst(&mut self) -> bool {
        let Some(burst) = self.bursts.pop_front() else {
            return false;
        };
        self.first = burst.numbers.end;
        while self.frames.front().is_some_and(|slot| slot.number < self.first) {
            self.bytes -= self.frames.pop_front().map_or(0, |slot| slot.cost());
        }
        if self.gop.is_some_and(|gop| gop < self.first) {
            self.gop = None;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Codec;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn settings(bytes: usize, frames: usize) -> Settings {
        Settings { gop_bytes: bytes, gop_frames: frames, ..Settings::default() }
    }

    proptest! {
        /// Whatever comes: the bounds hold, bursts tile the frames, key frames start bursts, the group of pictures
        /// starts with one.
        #[test]
        fn bounds_and_boundaries_hold(
            ops in prop::collection::vec((0u8..10, 0usize..3000, 0u64..400), 1..400),
            max_bytes in 4_000usize..40_000, max_frames in 4usize..60,
        ) {
            let settings = settings(max_bytes, max_frames);
            let mut ring = Ring::default();
            let mut now = Instant::now();
            for (op, size, ms) in ops {
                now += Duration::from_millis(ms);
                let payload = Bytes::from(vec![0; size]);
                match op {
                    0 => ring.seal(),
                    1 => ring.push(Arc::new(Frame::video(Codec::H264, 0, 0, true, payload)), 0, now, &settings),
                    2 => ring.push(Arc::new(Frame::config(Codec::H264, 0, payload)), 0, now, &settings),
                    3 => ring.push(Arc::new(Frame::audio(Codec::Aac, 0, payload).of_track(1)), 0, now, &settings),
                    4..=6 => ring.push(Arc::new(Frame::audio(Codec::Aac, 0, payload)), 0, now, &settings),
                    _ => ring.push(Arc::new(Frame::video(Codec::H264, 0, 0, false, payload)), 0, now, &settings),
                }
                prop_assert!(ring.frames.len() <= max_frames && ring.bytes <= max_bytes);
                let mut at = ring.first;
                for burst in &ring.bursts {
                    prop_assert_eq!(burst.numbers.start, at);
                    prop_assert!(!burst.all().is_empty());
                    prop_assert!(burst.all().iter().skip(1).all(|f| !f.key));
                    let plain = burst.all().iter().filter(|frame| !frame.is_further());
                    prop_assert!(plain.map(Arc::as_ptr).eq(burst.frames.iter().map(Arc::as_ptr)), "for all others");
                    at = burst.numbers.end;
                    let kept = ring.frames.iter().filter(|slot| burst.numbers.contains(&slot.number));
                    let kept = kept.map(|slot| Arc::as_ptr(&slot.frame));
                    prop_assert!(kept.eq(burst.all().iter().map(Arc::as_ptr)), "bursts hold what the ring does");
                }
                prop_assert_eq!(at, ring.sealed);

                prop_assert!(ring.sealed <= ring.end());
                if let Some(gop) = ring.gop {
                    prop_assert!(ring.get(gop).unwrap().frame.key);
                }
            }
        }
    }

    #[test]
    fn a_group_of_pictures_is_kept_whole_and_older_ones_go() {
        let settings = Settings::default();
        let mut ring = Ring::default();
        let mut now = Instant::now();
        for i in 0..100u64 {
            let frame = Frame::video(Codec::H264, 0, 0, i % 50 == 0, Bytes::from_static(b"1"));
            ring.push(Arc::new(frame), 0, now, &settings);
            if i % 3 == 0 {
                ring.seal();
            }
            now += Duration::from_millis(40);
        }
        assert_eq!(ring.gop, Some(50));
        // The last 49 frames are younger than two seconds, one second of which is history.
        assert!(ring.first() > 40 && ring.first() <= 50, "{}", ring.first());
        assert!(ring.burst(50).unwrap().starts_with_key());
    }
}
