//! A viewer of a stream of one size over networks that carry less than that, lose some of it or are far away, in simulated
//! time: what it sees and hears. Each case runs with several seeds.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use str0m::media::KeyframeRequestKind;
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::SenderInfo;
use str0m::{Candidate, Event, Input, Output};

use super::bad_network::{CLIENT, Network, SERVER};
use super::*;
use crate::frame::{Codec as FrameCodec, Frame};
use crate::hub::{Hub, Origin, Pace, Publisher, Settings, Start as From, Want};
use crate::name::StreamName;
use crate::rtc::Counters;
use crate::rtc::feed::{Maker, Shared};
use crate::rtc::h264;
use crate::rtc::net::{Datagram, Route, Table};
use crate::rtc::offer::{self, Identity, Way};
use crate::rtc::outbox::{Outbox, Socket};
use crate::rtc::session::{Role, Session, Signal, Start};
use crate::rtc::whep::Whep;

const SEEDS: [u64; 3] = [0x9e37_79b9, 77, 31_337];

/// What is published: pictures a second, bytes of one and of a keyframe, and how many lie between keyframes. Nothing depends on
/// every second picture if `layered`. `asked`: a keyframe is made when one is asked for, and not otherwise.
#[derive(Clone, Copy)]
pub(super) struct Stream {
    size: usize,
    key: usize,
    group: u32,
    layered: bool,
    asked: bool,
}

/// 1.5 Mbit/s.
pub(super) const USUAL: Stream = Stream { size: 6_500, key: 40_000, group: 50, layered: false, asked: false };

/// What was seen and heard.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When pictures that could be decoded came, in milliseconds, and their numbers.
    pictures: Vec<(u64, u32)>,
    /// Keyframes among them.
    keys: usize,
    /// The last one that others depend on.
    last: Option<u32>,
    /// 20 ms of sound played, and made up.
    played: u32,
    concealed: u32,
    /// Sounds that wait to be played, and the one to be played next.
    sounds: std::collections::BTreeSet<u64>,
    next: Option<u64>,
    /// Keyframes that were asked for, and when.
    asked: Vec<u64>,
    /// The sender reports that were known with each picture, or sound (true).
    reports: Vec<(bool, SenderInfo)>,
}

impl Seen {
    fn media(&mut self, ms: u64, is_sound: bool, data: &[u8], stream: Stream) {
        match data.get(1..9).and_then(|number| number.try_into().ok()) {
            Some(number) if is_sound => {
                self.sounds.insert(u64::from_be_bytes(number));
            }
            _ if is_sound => {}
            _ => self.picture(ms, data, 1 + u32::from(stream.layered)),
        }
    }

    /// A picture came, each of which depends on the last of the `reach` ones before it that others depend on.
    fn picture(&mut self, ms: u64, data: &[u8], reach: u32) {
        let unit = h264::unit(data);
        let Some(n) = unit.payload.get(4..).and_then(number) else { return };
        if unit.key || self.last.is_some_and(|last| n > last && n - last <= reach) {
            self.pictures.push((ms, n));
            self.keys += usize::from(unit.key);
            if unit.payload[4] & 0x60 != 0 {
                self.last = Some(n);
            }
        }
    }

    /// 20 ms pass at a player that plays what it has, and waits for what it lacks until it has something later for long.
    fn listen(&mut self) {
        let Some(next) = self.next else {
            // It begins with a little in hand.
            self.next = self.sounds.first().copied().filter(|_| self.sounds.len() > 3);
            return;
        };
        self.sounds.retain(|at| *at >= next);
        self.played += 1;
        match self.sounds.pop_first() {
            Some(at) if at == next => self.next = Some(next + 1),
            // It waits for a late one as long as it has little else.
            Some(at) => {
                self.sounds.insert(at);
                self.concealed += 1;
                self.next = Some(if self.sounds.len() > 3 { next + 1 } else { next });
            }
            None => self.concealed += 1,
        }
        // What has gathered is played a little faster.
        if self.sounds.len() > 12 && self.played.is_multiple_of(10) {
            self.next = self.next.map(|next| next + u64::from(self.sounds.remove(&next)));
        }
    }

    pub fn a_second(&self, seconds: f64) -> f64 {
        self.pictures.len() as f64 / seconds
    }

    /// Per cent.
    fn concealed(&self) -> f64 {
        f64::from(self.concealed) * 100.0 / f64::from(self.played.max(1))
    }

    /// Seconds in pauses that a player sees as freezes, beyond three pictures and 150 ms, if it holds pictures back for `buffer`
    /// ms.
    fn frozen(&self, buffer: u64) -> f64 {
        let Some(&(first, number)) = self.pictures.first() else { return f64::MAX };
        let mut shown = first + buffer;
        let mut frozen = 0;
        for &(came, n) in &self.pictures {
            let next = came.max(first + u64::from(n - number) * 40 + buffer).max(shown);
            frozen += if next - shown > 190 { next - shown } else { 0 };
            shown = next;
        }
        frozen as f64 / 1e3
    }
}

/// A session of a viewer, and its client.
pub(super) struct Viewer {
    pub now: Instant,
    ms: u64,
    pub client: Client,
    pub session: Session,
    pub table: Table,
    pub outbox: Outbox,
    pub counters: Arc<Counters>,
    /// Where the client sends from.
    pub source: SocketAddr,
    /// What the client was sent since this was last looked at, and where.
    pub went: Vec<(SocketAddr, Vec<u8>)>,
    /// The number of the newest packet of pictures that the client made something of.
    pub newest: u64,
    identity: Identity,
    pub network: Network,
    stream: Stream,
    maker: Maker,
    picture: u32,
    since_key: u32,
    joined: bool,
    seen: Seen,
    _publisher: Publisher,
    _runtime: tokio::runtime::Runtime,
}

impl Viewer {
    pub fn new(stream: Stream, adjust: impl FnOnce(&mut Network)) -> Self {
        Self::of(stream, str::to_owned, adjust)
    }

    /// One whose client makes this of its offer.
    pub fn of(stream: Stream, offered: fn(&str) -> String, adjust: impl FnOnce(&mut Network)) -> Self {
        let now = Instant::now();
        let mut network = Network::new(now, 0, 0);
        network.ordered = Some([now; 2]);
        let identity = Identity::new(vec![SERVER.parse().unwrap()], Vec::new());
        let mut accepted = None;
        let connected = Client::connect(now, false, |offer| {
            let found = offer::accept(&offered(offer), Way::Out, &[], &identity, now)?;
            let sdp = found.sdp.clone();
            accepted = Some(found);
            Ok::<_, crate::rtc::Refused>(sdp)
        });
        let mut client = connected.unwrap();
        client.rtc.add_local_candidate(Candidate::host(CLIENT.parse().unwrap(), "udp").unwrap());
        let accepted = accepted.unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let hub = Hub::new(Settings::default());
        let name = StreamName::new("narrow").unwrap();
        let peer = CLIENT.parse().unwrap();
        let publisher = hub.publish(&name, Origin { protocol: crate::name::Protocol::Whip, peer }).unwrap();
        let want = Want::new(crate::name::Protocol::Whep, Pace::Realtime, From::Group);
        let ticket = Box::new(hub.subscribe(&name, want).unwrap());
        let start = Start {
            id: "session".into(),
            stream: name,
            role: Role::Play { whep: Box::new(Whep::new(&accepted, 7)), ticket },
            rtc: accepted.rtc,
            peer,
            creds: accepted.creds,
            remote_ufrag: accepted.remote_ufrag,
            offer: accepted.offer,
            restart: accepted.restart,
            link: accepted.link,
            max_bitrate: None,
        };
        let counters = Arc::new(Counters::default());
        let session = Session::new(Route { worker: 0, key: 1 }, start, Arc::clone(&counters), now);
        let socket = Socket::new(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let outbox = Outbox::new(Arc::new(socket), Arc::default(), Arc::clone(&counters));
        let mut maker = Maker::default();
        let config = h264::Parameters::write(SPS, PPS).unwrap();
        maker.make(&Frame::config(FrameCodec::H264, 0, config)).unwrap();
        let mut viewer = Viewer {
            now,
            ms: 0,
            client,
            session,
            table: Table::new(Vec::new(), Arc::clone(&counters)),
            outbox,
            counters,
            source: peer,
            went: Vec::new(),
            newest: 0,
            identity,
            network,
            stream,
            maker,
            picture: 0,
            since_key: 0,
            joined: false,
            seen: Seen::default(),
            _publisher: publisher,
            _runtime: runtime,
        };
        adjust(&mut viewer.network);
        let loss = std::mem::take(&mut viewer.network.loss);
        while !(viewer.joined && viewer.client.connected) {
            viewer.step(false);
        }
        viewer.ms = 0;
        viewer.network.loss = loss;
        viewer
    }

    pub fn send(&mut self, frame: &Frame) {
        if let Some(shared) = self.maker.make(frame).unwrap() {
            self.take(&shared);
        }
    }

    /// As a worker does with what it has for a viewer.
    pub fn take(&mut self, shared: &Shared) {
        let now = self.now;
        self.session.play(&mut self.outbox, now, |whep, sink| whep.take(sink, None, shared, now)).unwrap();
        let Role::Play { whep, .. } = &mut self.session.role else { return };
        if whep.asks_key(false, now) {
            self.seen.asked.push(self.ms);
        }
        assert!(self.session.settle(now, &mut self.outbox), "its packets are ours");
        self.flush();
    }

    /// With the stream as old as its newest frame.
    pub fn catch_up(&mut self, backlog: &[Shared]) {
        self.catch_up_at(backlog, backlog.iter().map(|shared| shared.pts).max().unwrap_or(0));
    }

    pub fn catch_up_at(&mut self, backlog: &[Shared], clock: i64) {
        let now = self.now;
        self.session.play(&mut self.outbox, now, |whep, sink| whep.catch_up(sink, backlog, clock, now)).unwrap();
        self.flush();
    }

    /// The player asks for a keyframe.
    pub fn ask_key(&mut self) {
        let mid = self.client.video;
        let mut api = self.client.rtc.direct_api();
        if let Some(stream) = api.stream_rx_by_mid(mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    fn flush(&mut self) {
        for (to, datagram) in self.outbox.take() {
            self.network.send(self.now, false, &datagram);
            self.went.push((to, datagram));
        }
    }

    fn publish(&mut self) {
        if self.ms >= u64::from(self.picture) * 40 {
            let at = i64::from(self.picture) * 40_000;
            let asked = self.seen.asked.last().is_some_and(|asked| self.ms < asked + 80);
            let due = if self.stream.asked { asked && self.since_key > 2 } else { self.since_key >= self.stream.group };
            let key = self.picture == 0 || due;
            self.since_key = if key { 1 } else { self.since_key + 1 };
            let mut nal = slice(self.picture, key, if key { self.stream.key } else { self.stream.size });
            if self.stream.layered && self.since_key.is_multiple_of(2) {
                nal[0] = 0x01;
            }
            let payload = [&(nal.len() as u32).to_be_bytes()[..], &nal].concat();
            self.send(&Frame::video(FrameCodec::H264, at, 0, key, payload.into()));
            self.picture += 1;
        }
        if self.ms.is_multiple_of(20) {
            let mut sound = vec![0xf8; 120];
            sound[1..9].copy_from_slice(&(self.ms / 20).to_be_bytes());
            self.send(&Frame::audio(FrameCodec::Opus, (self.ms * 1_000) as i64, sound.into()));
        }
    }

    fn drain(&mut self) {
        match self.session.drain(self.now, &self.table, &mut self.outbox) {
            Some(Signal::Connected) => {
                self.joined = true;
                self.session.check(self.now, &mut self.outbox);
            }
            Some(Signal::Ended(reason)) => panic!("{reason}"),
            None => {}
        }
        self.flush();
    }

    /// A millisecond passes.
    pub fn step(&mut self, publishing: bool) {
        self.now += Duration::from_millis(1);
        self.ms += 1;
        let client = CLIENT.parse().unwrap();
        let server = SERVER.parse().unwrap();
        while let Some((to_server, bytes)) = self.network.arrived(self.now) {
            if to_server {
                let bytes = bytes.into();
                let datagram = Datagram { key: 1, proto: Protocol::Udp, source: self.source, local: None, bytes };
                self.session.receive(&datagram, &self.identity, &mut self.outbox, self.now).unwrap();
                self.drain();
            } else {
                let receive = Receive::new(Protocol::Udp, server, client, &bytes).unwrap();
                self.client.rtc.handle_input(Input::Receive(self.now, receive)).unwrap();
            }
        }
        if publishing {
            self.publish();
        }
        if self.now >= self.session.deadline {
            self.session.tick(self.now, &mut self.outbox).unwrap();
            self.drain();
        }
        self.client.rtc.handle_input(Input::Timeout(self.now)).unwrap();
        loop {
            match self.client.rtc.poll_output().unwrap() {
                Output::Timeout(_) => break,
                Output::Transmit(t) => self.network.send(self.now, true, &t.contents),
                Output::Event(event) => {
                    if let Event::MediaData(data) = &event {
                        if data.mid == self.client.video {
                            self.newest = **data.seq_range.end();
                        }
                        if let Some(info) = data.last_sender_info {
                            self.seen.reports.push((data.mid == self.client.audio, info));
                        }
                        self.seen.media(self.ms, data.mid == self.client.audio, &data.data, self.stream);
                    }
                    self.client.event(event);
                }
            }
        }
        if self.ms.is_multiple_of(20) {
            self.seen.listen();
        }
    }

    /// The sender reports that it knew with each picture, or sound (true).
    pub fn reports(&self) -> &[(bool, SenderInfo)] {
        &self.seen.reports
    }

    pub fn pass(&mut self, seconds: u64) -> &Seen {
        for _ in 0..seconds * 1_000 {
            self.step(true);
        }
        &self.seen
    }
}

/// Runs a case with each seed; `check` looks at what was seen.
fn each(stream: Stream, seconds: u64, adjust: impl Fn(&mut Network), check: impl Fn(&Seen)) {
    for seed in SEEDS {
        let mut viewer = Viewer::new(stream, |network| {
            network.seed = seed;
            adjust(network);
        });
        let seen = viewer.pass(seconds);
        eprintln!(
            "{:.1} a second, {:.1} % concealed, {:.2} s frozen, {} keys, {} asked",
            seen.a_second(seconds as f64),
            seen.concealed(),
            seen.frozen(0),
            seen.keys,
            seen.asked.len()
        );
        check(seen);
    }
}

/// A queue of 50 kB.
fn narrow(network: &mut Network, rate: u64) {
    network.narrow = Some(rate);
    network.buffer = Duration::from_millis(50_000 * 8_000 / rate);
}

#[test]
fn a_network_a_little_too_narrow_shows_most_pictures_and_plays_all_sound() {
    each(
        USUAL,
        20,
        |network| narrow(network, 1_400_000),
        |seen| {
            assert!(seen.a_second(20.0) >= 8.0);
            assert!(seen.concealed() < 3.0);
        },
    );
}

#[test]
fn a_network_far_too_narrow_shows_some_pictures_and_plays_all_sound() {
    each(
        USUAL,
        20,
        |network| narrow(network, 500_000),
        |seen| {
            assert!(seen.a_second(20.0) >= 1.0);
            assert!(seen.concealed() < 5.0);
        },
    );
}

#[test]
fn a_network_that_narrows_later_and_heals_is_followed() {
    for seed in SEEDS {
        let mut viewer = Viewer::new(USUAL, |network| network.seed = seed);
        viewer.pass(5);
        assert!(viewer.seen.pictures.len() >= 122, "{:?}", viewer.seen.pictures.len());
        narrow(&mut viewer.network, 900_000);
        viewer.pass(20);
        let seen = viewer.seen.pictures.len();
        assert!(seen >= 122 + 80, "{seen}");
        viewer.network.narrow = None;
        viewer.pass(4);
        let before = viewer.seen.pictures.len();
        viewer.pass(4);
        assert!(viewer.seen.pictures.len() >= before + 98);
        assert!(viewer.seen.concealed() < 5.0, "{}", viewer.seen.concealed());
    }
}

#[test]
fn pictures_that_nothing_depends_on_are_left_out_first() {
    // Two thirds of it fit: the half that others depend on, and some of the others.
    let stream = Stream { layered: true, key: 20_000, ..USUAL };
    each(
        stream,
        20,
        |network| narrow(network, 1_000_000),
        |seen| {
            assert!(seen.a_second(20.0) >= 13.0);
            assert!(seen.keys >= 9 && seen.frozen(300) < 2.0, "{seen:?}");
            assert!(seen.concealed() < 3.0);
        },
    );
}

#[test]
fn keyframes_are_asked_for_at_most_each_second() {
    let stream = Stream { asked: true, ..USUAL };
    for rate in [500_000, 1_000_000] {
        each(
            stream,
            20,
            |network| narrow(network, rate),
            |seen| {
                assert!(seen.asked.windows(2).all(|w| w[1] - w[0] >= 1_000), "{:?}", seen.asked);
                assert!(seen.a_second(20.0) >= 2.0);
                assert!(seen.concealed() < 5.0);
            },
        );
    }
}

#[test]
fn a_far_network_that_loses_packets_is_repaired_in_time() {
    let far = |network: &mut Network| (network.loss, network.delay, network.jitter) = (50, 75, 5);
    each(USUAL, 15, far, |seen| {
        assert!(seen.a_second(15.0) >= 23.0);
        // A player holds back what it is told to: a round trip and 100 ms.
        assert!(seen.frozen(250) <= 1.0);
    });
}

#[test]
fn a_network_that_drops_what_it_does_not_queue_is_known_by_its_losses() {
    let policed =
        |network: &mut Network| (network.narrow, network.buffer) = (Some(1_000_000), Duration::from_millis(100));
    each(USUAL, 30, policed, |seen| {
        assert!(seen.a_second(30.0) >= 2.0);
        assert!(seen.concealed() < 10.0);
    });
}

#[test]
fn large_keyframes_reach_a_viewer_within_half_a_second() {
    let stream = Stream { key: 3_000_000, ..USUAL };
    for delay in [1, 20] {
        let mut viewer = Viewer::new(stream, |network| network.delay = delay);
        viewer.pass(4);
        let keys: Vec<_> = viewer.seen.pictures.iter().filter(|(_, n)| n % 50 == 0).collect();
        assert!(keys.len() == 2 && keys.iter().all(|(at, n)| *at <= u64::from(*n) * 40 + 500), "{keys:?}");
    }
}
