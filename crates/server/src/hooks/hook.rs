//! One URL that is told: reads the record lane by lane, posts what stands there, and saves how far it has got.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use room::{Millis, RoomId};
use tokio::time::sleep;

use super::{Answered, Post, Settings, body};
use crate::clock::Clock;
use crate::config::Hidden;
use crate::error::Error;
use crate::store::{Entry, History, News};
use crate::traces;

/// Entries read at a time.
pub(super) const BATCH: usize = 256;
/// Names of places in the record begin with this.
pub(super) const READERS: &str = "webhook-";
/// Rooms whose events are on the way at the same time.
const ABREAST: usize = 16;
/// The first wait after a failure, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// After this long, in milliseconds, an event that was never accepted is given up.
const GIVE_UP: u64 = 24 * 3600 * 1000;
/// Statuses that say that this one event is wrong; all others may be trouble of the URL, of the key, or of the moment.
const WRONG: [u16; 5] = [400, 409, 413, 415, 422];
/// They are believed after so many of them: one event that a backend cannot take must not hold up all others.
pub(super) const BELIEVED: u32 = 8;
/// How long a backend may take. The event is kept, so there is no reason to wait for longer.
const WITHIN: Duration = Duration::from_secs(10);
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
            let reader = format!("{READERS}{:08x}", crc32fast::hash(url.as_bytes()));
            let (secret, events) = (settings.secret.clone(), settings.events.clone());
            let (post, history, clock) = (post.clone(), history.clone(), clock.clone());
            Arc::new(Self { url: url.clone(), reader, secret, events, post, history, clock })
        };
        settings.urls.iter().map(hook).collect()
    }

    /// Under which name its place in the record is kept.
    pub(super) fn reader(&self) -> &str {
        &self.reader
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

    /// From where on a lane is told. A new URL hears what happens from now on.
    ///
    /// # Errors
    /// The store is away.
    pub(super) async fn begin(&self, lane: usize) -> Result<String, Error> {
        let (history, reader) = (&self.history, &*self.reader);
        if let Some(place) = history.place(reader, lane).await? {
            return Ok(place);
        }
        let end = history.end(lane).await?;
        history.save(reader, lane, &end).await?;
        Ok(end)
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
        let place = self.begin(lane).await?;
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

    async fn tell(&self, lane: usize, entries: &[Entry]) {
        let all = entries.iter().flat_map(|entry| {
            entry.news.iter().enumerate().map(move |(n, news)| (body::id(lane, &entry.place, n), news))
        });
        self.tell_all(all.collect()).await;
    }

    /// Tells events until each is accepted or given up: one after the other for each room, rooms beside each other.
    pub(super) async fn tell_all(&self, all: Vec<(String, &News)>) {
        let mut rooms: Vec<Vec<(String, &News)>> = Vec::new();
        let mut known = hashbrown::HashMap::new();
        for (id, news) in all {
            let room = news.room().map(RoomId::as_str);
            let at = *known.entry(room).or_insert_with(|| {
                rooms.push(Vec::new());
                rooms.len() - 1
            });
            rooms[at].push((id, news));
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
            let post = self.post_one(id, event, now, &body);
            let posted = match news.event().and_then(traces::of) {
                None => post.await,
                Some(context) => context.within(post).await,
            };
            let why = match posted {
                Ok(Answered { status: 200..300, .. }) => return,
                Ok(Answered { status, .. }) => {
                    wrong += u32::from(WRONG.contains(&status));
                    if wrong >= BELIEVED {
                        tracing::error!(id, event, status, "a webhook is refused again and again and is given up");
                        return;
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

    async fn post_one(&self, id: &str, event: &str, now: Millis, body: &Bytes) -> Result<Answered, String> {
        let headers = body::headers(&self.secret, id, event, now, body);
        self.post.post(&self.url, &headers, body.clone(), WITHIN).await
    }
}
