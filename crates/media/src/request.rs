//! Permission asked for with a value: a session that wants to publish or play hands out a [`Request`] and waits, bounded,
//! for the answer. Knows nothing of who answers or why.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::ended::Ended;
use crate::flv::body::Form;
use crate::hub::{Pace, Start, View, Want};
use crate::name::{Protocol, StreamName};

/// Most bits a second of a publisher, averaged over a few seconds, unless its permission says otherwise: more than any camera
/// sends. One bound for every protocol.
pub const MAX_BITRATE: u64 = 100_000_000;

/// A session asks to publish or to play. Dropping it refuses.
#[derive(Debug)]
pub enum Request {
    /// May this peer publish the stream?
    Publish(Ask<PublishOptions>),
    /// May this peer play the stream?
    Play(Ask<PlayOptions>),
}

impl Request {
    /// What is asked, whichever it is.
    pub fn what(&self) -> &What {
        match self {
            Request::Publish(ask) => &ask.what,
            Request::Play(ask) => &ask.what,
        }
    }

    /// Refuses, whichever it is; see [`Ask::reject`].
    pub fn reject(self, reason: impl Into<String>) {
        match self {
            Request::Publish(ask) => ask.reject(reason),
            Request::Play(ask) => ask.reject(reason),
        }
    }

    /// Refuses for now, whichever it is; see [`Ask::turn_away`].
    pub fn turn_away(self) {
        match self {
            Request::Publish(ask) => ask.turn_away(),
            Request::Play(ask) => ask.turn_away(),
        }
    }
}

/// What a peer asks for.
#[derive(Debug, Clone)]
pub struct What {
    /// The stream.
    pub stream: StreamName,
    /// The application or path prefix the peer named (`live` in `rtmp://host/live/stream`); untrusted, ≤ 256 bytes.
    pub app: String,
    /// The raw query that came with the name, without its `?`; untrusted, ≤ 4096 bytes.
    pub query: Query,
    /// How the peer came.
    pub protocol: Protocol,
    /// Where it came from.
    pub peer: SocketAddr,
}

/// A raw query string. It holds signatures, so `Debug` shows only its length.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Query(pub String);

impl Query {
    /// Whether it asks for all tracks of sound: `multitrack=1`.
    pub fn is_for_all_tracks(&self) -> bool {
        self.0.split('&').any(|pair| pair == "multitrack=1")
    }

    /// How it asks for the tags of RTMP and FLV: `hevc=12` is HEVC by its old number.
    pub fn form(&self) -> Form {
        if self.0.split('&').any(|pair| pair == "hevc=12") { Form::OldHevc } else { Form::Enhanced }
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({} bytes)", self.0.len())
    }
}

/// One question with the place for its answer.
#[derive(Debug)]
pub struct Ask<Options> {
    /// What is asked.
    pub what: What,
    answer: oneshot::Sender<Result<Options, Ended>>,
}

impl<Options> Ask<Options> {
    /// Lets the peer in, under `options`. A peer that has gone meanwhile is no error.
    pub fn accept(self, options: Options) {
        let _ = self.answer.send(Ok(options));
    }

    /// Refuses; `reason` is told to the peer, so it must hold no secret.
    pub fn reject(self, reason: impl Into<String>) {
        let _ = self.answer.send(Err(Ended::Refused(reason.into())));
    }

    /// Refuses because another publisher has the stream.
    pub fn busy(self) {
        let _ = self.answer.send(Err(Ended::Busy));
    }

    /// Refuses because the server is about to end: asking again later, or elsewhere, may help.
    pub fn turn_away(self) {
        let _ = self.answer.send(Err(Ended::Shutdown));
    }
}

/// Under what terms a publisher is let in. Build one by `Default` and set fields: more will come.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PublishOptions {
    /// Ends the session later: keep a clone.
    pub kick: Kick,
    /// Most bits a second, averaged over a few seconds; more ends the session. `None`: the server's own bound.
    pub max_bitrate: Option<u64>,
    /// The operator allows this stream to be recorded, and it is to be.
    pub record: bool,
    /// Once cancelled, the peer is asked to connect again, if its protocol has words for that.
    pub leaving: CancellationToken,
}

/// Under what terms a player is let in. Build one by `Default` and set fields: more will come.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PlayOptions {
    /// Ends the session later: keep a clone.
    pub kick: Kick,
    /// Per frame for co-anchors, in bursts for audiences.
    pub pace: Pace,
    /// Where to start.
    pub start: Start,
    /// How long to wait for a publisher when there is none. `None`: the hub's setting.
    pub wait: Option<Duration>,
    /// How long it waits at least, whatever it asks for: the publisher may be at another node.
    pub least_wait: Duration,
    /// Once cancelled, the peer is asked to connect again, if its protocol has words for that.
    pub leaving: CancellationToken,
    /// The player is another node, which has viewers of its own: not counted as one.
    pub relay: bool,
    /// The stream itself is played, whatever the audience sees in its place: co-anchors ask for that.
    pub raw: bool,
    /// What the audience sees in the stream's place is played, and nothing else ([`crate::Hub::overlay`]).
    pub overlay: bool,
}

impl PlayOptions {
    /// How the hub is asked for the stream, for a player that came by this protocol.
    pub fn want(&self, protocol: Protocol) -> Want {
        let want = Want::new(protocol, self.pace, self.start);
        if self.raw { want.with_view(View::Raw) } else { want }
    }
}

/// Ends a session from outside; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Kick {
    token: CancellationToken,
    reason: Arc<OnceLock<String>>,
}

impl Kick {
    /// Ends the session; the first reason given counts. It is logged and may be told to the peer.
    pub fn kick(&self, reason: impl Into<String>) {
        let _ = self.reason.set(reason.into());
        self.token.cancel();
    }

    /// Waits for a kick.
    pub async fn kicked(&self) -> Ended {
        self.token.cancelled().await;
        self.why().unwrap_or(Ended::Kicked(String::new()))
    }

    /// Whether this is the last clone: the session is over.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.reason) == 1
    }

    /// The reason, once kicked.
    pub fn why(&self) -> Option<Ended> {
        let reason = || self.reason.get().cloned().unwrap_or_default();
        self.token.is_cancelled().then(|| Ended::Kicked(reason()))
    }
}

/// The asking end, held by every protocol; cheap to clone.
#[derive(Debug, Clone)]
pub struct Requests {
    sender: mpsc::Sender<Request>,
    timeout: Duration,
}

/// Makes the channel of requests: at most `capacity` unanswered ones wait in it, and no session waits longer than
/// `timeout` for its answer.
pub fn channel(capacity: usize, timeout: Duration) -> (Requests, mpsc::Receiver<Request>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Requests { sender, timeout }, receiver)
}

impl Requests {
    /// Asks to publish. Errors: [`Ended::Refused`] with the reason, [`Ended::Timeout`] when there was no answer in time.
    pub async fn publish(&self, what: What) -> Result<PublishOptions, Ended> {
        self.ask(what, Request::Publish).await
    }

    /// Asks to play. Errors as [`Requests::publish`].
    pub async fn play(&self, what: What) -> Result<PlayOptions, Ended> {
        self.ask(what, Request::Play).await
    }

    async fn ask<O>(&self, what: What, wrap: impl FnOnce(Ask<O>) -> Request) -> Result<O, Ended> {
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            let dropped = || Ended::Refused("not permitted".into());
            self.sender.send(wrap(Ask { what, answer })).await.map_err(|_| dropped())?;
            answered.await.map_err(|_| dropped())?
        };
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(Ended::Timeout("permission")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what() -> What {
        What {
            stream: StreamName::new("s").unwrap(),
            app: "live".into(),
            query: Query("txSecret=abc".into()),
            protocol: Protocol::Rtmp,
            peer: "127.0.0.1:9".parse().unwrap(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn accepted_rejected_dropped_and_unanswered() {
        let (requests, mut inbox) = channel(4, Duration::from_secs(5));
        let server = tokio::spawn(async move {
            let Some(Request::Publish(first)) = inbox.recv().await else { panic!("a publish request first") };
            first.accept(PublishOptions { max_bitrate: Some(1000), ..PublishOptions::default() });
            inbox.recv().await.unwrap().reject("expired");
            drop(inbox.recv().await);
            let kept = inbox.recv().await;
            (inbox, kept)
        });
        assert_eq!(requests.publish(what()).await.unwrap().max_bitrate, Some(1000));
        assert_eq!(requests.play(what()).await.unwrap_err(), Ended::Refused("expired".into()));
        assert_eq!(requests.play(what()).await.unwrap_err(), Ended::Refused("not permitted".into()));
        assert_eq!(requests.publish(what()).await.unwrap_err(), Ended::Timeout("permission"));
        drop(server.await.unwrap());
        assert_eq!(requests.publish(what()).await.unwrap_err(), Ended::Refused("not permitted".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_channel_is_a_timeout_not_a_wait() {
        let (requests, _inbox) = channel(1, Duration::from_secs(5));
        let (a, b) = tokio::join!(requests.play(what()), requests.play(what()));
        assert_eq!(a.unwrap_err(), Ended::Timeout("permission"));
        assert_eq!(b.unwrap_err(), Ended::Timeout("permission"));
    }

    #[tokio::test]
    async fn a_kick_tells_its_first_reason() {
        let kick = Kick::default();
        assert_eq!(kick.why(), None);
        kick.clone().kick("banned");
        kick.kick("again");
        assert_eq!(kick.kicked().await, Ended::Kicked("banned".into()));
    }

    #[test]
    fn queries_do_not_leak_into_debug() {
        assert!(!format!("{:?}", what()).contains("abc"));
    }
}
