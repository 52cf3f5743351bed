//! Streams of several nodes: says in Redis what is published here, refuses what is published elsewhere, and pulls what is
//! played here from the node that has it, once for all its players and only while there are some. Knows no URLs of clients.

mod ask;
mod gone;
pub mod mixes;
mod places;
mod pull;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use media::hub::{self, Hub, StreamInfo};
use media::{Ended, Protocol, StreamName};
use parking_lot::Mutex;
use room::sweep::Pushing;
use room::{Millis, StreamId};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::live::Urls;
use places::{Place, Told};
use store::clock::Clock;
use store::error::Error;
use store::redis::{Link, Target};

pub use ask::NoAnswer;
pub use pull::{APP, MIXED};

/// `[nodes]`: several servers as one (`store.kind = "redis"`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `host:port` at which the other nodes reach this one's RTMP; empty: where it listens.
    pub address: String,
    /// `host:port` where other nodes are taken, and no clients; empty: where RTMP listens.
    pub listen: String,
}

impl Settings {
    /// Adds what is wrong with these settings.
    pub fn problems(&self, rtmp: &crate::gate::Settings, found: &mut Vec<String>) {
        let listen: Option<std::net::SocketAddr> = self.listen.parse().ok();
        if !self.listen.is_empty() && listen.is_none() {
            found.push(format!("nodes.listen = \"{}\" must be address:port, such as \"0.0.0.0:1936\"", self.listen));
        }
        if self.listen.is_empty() && rtmp.enabled && rtmp.proxy_protocol {
            let why = "other nodes cannot come in where rtmp.proxy_protocol wants a proxy";
            found.push(format!("nodes.listen must say where this node takes the others: {why}"));
        }
        let unspecified =
            listen.map_or(rtmp.enabled && rtmp.listen.ip().is_unspecified(), |at| at.ip().is_unspecified());
        if self.address.is_empty() && unspecified {
            found.push("nodes.address must say at which host:port other nodes reach this one's RTMP, such as \"10.0.0.11:1935\"".into());
        }
        let port = |text: &str| {
            text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if !self.address.is_empty() && !port(&self.address) {
            found.push(format!("nodes.address = \"{}\" must be host:port, such as \"10.0.0.11:1935\"", self.address));
        }
    }
}

/// How often is said what is published here.
const TELL: Duration = Duration::from_secs(1);
/// Streams refreshed at the same time.
const ABREAST: usize = 32;
/// Most questions about sessions at the same time.
const ASKING: usize = 64;

/// The streams of this node among those of the others.
pub struct Nodes {
    target: Target,
    link: Link,
    hub: Hub,
    urls: Arc<Urls>,
    clock: Arc<dyn Clock>,
    /// This node, and where others reach it; empty: they do not.
    me: Place,
    /// What is pulled, and how to end that.
    pulls: Mutex<HashMap<StreamName, CancellationToken>>,
    /// What other nodes mix.
    mixes: Mutex<Vec<mixes::Mixed>>,
    /// Questions about sessions that wait for an answer.
    asking: Semaphore,
}

/// The stream is published at another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is published at another node")]
pub struct Taken;

impl Nodes {
    /// A node that others reach at this address.
    #[must_use]
    pub fn new(target: Target, hub: Hub, urls: Arc<Urls>, clock: Arc<dyn Clock>, address: String) -> Arc<Self> {
        let me = Place { node: format!("{:016x}", sign::fresh_id()), address };
        let link = Link::new(target.clone());
        let pulls = Mutex::default();
        let mixes = Mutex::default();
        let asking = Semaphore::new(ASKING);
        Arc::new(Self { target, link, hub, urls, clock, me, pulls, mixes, asking })
    }

    /// Claims a stream for a publisher that is about to begin here. What a node has that is gone is free at once. While
    /// Redis is unavailable every publisher is let in; should the stream be another node's, that is found out when it is back.
    ///
    /// # Errors
    /// [`Taken`].
    pub async fn claim(&self, stream: &StreamName) -> Result<(), Taken> {
        let takeover = self.hub.settings().takeover_after;
        let mut gone = String::new();
        loop {
            match places::claim(&self.link, stream, &self.me, takeover, &gone).await {
                Ok(None) => break,
                Ok(Some((place, told))) if gone.is_empty() && self.is_lost(&place, told).await => gone = place.node,
                Ok(Some(_)) => return Err(Taken),
                Err(error) => {
                    tracing::debug!(%stream, %error, "published without asking other nodes");
                    break;
                }
            }
        }
        self.yield_to_publisher(stream).await;
        Ok(())
    }

    /// Sees to it that a stream that a viewer wants to play here comes here.
    pub fn want(self: &Arc<Self>, stream: &StreamName) {
        if self.hub.info(stream).is_some_and(|info| !info.paused) {
            return;
        }
        let stop = CancellationToken::new();
        {
            let mut pulls = self.pulls.lock();
            if pulls.contains_key(stream) {
                return;
            }
            pulls.insert(stream.clone(), stop.clone());
        }
        tokio::spawn(pull::pull(self.clone(), stream.clone(), stop));
    }

    /// Which of these streams are pushed at other nodes.
    pub async fn pushing(&self, stream: &StreamId, now: Millis) -> Pushing {
        let Ok(name) = StreamName::new(stream.as_str()) else { return Pushing::No };
        match places::find(&self.link, &name).await {
            Ok(None) => Pushing::No,
            Ok(Some(found)) => Pushing::Until(Millis(now.0.saturating_sub(found.unheard))),
            Err(_) => Pushing::Unknown,
        }
    }

    /// Has a stream ended at the node that publishes it, within about a second. Says whether one does.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn end(&self, stream: &StreamName) -> Result<bool, Error> {
        places::end(&self.link, stream).await
    }

    /// Says what is published here until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut events = self.hub.events();
        let mut tick = tokio::time::interval(TELL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut settled = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    // Where Redis is away, that is said the next time.
                    let _ = self.appear().await;
                    self.settle(&mut settled).await;
                    self.tell_all().await;
                }
                event = events.recv() => match event {
                    Ok(hub::Event::Ended { name, .. }) if !name.is_derived() => {
                        // Where Redis is away, the place runs out by itself.
                        let _ = places::release(&self.link, &name, &self.me).await;
                    }
                    // Where its publisher goes now, it need not wait.
                    Ok(hub::Event::Paused { name }) if !name.is_derived() => {
                        let own = self.hub.info(&name).filter(|info| info.protocol != Protocol::Relay);
                        if let Some(info) = own {
                            self.tell(info).await;
                        }
                    }
                    Err(RecvError::Closed) => return,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                },
            }
        }
    }

    async fn tell_all(self: &Arc<Self>) {
        use futures_util::StreamExt;
        let own = |info: &StreamInfo| info.protocol != Protocol::Relay && !info.name.is_derived();
        let streams = self.hub.list().into_iter().filter(own);
        futures_util::stream::iter(streams).for_each_concurrent(ABREAST, |info| self.tell(info)).await;
    }

    async fn tell(self: &Arc<Self>, info: StreamInfo) {
        match places::tell(&self.link, &info, &self.me).await {
            // The audience here goes on with what comes from there, also where the publisher here did not know that it had gone:
            // its connection is open, and nothing comes.
            Ok(Told::Theirs) => {
                if !info.paused {
                    let silent = info.silent >= self.hub.settings().takeover_after;
                    tracing::warn!(stream = %info.name, silent, "the stream is published at another node: its publisher here ends");
                    self.hub.unseat(&info.name);
                }
                self.want(&info.name);
            }
            Ok(Told::ToEnd) => drop(self.hub.end(&info.name, Ended::Kicked("an operator".into()))),
            // What could not be told is told next time.
            Ok(Told::Ours) | Err(_) => {}
        }
    }

    /// Ends the pull of a stream whose publisher comes here.
    async fn yield_to_publisher(&self, stream: &StreamName) {
        loop {
            let Some(stop) = self.pulls.lock().get(stream).cloned() else { return };
            stop.cancel();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
