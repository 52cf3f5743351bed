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
    assert_eq!(feed.has(), Has { video: false, audio: true, aac: true });
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

/// A publisher of pictures and sound, and the feed of a mix that takes both.
struct Both {
    publisher: Publisher,
    feed: Feed,
    muxer: Muxer,
    clock: Clock,
}

impl Both {
    async fn begun() -> Self {
        let hub = Hub::new(Settings::default());
        let stream = StreamName::new("s").unwrap();
        let origin = Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() };
        let publisher = hub.publish(&stream, origin).unwrap();
        publisher.push(Frame::config(Codec::H264, 0, Bytes::from_static(AVCC))).unwrap();
        publisher.push(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))).unwrap();
        publisher.push(picture(0)).unwrap();
        let place = crate::mix::Place { x: 0, y: 0, width: 2, height: 2, crop: None };
        let input = Input { stream, place: Some(place), heard: true };
        let clock = Clock::start();
        let feed = Feed::prepare(&hub, &input, &Memory::default(), clock, CancellationToken::new()).await;
        assert_eq!(feed.has(), Has { video: true, audio: true, aac: true });
        let muxer = Muxer::new(feed.known.video.as_deref(), feed.known.audio.as_deref(), 0).unwrap();
        Both { publisher, feed, muxer, clock }
    }

    /// What was pushed is taken, 20 ms pass, and the feed looks whether something is late.
    async fn pass(&mut self, ms: i64) {
        let mut frames = std::mem::take(&mut self.feed.waiting);
        while let Some(item) = self.feed.reader.as_mut().unwrap().try_next() {
            flatten(item, &mut |frame| frames.push(frame));
        }
        frames.iter().for_each(|frame| self.feed.take(frame, &mut self.muxer));
        let _ = self.muxer.cut();
        if ms % 100 == 0 {
            self.feed.fill(&mut self.muxer);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    fn sound(&self, at: i64) {
        self.publisher.push(Frame::audio(Codec::Aac, at * 1000, Bytes::from_static(&[0x21, 0x10, 4]))).unwrap();
    }

    fn picture(&self, at: i64, key: bool) {
        let bytes = Bytes::from_static(&[0, 0, 0, 1, 0x65]);
        self.publisher.push(Frame::video(Codec::H264, at * 1000, 0, key, bytes)).unwrap();
    }

    /// Whether pictures, and sound, are filled in.
    fn filled(&self) -> (bool, bool) {
        (self.feed.video.as_ref().unwrap().filled, self.feed.audio.as_ref().unwrap().filled)
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_late_and_stays_so_is_seen_and_heard_again() {
    // How late pictures and sound are from the third second on: all of it, or one track.
    for late in [[700, 700], [1_500, 1_500], [2_800, 2_800], [0, 1_500], [1_500, 0]] {
        let mut both = Both::begun().await;
        let mut from = 12_000;
        for now in (20..12_000).step_by(20) {
            let [pictures, sounds] = late.map(|late| if now < 3_000 { now } else { now - late });
            // Nothing comes while the network backs up.
            if now < 3_000 || pictures >= 3_000 {
                (pictures % 40 == 0).then(|| both.picture(pictures, pictures % 1000 == 0));
            }
            if now < 3_000 || sounds >= 3_000 {
                both.sound(sounds);
            }
            both.pass(now).await;
            if now > 3_000 && both.filled() != (false, false) {
                from = now;
            }
        }
        assert!(from < 9_000 || from == 12_000, "{late:?} ms late: filled in until {from}");
        assert_eq!(both.filled(), (false, false), "{late:?} ms late");
        assert!(ahead(&both.feed, both.clock).abs() <= 3_000, "{late:?} ms late");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_after_a_gap_is_not_lateness() {
    let mut both = Both::begun().await;
    for now in (20..8_000).step_by(20) {
        // A second and a half come at once.
        let times = match now {
            3_000..4_500 => 0..0,
            4_500 => 3_000..4_520,
            _ => now..now + 20,
        };
        for at in times.step_by(20) {
            (at % 40 == 0).then(|| both.picture(at, at % 1000 == 0));
            both.sound(at);
        }
        both.pass(now).await;
    }
    assert!(ahead(&both.feed, both.clock).abs() <= 100, "{} ms", ahead(&both.feed, both.clock));
}

#[tokio::test(start_paused = true)]
async fn few_or_uneven_pictures_go_on() {
    for steps in [[1_000, 1_000, 1_000], [40, 400, 1_400], [200, 200, 1_800]] {
        let mut both = Both::begun().await;
        let mut due = steps[0];
        let mut next = steps.iter().cycle().skip(1);
        for now in (20..30_000).step_by(20) {
            both.sound(now);
            if now >= due {
                // Of what is uneven the first gap may be filled in. This is the last keyframe.
                both.picture(now, (5_000..7_000).contains(&now));
                due += next.next().unwrap();
            }
            both.pass(now).await;
            assert!(now < 7_000 || !both.filled().0, "{steps:?}: filled in after {now} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyframe_is_asked_for_where_pictures_were_filled_in() {
    let mut both = Both::begun().await;
    both.publisher.answers_wishes();
    let asked = async |both: &Both| {
        let wanted = both.publisher.key_wanted();
        tokio::time::timeout(Duration::from_micros(1), wanted).await.is_ok()
    };
    for now in (20..2_000).step_by(20) {
        (now % 40 == 0).then(|| both.picture(now, false));
        both.pass(now).await;
    }
    asked(&both).await;
    // A screen stands still: what is shown in its place is to be what was seen last.
    for now in (2_000..3_000).step_by(20) {
        both.pass(now).await;
    }
    assert!(both.filled().0 && asked(&both).await, "the last keyframe is older than what was seen");
    both.picture(3_000, true);
    for now in (3_000..5_000).step_by(20) {
        both.pass(now).await;
    }
    assert!(both.filled().0 && !asked(&both).await, "it stands still, and is shown as it is");
    // It moves again.
    both.picture(5_000, false);
    both.pass(5_020).await;
    assert!(both.filled().0 && asked(&both).await, "it is frozen");
}

/// What takes nothing more of an input, however much there is, is not waited for for ever.
#[tokio::test(start_paused = true)]
async fn a_program_that_takes_no_more_of_an_input_is_started_anew() {
    let socket = std::env::temp_dir().join(format!("media-mix-feed-{}", std::process::id()));
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    let (publisher, feed, _) = begun(400).await;
    let stale = feed.stale.clone();
    let running = tokio::spawn(feed.run(listener, Duration::from_secs(15)));
    let _program = tokio::net::UnixStream::connect(&socket).await.unwrap();
    for n in 1..=100 {
        let bytes = Bytes::from(vec![0x41; 100_000]);
        publisher.push(Frame::video(Codec::H264, (400 + n * STEP) * 1000, 0, false, bytes)).unwrap();
        tokio::time::sleep(Duration::from_millis(STEP as u64)).await;
    }
    assert!(!stale.is_cancelled() && !running.is_finished(), "it may take its time");
    tokio::time::timeout(Duration::from_secs(60), stale.cancelled()).await.expect("it is waited for for ever");
    running.await.unwrap();
}
