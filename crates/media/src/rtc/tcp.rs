//! ICE over TCP on one port (RFC 6544, framing of RFC 4571): connections are carriers of datagrams, no more. A connection
//! that does not start with a request for a session of ours is closed.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use str0m::net::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::net::Table;

/// Most connections at a time, and of one address.
const MOST: (usize, usize) = (4_096, 64);
/// Datagrams that wait for a connection before more are dropped.
const QUEUE: usize = 256;
/// Longest datagram taken.
const MAX_DATAGRAM: usize = 2_048;
/// The first datagram must come within this time, and any later one within the other.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// The writing ends of all connections, by peer address.
#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<SocketAddr, mpsc::Sender<Bytes>>>,
}

impl Connections {
    /// Sends a datagram, or drops it when the connection is gone or full.
    pub fn send(&self, to: SocketAddr, contents: &[u8]) {
        let Ok(length) = u16::try_from(contents.len()) else { return };
        let sender = self.open.lock().get(&to).cloned();
        if let Some(sender) = sender {
            let mut framed = BytesMut::with_capacity(contents.len() + 2);
            framed.put_u16(length);
            framed.put_slice(contents);
            let _ = sender.try_send(framed.freeze());
        }
    }

    fn admit(&self, peer: SocketAddr) -> Option<mpsc::Receiver<Bytes>> {
        let mut open = self.open.lock();
        let same: fn(&SocketAddr) -> IpAddr = SocketAddr::ip;
        if open.len() >= MOST.0 || open.keys().filter(|p| same(p) == peer.ip()).count() >= MOST.1 {
            return None;
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        open.insert(peer, sender);
        Some(receiver)
    }
}

/// Accepts connections until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    table: Arc<Table>,
    connections: Arc<Connections>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors, most likely: others will close theirs.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(outgoing) = connections.admit(peer) else { continue };
        let table = Arc::clone(&table);
        let connections = Arc::clone(&connections);
        let stop = stop.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let local = stream.local_addr().map_or(peer, |a| a);
            tokio::select! {
                () = carry(stream, peer, local, &table, outgoing) => {}
                () = stop.cancelled() => {}
            }
            connections.open.lock().remove(&peer);
        });
    }
}

async fn carry(
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    table: &Table,
    mut outgoing: mpsc::Receiver<Bytes>,
) {
    let (mut read, mut write) = stream.into_split();
    let incoming = async {
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut patience = PATIENCE.0;
        loop {
            let datagram = async {
                let length = usize::from(read.read_u16().await.ok()?);
                let datagram = buffer.get_mut(..length)?;
                read.read_exact(datagram).await.ok()?;
                Some(length)
            };
            let Ok(Some(length)) = tokio::time::timeout(patience, datagram).await else { return };
            let taken =
                table.route(table.known(Protocol::Tcp, peer), Protocol::Tcp, peer, Some(local.ip()), &buffer[..length]);
            // Strangers are let go at once; a session's peer may be early with something that is not for it.
            if !taken && patience == PATIENCE.0 {
                return;
            }
            patience = PATIENCE.1;
        }
    };
    let writing = async {
        while let Some(datagram) = outgoing.recv().await {
            if write.write_all(&datagram).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = incoming => {}
        () = writing => {}
    }
}
