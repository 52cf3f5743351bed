//! What the hub did since its start. Grows only; knows no users and no groups.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::close::Close;

/// The numbers.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were let in.
    pub connected: AtomicU64,
    /// Messages of groups, system messages among them.
    pub messages: AtomicU64,
    /// Point-to-point messages.
    pub direct: AtomicU64,
    /// Messages put into a receiver's queue: one for each receiver.
    pub deliveries: AtomicU64,
    /// Requests that came faster than a connection may send.
    pub hurried: AtomicU64,
    closed: [AtomicU64; Close::ALL.len() + 1],
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// A WebSocket ended; none: the client closed it, or the network.
    pub fn closed(&self, why: Option<Close>) {
        let at = why.and_then(|why| Close::ALL.iter().position(|known| *known == why)).unwrap_or(Close::ALL.len());
        Self::add(&self.closed[at], 1);
    }

    /// WebSockets that ended, by close code; 0: by the client or the network.
    pub fn ends(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let codes = Close::ALL.iter().map(|why| why.code()).chain([0]);
        codes.zip(self.closed.iter().map(|n| n.load(Ordering::Relaxed)))
    }
}
