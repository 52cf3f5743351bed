//! The streams of events as a record of what was committed. A place is an entry's number in its bucket's stream.

use std::collections::HashMap;
use std::time::Duration;

use redis::AsyncCommands;

use super::keys::Keys;
use super::{EVENTS, Redis, news, scripts, tail};
use crate::error::Error;
use crate::store::Answer;
use crate::store::history::{Entry, History, Note, Span};

/// A node that says nothing for this long is gone, with all that it had begun.
const ALIVE: Duration = Duration::from_secs(60);
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

    fn note<'a>(&'a self, notes: &'a [Note]) -> Answer<'a, ()> {
        Box::pin(async move {
            if notes.iter().any(|note| note.span != Span::None) {
                self.show_life().await?;
            }
            for note in notes {
                let lane = note.room.as_ref().map_or(0, |room| self.keys.bucket(room));
                let news = serde_json::to_string(&[note]).map_err(|e| Error::Unavailable(format!("a note: {e}")))?;
                let (sign, name) = match &note.span {
                    Span::None => ("", ""),
                    Span::Begins(name) => ("+", name.as_str()),
                    Span::Ends(name) => ("-", name.as_str()),
                };
                let mut script = scripts::NOTE.prepare_invoke();
                script.key(Keys::events(lane)).key(Keys::spans(lane));
                script.arg(news).arg(EVENTS).arg(sign).arg(name).arg(&self.node);
                self.link.run(async |mut redis| script.invoke_async::<()>(&mut redis).await).await?;
            }
            Ok(())
        })
    }

    fn unfinished(&self) -> Answer<'_, Vec<(String, Note)>> {
        Box::pin(async move {
            self.show_life().await?;
            let (mut lost, mut alive) = (Vec::new(), HashMap::new());
            for lane in 0..self.keys.buckets() {
                let key = Keys::spans(lane);
                let spans: HashMap<String, String> = self.link.run(async |mut redis| redis.hgetall(&key).await).await?;
                for (name, span) in spans {
                    let Some((node, note)) = span.split_once(' ') else { continue };
                    if !alive.contains_key(node) {
                        let key = Keys::alive(node);
                        let lives: bool = self.link.run(async |mut redis| redis.exists(&key).await).await?;
                        alive.insert(node.to_owned(), lives);
                    }
                    if alive.get(node) == Some(&true) {
                        continue;
                    }
                    // Of several nodes that find it, one takes it.
                    let mut script = scripts::TAKE_OVER.prepare_invoke();
                    script.key(&key).arg(&name).arg(&span).arg(format!("{} {note}", self.node));
                    let ours: bool = self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
                    if ours && let Ok([note]) = serde_json::from_str::<[Note; 1]>(note) {
                        lost.push((name, note));
                    }
                }
            }
            Ok(lost)
        })
    }
}

impl Redis {
    /// As long as it says so now and then, what this node began is not taken for lost.
    async fn show_life(&self) -> Result<(), Error> {
        let key = Keys::alive(&self.node);
        self.link.run(async |mut redis| redis.set_ex(&key, 1, ALIVE.as_secs()).await).await
    }
}
