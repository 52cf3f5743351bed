//! What one node asks of another: a stream of questions for each node in Redis, and a key for each answer. Knows nothing of
//! what is asked.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::AsyncCommands;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Nodes;
use store::error::Error;
use store::redis::keys::Keys;
use store::redis::tail;

/// How often is looked for an answer.
const LOOK: Duration = Duration::from_millis(40);
/// Seconds for which an answer is kept.
const FETCHED: u64 = 30;
/// Seconds for which a node counts as there without saying so. Nodes say so once a second.
const PRESENT: u64 = 4;
/// How long a node may take to answer what is asked of a session.
const ANSWERS: Duration = Duration::from_secs(2);

/// Why another node gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no such node, or no longer.
    Gone,
    /// It did not answer in time, too much is asked at once, or Redis is unavailable.
    Silent,
}

impl Nodes {
    /// This node, as others name it: 16 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.me.node
    }

    /// Says that this node is there.
    pub(super) async fn appear(&self) -> Result<(), Error> {
        let key = Keys::node(&self.me.node);
        self.link.run(async |mut redis| redis.set_ex(key, 1, PRESENT).await).await
    }

    async fn is_there(&self, node: &str) -> Result<bool, Error> {
        let key = Keys::node(node);
        self.link.run(async |mut redis| redis.exists(key).await).await
    }

    /// Asks a node something about one of its WebRTC sessions.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn ask_of_session(&self, node: &str, ask: &str) -> Result<String, NoAnswer> {
        // A node that asks for nothing but this must not keep all others waiting.
        let _turn = self.asking.try_acquire().map_err(|_| NoAnswer::Silent)?;
        match self.is_there(node).await {
            Ok(true) => self.post(Keys::session_asks(node), ask, ANSWERS).await.ok_or(NoAnswer::Silent),
            Ok(false) => Err(NoAnswer::Gone),
            Err(_) => Err(NoAnswer::Silent),
        }
    }

    /// Answers what other nodes ask of sessions here, until it is dropped.
    pub async fn answer_of_sessions<F>(self: Arc<Self>, answer: impl Fn(String) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Option<String>> + Send + 'static,
    {
        let key = Keys::session_asks(&self.me.node);
        self.take(key, answer).await;
    }

    /// Asks by the stream `key`, and waits for the answer; none if there is none in time.
    pub(super) async fn post(&self, key: String, ask: &str, within: Duration) -> Option<String> {
        let id = format!("{:016x}", sign::fresh_id());
        let mut pipe = redis::pipe();
        pipe.cmd("XADD").arg(&key).arg("MAXLEN").arg("~").arg(100).arg("*").arg("i").arg(&id).arg("a").arg(ask);
        pipe.ignore().expire(&key, 60).ignore();
        self.link.run(async |mut redis| pipe.exec_async(&mut redis).await).await.ok()?;
        let until = Instant::now() + within;
        let key = Keys::answer(&id);
        while Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            let answer: Result<Option<String>, _> = self.link.run(async |mut redis| redis.get(&key).await).await;
            if let Ok(Some(text)) = answer {
                return Some(text);
            }
        }
        None
    }

    /// Answers what is asked by the stream `key`, until it is dropped. What has no answer is not answered.
    pub(super) async fn take<F>(self: Arc<Self>, key: String, answer: impl Fn(String) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Option<String>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let nodes = self.clone();
        let _stopped = stop.clone().drop_guard();
        let take = Box::new(move |entries: Vec<redis::streams::StreamId>| {
            for entry in entries {
                let field = |name| {
                    let value = entry.map.get(name)?;
                    redis::from_redis_value_ref::<String>(value).ok()
                };
                let (Some(id), Some(asked)) = (field("i"), field("a")) else { continue };
                let answer = answer(asked);
                let nodes = nodes.clone();
                tokio::spawn(async move {
                    let Some(text) = answer.await else { return };
                    let key = Keys::answer(&id);
                    // Who waits in vain asks again.
                    let _ = nodes.link.run(async |mut redis| redis.set_ex::<_, _, ()>(key, text, FETCHED).await).await;
                });
            }
            Box::pin(std::future::ready(true)) as std::pin::Pin<Box<dyn Future<Output = bool> + Send>>
        });
        // This node could not be asked before it was there.
        let from = tail::Cursor { last: Some("0-0".into()), known: CancellationToken::new() };
        tail::follow(self.target.clone(), key, from, stop, take).await;
    }
}
