//! A histogram of durations: adding costs two atomic additions. Knows no names and no format.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds: from a call that is answered out of memory to one that waits for a peer.
/// What is longer than the last one is counted in a bucket of its own.
pub const BOUNDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// How many buckets there are.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// The bucket that so many microseconds fall into.
#[must_use]
pub fn bucket(micros: u64) -> usize {
    BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len())
}

/// Microseconds of a duration; the most there are if it is longer than half a million years.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A histogram.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn add(&self, took: Duration) {
        let micros = micros(took);
        self.buckets[bucket(micros)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// How many fell into each bucket (not into it or a lower one), and the sum of all in microseconds.
    #[must_use]
    pub fn read(&self) -> ([u64; BUCKETS], u64) {
        let buckets = std::array::from_fn(|n| self.buckets[n].load(Ordering::Relaxed));
        (buckets, self.sum.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 1_000, 1_001, 10_000_000, 10_000_001] {
            histogram.add(Duration::from_micros(micros));
        }
        let (buckets, sum) = histogram.read();
        assert_eq!((buckets[0], buckets[1], buckets[4], buckets[5]), (2, 1, 1, 1));
        assert_eq!((buckets[BUCKETS - 2], buckets[BUCKETS - 1], sum), (1, 1, 20_002_103));
    }
}
