//! Further tracks of sound: who asks for them gets them, late too, and nobody else notices.

use super::*;
use crate::frame::MOST_TRACKS;
use crate::{flv, rtmp};

fn sound(ms: i64, track: u8) -> Frame {
    Frame::audio(Codec::Aac, ms * MS, Bytes::from(vec![track; 3])).of_track(track)
}

fn asc(track: u8, byte: u8) -> Frame {
    Frame::config(Codec::Aac, 0, Bytes::from(vec![0x11, byte])).of_track(track)
}

/// Pictures and sound with so many further tracks, an interval of merging after the other. In one of them there is sound of further
/// tracks alone.
async fn publish(p: &Publisher, further: u8, mut beside: impl FnMut()) {
    for track in 0..=further {
        p.push(asc(track, 0x90)).unwrap();
    }
    for at in (0..1200).step_by(40) {
        if !(400..600).contains(&at) {
            p.push(if at % 400 == 0 { key(at) } else { delta(at) }).unwrap();
            p.push(sound(at, 0)).unwrap();
        }
        for track in 1..=further {
            p.push(sound(at + i64::from(track), track)).unwrap();
        }
        ms(40).await;
        beside();
    }
}

fn want(pace: Pace, further: bool) -> Want {
    Want::new(Protocol::HttpFlv, pace, Start::Group).with_further(further)
}

/// What there is now: configurations, frames, and all bytes that players get of them.
fn given(reader: &mut Reader) -> (String, Vec<Bytes>) {
    let mut bytes = Vec::new();
    let mut text = Vec::new();
    while let Some(item) = reader.try_next() {
        match item {
            Item::Tracks(tracks) => {
                let further: Vec<_> = tracks.further.iter().map(|config| config.track).collect();
                text.push(format!("T{further:?}"));
                bytes.push(rtmp::mux::tracks(crate::flv::Form::default(), &tracks, 0));
            }
            Item::Frame(f) => {
                text.push(format!("{}:{}", f.track, f.dts / MS));
                bytes.extend([flv::frame(&f, f.span()), rtmp::mux::frame(&f, f.span())]);
            }
            Item::Burst(b) => {
                assert!(!b.frames.is_empty());
                text.extend(b.frames.iter().map(|f| format!("{}:{}", f.track, f.dts / MS)));
                bytes.extend([flv::burst(&b, b.span()), rtmp::mux::burst(&b, b.span())]);
            }
        }
    }
    (text.join(" "), bytes)
}

#[tokio::test(start_paused = true)]
async fn who_does_not_ask_gets_what_there_was_without_them() {
    for pace in [Pace::Audience, Pace::Realtime] {
        let mut seen = Vec::new();
        for further in [0, 2] {
            let hub = Hub::new(merging());
            let p = start(&hub, "s");
            let mut early = hub.subscribe(&name("s"), want(pace, false)).unwrap();
            let mut all = Vec::new();
            publish(&p, further, || all.push(given(&mut early))).await;
            let mut late = hub.subscribe(&name("s"), want(pace, false)).unwrap();
            all.push(given(&mut late));
            seen.push(all);
        }
        assert!(seen[0].iter().filter(|(text, _)| !text.is_empty()).count() > 8);
        assert_eq!(seen[0], seen[1], "{pace:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_gets_all_with_their_configurations() {
    for pace in [Pace::Audience, Pace::Realtime] {
        let hub = Hub::new(merging());
        let p = start(&hub, "s");
        publish(&p, 2, || ()).await;
        let mut late = hub.subscribe(&name("s"), want(pace, true)).unwrap();
        let (text, _) = given(&mut late);
        assert!(text.starts_with("T[1, 2] 0:800 0:800 1:801 2:802 0:840"), "{text}");
        // Another publisher has none, and whoever comes then is not told of any.
        drop(p);
        ms(100).await;
        let again = start(&hub, "s");
        again.push(key(0)).unwrap();
        let mut later = hub.subscribe(&name("s"), want(pace, true)).unwrap();
        assert!(given(&mut later).0.starts_with("T[] "));
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_not_more_tracks_than_that() {
    let hub = Hub::new(merging());
    let p = start(&hub, "s");
    let mut reader = hub.subscribe(&name("s"), want(Pace::Realtime, true)).unwrap();
    p.push(key(0)).unwrap();
    for track in 1..=u8::MAX {
        p.push(asc(track, 0x90)).unwrap();
        p.push(sound(40, track)).unwrap();
    }
    let (text, _) = given(&mut reader);
    assert!(text.contains("5:40") && !text.contains("6:"), "{text}");
    assert_eq!(reader.tracks().further.len(), usize::from(MOST_TRACKS) - 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_group_of_pictures_is_bounded_with_them_too() {
    let hub = Hub::new(Settings { gop_frames: 100, ..merging() });
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    for at in 1..400 {
        (1..5).for_each(|track| p.push(sound(at * 20, track)).unwrap());
        ms(20).await;
    }
    assert!(p.stream.state.lock().ring.len() <= 100);
}
