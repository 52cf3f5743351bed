//! Follows a stream: forwards each entry once, in order, from where it stopped when Redis was unavailable. Knows nothing of
//! what stands in them.

use std::pin::Pin;
use std::time::Duration;

use redis::AsyncCommands;
use redis::streams::{StreamId, StreamReadOptions, StreamReadReply};
use tokio_util::sync::CancellationToken;

use super::link::{Link, PATIENCE, Target};
use crate::error::Error;

/// How long a read waits for something to come.
const BLOCK: Duration = Duration::from_millis(2_000);
/// How long after a failure Redis is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// Entries read at a time.
const BATCH: usize = 512;

/// Takes a batch, and says whether to go on.
pub type Take = Box<dyn FnMut(Vec<StreamId>) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send>;

/// The last entry that there is: what follows is new.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn last(link: &Link, key: &str) -> Result<String, Error> {
    type Entry = (String, Vec<(String, Vec<u8>)>);
    let found: Vec<Entry> = link.run(async |mut redis| redis.xrevrange_count(key, "+", "-", 1).await).await?;
    Ok(found.into_iter().next().map_or_else(|| "0-0".to_owned(), |(id, _)| id))
}

/// Where to begin.
pub struct Cursor {
    /// The entry after which everything is new; none: whatever is the last one when Redis is first reached.
    pub last: Option<String>,
    /// Cancelled when that is known: nothing is missed from then on.
    pub known: CancellationToken,
}

/// Follows a stream until it is stopped, and then to the end of what there is.
pub async fn follow(target: Target, key: String, from: Cursor, stop: CancellationToken, mut take: Take) {
    // Its own connection, because reads that wait hold up everything behind them.
    let link = Link::new(target);
    let mut away = false;
    let mut last = loop {
        let found = match &from.last {
            Some(last) => Ok(last.clone()),
            None => self::last(&link, &key).await,
        };
        match found {
            Ok(last) => break last,
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%error, key, "redis cannot be reached; trying again");
                }
                if stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                    return;
                }
            }
        }
    };
    from.known.cancel();
    loop {
        let wait = (!stop.is_cancelled()).then_some(BLOCK);
        let read = read(&link, &key, &last, BATCH, wait);
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
                    tracing::info!(key, "following redis again");
                }
                let Some(newest) = batch.last() else {
                    if wait.is_none() {
                        return;
                    }
                    continue;
                };
                last.clone_from(&newest.id);
                if !take(batch).await {
                    return;
                }
            }
            Err(_) if wait.is_none() => return,
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%error, key, "cannot follow redis; trying again");
                }
                // Woken early at the end; either way the loop decides.
                let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
            }
        }
    }
}

/// The entries after a place; waits for them if asked to.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn read(
    link: &Link,
    key: &str,
    last: &str,
    most: usize,
    wait: Option<Duration>,
) -> Result<Vec<StreamId>, Error> {
    let mut options = StreamReadOptions::default().count(most);
    if let Some(wait) = wait {
        options = options.block(usize::try_from(wait.as_millis()).unwrap_or_default());
    }
    let within = wait.unwrap_or_default() + PATIENCE;
    let read: Option<StreamReadReply> =
        link.run_within(within, async |mut redis| redis.xread_options(&[key], &[last], &options).await).await?;
    Ok(read.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect())
}
