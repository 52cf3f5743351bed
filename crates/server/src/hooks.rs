//! Webhooks: tells the app's backend what happened, each event until it is accepted, in order for each room. Reads the
//! store's record of commits from where it stopped, so that a restart, a dead backend or a slow one loses nothing and
//! costs nobody anything. Knows no HTTP client: who carries a request is passed in.

mod body;
mod post;
mod streams;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use room::Millis;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::clock::Clock;
use crate::config::Hidden;
use crate::error::Error;
use crate::store::{Entry, History, News};

pub use body::{EVENTS, signature};
pub use streams::note;

/// `[webhooks]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where events are posted to; each URL gets all of them.
    pub urls: Vec<String>,
    /// Signs the requests.
    pub secret: Hidden,
    /// Names of the events that are sent; empty: all.
    pub events: Vec<String>,
}

impl Settings {
    pub(crate) fn problems(&self, found: &mut Vec<String>) {
        for url in &self.urls {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                found.push(format!("webhooks.urls: \"{url}\" is neither http:// nor https://"));
            }
        }
        if !self.urls.is_empty() && self.secret.expose().len() < 16 {
            found.push("webhooks.secret must have at least 16 characters: the receiver checks who calls by it".into());
        }
        for event in self.events.iter().filter(|event| !EVENTS.contains(&event.as_str())) {
            found.push(format!("webhooks.events: there is no \"{event}\"; there are {}", EVENTS.join(", ")));
        }
    }
}

/// What came of a request: the HTTP status, or why there is none.
pub type Posted = Pin<Box<dyn Future<Output = Result<u16, String>> + Send>>;

/// Carries requests.
pub trait Post: Send + Sync + 'static {
    /// Posts a JSON body with these headers, within a bounded time.
    fn post(&self, url: &str, headers: &[(&'static str, String)], body: Bytes) -> Posted;
}

/// Entries read at a time.
const BATCH: usize = 256;
/// Rooms whose events are on the way at the same time.
const ABREAST: usize = 16;
/// The first wait after a failure, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// After this long, in milliseconds, an event that was never accepted is given up.
const GIVE_UP: u64 = 24 * 3600 * 1000;
/// An answer that says "this is wrong" is believed after so many of them.
const WRONG: u32 = 8;
/// For how long a node has a lane to itself.
const LEASE: Duration = Duration::from_secs(30);

/// One URL that is told.
pub struct Hook {
    url: String,
    reader: String,
    secret: Hidden,
    events: Vec<String>,
    post: Arc<dyn Post>,
    history: Arc<dyn History>,
    clock: Arc<dyn Clock>,
}

impl Hook {
    /// Puts the parts together, one for each URL.
    #[must_use]
    pub fn all(
        settings: &Settings,
        post: &Arc<dyn Post>,
        history: &Arc<dyn History>,
        clock: &Arc<dyn Clock>,
    ) -> Vec<Arc<Self>> {
        let hook = |url: &String| {
            let reader = format!("webhook-{:08x}", crc32fast::hash(url.as_bytes()));
            let (secret, events) = (settings.secret.clone(), settings.events.clone());
            let (post, history, clock) = (post.clone(), history.clone(), clock.clone());
            Arc::new(Self { url: url.clone(), reader, secret, events, post, history, clock })
        };
        settings.urls.iter().map(hook).collect()
    }

    /// Tells everything, for ever.
    pub async fn run(self: Arc<Self>) {
        let lanes = (0..self.history.lanes()).map(|lane| {
            let hook = self.clone();
            async move {
                loop {
                    if let Err(error) = hook.pass(lane).await {
                        tracing::warn!(%error, lane, "webhooks wait for the store");
                        sleep(BACKOFF.0).await;
                    }
                }
            }
        });
        futures_util::future::join_all(lanes).await;
    }

    /// Tells a lane's next events. Returns when they are accepted or given up.
    ///
    /// # Errors
    /// The store is away; nothing is skipped.
    pub async fn pass(&self, lane: usize) -> Result<(), Error> {
        let (history, reader) = (&self.history, &*self.reader);
        if !history.hold(reader, lane, LEASE).await? {
            sleep(LEASE / 10).await;
            return Ok(());
        }
        let place = match history.place(reader, lane).await? {
            Some(place) => place,
            // A new URL hears what happens from now on.
            None => {
                let end = history.end(lane).await?;
                history.save(reader, lane, &end).await?;
                end
            }
        };
        let entries = history.after(lane, &place, BATCH).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        let told = self.tell(lane, &entries);
        // However long it takes, the lane stays ours.
        let keep = async {
            loop {
                sleep(LEASE / 3).await;
                // A store that is away has given it to nobody else.
                if let Ok(false) = history.hold(reader, lane, LEASE).await {
                    return Err(Error::Unavailable("another node has taken the lane over".into()));
                }
            }
        };
        tokio::select! {
            () = told => {}
            lost = keep => lost?,
        }
        history.save(reader, lane, &last.place).await
    }

    /// Tells again what happened after a place, to the end of what there is now. What is told meanwhile goes on beside it.
    ///
    /// # Errors
    /// The store is away.
    pub async fn replay(&self, lane: usize, from: &str) -> Result<usize, Error> {
        let (end, mut place, mut told) = (self.history.end(lane).await?, from.to_owned(), 0);
        while place != end {
            let entries = self.history.after(lane, &place, BATCH).await?;
            let upto = entries.iter().position(|e| e.place == end).map_or(entries.len(), |at| at + 1);
            let Some(last) = entries[..upto].last() else { break };
            self.tell(lane, &entries[..upto]).await;
            told += entries[..upto].iter().map(|e| e.news.len()).sum::<usize>();
            place.clone_from(&last.place);
        }
        Ok(told)
    }

    async fn tell(&self, lane: usize, entries: &[Entry]) {
        // One after the other for each room, rooms beside each other.
        let mut rooms: Vec<Vec<(String, &News)>> = Vec::new();
        let mut known = hashbrown::HashMap::new();
        for entry in entries {
            for (n, news) in entry.news.iter().enumerate() {
                let room = news.room().map(room::RoomId::as_str);
                let at = *known.entry(room).or_insert_with(|| {
                    rooms.push(Vec::new());
                    rooms.len() - 1
                });
                rooms[at].push((format!("{lane}-{}-{n}", entry.place), news));
            }
        }
        let told = stream::iter(rooms).for_each_concurrent(ABREAST, |all| async move {
            for (id, news) in all {
                self.tell_one(&id, news).await;
            }
        });
        told.await;
    }

    /// Tells one event until it is accepted, or it is too old.
    async fn tell_one(&self, id: &str, news: &News) {
        let Some((event, at, body)) = body::body(id, news) else { return };
        if !self.events.is_empty() && !self.events.iter().any(|wanted| wanted == event) {
            return;
        }
        let (mut wait, mut wrong) = (BACKOFF.0, 0);
        loop {
            let now = self.clock.now();
            if now.since(at) > GIVE_UP {
                tracing::error!(id, event, "a webhook was never accepted and is given up");
                return;
            }
            let why = match self.post_one(id, event, now, &body).await {
                Ok(200..300) => return,
                Ok(status) => {
                    if (400..500).contains(&status) && ![408, 425, 429].contains(&status) {
                        wrong += 1;
                        if wrong >= WRONG {
                            tracing::error!(id, event, status, "a webhook is refused again and again and is given up");
                            return;
                        }
                    }
                    format!("HTTP status {status}")
                }
                Err(why) => why,
            };
            tracing::debug!(id, event, why, "a webhook was not accepted; trying again");
            sleep(wait).await;
            wait = (wait * 2).min(BACKOFF.1);
        }
    }

    async fn post_one(&self, id: &str, event: &str, now: Millis, body: &Bytes) -> Result<u16, String> {
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-roomservice-event", event.to_owned()),
            ("x-roomservice-id", id.to_owned()),
            ("x-roomservice-signature", signature(&self.secret, now, body)),
        ];
        self.post.post(&self.url, &headers, body.clone()).await
    }
}
