//! One URL that is notified: how an event is posted to it, how often, and when it is given up. What is sent next is found in
//! the file beside (partition.rs).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use room::{Millis, RoomId};
use tokio::time::sleep;

use super::complaints::Complaints;
use super::partition::Partition;
use super::progress::Progress;
use super::{Answered, Post, Settings, body};
use sign::Secret;
use store::clock::Clock;
use store::error::Error;
use store::{History, News};
use telemetry::traces;

/// Entries read at a time.
pub(super) const BATCH: usize = 256;
/// Names of places in the record begin with this.
pub(super) const READERS: &str = "webhook-";
/// Rooms whose events are on the way at the same time.
pub(super) const ABREAST: usize = 16;
/// The first wait after a failure, and the longest.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));
/// After this long, in milliseconds, an event that was never accepted is given up.
const GIVE_UP: u64 = 24 * 3600 * 1000;
/// Statuses that say that this one event is wrong; all others may be trouble of the URL, of the key, or of the moment.
const WRONG: [u16; 5] = [400, 409, 413, 415, 422];
/// They are believed after so many of them: one event that a backend cannot take must not hold up all others.
pub(super) const BELIEVED: u32 = 8;
/// How long a backend may take. The event is kept, so there is no reason to wait for longer.
const WITHIN: Duration = Duration::from_secs(10);

/// One URL that is notified.
pub struct Hook {
    pub(super) url: String,
    reader: String,
    secret: Secret,
    events: Vec<String>,
    post: Arc<dyn Post>,
    pub(super) history: Arc<dyn History>,
    clock: Arc<dyn Clock>,
    pub(super) progress: Arc<Progress>,
    pub(super) complaints: Complaints,
}

impl Hook {
    /// Puts the parts together, one for each URL.
    #[must_use]
    pub fn all(
        settings: &Settings,
        post: &Arc<dyn Post>,
        history: &Arc<dyn History>,
        clock: &Arc<dyn Clock>,
        progress: &Arc<Progress>,
    ) -> Vec<Arc<Self>> {
        let hook = |url: &String| {
            let reader = format!("{READERS}{:08x}", crc32fast::hash(url.as_bytes()));
            let secret = settings.secret.clone();
            let events = settings.events.clone();
            let post = post.clone();
            let history = history.clone();
            let clock = clock.clone();
            let progress = progress.clone();
            let complaints = Complaints::default();
            Arc::new(Self { url: url.clone(), reader, secret, events, post, history, clock, progress, complaints })
        };
        settings.urls.iter().map(hook).collect()
    }

    /// Under which name its place in the record is kept.
    pub(super) fn reader(&self) -> &str {
        &self.reader
    }

    /// Tells everything, for ever.
    pub async fn run(self: Arc<Self>) {
        let partitions = (0..self.history.partitions()).map(|partition| {
            let hook = self.clone();
            async move {
                let mut at = Partition::default();
                loop {
                    if let Err(error) = hook.pass(partition, &mut at).await {
                        tracing::warn!(%error, partition, "webhooks wait for the store");
                        sleep(BACKOFF.0).await;
                    }
                }
            }
        });
        futures_util::future::join_all(partitions).await;
    }

    /// From where on a partition is sent. A new URL gets what happens from now on.
    ///
    /// # Errors
    /// The store is away.
    pub(super) async fn begin(&self, partition: usize) -> Result<String, Error> {
        let history = &self.history;
        if let Some(place) = history.place(&self.reader, partition).await? {
            return Ok(place);
        }
        let end = history.end(partition).await?;
        history.save(&self.reader, partition, &end).await?;
        Ok(end)
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
        let mut wait = BACKOFF.0;
        let mut wrong = 0;
        while let Err(why) = self.try_one(id, news, &mut wrong).await {
            tracing::debug!(id, why, "a webhook was not accepted; trying again");
            sleep(wait).await;
            wait = (wait * 2).min(BACKOFF.1);
        }
    }

    /// Tells one event once. It is done with where it is accepted, not wanted, too old, or was `wrong` too often.
    ///
    /// # Errors
    /// Why it is to be sent again.
    pub(super) async fn try_one(&self, id: &str, news: &News, wrong: &mut u32) -> Result<(), String> {
        let Some((event, at, body)) = body::body(id, news) else { return Ok(()) };
        if !self.events.is_empty() && !self.events.iter().any(|wanted| wanted == event) {
            return Ok(());
        }
        let now = self.clock.now();
        if now.since(at) > GIVE_UP {
            tracing::error!(id, event, "a webhook was never accepted and is given up");
            return Ok(());
        }
        let post = self.post_one(id, event, now, &body);
        let posted = match news.event().and_then(|event| traces::of(event.room.as_str(), event.seq)) {
            None => post.await,
            Some(context) => context.within(post).await,
        };
        match posted? {
            Answered { status: 200..300, .. } => Ok(()),
            Answered { status, .. } => {
                *wrong += u32::from(WRONG.contains(&status));
                if *wrong >= BELIEVED {
                    tracing::error!(id, event, status, "a webhook is refused again and again and is given up");
                    return Ok(());
                }
                Err(format!("HTTP status {status}"))
            }
        }
    }

    async fn post_one(&self, id: &str, event: &str, now: Millis, body: &Bytes) -> Result<Answered, String> {
        let headers = body::headers(&self.secret, id, event, now, body);
        self.post.post(&self.url, &headers, body.clone(), WITHIN).await
    }
}
