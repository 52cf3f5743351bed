//! Timestamps of one stream: rebased to start near 0, continued when its publisher comes back or its clock jumps, never
//! running backwards within a track. Pure: the time is an argument.
//!
//! The tracks of a publisher share a clock, as far as that makes sense: some encoders count each track from its own first
//! frame, or have a clock for each. So a track goes by its own offset, which is another track's unless that puts it far off.

use tokio::time::Instant;

use crate::frame::{Frame, Kind, MOST_TRACKS};

/// A track that steps back further than this has restarted its clock, in microseconds.
const BACK: i64 = 1_000_000;
/// A step forward beyond the time that passed by more than this is a restarted clock too, in microseconds.
const FORWARD: i64 = 10_000_000;
/// A track that begins further behind the newest stamp than this has a clock of its own, in microseconds. Encoders are late with
/// pictures, and cameras stamp sound ahead of them, by some seconds.
const LATE: i64 = 5_000_000;
/// Likewise one that begins further behind where the stream would be by now: a slow network may hold the first picture up.
const VERY_LATE: i64 = 20_000_000;
/// The gap put between what was and a restarted clock when no time has passed, in microseconds.
const GAP: i64 = 10_000;

/// Places in the lists of tracks.
const VIDEO: usize = 0;
const AUDIO: usize = 1;
const DATA: usize = 2;
/// These and one for each further track of sound.
const PLACES: usize = 2 + MOST_TRACKS as usize;

#[derive(Default)]
pub(super) struct Timeline {
    /// Where the stream starts, in microseconds.
    start: i64,
    /// What is added to the stamps of each track.
    offsets: [Option<i64>; PLACES],
    latest: Option<(i64, Instant)>,
    last: [Option<i64>; PLACES],
}

impl Timeline {
    /// A timeline whose first unit lies at `start` microseconds.
    pub fn starting(start: i64) -> Self {
        Timeline { start, ..Timeline::default() }
    }

    /// The same, with its first unit at `start` microseconds unless it is placed already.
    pub fn not_before(self, start: i64) -> Self {
        Timeline { start: self.start.max(start), ..self }
    }

    /// A timeline that keeps the stamps of a publisher whose time is that of another stream already.
    pub fn keeping() -> Self {
        Timeline { offsets: [Some(0); PLACES], ..Timeline::default() }
    }

    /// The stream's own time, in microseconds, of a unit with the publisher's stamp.
    pub fn place_frame(&mut self, frame: &Frame, now: Instant) -> i64 {
        let further = usize::from(frame.track.min(MOST_TRACKS - 1));
        let track = match frame.kind {
            Kind::Video | Kind::VideoConfig => VIDEO,
            Kind::Audio | Kind::AudioConfig if further > 0 => DATA + further,
            Kind::Audio | Kind::AudioConfig => AUDIO,
            Kind::Data => DATA,
        };
        self.place_on(track, frame.dts, now)
    }

    fn place_on(&mut self, track: usize, dts: i64, now: Instant) -> i64 {
        let own = self.offsets[track].filter(|offset| self.goes_on(track, dts.saturating_add(*offset), now));
        let offset = own.or_else(|| {
            let mut others = self.offsets.iter().copied().flatten();
            others.find(|offset| self.begins(track, dts.saturating_add(*offset), now))
        });
        let offset = offset.unwrap_or_else(|| self.next(now).saturating_sub(dts));
        self.offsets[track] = Some(offset);
        let at = dts.saturating_add(offset).max(self.last[track].unwrap_or(0));
        self.last[track] = Some(at);
        if self.latest.is_none_or(|(latest, _)| at >= latest) {
            self.latest = Some((at, now));
        }
        at
    }

    /// The stream's own time for a unit whose stamp means nothing: configurations, descriptions. Encoders stamp these 0 at
    /// any point.
    pub fn now(&self) -> i64 {
        self.latest.map_or(self.start, |(latest, _)| latest)
    }

    /// What is added to the publisher's stamps of pictures, in microseconds, once it is known.
    pub fn offset(&self) -> Option<i64> {
        self.offsets[VIDEO]
    }

    /// The next unit comes from another clock.
    pub fn interrupt(&mut self) {
        self.offsets = [None; PLACES];
    }

    /// Whether a track that went on until now may have a unit at this time.
    fn goes_on(&self, track: usize, at: i64, now: Instant) -> bool {
        let back = self.last[track].is_some_and(|last| at < last.saturating_sub(BACK));
        let forward = self.reached(now).is_some_and(|reached| at > reached.saturating_add(FORWARD));
        !back && !forward
    }

    /// Whether a track may begin, or begin anew, at this time.
    fn begins(&self, track: usize, at: i64, now: Instant) -> bool {
        let behind = |time: Option<i64>, bound: i64| time.is_some_and(|time| at < time.saturating_sub(bound));
        let late = behind(self.latest.map(|(latest, _)| latest), LATE) || behind(self.reached(now), VERY_LATE);
        !late && self.goes_on(track, at, now)
    }

    /// How far the stream is by now, if it has begun.
    fn reached(&self, now: Instant) -> Option<i64> {
        self.latest.map(|(latest, then)| latest.saturating_add(passed(then, now)))
    }

    /// Where a clock begins that nothing is known of.
    fn next(&self, now: Instant) -> i64 {
        self.latest.map_or(self.start, |(latest, then)| latest.saturating_add(passed(then, now).max(GAP)))
    }
}

/// The time from `then` to `now` in microseconds.
fn passed(then: Instant, now: Instant) -> i64 {
    micros(now.saturating_duration_since(then))
}

fn micros(d: std::time::Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    impl Timeline {
        fn place(&mut self, kind: Kind, dts: i64, now: Instant) -> i64 {
            self.place_on(if kind == Kind::Video { VIDEO } else { AUDIO }, dts, now)
        }
    }

    #[test]
    fn starts_at_zero_and_keeps_steps() {
        let mut t = Timeline::default();
        let now = Instant::now();
        let at: Vec<i64> = [5_000_000, 5_040_000, 5_080_000].map(|d| t.place(Kind::Video, d, now)).into();
        assert_eq!(at, [0, 40_000, 80_000]);
        // Audio that lies before the first picture is not negative.
        assert_eq!(t.place(Kind::Audio, 4_990_000, now), 0);
    }

    #[test]
    fn goes_on_after_an_interruption_by_the_time_that_passed() {
        let mut t = Timeline::default();
        let now = Instant::now();
        t.place(Kind::Video, 0, now);
        t.place(Kind::Video, 2_000_000, now);
        t.interrupt();
        let later = now + Duration::from_secs(7);
        assert_eq!(t.place(Kind::Video, 90_000_000, later), 9_000_000);
        assert_eq!(t.place(Kind::Audio, 90_010_000, later), 9_010_000);
    }

    #[test]
    fn clock_jumps_are_smoothed_both_ways() {
        let mut t = Timeline::default();
        let now = Instant::now();
        t.place(Kind::Video, 100_000_000, now);
        assert_eq!(t.place(Kind::Video, 100_040_000, now), 40_000);
        assert_eq!(t.place(Kind::Video, 0, now), 50_000);
        assert_eq!(t.place(Kind::Video, 3_600_000_000, now), 60_000);
        // A silence that did pass is no jump.
        assert_eq!(t.place(Kind::Video, 3_660_000_000, now + Duration::from_secs(60)), 60_060_000);
    }

    #[test]
    fn a_track_that_counts_from_its_own_first_frame_lies_beside_the_other() {
        let seconds = |s: i64| s * 1_000_000;
        let start = Instant::now();
        let after = |s: u64| start + Duration::from_secs(s);
        let mut t = Timeline::default();
        for s in 0..=30 {
            assert_eq!(t.place(Kind::Audio, seconds(s as i64), after(s)), seconds(s as i64));
        }
        // The camera comes on after half a minute.
        assert_eq!(t.place(Kind::Video, 0, after(30)), seconds(30) + GAP);
        assert_eq!(t.offset(), Some(seconds(30) + GAP));
        assert_eq!(t.place(Kind::Audio, seconds(31), after(31)), seconds(31), "sound stays where it is");
        assert_eq!(t.place(Kind::Video, seconds(1), after(31)), seconds(31) + GAP);
        // So does the microphone of a screen that stands still.
        let mut t = Timeline::default();
        t.place(Kind::Video, 0, start);
        assert_eq!(t.place(Kind::Audio, 0, after(30)), seconds(30));
        assert_eq!(t.place(Kind::Video, seconds(31), after(31)), seconds(31));
    }

    #[test]
    fn tracks_that_are_some_seconds_apart_have_one_clock() {
        let now = Instant::now();
        let mut late = Timeline::default();
        late.place(Kind::Audio, 0, now);
        late.place(Kind::Audio, 4_000_000, now);
        assert_eq!(late.place(Kind::Video, 100_000, now), 100_000, "an encoder takes its time");
        let mut held_up = Timeline::default();
        held_up.place(Kind::Audio, 0, now);
        assert_eq!(
            held_up.place(Kind::Video, 40_000, now + Duration::from_secs(8)),
            40_000,
            "the network took its time"
        );
        let mut ahead = Timeline::default();
        ahead.place(Kind::Video, 0, now);
        assert_eq!(ahead.place(Kind::Audio, 8_000_000, now), 8_000_000, "a camera stamps sound ahead");
        assert_eq!(ahead.place(Kind::Video, 40_000, now), 40_000);
    }

    #[test]
    fn clocks_that_are_far_apart_go_on_side_by_side() {
        let mut t = Timeline::default();
        let start = Instant::now();
        for i in 0..50 {
            let now = start + Duration::from_millis(40 * i as u64);
            assert_eq!(t.place(Kind::Video, i * 40_000, now), i * 40_000);
            assert_eq!(t.place(Kind::Audio, 3_600_000_000 + i * 40_000, now), i * 40_000 + GAP, "frame {i}");
        }
    }

    #[test]
    fn tracks_whose_clock_jumps_together_stay_together() {
        let mut t = Timeline::default();
        let now = Instant::now();
        t.place(Kind::Audio, 50_000_000, now);
        t.place(Kind::Video, 50_020_000, now);
        for jump in [90_000_000, 0] {
            let pictures = t.place(Kind::Video, jump, now);
            assert_eq!(t.place(Kind::Audio, jump + 120_000, now), pictures + 120_000);
            assert_eq!(t.place(Kind::Video, jump + 80_000, now), pictures + 80_000);
        }
    }

    proptest! {
        #[test]
        fn never_backwards_never_negative(steps in prop::collection::vec((0u8..3, any::<i64>(), 0u64..5000), 1..200)) {
            let mut t = Timeline::default();
            let mut now = Instant::now();
            let mut last = [0i64; 3];
            for (track, dts, ms) in steps {
                now += Duration::from_millis(ms);
                let kind = [Kind::Video, Kind::Audio, Kind::Data][track as usize];
                let at = t.place(kind, dts, now);
                prop_assert!(at >= last[track as usize]);
                last[track as usize] = at;
            }
        }
    }
}
