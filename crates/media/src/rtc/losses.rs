//! What of a track was lost, by a peer's reports. Reports come as often as the peer likes, some with each request to send again: each
//! then tells of a few packets. They are judged by what lies between two that are far enough from each other.

use std::time::{Duration, Instant};

/// Reports closer together than this are of one moment.
const APART: Duration = Duration::from_millis(500);
/// Packets between two reports that tell a part, and how long it takes until fewer have to do.
const ENOUGH: u32 = 20;
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// One report's numbers, which only grow.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    /// The highest number, with the times that it came round.
    newest: u32,
    /// Packets lost, in 24 bits: fewer than none, where some came twice.
    lost: u32,
}

/// The losses of one track.
#[derive(Debug, Default)]
pub(super) struct Losses {
    judged: Option<Mark>,
}

impl Losses {
    /// Takes a report. Returns the part that was lost since the last one that was judged, if enough has passed since.
    pub fn reported(&mut self, newest: u32, lost: u32, now: Instant) -> Option<f32> {
        let mark = Mark { at: now, newest, lost };
        let before = *self.judged.get_or_insert(mark);
        let passed = now.saturating_duration_since(before.at);
        let packets = newest.wrapping_sub(before.newest);
        if passed < APART || packets < ENOUGH && passed < LONG_ENOUGH {
            return None;
        }
        self.judged = Some(mark);
        // Half the circle and more lies behind: the peer has begun anew, or counts rounds in a way of its own.
        if packets == 0 || packets > u32::MAX / 2 {
            return None;
        }
        let more = (lost.wrapping_sub(before.lost) << 8).cast_signed() >> 8;
        Some((more.max(0) as f32 / packets as f32).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_that_come_with_each_loss_are_judged_together() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut losses = Losses::default();
        assert_eq!(losses.reported(1_000, 5, at(0)), None);
        // Each of these would be a third of three packets.
        for n in 1..=10 {
            assert_eq!(losses.reported(1_000 + n * 3, 5 + n, at(u64::from(n))), None);
        }
        assert_eq!(losses.reported(1_100, 15, at(600)), Some(0.1));
        assert_eq!(losses.reported(1_110, 20, at(1_200)), None, "of ten packets");
        assert_eq!(losses.reported(1_110, 20, at(2_600)), Some(0.5), "unless there are no more");
        assert_eq!(losses.reported(1_110, 20, at(9_000)), None, "nothing was sent");
    }

    #[test]
    fn numbers_come_round_and_may_make_no_sense() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut losses = Losses::default();
        losses.reported(u32::MAX - 49, 0xff_ffff, at(0));
        assert_eq!(losses.reported(50, 24, at(1)), Some(0.25));
        assert_eq!(losses.reported(150, 14, at(2)), Some(0.0), "some came twice");
        assert_eq!(losses.reported(100, 14, at(3)), None, "of the past");
        assert_eq!(losses.reported(200, 0x7f_ffff, at(4)), Some(1.0));
    }
}
