//! Follows the events that any node committed and hands them to this node's outbox: each once, in order, from where it
//! stopped when Redis was away. Knows no rules.

use std::time::Duration;

use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, from_redis_value_ref};
use tokio_util::sync::CancellationToken;

use super::keys::Keys;
use super::link::{Link, PATIENCE, Target};
use crate::error::Error;
use crate::store::{Entry, News, Outbox};

/// How long a read waits for something to come.
const BLOCK: Duration = Duration::from_millis(2_000);
/// How long after a failure Redis is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// Events read at a time.
const BATCH: usize = 512;

/// The last event that there is: what follows is new.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn last(link: &Link, bucket: usize) -> Result<String, Error> {
    let key = Keys::events(bucket);
    let found: Vec<(String, Vec<(String, String)>)> =
        link.run(async |mut redis| redis.xrevrange_count(key, "+", "-", 1).await).await?;
    Ok(found.into_iter().next().map_or_else(|| "0-0".to_owned(), |(id, _)| id))
}

/// Follows a bucket until it is stopped, and then to the end of what there is.
pub async fn follow(target: Target, bucket: usize, mut last: String, outbox: Outbox, stop: CancellationToken) {
    // Its own connection, because reads that wait hold up everything behind them.
    let link = Link::new(target);
    let mut away = false;
    loop {
        let wait = (!stop.is_cancelled()).then_some(BLOCK);
        let read = read(&link, bucket, &last, BATCH, wait);
        // A read that waits is left when the end comes; nothing is lost with it.
        let read = match wait {
            None => read.await,
            Some(_) => match stop.run_until_cancelled(read).await {
                Some(read) => read,
                None => continue,
            },
        };
        match read {
            Ok(batch) => {
                if std::mem::take(&mut away) {
                    tracing::info!(bucket, "following the events in redis again");
                }
                if batch.is_empty() && wait.is_none() {
                    return;
                }
                for Entry { place, news } in batch {
                    last = place;
                    let events: Vec<_> = news.into_iter().filter_map(News::into_event).collect();
                    if !events.is_empty() && outbox.send(events).is_err() {
                        return;
                    }
                }
            }
            Err(_) if wait.is_none() => return,
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%error, bucket, "cannot follow the events in redis; trying again");
                }
                // Woken early at the end; either way the loop decides.
                let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
            }
        }
    }
}

/// The entries after a place; waits for them if told to.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn read(
    link: &Link,
    bucket: usize,
    last: &str,
    most: usize,
    wait: Option<Duration>,
) -> Result<Vec<Entry>, Error> {
    let mut options = StreamReadOptions::default().count(most);
    if let Some(wait) = wait {
        options = options.block(usize::try_from(wait.as_millis()).unwrap_or_default());
    }
    let within = wait.unwrap_or_default() + PATIENCE;
    let key = Keys::events(bucket);
    let read: Option<StreamReadReply> =
        link.run_within(within, async |mut redis| redis.xread_options(&[key], &[last], &options).await).await?;
    let entries = read.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
    Ok(entries
        .map(|entry| {
            let text = entry.map.get("e").and_then(|value| from_redis_value_ref::<Vec<u8>>(value).ok());
            let news = serde_json::from_slice(&text.unwrap_or_default());
            let news = news.unwrap_or_else(|error| {
                tracing::warn!(%error, id = entry.id, "events in redis cannot be understood and are left out");
                Vec::new()
            });
            Entry { place: entry.id, news }
        })
        .collect())
}
