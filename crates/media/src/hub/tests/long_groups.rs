//! Groups of pictures that are many seconds long, as encoders make them that nobody told otherwise.

use super::*;

fn sound(ms: i64) -> Frame {
    Frame::audio(Codec::Aac, ms * MS, Bytes::from_static(b"a"))
}

/// Groups of more frames than this are not kept whole here.
fn short() -> Settings {
    Settings { gop_frames: 1024, ..merging() }
}

/// A stream with a keyframe at its start only: five pictures and fifty frames of sound a second, `s` seconds of it.
async fn one_group(p: &Publisher, from: i64, seconds: i64) {
    for n in from * 50..(from + seconds) * 50 {
        let at = n * 20;
        if n == 0 {
            p.push(key(0)).unwrap();
        } else if n % 10 == 0 {
            p.push(delta(at)).unwrap();
        }
        p.push(sound(at + 1)).unwrap();
        ms(20).await;
    }
}

/// Pictures and sound of what was read, in milliseconds.
fn split(read: &str) -> (Vec<i64>, Vec<i64>) {
    let frames = read.split(' ').filter_map(|word| word.trim_start_matches('k').parse::<i64>().ok());
    frames.partition(|at| at % 20 == 0)
}

/// Pictures of a stream of which nothing else is there, and how many words are neither.
fn split_still(read: &str) -> (Vec<i64>, usize) {
    let words = read.split(' ').filter(|word| !matches!(*word, "T" | "|"));
    let frames: Vec<Option<i64>> = words.map(|word| word.trim_start_matches('k').parse().ok()).collect();
    (frames.iter().flatten().copied().collect(), frames.iter().filter(|frame| frame.is_none()).count())
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_to_a_long_group_has_its_pictures_and_the_sound_of_now() {
    for pace in [Pace::Audience, Pace::Realtime] {
        let hub = Hub::new(short());
        let p = start(&hub, "s");
        one_group(&p, 0, 50).await;
        for protocol in [Protocol::HttpFlv, Protocol::Relay, Protocol::Internal] {
            let mut whole = hub.subscribe(&name("s"), Want::new(protocol, pace, Start::Group)).unwrap();
            assert_eq!(now(&mut whole), "", "{protocol} has no use for pictures without their sound");
        }
        let mut late = read(&hub, "s", pace);
        let first = now(&mut late);
        assert!(first.starts_with("T | k0") || first.starts_with("T k0"), "{first}");
        let (pictures, sounds) = split(&first);
        assert_eq!(pictures, (0..250).map(|n| n * 200).collect::<Vec<_>>(), "all of the group, though it is long");
        assert!(sounds.is_empty(), "{sounds:?}");
        one_group(&p, 50, 1).await;
        let (pictures, sounds) = split(&now(&mut late));
        assert_eq!((pictures[0], sounds[0]), (50_000, 50_001));
        // The last burst may be open.
        assert!(pictures.len() >= 4 && sounds.len() >= 44, "{pictures:?} {sounds:?}");
        assert_eq!(late.skipped(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_of_fifty_seconds_is_kept_whole_and_every_player_begins_with_it_at_once() {
    for pace in [Pace::Audience, Pace::Realtime] {
        let hub = Hub::new(merging());
        let p = start(&hub, "s");
        one_group(&p, 0, 50).await;
        for protocol in [Protocol::HttpFlv, Protocol::Hls, Protocol::Whep, Protocol::Relay, Protocol::Internal] {
            let mut late = hub.subscribe(&name("s"), Want::new(protocol, pace, Start::Group)).unwrap();
            let (pictures, sounds) = split(&now(&mut late));
            assert_eq!((pictures.len(), pictures[0], sounds.len()), (250, 0, 2500), "{protocol} {pace:?}");
        }
        let (pictures, sounds) = split(&now(&mut read(&hub, "s", pace)));
        assert_eq!((pictures.len(), sounds.len()), (250, 0), "RTMP players hear from now on");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_are_kept_whole_are_given_so() {
    let hub = Hub::new(merging());
    let p = start(&hub, "s");
    one_group(&p, 0, 2).await;
    let (pictures, sounds) = split(&now(&mut read(&hub, "s", Pace::Audience)));
    assert_eq!((pictures.len(), sounds.len()), (10, 100));
    one_group(&p, 2, 8).await;
    let mut flv = hub.subscribe(&name("s"), Want::new(Protocol::HttpFlv, Pace::Audience, Start::Group)).unwrap();
    let (pictures, sounds) = split(&now(&mut flv));
    assert_eq!((pictures.len(), sounds.len()), (50, 500), "browsers' players begin where all tracks do");
}

#[tokio::test(start_paused = true)]
async fn parts_of_this_server_and_who_reads_on_hear_everything() {
    let hub = Hub::new(merging());
    let p = start(&hub, "s");
    one_group(&p, 0, 10).await;
    let mut inside = hub.subscribe(&name("s"), Want::internal(Pace::Audience, Start::Group)).unwrap();
    assert_eq!(split(&now(&mut inside)).1.len(), 500);
    let mut heard = 0;
    for second in 10..60 {
        one_group(&p, second, 1).await;
        heard += split(&now(&mut inside)).1.len();
    }
    assert!(heard >= 2490, "{heard} frames of sound of 2500");
    assert_eq!(inside.skipped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_picture_that_stands_still_costs_no_more_however_long_the_sound_goes_on() {
    let hub = Hub::new(short());
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    p.push(delta(40)).unwrap();
    for n in 0..20_000 {
        p.push(sound(n * 20 + 41)).unwrap();
        ms(20).await;
    }
    let mut flv = hub.subscribe(&name("s"), Want::new(Protocol::HttpFlv, Pace::Audience, Start::Group)).unwrap();
    assert_eq!(now(&mut flv), "");
    let mut rtmp = read(&hub, "s", Pace::Audience);
    let (pictures, sounds) = split_still(&now(&mut rtmp));
    let are_of_now = pictures.iter().all(|at| (398_000..400_021).contains(at));
    assert!(pictures.len() == 2 && are_of_now && sounds == 0, "{pictures:?} {sounds}");
    p.push(sound(400_041)).unwrap();
    ms(120).await;
    assert_eq!(now(&mut flv), "T | 400041");
    assert_eq!(now(&mut rtmp), "| 400041");
    let frames = hub.get(&name("s")).unwrap().state.lock().ring.len();
    assert!(frames <= 1024, "{frames}");
}

#[tokio::test(start_paused = true)]
async fn a_long_group_that_came_at_once_is_as_old_as_its_time_says() {
    // As from another node.
    let hub = Hub::new(merging());
    let p = start(&hub, "s");
    for n in 0..500 {
        let at = n * 20;
        p.push(if n == 0 { key(0) } else { delta(at) }).unwrap();
        p.push(sound(at + 1)).unwrap();
    }
    let (pictures, sounds) = split(&now(&mut read(&hub, "s", Pace::Audience)));
    assert_eq!((pictures.len(), sounds.len()), (500, 0));
}
