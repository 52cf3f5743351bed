//! Telling again: what happened from some point on, to the end of what there is now, as far as it is still kept.

use std::sync::Arc;

use room::{Millis, RoomId};

use super::hook::{BATCH, Hook};
use super::{Hooks, body};
use store::error::Error;
use store::{History, News};

/// The first event that is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The event of this `id`.
    Id(String),
    /// The room's change of this `seq`; only where a room is given.
    Seq(u64),
    /// The first event of this time or later.
    Time(Millis),
}

impl From {
    /// Whether a text may be an event's id.
    #[must_use]
    pub fn is_id(text: &str) -> bool {
        let number = |part: &str| (1..=20).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        (3..=4).contains(&text.split('-').count()) && text.split('-').all(number)
    }
}

/// Before everything that is kept.
const OLDEST: &str = "0";

impl Hooks {
    /// Sends every URL again what happened from there on, of one room or of all; what is sent meanwhile goes on beside it.
    /// Returns how many events that are. They are then sent in the background, under the ids that they had.
    ///
    /// # Errors
    /// The store is unavailable, a replay is still running, or no URL is notified.
    pub async fn replay(self: &Arc<Self>, from: From, room: Option<RoomId>) -> Result<usize, Error> {
        let settings = self.settings.borrow().clone();
        if settings.urls.is_empty() {
            return Err(Error::Unavailable("webhooks.urls is empty".into()));
        }
        let Ok(running) = self.replaying.clone().try_lock_owned() else {
            return Err(Error::Unavailable("a replay is still running".into()));
        };
        let mut ends = Vec::new();
        for partition in 0..self.history.partitions() {
            ends.push(self.history.end(partition).await?);
        }
        let scan = Scan { ends, from, room, partition: 0, place: OLDEST.to_owned(), begun: false };
        let mut found = 0;
        let mut counting = scan.clone();
        while let Some(some) = counting.next(&*self.history).await? {
            found += some.len();
        }
        let hooks = self.clone();
        tokio::spawn(async move {
            let _running = running;
            let telling =
                hooks.hooks(&settings).into_iter().map(|hook| again(hooks.history.clone(), hook, scan.clone()));
            futures_util::future::join_all(telling).await;
            tracing::info!(events = found, "webhooks were sent again");
        });
        Ok(found)
    }
}

async fn again(history: Arc<dyn History>, hook: Arc<Hook>, mut scan: Scan) {
    loop {
        match scan.next(&*history).await {
            Ok(Some(some)) => hook.tell_all(some.iter().map(|(id, news)| (id.clone(), news)).collect()).await,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "a replay of webhooks ended early"),
        }
    }
}

/// A walk through what is to be sent again.
#[derive(Clone)]
struct Scan {
    /// Where each partition ended when the replay was asked for.
    ends: Vec<String>,
    from: From,
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
                From::Id(first) => id >= first.as_str() && id.split('-').next() == first.split('-').next(),
                From::Seq(first) => news.seq().is_some_and(|seq| seq >= *first),
                From::Time(first) => news.at() >= *first,
            };
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use super::From;

    #[test]
    fn an_id_is_numbers_with_dashes() {
        for id in ["0-0000000000009-000", "15-1763913608000-0000000000001-002"] {
            assert!(From::is_id(id), "{id}");
        }
        for id in ["", "x", "0-1", "0--000", "0-12 3-000", "0-1-2-3-4", "0-999999999999999999999-0"] {
            assert!(!From::is_id(id), "{id}");
        }
    }
}
