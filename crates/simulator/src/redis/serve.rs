//! A connection to a server or a Sentinel: what arrives is answered in its order, and the answers travel back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use store::redis::sentinel::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::commands::streams::waits;
use super::resp::{Reply, Requests, Text};
use super::wire::Wire;
use super::{Redis, sentinels};

type Packet = (Instant, Vec<u8>);

/// Answers on a connection for as long as it lasts.
///
/// # Errors
/// The server is not there.
pub fn serve(
    redis: Arc<Redis>,
    server: &Address,
    stream: DuplexStream,
    wire: Arc<Wire>,
    over: CancellationToken,
) -> io::Result<()> {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let host = server.0.strip_prefix("redis").map(|n| n.parse::<usize>().map_err(|_| refused())).transpose()?;
    let life = match host {
        Some(host) => {
            let state = redis.state.lock();
            let host = state.hosts.get(host).filter(|host| host.up).ok_or_else(refused)?;
            host.life.clone()
        }
        None => CancellationToken::new(),
    };
    let (read, write) = tokio::io::split(stream);
    let (incoming, arrives) = mpsc::unbounded_channel();
    let (outgoing, leaves) = mpsc::unbounded_channel();
    let back = Back { wire: wire.clone(), outgoing, last: Instant::now() };
    let working = async move {
        match host {
            Some(host) => work(&redis, host, arrives, back).await,
            None => sentinels::work(&redis, arrives, back).await,
        }
    };
    // What a process sent before it ended arrives all the same.
    let reading = over.run_until_cancelled_owned(read_all(read, wire.clone(), incoming));
    let whole = async move { tokio::join!(reading, working, write_all(write, wire, leaves)) };
    tokio::spawn(async move { _ = life.run_until_cancelled(whole).await });
    Ok(())
}

async fn read_all(mut read: ReadHalf<DuplexStream>, wire: Arc<Wire>, incoming: UnboundedSender<Packet>) {
    let mut last = Instant::now();
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = read.read(&mut bytes).await {
        if incoming.send((wire.arrives(&mut last), bytes[..count].to_vec())).is_err() {
            return;
        }
    }
}

async fn write_all(mut write: WriteHalf<DuplexStream>, wire: Arc<Wire>, mut leaves: UnboundedReceiver<Packet>) {
    while let Some((due, bytes)) = leaves.recv().await {
        sleep_until(due).await;
        wire.passes().await;
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Requests as they arrive.
pub struct Arriving {
    arrives: UnboundedReceiver<Packet>,
    requests: Requests,
}

impl Arriving {
    /// Those of a connection.
    pub fn new(arrives: UnboundedReceiver<Packet>) -> Self {
        Self { arrives, requests: Requests::default() }
    }

    /// The next one; none when the connection has ended.
    pub async fn next(&mut self, wire: &Wire) -> Option<Vec<Text>> {
        loop {
            if let Some(words) = self.requests.next() {
                return Some(words);
            }
            let (due, bytes) = self.arrives.recv().await?;
            sleep_until(due).await;
            wire.passes().await;
            self.requests.take(&bytes);
        }
    }
}

/// The way back.
pub struct Back {
    /// The network.
    pub wire: Arc<Wire>,
    outgoing: UnboundedSender<Packet>,
    last: Instant,
}

impl Back {
    /// Sends an answer. Says whether anybody may hear it.
    pub fn send(&mut self, reply: &Reply) -> bool {
        let mut bytes = Vec::new();
        reply.write(&mut bytes);
        self.outgoing.send((self.wire.arrives(&mut self.last), bytes)).is_ok()
    }
}

async fn work(redis: &Redis, host: usize, arrives: UnboundedReceiver<Packet>, mut back: Back) {
    let mut arriving = Arriving::new(arrives);
    let mut queued: Option<Vec<Vec<Text>>> = None;
    // How many changes there were after the last one of this connection.
    let mut made = 0;
    while let Some(words) = arriving.next(&back.wire).await {
        let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let reply = match (name.as_slice(), &mut queued) {
            (b"MULTI", _) => {
                queued = Some(Vec::new());
                Some(Reply::Word("OK"))
            }
            (b"EXEC", _) => {
                let all = queued.take().unwrap_or_default();
                let done = redis
                    .with(host, |server, now| all.iter().map(|words| server.answer(now, words)).collect::<Vec<_>>());
                made = redis.made(host);
                done.map(Reply::List)
            }
            (_, Some(queued)) => {
                queued.push(words);
                Some(Reply::Word("QUEUED"))
            }
            (b"ROLE", _) => redis.role(host),
            (b"WAIT", _) => Some(redis.wait(host, made, &words).await),
            _ => match waits(&words) {
                Some(ms) => {
                    let reply = redis.read(host, &words, Duration::from_millis(ms)).await;
                    back.wire.dawdles().await;
                    reply
                }
                None => {
                    let reply = redis.with(host, |server, now| server.answer(now, &words));
                    made = redis.made(host);
                    reply
                }
            },
        };
        // A server that is gone says nothing.
        let Some(reply) = reply else { return };
        if !back.send(&reply) {
            return;
        }
    }
}

impl Redis {
    fn role(&self, host: usize) -> Option<Reply> {
        let state = self.state.lock();
        let host = state.hosts.get(host).filter(|host| host.up)?;
        let text = |text: &str| Reply::Text(text.into());
        let has = Reply::Number(host.has.cast_signed());
        Some(Reply::List(if host.leads {
            vec![text("master"), has, Reply::List(Vec::new())]
        } else {
            vec![text("slave"), text("redis"), Reply::Number(6379), text("connected"), has]
        }))
    }

    /// A read that waits until something comes.
    async fn read(&self, host: usize, words: &[Text], within: Duration) -> Option<Reply> {
        let end = Instant::now() + within;
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let reply = self.with(host, |server, now| server.answer(now, words))?;
            if reply != Reply::NoList || Instant::now() >= end {
                return Some(reply);
            }
            // Late is as good as changed: it looks once more. The sender is held here.
            let _ = timeout_at(end, changed.changed()).await;
        }
    }

    /// Waits until so many replicas have all changes of a connection.
    async fn wait(&self, host: usize, changes: u64, words: &[Text]) -> Reply {
        let number = |n: usize| words.get(n).and_then(|text| super::commands::number::<u64>(text).ok()).unwrap_or(0);
        let wanted = usize::try_from(number(1)).unwrap_or(usize::MAX);
        let end = Instant::now() + Duration::from_millis(number(2));
        loop {
            let have = self.replicas_with(host, changes);
            if have >= wanted || Instant::now() >= end {
                return Reply::count(have);
            }
            sleep(Duration::from_millis(2)).await;
        }
    }
}
