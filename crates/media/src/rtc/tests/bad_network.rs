//! Two machines in memory on simulated time, with a network between them that loses and shuffles.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::media::KeyframeRequestKind;
use str0m::net::{Protocol, Receive};
use str0m::rtp::RawPacket;
use str0m::rtp::rtcp::Rtcp;
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::narrow::{USUAL, Viewer};
use super::*;
use crate::frame::{Codec as FrameCodec, Frame, Kind};
use crate::hub::{Item, Tracks};
use crate::rtc::feed::{Maker, Shared};
use crate::rtc::h264;
use crate::rtc::offer::{self, Accepted, Identity, Way};
use crate::rtc::session::{AHEAD, numbers};
use crate::rtc::sink::Sink;
use crate::rtc::whep::Whep;
use crate::rtc::whip::Whip;

pub(super) const SERVER: &str = "192.0.2.1:8000";
pub(super) const CLIENT: &str = "198.51.100.7:5000";

#[derive(PartialEq, Eq)]
pub(super) struct Flight {
    at: std::cmp::Reverse<(Instant, u64)>,
    to_server: bool,
    bytes: Vec<u8>,
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The network: loses `loss` in a thousand datagrams, delays the others by `delay` ms and up to `jitter` more.
pub(super) struct Network {
    flights: BinaryHeap<Flight>,
    pub seed: u64,
    pub loss: u64,
    pub delay: u64,
    pub jitter: u64,
    sent: u64,
    /// Bits a second that it carries to the client.
    pub narrow: Option<u64>,
    /// How long datagrams to the client may wait where it is narrow; the rest is dropped.
    pub buffer: Duration,
    free: Instant,
    /// Datagrams do not overtake each other: when the newest arrives, each way.
    pub ordered: Option<[Instant; 2]>,
}

impl Network {
    /// One that delays datagrams by 20 ms.
    pub fn new(now: Instant, loss: u64, jitter: u64) -> Self {
        Network {
            flights: BinaryHeap::new(),
            seed: 0x9e37_79b9,
            loss,
            delay: 20,
            jitter,
            sent: 0,
            narrow: None,
            buffer: Duration::from_millis(300),
            free: now,
            ordered: None,
        }
    }

    /// When what is sent to the client now has left the queue.
    pub fn queues(&self, now: Instant) -> Instant {
        self.free.max(now)
    }

    /// A datagram that has arrived by now, and whether at the server.
    pub fn arrived(&mut self, now: Instant) -> Option<(bool, Vec<u8>)> {
        self.flights.peek().filter(|flight| flight.at.0.0 <= now)?;
        self.flights.pop().map(|flight| (flight.to_server, flight.bytes))
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below.max(1)
    }

    pub fn send(&mut self, now: Instant, to_server: bool, bytes: &[u8]) {
        self.sent += 1;
        if self.random(1000) >= self.loss {
            let mut now = now;
            if let Some(rate) = self.narrow.filter(|_| !to_server) {
                self.free = self.free.max(now);
                if self.free > now + self.buffer {
                    return;
                }
                self.free += Duration::from_micros((bytes.len() as u64 + 28) * 8_000_000 / rate);
                now = self.free;
            }
            let at = now + Duration::from_millis(self.delay + self.random(self.jitter + 1));
            let at = self.ordered.as_mut().map_or(at, |newest| {
                let newest = &mut newest[usize::from(to_server)];
                *newest = at.max(*newest);
                *newest
            });
            self.flights.push(Flight { at: std::cmp::Reverse((at, self.sent)), to_server, bytes: bytes.to_vec() });
        }
    }
}

pub(super) struct World {
    pub now: Instant,
    pub client: Client,
    pub server: Accepted,
    pub network: Network,
    pub events: Vec<Event>,
    /// What the client sends again as it was when it is asked for, by its number; nothing, where it has a format for that.
    repeats: Option<HashMap<u16, Vec<u8>>>,
    answers: VecDeque<(Instant, u32)>,
}

impl World {
    pub fn new(way: Way, loss: u64, jitter: u64) -> Self {
        Self::of(way, loss, jitter, str::to_owned)
    }

    /// One whose client makes this of its offer.
    fn of(way: Way, loss: u64, jitter: u64, offered: fn(&str) -> String) -> Self {
        let now = Instant::now();
        let identity = Identity::new(vec![SERVER.parse().unwrap()], Vec::new());
        let mut server = None;
        let connected = Client::connect(now, way == Way::In, |offer| {
            let accepted = offer::accept(&offered(offer), way, &[], &identity, now)?;
            let sdp = accepted.sdp.clone();
            server = Some(accepted);
            Ok::<_, crate::rtc::Refused>(sdp)
        });
        let mut client = connected.unwrap();
        client.rtc.add_local_candidate(Candidate::host(CLIENT.parse().unwrap(), "udp").unwrap());
        World {
            now,
            client,
            server: server.unwrap(),
            network: Network::new(now, loss, jitter),
            events: Vec::new(),
            repeats: None,
            answers: VecDeque::new(),
        }
    }

    /// One millisecond passes.
    pub fn step(&mut self) {
        self.now += Duration::from_millis(1);
        while let Some((to_server, bytes)) = self.network.arrived(self.now) {
            let client: SocketAddr = CLIENT.parse().unwrap();
            let server: SocketAddr = SERVER.parse().unwrap();
            let (rtc, from, to): (&mut Rtc, _, _) =
                if to_server { (&mut self.server.rtc, client, server) } else { (&mut self.client.rtc, server, client) };
            let receive = Receive::new(Protocol::Udp, from, to, &bytes).unwrap();
            rtc.handle_input(Input::Receive(self.now, receive)).unwrap();
        }
        self.server.rtc.handle_input(Input::Timeout(self.now)).unwrap();
        self.client.rtc.handle_input(Input::Timeout(self.now)).unwrap();
        loop {
            match self.server.rtc.poll_output().unwrap() {
                Output::Timeout(at) if self.server.adapts && at <= self.now + AHEAD => {
                    self.server.rtc.handle_input(Input::Timeout(at.max(self.now))).unwrap();
                }
                Output::Timeout(_) => break,
                Output::Transmit(t) => self.network.send(self.now, false, &t.contents),
                Output::Event(event) => self.events.push(event),
            }
        }
        loop {
            match self.client.rtc.poll_output().unwrap() {
                Output::Timeout(_) => break,
                Output::Transmit(t) => {
                    if let (Some(sent), [128..=191, 0..=191 | 224.., a, b, ..]) = (&mut self.repeats, &*t.contents) {
                        sent.insert(u16::from_be_bytes([*a, *b]), t.contents.to_vec());
                    }
                    self.network.send(self.now, true, &t.contents);
                }
                Output::Event(event) => {
                    self.repeat(&event);
                    self.client.event(event);
                }
            }
        }
    }

    fn repeat(&mut self, event: &Event) {
        let (Some(sent), Event::RawPacket(packet)) = (&self.repeats, event) else { return };
        let RawPacket::RtcpRx(Rtcp::Nack(nack)) = &**packet else { return };
        for number in nack.reports.iter().flat_map(numbers) {
            if let Some(bytes) = sent.get(&number) {
                self.network.send(self.now, true, bytes);
            }
        }
    }

    /// What a session does between its frames: asks after the network, which answers, and sends what waits.
    pub fn serve(&mut self, whep: &mut Whep) {
        if let Some(number) = whep.check(self.now) {
            self.answers.push_back((self.network.queues(self.now) + Duration::from_millis(40), number));
        }
        while let Some((_, number)) = self.answers.pop_front_if(|(at, _)| *at <= self.now) {
            whep.answered(number, self.now);
        }
        if whep.has_waiting() {
            whep.pump(&mut Sink::Machine(&mut self.server.rtc), self.now);
        }
    }

    pub fn connect(&mut self) {
        // A handshake of random bytes that loses one datagram in ten runs out of time now and then: it loses one in fifty,
        // which are repeated after 1, 2, 4 s.
        let loss = self.network.loss;
        self.network.loss /= 5;
        for _ in 0..60_000 {
            self.step();
            if self.client.connected && self.events.iter().any(|e| matches!(e, Event::Connected)) {
                self.network.loss = loss;
                return;
            }
        }
        panic!("not connected within 60 s");
    }
}

/// Publishes 10 s over a network and returns what the hub would get.
fn publish(loss: u64, jitter: u64, seed: u64) -> (Vec<Frame>, u32) {
    published(World::new(Way::In, loss, jitter), seed)
}

fn published(mut world: World, seed: u64) -> (Vec<Frame>, u32) {
    world.network.seed = seed;
    world.connect();
    let repeats = world.server.repeats;
    assert_eq!(repeats, world.repeats.is_some());
    let mut whip = Whip::new(world.now);
    let mut frames = Vec::new();
    let mut picture = 0;
    let mut sound = 0;
    let mut asked = 0;
    let mut answered = 0;
    for ms in 0..10_000u32 {
        if ms % 33 == 0 {
            let key = picture == 0 || world.client.asked > answered;
            answered = world.client.asked;
            let size = if key { 9_000 } else { 2_000 };
            let now = world.now;
            world.client.send_picture(picture, key, size, now);
            picture += 1;
        }
        if ms % 20 == 0 {
            let now = world.now;
            world.client.send_sound(sound, now);
            sound += 1;
        }
        world.step();
        for event in std::mem::take(&mut world.events) {
            if let Event::MediaData(data) = event {
                let layer = whip.take(&data, &mut frames);
                if repeats && layer.is_some_and(|layer| whip.is_new(layer)) {
                    offer::ask_for_losses(&mut world.server.rtc, data.mid, data.rid);
                }
            }
        }
        if whip.wants_key(0, world.now) {
            let mut writer = world.server.rtc.writer(world.server.video.unwrap().mid).unwrap();
            writer.request_keyframe(None, KeyframeRequestKind::Pli).unwrap();
            asked += 1;
        }
    }
    (frames, asked)
}

/// Every picture that came: whole, in order, at its time, and nothing that builds on a picture that did not come.
fn check(frames: &[Frame]) -> (usize, usize) {
    let pictures: Vec<&Frame> = frames.iter().filter(|f| f.kind == Kind::Video).collect();
    let mut last = None;
    for frame in &pictures {
        let nal = h264::units(&frame.payload, 4).next().unwrap();
        let n = number(nal).expect("the picture is whole");
        match last {
            None => assert!(frame.key, "starts with a key picture"),
            Some(l) if n != l + 1 => assert!(n > l && frame.key, "{n} after {l}"),
            Some(_) => {}
        }
        last = Some(n);
    }
    for track in [Kind::Video, Kind::Audio] {
        let times: Vec<i64> = frames.iter().filter(|f| f.kind == track).map(|f| f.dts).collect();
        assert!(times.windows(2).all(|w| w[0] < w[1]), "{track:?} runs forward");
    }
    (pictures.len(), frames.iter().filter(|f| f.kind == Kind::Audio).count())
}

#[test]
fn a_publisher_over_a_good_network_loses_nothing() {
    let (frames, _) = publish(0, 0, 7);
    assert_eq!((frames[0].kind, frames[0].codec), (Kind::AudioConfig, FrameCodec::Opus));
    let config = frames.iter().find(|f| f.kind == Kind::VideoConfig).unwrap();
    assert_eq!(config.payload, h264::Parameters::write(SPS, PPS).unwrap());
    let (pictures, sounds) = check(&frames);
    assert!(pictures >= 300 && sounds >= 495, "{pictures} pictures, {sounds} sounds");
    // Picture 300 and sound 495 were both sent at 9.9 s.
    let of = |kind, n: usize| frames.iter().filter(|f| f.kind == kind).nth(n).unwrap().dts;
    let apart = of(Kind::Video, 299) - of(Kind::Audio, 493);
    assert!(apart.abs() < 80_000, "lip sync: {apart} µs");
}

#[test]
fn a_publisher_over_a_bad_network_is_repaired() {
    // What is lost is chance: some networks of the same kind lose the very packets that were to repair others.
    let mut whole = Vec::new();
    for seed in [11, 222, 3_333, 44_444, 555_555] {
        let (frames, asked) = publish(100, 50, seed);
        let (pictures, sounds) = check(&frames);
        whole.push(pictures);
        assert!(sounds >= 400, "{sounds} of 500 sounds");
        assert!(asked <= 20, "key pictures asked for at most twice a second: {asked}");
    }
    let all: usize = whole.iter().sum();
    assert!(all >= 900, "{whole:?} of 303 pictures each, with 10 % loss and 50 ms jitter");
}

#[test]
fn a_publisher_without_a_format_for_repairs_is_asked_too() {
    let mut whole = Vec::new();
    for seed in [11, 222, 3_333] {
        let mut world = World::of(Way::In, 20, 20, without_repairs);
        world.repeats = Some(HashMap::new());
        let (frames, _) = published(world, seed);
        whole.push(check(&frames).0);
    }
    let all: usize = whole.iter().sum();
    // Without repairs each lost packet costs all pictures up to the next keyframe: about half of them here.
    assert!(all >= 860, "{whole:?} of 303 pictures each, with 2 % loss");
}

/// Frames as a publisher makes them: 10 s, a key picture each 2 s.
fn stream() -> Vec<Frame> {
    let config = h264::Parameters::write(SPS, PPS).unwrap();
    let mut frames = vec![Frame::config(FrameCodec::H264, 0, config)];
    for n in 0..300u32 {
        let key = n % 60 == 0;
        let nal = slice(n, key, if key { 9_000 } else { 2_000 });
        let payload = [&(nal.len() as u32).to_be_bytes()[..], &nal].concat();
        frames.push(Frame::video(FrameCodec::H264, i64::from(n) * 33_333, 0, key, payload.into()));
        for s in 0..2u32 {
            let at = i64::from(n) * 33_333 + i64::from(s) * 16_000;
            frames.push(Frame::audio(FrameCodec::Opus, at, vec![0xf8, n as u8, s as u8].into()));
        }
    }
    frames
}

fn play(loss: u64, jitter: u64) -> Viewer {
    let mut viewer = Viewer::new(USUAL, |network| {
        network.ordered = None;
        network.loss = loss;
        network.jitter = jitter;
    });
    let mut coming = stream().into_iter().peekable();
    for ms in 0..12_000i64 {
        while let Some(frame) = coming.next_if(|frame| frame.dts <= ms * 1000) {
            viewer.send(&frame);
        }
        viewer.step(false);
    }
    viewer
}

#[test]
fn a_viewer_gets_every_picture_with_parameter_sets_before_keys() {
    let viewer = play(0, 0);
    let pictures = &viewer.client.pictures;
    assert_eq!(pictures.len(), 300);
    for (n, (time, contiguous, data)) in pictures.iter().enumerate() {
        assert!(contiguous);
        let unit = h264::unit(data);
        assert_eq!(unit.key, n % 60 == 0);
        assert_eq!(unit.sps.is_some(), unit.key);
        assert_eq!(number(&unit.payload[4..]), Some(n as u32));
        let expected = (n as i64 * 33_333 * 90_000 / 1_000_000) as u64;
        assert_eq!(time.numer(), pictures[0].0.numer() + expected);
    }
    assert_eq!(viewer.client.sounds.len(), 600);
}

#[test]
fn a_viewer_over_a_bad_network_is_sent_again_what_was_lost() {
    let viewer = play(100, 50);
    let whole = viewer.client.pictures.iter().filter(|(_, _, data)| number(&h264::unit(data).payload[4..]).is_some());
    let count = whole.count();
    assert!(count >= 240, "{count} of 300 pictures whole with 10 % loss and 50 ms jitter");
}

/// The first second of the stream, as who joins then finds it, and the half after it.
pub(super) fn joining() -> (Vec<Shared>, Vec<Shared>) {
    let mut maker = Maker::default();
    let frames = stream();
    let mut backlog = Vec::new();
    let mut live = Vec::new();
    let tracks = Tracks { video: Some(std::sync::Arc::new(frames[0].at(0))), ..Tracks::default() };
    maker.item(&Item::Tracks(tracks), &mut backlog).unwrap();
    for frame in frames.into_iter().skip(1).filter(|f| f.dts < 1_500_000) {
        let into = if frame.dts < 1_000_000 { &mut backlog } else { &mut live };
        maker.item(&Item::Frame(std::sync::Arc::new(frame)), into).unwrap();
    }
    (backlog, live)
}

#[test]
fn a_viewer_who_joins_late_gets_a_picture_at_once_and_in_time() {
    let mut viewer = Viewer::new(USUAL, |_| ());
    let (backlog, live) = joining();
    viewer.catch_up(&backlog);
    // The feed repeats some of it: they are not sent twice.
    for shared in backlog.iter().chain(&live) {
        viewer.take(shared);
    }
    for _ in 0..200 {
        viewer.step(false);
    }
    let pictures = &viewer.client.pictures;
    assert_eq!(pictures.len(), 46, "31 that were, 15 that came: each once");
    let ticks: Vec<u64> = pictures.iter().map(|p| p.0.numer()).collect();
    assert!(ticks.windows(2).take(29).all(|w| w[1] - w[0] == 90), "the backlog is a millisecond apart");
    assert!(ticks.windows(2).skip(31).all(|w| (2_999..=3_001).contains(&(w[1] - w[0]))), "what follows is in time");
}

#[test]
fn pictures_out_of_order_are_left_out_or_refused() {
    let config = h264::Parameters::write(SPS, PPS).unwrap();
    let picture = |dts, cts, header: u8| {
        let nal = [header, 1, 2, 3];
        let payload = [&4u32.to_be_bytes()[..], &nal].concat();
        Frame::video(FrameCodec::H264, dts, cts, header == 0x65, payload.into())
    };
    let mut maker = Maker::default();
    let mut made = 0;
    let config = Frame::config(FrameCodec::H264, 0, config);
    for frame in [config, picture(0, 80, 0x65), picture(40, 160, 0x41), picture(80, 40, 0x01), picture(160, 80, 0x41)] {
        made += usize::from(maker.make(&frame).unwrap().is_some());
    }
    assert_eq!((made, maker.skipped), (3, 1));
    let refused = maker.make(&picture(200, 0, 0x41)).err().unwrap();
    assert!(refused.to_string().contains("B-frames"));
    let other = maker.make(&Frame::video(FrameCodec::H265, 0, 0, true, vec![1].into()));
    assert!(other.unwrap().is_none(), "before its configuration");
}
