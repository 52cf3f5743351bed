//! Which of a stream's layers a viewer is sent, by what its network is seen to carry. Pure: times are arguments.

use std::time::{Duration, Instant};

/// How often it is looked whether a viewer should be sent another layer.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What a viewer's network is taken to carry before anything is known, in bits a second. Nothing is decided by it.
pub(super) const FIRST: u64 = 1_500_000;

/// How long a viewer stays with a layer before it is given a larger one, at first.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same for a viewer whose network told us no more than what it lost.
const BLIND_PATIENCE: Duration = Duration::from_secs(10);
/// The longest of either: a larger layer that was tried in vain doubles it.
const MOST_PATIENCE: Duration = Duration::from_secs(60);
/// A larger layer that was given up within this time was tried in vain.
const TRIAL: Duration = Duration::from_secs(15);
/// How soon after a change the estimator is asked whether more would fit; in vain, half as often each time.
const ASK_FIRST: Duration = Duration::from_secs(1);
/// At least this often.
const ASK_LAST: Duration = Duration::from_secs(4);
/// What sound and retransmissions need beside pictures, in bits a second.
const BESIDE: u64 = 80_000;
/// Packets that wait this long wait because of the network, if they do so twice in a row: a key picture alone passes sooner.
const LATE: Duration = Duration::from_millis(150);
/// How long packets of a layer that was too large may need to leave.
const SETTLES: Duration = Duration::from_millis(1500);
/// An estimate that was measured anew within this time is believed.
const DOUBT: Duration = Duration::from_secs(4);
/// Packets that wait this long need no second look.
const FAR_TOO_LATE: Duration = Duration::from_millis(500);
/// Parts lost of what was sent, beyond which a layer does not fit, and below which a larger one may be tried. Between them
/// loss is taken for what a radio does.
const TOO_LOSSY: f32 = 0.10;
const LOSSLESS: f32 = 0.02;

/// What is known of a viewer's network, and what was tried with it.
#[derive(Debug, Default)]
pub(super) struct Choice {
    estimate: Option<u64>,
    loss: Option<f32>,
    changed: Option<Instant>,
    /// The last change was to a larger layer.
    trying: bool,
    /// It was to a smaller one.
    down: bool,
    /// There was a change: what it began with was a guess.
    settled: bool,
    /// Larger layers tried in vain, one after the other.
    vain: u32,
    /// Looks in a row at which packets waited, at which the estimate was too small, and at which more would fit.
    late: u8,
    small: u8,
    spare: u8,
    asked: Option<Instant>,
    asks: u32,
    /// When a small estimate was last not believed at once.
    doubted: Option<Instant>,
}

impl Choice {
    /// The layer to begin with, of those whose rates in bits a second are given.
    pub fn first(rates: &[u64]) -> usize {
        rates.iter().rposition(|rate| rate.saturating_add(BESIDE) <= FIRST).unwrap_or(0)
    }

    /// Takes the estimator's newest figure, in bits a second. What it starts with is no measurement.
    pub fn estimated(&mut self, bits: u64) {
        if bits != FIRST {
            self.estimate = Some(bits);
        }
    }

    /// Takes the part of the packets that the viewer lost lately. Counts once, and only where nothing is estimated.
    pub fn lost(&mut self, part: f32) {
        self.loss = Some(part);
    }

    /// What the network is believed to carry, in bits a second, if that is known.
    pub fn estimate(&self) -> Option<u64> {
        self.estimate
    }

    /// Which of the layers (bits a second, growing) a viewer of `current` is to be sent, whose oldest unsent packet waits
    /// since `waits`: a smaller one as soon as the current one is seen not to fit, a larger one after a while and with room to
    /// spare. To be called each [`LOOK_EVERY`].
    pub fn of(&mut self, rates: &[u64], current: usize, waits: Duration, now: Instant) -> usize {
        let since = *self.changed.get_or_insert(now);
        let held = now.saturating_duration_since(since);
        let wanted = match self.estimate {
            Some(estimate) => self.by_estimate(rates, current, estimate, waits, now),
            None => self.by_loss(rates.len(), current, held),
        };
        if self.trying && held > TRIAL {
            self.trying = false;
            self.vain = 0;
        }
        if wanted != current {
            let larger = wanted > current;
            self.vain = self.vain.saturating_add(u32::from(!larger && self.trying));
            self.trying = larger;
            self.down = !larger;
            self.settled = true;
            self.changed = Some(now);
            self.late = 0;
            self.small = 0;
            self.spare = 0;
            self.asks = 0;
        }
        wanted
    }

    fn by_estimate(&mut self, rates: &[u64], current: usize, estimate: u64, waits: Duration, now: Instant) -> usize {
        let held = now.saturating_duration_since(self.changed.unwrap_or(now));
        let fits = |percent: u64| {
            let room = estimate.saturating_mul(100) / percent;
            rates.iter().rposition(|rate| rate.saturating_add(BESIDE) <= room).unwrap_or(0)
        };
        let count = |looks: u8, seen: bool| if seen { looks.saturating_add(1) } else { 0 };
        self.late = count(self.late, waits > LATE);
        // A hiccup of the network halves the estimate for a moment: packets that wait are the surer sign.
        self.small = count(self.small, fits(85) < current);
        self.spare = count(self.spare, fits(125) > current && waits < LATE);
        // What waits right after a change are packets of the layer before.
        let left = !self.down || held > SETTLES;
        let small = self.late > 1 || self.late > 0 && self.small > 0 || self.small > 5;
        if current > 0 && left && (small || waits > FAR_TOO_LATE) {
            let doubted = self.doubted.is_some_and(|at| now.saturating_duration_since(at) < DOUBT);
            if doubted || waits > FAR_TOO_LATE {
                // One at a time: what is measured while packets are stuck is too little.
                return current - 1;
            }
            self.doubted = Some(now);
        }
        if self.spare >= 2 && (!self.settled || held >= self.patience(PATIENCE)) { fits(125) } else { current }
    }

    fn by_loss(&mut self, layers: usize, current: usize, held: Duration) -> usize {
        match self.loss.take() {
            Some(loss) if loss > TOO_LOSSY => current.saturating_sub(1),
            Some(loss) if loss < LOSSLESS && held >= self.patience(BLIND_PATIENCE) => (current + 1).min(layers - 1),
            _ => current,
        }
    }

    fn patience(&self, first: Duration) -> Duration {
        first.saturating_mul(1 << self.vain.min(6)).min(MOST_PATIENCE)
    }

    /// What the estimator is to look for, in bits a second, among layers that a viewer of `current` could have.
    pub fn goal(rates: &[u64]) -> u64 {
        rates.last().map_or(0, |rate| rate.saturating_add(BESIDE).saturating_mul(13) / 10)
    }

    /// What the estimator is to begin anew with, now and then while a larger layer is wanted: it then probes at once. By itself
    /// it would not for long after a loss, all the less the fewer packets a small layer gives it to look at.
    pub fn anew(&mut self, rates: &[u64], current: usize, now: Instant) -> Option<u64> {
        if self.doubted == Some(now) {
            // One hiccup, or a key picture, and the estimator takes what little is sent for all there is.
            return rates.get(current).map(|rate| rate.saturating_add(BESIDE).saturating_mul(5) / 4);
        }
        let estimate = self.estimate.filter(|estimate| current + 1 < rates.len() && *estimate < Self::goal(rates))?;
        let wait = ASK_FIRST.saturating_mul(1 << self.asks.min(6)).min(ASK_LAST);
        let last = self.asked.max(self.changed).unwrap_or(now);
        if self.late > 0 || now.saturating_duration_since(last) < wait {
            return None;
        }
        self.asked = Some(now);
        self.asks = self.asks.saturating_add(1);
        Some(estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u64; 3] = [150_000, 500_000, 1_500_000];
    const NONE: Duration = Duration::ZERO;

    /// Looks `count` times and returns the layers wanted, each the current one of the next look.
    fn looks(choice: &mut Choice, mut current: usize, waits: Duration, now: &mut Instant, count: usize) -> Vec<usize> {
        let look = |_| {
            *now += LOOK_EVERY;
            current = choice.of(&RATES, current, waits, *now);
            current
        };
        (0..count).map(look).collect()
    }

    #[test]
    fn down_when_packets_wait_twice_in_a_row_or_very_long() {
        let mut choice = Choice::default();
        let mut now = Instant::now();
        assert_eq!(looks(&mut choice, 2, FAR_TOO_LATE * 2, &mut now, 4), [2; 4], "nothing is known");
        choice.estimated(FIRST);
        assert_eq!(choice.estimate(), None, "a beginning is no measurement");
        choice.estimated(700_000);
        assert_eq!(looks(&mut choice, 2, LATE * 2, &mut now, 1), [2], "it is measured anew");
        assert_eq!(looks(&mut choice, 2, NONE, &mut now, 1), [2]);
        assert_eq!(looks(&mut choice, 2, LATE * 2, &mut now, 1), [1]);
        choice.estimated(10_000);
        assert_eq!(
            looks(&mut choice, 1, FAR_TOO_LATE * 2, &mut now, 4),
            [1; 4],
            "what waits are packets of the layer before"
        );
        assert_eq!(looks(&mut choice, 1, FAR_TOO_LATE * 2, &mut now, 9)[8], 0, "the smallest even if it does not fit");
        assert_eq!(choice.of(&[], 0, NONE, now), 0);
    }

    #[test]
    fn down_when_the_estimate_stays_small_and_not_for_a_hiccup() {
        let mut choice = Choice::default();
        let mut now = Instant::now();
        choice.estimated(700_000);
        assert_eq!(looks(&mut choice, 2, NONE, &mut now, 4), [2; 4]);
        choice.estimated(1_700_000);
        assert_eq!(looks(&mut choice, 2, NONE, &mut now, 8), [2; 8]);
        choice.estimated(700_000);
        assert_eq!(looks(&mut choice, 2, NONE, &mut now, 7), [2, 2, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn up_with_room_to_spare_and_less_and_less_eagerly_when_it_was_in_vain() {
        let mut choice = Choice::default();
        let mut now = Instant::now();
        choice.estimated(1_700_000);
        assert_eq!(looks(&mut choice, 1, NONE, &mut now, 40), [1; 40], "no room to spare");
        choice.estimated(5_000_000);
        assert_eq!(looks(&mut choice, 0, NONE, &mut now, 2), [0, 2]);
        let mut took = Vec::new();
        for _ in 0..4 {
            assert_eq!(
                looks(&mut choice, 2, FAR_TOO_LATE * 2, &mut now, 1),
                [1],
                "fits the estimate, yet does not flow"
            );
            let mut looked = 1;
            while looks(&mut choice, 1, NONE, &mut now, 1) == [1] {
                looked += 1;
            }
            took.push(looked);
        }
        assert!(took.windows(2).all(|w| w[1] > w[0]), "{took:?}");
        looks(&mut choice, 2, NONE, &mut now, 100);
        looks(&mut choice, 2, FAR_TOO_LATE * 2, &mut now, 1);
        let soon = looks(&mut choice, 1, NONE, &mut now, 6);
        assert_eq!(soon[5], 2, "what went well for long is forgiven");
    }

    #[test]
    fn without_an_estimate_by_what_was_lost() {
        let mut choice = Choice::default();
        let mut now = Instant::now();
        choice.lost(0.2);
        assert_eq!(looks(&mut choice, 2, NONE, &mut now, 8), [1; 8], "one report counts once");
        choice.lost(0.05);
        assert_eq!(looks(&mut choice, 1, NONE, &mut now, 60), [1; 60], "what a radio does");
        choice.lost(0.0);
        assert_eq!(looks(&mut choice, 1, NONE, &mut now, 1), [2]);
        choice.lost(0.3);
        assert_eq!(looks(&mut choice, 2, NONE, &mut now, 60), [1; 60]);
        choice.lost(0.0);
        assert_eq!(looks(&mut choice, 1, NONE, &mut now, 2), [1; 2], "it was tried in vain: 20 s");
    }

    #[test]
    fn the_estimator_is_asked_anew_while_there_is_more_to_be_had() {
        let mut choice = Choice::default();
        let start = Instant::now();
        choice.estimated(700_000);
        choice.of(&RATES, 1, NONE, start);
        let asked = |choice: &mut Choice, at: usize| {
            let anew = (0..120u32).filter_map(|n| choice.anew(&RATES, at, start + LOOK_EVERY * n));
            anew.inspect(|bits| assert_eq!(*bits, 700_000)).count()
        };
        assert_eq!(asked(&mut choice, 2), 0, "who has the largest needs no probes");
        assert_eq!(asked(&mut choice, 1), 8, "after 1, 2, 4, and then each 4 s");
        assert!(Choice::goal(&RATES) > RATES[2]);
    }
}
