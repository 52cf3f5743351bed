//! The writing ends of ICE's TCP connections: carriers of datagrams, by peer address. Knows neither sessions nor what comes in.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::h264::MAX_PAYLOADS;

/// Most connections at a time, and of one address.
const MOST: usize = 4_096;
const MOST_OF_ONE: usize = 64;
/// Datagrams that wait for a connection before more are dropped: the packets of a largest picture, and some sound.
const QUEUE: usize = MAX_PAYLOADS + 256;

/// The writing ends of all connections, by peer address.
#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<SocketAddr, mpsc::Sender<Bytes>>>,
}

impl Connections {
    /// Sends a datagram, or drops it when the connection is gone or full. Returns whether it was not full.
    pub fn send(&self, to: SocketAddr, contents: &[u8]) -> bool {
        let Ok(length) = u16::try_from(contents.len()) else { return true };
        let Some(sender) = self.open.lock().get(&to).cloned() else { return true };
        let mut framed = BytesMut::with_capacity(contents.len() + 2);
        framed.put_u16(length);
        framed.put_slice(contents);
        !matches!(sender.try_send(framed.freeze()), Err(TrySendError::Full(_)))
    }

    /// What a new connection is to write; none, if there are too many.
    pub fn admit(&self, peer: SocketAddr) -> Option<mpsc::Receiver<Bytes>> {
        let mut open = self.open.lock();
        let same: fn(&SocketAddr) -> IpAddr = SocketAddr::ip;
        if open.len() >= MOST || open.keys().filter(|p| same(p) == peer.ip()).count() >= MOST_OF_ONE {
            return None;
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        open.insert(peer, sender);
        Some(receiver)
    }

    /// A connection is gone.
    pub fn close(&self, peer: SocketAddr) {
        self.open.lock().remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_largest_picture_waits_for_a_connection_and_what_is_beyond_is_told() {
        let connections = Connections::default();
        let peer = "192.0.2.1:9".parse().unwrap();
        let mut read = connections.admit(peer).unwrap();
        assert!((0..MAX_PAYLOADS).all(|_| connections.send(peer, b"part")));
        assert!(!(0..1_000).all(|_| connections.send(peer, b"part")));
        assert_eq!(read.try_recv().unwrap()[..], *b"\0\x04part");
        assert!(connections.send(peer, b"more"));
        connections.close(peer);
        assert!(connections.send(peer, b"part"), "nobody is there, which is no fault of a queue");
    }
}
