//! The real server on loopback, with clients that come over UDP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::net::{Protocol as Transport, Receive};
use str0m::{Candidate, Input, Output};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::ended::Ended;
use crate::frame::{Codec as FrameCodec, Frame};
use crate::hub::{Event, Hub, Origin, Settings};
use crate::name::{Protocol, StreamName};
use crate::request::{PlayOptions, PublishOptions, Query, Request, What};
use crate::rtc::{Config, Refused, Server, h264};

/// A server whose gate lets everybody in but those whose query says otherwise.
pub(super) struct World {
    pub server: Server,
    pub hub: Hub,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) fn world(adjust: impl FnOnce(&mut Config)) -> World {
    let mut config = Config { udp: (Ipv4Addr::LOCALHOST, 0).into(), workers: 2, ..Config::default() };
    adjust(&mut config);
    let hub = Hub::new(Settings::default());
    let (requests, mut inbox) = crate::request::channel(16, Duration::from_secs(5));
    tokio::spawn(async move {
        while let Some(request) = inbox.recv().await {
            match request {
                request if request.what().query.0 == "forged" => request.reject("bad signature"),
                Request::Publish(ask) => ask.accept(PublishOptions::default()),
                Request::Play(ask) => {
                    ask.accept(PlayOptions { wait: Some(Duration::from_millis(100)), ..PlayOptions::default() });
                }
            }
        }
    });
    let stop = CancellationToken::new();
    let server = Server::start(config, hub.clone(), requests, stop.clone()).unwrap();
    World { server, hub, stop }
}

pub(super) fn what(stream: &str, query: &str) -> What {
    What {
        stream: StreamName::new(stream).unwrap(),
        app: "live".into(),
        query: Query(query.into()),
        protocol: Protocol::Whip,
        peer: "127.0.0.1:9".parse().unwrap(),
    }
}

/// A client with its socket.
pub(super) struct Wired {
    pub client: Client,
    socket: UdpSocket,
    pub session: String,
    pub answer: String,
}

impl Wired {
    pub async fn new(world: &World, send: bool, stream: &str, query: &str) -> Result<Wired, Refused> {
        Self::layered(world, send, stream, query, None).await
    }

    pub async fn layered(
        world: &World,
        send: bool,
        stream: &str,
        query: &str,
        layers: Option<Simulcast>,
    ) -> Result<Wired, Refused> {
        Self::of(world, send, stream, query, |ask| Client::layered(Instant::now(), send, layers, ask)).await
    }

    /// A client that `make` makes, which is given what asks the server.
    pub async fn of(
        world: &World,
        send: bool,
        stream: &str,
        query: &str,
        make: impl FnOnce(&mut dyn FnMut(&str) -> Result<String, Refused>) -> Result<Client, Refused>,
    ) -> Result<Wired, Refused> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut session = String::new();
        let mut sdp = String::new();
        let handle = tokio::runtime::Handle::current();
        let client = tokio::task::block_in_place(|| {
            make(&mut |offer| {
                let asked = handle.block_on(async {
                    if send {
                        world.server.publish(offer, what(stream, query)).await
                    } else {
                        world.server.play(offer, what(stream, query)).await
                    }
                });
                let answer = asked?;
                session = answer.session;
                sdp.clone_from(&answer.sdp);
                Ok(answer.sdp)
            })
        });
        let mut client = client?;
        let candidate = Candidate::host(socket.local_addr().unwrap(), "udp").unwrap();
        client.rtc.add_local_candidate(candidate);
        // A machine that waits for the other end's handshake does nothing before it was told the time.
        client.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
        Ok(Wired { client, socket, session, answer: sdp })
    }

    /// Sends what there is to send and waits for the next datagram or deadline, at most until `until`.
    pub async fn turn(&mut self, until: Instant) {
        let deadline = loop {
            match self.client.rtc.poll_output().unwrap() {
                Output::Timeout(at) => break at.min(until),
                Output::Transmit(t) => drop(self.socket.send_to(&t.contents, t.destination).await),
                Output::Event(event) => self.client.event(event),
            }
        };
        let mut buffer = [0; 2_000];
        tokio::select! {
            Ok((n, from)) = self.socket.recv_from(&mut buffer) => {
                let local = self.socket.local_addr().unwrap();
                if let Ok(receive) = Receive::new(Transport::Udp, from, local, &buffer[..n]) {
                    self.client.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                }
            }
            () = tokio::time::sleep_until(deadline.into()) => {}
        }
        self.client.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
    }

    pub async fn until(&mut self, what: &str, done: impl Fn(&Client) -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !done(&self.client) {
            assert!(Instant::now() < end, "not within 30 s: {what}");
            self.turn(end).await;
        }
    }

    /// Publishes as many pictures as it takes until `done`, one each 33 ms.
    pub async fn publish_until(mut self, done: CancellationToken) -> Wired {
        self.until("connected", |c| c.connected).await;
        let start = Instant::now();
        let mut answered = 0;
        for n in 0.. {
            if done.is_cancelled() || self.client.gone || !self.client.rtc.is_alive() {
                break;
            }
            let now = Instant::now();
            let key = n == 0 || self.client.asked > answered;
            answered = self.client.asked;
            self.client.send_picture(n, key, if key { 9_000 } else { 2_000 }, now);
            self.client.send_sound(n, now);
            self.client.rtc.handle_input(Input::Timeout(now)).unwrap();
            let next = start + Duration::from_millis(33) * (n + 1);
            while Instant::now() < next {
                self.turn(next).await;
            }
        }
        self
    }
}

fn whole(client: &Client) -> Vec<u32> {
    client.pictures.iter().filter_map(|(_, _, data)| number(h264::unit(data).payload.get(4..)?)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_publishes_others_see_through_floods_of_garbage() {
    let world = world(|_| {});
    let publisher = Wired::new(&world, true, "s", "").await.unwrap();
    let publisher_id = publisher.session.clone();
    let done = CancellationToken::new();
    let publishing = tokio::spawn(publisher.publish_until(done.clone()));
    let name = StreamName::new("s").unwrap();
    while !world.hub.is_live(&name) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Somebody sends what no session wants.
    let port = world.server.udp_addr();
    let flood = done.clone();
    let flooding = tokio::spawn(async move {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        for i in 0u32.. {
            if flood.is_cancelled() {
                return;
            }
            let mut bytes = vec![[0u8, 22, 128, 200, 255][i as usize % 5]; 1 + (i as usize * 37) % 1400];
            if i.is_multiple_of(2) && bytes.len() > 30 {
                bytes[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
                bytes.truncate(20);
            }
            let _ = socket.send_to(&bytes, port).await;
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    });
    // Each is served on its own: a socket that nobody reads would lose what the others wait for.
    let mut sessions = Vec::new();
    let mut viewers = Vec::new();
    let (told, mut ready) = tokio::sync::mpsc::channel(3);
    for _ in 0..3 {
        let mut viewer = Wired::new(&world, false, "s", "").await.unwrap();
        sessions.push(viewer.session.clone());
        let told = told.clone();
        viewers.push(tokio::spawn(async move {
            viewer.until("30 pictures", |c| whole(c).len() >= 30 && c.sounds.len() >= 20).await;
            told.send(()).await.unwrap();
            viewer.until("told of the end", |c| c.gone).await;
            viewer.client
        }));
    }
    for _ in 0..3 {
        ready.recv().await.unwrap();
    }
    let info = world.hub.info(&name).unwrap();
    assert_eq!(info.readers.iter().find(|(p, _)| *p == Protocol::Whep).unwrap().1, 3);
    let counters = world.server.counters();
    assert_eq!(counters.connected.load(Ordering::Relaxed), 4);
    assert!(counters.garbage.load(Ordering::Relaxed) > 10 && counters.strangers.load(Ordering::Relaxed) > 10);
    assert_eq!(counters.overrun.load(Ordering::Relaxed) + counters.unsent.load(Ordering::Relaxed), 0);

    // One viewer is sent away, then the publisher ends the stream: all are told.
    world.server.delete(&sessions[0]).await.unwrap();
    world.server.delete(&publisher_id).await.unwrap();
    for viewer in viewers {
        let client = viewer.await.unwrap();
        let numbers = whole(&client);
        assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "no picture lost or doubled: {numbers:?}");
        assert!(h264::unit(&client.pictures[0].2).key);
    }
    assert!(!world.hub.is_live(&name));
    assert_eq!(world.server.delete(&publisher_id).await, Err(Refused::NoSession));
    done.cancel();
    flooding.await.unwrap();
    drop(publishing.await.unwrap());
}

/// Publishes `s`, and hangs up as a browser does when its page closes the connection.
async fn hang_up(world: &World) -> String {
    let name = StreamName::new("s").unwrap();
    let done = CancellationToken::new();
    let publisher = Wired::new(world, true, "s", "").await.unwrap();
    let session = publisher.session.clone();
    let publishing = tokio::spawn(publisher.publish_until(done.clone()));
    while !world.hub.info(&name).is_some_and(|info| info.live && !info.paused) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    done.cancel();
    let mut publisher = publishing.await.unwrap();
    publisher.client.rtc.close().unwrap();
    while !world.hub.is_paused(&name) {
        publisher.turn(Instant::now() + Duration::from_millis(20)).await;
    }
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_hung_up_can_still_end_its_stream_and_nobody_elses() {
    let world = world(|_| {});
    let mut events = world.hub.events();
    let mut told = move || std::iter::from_fn(|| events.try_recv().ok()).collect::<Vec<_>>();
    let name = StreamName::new("s").unwrap();
    let first = hang_up(&world).await;
    // The page was loaded again: what is said of its first session is not said of the stream.
    let second = hang_up(&world).await;
    assert!(matches!(
        told()[..],
        [Event::Started { .. }, Event::Paused { .. }, Event::Resumed { .. }, Event::Paused { .. }]
    ));
    world.server.delete(&first).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(world.hub.is_paused(&name));
    assert_eq!(world.server.etag(&second), Err(Refused::NoSession));
    world.server.delete(&second).await.unwrap();
    while world.hub.info(&name).is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(told()[..], [Event::Ended { reason: Ended::Finished, .. }]), "at once, and once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_floods_is_dropped_unseen_and_nobody_else_is() {
    let world = world(|config| config.strangers = Some((10_000, 990_000)));
    let done = CancellationToken::new();
    let publisher = Wired::new(&world, true, "s", "").await.unwrap();
    let publishing = tokio::spawn(publisher.publish_until(done.clone()));
    while !world.hub.is_live(&StreamName::new("s").unwrap()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Each would be answered, if there were not so many.
    let flood = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
    let mut request = [0; 20];
    request[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    let begun = Instant::now();
    let counters = world.server.counters();
    for n in 0..3_000 {
        flood.send_to(&request, world.server.udp_addr()).await.unwrap();
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let mut viewer = Wired::new(&world, false, "s", "").await.unwrap();
    viewer.until("30 pictures beside the flood", |c| whole(c).len() >= 30).await;
    let numbers = whole(&viewer.client);
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "none is lost: {numbers:?}");
    let mut answers = 0;
    while flood.try_recv(&mut [0; 100]).is_ok() {
        answers += 1;
    }
    let allowed = 100 + begun.elapsed().as_millis() as u64 / 10 + 1;
    assert!((90..=allowed).contains(&answers), "{answers} answers, {allowed} allowed");
    assert!(counters.limited.load(Ordering::Relaxed) >= 3_000 - allowed, "the rest was counted");
    done.cancel();
    drop(publishing.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_rtmp_publishers_aac_reaches_viewers_as_opus() {
    let world = world(|_| {});
    let name = StreamName::new("rtmp").unwrap();
    let origin = Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() };
    let publisher = world.hub.publish(&name, origin).unwrap();
    let config = h264::Parameters::write(SPS, PPS).unwrap();
    publisher.push(Frame::config(FrameCodec::H264, 0, config)).unwrap();
    let mut encoder = crate::audio::AacEncoder::new(1).unwrap();
    use crate::audio::Encode;
    publisher.push(Frame::config(FrameCodec::Aac, 0, encoder.config())).unwrap();
    let done = CancellationToken::new();
    let stop = done.clone();
    let publishing = tokio::spawn(async move {
        let start = Instant::now();
        for n in 0u32.. {
            if stop.is_cancelled() {
                return;
            }
            let at = i64::from(n) * 1024 * 1_000_000 / 48_000;
            let nal = slice(n, n % 30 == 0, 1_000);
            let payload = Bytes::from([&(nal.len() as u32).to_be_bytes()[..], &nal].concat());
            publisher.push(Frame::video(FrameCodec::H264, at, 0, n % 30 == 0, payload)).unwrap();
            let tone = |i: u32| ((n * 1024 + i) as f32 / 48_000.0 * 440.0 * std::f32::consts::TAU).sin() * 0.5;
            let samples: Vec<f32> = (0..1024).map(tone).collect();
            publisher.push(Frame::audio(FrameCodec::Aac, at, encoder.encode(&samples).unwrap())).unwrap();
            tokio::time::sleep_until((start + Duration::from_micros(at as u64)).into()).await;
        }
    });
    let mut viewer = Wired::new(&world, false, "rtmp", "").await.unwrap();
    viewer.until("60 pictures and 75 sounds", |c| whole(c).len() >= 60 && c.sounds.len() >= 75).await;
    let sounds = &viewer.client.sounds;
    // On a starved machine the hub may skip a reader forward, so holes are possible; overlaps are not.
    // The very first lies a little before the stream's start, by what the encoder looks ahead, and is moved there.
    let steps: Vec<u64> = sounds[1..].windows(2).map(|w| w[1].0.numer() - w[0].0.numer()).collect();
    assert!(steps.iter().filter(|s| **s == 960).count() * 10 >= steps.len() * 9, "20 ms apart: {steps:?}");
    assert!(steps.iter().all(|s| s % 960 == 0 && *s > 0), "{steps:?}");
    assert!(sounds.iter().all(|(_, bytes)| crate::audio::packet_samples(bytes) == Some(960)));
    // Lips in step with sound: one stream, and reports that tie both tracks to the same clock.
    let streams = viewer.answer.lines().filter_map(|l| l.strip_prefix("a=msid:")?.split(' ').next());
    assert_eq!(streams.collect::<Vec<_>>(), ["live"; 2]);
    let apart = |c: &Client| Some((c.reports[0]? - c.reports[1]?).abs());
    viewer.until("reports that agree", |c| apart(c).is_some_and(|micros| micros < 40_000)).await;
    let info = world.hub.info(&name).unwrap();
    assert_eq!(
        (info.viewers(), world.hub.list().len()),
        (1, 1),
        "the viewer counts at the stream, not at its rendition"
    );
    assert!(info.bytes_out > 10_000 && world.hub.info(&name.derived("opus")).is_some());
    done.cancel();
    publishing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_served_is_refused_with_its_reason() {
    let world = world(|config| {
        config.max_sessions = 3;
        config.max_unconnected_per_peer = 2;
    });
    let refused = |r: Result<Wired, Refused>| r.err().unwrap();
    assert_eq!(refused(Wired::new(&world, false, "none", "").await), Refused::Ended(Ended::NotFound));
    let forged = refused(Wired::new(&world, true, "s", "forged").await);
    assert_eq!(forged, Refused::Ended(Ended::Refused("bad signature".into())));
    for garbage in [
        "",
        "v=0",
        "v=0\r\no=- 1 1 IN IP4 0\r\ns=-\r\nt=0 0\r\n",
        "v=0\r\nm=video x\r\n",
        "\0\0\0",
        &"a=".repeat(40_000),
    ] {
        assert!(matches!(world.server.publish(garbage, what("s", "")).await, Err(Refused::Bad(_))), "{garbage:.20}");
        let told = world.server.publish(garbage, what("s", "")).await.unwrap_err().to_string();
        assert!(!told.contains("0x") && !told.contains("PointerOffset"), "{told}");
        let forged = world.server.publish(garbage, what("s", "forged")).await;
        let refused = Refused::Ended(Ended::Refused("bad signature".into()));
        assert_eq!(forged.unwrap_err(), refused, "permission comes first");
    }
    let first = Wired::new(&world, true, "s", "").await.unwrap();
    assert_eq!(refused(Wired::new(&world, true, "s", "").await), Refused::Ended(Ended::Busy));
    let fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";
    assert_eq!(world.server.patch(&first.session, fragment, Some(&["wrong"])).await, Err(Refused::Stale));
    let before = world.server.etag(&first.session).unwrap();
    let restarted = world.server.patch(&first.session, fragment, Some(&["*"])).await.unwrap().unwrap();
    let told: Vec<&str> = restarted.fragment.lines().map(|line| line.split([':', ' ']).next().unwrap()).collect();
    let candidates = ["a=candidate", "a=end-of-candidates"];
    let head = ["a=ice-lite", "a=ice-options", "a=group", "m=audio", "a=mid", "a=ice-ufrag", "a=ice-pwd"];
    assert_eq!(told, [&head[..], &candidates].concat(), "{}", restarted.fragment);
    let again = world.server.patch(&first.session, fragment, Some(&["other", &restarted.etag])).await;
    assert_eq!(again, Ok(None), "the same credentials are no restart");
    for tag in ["*", &before] {
        let lost = world.server.patch(&first.session, fragment, Some(&[tag])).await;
        assert_eq!(lost, Ok(Some(restarted.clone())), "who did not get the answer asks once more");
    }
    let candidate = "a=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n";
    assert_eq!(world.server.patch(&first.session, candidate, None).await, Ok(None));
    assert_eq!(world.server.patch("nobody", candidate, None).await, Err(Refused::NoSession));
    // H.265 from elsewhere cannot be played here.
    let origin = Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() };
    let publisher = world.hub.publish(&StreamName::new("hevc").unwrap(), origin).unwrap();
    publisher.push(Frame::config(FrameCodec::H265, 0, Bytes::from_static(&[1; 30]))).unwrap();
    publisher.push(Frame::video(FrameCodec::H265, 0, 0, true, Bytes::from_static(&[0, 0, 0, 1, 9]))).unwrap();
    let unfit = refused(Wired::new(&world, false, "hevc", "").await);
    assert!(unfit.to_string().contains("h265"), "{unfit}");
    // Unconnected sessions of one address are bounded; refused ones left no trace.
    let _second = Wired::new(&world, true, "s2", "").await.unwrap();
    assert!(matches!(refused(Wired::new(&world, true, "s3", "").await), Refused::TooMany(_)));
    assert_eq!(world.server.counters().sessions.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_who_changes_networks_goes_on_after_an_ice_restart() {
    let world = world(|_| {});
    let done = CancellationToken::new();
    let publisher = Wired::new(&world, true, "s", "").await.unwrap();
    let publishing = tokio::spawn(publisher.publish_until(done.clone()));
    while !world.hub.is_live(&StreamName::new("s").unwrap()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut viewer = Wired::new(&world, false, "s", "").await.unwrap();
    viewer.until("pictures", |c| whole(c).len() >= 5).await;
    // A new socket: the old address is gone.
    let old = Candidate::host(viewer.socket.local_addr().unwrap(), "udp").unwrap();
    viewer.socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    viewer.client.rtc.direct_api().invalidate_candidate(&old);
    let mut api = viewer.client.rtc.sdp_api();
    api.ice_restart(false);
    let (offer, pending) = api.apply().unwrap();
    let offer = offer.to_sdp_string();
    let fragment: String = offer.lines().filter(|l| l.starts_with("a=ice-")).flat_map(|l| [l, "\r\n"]).collect();
    let restarted = world.server.patch(&viewer.session, &fragment, None).await.unwrap().unwrap();
    let value = |name: &str| {
        let line = restarted.fragment.lines().find(|l| l.starts_with(name)).unwrap();
        line.to_owned()
    };
    let ufrag = value("a=ice-ufrag:");
    let password = value("a=ice-pwd:");
    let old = |name: &str| viewer.answer.lines().find(|l| l.starts_with(name)).unwrap().split_once(':').unwrap().1;
    let new = |line: &str| line.split_once(':').unwrap().1.to_owned();
    // Everywhere: candidates name the fragment they belong to.
    let answer = viewer.answer.replace(old("a=ice-ufrag:"), &new(&ufrag)).replace(old("a=ice-pwd:"), &new(&password));
    viewer.client.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap()).unwrap();
    let candidate = Candidate::host(viewer.socket.local_addr().unwrap(), "udp").unwrap();
    viewer.client.rtc.add_local_candidate(candidate);
    let before = whole(&viewer.client).len();
    viewer.until("pictures over the new path", |c| whole(c).len() >= before + 30).await;
    done.cancel();
    drop(publishing.await.unwrap());
}

/// The same through TCP: framed datagrams over a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_on_the_tcp_port_are_let_go() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = world(|config| config.tcp = Some((Ipv4Addr::LOCALHOST, 0).into()));
    let address: SocketAddr = world.server.tcp_addr().unwrap();
    for greeting in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 4, 1, 2, 3, 4], &[0xff; 4000], &[0, 0]] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(greeting).await;
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok() && rest.is_empty(), "{greeting:?}");
    }
    let answered = Wired::new(&world, true, "s", "").await.unwrap();
    drop(answered);
}
