//! How much a publisher sends, against how much it may. Knows no sessions.

use std::time::{Duration, Instant};

use crate::request::MAX_BITRATE;

/// What a publisher sends, measured over windows of 4 s.
pub(super) struct Rate {
    most: u64,
    since: Instant,
    bytes: u64,
}

impl Rate {
    /// At most `most` bits a second; unless it is known, as many as no camera sends.
    pub fn new(most: Option<u64>, now: Instant) -> Self {
        Rate { most: most.unwrap_or(MAX_BITRATE), since: now, bytes: 0 }
    }

    /// Counts `bytes`. False when the window that just ended held too many.
    pub fn count(&mut self, bytes: usize, now: Instant) -> bool {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let passed = now.saturating_duration_since(self.since);
        if passed < Duration::from_secs(4) {
            return true;
        }
        let bits = u128::from(self.bytes) * 8_000 / passed.as_millis().max(1);
        self.since = now;
        self.bytes = 0;
        bits <= u128::from(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_every_protocol() {
        assert_eq!(MAX_BITRATE, crate::rtmp::Limits::default().max_bitrate);
        let begun = Instant::now();
        let mut rate = Rate::new(None, begun);
        let mut sends = |megabits: usize, seconds: u64| {
            rate.count(megabits * 4 * 1_000_000 / 8, begun + Duration::from_secs(seconds))
        };
        assert!(sends(90, 4) && !sends(110, 8));
    }
}
