//! What every TCP connection passes before its protocol begins: the word of a proxy in front about who comes, the bounds of
//! addresses, and TLS. Each step is bounded in time; who fails one is let go without a word.

pub mod acme;
pub mod lan;
pub mod look;
mod private;
pub mod proxies;
mod proxy_protocol;
pub mod secure;
pub mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use media::rtmp::Accepted;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use access::limits::{Limits, Place};
pub use private::write_private;
use proxies::Proxies;
use tls::Tls;
pub use wire::{Wire, is_http2, is_secure};

/// How long a proxy may take to say who comes: it says so with the first packet.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The door of one listener.
#[derive(Clone)]
pub struct Door {
    /// The bounds of addresses.
    pub limits: Arc<Limits>,
    /// Whose word about others is believed.
    pub proxies: Arc<Proxies>,
    /// Connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// They go on with TLS.
    pub tls: Option<Tls>,
}

/// A connection that was let in.
pub struct Guest {
    /// What is left to read and write.
    pub wire: Wire,
    /// Who it is.
    pub peer: SocketAddr,
    /// Counts it.
    pub place: Place,
}

/// Connections of RTMP that are at the door at a time; more wait in the kernel.
const AT_THE_DOOR: usize = 1024;

impl Door {
    /// The door that other nodes of an installation come through, as many as they are.
    #[must_use]
    pub fn of_nodes(limits: &Arc<Limits>) -> Self {
        Self { limits: limits.clone(), proxies: Arc::new(Proxies::all()), proxy_protocol: false, tls: None }
    }

    /// Accepts connections and hands those that were let in to the RTMP server, until `stop`.
    pub async fn hand_on(self, listener: TcpListener, to: mpsc::Sender<Accepted>, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(AT_THE_DOOR));
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                next = next => next,
                () = stop.cancelled() => return,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: those that are open go on.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let door = self.clone();
            let to = to.clone();
            tokio::spawn(async move {
                let Some(Guest { wire, peer, place: held }) = door.enter(socket, peer).await else { return };
                drop(place);
                let socket = match wire {
                    Wire::Left(socket) => media::rtmp::Socket::Left(socket),
                    Wire::Right(stream) => media::rtmp::Socket::Right(stream),
                };
                // A server that is gone takes no more.
                let _ = to.send(Accepted { socket, peer, held: Box::new(held) }).await;
            });
        }
    }

    /// Lets a connection in, or not.
    pub async fn enter(&self, mut socket: TcpStream, mut peer: SocketAddr) -> Option<Guest> {
        // Handshakes and small answers must not wait for more.
        let _ = socket.set_nodelay(true);
        let proxied = self.proxies.trusts(peer.ip());
        if self.proxy_protocol {
            // Any other peer could claim an address that is not its own.
            if !proxied {
                tracing::debug!(%peer, "not a trusted proxy");
                return None;
            }
            let said = timeout(INTRODUCTION, proxy_protocol::read(&mut socket)).await.ok()?;
            match said {
                Ok(said) => peer = said.unwrap_or(peer),
                Err(error) => {
                    tracing::debug!(%peer, %error, "no header of the PROXY protocol");
                    return None;
                }
            }
        }
        // A proxy carries the connections of many.
        let place =
            if proxied && !self.proxy_protocol { Place::free() } else { self.limits.connect(peer.ip()).ok()? };
        let wire = match &self.tls {
            None => Wire::Left(socket),
            Some(tls) => match timeout(HANDSHAKE, tls.accept(socket)).await {
                // The handshake was all that an authority wanted to see.
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(tls::PROOF) => return None,
                Ok(Ok(stream)) => Wire::Right(Box::new(stream)),
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "TLS");
                    return None;
                }
                Err(_) => return None,
            },
        };
        Some(Guest { wire, peer, place })
    }
}
