//! The sockets of the RTMP server: accepts connections within bounds, and lets each one's session speak with the hub.
//! Knows the protocol only through the session.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::link::{BUFFER, FAREWELL, Link};
use super::play::{Over, Playing};
use super::session::{Ask, Event, Timeouts};
use super::socket::{self, Accepted, Socket};
use crate::ended::Ended;
use crate::flv::{OVER_RTMP, SOUNDS};
use crate::frame::{Codec, Frame, Kind};
use crate::hub::{Hub, Origin, Publisher};
use crate::name::{Protocol, StreamName};
use crate::rendition::Renditions;
use crate::request::{MAX_BITRATE, Requests, What};

/// Read buffers of a publisher and of a player.
const PUBLISHER_BUFFER: usize = 64 << 10;
const PLAYER_BUFFER: usize = 512;
/// Window over which a publisher's rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Bounds of the RTMP server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most connections.
    pub connections: usize,
    /// Most connections of one address.
    pub per_address: usize,
    /// How long a peer may take for what.
    pub timeouts: Timeouts,
    /// A player that takes nothing for this long is dropped.
    pub write_timeout: Duration,
    /// The kernel's send buffer per connection, in bytes: bounds memory and how stale a slow player's backlog gets.
    pub send_buffer: usize,
    /// Most bits a second of a publisher, unless its permission says otherwise.
    pub max_bitrate: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 20_000,
            per_address: 5_000,
            timeouts: Timeouts::default(),
            write_timeout: Duration::from_secs(10),
            send_buffer: 512 << 10,
            max_bitrate: MAX_BITRATE,
        }
    }
}

struct Shared {
    hub: Hub,
    renditions: Renditions,
    requests: Requests,
    limits: Limits,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// Accepts connections until `shutdown`; returns when all of them have ended.
pub async fn serve(listener: TcpListener, hub: Hub, requests: Requests, limits: Limits, shutdown: CancellationToken) {
    let (to, come) = mpsc::channel(1);
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    let accepted = Accepted { socket: Socket::Left(socket), peer, held: Box::new(()) };
                    if to.send(accepted).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    // Out of descriptors, most likely: let some connections end.
                    tracing::warn!(%error, "rtmp cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    let served = serve_each(come, hub, requests, limits, shutdown.clone());
    tokio::join!(shutdown.run_until_cancelled(accept), served);
}

/// Serves connections that the caller accepts, until `shutdown`; returns when all of them have ended.
pub async fn serve_each(
    mut come: mpsc::Receiver<Accepted>,
    hub: Hub,
    requests: Requests,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let renditions = Renditions::new(hub.clone());
    let shared = Arc::new(Shared { hub, renditions, requests, limits, addresses: Mutex::default() });
    let connections = TaskTracker::new();
    while let Some(Some(accepted)) = shutdown.run_until_cancelled(come.recv()).await {
        let Accepted { socket, peer, held } = accepted;
        let full = connections.len() >= shared.limits.connections;
        let place = if full { None } else { Place::take(&shared, peer.ip()) };
        let Some(place) = place else {
            tracing::debug!(%peer, "rtmp connection refused: too many");
            continue;
        };
        // A token of its own: polling one that all share would be a lock that all share.
        let stop = shutdown.child_token();
        connections.spawn(async move {
            connection(socket, peer, place, stop).await;
            drop(held);
        });
    }
    connections.close();
    connections.wait().await;
}

/// A connection's place among those of its address.
struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Place {
    fn take(shared: &Arc<Shared>, address: IpAddr) -> Option<Place> {
        let mut addresses = shared.addresses.lock();
        let count = addresses.entry(address).or_default();
        if *count >= shared.limits.per_address {
            return None;
        }
        *count += 1;
        Some(Place { shared: Arc::clone(shared), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut addresses = self.shared.addresses.lock();
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

async fn connection(socket: Socket, peer: SocketAddr, place: Place, shutdown: CancellationToken) {
    let limits = &place.shared.limits;
    socket::prepare(&socket, limits.send_buffer);
    let mut link = Link::new(socket, limits.timeouts.clone(), limits.write_timeout);
    let mut did = Did::default();
    let ended = {
        let mut run = std::pin::pin!(link.run(&place.shared, peer, &mut did));
        tokio::select! {
            ended = &mut run => ended,
            // Streams are ended first, so that its players and its publisher know by now.
            () = shutdown.cancelled() => tokio::time::timeout(FAREWELL, run).await.unwrap_or(Ended::Shutdown),
        }
    };
    let role = did.role;
    let stream = did.stream.as_str();
    match ended {
        // An encoder that has to be set up in another way: not for its user alone to know.
        Ended::Protocol(_) | Ended::Limit(_) if role == "publish" => {
            tracing::warn!(%peer, role, stream, reason = %ended, "rtmp session ended");
        }
        _ => tracing::info!(%peer, role, stream, reason = %ended, "rtmp session ended"),
    }
}

/// What a connection was for, for its line in the log.
#[derive(Default)]
struct Did {
    role: &'static str,
    stream: String,
}

impl Link {
    async fn run(&mut self, shared: &Shared, peer: SocketAddr, did: &mut Did) -> Ended {
        loop {
            let done = match self.next_event().await {
                Ok(Event::Publish(ask)) => {
                    did.role = "publish";
                    did.stream = ask.stream.to_string();
                    self.publish(shared, peer, ask).await
                }
                Ok(Event::Play(ask)) => {
                    did.role = "play";
                    did.stream = ask.stream.to_string();
                    Box::pin(self.play(shared, peer, ask)).await
                }
                Ok(_) => Ok(()),
                Err(ended) => Err(ended),
            };
            if let Err(ended) = done {
                match ended {
                    Ended::Shutdown => self.session.stopping(),
                    _ => self.session.publish_failed(&ended),
                }
                self.farewell().await;
                return ended;
            }
        }
    }

    async fn publish(&mut self, shared: &Shared, peer: SocketAddr, ask: Ask) -> Result<(), Ended> {
        let name = ask.stream.clone();
        let options = shared.requests.publish(what(ask, peer)).await.map_err(|e| self.refuse(e))?;
        let origin = Origin { protocol: Protocol::Rtmp, peer };
        let publisher = shared.hub.publish(&name, origin).map_err(|busy| self.refuse(busy.into()))?;
        self.session.accept_publish(Instant::now().into_std());
        self.resize(PUBLISHER_BUFFER);
        let mut rate = Rate::new(options.max_bitrate.unwrap_or(shared.limits.max_bitrate));
        let mut asked = !self.session.reconnects();
        let stopped = loop {
            break tokio::select! {
                stopped = self.receive(&publisher, &mut rate) => stopped,
                ended = publisher.ended() => return Err(ended),
                kicked = options.kick.kicked() => Err(kicked),
                () = options.leaving.cancelled(), if !asked => {
                    asked = true;
                    self.session.ask_to_reconnect();
                    continue;
                }
            };
        };
        match stopped {
            Ok(()) => publisher.finish(Ended::Finished),
            Err(ended @ (Ended::Kicked(_) | Ended::Limit(_))) => {
                publisher.finish(ended.clone());
                return Err(ended);
            }
            // Dropping the publisher leaves the stream waiting for it to come back.
            Err(ended) => return Err(ended),
        }
        self.resize(BUFFER);
        Ok(())
    }

    /// Passes frames on until the peer ends the stream.
    async fn receive(&mut self, publisher: &Publisher, rate: &mut Rate) -> Result<(), Ended> {
        let mut told: Vec<(u8, Codec)> = Vec::new();
        loop {
            match self.next_event().await? {
                Event::Frame(frame) => {
                    if frame.kind == Kind::Audio && !told.contains(&(frame.track, frame.codec)) {
                        told.push((frame.track, frame.codec));
                        tell(publisher.name(), frame.track, frame.codec);
                    }
                    rate.count(&frame, Instant::now())?;
                    publisher.push(frame)?;
                }
                Event::LeftOut(part) => {
                    tracing::warn!(stream = %publisher.name(), %part, "a part of a stream is left out");
                }
                Event::Alive => publisher.is_there(),
                Event::Stopped => return Ok(()),
                _ => {}
            }
        }
    }

    async fn play(&mut self, shared: &Shared, peer: SocketAddr, ask: Ask) -> Result<(), Ended> {
        let name = ask.stream.clone();
        // AAC is made of what a player does not take.
        let takes = if ask.opus { SOUNDS } else { OVER_RTMP };
        let multitrack = ask.multitrack;
        let form = ask.form;
        let options = shared.requests.play(what(ask, peer)).await.map_err(|e| self.refuse(e))?;
        let protocol = if options.relay { Protocol::Relay } else { Protocol::Rtmp };
        let name = if options.overlay { Hub::overlay_name(&name) } else { name };
        let want = options.want(protocol).with_further(multitrack);
        let reader = tokio::select! {
            reader = shared.renditions.open(&name, want, takes, options.wait) => reader,
            stopped = self.until_stopped() => return stopped,
            kicked = options.kick.kicked() => Err(kicked),
        };
        let reader = reader.map_err(|e| self.refuse(e))?;
        self.session.accept_play(Instant::now().into_std());
        self.flush().await?;
        self.resize(PLAYER_BUFFER);
        let write_timeout = self.write_timeout;
        let over = tokio::select! {
            over = Playing::new(self, reader, form, write_timeout, options.leaving.clone()).run() => over?,
            kicked = options.kick.kicked() => return Err(kicked),
        };
        if over == Over::Stream {
            self.session.play_ended(Instant::now().into_std());
        }
        self.flush().await
    }

    /// Reads on while a player waits for its stream, to notice that it has gone.
    async fn until_stopped(&mut self) -> Result<(), Ended> {
        loop {
            if let Event::Stopped = self.next_event().await? {
                return Ok(());
            }
        }
    }
}

fn what(ask: Ask, peer: SocketAddr) -> What {
    let Ask { stream, app, query, .. } = ask;
    What { stream, app, query, protocol: Protocol::Rtmp, peer }
}

/// Says where sound goes that cannot go everywhere.
fn tell(stream: &StreamName, track: u8, codec: Codec) {
    let sound = codec.as_str();
    if track > 0 && codec == Codec::Aac {
        tracing::info!(%stream, track, sound, "a further track of sound goes to HLS, recordings and players that ask for it");
    } else if track > 0 {
        tracing::warn!(%stream, track, sound, "a further track of sound goes to players of RTMP and FLV that ask for it, and nowhere else");
    } else if codec.is_passed_on() {
        tracing::warn!(%stream, sound, "the sound goes to players of RTMP, and of FLV outside browsers, as it is, and nowhere else");
    }
}

/// What a frame costs beside its bytes, in bytes: those of many small ones count, too.
const FRAME: u64 = 64;

/// A publisher's rate against its bound.
struct Rate {
    most: u64,
    since: Instant,
    bytes: u64,
}

impl Rate {
    fn new(most: u64) -> Self {
        Rate { most, since: Instant::now(), bytes: 0 }
    }

    fn count(&mut self, frame: &Frame, now: Instant) -> Result<(), Ended> {
        if now.saturating_duration_since(self.since) >= RATE_WINDOW {
            self.since = now;
            self.bytes = 0;
        }
        self.bytes += frame.payload.len() as u64 + FRAME;
        let allowed = self.most.saturating_mul(RATE_WINDOW.as_secs()) / 8;
        if self.bytes > allowed { Err(Ended::Limit("bitrate")) } else { Ok(()) }
    }
}
