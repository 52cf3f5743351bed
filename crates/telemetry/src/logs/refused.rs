//! Calls that were refused because their callers ask for too much: counted, and told together. A line for each would let anybody
//! fill a disk.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Between two lines.
const PACE: Duration = Duration::from_secs(1);
/// Addresses that a line names.
const NAMED: usize = 8;

/// Those that no line tells of yet.
#[derive(Debug, Default)]
pub(super) struct Refused {
    count: u64,
    /// The first addresses, each with its calls.
    by: Vec<(IpAddr, u64)>,
    /// When the last line was made.
    told: Option<Instant>,
}

impl Refused {
    /// One more.
    pub fn add(&mut self, peer: Option<IpAddr>) {
        self.count += 1;
        let Some(peer) = peer else { return };
        if let Some((_, count)) = self.by.iter_mut().find(|(known, _)| *known == peer) {
            *count += 1;
        } else if self.by.len() < NAMED {
            self.by.push((peer, 1));
        }
    }

    /// How many there are and a line about them, if it is time for one, or there is to be none after it.
    pub fn tell(&mut self, now: Instant, at_last: bool) -> Option<(u64, String)> {
        let due = at_last || self.told.is_none_or(|told| now.duration_since(told) >= PACE);
        if self.count == 0 || !due {
            return None;
        }
        self.told = Some(now);
        let count = std::mem::take(&mut self.count);
        let others = count - self.by.iter().map(|(_, calls)| calls).sum::<u64>();
        let named = self.by.drain(..).map(|(peer, calls)| format!("peer={peer} {calls}"));
        let parts: Vec<_> = named.chain((others > 0).then(|| format!("others {others}"))).collect();
        Some((count, format!("{count} calls were refused with 429: {}", parts.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_line_whoever_calls() {
        let begun = Instant::now();
        let mut refused = Refused::default();
        assert_eq!(refused.tell(begun, true), None);
        refused.add(Some([203, 0, 113, 1].into()));
        assert_eq!(refused.tell(begun, false).unwrap().1, "1 calls were refused with 429: peer=203.0.113.1 1");
        for n in 0..1000u32 {
            refused.add(Some([203, 0, 113, (n % 10) as u8].into()));
        }
        assert_eq!(refused.tell(begun + PACE / 2, false), None);
        let (count, line) = refused.tell(begun + PACE, false).unwrap();
        assert_eq!(count, 1000);
        assert!(line.starts_with("1000 calls were refused with 429: peer=203.0.113.0 100, peer="), "{line}");
        assert!(line.ends_with(" peer=203.0.113.7 100, others 200"), "{line}");
        refused.add(None);
        assert_eq!(refused.tell(begun + PACE, true).unwrap().1, "1 calls were refused with 429: others 1");
    }
}
