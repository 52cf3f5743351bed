//! Two servers in this process on one real Redis: a stream is one stream, wherever its publisher is.

use std::time::{Duration, Instant};

use bytes::Bytes;
use media::hub::Origin;
use media::rtmp::client::{Player, Publisher, Target};
use media::{Codec, Frame, Kind};

use crate::start::Server;
use media::Ended;
use media::{Protocol, StreamName};
use room::StreamId;
use sign::Secret;
use streams::live::{Base, Scheme};
use testkit::RedisServer;

const NAME: &str = "1000_r_alice";

async fn server(redis: &RedisServer) -> Server {
    server_with(redis, |_| {}).await
}

async fn server_with(redis: &RedisServer, change: impl FnOnce(&mut crate::config::Settings)) -> Server {
    let mut settings = crate::config::Settings::default();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    settings.http.listen = any;
    settings.rtmp.listen = any;
    settings.webrtc.enabled = false;
    settings.store.kind = store::Place::Redis;
    settings.store.redis = Secret::new(format!("redis://127.0.0.1:{}/0", redis.port));
    for secret in [&mut settings.sessions.secret, &mut settings.live.push_secret_key, &mut settings.im.secret_key] {
        *secret = Secret::new("the same at all nodes");
    }
    settings.im.sdk_app_id = 1_400_000_000;
    settings.logs.level = "error".into();
    settings.data_dir = std::env::temp_dir().join(format!("roomservice-nodes-{:016x}", sign::fresh_id()));
    change(&mut settings);
    Server::start(settings).await.unwrap()
}

/// The push URL at this server; who may push may also play.
fn url(server: &Server) -> Target {
    let base = Base { scheme: Scheme::Http, authority: "127.0.0.1" };
    let app = &server.app;
    Target::parse(&app.urls.push(&base, &StreamId::parse(NAME).unwrap(), app.clock.now())).unwrap()
}

async fn publish(to: &Server) -> Result<Publisher, Ended> {
    publish_at(&url(to)).await
}

async fn publish_at(url: &Target) -> Result<Publisher, Ended> {
    let mut publisher = Publisher::connect(url).await?;
    let avcc = b"\x01\x42\xe0\x1f\xff\xe1\x00\x04\x67\x42\xe0\x1f\x01\x00\x03\x68\xce\x3c";
    publisher.send(&Frame::config(Codec::H264, 0, Bytes::from_static(avcc))).await?;
    publisher.send(&Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x12, 0x10]))).await?;
    Ok(publisher)
}

async fn picture(publisher: &mut Publisher, n: i64) {
    let payload = Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]);
    publisher.send(&Frame::video(Codec::H264, n * 40_000, 0, true, payload)).await.unwrap();
}

/// Pushes until every player has got so many more pictures.
async fn push(publisher: &mut Publisher, players: &mut [&mut Player], pictures: usize) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let pushed = async {
        for n in 0.. {
            tick.tick().await;
            picture(publisher, n).await;
        }
    };
    let played = futures_util::future::join_all(players.iter_mut().map(|player| async move {
        let mut seen = 0;
        while seen < pictures {
            let frame = player.next().await.unwrap().expect("the stream goes on");
            seen += usize::from(frame.kind == Kind::Video);
        }
    }));
    let within = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::select! {
            () = pushed => {}
            _ = played => {}
        }
    });
    within.await.expect("pictures");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_moves_with_its_publisher_and_its_players_stay() {
    let redis = RedisServer::start(&[]);
    let a = server(&redis).await;
    let b = server(&redis).await;
    let mut first = publish(&a).await.unwrap();
    let mut at_a = Player::connect(&url(&a)).await.unwrap();
    let begun = Instant::now();
    let (mut at_b, ()) = tokio::join!(async { Player::connect(&url(&b)).await.unwrap() }, async {
        for n in 0..20 {
            picture(&mut first, n).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(10));
    push(&mut first, &mut [&mut at_a, &mut at_b], 10).await;
    let name = StreamName::new(NAME).unwrap();
    let info = |server: &Server| server.app.hub.info(&name).unwrap();
    assert_eq!((info(&a).protocol, info(&b).protocol), (Protocol::Rtmp, Protocol::Relay));
    assert_eq!((info(&a).viewers(), info(&b).viewers()), (1, 1), "a node is no viewer");
    assert!(matches!(publish(&b).await, Err(Ended::Busy)), "there is one publisher, wherever");

    // It is cut off, and comes back to the other node. Encoders try again and again.
    drop(first);
    let mut second = loop {
        assert!(begun.elapsed() < Duration::from_secs(20), "let in elsewhere");
        match publish(&b).await {
            Ok(publisher) => break publisher,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    push(&mut second, &mut [&mut at_b], 10).await;
    assert_eq!(info(&b).protocol, Protocol::Rtmp);
    while info(&a).protocol != Protocol::Relay {
        assert!(begun.elapsed() < Duration::from_secs(40), "now the first one pulls");
        push(&mut second, &mut [&mut at_b], 5).await;
    }
    // More than waited unread since before.
    push(&mut second, &mut [&mut at_a, &mut at_b], 80).await;

    // An operator ends it at the node that only pulls it: that is the end everywhere.
    assert!(a.app.live.stop(&StreamId::parse(NAME).unwrap(), None).await.unwrap());
    for player in [&mut at_a, &mut at_b] {
        let end = async { while let Ok(Some(_)) = player.next().await {} };
        tokio::time::timeout(Duration::from_secs(20), end).await.expect("the end");
    }
    assert!(!a.app.live.stop(&StreamId::parse(NAME).unwrap(), None).await.unwrap());
    for server in [a, b] {
        let dir = server.app.settings.data_dir.clone();
        server.stop().await;
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// A page whose camera is off says that it has pictures. Who plays it at another node sees black until it has.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_may_come_at_any_time_may_at_other_nodes_too() {
    let redis = RedisServer::start(&[]);
    let a = server(&redis).await;
    let b = server(&redis).await;
    let name = StreamName::new(NAME).unwrap();
    a.app.nodes.as_ref().unwrap().claim(&name).await.unwrap();
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let publisher = a.app.hub.publish(&name, Origin { protocol: Protocol::Whip, peer }).unwrap();
    publisher.says_pictures(true);
    publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x12, 0x10]))).unwrap();
    let sounds = async {
        for ms in (0..20_000).step_by(20) {
            publisher.push(Frame::audio(Codec::Aac, ms * 1000, Bytes::from_static(b"aac"))).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let played = async {
        let mut player = Player::connect(&url(&b)).await.unwrap();
        assert_eq!(b.app.hub.info(&name).unwrap().protocol, Protocol::Relay);
        loop {
            let frame = player.next().await.unwrap().expect("the stream goes on");
            if frame.kind == Kind::Video {
                break;
            }
        }
    };
    tokio::select! {
        () = sounds => panic!("no picture came"),
        () = played => {}
    }
    for server in [a, b] {
        let dir = server.app.settings.data_dir.clone();
        server.stop().await;
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// A push URL may ask for a recording. The node that the publisher is at makes it, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_a_push_url_asks_for_is_made_where_it_is_pushed_to() {
    let redis = RedisServer::start(&[]);
    let records = |settings: &mut crate::config::Settings| settings.record.enabled = true;
    let a = server_with(&redis, records).await;
    let b = server_with(&redis, records).await;
    let recorded = |server: &Server| server.app.recorder.as_ref().unwrap().list();
    let asking = |server: &Server| {
        let plain = url(server);
        Target { stream: format!("{}&record=1", plain.stream), ..plain }
    };
    let mut first = publish_at(&asking(&a)).await.unwrap();
    let mut at_a = Player::connect(&url(&a)).await.unwrap();
    push(&mut first, &mut [&mut at_a], 10).await;
    let played = url(&b);
    let pushed = async {
        for n in 1_000.. {
            picture(&mut first, n).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut at_b = tokio::select! {
        player = Player::connect(&played) => player.unwrap(),
        () = pushed => panic!("pushing has no end"),
    };
    push(&mut first, &mut [&mut at_a, &mut at_b], 10).await;
    assert!(recorded(&a).iter().any(|recording| recording.running));
    // One who is refused has nothing recorded.
    assert!(matches!(publish_at(&asking(&b)).await, Err(Ended::Busy)));
    push(&mut first, &mut [&mut at_a, &mut at_b], 50).await;
    assert_eq!((recorded(&b).len(), b.app.recorder.as_ref().unwrap().empty().len()), (0, 0));

    // It moves on, and has viewers at the first node: the recording goes with it.
    drop(first);
    let begun = Instant::now();
    let mut second = loop {
        assert!(begun.elapsed() < Duration::from_secs(20), "let in elsewhere");
        match publish_at(&asking(&b)).await {
            Ok(publisher) => break publisher,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    while recorded(&a).iter().any(|recording| recording.running) || !recorded(&b).iter().any(|one| one.running) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?} {:?}", recorded(&a), recorded(&b));
        push(&mut second, &mut [&mut at_b], 5).await;
    }
    push(&mut second, &mut [&mut at_a, &mut at_b], 80).await;
    assert_eq!((recorded(&a).len(), recorded(&b).len()), (1, 1), "one of each part");
    for server in [a, b] {
        let dir = server.app.settings.data_dir.clone();
        server.stop().await;
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// A proxy in front of a node, which says whom it brings. Its address.
async fn proxy(to: std::net::SocketAddr) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                use tokio::io::AsyncWriteExt;
                let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
                server.write_all(b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 1935\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_reach_each_other_where_clients_come_by_a_proxy() {
    let redis = RedisServer::start(&[]);
    let behind = |settings: &mut crate::config::Settings| {
        settings.rtmp.proxy_protocol = true;
        assert!(settings.problems().iter().any(|problem| problem.contains("nodes.listen")), "it says what is missing");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        settings.nodes.listen = free.to_string();
        assert!(settings.problems().is_empty(), "{:?}", settings.problems());
    };
    let a = server_with(&redis, behind).await;
    let b = server_with(&redis, behind).await;
    let by_proxy = async |server: &Server| Target { address: proxy(server.rtmp.unwrap()).await, ..url(server) };
    let mut publisher = Publisher::connect(&by_proxy(&a).await).await.unwrap();
    let avcc = b"\x01\x42\xe0\x1f\xff\xe1\x00\x04\x67\x42\xe0\x1f\x01\x00\x03\x68\xce\x3c";
    publisher.send(&Frame::config(Codec::H264, 0, Bytes::from_static(avcc))).await.unwrap();
    let at_b = by_proxy(&b).await;
    let (player, ()) = tokio::join!(Player::connect(&at_b), async {
        for n in 0..20 {
            picture(&mut publisher, n).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    push(&mut publisher, &mut [&mut player.unwrap()], 10).await;
    // Where clients come in, nobody does without a proxy; where nodes do, URLs are looked at all the same.
    assert!(Player::connect(&url(&b)).await.is_err());
    let nodes_door = Target { address: b.app.settings.nodes.listen.clone(), ..url(&b) };
    let unsigned = Target { stream: NAME.into(), ..nodes_door };
    assert!(matches!(Player::connect(&unsigned).await, Err(Ended::Refused(_))));
    for server in [a, b] {
        let dir = server.app.settings.data_dir.clone();
        server.stop().await;
        let _ = std::fs::remove_dir_all(dir);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn further_tracks_of_sound_go_from_node_to_node_for_who_asks() {
    let redis = RedisServer::start(&[]);
    let a = server(&redis).await;
    let b = server(&redis).await;
    let mut publisher = publish(&a).await.unwrap();
    let push = async {
        for n in 0.. {
            for track in [0, 2] {
                if n == 0 {
                    let config = Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90])).of_track(track);
                    publisher.send(&config).await.unwrap();
                }
                let sound = Frame::audio(Codec::Aac, n * 40_000, Bytes::from_static(b"sound")).of_track(track);
                publisher.send(&sound).await.unwrap();
            }
            picture(&mut publisher, n).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all = Target { stream: format!("{}&multitrack=1", url(&b).stream), ..url(&b) };
    // The configurations that come first, and twenty frames of sound.
    let tracks = async |target: &Target| {
        let mut player = Player::connect(target).await.unwrap();
        let mut seen = Vec::new();
        while seen.iter().filter(|(kind, _)| *kind == Kind::Audio).count() < 20 {
            let frame = player.next().await.unwrap().expect("the stream goes on");
            if matches!(frame.kind, Kind::Audio | Kind::AudioConfig) {
                seen.push((frame.kind, frame.track));
            }
        }
        seen
    };
    let play = async {
        let plain = tracks(&url(&b)).await;
        assert!(plain.iter().all(|(_, track)| *track == 0), "{plain:?}");
        let both = tracks(&all).await;
        assert!([Kind::AudioConfig, Kind::Audio].iter().all(|kind| both.contains(&(*kind, 2))), "{both:?}");
    };
    tokio::select! {
        () = push => {}
        played = tokio::time::timeout(Duration::from_secs(20), play) => played.expect("sound"),
    }
}
