//! One stream on its way from the node that has it to this one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use media::hub::{Hub, Origin, Publisher};
use media::rtmp::client::{Player, Target};
use media::{Ended, Frame, Kind, Protocol, StreamName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Nodes;
use super::places::{self, Place};

/// The application that nodes name when they pull from each other.
pub const APP: &str = "node";
/// The same for what another node mixes in place of a stream.
pub const MIXED: &str = "node/mixed";
/// How often is looked where a stream is that is not there yet.
const LOOK: Duration = Duration::from_millis(250);
/// How long there may be no viewer before the pull ends.
const IDLE: Duration = Duration::from_secs(5);

/// How often a node is asked for a keyframe at most.
const KEY_EVERY: Duration = Duration::from_millis(250);

/// Why a pull stopped.
enum Over {
    /// The stream has ended, or it has no viewer any more.
    Done,
    /// The other node is gone, or does not give it: it may be found elsewhere.
    Lost(Ended),
}

/// Pulls a stream for as long as it is played here.
pub async fn pull(nodes: Arc<Nodes>, stream: StreamName, stop: CancellationToken) {
    let _place = Pulled { nodes: &nodes, stream: &stream };
    let _ = stop.run_until_cancelled(search(&nodes, &stream)).await;
}

async fn search(nodes: &Nodes, stream: &StreamName) {
    let mut until = Instant::now() + nodes.hub.settings().wait;
    let mut told = false;
    loop {
        // Published here meanwhile, or moved here.
        if nodes.hub.info(stream).is_some_and(|info| !info.paused) {
            return;
        }
        if let Ok(Some(found)) = places::find(&nodes.link, stream).await
            && found.place.node != nodes.me.node
            && !found.place.address.is_empty()
        {
            match relay(nodes, stream, &found.place).await {
                Over::Done => return,
                Over::Lost(reason) => {
                    // The stream waits for a publisher here as long as it would for one of its own.
                    if nodes.hub.info(stream).is_some() {
                        until = until.max(Instant::now() + nodes.hub.settings().resume_window);
                    }
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!(%stream, %reason, from = found.place.address, "a stream cannot be pulled now");
                    }
                }
            }
        }
        if Instant::now() >= until {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn relay(nodes: &Nodes, stream: &StreamName, from: &Place) -> Over {
    let query = nodes.urls.pull_query(stream.as_str(), nodes.clock.now());
    let stream_query = format!("{stream}?{query}&multitrack=1");
    let target = Target { address: from.address.clone(), app: APP.into(), stream: stream_query };
    let mut player = match Player::connect(&target).await {
        Ok(player) => player,
        Err(reason) => return Over::Lost(reason),
    };
    let peer = from.address.parse().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let publisher = match nodes.hub.publish(stream, Origin { protocol: Protocol::Relay, peer }) {
        Ok(publisher) => publisher,
        // It is published here.
        Err(busy) => return Over::Lost(busy.into()),
    };
    tracing::info!(%stream, from = from.address, "a stream is pulled from another node");
    let over = tokio::select! {
        over = carry(&mut player, &publisher) => over,
        () = unwanted(nodes, stream) => Ok(()),
        reason = publisher.ended() => Err(reason),
    };
    tracing::info!(%stream, from = from.address, "a stream is no longer pulled");
    match over {
        Ok(()) => {
            publisher.finish(Ended::Finished);
            Over::Done
        }
        // Dropping the publisher leaves the stream waiting for it, or for another one.
        Err(reason) => Over::Lost(reason),
    }
}

/// Shows the audience here what another node mixes in place of a stream, until either is over.
pub async fn overlay(nodes: Arc<Nodes>, home: StreamName, from: Place, stop: CancellationToken) {
    let over = Hub::overlay_name(&home);
    let _place = Pulled { nodes: &nodes, stream: &over };
    if let Some(Err(reason)) = stop.run_until_cancelled(show(&nodes, &home, &from)).await {
        tracing::info!(stream = %home, %reason, from = from.address, "a mix cannot be pulled now");
    }
}

async fn show(nodes: &Nodes, home: &StreamName, from: &Place) -> Result<(), Ended> {
    let query = nodes.urls.pull_query(home.as_str(), nodes.clock.now());
    let target = Target { address: from.address.clone(), app: MIXED.into(), stream: format!("{home}?{query}") };
    let mut player = Player::connect(&target).await?;
    // Only with a picture there is something to see: it begins in the time of the stream as it is then.
    let mut first = Vec::new();
    while !first.last().is_some_and(|frame: &Frame| frame.kind == Kind::Video && frame.key) {
        match player.next().await? {
            Some(frame) if frame.kind.is_config() || frame.key => first.push(frame),
            Some(_) => {}
            None => return Ok(()),
        }
    }
    let peer = from.address.parse().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let publisher = nodes.hub.overlay(home, Origin { protocol: Protocol::Relay, peer })?;
    for frame in first {
        publisher.push(frame)?;
    }
    publisher.show();
    tracing::info!(stream = %home, from = from.address, "a mix is seen that another node makes");
    let over = tokio::select! {
        over = carry(&mut player, &publisher) => over,
        () = deserted(|| nodes.hub.has_audience(home)) => Ok(()),
        reason = publisher.ended() => Err(reason),
    };
    // Whatever happened, the audience sees the stream itself again rather than a picture that stands still.
    publisher.finish(Ended::Finished);
    tracing::info!(stream = %home, from = from.address, "a mix of another node is no longer seen");
    over
}

/// Passes frames on, and wishes for keyframes back.
async fn carry(player: &mut Player, publisher: &Publisher) -> Result<(), Ended> {
    let mut rested = Instant::now();
    loop {
        let wanted = async {
            tokio::time::sleep_until(rested).await;
            publisher.key_wanted().await;
        };
        tokio::select! {
            frame = player.next() => {
                let frame = frame?;
                if let Some(has) = player.says_pictures() {
                    publisher.says_pictures(has);
                }
                match frame {
                    Some(frame) => publisher.push(frame)?,
                    None => return Ok(()),
                }
            }
            () = wanted => {
                rested = Instant::now() + KEY_EVERY;
                player.request_key().await?;
            }
        }
    }
}

/// Waits until it has had no viewer for a while.
async fn unwanted(nodes: &Nodes, stream: &StreamName) {
    let played = || nodes.hub.info(stream).is_some_and(|info| info.readers.iter().any(|(_, count)| *count > 0));
    deserted(played).await;
}

/// Waits until something was not so for a while.
async fn deserted(played: impl Fn() -> bool) {
    let mut wanted = Instant::now();
    while wanted.elapsed() < IDLE {
        tokio::time::sleep(IDLE / 5).await;
        if played() {
            wanted = Instant::now();
        }
    }
}

/// Takes a pull out of the list, however it ends.
struct Pulled<'a> {
    nodes: &'a Nodes,
    stream: &'a StreamName,
}

impl Drop for Pulled<'_> {
    fn drop(&mut self) {
        self.nodes.pulls.lock().remove(self.stream);
    }
}
