//! The sessions there are, by their public names, and the bounds on how many.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;

use super::{Config, Counters, Refused, Restarted};
use crate::name::StreamName;

/// Most publishers that hung up and may still end their streams.
const MOST_LEFT: usize = 4096;

/// The sessions there are, by their public names.
pub struct Registry {
    sessions: Mutex<HashMap<String, Entry>>,
    /// Publishers that hung up, the first first.
    left: Mutex<VecDeque<Left>>,
    workers: usize,
    counters: Arc<Counters>,
}

/// A session.
pub struct Entry {
    /// Its number, which says whose worker it is.
    pub key: u64,
    /// Who asked for it.
    pub peer: IpAddr,
    /// How far it has come.
    pub stage: Stage,
    /// What a restart of ICE must name.
    pub etag: String,
    /// Its last restart of ICE.
    pub restart: Option<Box<Restart>>,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for permission, or for somebody to publish its stream: no media machine, and nothing to connect to.
    Waiting,
    /// It has an answer, and its peer is to connect.
    Answered,
    /// Its peer has connected.
    Connected,
}

/// A restart of ICE that was made. Who did not get the answer, in a network that it has just come to, asks for it once more.
pub struct Restart {
    /// The tag before it.
    pub before: String,
    /// The peer's user name fragment and password.
    pub creds: (String, String),
    /// What was answered.
    pub answer: Restarted,
}

/// The session of a publisher that hung up, and whose stream waits for it. A page that reloads comes back; others close the
/// connection and say only then, by HTTP, that the stream is over.
#[derive(Clone)]
pub struct Left {
    /// How long the stream waits.
    pub until: Instant,
    /// The session's public name.
    pub id: String,
    /// Its number.
    pub key: u64,
    /// Its stream.
    pub stream: StreamName,
    /// Which publisher of the stream it was.
    pub publisher: u64,
}

impl Registry {
    /// None yet, for this many workers.
    pub fn new(workers: usize, counters: Arc<Counters>) -> Self {
        Self { sessions: Mutex::default(), left: Mutex::default(), workers, counters }
    }

    /// Notes a publisher that hung up.
    pub fn leave(&self, gone: Left, now: Instant) {
        let mut left = self.left.lock();
        while left.len() >= MOST_LEFT || left.front().is_some_and(|first| first.until <= now) {
            left.pop_front();
        }
        left.push_back(gone);
    }

    /// A publisher that hung up, and whose stream may wait for it.
    pub fn left(&self, is: impl Fn(&Left) -> bool, now: Instant) -> Option<Left> {
        self.left.lock().iter().find(|left| left.until > now && is(left)).cloned()
    }

    /// Sessions are dealt out to workers by their number.
    pub fn worker_of(&self, key: u64) -> usize {
        (key % self.workers as u64) as usize
    }

    /// Notes that a session no longer counts among the unconnected.
    pub fn connected(&self, id: &str) {
        if let Some(entry) = self.sessions.lock().get_mut(id) {
            entry.stage = Stage::Connected;
        }
    }

    /// The addresses of peers that media reaches.
    pub fn reached(&self) -> HashSet<IpAddr> {
        let sessions = self.sessions.lock();
        sessions.values().filter(|entry| entry.stage == Stage::Connected).map(|entry| entry.peer).collect()
    }

    /// The number and the tag of a session.
    pub fn find(&self, id: &str) -> Option<(u64, String)> {
        self.sessions.lock().get(id).map(|entry| (entry.key, entry.etag.clone()))
    }

    /// Notes that a session's ICE began anew.
    pub fn restarted(&self, id: &str, restart: Restart) {
        if let Some(entry) = self.sessions.lock().get_mut(id) {
            restart.answer.etag.clone_into(&mut entry.etag);
            entry.restart = Some(Box::new(restart));
        }
    }

    /// The answer to a session's last restart, if this asks for it once more.
    pub fn again(&self, id: &str, creds: &(String, String), if_match: &[String]) -> Option<Restarted> {
        let sessions = self.sessions.lock();
        let restart = sessions.get(id)?.restart.as_ref()?;
        (names(if_match, &restart.before) && restart.creds == *creds).then(|| restart.answer.clone())
    }

    /// Forgets a session.
    pub fn remove(&self, id: &str) {
        if self.sessions.lock().remove(id).is_some() {
            self.counters.sessions.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Notes a session.
    ///
    /// # Errors
    /// There are as many as may be, in all or of this peer.
    pub fn admit(&self, id: &str, entry: Entry, config: &Config) -> Result<(), Refused> {
        let mut sessions = self.sessions.lock();
        if sessions.len() >= config.max_sessions {
            return Err(Refused::TooMany("sessions"));
        }
        if of_peer(&sessions, entry.peer, Stage::Waiting) >= config.max_waiting_per_peer {
            return Err(Refused::TooMany("viewers of this address that wait for a stream"));
        }
        sessions.insert(id.to_owned(), entry);
        Counters::add(&self.counters.sessions, 1);
        Ok(())
    }

    /// Notes that a session is answered now: from then on it counts among those that are to connect.
    ///
    /// # Errors
    /// There are as many of this peer as may be.
    pub fn answers(&self, id: &str, config: &Config) -> Result<(), Refused> {
        let mut sessions = self.sessions.lock();
        let Some(entry) = sessions.get(id).filter(|entry| entry.stage == Stage::Waiting) else { return Ok(()) };
        if of_peer(&sessions, entry.peer, Stage::Answered) >= config.max_unconnected_per_peer {
            return Err(Refused::TooMany("sessions of this address that are not connected"));
        }
        if let Some(entry) = sessions.get_mut(id) {
            entry.stage = Stage::Answered;
        }
        Ok(())
    }
}

fn of_peer(sessions: &HashMap<String, Entry>, peer: IpAddr, stage: Stage) -> usize {
    sessions.values().filter(|entry| entry.stage == stage && entry.peer == peer).count()
}

/// Whether an `If-Match` names this tag.
pub fn names(if_match: &[String], etag: &str) -> bool {
    if_match.iter().any(|tag| tag == "*" || tag == etag)
}

/// A place among the sessions; given back unless the session started.
pub struct Place {
    /// Where it is.
    pub registry: Arc<Registry>,
    /// Which one; `None` once the session has started.
    pub id: Option<String>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.registry.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_waits_for_a_stream_takes_no_place_of_those_that_connect() {
        let registry = Registry::new(1, Arc::default());
        let config =
            Config { max_sessions: 9, max_unconnected_per_peer: 2, max_waiting_per_peer: 4, ..Config::default() };
        let admit = |id: &str, peer: [u8; 4]| {
            let entry = Entry { key: 1, peer: peer.into(), stage: Stage::Waiting, etag: String::new(), restart: None };
            registry.admit(id, entry, &config)
        };
        let near = [192, 0, 2, 1];
        assert!(["a", "b", "c", "d"].iter().all(|id| admit(id, near).is_ok()));
        assert!(matches!(admit("e", near), Err(Refused::TooMany(_))) && admit("f", [192, 0, 2, 2]).is_ok());
        assert!(["a", "b", "a"].iter().all(|id| registry.answers(id, &config).is_ok()));
        assert!(matches!(registry.answers("c", &config), Err(Refused::TooMany(_))));
        registry.connected("a");
        assert!(registry.answers("c", &config).is_ok() && admit("e", near).is_ok());
    }

    #[test]
    fn who_hung_up_is_known_as_long_as_the_stream_waits_and_so_many_at_most() {
        let registry = Registry::new(1, Arc::default());
        let stream = StreamName::new("s").unwrap();
        let start = Instant::now();
        let leave = |key: u64, now: Instant| {
            let until = now + Duration::from_secs(15);
            let left = Left { until, id: key.to_string(), key, stream: stream.clone(), publisher: key };
            registry.leave(left, now);
        };
        let knows = |key: u64, now: Instant| registry.left(|left| left.key == key, now).is_some();
        leave(1, start);
        assert!(knows(1, start + Duration::from_secs(14)) && !knows(1, start + Duration::from_secs(15)));
        let later = start + Duration::from_secs(15);
        for key in 2..=MOST_LEFT as u64 + 2 {
            leave(key, later);
        }
        assert!(!knows(2, later) && knows(3, later) && knows(MOST_LEFT as u64 + 2, later));
        assert_eq!(registry.left.lock().len(), MOST_LEFT);
        leave(1, later + Duration::from_secs(15));
        assert_eq!(registry.left.lock().len(), 1);
    }
}
