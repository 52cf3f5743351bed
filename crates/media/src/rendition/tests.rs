//! Streams whose audio changes under those who read them.

use std::net::Ipv4Addr;

use bytes::Bytes;

use super::*;
use crate::audio::{AacEncoder, Encode, OpusEncoder, opus_head};
use crate::hub::Settings;
use crate::name::Protocol;

const PICTURE: &[u8] = &[0, 0, 0, 2, 0x65, 1];
const AVCC: &[u8] = b"\x01\x42\xe0\x1f\xff\xe1\x00\x04\x67\x42\xe0\x1f\x01\x00\x03\x68\xce\x3c";

/// Publishes `seconds` with a key picture each half second, in audio of a codec.
fn publish(hub: &Hub, name: &StreamName, codec: Codec, seconds: i64) -> Publisher {
    let origin = Origin { protocol: Protocol::Rtmp, peer: (Ipv4Addr::LOCALHOST, 1).into() };
    let publisher = hub.publish(name, origin).unwrap();
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(AVCC))).unwrap();
    let mut aac = AacEncoder::new(1).unwrap();
    let mut opus = OpusEncoder::new(1).unwrap();
    let (encoder, config, length): (&mut dyn Encode, _, _) = match codec {
        Codec::Aac => {
            let config = aac.config();
            (&mut aac, config, 1024)
        }
        _ => (&mut opus, opus_head(1), 960),
    };
    publisher.push(Frame::config(codec, 0, config)).unwrap();
    let mut pictures = 0;
    for n in 0..seconds * 48_000 / length {
        let at = n * length * 1_000_000 / 48_000;
        if at >= pictures * 500_000 / 3 {
            let is_key = pictures % 3 == 0;
            publisher.push(Frame::video(Codec::H264, at, 0, is_key, Bytes::from_static(PICTURE))).unwrap();
            pictures += 1;
        }
        let unit = encoder.encode(&vec![0.1; length as usize]).unwrap();
        publisher.push(Frame::audio(codec, at, unit)).unwrap();
    }
    publisher
}

/// Reads until `enough`: codec and time of everything that came.
async fn read(reader: &mut Reader, enough: impl Fn(&[(Kind, Codec, i64)]) -> bool) -> Vec<(Kind, Codec, i64)> {
    let mut seen = Vec::new();
    let reading = async {
        while !enough(&seen) {
            let mut frames = Vec::new();
            flatten(reader.next().await.expect("the stream goes on"), &mut frames);
            seen.extend(frames.iter().map(|f| (f.kind, f.codec, f.dts)));
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reading).await;
    assert!(in_time.is_ok(), "not within 20 s; the last of what came: {:?}", &seen[seen.len().saturating_sub(10)..]);
    seen
}

fn sounds(seen: &[(Kind, Codec, i64)]) -> usize {
    seen.iter().filter(|(kind, ..)| *kind == Kind::Audio).count()
}

/// A reader that takes `takes` of a stream published first with one codec, then, by somebody else, with the other.
async fn changes(first: Codec, second: Codec, takes: &'static [Codec], pace: Pace) {
    let hub = Hub::new(Settings::default());
    let name = StreamName::new("s").unwrap();
    let renditions = Renditions::new(hub.clone());
    let publisher = publish(&hub, &name, first, 1);
    let open = renditions.open(&name, Want::new(Protocol::HttpFlv, pace, Start::Group), takes, None);
    let mut reader = open.await.unwrap();
    let before = read(&mut reader, |seen| sounds(seen) > 10).await;
    drop(publisher);
    let _other = publish(&hub, &name, second, 4);
    // All of it is there at once, so a rendition begins with its last half second.
    let after = read(&mut reader, |seen| sounds(seen) > 12).await;
    let all: Vec<_> = before.iter().chain(&after).collect();
    let audio = |(kind, codec, _): &&&(Kind, Codec, i64)| {
        matches!(kind, Kind::Audio | Kind::AudioConfig) && !takes.contains(codec)
    };
    assert_eq!(all.iter().filter(audio).count(), 0, "nothing that the reader cannot take: {after:?}");
    for kind in [Kind::Audio, Kind::Video] {
        let times: Vec<i64> = all.iter().filter(|f| f.0 == kind).map(|f| f.2).collect();
        assert!(times.is_sorted(), "{kind:?} goes back in time: {times:?}");
    }
    let info = hub.info(&name).unwrap();
    assert_eq!((info.viewers(), info.joined), (1, 1), "still one viewer of the stream");
    drop(reader);
    assert_eq!(hub.info(&name).unwrap().viewers(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_aac_goes_on_when_a_browser_takes_the_stream_over() {
    changes(Codec::Aac, Codec::Opus, &[Codec::Aac, Codec::Mp3], Pace::Audience).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_cannot_be_decoded_is_left_out_for_who_does_not_take_it() {
    let hub = Hub::new(Settings::default());
    let name = StreamName::new("s").unwrap();
    let origin = Origin { protocol: Protocol::Rtmp, peer: (Ipv4Addr::LOCALHOST, 1).into() };
    let publisher = hub.publish(&name, origin).unwrap();
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(AVCC))).unwrap();
    let push = |from: i64| {
        for at in from..from + 10 {
            let picture = Frame::video(Codec::H264, at * 40_000, 0, at % 5 == 0, Bytes::from_static(PICTURE));
            publisher.push(picture).unwrap();
            publisher.push(Frame::audio(Codec::Ac3, at * 40_000, Bytes::from_static(b"\x0b\x77"))).unwrap();
        }
    };
    push(0);
    let renditions = Renditions::new(hub.clone());
    let want = Want::new(Protocol::HttpFlv, Pace::Audience, Start::Group);
    let mut program = renditions.open(&name, want, crate::flv::IN_PROGRAMS, None).await.unwrap();
    assert!(sounds(&read(&mut program, |seen| seen.len() > 8).await) > 3);
    let mut browser = renditions.open(&name, want, crate::flv::IN_BROWSERS, None).await.unwrap();
    push(10);
    let seen = read(&mut browser, |seen| seen.len() > 8).await;
    assert!(seen.iter().all(|f| f.0 == Kind::Video || f.0 == Kind::VideoConfig), "{seen:?}");
    assert!(browser.flowing().video && !browser.flowing().audio);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_opus_goes_on_when_an_encoder_takes_the_stream_over() {
    changes(Codec::Opus, Codec::Aac, &[Codec::Opus], Pace::Realtime).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_given_a_rendition_goes_on_when_it_is_needed_no_more() {
    changes(Codec::Opus, Codec::Aac, &[Codec::Aac], Pace::Audience).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_opus_is_shown_a_mix_in_aac_and_then_the_stream_again() {
    let hub = Hub::new(Settings::default());
    let name = StreamName::new("s").unwrap();
    let home = publish(&hub, &name, Codec::Opus, 2);
    let want = Want::new(Protocol::Whep, Pace::Realtime, Start::Group);
    let mut reader = Renditions::new(hub.clone()).open(&name, want, &[Codec::Opus], None).await.unwrap();
    read(&mut reader, |seen| sounds(seen) > 10).await;
    // The mixer's: AAC, told of by its configuration, a keyframe each half second.
    let origin = Origin { protocol: Protocol::Internal, peer: (Ipv4Addr::LOCALHOST, 1).into() };
    let mix = hub.overlay(&name, origin).unwrap();
    let mut aac = AacEncoder::new(1).unwrap();
    let avcc = [AVCC, &[1]].concat();
    mix.push(Frame::config(Codec::H264, 0, avcc.into())).unwrap();
    mix.push(Frame::config(Codec::Aac, 0, aac.config())).unwrap();
    let mut at = 0;
    let mut mixes = |seconds: i64| {
        let end = at + seconds * 48_000 / 1024;
        while at < end {
            let us = at * 1024 * 1_000_000 / 48_000;
            if at % 24 == 0 {
                mix.push(Frame::video(Codec::H264, us, 0, true, Bytes::from_static(PICTURE))).unwrap();
                mix.show();
            }
            mix.push(Frame::audio(Codec::Aac, us, aac.encode(&[0.1; 1024]).unwrap())).unwrap();
            at += 1;
        }
    };
    mixes(2);
    let configured = |seen: &[(Kind, Codec, i64)]| seen.iter().any(|f| f.0 == Kind::VideoConfig);
    let mut seen = Vec::new();
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while !configured(&seen) && std::time::Instant::now() < until {
        mixes(1);
        tokio::time::sleep(Duration::from_millis(20)).await;
        while let Some(item) = reader.try_next() {
            let mut frames = Vec::new();
            flatten(item, &mut frames);
            seen.extend(frames.iter().map(|f| (f.kind, f.codec, f.dts)));
        }
    }
    assert!(configured(&seen), "the mix was never shown: {seen:?}");
    mixes(1);
    let shown = read(&mut reader, |seen| sounds(seen) > 20).await;
    let foreign = |f: &&(Kind, Codec, i64)| matches!(f.0, Kind::Audio | Kind::AudioConfig) && f.1 != Codec::Opus;
    assert_eq!(seen.iter().chain(&shown).filter(foreign).count(), 0, "{seen:?} {shown:?}");
    // Back to the stream, whose time went on meanwhile.
    mix.finish(Ended::Finished);
    let since = seen.iter().chain(&shown).map(|f| f.2).max().unwrap();
    home.push(Frame::video(Codec::H264, since + 900_000, 0, true, Bytes::from_static(PICTURE))).unwrap();
    let back = read(&mut reader, |seen| {
        let home = seen.iter().position(|f| f.0 == Kind::VideoConfig);
        home.is_some_and(|at| seen[at..].iter().any(|f| f.0 == Kind::Video))
    });
    back.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_is_made_late_keeps_its_place_among_the_pictures() {
    let hub = Hub::new(Settings::default());
    let name = StreamName::new("s").unwrap().derived("aac");
    let origin = Origin { protocol: Protocol::Internal, peer: (Ipv4Addr::LOCALHOST, 1).into() };
    let publisher = hub.publish_beside(&name, origin).unwrap();
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(AVCC))).unwrap();
    let want = Want::new(Protocol::Hls, Pace::Audience, Start::Next);
    let mut reader = hub.subscribe(&name, want).unwrap();
    // What waited for two seconds while the machine was busy.
    let mut opus = OpusEncoder::new(1).unwrap();
    let mut frames = vec![Arc::new(Frame::config(Codec::Opus, 0, opus_head(1)))];
    for at in (0..2_000_000).step_by(20_000) {
        if at % 40_000 == 0 {
            let picture = Frame::video(Codec::H264, at, 0, at == 0, Bytes::from_static(PICTURE));
            frames.push(Arc::new(picture));
        }
        frames.push(Arc::new(Frame::audio(Codec::Opus, at, opus.encode(&[0.1; 960]).unwrap())));
    }
    let mut maker = Maker::new(Target::Aac);
    let rest = frames.split_off(20);
    maker.pass(frames, &publisher).await.unwrap();
    // Pictures alone are no end of the sound.
    maker.pass(Vec::new(), &publisher).await.unwrap();
    maker.pass(rest, &publisher).await.unwrap();
    let seen = read(&mut reader, |seen| seen.iter().any(|f| f.0 == Kind::Video && f.2 == 1_960_000)).await;
    let mut heard = 0;
    for (kind, _, at) in seen {
        match kind {
            Kind::Audio => heard = at,
            Kind::Video => assert!(at - heard < 150_000, "a picture of {at} us comes when sound is at {heard} us"),
            _ => {}
        }
    }
    assert!(heard > 1_800_000, "{heard}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_of_a_rendition_has_nothing_of_before_it_was_asked_for() {
    let hub = Hub::new(Settings::default());
    let name = StreamName::new("s").unwrap();
    let renditions = Renditions::new(hub.clone());
    let publisher = publish(&hub, &name, Codec::Opus, 3);
    let takes: &[Codec] = &[Codec::Aac];
    for somebody_reads_it in [true, false] {
        let want = Want::new(Protocol::Rtmp, Pace::Realtime, Start::Group);
        let mut other = renditions.open(&name, want, takes, None).await.unwrap();
        read(&mut other, |seen| sounds(seen) > 5).await;
        let other = Some(other).filter(|_| somebody_reads_it);
        let want = Want::internal(Pace::Audience, Start::Since(Instant::now()));
        let mut reader = renditions.record(&name, want, takes).await.unwrap();
        let asked = reader.newest();
        let mut opus = OpusEncoder::new(1).unwrap();
        let later = async {
            for n in 0..100 {
                let at = asked + 20_000 * (n + 1);
                if n % 10 == 5 {
                    publisher.push(Frame::video(Codec::H264, at, 0, n == 25, Bytes::from_static(PICTURE))).unwrap();
                }
                publisher.push(Frame::audio(Codec::Opus, at, opus.encode(&[0.1; 960]).unwrap())).unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let enough = |seen: &[(Kind, Codec, i64)]| seen.iter().filter(|(kind, ..)| *kind == Kind::Video).count() > 2;
        let (seen, ()) = tokio::join!(read(&mut reader, enough), later);
        let media = |frame: &&(Kind, Codec, i64)| matches!(frame.0, Kind::Video | Kind::Audio);
        let first = seen.iter().find(media).unwrap();
        assert_eq!(first.2, asked + 20_000 * 26, "{somebody_reads_it}: the keyframe of after: {seen:?}");
        drop(other);
    }
}
