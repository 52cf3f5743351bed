//! Which worker and session a datagram belongs to, and the thread that reads the UDP socket. Allocates nothing for
//! strangers.

use std::collections::{HashMap, HashSet};
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef};
use str0m::net::Protocol;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Counters;
use super::outbox::Socket;
use super::packet::{Class, classify};
use super::strangers::Strangers;
use super::stun;
use super::worker::ToWorker;

/// A session's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// Index of its worker.
    pub worker: usize,
    /// Its number there.
    pub key: u64,
}

/// A datagram for a session.
pub(super) struct Datagram {
    /// The session's number.
    pub key: u64,
    /// How it came.
    pub proto: Protocol,
    /// From where.
    pub source: SocketAddr,
    /// To which of our addresses, if the system says.
    pub local: Option<IpAddr>,
    /// Its bytes.
    pub bytes: Box<[u8]>,
}

/// Who is served where. Requests are known by the fragment that we chose for their session; everything else by a source
/// address that the session has answered, which it does only for requests with the right password.
pub(super) struct Table {
    ufrags: RwLock<HashMap<String, Route>>,
    sources: RwLock<HashMap<(Protocol, SocketAddr), Route>>,
    /// Fragments of no session, which somebody sends here to see whether they come.
    loops: Mutex<HashSet<String>>,
    workers: Vec<mpsc::Sender<ToWorker>>,
    counters: Arc<Counters>,
}

impl Table {
    /// An empty table over the workers' queues.
    pub fn new(workers: Vec<mpsc::Sender<ToWorker>>, counters: Arc<Counters>) -> Self {
        let loops = Mutex::default();
        Table { ufrags: RwLock::default(), sources: RwLock::default(), loops, workers, counters }
    }

    /// The queue of a worker.
    pub fn worker(&self, index: usize) -> Option<&mpsc::Sender<ToWorker>> {
        self.workers.get(index)
    }

    /// Makes requests for `ufrag` go to `route`.
    pub fn expect(&self, ufrag: &str, route: Route) {
        self.ufrags.write().insert(ufrag.to_owned(), route);
    }

    /// Looks out for requests for a fragment that no session has.
    pub fn look_out(&self, ufrag: &str) {
        self.loops.lock().insert(ufrag.to_owned());
    }

    /// Whether it is looked out for, and did not come.
    pub fn is_out(&self, ufrag: &str) -> bool {
        self.loops.lock().contains(ufrag)
    }

    /// It came, or is not looked out for any more.
    pub fn let_go(&self, ufrag: &str) {
        self.loops.lock().remove(ufrag);
    }

    /// Makes datagrams of `source` go to `route`, wherever they went before.
    pub fn vouch(&self, proto: Protocol, source: SocketAddr, route: Route) {
        self.sources.write().insert((proto, source), route);
    }

    /// Forgets a session.
    pub fn forget(&self, route: Route, ufrag: &str, sources: &[(Protocol, SocketAddr)]) {
        let mut ufrags = self.ufrags.write();
        if ufrags.get(ufrag) == Some(&route) {
            ufrags.remove(ufrag);
        }
        drop(ufrags);
        let mut known = self.sources.write();
        for source in sources {
            if known.get(source) == Some(&route) {
                known.remove(source);
            }
        }
    }

    /// The session that answered this source, if one did.
    pub fn known(&self, proto: Protocol, source: SocketAddr) -> Option<Route> {
        self.sources.read().get(&(proto, source)).copied()
    }

    /// Sends a datagram, of a source that is [`Table::known`] so, where it belongs. False when it belongs nowhere.
    pub fn route(
        &self,
        known: Option<Route>,
        proto: Protocol,
        source: SocketAddr,
        local: Option<IpAddr>,
        bytes: &[u8],
    ) -> bool {
        Counters::add(&self.counters.received, 1);
        let route = match classify(bytes) {
            Class::Garbage => {
                Counters::add(&self.counters.garbage, 1);
                return false;
            }
            Class::Stun(Some(ufrag)) => {
                let route = self.ufrags.read().get(ufrag).copied();
                if route.is_none() {
                    self.let_go(ufrag);
                }
                route
            }
            Class::Stun(None) | Class::Media => known,
        };
        let Some(Route { worker, key }) = route else {
            Counters::add(&self.counters.strangers, 1);
            return false;
        };
        let datagram = Datagram { key, proto, source, local, bytes: bytes.into() };
        let sent = self.workers.get(worker).is_some_and(|w| w.try_send(ToWorker::Datagram(datagram)).is_ok());
        if !sent {
            Counters::add(&self.counters.overrun, 1);
        }
        true
    }
}

/// Whether a datagram comes from this machine: over loopback, or from an address of its own. Systems drop what comes from
/// outside and bears one of theirs.
fn is_local(source: IpAddr, to: Option<IpAddr>, own: &[IpAddr]) -> bool {
    source.is_loopback() || own.contains(&source) || to.is_some_and(|to| to.to_canonical() == source)
}

/// Reads the socket until `stop`. `precise`: tell sessions which of our addresses a datagram came to. `only`: the addresses of
/// this machine, where nobody else is served.
pub(super) async fn read(
    socket: Arc<Socket>,
    table: Arc<Table>,
    precise: bool,
    only: Option<Vec<IpAddr>>,
    mut strangers: Strangers,
    stop: CancellationToken,
) {
    // Readable only: asking for writable would wake the thread for every datagram that leaves.
    let Ok(clone) = socket.udp.try_clone() else { return };
    // The successor of this call is unsafe for the sake of descriptors that change under it; a socket's does not.
    #[allow(deprecated)]
    let Ok(ready) = AsyncFd::with_interest(clone, Interest::READABLE) else { return };
    let size = socket.state.gro_segments() * 2_048;
    let mut memory = vec![0u8; size * BATCH_SIZE];
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    let mut budget = stun::Budget::new(Instant::now());
    loop {
        let mut guard = tokio::select! {
            guard = ready.readable() => match guard {
                Ok(guard) => guard,
                Err(_) => return,
            },
            () = stop.cancelled() => return,
        };
        let mut chunks = memory.chunks_exact_mut(size);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let Ok(got) = socket.state.recv(UdpSockRef::from(&socket.udp), &mut slices, &mut metas) else {
            // Empty, or an error of some peer's making (ICMP): wait for the next.
            guard.clear_ready();
            continue;
        };
        let now = Instant::now();
        for (meta, slice) in metas.iter().zip(&slices).take(got) {
            let local = meta.dst_ip.filter(|_| precise);
            for datagram in slice[..meta.len].chunks(meta.stride.max(1)) {
                // A socket for both families writes IPv4 addresses as IPv6: all other code here knows them plain.
                let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
                if only.as_ref().is_some_and(|own| !is_local(source.ip(), meta.dst_ip, own)) {
                    Counters::add(&table.counters.strangers, 1);
                    continue;
                }
                let known = table.known(Protocol::Udp, source);
                if known.is_none() && !strangers.take(source.ip(), now) {
                    Counters::add(&table.counters.limited, 1);
                } else if !table.route(known, Protocol::Udp, source, local.map(|ip| ip.to_canonical()), datagram)
                    && let Some(answer) = stun::answer(datagram, source)
                    && budget.take(now)
                {
                    // A client that asks does so again if this is lost.
                    let _ = socket.udp.send_to(&answer, meta.addr);
                }
            }
        }
        // One busy socket must not keep the thread from its other tasks.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let own = [ip("127.0.0.1"), ip("192.0.2.7")];
        assert!(is_local(ip("127.0.0.3"), None, &own));
        assert!(is_local(ip("192.0.2.7"), Some(ip("127.0.0.1")), &own));
        assert!(is_local(ip("198.51.100.1"), Some(ip("::ffff:198.51.100.1")), &own));
        assert!(!is_local(ip("192.0.2.8"), Some(ip("192.0.2.7")), &own));
        assert!(!is_local(ip("192.0.2.8"), None, &own));
    }
}
