//! How much a publisher sends, against how much it may. Knows no sessions.

use std::time::{Duration, Instant};

/// Most bits a second of a publisher unless its permission says otherwise.
const MAX_BITRATE: u64 = 50_000_000;

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
