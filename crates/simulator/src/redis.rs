//! Redis as a model: servers that keep what the commands and scripts of this service need, one of them the master, and the
//! Sentinels over them. The real client speaks to it over a simulated network. `redis/tests.rs` holds it to a real one.

mod commands;
mod keys;
mod resp;
mod scripts;
mod sentinels;
mod serve;
mod server;
#[cfg(test)]
mod tests;
pub mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use room::RoomId;
use store::redis::sentinel::Address;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::keys::{Id, Keys, Stream};
use self::resp::Text;
use self::scripts::Engine;
use self::sentinels::Sentinels;
use self::server::{Change, Server};
use crate::dice::Dice;

/// A master that has no replica for so long takes no changes, where it is told to have one.
const MAX_LAG: Duration = Duration::from_secs(3);

/// The name that Sentinels have for the master.
pub use self::sentinels::NAME as MASTER;

/// An entry of the record of commits, as it stands in Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    id: Id,
    /// What is told.
    pub text: Text,
}

/// Something that changed in Redis.
#[derive(Debug)]
pub enum Noticed {
    /// A commit.
    Added(Told),
    /// Another server is the master, and its record is this.
    Promoted(Vec<Told>),
    /// All is gone.
    Forgotten,
}

/// Who is told what changes, in its order.
pub type Watch = Box<dyn Fn(Noticed) + Send + Sync>;

/// All servers.
pub struct Redis {
    state: Mutex<State>,
    watch: OnceLock<Watch>,
    /// Counts changes: who waits for something to read looks again.
    changed: watch::Sender<u64>,
    /// What the Sentinels know and say.
    pub sentinels: Sentinels,
    begun: Instant,
    /// Milliseconds that the clock of the servers showed at the beginning.
    clock: u64,
}

struct State {
    hosts: Vec<Host>,
    /// The one that is replicated.
    master: usize,
    /// Whether a master without replicas refuses changes.
    min_replicas: bool,
    engine: Arc<Engine>,
    dice: Dice,
    /// Up to where the record was told.
    told: Id,
}

/// A server as others see it.
struct Host {
    server: Server,
    up: bool,
    /// Whether it takes itself for a master.
    leads: bool,
    /// Changes on their way to it, and when they come.
    coming: VecDeque<(Instant, Change)>,
    /// How many changes it has.
    has: u64,
    /// Whether changes come to it, and if not since when.
    apart: Option<Instant>,
    /// Cancelled when its connections break.
    life: CancellationToken,
}

impl Host {
    fn new(engine: Arc<Engine>, leads: bool) -> Self {
        let server = Server::new(engine, Keys::default());
        let coming = VecDeque::new();
        Self { server, up: true, leads, coming, has: 0, apart: None, life: CancellationToken::new() }
    }

    /// Makes the changes that have come.
    fn catch_up(&mut self, now: Instant) {
        while self.coming.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, change)) = self.coming.pop_front() else { return };
            self.server.refuses = None;
            self.server.answer(change.at, &change.words);
            self.server.made.clear();
            self.has += 1;
        }
    }

    fn hang_up(&mut self) {
        std::mem::take(&mut self.life).cancel();
    }
}

impl Redis {
    /// A master and so many replicas, whose clock shows this.
    pub fn new(seed: u64, replicas: usize, min_replicas: bool, clock: u64) -> Arc<Self> {
        let engine = Arc::new(Engine::new());
        let hosts = (0..=replicas).map(|n| Host::new(engine.clone(), n == 0)).collect();
        let dice = Dice::apart(seed, 60);
        let state = State { hosts, master: 0, min_replicas, engine, dice, told: (0, 0) };
        Arc::new(Self {
            state: Mutex::new(state),
            watch: OnceLock::new(),
            changed: watch::Sender::new(0),
            sentinels: Sentinels::new(),
            begun: Instant::now(),
            clock,
        })
    }

    /// Where a server is.
    pub fn address(host: usize) -> Address {
        (format!("redis{host}"), 6379)
    }

    fn now(&self) -> u64 {
        self.clock + u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Works on a server that is up, and takes what it changed to its replicas.
    fn with<T>(&self, host: usize, work: impl FnOnce(&mut Server, u64) -> T) -> Option<T> {
        let now = self.now();
        let mut state = self.state.lock();
        let State { hosts, master, min_replicas, dice, told, .. } = &mut *state;
        if !hosts[host].up {
            return None;
        }
        let at = Instant::now();
        let lags = |other: &Host| !other.up || other.leads || other.apart.is_some_and(|since| at - since > MAX_LAG);
        let alone = hosts.iter().enumerate().all(|(n, other)| n == host || lags(other));
        hosts[host].catch_up(at);
        hosts[host].server.refuses = if !hosts[host].leads {
            Some("READONLY You can't write against a read only replica.")
        } else if *min_replicas && alone && host == *master {
            Some("NOREPLICAS Not enough good replicas to write.")
        } else {
            None
        };
        let done = work(&mut hosts[host].server, now);
        let made = std::mem::take(&mut hosts[host].server.made);
        if !made.is_empty() {
            hosts[host].has += made.len() as u64;
            if host == *master {
                for other in hosts.iter_mut().filter(|other| other.up && !other.leads && other.apart.is_none()) {
                    for change in &made {
                        let before = other.coming.back().map_or(at, |(due, _)| *due);
                        let due = before.max(at + Duration::from_millis(dice.from(1, 12)));
                        other.coming.push_back((due, change.clone()));
                    }
                }
                for entry in record(&mut hosts[host].server.keys, *told) {
                    *told = entry.id;
                    self.tell(Noticed::Added(entry));
                }
            }
            self.changed.send_modify(|changes| *changes += 1);
        }
        Some(done)
    }

    /// Has changes told.
    pub fn watch(&self, watch: Watch) {
        // Said once, before anything changes.
        let _ = self.watch.set(watch);
    }

    fn tell(&self, noticed: Noticed) {
        if let Some(watch) = self.watch.get() {
            watch(noticed);
        }
    }

    /// Whether something is wrong.
    pub fn is_troubled(&self) -> bool {
        let state = self.state.lock();
        self.sentinels.are_busy() || state.hosts.iter().any(|host| !host.up)
    }

    /// How many changes a server has made.
    fn made(&self, host: usize) -> u64 {
        self.state.lock().hosts[host].has
    }

    /// How many replicas have so many changes.
    fn replicas_with(&self, host: usize, changes: u64) -> usize {
        let now = Instant::now();
        let mut state = self.state.lock();
        if host != state.master {
            return 0;
        }
        let replicas = state.hosts.iter_mut().enumerate().filter(|(n, other)| *n != host && other.up && !other.leads);
        replicas
            .filter_map(|(_, other)| {
                other.catch_up(now);
                (other.apart.is_none() && other.has >= changes).then_some(())
            })
            .count()
    }

    /// Everything that is kept is gone, as after a start without persistence: connections break.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        let engine = state.engine.clone();
        for host in &mut state.hosts {
            host.server = Server::new(engine.clone(), Keys::default());
            host.coming.clear();
            host.has = 0;
            host.hang_up();
        }
        state.told = (0, 0);
        self.tell(Noticed::Forgotten);
        drop(state);
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// A server ends, or comes again with what it had: as a master, if it was one.
    pub fn set_up(&self, host: usize, up: bool) {
        let mut state = self.state.lock();
        let engine = state.engine.clone();
        let host = &mut state.hosts[host];
        host.up = up;
        host.coming.clear();
        host.server = Server::new(engine, std::mem::take(&mut host.server.keys));
        host.hang_up();
    }

    /// All connections to the servers break.
    pub fn hang_up(&self) {
        self.state.lock().hosts.iter_mut().for_each(Host::hang_up);
    }

    /// The master's number.
    pub fn master(&self) -> usize {
        self.state.lock().master
    }

    /// The life that a group has, if there is such a group.
    pub fn life_of(&self, group: &RoomId) -> Option<u64> {
        let mut state = self.state.lock();
        let master = state.master;
        let key = store::redis::keys::Keys::new(false).group(group);
        let life = |hash: &BTreeMap<Text, Text>| String::from_utf8_lossy(hash.get(b"e".as_slice())?).parse().ok();
        state.hosts[master].server.keys.see(key.as_bytes(), life).ok().flatten()
    }

    /// A replica that is up with most of the changes.
    fn best_replica(&self) -> Option<usize> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let replicas = state.hosts.iter_mut().enumerate().filter(|(_, host)| host.up && !host.leads);
        let counted = replicas.map(|(n, host)| {
            host.catch_up(now);
            (host.has, n)
        });
        counted.max().map(|(_, n)| n)
    }

    /// A replica is the master from now on; what had not come to it is lost. The old one goes on as if it were one.
    fn promote(&self, host: usize) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.hosts[host].catch_up(now);
        state.hosts[host].coming.clear();
        state.hosts[host].leads = true;
        state.hosts[host].apart = None;
        state.master = host;
        for other in state.hosts.iter_mut().filter(|other| !other.leads) {
            other.coming.clear();
            other.apart = Some(now);
        }
        let all = record(&mut state.hosts[host].server.keys, (0, 0));
        state.told = all.last().map_or((0, 0), |last| last.id);
        self.tell(Noticed::Promoted(all));
    }

    /// The bus is cut to its last entry, as if much more had been said.
    pub fn trim(&self) {
        let trim = |stream: &mut Stream| {
            while stream.entries.len() > 1 {
                stream.entries.pop_first();
            }
        };
        let mut state = self.state.lock();
        for host in &mut state.hosts {
            // It is a stream, or nothing.
            let _ = host.server.keys.change(store::redis::keys::Keys::bus(0).as_bytes(), trim);
        }
    }

    /// All others that are up become replicas of the master: what they have beside it is gone.
    fn follow_master(&self) {
        let mut state = self.state.lock();
        let engine = state.engine.clone();
        let master = state.master;
        let keys = state.hosts[master].server.keys.clone();
        let has = state.hosts[master].has;
        for (_, other) in state.hosts.iter_mut().enumerate().filter(|(n, other)| *n != master && other.up) {
            if std::mem::take(&mut other.leads) {
                other.hang_up();
            }
            if other.apart.take().is_some() || other.has != has || !other.coming.is_empty() {
                other.server = Server::new(engine.clone(), keys.clone());
                other.coming.clear();
                other.has = has;
            }
        }
    }
}

/// What the record of commits tells after an entry.
fn record(keys: &mut Keys, after: Id) -> Vec<Told> {
    let key = store::redis::keys::Keys::events(0);
    let told = |(id, fields): (&Id, &keys::Fields)| Told { id: *id, text: fields.get(1).cloned().unwrap_or_default() };
    let all = |stream: &Stream| {
        let rest = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        stream.entries.range(rest).map(told).collect()
    };
    keys.see(key.as_bytes(), all).unwrap_or_default()
}
