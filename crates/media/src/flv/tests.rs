//! FLV blocks as players get them.

use std::time::Duration;

use super::demux::Demuxer;
use super::*;
use crate::ended::Ended;
use crate::frame::Codec;
use crate::hub::{Hub, Origin, Pace, Publisher, Settings, Start, Want};
use crate::name::{Protocol, StreamName};

fn stream(hub: &Hub) -> Publisher {
    let origin = Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() };
    hub.publish(&StreamName::new("s").unwrap(), origin).unwrap()
}

fn player(hub: &Hub, pace: Pace) -> Player {
    let name = StreamName::new("s").unwrap();
    Player::new(hub.subscribe(&name, Want::new(Protocol::HttpFlv, pace, Start::Group)).unwrap())
}

fn video(ms: i64, key: bool) -> Frame {
    Frame::video(Codec::H264, ms * 1000, 40_000, key, Bytes::from_static(b"nal"))
}

fn frames(demuxer: &mut Demuxer, bytes: &[u8]) -> Vec<(Kind, i64)> {
    demuxer.push(bytes);
    std::iter::from_fn(|| demuxer.next_frame().unwrap()).map(|f| (f.kind, f.dts / 1000)).collect()
}

#[test]
fn a_tag_byte_by_byte() {
    // Later than 24 bits of milliseconds: the highest byte stands apart.
    let ms = 0x0102_0304;
    let picture = Frame::video(Codec::H264, ms * 1000, 40_000, true, Bytes::from_static(b"nal"));
    let tag = frame(&picture, Span::default());
    let [wide, a, b, c] = (ms as u32).to_be_bytes();
    let mut want = vec![9, 0, 0, 8, a, b, c, wide, 0, 0, 0, 0x17, 1, 0, 0, 40];
    want.extend(b"nal");
    want.extend([0, 0, 0, 19]);
    assert_eq!(tag, want);
}

#[tokio::test(start_paused = true)]
async fn the_first_blocks_hold_all_a_player_needs() {
    let hub = Hub::new(Settings::default());
    let publisher = stream(&hub);
    publisher.push(Frame::data(0, Bytes::from_static(b"\x02\0\x0aonMetaData\x05"))).unwrap();
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(b"avcc"))).unwrap();
    publisher.push(video(0, true)).unwrap();
    publisher.push(video(2000, true)).unwrap();
    publisher.push(video(2040, false)).unwrap();
    for pace in [Pace::Audience, Pace::Realtime] {
        let mut player = player(&hub, pace);
        let mut demuxer = Demuxer::default();
        // At once: nothing winds the clock here.
        let mut at_once = async || tokio::time::timeout(Duration::ZERO, player.next()).await.unwrap().unwrap();
        let mut seen = frames(&mut demuxer, &at_once().await);
        seen.extend(frames(&mut demuxer, &at_once().await));
        assert_eq!(seen[..3], [(Kind::Data, 0), (Kind::VideoConfig, 2000), (Kind::Video, 2000)]);
        assert_eq!(demuxer.tracks(), Some((false, true)), "no sound is promised that does not come");
    }
}

#[tokio::test(start_paused = true)]
async fn sound_without_configuration_is_promised_too_and_the_end_is_the_end() {
    let hub = Hub::new(Settings::default());
    let publisher = stream(&hub);
    let mut player = player(&hub, Pace::Audience);
    let sound = |ms: i64| publisher.push(Frame::audio(Codec::Mp3, ms * 1000, Bytes::from_static(b"mp3"))).unwrap();
    sound(0);
    let mut demuxer = Demuxer::default();
    assert!(tokio::time::timeout(Duration::from_millis(900), player.next()).await.is_err(), "pictures may follow");
    tokio::time::sleep(Duration::from_millis(100)).await;
    sound(1_000);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(frames(&mut demuxer, &player.next().await.unwrap()));
    }
    assert_eq!(seen, [(Kind::Audio, 0), (Kind::Audio, 1_000)], "none of it is lost");
    assert_eq!(demuxer.tracks(), Some((true, false)));
    sound(1_026);
    publisher.finish(Ended::Finished);
    assert_eq!(frames(&mut demuxer, &player.next().await.unwrap()), [(Kind::Audio, 1_026)]);
    assert_eq!(player.next().await, None);
    assert_eq!(player.ended(), Some(Ended::Finished));
}

/// Sound every 20 ms, on the wound clock.
async fn sounds(publisher: &Publisher, ms: std::ops::Range<i64>) {
    for ms in ms.step_by(20) {
        publisher.push(Frame::audio(Codec::Aac, ms * 1000, Bytes::from_static(b"aac"))).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn pictures_that_come_behind_the_first_sound_are_promised_from_the_start() {
    // When pictures come after the first sound, in milliseconds.
    for late in [40, 500, 900] {
        for pace in [Pace::Audience, Pace::Realtime] {
            let hub = Hub::new(Settings::default());
            let publisher = stream(&hub);
            let player = tokio::spawn(watch(player(&hub, pace)));
            publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
            sounds(&publisher, 0..late).await;
            publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(b"avcc"))).unwrap();
            publisher.push(video(late, true)).unwrap();
            sounds(&publisher, late..2_000).await;
            publisher.finish(Ended::Finished);
            let (promised, seen) = player.await.unwrap();
            assert_eq!(promised, Some((true, true)), "{late} {pace:?}");
            let first = |kind| seen.iter().find(|(k, _)| *k == kind).unwrap().1;
            assert!(first(Kind::Video) == late && (late - 120..=late + 20).contains(&first(Kind::Audio)), "{seen:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sound_alone_waits_for_nothing_where_its_publisher_says_so() {
    for says in [true, false] {
        let hub = Hub::new(Settings::default());
        let publisher = stream(&hub);
        let mut player = player(&hub, Pace::Audience);
        if says {
            let mut said = BytesMut::new();
            let properties = Value::from([("audiocodecid", 10.0.into())]);
            [Value::from("onMetaData"), properties].iter().for_each(|value| value.write(&mut said));
            publisher.push(Frame::data(0, said.freeze())).unwrap();
        }
        let begun = tokio::time::Instant::now();
        let first = async { player.next().await.map(|_| begun.elapsed().as_millis()) };
        let (waited, ()) = tokio::join!(first, sounds(&publisher, 0..1_500));
        let wanted = if says { 0..=120 } else { 1_000..=1_120 };
        assert!(wanted.contains(&waited.unwrap()), "{says}: {waited:?}");
    }
}

/// All that a player gets: what, when in milliseconds, and how many bytes.
async fn everything(mut player: Player) -> (Option<(bool, bool)>, Vec<(Kind, i64, usize)>) {
    let mut demuxer = Demuxer::default();
    let mut seen = Vec::new();
    while let Some(block) = player.next().await {
        demuxer.push(&block);
        while let Some(f) = demuxer.next_frame().unwrap() {
            seen.push((f.kind, f.dts / 1000, f.payload.len()));
        }
    }
    (demuxer.tracks(), seen)
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_is_off_is_black_until_it_is_on() {
    // Whether pictures were announced, or may come at any time because the publisher says so.
    for announced in [true, false] {
        let hub = Hub::new(Settings::default());
        let publisher = stream(&hub);
        if announced {
            publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(b"early"))).unwrap();
        } else {
            publisher.says_pictures(true);
        }
        let early = tokio::spawn(everything(player(&hub, Pace::Audience)));
        let in_page = tokio::spawn(everything(player(&hub, Pace::Audience).strictly(true)));
        publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
        sounds(&publisher, 0..3_000).await;
        let late = tokio::spawn(everything(player(&hub, Pace::Realtime)));
        sounds(&publisher, 3_000..6_000).await;
        publisher.push(video(6_000, false)).unwrap();
        publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(b"avcc"))).unwrap();
        sounds(&publisher, 6_000..6_100).await;
        publisher.push(video(6_100, true)).unwrap();
        publisher.push(video(6_140, false)).unwrap();
        sounds(&publisher, 6_100..7_000).await;
        publisher.finish(Ended::Finished);
        for (player, from, is_page) in [(early, 0, false), (in_page, 0, true), (late, 3_000, false)] {
            let (promised, seen) = player.await.unwrap();
            assert_eq!(promised, Some((true, true)), "{announced} {from}");
            let of = |kind| seen.iter().filter(move |(k, _, _)| *k == kind);
            let pictures: Vec<_> = of(Kind::Video).map(|(_, at, size)| (*at, *size > 3)).collect();
            let mut black: Vec<i64> = pictures.iter().filter(|(_, black)| *black).map(|(at, _)| *at).collect();
            // What browsers' players decode with the next configuration, and what of that can be left out.
            let mut sizes: Vec<usize> = of(Kind::Video).map(|(_, _, size)| *size).filter(|size| *size > 3).collect();
            if is_page {
                let again = black.pop();
                assert!(sizes.pop().is_some_and(|size| size < 100), "{sizes:?}");
                assert_eq!(again, black.last().map(|last| last + 1));
            }
            assert!(sizes.iter().enumerate().all(|(n, size)| (*size > 100) == (n % 2 == 0)), "{sizes:?}");
            assert_eq!(sizes.len() % 2, 0, "the last one leans on a keyframe");
            let in_turns = black.windows(2).position(|two| two[1] - two[0] != 120).map_or(&black[..], |n| &black[..=n]);
            assert!(black.len() - in_turns.len() <= 1, "{black:?}");
            let black = in_turns;
            // The first second of sound alone waits for pictures that were announced.
            let begun = if announced && from == 0 { 1_000 } else { from };
            assert!((begun - 200..=begun + 200).contains(&black[0]), "{announced} {from}: {pictures:?}");
            assert!(black.windows(2).all(|two| two[1] - two[0] == 120) && *black.last().unwrap() > 5_700, "{black:?}");
            let real: Vec<i64> = pictures.iter().filter(|(_, black)| !*black).map(|(at, _)| *at).collect();
            assert_eq!(real, [6_100, 6_140], "what cannot be decoded is left out");
            // Each has its configuration before it.
            let configs: Vec<usize> = of(Kind::VideoConfig).map(|(_, _, size)| *size).collect();
            assert_eq!((configs.len(), configs[1]), (2, 4), "{announced} {from}");
            let at = |wanted: (Kind, i64)| seen.iter().position(|(k, at, _)| (*k, *at) == wanted).unwrap();
            assert_eq!(seen[at((Kind::Video, 6_100)) - 1].0, Kind::VideoConfig);
            assert!(of(Kind::Audio).count() as i64 >= (7_000 - begun) / 20 - 10, "{announced} {from}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_shown_the_last_picture_once_more_before_another_size() {
    for strict in [true, false] {
        let hub = Hub::new(Settings::default());
        let publisher = stream(&hub);
        let watching = tokio::spawn(everything(player(&hub, Pace::Audience).strictly(strict)));
        publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
        publisher.push(Frame::config(Codec::Av1, 0, Bytes::from_static(b"small"))).unwrap();
        for at in (0..1_000).step_by(40) {
            if at == 520 {
                publisher.push(Frame::config(Codec::Av1, 0, Bytes::from_static(b"large one"))).unwrap();
            }
            let picture = Frame::video(Codec::Av1, at * 1_000, 0, at % 520 == 0, Bytes::from_static(b"obu"));
            publisher.push(picture).unwrap();
            sounds(&publisher, at..at + 40).await;
        }
        publisher.finish(Ended::Finished);
        let (_, seen) = watching.await.unwrap();
        let is_picture = |(kind, _, _): &&(Kind, i64, usize)| matches!(kind, Kind::Video | Kind::VideoConfig);
        let pictures: Vec<_> = seen.iter().filter(is_picture).map(|(kind, at, _)| (*kind, *at)).collect();
        let config = pictures.iter().rposition(|(kind, _)| *kind == Kind::VideoConfig).unwrap();
        let before: &[i64] = if strict { &[480, 481] } else { &[440, 480] };
        let shown: Vec<i64> = pictures[config - before.len()..config].iter().map(|(_, at)| *at).collect();
        assert_eq!(shown, before, "{strict}");
        assert_eq!(pictures[config + 1], (Kind::Video, 520), "{strict}");
        assert_eq!(pictures.len(), 27 + usize::from(strict), "{strict}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_size_comes_to_a_page_with_nothing_before_it_that_is_read_with_it() {
    let hub = Hub::new(Settings::default());
    let publisher = stream(&hub);
    let mut player = player(&hub, Pace::Audience).strictly(true);
    let reading = tokio::spawn(async move {
        let mut demuxer = Demuxer::default();
        let mut blocks = Vec::new();
        while let Some(block) = player.next().await {
            let seen = frames(&mut demuxer, &block);
            let is_of_pictures = |(kind, _): &(Kind, i64)| matches!(kind, Kind::Video | Kind::VideoConfig);
            blocks.push((tokio::time::Instant::now(), seen.into_iter().filter(is_of_pictures).collect::<Vec<_>>()));
        }
        blocks
    });
    publisher.push(Frame::config(Codec::Av1, 0, Bytes::from_static(b"small"))).unwrap();
    for at in (0..1_000).step_by(40) {
        // What a keyframe is right before is the worst.
        if at == 520 {
            publisher.push(Frame::config(Codec::Av1, 0, Bytes::from_static(b"large one"))).unwrap();
        }
        let is_key = at == 0 || at == 480 || at == 520;
        publisher.push(Frame::video(Codec::Av1, at * 1_000, 0, is_key, Bytes::from_static(b"obu"))).unwrap();
        tokio::time::sleep(Duration::from_millis(if at == 480 { 0 } else { 40 })).await;
    }
    publisher.finish(Ended::Finished);
    let blocks = reading.await.unwrap();
    let config = blocks.iter().rposition(|(_, seen)| seen.iter().any(|one| one.0 == Kind::VideoConfig)).unwrap();
    let (read, seen) = &blocks[config];
    assert_eq!(seen[0].0, Kind::VideoConfig);
    let (before, _) = blocks[..config].iter().rfind(|(_, seen)| !seen.is_empty()).unwrap();
    assert!(*read - *before >= Duration::from_millis(60), "{:?}", *read - *before);
}

#[tokio::test(start_paused = true)]
async fn a_track_that_was_not_promised_comes_to_programs_and_not_to_players_in_browsers() {
    for strict in [true, false] {
        let hub = Hub::new(Settings::default());
        let publisher = stream(&hub);
        publisher.says_pictures(false);
        let watching = tokio::spawn(everything(player(&hub, Pace::Audience).strictly(strict)));
        publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
        sounds(&publisher, 0..2_000).await;
        publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(b"avcc"))).unwrap();
        publisher.push(video(2_000, true)).unwrap();
        sounds(&publisher, 2_000..3_000).await;
        publisher.finish(Ended::Finished);
        let (promised, seen) = watching.await.unwrap();
        assert_eq!(promised, Some((true, false)));
        assert_eq!(seen.iter().any(|(kind, _, _)| *kind == Kind::Video), !strict);
        assert_eq!(seen.iter().filter(|(kind, _, _)| *kind == Kind::Audio).count(), 150);
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_hevc_by_its_old_number_is_given_it() {
    let hub = Hub::new(Settings::default());
    let publisher = stream(&hub);
    let mut said = BytesMut::new();
    let named = Value::from([("videocodecid", f64::from(u32::from_be_bytes(*b"hvc1")).into())]);
    [Value::from("onMetaData"), named].iter().for_each(|value| value.write(&mut said));
    publisher.push(Frame::data(0, said.freeze())).unwrap();
    publisher.push(Frame::config(Codec::H265, 0, Bytes::from_static(b"hvcc"))).unwrap();
    publisher.push(Frame::video(Codec::H265, 0, 0, true, Bytes::from_static(b"nal"))).unwrap();
    for (form, config, picture) in [
        (Form::Enhanced, &b"\x90hvc1hvcc"[..], &b"\x93hvc1nal"[..]),
        (Form::OldHevc, &b"\x1c\0\0\0\0hvcc"[..], &b"\x1c\x01\0\0\0nal"[..]),
    ] {
        let mut player = player(&hub, Pace::Audience).in_form(form);
        let mut bytes = Vec::new();
        for _ in 0..2 {
            bytes.extend_from_slice(&player.next().await.unwrap());
        }
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(has(config) && has(picture), "{form:?}: {bytes:x?}");
        let mut number = BytesMut::new();
        Value::from(12.0).write(&mut number);
        assert_eq!(has(&number), form == Form::OldHevc);
    }
}

#[tokio::test(start_paused = true)]
async fn viewers_share_one_block() {
    let hub = Hub::new(Settings::default());
    let publisher = stream(&hub);
    publisher.push(video(0, true)).unwrap();
    let mut a = player(&hub, Pace::Audience);
    let mut b = player(&hub, Pace::Audience);
    for player in [&mut a, &mut b] {
        player.next().await.unwrap();
        player.next().await.unwrap();
    }
    publisher.push(video(40, false)).unwrap();
    let a = a.next().await.unwrap();
    let b = b.next().await.unwrap();
    assert_eq!(a.as_ptr(), b.as_ptr());
}

#[tokio::test(start_paused = true)]
async fn a_player_of_an_old_stream_counts_from_where_it_began() {
    const DAY: i64 = 86_400_000;
    let hub = Hub::new(Settings::default());
    let origin = Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() };
    let publisher = hub.publish_beside(&StreamName::new("s").unwrap(), origin).unwrap();
    let publish = |day: i64| {
        publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(b"avcc"))).unwrap();
        publisher.push(video(day * DAY, true)).unwrap();
        publisher.push(video(day * DAY + 40, false)).unwrap();
    };
    // 24.8 days are 2^31 milliseconds.
    publish(24);
    for pace in [Pace::Realtime, Pace::Audience] {
        let mut player = player(&hub, pace);
        let mut demuxer = Demuxer::default();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.extend(frames(&mut demuxer, &player.next().await.unwrap()));
        }
        let began = seen[1].1;
        assert!(began < 4 * DAY && seen[0] == (Kind::VideoConfig, began) && seen[2] == (Kind::Video, began + 40));
    }
    let mut player = player(&hub, Pace::Audience);
    let mut demuxer = Demuxer::default();
    let first = frames(&mut demuxer, &player.next().await.unwrap());
    let first = first.last().copied().unwrap().1;
    tokio::time::advance(Duration::from_secs(10 * 86_400)).await;
    publish(34);
    let mut seen = Vec::new();
    while !seen.iter().any(|(_, at)| *at >= first + 10 * DAY) {
        seen.extend(frames(&mut demuxer, &player.next().await.unwrap()));
    }
    assert!(seen.contains(&(Kind::Video, first + 10 * DAY)), "its time goes on: {seen:?}");
}

#[test]
fn what_is_no_flv_is_refused_and_long_tags_too() {
    let mut demuxer = Demuxer::default();
    demuxer.push(b"<html>, certainly not");
    assert!(demuxer.next_frame().is_err());
    let mut demuxer = Demuxer::default();
    demuxer.push(&header(true, true));
    demuxer.push(&[9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(demuxer.next_frame().unwrap_err(), Ended::Limit("FLV tag length"));
}

/// Pushes pictures at 25 a second with a keyframe a second, on the wound clock.
async fn pictures(publisher: &Publisher, ms: std::ops::Range<i64>) {
    for ms in ms.step_by(40) {
        publisher.push(video(ms, ms % 1000 == 0)).unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// What a player is promised, and all that it gets.
async fn watch(mut player: Player) -> (Option<(bool, bool)>, Vec<(Kind, i64)>) {
    let mut demuxer = Demuxer::default();
    let mut seen = Vec::new();
    while let Some(block) = player.next().await {
        seen.extend(frames(&mut demuxer, &block));
    }
    (demuxer.tracks(), seen)
}

#[tokio::test(start_paused = true)]
async fn sound_that_was_announced_and_never_came_is_not_promised_to_who_comes_late_and_is_silence_for_who_was_there() {
    let hub = Hub::new(Settings::default());
    let publisher = stream(&hub);
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(b"avcc"))).unwrap();
    publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
    pictures(&publisher, 0..2_000).await;
    let early = tokio::spawn(watch(player(&hub, Pace::Audience)));
    pictures(&publisher, 2_000..8_000).await;
    let late = tokio::spawn(watch(player(&hub, Pace::Audience)));
    pictures(&publisher, 8_000..10_000).await;
    publisher.finish(Ended::Finished);
    let (promised, seen) = early.await.unwrap();
    let (promised_late, seen_late) = late.await.unwrap();
    assert_eq!((promised, promised_late), (Some((true, true)), Some((false, true))));
    let silence: Vec<i64> = seen.iter().filter(|(kind, _)| *kind == Kind::Audio).map(|(_, at)| *at).collect();
    assert!(silence.windows(2).all(|two| two[1] - two[0] <= 22) && *silence.last().unwrap() > 9_800, "{silence:?}");
    assert!(!seen_late.iter().any(|(kind, _)| matches!(kind, Kind::Audio | Kind::AudioConfig)));
    assert!(seen_late.iter().filter(|(kind, _)| *kind == Kind::Video).count() >= 49);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_comes_back_without_sound_has_none() {
    let hub = Hub::new(Settings::default());
    let publisher = stream(&hub);
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(b"avcc"))).unwrap();
    publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
    publisher.push(Frame::audio(Codec::Aac, 0, Bytes::from_static(b"aac"))).unwrap();
    pictures(&publisher, 0..2_000).await;
    drop(publisher);
    let publisher = stream(&hub);
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(b"avcc"))).unwrap();
    pictures(&publisher, 2_000..4_000).await;
    assert!(hub.info(&StreamName::new("s").unwrap()).unwrap().audio.is_none());
    let mut player = player(&hub, Pace::Audience);
    let mut demuxer = Demuxer::default();
    frames(&mut demuxer, &player.next().await.unwrap());
    assert_eq!(demuxer.tracks(), Some((false, true)));
}

#[test]
fn a_description_names_what_flows_only() {
    let named: [(&str, Value); 4] =
        [("width", 160.0.into()), ("audiocodecid", 10.0.into()), ("stereo", true.into()), ("encoder", "x".into())];
    let mut payload = BytesMut::new();
    Value::from("onMetaData").write(&mut payload);
    Value::from(named).write(&mut payload);
    let metadata = Arc::new(Frame::data(0, payload.freeze()));
    let said = |video, audio| {
        let said = describe(&metadata, Flowing { video, audio }).unwrap();
        assert!(said.is_metadata());
        let Value::Object(said) = amf0::read_all(&said.payload).unwrap().remove(1) else { panic!("an object") };
        said.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(said(true, false), "width encoder");
    assert_eq!(said(false, true), "audiocodecid stereo encoder");
}

#[test]
fn a_stream_without_a_description_gets_one() {
    let avcc = b"\x01\x42\xc0\x1e\xff\xe1\0\x09\x67\x42\xc0\x1e\xda\x02\x80\xbf\xe5\x01\0\x04\x68\xce\x3c\x80";
    let config =
        |codec, payload: &'static [u8]| Some(Arc::new(Frame::config(codec, 7_000, Bytes::from_static(payload))));
    let said = |tracks: Tracks, video, audio| {
        let said = description(&tracks, Flowing { video, audio })?;
        assert!(said.is_metadata());
        let Value::Object(said) = amf0::read_all(&said.payload).unwrap().remove(1) else { panic!("an object") };
        Some(said)
    };
    let number = |said: &[(String, Value)], name: &str| {
        said.iter()
            .find(|(n, _)| n == name)
            .and_then(|(_, value)| if let Value::Number(n) = value { Some(*n) } else { None })
    };
    let both = Tracks { video: config(Codec::H264, avcc), audio: config(Codec::Aac, b"\x11\x90"), ..Tracks::default() };
    let all = said(both.clone(), true, true).unwrap();
    assert_eq!((number(&all, "videocodecid"), number(&all, "audiocodecid")), (Some(7.0), Some(10.0)));
    assert!(number(&all, "width").is_some_and(|width| width > 0.0), "{all:?}");
    assert!(
        number(&said(both.clone(), true, false).unwrap(), "audiocodecid").is_none(),
        "what does not flow is not named"
    );
    assert!(said(both, false, false).is_none());
    let new = Tracks { audio: config(Codec::Opus, b"OpusHead\x01\x02\0\0\x80\xbb\0\0\0\0\0"), ..Tracks::default() };
    let opus = f64::from(u32::from_be_bytes(*b"Opus"));
    assert_eq!(number(&said(new, true, true).unwrap(), "audiocodecid"), Some(opus));
}
