//! Real H.265 over enhanced RTMP: what a publisher sends reaches RTMP players unchanged, and ffmpeg decodes it out of HLS.

use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use media::frame::{Codec, Frame, Kind};
use media::hls::{Hls, Reload, Wanted};
use media::hub::Settings;
use media::rendition::Renditions;
use media::request::{PlayOptions, PublishOptions, Request};
use media::rtmp::client::{Player, Publisher, Target};
use media::rtmp::{Limits, serve};
use media::{Hub, StreamName, request};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// Boxes of an MP4 file: kind and content.
fn boxes(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    while bytes.len() >= 8 {
        let size = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        found.push((&bytes[4..8], &bytes[8..size]));
        bytes = &bytes[size..];
    }
    found
}

/// Four seconds of a test picture, 10 a second, a key picture each second: hvcC, and each picture as it lies in a file.
async fn encoded() -> (Bytes, Vec<Bytes>) {
    let args = "-v error -f lavfi -i testsrc=size=192x128:rate=10 -frames:v 40 -pix_fmt yuv420p -c:v libx265 -preset ultrafast \
                -x265-params log-level=none:bframes=0:keyint=10:min-keyint=10:scenecut=0:repeat-headers=0:pools=1 -tag:v hvc1 \
                -movflags empty_moov+default_base_moof+frag_every_frame -f mp4 pipe:1";
    let made = Command::from(testkit::bounded::program("ffmpeg"))
        .args(args.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let boxes = boxes(&made.stdout);
    let moov = boxes.iter().find(|(kind, _)| *kind == b"moov").unwrap().1;
    let at = moov.windows(4).position(|w| w == b"hvcC").unwrap();
    let size = u32::from_be_bytes(moov[at - 4..at].try_into().unwrap()) as usize;
    let config = Bytes::copy_from_slice(&moov[at + 4..at - 4 + size]);
    let pictures = boxes.iter().filter(|(kind, _)| *kind == b"mdat").map(|(_, data)| Bytes::copy_from_slice(data));
    (config, pictures.collect())
}

#[tokio::test]
async fn h265_over_enhanced_rtmp_reaches_players_unchanged_and_is_decoded_out_of_hls() {
    let (config, pictures) = encoded().await;
    assert_eq!(pictures.len(), 40);
    let hub = Hub::new(Settings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("rtmp://{}/live/h", listener.local_addr().unwrap())).unwrap();
    let (requests, mut inbox) = request::channel(64, Duration::from_secs(5));
    tokio::spawn(async move {
        while let Some(request) = inbox.recv().await {
            match request {
                Request::Publish(ask) => ask.accept(PublishOptions::default()),
                Request::Play(ask) => ask.accept(PlayOptions::default()),
            }
        }
    });
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, hub.clone(), requests, Limits::default(), stop.clone()));
    let name = StreamName::new("h").unwrap();
    let hls = Hls::new(hub.clone(), Renditions::new(hub.clone()), media::hls::Settings::default());

    let mut publisher = Publisher::connect(&target).await.unwrap();
    publisher.send(&Frame::config(Codec::H265, 0, config.clone())).await.unwrap();
    let frame = |n: usize| Frame::video(Codec::H265, n as i64 * 100_000, 0, n.is_multiple_of(10), pictures[n].clone());
    publisher.send(&frame(0)).await.unwrap();
    let mut player = Player::connect(&target).await.unwrap();
    let playlist = tokio::spawn({
        let hls = hls.clone();
        let name = name.clone();
        async move { hls.playlist(&name, None, Reload::default(), "h", "").await }
    });
    while !hls.is_running(&name) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for n in 1..40 {
        publisher.send(&frame(n)).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 40 {
        let frame = player.next().await.unwrap().expect("the stream goes on");
        match frame.kind {
            Kind::VideoConfig => assert_eq!((frame.codec, &frame.payload), (Codec::H265, &config)),
            Kind::Video => seen.push(frame),
            _ => {}
        }
    }
    for (n, seen) in seen.iter().enumerate() {
        assert_eq!((seen.codec, seen.key, seen.dts), (Codec::H265, n.is_multiple_of(10), n as i64 * 100_000));
        // Before each key picture its parameter sets.
        let (mut sets, picture) = seen.payload.split_at(seen.payload.len() - pictures[n].len());
        assert_eq!(picture, pictures[n], "picture {n}");
        let mut kinds = Vec::new();
        while let Some((length, rest)) = sets.split_first_chunk::<4>() {
            kinds.push(rest[0] >> 1 & 0x3f);
            sets = &rest[u32::from_be_bytes(*length) as usize..];
        }
        assert_eq!(kinds, if seen.key { vec![32, 33, 34] } else { Vec::new() }, "picture {n}");
    }
    let video = hub.info(&name).unwrap().video.unwrap();
    assert_eq!((video.codec, video.width, video.height), (Codec::H265, 192, 128));

    // The first segments, with their init segment, as ffmpeg decodes them.
    let playlist = playlist.await.unwrap().unwrap();
    let file = |ending: &str| {
        let line = playlist.lines().find(|l| l.contains(ending)).unwrap_or_else(|| panic!("{ending}: {playlist}"));
        let file = line.rsplit("h/").next().unwrap().trim_end_matches('"');
        Wanted::parse(file).unwrap()
    };
    let mut whole = hls.file(&name, file(".init.mp4")).await.unwrap().to_vec();
    for segment in playlist.lines().filter(|l| !l.starts_with('#')) {
        let segment = Wanted::parse(segment.trim_start_matches("h/")).unwrap();
        whole.extend_from_slice(&hls.file(&name, segment).await.unwrap());
    }
    let path = std::env::temp_dir().join(format!("roomservice-hevc-{}.mp4", std::process::id()));
    std::fs::write(&path, &whole).unwrap();
    let mut decode = Command::from(testkit::bounded::program("ffmpeg"));
    let decoded = decode.args(["-v", "error", "-i"]).arg(&path).args(["-f", "framemd5", "-"]).output().await.unwrap();
    let _ = std::fs::remove_file(&path);
    assert_eq!(String::from_utf8_lossy(&decoded.stderr), "");
    let frames = String::from_utf8(decoded.stdout).unwrap();
    assert!(frames.contains("#dimensions 0: 192x128"), "{frames}");
    assert!(frames.lines().filter(|l| l.starts_with("0,")).count() >= 10, "{frames}");
    publisher.finish().await.unwrap();
    stop.cancel();
}
