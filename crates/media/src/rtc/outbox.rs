//! Datagrams on their way out: gathered from many sessions, given to the kernel in as few calls as it allows (UDP GSO).
//! Knows no sessions.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use str0m::net::Protocol;

use super::Counters;
use super::connections::Connections;

/// The UDP socket, shared by the thread that reads it and all that write to it.
pub(super) struct Socket {
    /// The socket, non-blocking.
    pub udp: UdpSocket,
    /// What the kernel can do with it.
    pub state: UdpSocketState,
    /// It serves IPv4 through IPv6 addresses.
    dual: bool,
}

impl Socket {
    /// Takes over a bound socket and makes its buffers large.
    pub fn new(udp: UdpSocket) -> io::Result<Self> {
        udp.set_nonblocking(true)?;
        let state = UdpSocketState::new(UdpSockRef::from(&udp))?;
        // As much as the system grants; it tells nobody how much that is.
        let _ = state.set_send_buffer_size(UdpSockRef::from(&udp), 8 << 20);
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&udp), 8 << 20);
        let dual = udp.local_addr()?.is_ipv6();
        Ok(Socket { udp, state, dual })
    }
}

/// Where a datagram goes, and from which of our addresses if that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Destination {
    pub proto: Protocol,
    pub to: SocketAddr,
    pub from: Option<IpAddr>,
}

struct Packet {
    to: SocketAddr,
    from: Option<IpAddr>,
    end: usize,
}

/// Bytes gathered before they are sent in any case.
const FULL: usize = 512 << 10;
/// How often a full socket is tried again, a millisecond apart, before its datagrams are dropped: RTX repairs that.
const TRIES: u32 = 20;

/// The datagrams of one round of one worker.
pub(super) struct Outbox {
    socket: Arc<Socket>,
    tcp: Arc<Connections>,
    counters: Arc<Counters>,
    packets: Vec<Packet>,
    bytes: Vec<u8>,
}

impl Outbox {
    /// An empty one.
    pub fn new(socket: Arc<Socket>, tcp: Arc<Connections>, counters: Arc<Counters>) -> Self {
        Outbox { socket, tcp, counters, packets: Vec::new(), bytes: Vec::new() }
    }

    /// Takes a datagram.
    pub fn push(&mut self, destination: Destination, contents: &[u8]) {
        self.push_with(destination, |out| out.extend_from_slice(contents));
    }

    /// Takes a datagram that `make` appends where it is to lie; nothing, if that appends nothing.
    pub fn push_with(&mut self, destination: Destination, make: impl FnOnce(&mut Vec<u8>)) {
        if destination.proto != Protocol::Udp {
            let mut contents = Vec::new();
            make(&mut contents);
            if !contents.is_empty() && !self.tcp.send(destination.to, &contents) {
                Counters::add(&self.counters.tcp_full, 1);
            }
            return;
        }
        // The system sends nothing from an address of the other family.
        let from = destination.from.filter(|from| from.is_ipv4() == destination.to.is_ipv4());
        let (to, from) = match destination.to {
            SocketAddr::V4(v4) if self.socket.dual => {
                // As IPv6 addresses, both: the system leaves the source to the route otherwise.
                let from = from.map(|from| match from {
                    IpAddr::V4(from) => from.to_ipv6_mapped().into(),
                    from => from,
                });
                ((v4.ip().to_ipv6_mapped(), v4.port()).into(), from)
            }
            to => (to, from),
        };
        let start = self.bytes.len();
        make(&mut self.bytes);
        if self.bytes.len() > start {
            self.packets.push(Packet { to, from, end: self.bytes.len() });
        }
    }

    /// Takes everything out, with where it goes, for a network that is none.
    #[cfg(test)]
    pub fn take(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut start = 0;
        let each = |packet: Packet| {
            let bytes = self.bytes[std::mem::replace(&mut start, packet.end)..packet.end].to_vec();
            (packet.to, bytes)
        };
        let all = self.packets.drain(..).map(each).collect();
        self.bytes.clear();
        all
    }

    /// Whether it is time to [`Outbox::flush`].
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// Sends everything.
    pub async fn flush(&mut self) {
        let mut at = 0;
        let mut start = 0;
        Counters::add(&self.counters.sent, self.packets.len() as u64);
        while let Some(first) = self.packets.get(at) {
            let (count, segment) = self.run(at, start);
            let end = self.packets[at + count - 1].end;
            let transmit = Transmit {
                destination: first.to,
                ecn: None,
                contents: &self.bytes[start..end],
                segment_size: (count > 1).then_some(segment),
                src_ip: first.from,
            };
            self.send(&transmit, count).await;
            at += count;
            start = end;
        }
        self.packets.clear();
        self.bytes.clear();
        if self.bytes.capacity() > 2 * FULL {
            self.bytes.shrink_to(FULL);
        }
    }

    /// How many packets from `at` on go in one call: same peer, same size but for a smaller last one.
    fn run(&self, at: usize, start: usize) -> (usize, usize) {
        let first = &self.packets[at];
        let segment = first.end - start;
        let most = self.socket.state.max_gso_segments().clamp(1, 64).min(60_000 / segment.max(1)).max(1);
        let mut count = 1;
        let mut end = first.end;
        while count < most
            && let Some(next) = self.packets.get(at + count)
        {
            let size = next.end - end;
            if next.to != first.to || next.from != first.from || size > segment {
                break;
            }
            count += 1;
            end = next.end;
            if size < segment {
                break;
            }
        }
        (count, segment)
    }

    async fn send(&self, transmit: &Transmit<'_>, count: usize) {
        for _ in 0..TRIES {
            match self.socket.state.try_send(UdpSockRef::from(&self.socket.udp), transmit) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(()) => return,
                // A peer that is gone (ECONNREFUSED and the like) shows itself by its silence.
                Err(_) => break,
            }
        }
        Counters::add(&self.counters.unsent, count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_of_the_other_family_is_not_sent_from() {
        let Ok(udp) = UdpSocket::bind("[::]:0") else { return };
        let socket = Arc::new(Socket::new(udp).unwrap());
        let counters = Arc::new(Counters::default());
        let mut outbox = Outbox::new(socket, Arc::default(), Arc::clone(&counters));
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let from = Some(std::net::Ipv6Addr::LOCALHOST.into());
        outbox.push(Destination { proto: Protocol::Udp, to: peer.local_addr().unwrap(), from }, b"answer");
        outbox.flush().await;
        assert_eq!(counters.unsent.load(std::sync::atomic::Ordering::Relaxed), 0);
        assert_eq!(peer.recv(&mut [0; 16]).unwrap(), 6);
    }

    #[tokio::test]
    async fn a_socket_for_both_families_answers_from_the_address_that_was_asked() {
        let Ok(udp) = UdpSocket::bind("[::]:0") else { return };
        let port = udp.local_addr().unwrap().port();
        let socket = Arc::new(Socket::new(udp).unwrap());
        let mut outbox = Outbox::new(socket, Arc::default(), Arc::default());
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for address in ["127.0.0.1", "127.0.0.2"] {
            let from: IpAddr = address.parse().unwrap();
            let destination = Destination { proto: Protocol::Udp, to: peer.local_addr().unwrap(), from: Some(from) };
            outbox.push(destination, b"answer");
            outbox.flush().await;
            let (_, source) = peer.recv_from(&mut [0; 16]).unwrap();
            assert_eq!(source, SocketAddr::new(from, port));
        }
    }
}
