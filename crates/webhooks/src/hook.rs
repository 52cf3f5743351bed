//! One URL that is notified: how an event is posted to it, how often, and when it is given up. What is sent next is found in
//! the file beside (partition.rs).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use room::Millis;
use tokio::time::sleep;

use super::complaints::Complaints;
use super::partition::Partition;
use super::progress::Progress;
use super::{Post, Settings, body};
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
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(500);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After this long, in milliseconds, an event that was never accepted is given up.
const GIVE_UP: u64 = 24 * 3600 * 1000;
/// Statuses that say that this one event is wrong; all others may be trouble of the URL, of the key, or of the moment.
pub(super) const WRONG: [u16; 5] = [400, 409, 413, 415, 422];
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
                        sleep(FIRST_WAIT).await;
                    }
                }
            }
        });
        futures_util::future::join_all(partitions).await;
    }

    /// From where on a partition is sent. A new URL gets what happens from now on, or since a new record began.
    ///
    /// # Errors
    /// The store is away.
    pub(super) async fn begin(&self, partition: usize) -> Result<String, Error> {
        let history = &self.history;
        if let Some(place) = history.place(&self.reader, partition).await? {
            return Ok(place);
        }
        let place = history.beginning(partition).await?;
        history.save(&self.reader, partition, &place).await?;
        Ok(place)
    }

    /// Tells one event once. It is done with where it is accepted, not wanted, too old, or was `wrong` too often.
    ///
    /// # Errors
    /// Why it is to be sent again.
    pub(super) async fn try_one(&self, id: &str, news: &News, wrong: &mut u32) -> Result<(), String> {
        let Some(Wanted { event, at, body }) = self.wanted(id, news) else { return Ok(()) };
        let error = match self.post_one(id, event, news, &body).await {
            Ok(200..300) => return Ok(()),
            Ok(status) => {
                *wrong += u32::from(WRONG.contains(&status));
                if *wrong >= BELIEVED {
                    tracing::error!(id, event, status, "a webhook is refused again and again and is given up");
                    return Ok(());
                }
                format!("HTTP status {status}")
            }
            Err(error) => error,
        };
        // Not before it was tried: where the machine's clock was set forward, everything looks old.
        if self.clock.now().since(at) > GIVE_UP {
            tracing::error!(id, event, error, "a webhook was never accepted and is given up");
            return Ok(());
        }
        Err(error)
    }

    /// What is to be posted of an event; none where the URL does not want it.
    pub(super) fn wanted<'a>(&self, id: &str, news: &'a News) -> Option<Wanted<'a>> {
        let (event, at, body) = body::body(id, news)?;
        let wanted = self.events.is_empty() || self.events.iter().any(|wanted| wanted == event);
        wanted.then_some(Wanted { event, at, body })
    }

    /// Posts an event once, and gives the status of the answer.
    pub(super) async fn post_one(&self, id: &str, event: &str, news: &News, body: &Bytes) -> Result<u16, String> {
        let headers = body::headers(&self.secret, id, event, self.clock.now(), body);
        let post = self.post.post(&self.url, &headers, body.clone(), WITHIN);
        let posted = match news.event().and_then(|event| traces::of(event.room.as_str(), event.seq)) {
            None => post.await,
            Some(context) => context.within(post).await,
        };
        Ok(posted?.status)
    }
}

/// What is to be posted of an event.
pub(super) struct Wanted<'a> {
    pub event: &'a str,
    pub at: Millis,
    pub body: Bytes,
}
