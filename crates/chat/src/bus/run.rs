//! The bus at work: says what waits, hears what nodes say, and shows that this node is there.

use std::sync::Arc;
use std::time::Duration;

use redis::from_redis_value_ref;
use redis::streams::StreamId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::partition::Line;
use super::{Bus, Heard, Listener, Op, scripts};
use store::error::Error;
use store::redis::keys::Keys;
use store::redis::tail::{self, Cursor, Take};

/// How long after a failure Redis is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// A failure that comes so soon is often only that of a connection that broke long ago.
const SOON: Duration = Duration::from_millis(100);
/// How often a node says that it is there, and for how long that counts.
const SAYS_SO: Duration = Duration::from_secs(2);
const COUNTS: Duration = Duration::from_secs(6);

impl Bus {
    /// Carries between the nodes until it is dropped.
    pub async fn run(self: Arc<Self>, listener: Arc<dyn Listener>) {
        let stop = CancellationToken::new();
        let _stopped = stop.clone().drop_guard();
        let partitions = (0..self.partitions.len()).map(|partition| {
            let target = self.target.clone();
            let key = Keys::bus(partition);
            let stop = stop.clone();
            let from = Cursor { last: None, known: self.listening[partition].clone() };
            let follow = tail::follow(target, key, from, stop, self.clone().take(partition, listener.clone()));
            let bus = self.clone();
            let listener = listener.clone();
            futures_util::future::join(follow, async move { bus.write(partition, &*listener).await })
        });
        let partitions = futures_util::future::join_all(partitions);
        futures_util::future::join(partitions, self.show(&*listener)).await;
    }

    async fn show(&self, listener: &dyn Listener) {
        let mut known: Vec<u64> = Vec::new();
        loop {
            let mut script = scripts::ALIVE.prepare_invoke();
            script.key(Keys::NODES).arg(self.node).arg(u64::try_from(COUNTS.as_millis()).unwrap_or_default());
            // While Redis is unavailable no node is known to be gone.
            if let Ok(alive) = self.link.run(async |mut redis| script.invoke_async::<Vec<u64>>(&mut redis).await).await
            {
                let mut alive = alive;
                alive.sort_unstable();
                if alive != known {
                    tracing::info!(nodes = alive.len(), "the nodes that share this redis have changed");
                    listener.nodes(&alive);
                    known = alive;
                }
            }
            tokio::time::sleep(SAYS_SO).await;
        }
    }

    async fn write(&self, at: usize, listener: &dyn Listener) {
        let partition = &self.partitions[at];
        let mut away = false;
        loop {
            let batch = partition.batch();
            if batch.is_empty() {
                partition.wake.notified().await;
                continue;
            }
            let begun = Instant::now();
            let mut said = self.say(at, &batch).await;
            if said.is_err() && !away && begun.elapsed() < SOON {
                said = self.say(at, &batch).await;
            }
            match said {
                Ok(numbers) => {
                    partition.taken(&batch, &numbers);
                    if std::mem::take(&mut away) {
                        tracing::info!(partition = at, "chat between nodes goes on");
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!(%error, partition = at, "chat between nodes waits; each node goes on by itself");
                    }
                    listener.adrift(partition.set_adrift());
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn say(&self, partition: usize, batch: &[Line]) -> Result<Vec<i64>, Error> {
        let script = scripts::prepare_say(&self.keys, partition, self.node, batch);
        self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await
    }

    fn take(self: Arc<Self>, partition: usize, listener: Arc<dyn Listener>) -> Take {
        // Entries are counted without gaps.
        let mut last: Option<u64> = None;
        Box::new(move |entries| {
            for entry in &entries {
                let count = number(entry, "i");
                // What cannot be understood is counted, too: after it nothing is missing.
                if let Some(count) = count
                    && last.replace(count).is_some_and(|last| count != last.wrapping_add(1))
                {
                    listener.clone().missed(partition);
                }
                let Some(heard) = count.and_then(|_| understand(entry)) else {
                    tracing::warn!(id = entry.id, "what another node says cannot be understood and is left out");
                    continue;
                };
                let own = heard.from == self.node;
                let nonce = heard.nonce;
                let number = heard.number;
                listener.heard(heard);
                if own {
                    self.partitions[partition].heard(nonce, number);
                }
            }
            Box::pin(std::future::ready(true))
        })
    }
}

fn number(entry: &StreamId, field: &str) -> Option<u64> {
    from_redis_value_ref(entry.map.get(field)?).ok()
}

fn understand(entry: &StreamId) -> Option<Heard> {
    let op: Vec<u8> = from_redis_value_ref(entry.map.get("o")?).ok()?;
    let op: Op = serde_json::from_slice(&op).ok()?;
    let life = number(entry, "e");
    Some(Heard { number: number(entry, "s")?, from: number(entry, "n")?, nonce: number(entry, "k")?, life, op })
}
