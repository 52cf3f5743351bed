//! Media over ICE-TCP: networks that let no UDP through.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use str0m::net::{Protocol as Transport, Receive, TcpType};
use str0m::{Candidate, Input, Output};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::live::{Wired, World, what, world};
use super::*;
use crate::frame::{Codec as FrameCodec, Frame};
use crate::hub::Origin;
use crate::name::{Protocol, StreamName};
use crate::rtc::h264;

/// A viewer whose only way is one TCP connection.
struct Viewer {
    client: Client,
    local: SocketAddr,
    remote: SocketAddr,
    write: OwnedWriteHalf,
    datagrams: mpsc::Receiver<Vec<u8>>,
}

/// Datagrams off the wire: two bytes of length before each (RFC 4571).
async fn unframe(mut read: OwnedReadHalf, to: mpsc::Sender<Vec<u8>>) {
    while let Ok(length) = read.read_u16().await {
        let mut datagram = vec![0; usize::from(length)];
        if read.read_exact(&mut datagram).await.is_err() || to.send(datagram).await.is_err() {
            return;
        }
    }
}

impl Viewer {
    async fn until(&mut self, what: &str, done: impl Fn(&Client) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !done(&self.client) {
            assert!(Instant::now() < end, "not within 20 s: {what}");
            let deadline = match self.client.rtc.poll_output().unwrap() {
                Output::Timeout(at) => at.min(end),
                Output::Transmit(t) => {
                    assert_eq!((t.proto, t.destination), (Transport::Tcp, self.remote));
                    let framed = [&(t.contents.len() as u16).to_be_bytes()[..], &t.contents].concat();
                    // In two pieces, as a network may cut it.
                    let (head, tail) = framed.split_at(framed.len() / 2);
                    self.write.write_all(head).await.unwrap();
                    self.write.write_all(tail).await.unwrap();
                    continue;
                }
                Output::Event(event) => {
                    self.client.event(event);
                    continue;
                }
            };
            tokio::select! {
                Some(datagram) = self.datagrams.recv() => {
                    if let Ok(receive) = Receive::new(Transport::Tcp, self.remote, self.local, &datagram) {
                        self.client.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                    }
                }
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
            self.client.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
        }
    }
}

/// A viewer of `s` over TCP.
async fn over_tcp(world: &World) -> Viewer {
    let remote = world.server.tcp_addr().unwrap();
    let (read, write) = TcpStream::connect(remote).await.unwrap().into_split();
    let local = write.local_addr().unwrap();
    let (to, datagrams) = mpsc::channel(64);
    tokio::spawn(unframe(read, to));
    let handle = tokio::runtime::Handle::current();
    let client = tokio::task::block_in_place(|| {
        Client::connect(Instant::now(), false, |offer| {
            let answer = handle.block_on(world.server.play(offer, what("s", "")))?.sdp;
            assert!(answer.lines().any(|l| l.starts_with("a=candidate:") && l.contains(" tcp ")), "{answer}");
            let tcp_only = answer.lines().filter(|l| !(l.starts_with("a=candidate:") && l.contains(" udp ")));
            Ok::<_, crate::rtc::Refused>(tcp_only.flat_map(|l| [l, "\r\n"]).collect())
        })
    });
    let mut client = client.unwrap();
    let candidate = Candidate::builder().tcp().host(local).tcptype(TcpType::Active).build().unwrap();
    client.rtc.add_local_candidate(candidate);
    Viewer { client, local, remote, write, datagrams }
}

/// More than a connection's buffers hold: most of it waits for the peer to read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_keyframe_comes_whole_over_tcp() {
    const LARGE: usize = 3_500_000;
    let world = world(|config| config.tcp = Some((Ipv4Addr::LOCALHOST, 0).into()));
    let origin = Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() };
    let publisher = world.hub.publish(&StreamName::new("s").unwrap(), origin).unwrap();
    let config = h264::Parameters::write(SPS, PPS).unwrap();
    publisher.push(Frame::config(FrameCodec::H264, 0, config)).unwrap();
    let push = |n: u32, key: bool, size: usize| {
        let nal = slice(n, key, size);
        let payload = [&(nal.len() as u32).to_be_bytes()[..], &nal].concat();
        publisher.push(Frame::video(FrameCodec::H264, i64::from(n) * 40_000, 0, key, payload.into())).unwrap();
    };
    push(0, true, 1_000);
    let mut viewer = over_tcp(&world).await;
    viewer.until("the first picture", |c| !c.pictures.is_empty()).await;
    push(1, true, LARGE);
    let whole = |c: &Client| c.pictures.iter().any(|(_, _, data)| data.len() > LARGE);
    viewer.until("a keyframe of 3.5 MB", whole).await;
    assert_eq!(world.server.counters().tcp_full.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_without_udp_gets_every_picture_over_tcp() {
    let world = world(|config| config.tcp = Some((Ipv4Addr::LOCALHOST, 0).into()));
    let done = CancellationToken::new();
    let publisher = Wired::new(&world, true, "s", "").await.unwrap();
    let publishing = tokio::spawn(publisher.publish_until(done.clone()));
    while !world.hub.is_live(&StreamName::new("s").unwrap()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let remote = world.server.tcp_addr().unwrap();
    let mut viewer = over_tcp(&world).await;

    let numbers = |c: &Client| -> Vec<u32> {
        let units = c.pictures.iter().map(|(_, _, data)| h264::unit(data));
        units.filter_map(|unit| number(unit.payload.get(4..)?)).collect()
    };
    viewer.until("30 pictures", |c| numbers(c).len() >= 30 && c.sounds.len() >= 20).await;
    let seen = numbers(&viewer.client);
    assert!(seen.windows(2).all(|w| w[1] == w[0] + 1), "no picture lost or doubled: {seen:?}");
    assert_eq!(world.server.counters().connected.load(Ordering::Relaxed), 2);

    // Who speaks first and means no session of ours is hung up on.
    let mut stranger = TcpStream::connect(remote).await.unwrap();
    stranger.write_all(&[0, 3, 22, 1, 2]).await.unwrap();
    assert_eq!(stranger.read(&mut [0; 8]).await.unwrap_or(0), 0);
    done.cancel();
    publishing.await.unwrap();
}
