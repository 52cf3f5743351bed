//! A bound on calls per second that lets short bursts through.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// At most so many calls a second; who comes too early waits its turn.
#[derive(Debug)]
pub struct Limiter {
    /// Between two calls in the long run.
    gap: Duration,
    /// How far ahead of the even pace calls may run.
    burst: Duration,
    /// When the next call would be due at an even pace.
    next: Mutex<Option<Instant>>,
}

impl Limiter {
    /// `rate` calls a second, `burst` of them at once. Zero counts as one.
    #[must_use]
    pub fn new(rate: u32, burst: u32) -> Self {
        let gap = Duration::from_secs(1) / rate.max(1);
        Self { gap, burst: gap * burst.max(1).saturating_sub(1), next: Mutex::new(None) }
    }

    /// Waits for a turn, but not longer than `most`. Says whether it came; a turn that did not come is not used up.
    pub async fn turn(&self, most: Duration) -> bool {
        let Some(wait) = self.reserve(most) else { return false };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        true
    }

    fn reserve(&self, most: Duration) -> Option<Duration> {
        let now = Instant::now();
        let mut next = self.next.lock();
        let due = next.map_or(now, |next| next.max(now));
        let wait = (due - now).saturating_sub(self.burst);
        if wait > most {
            return None;
        }
        *next = Some(due + self.gap);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bursts_pass_and_the_rate_holds() {
        let limiter = Limiter::new(10, 5);
        let begun = Instant::now();
        for _ in 0..5 {
            assert!(limiter.turn(Duration::ZERO).await);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(!limiter.turn(Duration::from_millis(50)).await, "the sixth would have to wait 100 ms");
        for _ in 0..10 {
            assert!(limiter.turn(Duration::from_secs(5)).await);
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(1) && took < Duration::from_millis(1_050), "{took:?}");
    }
}
