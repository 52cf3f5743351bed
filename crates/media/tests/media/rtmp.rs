//! RTMP end to end: a server on real sockets, real ffmpeg and ffprobe, our own client, and peers that misbehave. No test
//! waits by the clock: each waits for what it wants to see.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::frame::{Codec, Frame, Kind};
use media::hub::{Event, Origin, Pace, Settings, Start, Want};
use media::request::{Kick, PlayOptions, PublishOptions, Request};
use media::rtmp::client::{Player, Publisher, Target};
use media::rtmp::{Limits, serve};
use media::{Ended, Hub, Protocol, StreamName, flv, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

struct Server {
    hub: Hub,
    address: SocketAddr,
    shutdown: CancellationToken,
    kick: Kick,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(settings: Settings, limits: Limits) -> Server {
        let hub = Hub::new(settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, mut inbox) = request::channel(64, Duration::from_secs(5));
        let kick = Kick::default();
        let mut publish = PublishOptions::default();
        let mut play = PlayOptions::default();
        publish.kick = kick.clone();
        play.wait = Some(Duration::from_millis(500));
        tokio::spawn(async move {
            while let Some(request) = inbox.recv().await {
                match request {
                    _ if request.what().query.0.contains("forged") => request.reject("bad signature"),
                    Request::Publish(ask) => ask.accept(publish.clone()),
                    Request::Play(ask) => {
                        let relay = ask.what.query.0.contains("node=1");
                        let mut play = play.clone();
                        play.relay = relay;
                        ask.accept(play);
                    }
                }
            }
        });
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, hub.clone(), requests, limits, shutdown.clone()));
        Server { hub, address, shutdown, kick, task }
    }

    async fn plain() -> Server {
        Server::start(Settings::default(), Limits::default()).await
    }

    fn url(&self, stream: &str) -> String {
        format!("rtmp://{}/live/{stream}", self.address)
    }

    fn target(&self, stream: &str) -> Target {
        Target::parse(&self.url(stream)).unwrap()
    }
}

fn name(s: &str) -> StreamName {
    StreamName::new(s).unwrap()
}

/// ffmpeg that pushes a test picture and a tone.
fn push(url: &str, size: &str, seconds: u32) -> Child {
    let picture = format!("testsrc=size={size}:rate=25");
    let seconds = seconds.to_string();
    let args = [
        "-hide_banner",
        "-loglevel",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        &picture,
        "-re",
        "-f",
        "lavfi",
        "-i",
        "sine",
        "-t",
        &seconds,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-pix_fmt",
        "yuv420p",
        "-g",
        "25",
        "-c:a",
        "aac",
        "-f",
        "flv",
        url,
    ];
    Command::from(testkit::bounded::program("ffmpeg"))
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("ffmpeg is installed")
}

/// What ffprobe sees: `codec,width,height` and so on, a line each.
async fn probe(input: &str) -> String {
    let args = [
        "-v",
        "error",
        "-analyzeduration",
        "1000000",
        "-probesize",
        "1000000",
        "-show_entries",
        "stream=codec_name,width,height,sample_rate",
        "-of",
        "csv=p=0",
        input,
    ];
    let out = Command::from(testkit::bounded::program("ffprobe"))
        .args(args)
        .kill_on_drop(true)
        .output()
        .await
        .expect("ffprobe is installed");
    assert!(out.status.success(), "ffprobe: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn config() -> Frame {
    let avcc = b"\x01\x64\x00\x1e\xff\xe1\x00\x04\x67\x64\x00\x1e\x01\x00\x01\x68";
    Frame::config(Codec::H264, 0, Bytes::from_static(avcc))
}

fn picture(ms: i64, key: bool, size: usize) -> Frame {
    // Of zeros, it would be NAL units without a byte, which go no further.
    Frame::video(Codec::H264, ms * 1000, 0, key, vec![ms as u8 | 1; size].into())
}

async fn publish(server: &Server, stream: &str) -> Publisher {
    let mut publisher = Publisher::connect(&server.target(stream)).await.unwrap();
    publisher.send(&config()).await.unwrap();
    publisher.send(&picture(0, true, 100)).await.unwrap();
    publisher
}

/// Plays while a publisher goes on without end.
async fn while_it_flows(
    flows: impl Future<Output = ()>,
    plays: impl Future<Output = ()>,
    within: Duration,
) -> Result<(), tokio::time::error::Elapsed> {
    let both = async {
        tokio::select! {
            () = flows => {}
            () = plays => {}
        }
    };
    tokio::time::timeout(within, both).await
}

/// The next picture of a player.
async fn next_picture(player: &mut Player) -> Frame {
    loop {
        let frame = player.next().await.unwrap().expect("the stream goes on");
        if frame.kind == Kind::Video {
            return frame;
        }
    }
}

#[tokio::test]
async fn ffmpeg_pushes_two_streams_and_ffprobe_plays_them() {
    let server = Server::plain().await;
    let mut events = server.hub.events();
    let mut a = push(&server.url("a"), "320x240", 8);
    let mut b = push(&server.url("b?x=1"), "640x360", 8);
    for _ in 0..2 {
        assert!(matches!(events.recv().await.unwrap(), Event::Started { protocol: Protocol::Rtmp, .. }));
    }
    let url_a = server.url("a");
    let url_b = server.url("b");
    let (seen_a, seen_b) = tokio::join!(probe(&url_a), probe(&url_b));
    let lines = |seen: String| {
        let mut lines: Vec<_> = seen.lines().map(String::from).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(seen_a), ["aac,44100", "h264,320,240"]);
    assert_eq!(lines(seen_b), ["aac,44100", "h264,640,360"]);

    let info = server.hub.info(&name("b")).unwrap();
    let video = info.video.unwrap();
    let audio = info.audio.unwrap();
    assert_eq!((video.codec, video.width, video.height), (Codec::H264, 640, 360));
    assert_eq!((audio.codec, audio.sample_rate, audio.channels), (Codec::Aac, 44_100, 1));
    assert!(info.live && info.joined == 1 && info.bytes_in > 0);
    assert_eq!(info.gop, Some(Duration::from_secs(1)));

    assert!(a.wait().await.unwrap().success() && b.wait().await.unwrap().success());
    for _ in 0..2 {
        assert!(matches!(events.recv().await.unwrap(), Event::Ended { reason: Ended::Finished, .. }));
    }
}

#[tokio::test]
async fn http_flv_is_what_ffprobe_takes_for_flv() {
    let server = Server::plain().await;
    let _ffmpeg = push(&server.url("s"), "320x240", 20);
    let reader =
        server.hub.wait(&name("s"), Want::new(Protocol::HttpFlv, Pace::Audience, Start::Group), None).await.unwrap();
    let mut player = flv::Player::new(reader);
    let file = std::env::temp_dir().join(format!("media-flv-{}.flv", std::process::id()));
    let mut demuxer = flv::demux::Demuxer::default();
    let mut bytes = Vec::new();
    let mut pictures = 0;
    while pictures < 50 {
        let block = player.next().await.unwrap();
        demuxer.push(&block);
        bytes.extend_from_slice(&block);
        while let Some(frame) = demuxer.next_frame().unwrap() {
            pictures += u32::from(frame.kind == Kind::Video);
        }
    }
    assert_eq!(demuxer.tracks(), Some((true, true)));
    std::fs::write(&file, &bytes).unwrap();
    let seen = probe(file.to_str().unwrap()).await;
    std::fs::remove_file(&file).unwrap();
    assert!(seen.contains("h264,320,240") && seen.contains("aac,44100"), "{seen}");
}

#[tokio::test]
async fn a_second_publisher_and_a_forged_url_are_refused() {
    let server = Server::plain().await;
    let mut first = publish(&server, "s").await;
    assert_eq!(Publisher::connect(&server.target("s")).await.err(), Some(Ended::Busy));
    let refused = Some(Ended::Refused("NetStream.Publish.Denied".into()));
    assert_eq!(Publisher::connect(&server.target("t?forged=1")).await.err(), refused);
    let refused = Some(Ended::Refused("NetStream.Play.Failed".into()));
    assert_eq!(Player::connect(&server.target("s?forged=1")).await.err(), refused);
    assert_eq!(Player::connect(&server.target("nobody")).await.err(), Some(Ended::NotFound));
    // The first one is none the worse for it.
    let mut player = Player::connect(&server.target("s")).await.unwrap();
    first.send(&picture(40, false, 100)).await.unwrap();
    assert!(next_picture(&mut player).await.key);
    assert_eq!(next_picture(&mut player).await.dts, 40_000);
}

#[tokio::test]
async fn a_player_of_a_camera_that_is_off_has_black_pictures_and_a_node_is_told() {
    let server = Server::plain().await;
    let origin = Origin { protocol: Protocol::Whip, peer: server.address };
    let publisher = server.hub.publish(&name("s"), origin).unwrap();
    publisher.says_pictures(true);
    publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
    let sounds = async {
        for ms in (0..).step_by(20) {
            publisher.push(Frame::audio(Codec::Aac, ms * 1000, Bytes::from_static(b"aac"))).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            if ms == 2_000 {
                publisher.push(config()).unwrap();
                publisher.push(picture(ms, true, 7)).unwrap();
            }
        }
    };
    let played = async {
        let mut player = Player::connect(&server.target("s")).await.unwrap();
        let mut node = Player::connect(&server.target("s?node=1")).await.unwrap();
        let mut seen = Vec::new();
        // Up to the first picture behind the camera's configuration.
        let configs = |seen: &[(Kind, usize)]| seen.iter().filter(|one| one.0 == Kind::VideoConfig).count();
        while configs(&seen) < 2 || seen.last().is_some_and(|last| last.0 != Kind::Video) {
            let frame = player.next().await.unwrap().unwrap();
            if matches!(frame.kind, Kind::Video | Kind::VideoConfig) {
                seen.push((frame.kind, frame.payload.len()));
            }
        }
        assert_eq!(player.says_pictures(), None, "players are told nothing that they do not know");
        let (black, real) = seen.split_at(seen.len() - 2);
        assert_eq!((real[0], black[0].0), ((Kind::VideoConfig, config().payload.len()), Kind::VideoConfig));
        assert!(black.len() > 3 && black[1..].iter().all(|one| one.0 == Kind::Video && one.1 != 7), "{seen:?}");
        // A node makes them for its own viewers.
        let mut first = node.next().await.unwrap().unwrap();
        while first.kind == Kind::Data {
            first = node.next().await.unwrap().unwrap();
        }
        assert_eq!((node.says_pictures(), node.says_pictures()), (Some(true), None));
        assert!(!matches!(first.kind, Kind::Video | Kind::VideoConfig));
    };
    while_it_flows(sounds, played, Duration::from_secs(30)).await.expect("the camera is seen");
}

#[tokio::test]
async fn a_stream_without_a_keyframe_at_hand_is_heard_at_least() {
    let server = Server::plain().await;
    let origin = Origin { protocol: Protocol::Rtmp, peer: server.address };
    let publisher = server.hub.publish(&name("s"), origin).unwrap();
    publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
    publisher.push(config()).unwrap();
    let flows = async {
        for ms in (20..).step_by(20) {
            publisher.push(picture(ms, false, 7)).unwrap();
            publisher.push(Frame::audio(Codec::Aac, ms * 1000, Bytes::from_static(b"aac"))).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let heard = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut player = Player::connect(&server.target("s")).await.unwrap();
        let began = Instant::now();
        while player.next().await.unwrap().unwrap().kind != Kind::Audio {}
        assert!(began.elapsed() > Duration::from_secs(1), "a keyframe is waited for: {:?}", began.elapsed());
    };
    while_it_flows(flows, heard, Duration::from_secs(10)).await.expect("it is heard");
}

#[tokio::test]
async fn a_player_may_come_before_its_publisher() {
    let server = Server::plain().await;
    let target = server.target("s");
    let player = tokio::spawn(async move { Player::connect(&target).await });
    let _publisher = publish(&server, "s").await;
    assert!(next_picture(&mut player.await.unwrap().unwrap()).await.key);
}

#[tokio::test]
async fn a_publisher_that_reconnects_continues_and_one_that_finishes_does_not() {
    let server = Server::plain().await;
    let mut events = server.hub.events();
    let publisher = publish(&server, "s").await;
    let mut player = Player::connect(&server.target("s")).await.unwrap();
    assert_eq!(next_picture(&mut player).await.dts, 0);
    drop(publisher);
    assert!(matches!(events.recv().await.unwrap(), Event::Started { .. }));
    assert!(matches!(events.recv().await.unwrap(), Event::Paused { .. }));
    let mut publisher = publish(&server, "s").await;
    publisher.send(&picture(40, false, 100)).await.unwrap();
    let key = next_picture(&mut player).await;
    let delta = next_picture(&mut player).await;
    assert!(key.key && key.dts > 0 && delta.dts == key.dts + 40_000, "{key:?} {delta:?}");
    publisher.finish().await.unwrap();
    assert!(player.next().await.unwrap().is_none(), "the end is told");
    assert!(matches!(events.recv().await.unwrap(), Event::Resumed { .. }));
    assert!(matches!(events.recv().await.unwrap(), Event::Ended { reason: Ended::Finished, .. }));
}

#[tokio::test]
async fn kicks_and_shutdown_reach_both_sides() {
    let server = Server::plain().await;
    let mut publisher = publish(&server, "s").await;
    let mut player = Player::connect(&server.target("s")).await.unwrap();
    next_picture(&mut player).await;
    server.kick.kick("banned");
    while publisher.send(&picture(40, false, 100)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(player.next().await.unwrap().is_none());
    assert!(server.hub.is_empty());

    let mut waits = TcpStream::connect(server.address).await.unwrap();
    server.shutdown.cancel();
    server.task.await.unwrap();
    assert_eq!(waits.read(&mut [0; 16]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_player_that_does_not_read_is_dropped_and_the_others_see_nothing() {
    let limits = Limits { write_timeout: Duration::from_millis(200), send_buffer: 4096, ..Limits::default() };
    let server = Server::start(Settings { gop_bytes: 1 << 20, ..Settings::default() }, limits).await;
    let mut publisher = publish(&server, "s").await;
    let mut good = Player::connect(&server.target("s")).await.unwrap();
    let stuck = Player::connect(&server.target("s")).await.unwrap();
    let info = || server.hub.info(&name("s")).unwrap();
    assert_eq!(info().viewers(), 2);
    let mut ms = 0;
    // Every picture is read by the good one before the next is sent, until the stuck one is gone.
    while info().viewers() == 2 {
        ms += 40;
        publisher.send(&picture(ms, ms % 400 == 0, 400_000)).await.unwrap();
        loop {
            let frame = next_picture(&mut good).await;
            if frame.dts == ms * 1000 {
                break;
            }
        }
    }
    assert!(ms > 0);
    drop(stuck);
}

#[tokio::test]
async fn peers_that_misbehave_are_let_go_and_nobody_else_is() {
    let mut limits = Limits::default();
    limits.timeouts.handshake = Duration::from_millis(200);
    limits.timeouts.connect = Duration::from_millis(200);
    limits.timeouts.command = Duration::from_millis(200);
    let server = Server::start(Settings::default(), limits).await;
    let mut publisher = publish(&server, "s").await;
    let mut player = Player::connect(&server.target("s")).await.unwrap();
    next_picture(&mut player).await;

    let hello = [&[3][..], &[0; 2 * 1536]].concat();
    let oversized = [&hello[..], &[4, 0, 0, 0, 0xff, 0xff, 0xff, 9, 0, 0, 0, 0]].concat();
    let bomb = [b"\x02\0\x07connect".to_vec(), b"\x03\0\x01a".repeat(28)].concat();
    let bomb = [&hello[..], &[3, 0, 0, 0, 0, 0, bomb.len() as u8, 20, 0, 0, 0, 0], &bomb].concat();
    let cases: [&[u8]; 6] = [b"GET / HTTP/1.1\r\n\r\n", &[0; 5000], &[3; 700], &hello, &oversized, &bomb];
    for case in cases {
        let mut peer = TcpStream::connect(server.address).await.unwrap();
        // A server that has hung up already may refuse the rest.
        let _ = peer.write_all(case).await;
        // Whatever it answers, it closes.
        let _ = peer.read_to_end(&mut Vec::new()).await;
    }
    publisher.send(&picture(40, false, 100)).await.unwrap();
    assert_eq!(next_picture(&mut player).await.dts, 40_000);
}

#[tokio::test]
async fn a_picture_that_stands_still_ends_nothing() {
    let mut limits = Limits::default();
    limits.timeouts.idle_publisher = Duration::from_secs(1);
    limits.timeouts.answer = Duration::from_secs(1);
    let server = Server::start(Settings::default(), limits).await;
    let mut events = server.hub.events();
    let mut publisher = publish(&server, "s").await;
    let mut player = Player::connect(&server.target("s")).await.unwrap();
    let info = || server.hub.info(&name("s")).unwrap();
    let mut seen = false;
    // It sends nothing but answers to what it is asked.
    while !seen || info().silent < Duration::from_secs(4) {
        publisher.send_raw(Bytes::new()).await.unwrap();
        tokio::select! {
            picture = next_picture(&mut player) => seen = picture.key,
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
    assert!(info().unheard < Duration::from_secs(2), "it is known to be there: {:?}", info().unheard);
    publisher.send(&picture(4_000, false, 100)).await.unwrap();
    assert_eq!(next_picture(&mut player).await.dts, 4_000_000);
    assert!(matches!(events.recv().await.unwrap(), Event::Started { .. }));
    assert!(events.try_recv().is_err(), "nothing else happened");
    // An app that is frozen answers nothing, though the system takes for it what comes.
    assert!(matches!(events.recv().await.unwrap(), Event::Paused { .. }));
    assert!(info().silent > Duration::from_millis(1_500), "it was asked first: {:?}", info().silent);
}

#[tokio::test]
async fn connections_are_bounded_by_address_and_in_all() {
    for (per_address, connections) in [(2, 100), (100, 2)] {
        let mut limits = Limits { per_address, connections, ..Limits::default() };
        // So that a connection that is closed was not closed for its silence.
        limits.timeouts.handshake = Duration::from_secs(3600);
        let server = Server::start(Settings::default(), limits).await;
        let mut first = TcpStream::connect(server.address).await.unwrap();
        let _second = TcpStream::connect(server.address).await.unwrap();
        let mut third = TcpStream::connect(server.address).await.unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(30), third.read(&mut [0; 1])).await.unwrap();
        assert_eq!(closed.unwrap_or(0), 0);
        first.write_all(&[&[3][..], &[0; 1536]].concat()).await.unwrap();
        first.read_exact(&mut [0; 1 + 2 * 1536]).await.unwrap();
        // A place that is left is free again.
        drop(first);
        loop {
            let mut next = TcpStream::connect(server.address).await.unwrap();
            let _ = next.write_all(&[&[3][..], &[0; 1536]].concat()).await;
            if next.read_exact(&mut [0; 1 + 2 * 1536]).await.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_publisher_beyond_its_rate_is_ended() {
    let server = Server::start(Settings::default(), Limits { max_bitrate: 1_000_000, ..Limits::default() }).await;
    let mut events = server.hub.events();
    let mut publisher = publish(&server, "s").await;
    // 625,000 bytes are five seconds' worth.
    for i in 1..8 {
        if publisher.send(&picture(i * 40, false, 100_000)).await.is_err() {
            break;
        }
    }
    assert!(matches!(events.recv().await.unwrap(), Event::Started { .. }));
    assert!(matches!(events.recv().await.unwrap(), Event::Ended { reason: Ended::Limit("bitrate"), .. }));
}

#[tokio::test]
async fn the_hub_serves_a_stream_of_any_origin_over_rtmp() {
    let server = Server::plain().await;
    let origin = Origin { protocol: Protocol::Whip, peer: server.address };
    let publisher = server.hub.publish(&name("w"), origin).unwrap();
    publisher.push(Frame::config(Codec::Opus, 0, Bytes::from_static(b"OpusHead\x01\x02"))).unwrap();
    publisher.push(config()).unwrap();
    publisher.push(picture(0, true, 100)).unwrap();
    publisher.push(Frame::audio(Codec::Opus, 0, Bytes::from_static(b"opus"))).unwrap();
    let mut player = Player::connect(&server.target("w")).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let frame = player.next().await.unwrap().unwrap();
        if frame.kind != Kind::Data {
            seen.push((frame.codec, frame.kind));
        }
    }
    let want = [(Codec::H264, Kind::VideoConfig), (Codec::Opus, Kind::AudioConfig), (Codec::H264, Kind::Video)];
    assert_eq!(seen[..3], want);
    assert_eq!(seen[3], (Codec::Opus, Kind::Audio));
}
