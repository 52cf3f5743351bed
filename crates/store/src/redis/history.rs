//! The streams of events as a record of what was committed. A place is an entry's number in its partition's stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::streams::StreamId;
use redis::{AsyncCommands, from_redis_value_ref};
use room::Event;

use super::keys::Keys;
use super::lost::Memory;
use super::tail::Take;
use super::{EVENTS, Redis, scripts, tail};
use crate::error::Error;
use crate::history::{self, Entry, History, Note, Span, Takes};
use crate::mends::{Mend, is_out};
use crate::{Answer, News, Outbox};

/// A node that says nothing for this long is gone, with all that it had begun.
const ALIVE: Duration = Duration::from_secs(60);
/// For so long after its beginning all that is in Redis is told to readers without a place: they may have had one, which is lost with all
/// else, as may be the node that knew it.
const YOUNG: Duration = Duration::from_secs(600);
/// How long after an empty read there may be something.
const PAUSE: Duration = Duration::from_millis(250);

/// Hands events that any node committed to this node's outbox.
pub(super) fn carry(outbox: Outbox, memory: Arc<Memory>) -> Take {
    Box::new(move |batch| {
        let events = batch.iter().map(|entry| news(entry).into_iter().filter_map(News::into_event).collect());
        let events = events.inspect(|events: &Vec<Event>| memory.heard(events));
        let open = events.filter(|events: &Vec<Event>| !events.is_empty()).all(|events| outbox.send(events).is_ok());
        Box::pin(std::future::ready(open))
    })
}

/// What an entry of the stream of events tells.
pub(super) fn news(entry: &StreamId) -> Vec<News> {
    let text = entry.map.get("e").and_then(|value| from_redis_value_ref::<Vec<u8>>(value).ok()).unwrap_or_default();
    history::understand(&text, &entry.id)
}

impl History for Redis {
    fn partitions(&self) -> usize {
        self.keys.partitions()
    }

    fn end(&self, partition: usize) -> Answer<'_, String> {
        Box::pin(async move { tail::last(&self.link, &Keys::events(partition)).await })
    }

    fn beginning(&self, partition: usize) -> Answer<'_, String> {
        Box::pin(async move {
            let mut script = scripts::IS_YOUNG.prepare_invoke();
            script.key(Keys::life(partition)).arg(YOUNG.as_secs());
            let is_young: bool = self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
            if is_young && !is_out(Mend::PlaceIsKnown) { Ok("0-0".into()) } else { self.end(partition).await }
        })
    }

    fn after<'a>(&'a self, partition: usize, place: &'a str, limit: usize) -> Answer<'a, Vec<Entry>> {
        Box::pin(async move {
            let entries = tail::read(&self.link, &Keys::events(partition), place, limit, None).await?;
            if entries.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
            Ok(entries.into_iter().map(|entry| Entry { news: news(&entry), place: entry.id }).collect())
        })
    }

    fn place<'a>(&'a self, reader: &'a str, partition: usize) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let found = self.link.run(async |mut redis| redis.hget(Keys::readers(partition), reader).await).await?;
            Ok(self.memory.place(reader, partition, found))
        })
    }

    fn save<'a>(&'a self, reader: &'a str, partition: usize, place: &'a str) -> Answer<'a, ()> {
        Box::pin(self.link.run(async move |mut redis| redis.hset(Keys::readers(partition), reader, place).await))
    }

    fn ahead<'a>(&'a self, reader: &'a str, partition: usize) -> Answer<'a, Option<String>> {
        Box::pin(self.link.run(async move |mut redis| redis.hget(Keys::ahead(partition), reader).await))
    }

    fn save_ahead<'a>(&'a self, reader: &'a str, partition: usize, text: &'a str) -> Answer<'a, ()> {
        Box::pin(self.link.run(async move |mut redis| redis.hset(Keys::ahead(partition), reader, text).await))
    }

    fn keep_readers<'a>(&'a self, _: &'a str, _: &'a [String]) -> Answer<'a, ()> {
        // Streams are cut by their length, and another node may have another configuration for a while.
        Box::pin(async { Ok(()) })
    }

    fn hold<'a>(&'a self, reader: &'a str, partition: usize, lease: Duration) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut script = scripts::HOLD.prepare_invoke();
            let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
            script.key(Keys::reading(partition, reader)).arg(&self.node).arg(lease);
            self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await
        })
    }

    fn note<'a>(&'a self, notes: &'a [Note]) -> Answer<'a, ()> {
        Box::pin(async move {
            if notes.iter().any(|note| note.span != Span::None) {
                self.show_life().await?;
            }
            for note in notes {
                let partition = note.room.as_ref().map_or(0, |room| self.keys.partition(room));
                let news = serde_json::to_string(&[note]).map_err(|e| Error::Unavailable(format!("a note: {e}")))?;
                let (sign, name) = match &note.span {
                    Span::None => ("", ""),
                    Span::Begins(name) => ("+", name.as_str()),
                    Span::Ends(name) => ("-", name.as_str()),
                };
                let mut script = scripts::NOTE.prepare_invoke();
                script.key(Keys::events(partition)).key(Keys::spans(partition));
                script.arg(news).arg(EVENTS).arg(sign).arg(name).arg(&self.node);
                self.link.run(async |mut redis| script.invoke_async::<()>(&mut redis).await).await?;
            }
            Ok(())
        })
    }

    fn note_audience<'a>(&'a self, note: &'a Note) -> Answer<'a, bool> {
        const COUNT: &str = "\"count\":";
        Box::pin(async move {
            let Some(room) = &note.room else { return Ok(false) };
            let mut note = note.clone();
            note.data = serde_json::json!({ "count": 0 });
            let text = serde_json::to_string(&[note]).map_err(|e| Error::Unavailable(format!("a note: {e}")))?;
            // Quotes within ids are escaped: there is one.
            let Some((before, after)) = text.split_once(COUNT) else { return Ok(false) };
            let mut script = scripts::AUDIENCE.prepare_invoke();
            script.key(self.keys.room(room)).key(self.keys.listed(room)).key(self.keys.others(room));
            script.key(Keys::events(self.keys.partition(room)));
            script.arg(format!("{before}{COUNT}")).arg(after.strip_prefix('0').unwrap_or(after)).arg(EVENTS);
            self.link.run(async |mut redis| script.invoke_async::<()>(&mut redis).await).await?;
            Ok(true)
        })
    }

    fn unfinished<'a>(&'a self, takes: &'a Takes<'a>) -> Answer<'a, Vec<(String, Note)>> {
        Box::pin(async move {
            self.show_life().await?;
            let mut lost = Vec::new();
            let mut alive = HashMap::new();
            for partition in 0..self.keys.partitions() {
                let key = Keys::spans(partition);
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
                    let Ok([begun]) = serde_json::from_str::<[Note; 1]>(note) else { continue };
                    if !takes(&name, &begun) {
                        continue;
                    }
                    // Of several nodes that find it, one takes it.
                    let mut script = scripts::TAKE_OVER.prepare_invoke();
                    script.key(&key).arg(&name).arg(&span).arg(format!("{} {note}", self.node));
                    let ours: bool = self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
                    if ours {
                        lost.push((name, begun));
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

#[cfg(test)]
mod tests {
    use room::{Millis, RoomId, Rules};
    use tokio::sync::mpsc;

    use super::*;
    use testkit::RedisServer;

    async fn node(server: &RedisServer) -> Redis {
        let (outbox, _) = mpsc::unbounded_channel();
        Redis::open(crate::Target::parse(&server.url(0)).unwrap(), std::sync::Arc::new(Rules::default()), outbox, None)
            .await
    }

    fn note(event: &str, name: &str, span: fn(String) -> Span) -> [Note; 1] {
        let room = RoomId::parse("r").ok();
        let data = serde_json::json!({ "streamID": name });
        [Note { event: event.into(), room, at: Millis(7), data, span: span(name.into()) }]
    }

    async fn told(node: &Redis) -> Vec<String> {
        let entries = node.after(0, "0", 100).await.unwrap();
        let news = entries.iter().flat_map(|entry| &entry.news);
        let text = |news: &crate::News| match news {
            crate::News::Note(note) => format!("{} {}", note.event, note.data["streamID"].as_str().unwrap()),
            crate::News::Room(event) => format!("{event:?}"),
        };
        news.map(text).collect()
    }

    #[tokio::test]
    async fn of_what_a_later_version_notes_the_rest_is_told() {
        let server = RedisServer::start(&[]);
        let node = node(&server).await;
        let text = |name: &str| serde_json::to_string(&note("started", name, Span::Begins)[0]).unwrap();
        let later = r#"{"seq":"a number of another kind","what":"unheard of"}"#;
        let list = format!("[{},{later},{}]", text("a"), text("b"));
        server.cli(&["XADD", &Keys::events(0), "*", "e", &list]);
        assert_eq!(told(&node).await, ["started a", "started b"]);
    }

    #[tokio::test]
    async fn a_reader_without_a_place_begins_where_it_may_have_had_one() {
        let server = RedisServer::start(&[]);
        let node = node(&server).await;
        server.cli(&["XADD", &Keys::events(0), "5-0", "e", "[]"]);
        let life = Keys::life(0);
        let lives = |life: &str| format!("{life}@{}", std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() - 3_600);
        server.cli(&["DEL", &life]);
        assert_eq!(node.beginning(0).await.unwrap(), "0-0", "all is lost, and nobody has seen that");
        // Another node sees it, and a new life begins.
        node.memory.look(&node.link, &node.keys, 0).await.unwrap();
        assert_eq!(node.beginning(0).await.unwrap(), "0-0");
        for old in [lives("an hour ago"), "of an earlier version".to_owned()] {
            server.cli(&["SET", &life, &old]);
            assert_eq!(node.beginning(0).await.unwrap(), "5-0", "{old}");
        }
    }

    #[tokio::test]
    async fn what_a_lost_node_began_ends_once_unless_another_goes_on_with_it() {
        let server = RedisServer::start(&[]);
        let lost = node(&server).await;
        let second = node(&server).await;
        let third = node(&server).await;
        let all = |_: &str, _: &Note| true;
        for name in ["a", "b", "c"] {
            lost.note(&note("started", name, Span::Begins)).await.unwrap();
        }
        assert_eq!(second.unfinished(&all).await.unwrap(), [], "who began them is there");
        // Its streams move while it still lives: it does not end what is another's now.
        second.note(&note("started", "a", Span::Begins)).await.unwrap();
        lost.note(&note("ended", "a", Span::Ends)).await.unwrap();
        // It goes without a word, and says no more that it lives.
        server.cli(&["DEL", &Keys::alive(&lost.node)]);
        assert_eq!(second.unfinished(&|_, _| false).await.unwrap(), [], "it takes none");
        let (one, other) = tokio::join!(second.unfinished(&all), third.unfinished(&all));
        let mut found: Vec<_> = one.unwrap().into_iter().chain(other.unwrap()).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "c"], "each by one node");
        assert_eq!(&*found[0].1.event, "started");
        for node in [&second, &third] {
            node.note(&note("ended", "b", Span::Ends)).await.unwrap();
            node.note(&note("ended", "c", Span::Ends)).await.unwrap();
        }
        second.note(&note("ended", "a", Span::Ends)).await.unwrap();
        let mut told = told(&second).await;
        assert_eq!(told.len(), 6);
        told.sort();
        assert_eq!(told, ["ended a", "ended b", "ended c", "started a", "started b", "started c"]);
        assert_eq!(server.cli(&["EXISTS", &Keys::spans(0)]).trim(), "0", "nothing is left");
    }
}
