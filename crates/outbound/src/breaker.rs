//! Remembers that a service is unavailable, so that not every caller has to find out by waiting.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// After `limit` failures in a row, lets one call through every `pause` until one succeeds.
#[derive(Debug)]
pub struct Breaker {
    limit: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While broken: when the next trial may go.
    trial: Option<Instant>,
}

impl Breaker {
    /// Breaks after `limit` failures in a row and tries again every `pause`.
    #[must_use]
    pub fn new(limit: u32, pause: Duration) -> Self {
        Self { limit, pause, state: Mutex::default() }
    }

    /// Whether a call may go now. While broken, each yes is the one trial of a pause.
    pub fn admits(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        match state.trial {
            None => true,
            Some(at) if at <= now => {
                state.trial = Some(now + self.pause);
                true
            }
            Some(_) => false,
        }
    }

    /// Whether it is broken now.
    pub fn is_broken(&self) -> bool {
        self.state.lock().trial.is_some()
    }

    /// When the next trial may go, if it is broken.
    pub fn trial(&self) -> Option<Instant> {
        self.state.lock().trial
    }

    /// A call got an answer. Says whether it had been broken.
    pub fn succeeded(&self) -> bool {
        std::mem::take(&mut *self.state.lock()).trial.is_some()
    }

    /// A call got none. Says whether it broke with this one.
    pub fn failed(&self) -> bool {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        let breaks = state.failures >= self.limit && state.trial.is_none();
        if breaks {
            state.trial = Some(Instant::now() + self.pause);
        }
        breaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn breaks_tries_and_heals() {
        let breaker = Breaker::new(2, Duration::from_secs(3));
        assert!(!breaker.failed() && breaker.admits());
        assert!(breaker.failed() && !breaker.admits());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(breaker.admits(), "one trial");
        assert!(!breaker.admits(), "only one");
        assert!(breaker.succeeded() && breaker.admits() && !breaker.is_broken());
        assert!(!breaker.failed(), "counted from the beginning");
    }
}
