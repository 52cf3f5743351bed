//! How long to wait before trying again.

use std::time::Duration;

/// Waits that double from `first` to `most`, each shortened by chance so that many who failed together
/// do not come back together.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Most tries in all, at least one.
    pub tries: u32,
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Retry {
    /// The wait after so many failures, or `None` when it is time to give up.
    #[must_use]
    pub fn after(&self, failures: u32) -> Option<Duration> {
        (failures < self.tries).then(|| self.wait(failures, sign::fresh_id()))
    }

    /// The wait after so many failures, however many they are: between half and all of the doubled wait.
    #[must_use]
    pub fn wait(&self, failures: u32, chance: u64) -> Duration {
        let doubled = self.first.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let full = doubled.min(self.most);
        let half = full / 2;
        // 1024 steps of chance are plenty.
        half + half * u32::try_from(chance % 1024).unwrap_or_default() / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_bounds_and_end() {
        let retry = Retry { tries: 3, first: Duration::from_secs(1), most: Duration::from_secs(60) };
        assert!(retry.after(2).is_some() && retry.after(3).is_none());
        for failures in 1..200 {
            let full = Duration::from_secs(1 << (failures - 1).min(6)).min(retry.most);
            for chance in [0, 511, 1023, u64::MAX] {
                let wait = retry.wait(failures, chance);
                assert!(wait >= full / 2 && wait <= full, "{failures} {chance}: {wait:?}");
            }
        }
        assert_ne!(retry.wait(4, 1), retry.wait(4, 700));
    }
}
