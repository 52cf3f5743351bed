//! How many datagrams addresses may send that no session answered yet, in memory of a fixed size: a flood from one address is
//! dropped before anybody looks at it. Pure: the time is an argument.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Instant;

/// Places of addresses; 64 kB.
const PLACES: usize = 1 << 13;

/// The pace of one address: a datagram each so many microseconds, and how many microseconds it may be ahead of that.
pub(super) type Pace = (u64, u64);

/// Who sent how much.
pub(super) struct Strangers {
    pace: Option<Pace>,
    start: Instant,
    /// When each place has spent what it was given, in microseconds since `start`. An address has two places, which it shares
    /// with all other addresses that fall there: it is held back when both are spent.
    places: Box<[u64]>,
    hash: RandomState,
}

impl Strangers {
    /// Nothing was sent so far. Without a pace every address may send anything.
    pub fn new(pace: Option<Pace>, start: Instant) -> Self {
        Strangers { pace, start, places: vec![0; PLACES].into(), hash: RandomState::new() }
    }

    /// Whether a datagram of `source` is to be looked at. IPv6 counts by network (/64).
    pub fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let Some((every, ahead)) = self.pace else { return true };
        let now = u64::try_from(now.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX);
        let key = match source {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            // Never what an IPv4 address is.
            IpAddr::V6(ip) => ip.to_bits() >> 64 | 1 << 64,
        };
        let hash = self.hash.hash_one(key) as usize;
        let places = [hash % PLACES, (hash >> 32) % PLACES];
        let spent = places.map(|at| self.places[at]);
        let least = spent[0].min(spent[1]).max(now);
        if least - now > ahead {
            return false;
        }
        for at in places {
            self.places[at] = self.places[at].max(least.saturating_add(every));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    fn v4(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn a_burst_then_an_even_pace_and_others_are_not_held_back() {
        let start = Instant::now();
        let mut strangers = Strangers::new(Some((1_000, 99_000)), start);
        let taken = |s: &mut Strangers, ip, at: u64, count: usize| {
            (0..count).filter(|_| s.take(ip, start + Duration::from_millis(at))).count()
        };
        assert_eq!(taken(&mut strangers, v4(1), 0, 10_000), 100);
        assert_eq!(taken(&mut strangers, v4(2), 0, 50), 50);
        assert_eq!(taken(&mut strangers, v4(1), 10, 10_000), 10);
        let six = |network: u128, host: u128| IpAddr::V6(Ipv6Addr::from_bits(network << 64 | host));
        let hosts = (0..1_000).filter(|host| strangers.take(six(7, *host), start));
        assert_eq!(hosts.count(), 100, "one network");
        assert!(strangers.take(six(8, 0), start));
        let mut open = Strangers::new(None, start);
        assert_eq!(taken(&mut open, v4(1), 0, 10_000), 10_000);
    }

    #[test]
    fn a_flood_of_addresses_holds_back_few_others() {
        let start = Instant::now();
        let mut strangers = Strangers::new(Some((1_000, 99_000)), start);
        // 500 that flood: 1,000 of 8,192 places are spent, and who comes falls into two of those rarely.
        for attacker in 0..500 {
            let _ = (0..200).filter(|_| strangers.take(v4(attacker), start)).count();
        }
        let through = (10_000..11_000).filter(|ip| strangers.take(v4(*ip), start)).count();
        assert!(through >= 950, "{through} of 1000");
    }
}
