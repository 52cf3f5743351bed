//! Which clients media has reached lately, and which it has not: one that has not is its own trouble, many are the operator's. Pure.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What is older counts no more.
const LATELY: Duration = Duration::from_secs(600);

/// Clients that are remembered.
const MOST: usize = 4_096;

/// So many clients that were not reached are many, where as many were reached or fewer.
const MANY: usize = 3;

/// What became of the clients that tried to connect lately, by their addresses.
#[derive(Default)]
pub struct Reach {
    clients: Mutex<HashMap<IpAddr, Client>>,
}

#[derive(Clone, Copy)]
struct Client {
    at: Instant,
    reached: bool,
}

/// Clients that tried to connect lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Those that media did not reach, the last time they tried.
    pub unreached: usize,
    /// All of them.
    pub clients: usize,
}

impl Reach {
    /// Notes what became of a client's attempt.
    pub fn note(&self, client: IpAddr, reached: bool, at: Instant) {
        let mut clients = self.clients.lock();
        if clients.len() >= MOST && !clients.contains_key(&client) {
            clients.retain(|_, client| at.saturating_duration_since(client.at) < LATELY);
            if clients.len() >= MOST {
                return;
            }
        }
        clients.insert(client, Client { at, reached });
    }

    /// Those of the last ten minutes, where it is many that media does not reach. `reached`: clients that it reaches now, whenever they
    /// came.
    pub fn fails(&self, reached: &HashSet<IpAddr>, now: Instant) -> Option<Tried> {
        let mut clients = self.clients.lock();
        clients.retain(|_, client| now.saturating_duration_since(client.at) < LATELY);
        let away: Vec<_> = clients.iter().filter(|(ip, _)| !reached.contains(*ip)).collect();
        let unreached = away.iter().filter(|(_, client)| !client.reached).count();
        let tried = Tried { unreached, clients: away.len() + reached.len() };
        (unreached >= MANY && 2 * unreached >= tried.clients).then_some(tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0a00_0000 + n).into()
    }

    #[test]
    fn many_that_are_not_reached_are_told_until_they_are_or_it_was_long_ago() {
        let reach = Reach::default();
        let none = HashSet::new();
        let now = Instant::now();
        for _ in 0..9 {
            reach.note(client(1), false, now);
        }
        reach.note(client(2), false, now);
        assert_eq!(reach.fails(&none, now), None, "two clients are not many, however often they try");
        reach.note(client(3), false, now);
        assert_eq!(reach.fails(&none, now), Some(Tried { unreached: 3, clients: 3 }));
        (4..7).for_each(|n| reach.note(client(n), true, now));
        assert_eq!(reach.fails(&none, now), Some(Tried { unreached: 3, clients: 6 }));
        reach.note(client(7), true, now);
        assert_eq!(reach.fails(&none, now), None, "most are reached");
        (4..8).for_each(|n| reach.note(client(n), false, now));
        assert_eq!(reach.fails(&none, now), Some(Tried { unreached: 7, clients: 7 }), "what they met last counts");
        let here: HashSet<IpAddr> = (1..20).map(client).collect();
        assert_eq!(reach.fails(&here, now), None, "they are reached at the moment");
        let others: HashSet<IpAddr> = (100..120).map(client).collect();
        assert_eq!(reach.fails(&others, now), None, "those who came long ago count, too");
        assert_eq!(reach.fails(&none, now + LATELY), None);
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let reach = Reach::default();
        let now = Instant::now();
        (0..10_000).for_each(|n| reach.note(client(n), false, now));
        assert_eq!(reach.clients.lock().len(), MOST);
        reach.note(client(20_000), true, now + LATELY);
        assert_eq!(reach.clients.lock().len(), 1);
    }
}
