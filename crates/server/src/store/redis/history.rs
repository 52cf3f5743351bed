//! The streams of events as a record of what was committed. A place is an entry's number in its bucket's stream.

use std::time::Duration;

use redis::AsyncCommands;

use super::keys::Keys;
use super::{EVENTS, Redis, news, scripts, tail};
use crate::error::Error;
use crate::store::Answer;
use crate::store::history::{Entry, History, Note};

/// How long after an empty read there may be something.
const PAUSE: Duration = Duration::from_millis(250);

impl History for Redis {
    fn lanes(&self) -> usize {
        self.keys.buckets()
    }

    fn end(&self, lane: usize) -> Answer<'_, String> {
        Box::pin(async move { tail::last(&self.link, &Keys::events(lane)).await })
    }

    fn after<'a>(&'a self, lane: usize, place: &'a str, limit: usize) -> Answer<'a, Vec<Entry>> {
        Box::pin(async move {
            let entries = tail::read(&self.link, &Keys::events(lane), place, limit, None).await?;
            if entries.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
            Ok(entries.into_iter().map(|entry| Entry { news: news(&entry), place: entry.id }).collect())
        })
    }

    fn place<'a>(&'a self, reader: &'a str, lane: usize) -> Answer<'a, Option<String>> {
        Box::pin(self.link.run(async move |mut redis| redis.hget(Keys::readers(lane), reader).await))
    }

    fn save<'a>(&'a self, reader: &'a str, lane: usize, place: &'a str) -> Answer<'a, ()> {
        Box::pin(self.link.run(async move |mut redis| redis.hset(Keys::readers(lane), reader, place).await))
    }

    fn hold<'a>(&'a self, reader: &'a str, lane: usize, lease: Duration) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut script = scripts::HOLD.prepare_invoke();
            let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
            script.key(Keys::reading(lane, reader)).arg(&self.node).arg(lease);
            self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await
        })
    }

    fn note<'a>(&'a self, note: &'a Note) -> Answer<'a, ()> {
        Box::pin(async move {
            let lane = note.room.as_ref().map_or(0, |room| self.keys.bucket(room));
            let news = serde_json::to_string(&[note]).map_err(|e| Error::Unavailable(format!("a note: {e}")))?;
            let mut add = redis::cmd("XADD");
            add.arg(Keys::events(lane)).arg("MAXLEN").arg("~").arg(EVENTS).arg("*").arg("e").arg(news);
            self.link.run(async |mut redis| add.exec_async(&mut redis).await).await
        })
    }
}
