//! Timestamps of one stream: rebased to start near 0, continued when its publisher comes back or its clock jumps, never
//! running backwards within a track. Pure: the time is an argument.

use tokio::time::Instant;

use crate::frame::Kind;

/// A track that steps back further than this has restarted its clock, in microseconds.
const BACK: i64 = 1_000_000;
/// A step forward beyond the time that passed by more than this is a restarted clock too, in microseconds.
const FORWARD: i64 = 10_000_000;
/// The gap put between what was and a restarted clock when no time has passed, in microseconds.
const GAP: i64 = 10_000;

#[derive(Default)]
pub(super) struct Timeline {
    /// Where the stream starts, in microseconds.
    start: i64,
    offset: Option<i64>,
    latest: Option<(i64, Instant)>,
    last: [Option<i64>; 3],
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
        Timeline { offset: Some(0), ..Timeline::default() }
    }

    /// The stream's own time, in microseconds, of a unit that its publisher stamped `dts`.
    pub fn place(&mut self, kind: Kind, dts: i64, now: Instant) -> i64 {
        let track = match kind {
            Kind::Video | Kind::VideoConfig => 0,
            Kind::Audio | Kind::AudioConfig => 1,
            Kind::Data => 2,
        };
        let mut at = match self.offset {
            Some(offset) => dts.saturating_add(offset),
            None => self.restart(dts, now),
        };
        if let Some((latest, then)) = self.latest {
            let passed = micros(now.saturating_duration_since(then));
            let back = self.last[track].is_some_and(|last| at < last.saturating_sub(BACK));
            let forward = at > latest.saturating_add(passed).saturating_add(FORWARD);
            if back || forward {
                at = self.restart(dts, now);
            }
        }
        at = at.max(self.last[track].unwrap_or(0));
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

    /// What is added to the publisher's stamps, in microseconds, once it is known.
    pub fn offset(&self) -> Option<i64> {
        self.offset
    }

    /// The next unit comes from another clock.
    pub fn interrupt(&mut self) {
        self.offset = None;
    }

    fn restart(&mut self, dts: i64, now: Instant) -> i64 {
        let start = match self.latest {
            None => self.start,
            Some((latest, then)) => latest.saturating_add(micros(now.saturating_duration_since(then)).max(GAP)),
        };
        self.offset = Some(start.saturating_sub(dts));
        start
    }
}

fn micros(d: std::time::Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

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
