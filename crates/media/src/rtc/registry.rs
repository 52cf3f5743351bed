//! The sessions there are, by their public names, and the bounds on how many.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::{Config, Counters, Refused, Restarted};

/// The sessions there are, by their public names.
pub struct Registry {
    sessions: Mutex<HashMap<String, Entry>>,
    workers: usize,
    counters: Arc<Counters>,
}

/// A session.
pub struct Entry {
    /// Its number, which says whose worker it is.
    pub key: u64,
    /// Who asked for it.
    pub peer: IpAddr,
    /// Whether its peer has connected.
    pub connected: bool,
    /// What a restart of ICE must name.
    pub etag: String,
    /// Its last restart of ICE.
    pub restart: Option<Box<Restart>>,
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

impl Registry {
    /// None yet, for this many workers.
    pub fn new(workers: usize, counters: Arc<Counters>) -> Self {
        Self { sessions: Mutex::default(), workers, counters }
    }

    /// Sessions are dealt out to workers by their number.
    pub fn worker_of(&self, key: u64) -> usize {
        (key % self.workers as u64) as usize
    }

    /// Notes that a session no longer counts among the unconnected.
    pub fn connected(&self, id: &str) {
        if let Some(entry) = self.sessions.lock().get_mut(id) {
            entry.connected = true;
        }
    }

    /// The addresses of peers that media reaches.
    pub fn reached(&self) -> HashSet<IpAddr> {
        let sessions = self.sessions.lock();
        sessions.values().filter(|entry| entry.connected).map(|entry| entry.peer).collect()
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
        let waiting = sessions.values().filter(|s| !s.connected && s.peer == entry.peer).count();
        if waiting >= config.max_unconnected_per_peer {
            return Err(Refused::TooMany("sessions of this address that are not connected"));
        }
        sessions.insert(id.to_owned(), entry);
        Counters::add(&self.counters.sessions, 1);
        Ok(())
    }
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
