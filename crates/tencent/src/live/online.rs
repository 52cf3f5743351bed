//! All streams that are being pushed, by one question, for when there are very many to ask about. Kept for a moment, so
//! that what comes due together asks once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashSet;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::api::{Api, Trouble};
use outbound::Failed;

/// With more streams than this to ask about within a list's time, the list is asked for.
const MANY: usize = 32;
/// The longest list that is read; of an account with more streams, each is asked about by itself.
const MOST: usize = 20_000;
/// For how long a list is used. Who is asked about has been silent for longer than that.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Names of streams.
type Streams = Arc<HashSet<Box<str>>>;

/// The list, and how much would be asked without it.
#[derive(Debug, Default)]
pub struct Online {
    /// The last one, or that there was none to be had.
    last: tokio::sync::Mutex<Option<(Instant, Option<Streams>)>>,
    /// Since when streams are counted, and how many came since.
    wanted: Mutex<Option<(Instant, usize)>>,
}

impl Online {
    /// Counts streams that are to be asked about, and says whether there are too many to ask about each.
    pub fn too_many(&self, streams: usize) -> bool {
        let mut wanted = self.wanted.lock();
        let counted = wanted.filter(|(since, _)| since.elapsed() < GOOD_FOR);
        let (since, before) = counted.unwrap_or_else(|| (Instant::now(), 0));
        *wanted = Some((since, before.saturating_add(streams)));
        before.saturating_add(streams) > MANY
    }

    /// The list, asked for by `fetch` unless it was just fetched.
    pub async fn all(&self, fetch: impl Future<Output = Option<HashSet<Box<str>>>>) -> Option<Streams> {
        // Held while asking: callers that come meanwhile want the same answer.
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, streams)) if at.elapsed() < GOOD_FOR => streams.clone(),
            _ => {
                let begun = Instant::now();
                let streams = fetch.await.map(Arc::new);
                *last = Some((begun, streams.clone()));
                streams
            }
        }
    }
}

/// Asks; `None` if there are too many.
///
/// # Errors
/// [`Trouble`].
pub async fn list(api: &Api, domain: &str, app: &str, within: Duration) -> Result<Option<HashSet<Box<str>>>, Trouble> {
    let body = json!({ "DomainName": domain, "AppName": app, "PageNum": 1, "PageSize": MOST });
    let answer = api.call("DescribeLiveStreamOnlineList", &body, within).await?;
    let unreadable = || Trouble::Away(Failed::NotJson);
    let (Some(total), Some(streams)) = (answer["TotalNum"].as_u64(), answer["OnlineInfo"].as_array()) else {
        return Err(unreadable());
    };
    let names: Option<HashSet<Box<str>>> =
        streams.iter().map(|stream| stream["StreamName"].as_str().map(Box::from)).collect();
    let names = names.ok_or_else(unreadable)?;
    // Part of a list says nothing about who is not in it.
    Ok((usize::try_from(total) == Ok(streams.len())).then_some(names))
}
