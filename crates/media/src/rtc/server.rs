//! The door to WebRTC: takes offers, asks for permission, and places sessions on workers. Cheap to clone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use super::feed::{Unfit, backlog};
use super::net::{self, Route, Table};
use super::offer::{self, Accepted, Fragment, Identity, Way};
use super::outbox::{Outbox, Socket};
use super::payload::Format;
use super::reach::{Reach, Tried};
use super::registry::{self, Entry, Place, Registry, Restart, Stage};
use super::sdp::Sdp;
use super::session::{Role, Start};
use super::simulcast::Simulcast;
use super::strangers::Strangers;
use super::tcp;
use super::unfits::Unfits;
use super::whep::Whep;
use super::whip::Whip;
use super::worker::{Common, ToWorker, Worker};
use super::{Answer, Config, Counters, Refused, Restarted};
use crate::ended::Ended;
use crate::frame::Codec;
use crate::hub::{self, Hub, Origin, Pace, Reader, View, Want};
use crate::in_order::{self, InOrder};
use crate::name::{Protocol, StreamName};
use crate::rendition::Renditions;
use crate::request::{Kick, Query, Requests, What};

/// Messages that wait for a worker before datagrams are dropped.
const INBOX: usize = 4_096;

/// A viewer waits no longer than this for a publisher, whatever it asks for: Livepeer's player gives its request up after ten
/// seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(9);

/// Most addresses in an answer where none is the one of the default route.
const MOST_BESIDE: usize = 4;

/// The codec of mixes and of renditions.
const MIXED: Codec = Codec::H264;

/// The WebRTC server.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

/// A STUN request of no session on its way from this machine to this machine.
pub struct Loop {
    table: Arc<Table>,
    name: String,
}

impl Loop {
    /// The request.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        // A binding request (RFC 8489) with a USERNAME of 24 bytes.
        let mut request = vec![0, 1, 0, 28, 0x21, 0x12, 0xa4, 0x42];
        request.extend(&self.name.as_bytes()[..12]);
        request.extend([0, 6, 0, 24]);
        request.extend(format!("{}:own", self.name).bytes());
        request
    }

    /// Whether it came.
    #[must_use]
    pub fn came(&self) -> bool {
        !self.table.is_out(&self.name)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.table.let_go(&self.name);
    }
}

struct Inner {
    config: Config,
    common: Arc<Common>,
    requests: Requests,
    renditions: Renditions,
    keys: AtomicU64,
    udp: SocketAddr,
    tcp: Option<SocketAddr>,
}

impl Server {
    /// Binds the ports and starts the threads, which stop when `stop` is cancelled. Errors: a port cannot be bound.
    pub fn start(config: Config, hub: Hub, requests: Requests, stop: CancellationToken) -> io::Result<Self> {
        let udp = UdpSocket::bind(config.udp)?;
        let socket = Arc::new(Socket::new(udp)?);
        let udp = socket.udp.local_addr()?;
        let listener = match config.tcp.map(std::net::TcpListener::bind).transpose() {
            Err(error) if config.tcp_optional => {
                tracing::warn!(address = ?config.tcp, %error, "no ICE over TCP: browsers in networks without UDP will not connect");
                None
            }
            other => other?,
        };
        let tcp = listener.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
        let addresses = advertised(&config, udp);
        let with = |port: u16| addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect::<Vec<_>>();
        let over_tcp = tcp.map_or(Vec::new(), |tcp| if config.local_only { vec![tcp] } else { with(tcp.port()) });
        let identity = Arc::new(Identity::new(with(udp.port()), over_tcp));
        tracing::info!(%udp, ?tcp, advertised = ?identity.udp, "WebRTC listens");

        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let workers = if config.workers > 0 { config.workers.min(64) } else { cores.min(8) };
        let counters = Arc::new(Counters::default());
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(INBOX)).unzip();
        let registry = Registry::new(workers, Arc::clone(&counters));
        let common = Arc::new(Common {
            hub: hub.clone(),
            table: Arc::new(Table::new(senders, Arc::clone(&counters))),
            identity,
            counters: Arc::clone(&counters),
            registry: Arc::new(registry),
            reach: Reach::default(),
            unfits: Unfits::new(config.renditions.is_some()),
            in_order: config.renditions.clone().map(|settings| InOrder::new(hub.clone(), settings)),
        });
        let connections = Arc::new(Connections::default());
        for (i, inbox) in inboxes.into_iter().enumerate() {
            let outbox = Outbox::new(Arc::clone(&socket), Arc::clone(&connections), Arc::clone(&counters));
            let common = Arc::clone(&common);
            let stop = stop.clone();
            thread(format!("rtc-{i}"), move || async move { Worker::new(common, inbox, outbox).run(stop).await })?;
        }
        let strangers = Strangers::new(config.strangers, Instant::now());
        let table = Arc::clone(&common.table);
        let precise = udp.ip().is_unspecified();
        let only = config.local_only.then(|| addresses.clone());
        thread("rtc-net".into(), move || async move {
            if let Some(listener) = listener
                && listener.set_nonblocking(true).is_ok()
                && let Ok(listener) = tokio::net::TcpListener::from_std(listener)
            {
                tokio::spawn(tcp::serve(listener, Arc::clone(&table), connections, stop.clone()));
            }
            net::read(socket, table, precise, only, strangers, stop).await;
        })?;
        let renditions = Renditions::new(hub);
        let keys = AtomicU64::new(1);
        Ok(Server { inner: Arc::new(Inner { config, common, requests, renditions, keys, udp, tcp }) })
    }

    /// Where the UDP port is; useful when port 0 was asked for.
    pub fn udp_addr(&self) -> SocketAddr {
        self.inner.udp
    }

    /// Where the TCP port is, if there is one.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.inner.tcp
    }

    /// Where browsers are told to send media, by UDP and by TCP.
    pub fn advertised(&self) -> (&[SocketAddr], &[SocketAddr]) {
        let identity = &self.inner.common.identity;
        (&identity.udp, &identity.tcp)
    }

    /// Something to send to the UDP port, and to see whether it comes. No other program knows this number.
    #[must_use]
    pub fn look_out(&self, number: u64) -> Loop {
        let table = Arc::clone(&self.inner.common.table);
        let name = format!("loop{number:016x}");
        table.look_out(&name);
        Loop { table, name }
    }

    /// What came and went.
    pub fn counters(&self) -> &Counters {
        &self.inner.common.counters
    }

    /// How many renditions of streams with B-frames are made now; nothing where none may be.
    pub fn renditions(&self) -> Option<usize> {
        self.inner.common.in_order.as_ref().map(InOrder::len)
    }

    /// The clients of the last ten minutes, where it is many that media does not reach.
    pub fn unreached(&self) -> Option<Tried> {
        let Common { reach, registry, .. } = &*self.inner.common;
        reach.fails(&registry.reached(), Instant::now())
    }

    /// WHIP: lets a peer publish `what.stream`, after asking for permission. Must be called within a tokio runtime.
    pub async fn publish(&self, offer: &str, what: What) -> Result<Answer, Refused> {
        let inner = &self.inner;
        let (place, key, id) = self.place(&what)?;
        // Who may not publish costs no answer.
        let options = inner.requests.publish(what.clone()).await?;
        place.registry.answers(&id, &inner.config)?;
        let accepted = offer::accept(offer, Way::In, &[], &inner.common.identity, Instant::now())?;
        let origin = Origin { protocol: Protocol::Whip, peer: what.peer };
        let publisher = inner.common.hub.publish(&what.stream, origin).map_err(Ended::from)?;
        if accepted.simulcast {
            publisher.will_have_layers();
        }
        publisher.says_pictures(accepted.video.is_some());
        if accepted.video.is_some() {
            publisher.answers_wishes();
        }
        let role = Role::Publish {
            whip: Box::new(Whip::new(Instant::now())),
            publisher: Arc::new(publisher),
            video: accepted.video.map(|t| t.mid),
            repeats: accepted.repeats,
            simulcast: accepted.simulcast.then(|| Box::new(Simulcast::new(inner.common.hub.clone(), origin))),
        };
        let terms = (options.kick, options.max_bitrate);
        self.begin(place, key, id, what, accepted, role, terms).await
    }

    /// WHEP: lets a peer play `what.stream`, after asking for permission; waits for its publisher as long as it asks to, and
    /// as the permission says. AAC is made into Opus for as long as it is watched.
    pub async fn play(&self, offer: &str, what: What) -> Result<Answer, Refused> {
        let inner = &self.inner;
        let (place, key, id) = self.place(&what)?;
        let options = inner.requests.play(what.clone()).await?;
        let Common { hub, identity, unfits, .. } = &*inner.common;
        if hub.info(&what.stream).is_some() {
            place.registry.answers(&id, &inner.config)?;
        }
        let want = Want { pace: Pace::Realtime, start: hub::Start::Group, ..options.want(Protocol::Whep) };
        let is_overlaid = want.view == View::Shown && hub.is_overlaid(&what.stream);
        // What is shown over it may be carried.
        if let Some(unfit) = unfits.of(hub, &what.stream).filter(|_| !is_overlaid) {
            self.put_in_order(&what.stream, unfit, offer)?;
        }
        // What is wrong with an offer is told at once, and not when a publisher has come.
        let asked = self.shown(&what.stream, want.view);
        let mut accepted = offer::accept(offer, asked.0, &asked.1, identity, Instant::now())?;
        let hears = accepted.audio.is_some();
        let takes: &'static [Codec] = if hears { &[Codec::Opus] } else { &[Codec::Opus, Codec::Aac] };
        let most = options.wait.unwrap_or(LONGEST_WAIT);
        let wait = asked_wait(&what.query).max(options.least_wait).min(most);
        let ticket = if self.inner.common.is_put_in_order(&what.stream) {
            // It is only counted: a worker's feed reads what is made of it.
            let mut ticket = hub.subscribe(&what.stream, want)?;
            ticket.reads_no_more();
            place.registry.answers(&id, &inner.config)?;
            ticket
        } else {
            let mut ticket = inner.renditions.open(&what.stream, want, takes, Some(wait)).await?;
            place.registry.answers(&id, &inner.config)?;
            if let Err(unfit) = self.carries(&what.stream, &mut ticket) {
                self.put_in_order(&what.stream, unfit, offer)?;
            }
            ticket
        };
        let found = self.shown(&what.stream, want.view);
        if found != asked {
            accepted = offer::accept(offer, found.0, &found.1, identity, Instant::now())?;
        }
        let mut seed = [0; 2];
        let _ = getrandom::fill(&mut seed);
        let whep = Box::new(Whep::new(&accepted, u16::from_ne_bytes(seed)));
        let role = Role::Play { whep, ticket: Box::new(ticket) };
        self.begin(place, key, id, what, accepted, role, (options.kick, None)).await
    }

    /// Whether a viewer may play a stream.
    pub async fn lets_play(&self, what: What) -> bool {
        self.inner.requests.play(what).await.is_ok()
    }

    /// Refuses a stream that WebRTC cannot carry, as far as that is seen by now. What is made of the stream for its first viewer
    /// holds nothing yet: the stream itself tells.
    fn carries(&self, stream: &StreamName, ticket: &mut Reader) -> Result<(), Unfit> {
        let Common { hub, unfits, .. } = &*self.inner.common;
        let mut seen = backlog(ticket).map(drop);
        // A worker's feed reads for it.
        ticket.reads_no_more();
        if ticket.name() != stream && seen.is_ok() {
            let want = Want::internal(Pace::Realtime, hub::Start::Group).with_view(ticket.view());
            seen = hub.subscribe(stream, want).map_or(Ok(()), |mut group| backlog(&mut group).map(drop));
        }
        seen.inspect_err(|unfit| unfits.note(hub, stream, *unfit))
    }

    /// Has a stream that WebRTC cannot carry made into one that it can, where that may be, or refuses it.
    fn put_in_order(&self, stream: &StreamName, unfit: Unfit, offer: &str) -> Result<(), Refused> {
        let Some(in_order) = &self.inner.common.in_order else {
            return Err(refusal(
                &format!("{unfit}, or have the server make a rendition without them (webrtc.renditions)"),
                offer,
            ));
        };
        match in_order.ensure(stream) {
            Ok(_) => Ok(()),
            Err(in_order::Refused::Over) => Err(Ended::NotFound.into()),
            Err(why) => Err(refusal(&format!("{unfit} ({why})"), offer)),
        }
    }

    /// How a viewer of a stream is answered, and the formats of its pictures, as far as they are known: what it is shown at the
    /// moment, the stream itself, and what mixes are made in, since one may come or go at any time. The stream itself tells: what is
    /// made of it for the first viewer holds nothing yet.
    fn shown(&self, stream: &StreamName, view: View) -> (Way, Vec<Format>) {
        let hub = &self.inner.common.hub;
        let way = if hub.is_layered(stream) { Way::Adapting } else { Way::Out };
        let of = |name: &StreamName| hub.info(name).and_then(|info| info.video).map(|video| Format::of(&video));
        let own = if self.inner.common.is_put_in_order(stream) {
            Some(Format { codec: MIXED, profile: [0; 3] })
        } else {
            of(stream)
        };
        let mut formats: Vec<Format> = own.into_iter().collect();
        if view == View::Shown {
            let is_over = hub.is_overlaid(stream) || hub.info(stream).is_none();
            let over = is_over.then(|| of(&Hub::overlay_name(stream))).flatten();
            formats.splice(0..0, over);
            if !formats.is_empty() && formats.iter().all(|format| format.codec != MIXED) {
                formats.push(Format { codec: MIXED, profile: [0; 3] });
            }
        }
        (way, formats)
    }

    /// Trickle ICE or an ICE restart (RFC 8840 fragment in `body`). `if_match` holds the `ETag`s the client knows, without
    /// quotes. Returns nothing for a trickle (HTTP 204), the new ICE session for a restart (HTTP 200).
    pub async fn patch(
        &self,
        session: &str,
        body: &str,
        if_match: Option<&[&str]>,
    ) -> Result<Option<Restarted>, Refused> {
        let fragment = Fragment::read(body)?;
        let given = if_match.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        let server = self.clone();
        let session = session.to_owned();
        // To its end, also where the peer hangs up meanwhile: it has moved to another network, and asks again.
        let done = tokio::spawn(async move { server.change(&session, fragment, given.as_deref()).await });
        done.await.unwrap_or(Err(Refused::NoSession))
    }

    async fn change(
        &self,
        session: &str,
        fragment: Fragment,
        if_match: Option<&[String]>,
    ) -> Result<Option<Restarted>, Refused> {
        let (key, etag) = self.find(session)?;
        let registry = &self.inner.common.registry;
        let creds = fragment.creds.clone();
        if let (Some(creds), Some(given)) = (&creds, if_match)
            && let Some(answer) = registry.again(session, creds, given)
        {
            return Ok(Some(answer));
        }
        if if_match.is_some_and(|given| !registry::names(given, &etag)) {
            return Err(Refused::Stale);
        }
        let (reply, answer) = oneshot::channel();
        self.tell(key, ToWorker::Patch(key, fragment, reply)).await?;
        let Some(fragment) = answer.await.unwrap_or(Err(Refused::NoSession))? else { return Ok(None) };
        let answer = Restarted { fragment, etag: random_hex::<8>()? };
        if let Some(creds) = creds {
            registry.restarted(session, Restart { before: etag, creds, answer: answer.clone() });
        }
        Ok(Some(answer))
    }

    /// The `ETag` of a session, without quotes.
    pub fn etag(&self, session: &str) -> Result<String, Refused> {
        self.find(session).map(|(_, etag)| etag)
    }

    /// Ends a session: of a publisher, also its stream, which may wait for one that has gone.
    pub async fn delete(&self, session: &str) -> Result<(), Refused> {
        let left = || self.inner.common.registry.left(|left| left.id == session, Instant::now());
        let key = match self.find(session) {
            Ok((key, _)) => key,
            Err(none) => left().ok_or(none)?.key,
        };
        self.tell(key, ToWorker::End(key, Ended::Finished)).await
    }

    fn find(&self, session: &str) -> Result<(u64, String), Refused> {
        self.inner.common.registry.find(session).ok_or(Refused::NoSession)
    }

    async fn tell(&self, key: u64, message: ToWorker) -> Result<(), Refused> {
        let common = &self.inner.common;
        let worker = common.table.worker(common.registry.worker_of(key)).ok_or(Refused::NoSession)?;
        worker.send(message).await.map_err(|_| Refused::Ended(Ended::Shutdown))
    }

    fn place(&self, what: &What) -> Result<(Place, u64, String), Refused> {
        let inner = &self.inner;
        let key = inner.keys.fetch_add(1, Ordering::Relaxed);
        let id = random_hex::<16>()?;
        let etag = random_hex::<8>()?;
        let registry = Arc::clone(&inner.common.registry);
        registry.admit(
            &id,
            Entry { key, peer: what.peer.ip(), stage: Stage::Waiting, etag, restart: None },
            &inner.config,
        )?;
        Ok((Place { registry, id: Some(id.clone()) }, key, id))
    }

    #[allow(clippy::too_many_arguments)]
    async fn begin(
        &self,
        mut place: Place,
        key: u64,
        id: String,
        what: What,
        accepted: Accepted,
        role: Role,
        terms: (Kick, Option<u64>),
    ) -> Result<Answer, Refused> {
        let common = &self.inner.common;
        let Accepted { rtc, sdp, creds, remote_ufrag, offer, restart, link, .. } = accepted;
        let (_, etag) = self.find(&id)?;
        let route = Route { worker: common.registry.worker_of(key), key };
        common.table.expect(&creds.ufrag, route);
        let start = Start {
            id: id.clone(),
            stream: what.stream,
            rtc,
            role,
            peer: what.peer,
            creds: creds.clone(),
            remote_ufrag,
            offer,
            restart,
            link,
            max_bitrate: terms.1,
        };
        if let Err(error) = self.tell(key, ToWorker::Start(key, start, terms.0)).await {
            common.table.forget(route, &creds.ufrag, &[]);
            return Err(error);
        }
        place.id = None;
        Ok(Answer { session: id, sdp, etag })
    }
}

/// What a viewer hears whose stream WebRTC cannot carry: 406, and where it offered no pictures 422. @eyevinn/webrtc-player answers
/// the former by leaving out the one or the other in turn, and would never end.
fn refusal(why: &str, offer: &str) -> Refused {
    let why = why.to_owned();
    if Sdp::read(offer).offers("video") { Refused::Unsupported(why) } else { Refused::Unprocessable(why) }
}

/// How long a viewer wants to wait for a publisher: not at all, unless it says so (`wait=` seconds in the query).
fn asked_wait(query: &Query) -> Duration {
    let seconds = query.0.split('&').find_map(|part| part.strip_prefix("wait="));
    Duration::from_secs(seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(0))
}

fn random_hex<const N: usize>() -> Result<String, Refused> {
    let mut random = [0u8; N];
    getrandom::fill(&mut random).map_err(|_| Refused::TooMany("requests for randomness"))?;
    Ok(random.iter().map(|b| format!("{b:02x}")).collect())
}

/// Runs a future on a thread of its own, with its own clock and its own tasks.
fn thread<F, M>(name: String, make: M) -> io::Result<()>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name).spawn(move || {
        LocalSet::new().block_on(&runtime, make());
    })?;
    Ok(())
}

/// The addresses to put into answers: those configured, else the one bound, else the one of the default route.
pub fn advertised(config: &Config, bound: SocketAddr) -> Vec<IpAddr> {
    if !config.public.is_empty() {
        return config.public.clone();
    }
    if !bound.ip().is_unspecified() {
        return vec![bound.ip()];
    }
    let four = by_route(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let six = by_route(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    if config.local_only {
        // Firefox needs another than 127.0.0.1, also where the network leads nowhere.
        let beside = four.map_or_else(|| no_route(interfaces()), |four| vec![four]);
        return [Ipv4Addr::LOCALHOST.into()].into_iter().chain(beside).collect();
    }
    let found: Vec<IpAddr> = four.into_iter().chain(six.filter(|_| bound.is_ipv6())).collect();
    if found.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { found }
}

/// The addresses of this machine's interfaces.
fn interfaces() -> Vec<IpAddr> {
    if_addrs::get_if_addrs().map_or(Vec::new(), |all| all.iter().map(if_addrs::Interface::ip).collect())
}

/// What is advertised beside 127.0.0.1 where there is no default route: a few addresses that browsers gather, too.
fn no_route(interfaces: Vec<IpAddr>) -> Vec<IpAddr> {
    let served = |ip: &IpAddr| matches!(ip, IpAddr::V4(v4) if !v4.is_loopback() && !v4.is_unspecified());
    interfaces.into_iter().filter(served).take(MOST_BESIDE).collect()
}

/// Our address on the way to `remote`. Connecting a UDP socket sends nothing; it only asks the system for a route.
fn by_route(local: IpAddr, remote: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((local, 0)).ok()?;
    socket.connect((remote, 53)).ok()?;
    socket.local_addr().ok().map(|a| a.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_default_route_the_interfaces_addresses_are_named() {
        let ips = |all: &[&str]| all.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let found = no_route(ips(&["127.0.0.1", "::1", "192.168.7.2", "fe80::1", "172.17.0.1"]));
        assert_eq!(found, ips(&["192.168.7.2", "172.17.0.1"]));
        assert_eq!(no_route(ips(&["10.0.0.1"; 9])).len(), MOST_BESIDE);
        assert!(no_route(ips(&["127.0.0.1"])).is_empty());
    }
}
