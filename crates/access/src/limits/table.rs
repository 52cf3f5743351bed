//! Who asked how much, in memory of a fixed size: however many addresses a flood comes from, nothing grows and no caller is
//! forgotten early. Each key has two places, shared with all keys that fall into them; it is held back only when both
//! are used up. No locks; the time is an argument.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::DefaultHashBuilder;
use zerocopy::FromZeros;

use super::rate::Rate;

/// Places: a megabyte, of which only what is used is real memory.
const PLACES: usize = 1 << 17;

/// The table.
pub(super) struct Table {
    /// When each place has spent everything that it was given, in microseconds: the "theoretical arrival time" of GCRA.
    places: Box<[AtomicU64]>,
    hash: DefaultHashBuilder,
}

impl Default for Table {
    fn default() -> Self {
        // Zeroed by the kernel when it is touched: filling it would make all of it real memory at once.
        let places = FromZeros::new_box_zeroed_with_elems(PLACES).expect("a megabyte at the start");
        Self { places, hash: DefaultHashBuilder::default() }
    }
}

impl Table {
    /// Takes one of what `key` may have by `rate`.
    ///
    /// # Errors
    /// Microseconds after which there is one again; nothing was taken.
    pub fn take(&self, key: &impl Hash, rate: Rate, now: u64) -> Result<(), u64> {
        let Some((every, ahead)) = rate.pace() else { return Ok(()) };
        let hash = self.hash.hash_one(key);
        // The remainders are below PLACES.
        let places = [&self.places[hash as usize % PLACES], &self.places[(hash >> 32) as usize % PLACES]];
        let spent = places.map(|place| place.load(Ordering::Relaxed));
        let least = spent[0].min(spent[1]).max(now);
        let wait = (least - now).saturating_sub(ahead);
        if wait > 0 {
            return Err(wait);
        }
        // Two who ask in the same moment may pay once: a few more are let through, never fewer.
        for place in places {
            place.fetch_max(least.saturating_add(every), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Nothing is counted.
    pub fn forget(&self) {
        self.places.iter().for_each(|place| place.store(0, Ordering::Relaxed));
    }
}

/// One pace for all.
#[derive(Debug, Default)]
pub(super) struct Common(AtomicU64);

impl Common {
    /// Nothing is counted.
    pub fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Takes one.
    ///
    /// # Errors
    /// Microseconds after which there is one again.
    pub fn take(&self, rate: Rate, now: u64) -> Result<(), u64> {
        let Some((every, ahead)) = rate.pace() else { return Ok(()) };
        let mut wait = 0;
        let step = |spent: u64| {
            let spent = spent.max(now);
            wait = (spent - now).saturating_sub(ahead);
            (wait == 0).then(|| spent.saturating_add(every))
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).map(drop).map_err(|_| wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_burst_and_then_an_even_pace() {
        let table = Table::default();
        let rate = Rate::per_second(10, 5);
        let now = 77 * SECOND;
        for _ in 0..5 {
            assert_eq!(table.take(&"a", rate, now), Ok(()));
        }
        assert_eq!(table.take(&"a", rate, now), Err(SECOND / 10));
        assert_eq!(table.take(&"b", rate, now), Ok(()), "somebody else is not held back");
        assert_eq!(table.take(&"a", rate, now + SECOND / 10), Ok(()));
        assert!(table.take(&"a", rate, now + SECOND / 10).is_err());
        for _ in 0..5 {
            assert_eq!(table.take(&"a", rate, now + 10 * SECOND), Ok(()), "all of it is back, and no more");
        }
        assert!(table.take(&"a", rate, now + 10 * SECOND).is_err());
    }

    #[test]
    fn a_flood_of_addresses_holds_back_few_others() {
        let table = Table::default();
        let rate = Rate::per_second(10, 5);
        let now = 77 * SECOND;
        // 20,000 that each ask for more than they get.
        for attacker in 0..20_000_u32 {
            for _ in 0..6 {
                let _ = table.take(&("attacker", attacker), rate, now);
            }
        }
        let held = (0..10_000_u32).filter(|user| table.take(&("user", *user), rate, now).is_err()).count();
        // Both places of a user are used up with a chance of about (1 - e^(-0.3))^2.
        assert!(held < 1_200, "{held} of 10,000");
        assert_eq!(table.places.len(), PLACES);
    }

    #[test]
    fn all_together_have_one_pace() {
        let common = Common::default();
        let rate = Rate::per_second(2, 2);
        assert_eq!([(); 3].map(|()| common.take(rate, SECOND).is_ok()), [true, true, false]);
        assert_eq!(common.take(rate, SECOND), Err(SECOND / 2));
        assert_eq!(common.take(Rate::default(), SECOND), Ok(()), "none is no limit");
    }
}
