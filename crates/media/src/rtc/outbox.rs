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

/// Bytes gathered before they are sent in any case: as many as stay in a core's nearest caches until the kernel has read them. A call is
/// for one destination, so more of them together save nothing.
const FULL: usize = 64 << 10;
/// How often a full socket is tried again, a millisecond apart, before its datagrams are dropped: RTX repairs that.
const TRIES: u32 = 20;

/// The datagrams of one round of one worker.
pub(super) struct Outbox {
    socket: Arc<Socket>,
    tcp: Arc<Connections>,
    counters: Arc<Counters>,
    packets: Vec<Packet>,
    bytes: Vec<u8>,
    /// How many of the packets are gone.
    gone: usize,
}

impl Outbox {
    /// An empty one.
    pub fn new(socket: Arc<Socket>, tcp: Arc<Connections>, counters: Arc<Counters>) -> Self {
        Outbox { socket, tcp, counters, packets: Vec::new(), bytes: Vec::new(), gone: 0 }
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
        assert_eq!(self.gone, 0);
        let mut start = 0;
        let each = |packet: Packet| {
            let bytes = self.bytes[std::mem::replace(&mut start, packet.end)..packet.end].to_vec();
            (packet.to, bytes)
        };
        let all = self.packets.drain(..).map(each).collect();
        self.bytes.clear();
        all
    }

    /// Whether it is time to [`Outbox::pour`] or [`Outbox::flush`].
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// Sends what the socket takes now. The rest stays until [`Outbox::flush`].
    pub fn pour(&mut self) {
        while let Some(first) = self.packets.get(self.gone) {
            let (count, segment) = self.run();
            let end = self.packets[self.gone + count - 1].end;
            let transmit = Transmit {
                destination: first.to,
                ecn: None,
                contents: &self.bytes[self.start()..end],
                segment_size: (count > 1).then_some(segment),
                src_ip: first.from,
            };
            match self.socket.state.try_send(UdpSockRef::from(&self.socket.udp), &transmit) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Ok(()) => {}
                // A peer that is gone (ECONNREFUSED and the like) shows itself by its silence.
                Err(_) => Counters::add(&self.counters.unsent, count as u64),
            }
            self.gone += count;
        }
        Counters::add(&self.counters.sent, self.packets.len() as u64);
        self.packets.clear();
        self.bytes.clear();
        self.gone = 0;
        if self.bytes.capacity() > 2 * FULL {
            self.bytes.shrink_to(FULL);
        }
    }

    /// Sends everything.
    pub async fn flush(&mut self) {
        let mut tries = 0;
        loop {
            let before = self.gone;
            self.pour();
            if self.packets.is_empty() {
                return;
            }
            tries = if self.gone > before { 0 } else { tries + 1 };
            if tries < TRIES {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            let (count, _) = self.run();
            Counters::add(&self.counters.unsent, count as u64);
            self.gone += count;
            tries = 0;
        }
    }

    /// Where the next packet begins.
    fn start(&self) -> usize {
        self.gone.checked_sub(1).map_or(0, |last| self.packets[last].end)
    }

    /// How many of the next packets go in one call: same peer, same size but for a smaller last one.
    fn run(&self) -> (usize, usize) {
        let at = self.gone;
        let first = &self.packets[at];
        let segment = first.end - self.start();
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
    async fn what_is_poured_in_between_comes_whole_and_in_order() {
        let socket = Arc::new(Socket::new(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap());
        let counters = Arc::new(Counters::default());
        let mut outbox = Outbox::new(socket, Arc::default(), Arc::clone(&counters));
        let peers: Vec<UdpSocket> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        // A keyframe of thirty packets, for each of them.
        for peer in &peers {
            peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let to = Destination { proto: Protocol::Udp, to: peer.local_addr().unwrap(), from: None };
            (0..30).for_each(|i| outbox.push(to, &[i; 1_100]));
            if outbox.is_full() {
                outbox.pour();
            }
        }
        assert!(outbox.bytes.capacity() <= 4 * FULL, "{}", outbox.bytes.capacity());
        outbox.flush().await;
        for peer in &peers {
            let mut got = [0; 1_500];
            let came = |_| peer.recv(&mut got).map(|n| (n, got[0])).unwrap();
            assert_eq!((0..30).map(came).collect::<Vec<_>>(), (0..30).map(|i| (1_100, i)).collect::<Vec<_>>());
        }
        assert_eq!(counters.sent.load(std::sync::atomic::Ordering::Relaxed), 240);
        assert_eq!(counters.unsent.load(std::sync::atomic::Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_the_socket_did_not_take_at_once_goes_with_what_comes() {
        let socket = Arc::new(Socket::new(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap());
        let counters = Arc::new(Counters::default());
        let mut outbox = Outbox::new(socket, Arc::default(), Arc::clone(&counters));
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let to = Destination { proto: Protocol::Udp, to: peer.local_addr().unwrap(), from: None };
        [&b"gone"[..], b"stays here", b"so does"].iter().for_each(|contents| outbox.push(to, contents));
        // As it is left where the socket is full.
        outbox.gone = 1;
        outbox.push(to, b"new");
        outbox.flush().await;
        let mut got = [0; 16];
        for expected in [&b"stays here"[..], b"so does", b"new"] {
            let n = peer.recv(&mut got).unwrap();
            assert_eq!(&got[..n], expected);
        }
        assert_eq!(counters.sent.load(std::sync::atomic::Ordering::Relaxed), 4);
        assert_eq!((outbox.gone, outbox.start(), outbox.packets.len(), outbox.bytes.len()), (0, 0, 0, 0));
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
