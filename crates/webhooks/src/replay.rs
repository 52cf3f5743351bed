//! Telling again: what happened from some point on, to the end of what there is now, as far as it is still kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hashbrown::HashMap;
use room::{Millis, RoomId};
use tokio::time::{Instant, sleep};

use super::hook::{ABREAST, BATCH, FIRST_WAIT, Hook, WRONG, Wanted};
use super::{Hooks, body};
use store::error::Error;
use store::{History, News};

/// The first event that is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// The event of this `id`.
    Id(String),
    /// The room's change of this `seq`; only where a room is given.
    Seq(u64),
    /// The first event of this time or later.
    Time(Millis),
}

impl Cursor {
    /// Whether a text may be an event's id.
    #[must_use]
    pub fn is_id(text: &str) -> bool {
        let number = |part: &str| (1..=20).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        (3..=4).contains(&text.split('-').count()) && text.split('-').all(number)
    }
}

/// Before everything that is kept.
const OLDEST: &str = "0";

/// Tries of one event: what the URL cannot take now must not keep the rest from it.
const TRIES: u32 = 4;
/// For how long an answer that the URL takes no more just now (429, 503) uses up no try.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest pause between two tries.
const PAUSE: Duration = Duration::from_secs(10);
/// After so many events in a row that the URL did not accept, a replay ends: no receiver listens.
const UNHEARD: u32 = 64;

/// What is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Events.
    pub events: usize,
    /// URLs that still hear an earlier replay, and are left out of this one.
    pub left_out: usize,
}

/// Why nothing is sent again.
#[derive(Debug)]
pub enum NotReplayed {
    /// No URL is notified.
    Off,
    /// Every URL still hears an earlier replay.
    Running,
    /// The store is away.
    Store(Error),
}

impl From<Error> for NotReplayed {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// A URL that is sent something again, until this is dropped.
struct Running {
    hooks: Arc<Hooks>,
    hook: Arc<Hook>,
}

impl Running {
    /// None where that goes on already.
    fn begin(hooks: &Arc<Hooks>, hook: Arc<Hook>) -> Option<Self> {
        let free = hooks.replaying.lock().insert(hook.reader().to_owned());
        free.then(|| Self { hooks: hooks.clone(), hook })
    }

    async fn tell(self, mut scan: Scan) {
        let unheard = AtomicU32::new(0);
        let history = &*self.hooks.history;
        while unheard.load(Ordering::Relaxed) < UNHEARD {
            match scan.next(history).await {
                Ok(Some(some)) => self.hook.tell_again(&some, &unheard).await,
                Ok(None) => return tracing::info!("webhooks were sent again"),
                Err(error) => return tracing::warn!(%error, "a replay of webhooks ended early"),
            }
        }
        tracing::warn!("a replay of webhooks ended early: the URL accepts nothing");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.hooks.replaying.lock().remove(self.hook.reader());
    }
}

impl Hooks {
    /// Sends every URL again what happened from there on, of one room or of all; what is sent meanwhile goes on beside it.
    /// The events are then sent in the background, under the ids that they had.
    ///
    /// # Errors
    /// See [`NotReplayed`].
    pub async fn replay(self: &Arc<Self>, from: Cursor, room: Option<RoomId>) -> Result<Replayed, NotReplayed> {
        let settings = self.settings.borrow().clone();
        if settings.urls.is_empty() {
            return Err(NotReplayed::Off);
        }
        let free: Vec<Running> =
            self.hooks(&settings).into_iter().filter_map(|hook| Running::begin(self, hook)).collect();
        if free.is_empty() {
            return Err(NotReplayed::Running);
        }
        let mut ends = Vec::new();
        for partition in 0..self.history.partitions() {
            ends.push(self.history.end(partition).await?);
        }
        let scan = Scan { ends, from, room, partition: 0, place: OLDEST.to_owned(), begun: false };
        let mut events = 0;
        let mut counting = scan.clone();
        while let Some(some) = counting.next(&*self.history).await? {
            events += some.len();
        }
        let left_out = settings.urls.len() - free.len();
        for running in free {
            tokio::spawn(running.tell(scan.clone()));
        }
        Ok(Replayed { events, left_out })
    }
}

impl Hook {
    /// Tells events again, each until it is accepted or was tried a few times: one after the other for each room, rooms beside each
    /// other.
    async fn tell_again(&self, all: &[(String, News)], unheard: &AtomicU32) {
        // In the order in which the rooms come.
        let mut rooms: Vec<Vec<(&str, &News)>> = Vec::new();
        let mut known = HashMap::new();
        for (id, news) in all {
            let at = *known.entry(news.room()).or_insert(rooms.len());
            if at == rooms.len() {
                rooms.push(Vec::new());
            }
            rooms[at].push((id, news));
        }
        let told = stream::iter(rooms).for_each_concurrent(ABREAST, |all| async move {
            for (id, news) in all {
                if unheard.load(Ordering::Relaxed) < UNHEARD {
                    self.tell_one_again(id, news, unheard).await;
                }
            }
        });
        told.await;
    }

    async fn tell_one_again(&self, id: &str, news: &News, unheard: &AtomicU32) {
        let Some(Wanted { event, body, .. }) = self.wanted(id, news) else { return };
        let patient_until = Instant::now() + PATIENCE;
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        let why = loop {
            let answered = self.post_one(id, event, news, &body).await;
            let later = matches!(answered, Ok(429 | 503)) && Instant::now() < patient_until;
            tried += u32::from(!later);
            let why = match answered {
                Ok(200..300) => return unheard.store(0, Ordering::Relaxed),
                Ok(status) => {
                    if WRONG.contains(&status) {
                        unheard.store(0, Ordering::Relaxed);
                    }
                    format!("HTTP status {status}")
                }
                Err(failed) => failed,
            };
            if tried == TRIES {
                break why;
            }
            sleep(wait).await;
            wait = (wait * 2).min(PAUSE);
        };
        unheard.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(id, event, why, "a webhook that is sent again is not accepted; the replay goes on without it");
    }
}

/// A walk through what is to be sent again.
#[derive(Clone)]
struct Scan {
    /// Where each partition ended when the replay was asked for.
    ends: Vec<String>,
    from: Cursor,
    room: Option<RoomId>,
    partition: usize,
    place: String,
    begun: bool,
}

impl Scan {
    /// The next events with their ids, in order; perhaps none. `None` at the end.
    async fn next(&mut self, history: &dyn History) -> Result<Option<Vec<(String, News)>>, Error> {
        let Some(end) = self.ends.get(self.partition) else { return Ok(None) };
        let partition = self.partition;
        let last = body::id(self.partition, end, 0);
        let entries = if body::id(partition, &self.place, 0) < last {
            history.after(partition, &self.place, BATCH).await?
        } else {
            Vec::new()
        };
        let Some(newest) = entries.last() else {
            self.partition = partition + 1;
            self.place = OLDEST.to_owned();
            self.begun = false;
            return Ok(Some(Vec::new()));
        };
        self.place.clone_from(&newest.place);
        let mut some = Vec::new();
        for entry in entries.into_iter().filter(|entry| body::id(partition, &entry.place, 0) <= last) {
            for (n, news) in entry.news.into_iter().enumerate() {
                let id = body::id(partition, &entry.place, n);
                if self.takes(&id, &news) {
                    some.push((id, news));
                }
            }
        }
        Ok(Some(some))
    }

    fn takes(&mut self, id: &str, news: &News) -> bool {
        if self.room.as_ref().is_some_and(|room| news.room() != Some(room)) {
            return false;
        }
        self.begun = self.begun
            || match &self.from {
                Cursor::Id(first) => id >= first.as_str() && id.split('-').next() == first.split('-').next(),
                Cursor::Seq(first) => news.seq().is_some_and(|seq| seq >= *first),
                Cursor::Time(first) => news.at() >= *first,
            };
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn an_id_is_numbers_with_dashes() {
        for id in ["0-0000000000009-000", "15-1763913608000-0000000000001-002"] {
            assert!(Cursor::is_id(id), "{id}");
        }
        for id in ["", "x", "0-1", "0--000", "0-12 3-000", "0-1-2-3-4", "0-999999999999999999999-0"] {
            assert!(!Cursor::is_id(id), "{id}");
        }
    }
}
