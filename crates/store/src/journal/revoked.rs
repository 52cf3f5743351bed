//! Sessions that ended early, as long as they would have lasted. Let go of now and then: each look costs as much as all that
//! are kept.

use std::collections::HashMap;

use room::Millis;

/// Milliseconds between two looks.
const CLEAN: u64 = 60_000;

/// By their number, until when each must be refused.
pub(super) struct Revoked {
    pub until: HashMap<u64, Millis>,
    cleaned: Millis,
}

impl Revoked {
    /// These, of which some may be over.
    pub fn new(all: Vec<(u64, Millis)>, now: Millis) -> Self {
        Self { until: all.into_iter().filter(|(_, until)| *until > now).collect(), cleaned: now }
    }

    /// One more.
    pub fn insert(&mut self, session: u64, until: Millis, now: Millis) {
        self.until.insert(session, until);
        if now >= self.cleaned.plus(CLEAN) || now < self.cleaned {
            self.until.retain(|_, until| *until > now);
            self.cleaned = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_forgotten_once_a_minute() {
        let now = Millis(1_000_000);
        let mut revoked = Revoked::new(vec![(1, now), (2, now.plus(1))], now);
        assert_eq!(revoked.until.len(), 1);
        revoked.insert(3, now.plus(2), now.plus(59_999));
        assert_eq!(revoked.until.len(), 2);
        revoked.insert(4, Millis::NEVER, now.plus(60_000));
        assert_eq!(revoked.until.into_keys().collect::<Vec<_>>(), [4]);
    }
}
