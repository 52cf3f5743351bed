//! ICE over TCP on one port (RFC 6544, framing of RFC 4571): connections are carriers of datagrams, no more. A connection
//! that does not start with a request for a session of ours is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use str0m::net::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use super::net::Table;

/// Longest datagram taken.
const MAX_DATAGRAM: usize = 2_048;
/// The first datagram must come within this time, and any later one within the other.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);

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
            connections.close(peer);
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
        let mut patience = PATIENCE_AT_FIRST;
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
            if !taken && patience == PATIENCE_AT_FIRST {
                return;
            }
            patience = PATIENCE;
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
