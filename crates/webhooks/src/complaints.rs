//! What is said of a backend that is away: once for all rooms that wait for it, not once for each.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often it is said.
const EVERY: Duration = Duration::from_secs(10);

/// When a URL's failures were told last, and how many were not told since.
#[derive(Default)]
pub(super) struct Complaints(Mutex<(Option<Instant>, u64)>);

impl Complaints {
    /// Tells of a room whose events wait, unless that was just told of another one.
    pub fn tell(&self, room: &str, id: &str, why: &str) {
        match self.due(Instant::now()) {
            Some(others) => {
                tracing::warn!(room, id, why, others, "a webhook is not accepted: its room's events wait for it");
            }
            None => tracing::debug!(room, id, why, "a webhook is not accepted: its room's events wait for it"),
        }
    }

    /// Whether it is time to tell again: how many were not told since the last time.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.0.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            state.1 += 1;
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rooms_are_told_of_in_one_line() {
        let complaints = Complaints::default();
        let now = Instant::now();
        assert_eq!(complaints.due(now), Some(0), "the first at once");
        for _ in 0..300 {
            assert_eq!(complaints.due(now + EVERY / 2), None);
        }
        assert_eq!(complaints.due(now + EVERY), Some(300));
        assert_eq!(complaints.due(now + EVERY * 2), Some(0));
    }
}
