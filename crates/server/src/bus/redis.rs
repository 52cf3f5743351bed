//! Several nodes: streams in Redis. A node that was cut off goes on where it stopped, for as long as messages are kept.

use std::sync::LazyLock;

use bytes::Bytes;
use redis::streams::StreamId;
use redis::{Script, from_redis_value_ref};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Bus, Ear, Heard, MAX_MESSAGE, WAITING};
use crate::error::Error;
use crate::store::Answer;
use crate::store::redis::tail::{self, Take};
use crate::store::redis::{Link, Target};

/// Messages that are kept of each lane, about.
const KEPT: u64 = 50_000;
/// Lanes of a cluster; one server has one.
const LANES: usize = 16;

/// Adds a message with its number. Keys: stream, count. Arguments: most kept, topic, node, message.
static SEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local number = redis.call('INCR', KEYS[2])
        redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 's', number, 't', ARGV[2], 'n', ARGV[3], 'b', ARGV[4])
    ",
    )
});

/// The bus of several machines.
pub struct Redis {
    link: Link,
    node: u64,
    lanes: usize,
    _tails: DropGuard,
}

fn key(lane: usize) -> String {
    format!("rs:{{{lane}}}:bus")
}

impl Redis {
    /// Connects, and listens to what is said from now on.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: Redis does not answer.
    pub async fn open(target: Target) -> Result<(Self, Ear), Error> {
        let lanes = if target.is_cluster() { LANES } else { 1 };
        let (link, stop, (sender, ear)) = (Link::new(target.clone()), CancellationToken::new(), mpsc::channel(WAITING));
        for lane in 0..lanes {
            let last = tail::last(&link, &key(lane)).await?;
            tokio::spawn(tail::follow(target.clone(), key(lane), last, stop.clone(), take(sender.clone())));
        }
        Ok((Self { link, node: sign::fresh_id(), lanes, _tails: stop.drop_guard() }, ear))
    }
}

fn take(sender: mpsc::Sender<Heard>) -> Take {
    // The number of the last message: they are given without gaps.
    let mut last = None;
    Box::new(move |entries| {
        let mut heard = Vec::with_capacity(entries.len());
        for (number, said) in entries.iter().filter_map(understand) {
            if last.replace(number).is_some_and(|last: u64| number != last.wrapping_add(1)) {
                heard.push(Heard::Missed);
            }
            heard.push(said);
        }
        let sender = sender.clone();
        Box::pin(async move {
            for heard in heard {
                if sender.send(heard).await.is_err() {
                    return false;
                }
            }
            true
        })
    })
}

fn understand(entry: &StreamId) -> Option<(u64, Heard)> {
    let number = from_redis_value_ref(entry.map.get("s")?).ok()?;
    let topic: String = from_redis_value_ref(entry.map.get("t")?).ok()?;
    let from = from_redis_value_ref(entry.map.get("n")?).ok()?;
    let body: Vec<u8> = from_redis_value_ref(entry.map.get("b")?).ok()?;
    Some((number, Heard::Said { topic: topic.into(), from, body: body.into() }))
}

impl Bus for Redis {
    fn node(&self) -> u64 {
        self.node
    }

    fn send<'a>(&'a self, topic: &'a str, body: Bytes) -> Answer<'a, ()> {
        Box::pin(async move {
            if body.len() > MAX_MESSAGE {
                return Err(Error::Unavailable("a message is too long for the bus".into()));
            }
            let lane = crc32fast::hash(topic.as_bytes()) as usize % self.lanes;
            let mut script = SEND.prepare_invoke();
            script.key(key(lane)).key(format!("{}:count", key(lane)));
            script.arg(KEPT).arg(topic).arg(self.node).arg(&body[..]);
            self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await
        })
    }
}
