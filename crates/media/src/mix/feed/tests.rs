//! How the times of inputs become those of the mix, on simulated time.

use super::*;
use crate::hub::{Origin, Publisher, Settings};
use crate::name::Protocol;

const AVCC: &[u8] = &[
    1, 0x64, 0, 0x1e, 0xff, 0xe1, 0, 0x19, 0x67, 0x64, 0, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x61, 0, 0, 3, 0,
    1, 0, 0, 3, 0, 0x32, 0x0f, 0x16, 0x2d, 0x96, 1, 0, 4, 0x68, 0xeb, 0xec, 0xb2,
];
/// Milliseconds between pictures.
const STEP: i64 = 40;

fn picture(at: i64) -> Frame {
    Frame::video(Codec::H264, at * 1000, 0, at == 0, Bytes::from_static(&[0, 0, 0, 1, 0x65]))
}

/// A publisher whose only keyframe is `age` milliseconds old, and the feed of a mix that begins now.
async fn begun(age: i64) -> (Publisher, Feed, Clock) {
    let hub = Hub::new(Settings::default());
    let stream = StreamName::new("s").unwrap();
    let origin = Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() };
    let publisher = hub.publish(&stream, origin).unwrap();
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(AVCC))).unwrap();
    for at in (0..=age).step_by(STEP as usize) {
        publisher.push(picture(at)).unwrap();
        tokio::time::sleep(Duration::from_millis(STEP as u64)).await;
    }
    let place = crate::mix::Place { x: 0, y: 0, width: 2, height: 2, crop: None };
    let input = Input { stream, place: Some(place), heard: false };
    let clock = Clock::start();
    let feed = Feed::prepare(&hub, &input, &Memory::default(), clock, CancellationToken::new()).await;
    (publisher, feed, clock)
}

/// By how much what was written last is ahead of the mix's time, in milliseconds.
fn ahead(feed: &Feed, clock: Clock) -> i64 {
    (feed.video.as_ref().unwrap().last - clock.now()) / 1000
}

#[tokio::test(start_paused = true)]
async fn the_newest_picture_is_of_now_however_old_its_group() {
    for age in [0, 400, 2_000, 9_000] {
        let (publisher, mut feed, clock) = begun(age).await;
        let mut muxer = Muxer::new(feed.known.video.as_deref(), None, 0).unwrap();
        assert_eq!(feed.waiting.len() as i64, age / STEP + 1, "it is decoded from its keyframe on");
        for frame in std::mem::take(&mut feed.waiting) {
            feed.take(&frame, &mut muxer);
        }
        assert!(ahead(&feed, clock).abs() <= STEP, "{} ms after a group of {age} ms", ahead(&feed, clock));
        // And so is what comes then.
        for n in 1..=25 {
            publisher.push(picture(age + n * STEP)).unwrap();
            while let Some(item) = feed.reader.as_mut().unwrap().try_next() {
                flatten(item, &mut |frame| feed.waiting.push(frame));
            }
            for frame in std::mem::take(&mut feed.waiting) {
                feed.take(&frame, &mut muxer);
            }
            assert!(ahead(&feed, clock).abs() <= 2 * STEP, "{} ms, {n} pictures later", ahead(&feed, clock));
            tokio::time::sleep(Duration::from_millis(STEP as u64)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_vanished_is_filled_in_at_once_and_one_that_is_late_is_waited_for() {
    for (vanishes, within) in [(true, 300), (false, 800)] {
        let (publisher, mut feed, clock) = begun(400).await;
        let mut muxer = Muxer::new(feed.known.video.as_deref(), None, 0).unwrap();
        for frame in std::mem::take(&mut feed.waiting) {
            feed.take(&frame, &mut muxer);
        }
        let kept = (!vanishes).then_some(publisher);
        let begun = clock.now();
        while !feed.video.as_ref().unwrap().filled {
            tokio::time::sleep(TICK).await;
            feed.fill(&mut muxer);
            assert!(clock.now() - begun < 2_000_000, "it is never filled in");
        }
        let took = (clock.now() - begun) / 1000;
        assert!((within - 200..=within).contains(&took), "{took} ms, vanished: {vanishes}");
        // The other inputs go on all the time: what they wait for is never older than this.
        for _ in 0..20 {
            tokio::time::sleep(TICK).await;
            feed.fill(&mut muxer);
            assert!(ahead(&feed, clock) >= -300, "{} ms", ahead(&feed, clock));
        }
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn a_picture_that_comes_after_the_process_began_starts_it_anew() {
    let hub = Hub::new(Settings::default());
    let stream = StreamName::new("s").unwrap();
    let origin = Origin { protocol: Protocol::Whip, peer: "127.0.0.1:1".parse().unwrap() };
    let publisher = hub.publish(&stream, origin).unwrap();
    // The camera is off: what its pictures are is known, and only sound comes.
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(AVCC))).unwrap();
    publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
    let sound = |at: i64| Frame::audio(Codec::Aac, at * 1000, Bytes::from_static(&[0x21, 0x10, 4]));
    let sounds = async {
        for n in 0..60 {
            publisher.push(sound(n * 20)).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let place = crate::mix::Place { x: 0, y: 0, width: 2, height: 2, crop: None };
    let input = Input { stream, place: Some(place), heard: true };
    let stale = CancellationToken::new();
    let clock = Clock::start();
    let memory = Memory::default();
    let (mut feed, ()) = tokio::join!(Feed::prepare(&hub, &input, &memory, clock, stale.clone()), sounds);
    assert_eq!(feed.has(), Has { video: false, audio: true });
    let mut muxer = Muxer::new(None, feed.known.audio.as_deref(), 0).unwrap();
    let mut take = |feed: &mut Feed| {
        while let Some(item) = feed.reader.as_mut().unwrap().try_next() {
            flatten(item, &mut |frame| feed.waiting.push(frame));
        }
        for frame in std::mem::take(&mut feed.waiting) {
            feed.take(&frame, &mut muxer);
        }
    };
    publisher.push(Frame::video(Codec::H264, 1_200_000, 0, false, Bytes::from_static(&[0, 0, 0, 1, 0x41]))).unwrap();
    take(&mut feed);
    assert!(!stale.is_cancelled(), "nothing to be seen yet");
    // The camera is on again, with pictures of the same kind, which are not told anew.
    publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(AVCC))).unwrap();
    publisher.push(Frame::video(Codec::H264, 1_240_000, 0, true, Bytes::from_static(&[0, 0, 0, 1, 0x65]))).unwrap();
    take(&mut feed);
    assert!(stale.is_cancelled(), "the process goes on without pictures");
}
