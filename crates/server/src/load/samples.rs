//! What viewers and calls of a load count, for the line that is shown each second. Knows no protocols.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What was counted so far.
#[derive(Debug, Default)]
pub struct Samples {
    pub playing: AtomicUsize,
    pub ended: AtomicUsize,
    pub bytes: AtomicU64,
    pub stalls: AtomicU64,
    pub calls: AtomicU64,
    pub failed_calls: AtomicU64,
}

/// The same at one moment.
pub struct Now {
    pub playing: usize,
    pub ended: usize,
    pub bytes: u64,
    pub stalls: u64,
    pub calls: u64,
    pub failed_calls: u64,
}

impl Samples {
    pub fn now(&self) -> Now {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Now {
            playing: self.playing.load(Ordering::Relaxed),
            ended: self.ended.load(Ordering::Relaxed),
            bytes: of(&self.bytes),
            stalls: of(&self.stalls),
            calls: of(&self.calls),
            failed_calls: of(&self.failed_calls),
        }
    }
}

/// The middle one and the one that 99 of 100 are below, in milliseconds with a tenth.
pub fn spread(times: &mut [Duration]) -> Option<[f64; 2]> {
    times.sort_unstable();
    let at = |part: usize| {
        times
            .get(((times.len() * part).div_ceil(100)).saturating_sub(1))
            .map(|time| (time.as_secs_f64() * 1e4).round() / 10.0)
    };
    Some([at(50)?, at(99)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_of_what_is_there() {
        assert_eq!(spread(&mut []), None);
        let mut hundred: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(spread(&mut hundred), Some([50.0, 99.0]));
        assert_eq!(spread(&mut [Duration::from_millis(7)]), Some([7.0, 7.0]));
    }
}
