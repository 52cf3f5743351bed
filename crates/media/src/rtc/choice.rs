//! Which of a stream's layers a viewer is sent, by what its network is believed to carry. Pure: times are arguments.

use std::time::{Duration, Instant};

/// How long a viewer stays with a layer before it is given a larger one.
const PATIENCE: Duration = Duration::from_secs(3);
/// What sound and retransmissions need beside pictures, in bits a second.
const BESIDE: u64 = 80_000;

/// What is known of a viewer's network.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Bits a second that it is believed to carry, once the estimator has said so.
    pub estimate: Option<u64>,
    changed: Option<Instant>,
}

impl Choice {
    /// Which of the layers (bits a second, growing) a viewer of `current` is to be sent: a smaller one as soon as the current
    /// one does not fit, a larger one after a while and with room to spare.
    pub fn of(&mut self, rates: &[u64], current: usize, now: Instant) -> usize {
        let Some(estimate) = self.estimate else { return current };
        let fits = |percent: u64| {
            let room = estimate.saturating_mul(100) / percent;
            rates.iter().rposition(|rate| rate.saturating_add(BESIDE) <= room).unwrap_or(0)
        };
        let since = *self.changed.get_or_insert(now);
        let best = match fits(100) {
            tight if tight < current => fits(110).min(tight),
            _ if now.saturating_duration_since(since) < PATIENCE => current,
            _ => fits(125).max(current),
        };
        if best != current {
            self.changed = Some(now);
        }
        best
    }

    /// What the estimator is to reckon with for a viewer of `current`: how much to fill up with padding, to learn whether the
    /// next layer fits, and how much there is to gain.
    pub fn goals(rates: &[u64], current: usize) -> (u64, u64) {
        let need = |rate: &u64| rate.saturating_add(BESIDE).saturating_mul(13) / 10;
        let next = rates.get(current + 1).map_or(0, need);
        (next, rates.last().map_or(0, need))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u64; 3] = [150_000, 500_000, 1_500_000];

    #[test]
    fn down_at_once_and_up_after_a_while_with_room() {
        let (mut choice, start) = (Choice::default(), Instant::now());
        let at = |s: u64| start + Duration::from_secs(s);
        assert_eq!(choice.of(&RATES, 2, at(0)), 2, "nothing is known");
        choice.estimate = Some(1_600_000);
        assert_eq!(choice.of(&RATES, 2, at(1)), 2);
        choice.estimate = Some(700_000);
        assert_eq!(choice.of(&RATES, 2, at(2)), 1);
        choice.estimate = Some(10_000);
        assert_eq!(choice.of(&RATES, 1, at(2)), 0, "the smallest even if it does not fit");
        choice.estimate = Some(5_000_000);
        assert_eq!(choice.of(&RATES, 0, at(4)), 0, "too early");
        assert_eq!(choice.of(&RATES, 0, at(5)), 2);
        choice.estimate = Some(1_700_000);
        assert_eq!(choice.of(&RATES, 1, at(9)), 1, "no room to spare");
        assert_eq!(choice.of(&[], 0, at(99)), 0);
    }

    #[test]
    fn the_estimator_is_told_what_the_next_layer_needs() {
        let (next, all) = Choice::goals(&RATES, 0);
        assert!(next > RATES[1] && all > RATES[2]);
        assert_eq!(Choice::goals(&RATES, 2).0, 0, "nothing is filled up for who has the largest");
    }
}
