//! What the tracks of one session add to the figures of all. Values come from the peer: none is trusted to be sensible.

use std::sync::Arc;
use std::time::Duration;

use str0m::media::{Mid, Rid};

use super::Counters;

/// A longer round trip counts as this.
const LONGEST_TRIP: Duration = Duration::from_secs(60);

/// One session's share.
pub(super) struct Tally {
    counters: Arc<Counters>,
    /// Requests to send again that are counted already, by track.
    nacks: Vec<((Mid, Option<Rid>), u64)>,
}

impl Tally {
    pub fn new(counters: Arc<Counters>) -> Self {
        Tally { counters, nacks: Vec::new() }
    }

    /// A viewer asks for a keyframe.
    pub fn key_request(&self) {
        Counters::add(&self.counters.key_requests, 1);
    }

    pub fn round_trip(&self, trip: Option<Duration>) {
        if let Some(trip) = trip {
            let micros = u64::try_from(trip.min(LONGEST_TRIP).as_micros()).unwrap_or(0);
            Counters::add(&self.counters.rtt_micros, micros);
            Counters::add(&self.counters.rtts, 1);
        }
    }

    /// A part of the packets.
    pub fn loss(&self, part: Option<f32>) {
        if let Some(part) = part {
            Counters::add(&self.counters.loss_ppm, (part.clamp(0.0, 1.0) * 1e6) as u64);
            Counters::add(&self.counters.losses, 1);
        }
    }

    /// So many more requests to send again.
    pub fn nacks(&self, more: u64) {
        Counters::add(&self.counters.nacks, more);
    }

    /// So many requests to send something of a track again since it began.
    pub fn all_nacks(&mut self, track: (Mid, Option<Rid>), all: u64) {
        let before = match self.nacks.iter_mut().find(|(known, _)| *known == track) {
            Some((_, counted)) => std::mem::replace(counted, all),
            None => {
                self.nacks.push((track, all));
                0
            }
        };
        self.nacks(all.saturating_sub(before));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn requests_are_counted_once() {
        let counters = Arc::new(Counters::default());
        let mut tally = Tally::new(Arc::clone(&counters));
        let track = (Mid::from("0"), None);
        for all in [0, 3, 3, 7] {
            tally.all_nacks(track, all);
            tally.round_trip(Some(Duration::MAX));
            tally.loss(Some(0.5));
        }
        tally.all_nacks((Mid::from("1"), None), 2);
        tally.nacks(1);
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((count(&counters.nacks), tally.nacks.len()), (10, 2));
        assert_eq!((count(&counters.rtt_micros), count(&counters.loss_ppm)), (240_000_000, 2_000_000));
    }
}
