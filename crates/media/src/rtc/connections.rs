//! The writing ends of ICE's TCP connections: carriers of datagrams, by peer address. Knows neither sessions nor what comes in.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Most connections at a time, and of one address.
const MOST: usize = 4_096;
const MOST_OF_ONE: usize = 64;
/// Datagrams that wait for a connection before more are dropped.
const QUEUE: usize = 256;

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
