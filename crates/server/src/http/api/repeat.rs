//! `Idempotency-Key`: a request that is sent again after a broken connection is answered as the first time, and done once.
//! Kept for a day: in Redis where nodes share one, or else in this process, bounded in number and bytes; the oldest go first.

mod shared;

use std::collections::VecDeque;

use aws_lc_rs::digest;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use room::Millis;

pub use shared::Shared;
use store::error::Error;

/// The header.
pub const HEADER: &str = "idempotency-key";
/// Longest name, in bytes.
const LONGEST: usize = 255;
/// Answers that are kept.
const MOST: usize = 10_000;
/// Bytes of them.
const MOST_BYTES: usize = 32 << 20;
/// For how long, in milliseconds.
const KEPT: u64 = 24 * 3600 * 1000;

/// An answer that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

#[derive(Debug)]
struct Entry {
    /// What was sent.
    asked: [u8; 32],
    at: Millis,
    given: Option<Given>,
}

/// Whether a text may name a request.
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain)
}

/// A number that stands for a request, which rooms remember: made of all that distinguishes it from another.
pub fn mark(parts: &[&[u8]]) -> u64 {
    let mut digest = digest::Context::new(&digest::SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finish().as_ref().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// What to do with a request that has a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is new: do it, and say what came of it.
    New,
    /// The same is being done at this moment.
    Running,
    /// It was done: this was the answer.
    Done(Given),
    /// The name was given to another request.
    Other,
}

/// The answers of a day.
pub enum Repeats {
    /// This process'.
    Here(Here),
    /// Those of all nodes.
    Shared(Box<Shared>),
}

impl Repeats {
    /// Where these settings of the store want them.
    #[must_use]
    pub fn of(store: &store::Settings) -> Self {
        let target = (store.kind == store::Place::Redis).then(|| store.target().ok()).flatten();
        target.map_or_else(|| Self::Here(Here::default()), |target| Self::Shared(Box::new(Shared::new(target))))
    }

    /// Looks whether this was asked before; if not, it is remembered as being done. The name holds all that distinguishes two
    /// requests apart but what was sent.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin(&self, name: &str, asked: [u8; 32], now: Millis) -> Result<Seen, Error> {
        match self {
            Self::Here(here) => Ok(here.begin(name, asked, now)),
            Self::Shared(shared) => shared.begin(name, asked).await,
        }
    }

    /// Says what came of a request; nothing: it was not done, and may be tried again.
    pub async fn end(&self, name: &str, given: Option<Given>) {
        match self {
            Self::Here(here) => here.end(name, given),
            Self::Shared(shared) => shared.end(name, given).await,
        }
    }
}

/// The answers of this process.
#[derive(Debug, Default)]
pub struct Here(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Box<str>, Entry>,
    /// Oldest first, with the time by which an entry is told from a later one of the same name.
    order: VecDeque<(Box<str>, Millis)>,
    bytes: usize,
}

impl Here {
    fn begin(&self, name: &str, asked: [u8; 32], now: Millis) -> Seen {
        let mut table = self.0.lock();
        table.forget(now);
        match table.entries.get(name) {
            Some(entry) if entry.asked != asked => Seen::Other,
            Some(Entry { given: Some(given), .. }) => Seen::Done(given.clone()),
            Some(_) => Seen::Running,
            None => {
                table.order.push_back((name.into(), now));
                table.entries.insert(name.into(), Entry { asked, at: now, given: None });
                Seen::New
            }
        }
    }

    fn end(&self, name: &str, given: Option<Given>) {
        let mut table = self.0.lock();
        let table = &mut *table;
        match given {
            None => _ = table.entries.remove(name),
            Some(given) => {
                if let Some(entry) = table.entries.get_mut(name) {
                    table.bytes += given.body.len();
                    entry.given = Some(given);
                }
            }
        }
    }
}

impl Table {
    /// Drops what is old or too much. One that is still being done stays: its request will say so.
    fn forget(&mut self, now: Millis) {
        while let Some((name, at)) = self.order.front() {
            let full = self.entries.len() >= MOST || self.bytes > MOST_BYTES;
            if !full && now.since(*at) < KEPT {
                return;
            }
            let current = self.entries.get(name).filter(|entry| entry.at == *at);
            if let Some(given) = current.map(|entry| entry.given.as_ref().map_or(0, |given| given.body.len())) {
                self.bytes = self.bytes.saturating_sub(given);
                self.entries.remove(name);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(body: &str) -> Given {
        Given { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn the_same_is_answered_the_same_and_another_is_refused() {
        let repeats = Here::default();
        let now = Millis(1);
        assert_eq!(repeats.begin("a", [1; 32], now), Seen::New);
        assert_eq!(repeats.begin("a", [1; 32], now), Seen::Running);
        assert_eq!(repeats.begin("b", [1; 32], now), Seen::New, "another name");
        repeats.end("a", Some(given("done")));
        assert_eq!(repeats.begin("a", [1; 32], now), Seen::Done(given("done")));
        assert_eq!(repeats.begin("a", [2; 32], now), Seen::Other);
        repeats.end("b", None);
        assert_eq!(repeats.begin("b", [2; 32], now), Seen::New, "what failed may be tried again");
        assert_eq!(repeats.begin("a", [2; 32], now.plus(KEPT)), Seen::New, "a day later");
    }

    #[test]
    fn it_is_bounded() {
        let repeats = Here::default();
        let big = "x".repeat(1 << 20);
        for n in 0..100u64 {
            assert_eq!(repeats.begin(&n.to_string(), [0; 32], Millis(n)), Seen::New);
            repeats.end(&n.to_string(), Some(given(&big)));
        }
        assert!(repeats.0.lock().bytes <= MOST_BYTES + (2 << 20));
        for n in 0..2 * MOST as u64 {
            repeats.begin(&format!("small{n}"), [0; 32], Millis(n));
        }
        let table = repeats.0.lock();
        assert!(table.entries.len() <= MOST && table.order.len() <= MOST + 1);
    }
}
