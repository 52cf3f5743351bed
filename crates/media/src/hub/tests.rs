//! Publishers and readers of a hub, on simulated time.

use super::*;
use crate::frame::{Codec, Frame};
use bytes::Bytes;

mod further;
mod long_groups;

const MS: i64 = 1000;

fn origin() -> Origin {
    Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() }
}

fn name(s: &str) -> StreamName {
    StreamName::new(s).unwrap()
}

fn key(ms: i64) -> Frame {
    Frame::video(Codec::H264, ms * MS, 0, true, Bytes::from_static(b"key"))
}

fn delta(ms: i64) -> Frame {
    Frame::video(Codec::H264, ms * MS, 0, false, Bytes::from_static(b"delta"))
}

fn avcc(version: u8) -> Frame {
    Frame::config(Codec::H264, 0, Bytes::from(vec![1, 100, 0, version]))
}

fn start(hub: &Hub, s: &str) -> Publisher {
    let publisher = hub.publish(&name(s), origin()).unwrap();
    publisher.push(avcc(30)).unwrap();
    publisher
}

async fn ms(n: u64) {
    tokio::time::sleep(Duration::from_millis(n)).await;
}

fn read(hub: &Hub, s: &str, pace: Pace) -> Reader {
    hub.subscribe(&name(s), Want::new(Protocol::Rtmp, pace, Start::Group)).unwrap()
}

/// What is there now: `T` for tracks, then each frame's milliseconds; `|` before each burst.
fn now(reader: &mut Reader) -> String {
    let mut out = Vec::new();
    let show = |f: &Arc<Frame>| {
        if f.kind.is_config() { "c".to_string() } else { format!("{}{}", if f.key { "k" } else { "" }, f.dts / MS) }
    };
    while let Some(item) = reader.try_next() {
        match item {
            Item::Tracks(_) => out.push("T".to_string()),
            Item::Frame(f) => out.push(show(&f)),
            Item::Burst(b) => {
                out.push("|".to_string());
                out.extend(b.frames.iter().map(show));
            }
        }
    }
    out.join(" ")
}

/// Bursts whoever reads: few readers are served each frame otherwise.
fn merging() -> Settings {
    Settings { few: 0, ..Settings::default() }
}

#[tokio::test(start_paused = true)]
async fn a_joiner_gets_the_tracks_and_the_group_of_pictures() {
    let hub = Hub::new(merging());
    let p = start(&hub, "s");
    for f in [key(0), delta(40), key(80), delta(120)] {
        p.push(f).unwrap();
    }
    assert_eq!(now(&mut read(&hub, "s", Pace::Audience)), "T | k80 120");
    assert_eq!(now(&mut read(&hub, "s", Pace::Realtime)), "T k80 120");
    let mut late = hub.subscribe(&name("s"), Want::new(Protocol::Whep, Pace::Realtime, Start::Next)).unwrap();
    p.push(delta(160)).unwrap();
    assert_eq!(now(&mut late), "");
    p.push(key(200)).unwrap();
    p.push(delta(240)).unwrap();
    assert_eq!(now(&mut late), "T k200 240");
}

#[tokio::test(start_paused = true)]
async fn who_is_sent_which_layer_is_counted_at_the_stream() {
    let hub = Hub::new(Settings::default());
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    p.will_have_layers();
    let [small, large] = [0, 1].map(|number| hub.publish_layer(&name("s"), number, origin(), 0).unwrap());
    let picture = Bytes::from(b"delta".repeat(180));
    for at in 0..60 {
        ms(40).await;
        small.push(Frame::video(Codec::H264, at * 40 * MS, 0, true, Bytes::from_static(b"key"))).unwrap();
        large.push(Frame::video(Codec::H264, at * 40 * MS, 0, true, picture.clone())).unwrap();
    }
    let sent = || hub.layers(&name("s")).iter().map(|layer| (layer.number, layer.viewers)).collect::<Vec<_>>();
    assert_eq!(sent(), [(0, 0), (1, 0)]);
    let viewer = || hub.subscribe(&name("s"), Want::new(Protocol::Whep, Pace::Realtime, Start::Next)).unwrap();
    let mut viewers = [viewer(), viewer(), viewer()];
    // Who plays by something else has no choice.
    let _plays = read(&hub, "s", Pace::Audience);
    assert_eq!(sent(), [(0, 0), (1, 3)]);
    viewers[0].shows_layer(Some(0));
    viewers[1].shows_layer(Some(0));
    viewers[1].shows_layer(Some(0));
    viewers[2].shows_layer(Some(1));
    assert_eq!(sent(), [(0, 2), (1, 1)]);
    viewers[2].shows_layer(None);
    let [first, second, third] = viewers;
    drop((second, third));
    assert_eq!(sent(), [(0, 1), (1, 0)]);
    drop(first);
    assert_eq!(sent(), [(0, 0), (1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn audiences_wake_once_per_interval_and_share_their_bytes() {
    let hub = Hub::new(merging());
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    let mut a = read(&hub, "s", Pace::Audience);
    let mut b = read(&hub, "s", Pace::Audience);
    let mut prompt = read(&hub, "s", Pace::Realtime);
    now(&mut a);
    now(&mut b);
    now(&mut prompt);
    let began = Instant::now();
    let wait = tokio::spawn(async move {
        let Some(Item::Burst(one)) = a.next().await else { panic!("a burst") };
        let Some(Item::Burst(two)) = b.next().await else { panic!("a burst") };
        assert!(Arc::ptr_eq(&one, &two), "one burst for all");
        let made = one.rtmp(one.span(), |_| Bytes::from_static(b"made"));
        assert_eq!(made.as_ptr(), two.rtmp(two.span(), |_| unreachable!("made twice")).as_ptr());
        (began.elapsed(), one.frames.len())
    });
    for i in 1..=2 {
        ms(40).await;
        p.push(delta(i * 40)).unwrap();
        assert_eq!(now(&mut prompt), (i * 40).to_string(), "realtime readers do not wait");
    }
    // Nothing follows: the burst ends by itself, one interval after the first frame that nobody was woken for.
    let (after, frames) = wait.await.unwrap();
    assert_eq!((after.as_millis() / 10, frames), (10, 2));
}

#[tokio::test(start_paused = true)]
async fn a_few_readers_are_served_at_once_and_co_anchors_always() {
    let hub = Hub::new(Settings { few: 2, ..Settings::default() });
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    let play = |protocol| hub.subscribe(&name("s"), Want::new(protocol, Pace::Audience, Start::Group)).unwrap();
    let mut crowd: Vec<Reader> = (0..2).map(|_| play(Protocol::HttpFlv)).collect();
    crowd.iter_mut().for_each(|r| drop(now(r)));
    p.push(delta(40)).unwrap();
    assert_eq!(now(&mut crowd[0]), "| 40", "two are few");
    crowd.push(play(Protocol::HttpFlv));
    let mut anchors: Vec<Reader> = (0..3).map(|_| play(Protocol::Rtmp)).collect();
    crowd.iter_mut().chain(&mut anchors).for_each(|r| drop(now(r)));
    p.push(delta(80)).unwrap();
    let seen: Vec<String> = anchors.iter_mut().chain(&mut crowd).map(now).collect();
    assert_eq!(seen, ["80", "80", "", "", "", ""], "three are many, but two of the RTMP players are served at once");
    ms(101).await;
    assert_eq!(now(&mut anchors[2]), "| 80");
    crowd.clear();
    drop(anchors.pop());
    p.push(delta(120)).unwrap();
    assert_eq!(now(&mut anchors[0]), "120");
}

#[tokio::test(start_paused = true)]
async fn viewers_of_a_rendition_count_at_the_stream_it_was_made_of() {
    let hub = Hub::new(Settings::default());
    let p = start(&hub, "s");
    let made = name("s").derived("aac");
    let origin = Origin { protocol: Protocol::Internal, ..origin() };
    let rendition = hub.publish_beside(&made, origin).unwrap();
    p.push(key(0)).unwrap();
    rendition.push(key(0)).unwrap();
    let viewer = hub.subscribe(&made, Want::new(Protocol::HttpFlv, Pace::Audience, Start::Group)).unwrap();
    viewer.count_sent(700);
    let info = hub.info(&name("s")).unwrap();
    let figures = hub.figures();
    assert_eq!((info.viewers(), info.joined, info.bytes_out), (1, 1, 700));
    assert_eq!(hub.info(&made).unwrap().viewers(), 0);
    assert_eq!(hub.list().iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["s"]);
    let flv = figures.of(Protocol::HttpFlv);
    assert_eq!((flv.viewers, flv.joined, flv.bytes_out, figures.streams), (1, 1, 700, 1));
    assert_eq!(
        (figures.of(Protocol::Internal).bytes_in, figures.frames),
        (0, 2),
        "what we make ourselves is not counted"
    );
    drop(viewer);
    assert_eq!((hub.info(&name("s")).unwrap().left, hub.figures().of(Protocol::HttpFlv).viewers), (1, 0));
    hub.subscribe(&name("s"), Want::new(Protocol::Whep, Pace::Realtime, Start::Group)).unwrap().withdraw();
    assert_eq!((hub.info(&name("s")).unwrap().joined, hub.figures().of(Protocol::Whep)), (1, Traffic::default()));
}

#[tokio::test(start_paused = true)]
async fn key_frames_and_joiners_do_not_put_the_audience_off() {
    let hub = Hub::new(merging());
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    ms(30).await;
    let mut r = read(&hub, "s", Pace::Audience);
    assert_eq!(now(&mut r), "T | k0");
    p.push(delta(30)).unwrap();
    ms(40).await;
    p.push(key(70)).unwrap();
    let _joins = read(&hub, "s", Pace::Audience);
    let began = Instant::now();
    assert!(matches!(r.next().await, Some(Item::Burst(_))));
    // Both bursts, 100 ms after the first frame that nobody was woken for: the key frame at the start.
    assert_eq!((began.elapsed().as_millis() / 10, now(&mut r)), (0, "| k70".to_string()));
    p.push(delta(110)).unwrap();
    let began = Instant::now();
    assert!(matches!(r.next().await, Some(Item::Burst(_))));
    assert_eq!(began.elapsed().as_millis() / 10, 3, "woken by the frame at 0 ms");
    p.push(delta(150)).unwrap();
    let began = Instant::now();
    assert!(matches!(r.next().await, Some(Item::Burst(_))));
    assert_eq!(began.elapsed().as_millis() / 10, 10);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_its_publisher_waits_for_another() {
    let hub = Hub::new(Settings::default());
    let first = start(&hub, "s");
    let mut reader = read(&hub, "s", Pace::Realtime);
    first.push(key(0)).unwrap();
    assert!(hub.unseat(&name("s")));
    assert_eq!((first.ended().await, first.push(delta(40))), (Ended::TakenOver, Err(Ended::TakenOver)));
    assert!(hub.is_paused(&name("s")));
    // Its own end is none of the stream.
    first.finish(Ended::Finished);
    let second = start(&hub, "s");
    second.push(key(80)).unwrap();
    let seen = now(&mut reader);
    assert_eq!((seen.matches('k').count(), reader.ended()), (2, None), "{seen}");
    // Nobody comes: the stream ends as one that was deserted.
    assert!(hub.unseat(&name("s")));
    assert!(!hub.unseat(&name("s")), "it has none");
    drop(second);
    ms(16_000).await;
    assert_eq!(reader.ended(), Some(Ended::Deserted));
    assert!(!hub.unseat(&name("s")));
}

#[tokio::test(start_paused = true)]
async fn a_second_publisher_is_refused_until_the_first_is_silent() {
    let hub = Hub::new(Settings::default());
    let p = start(&hub, "s");
    assert_eq!(hub.publish(&name("s"), origin()).err(), Some(Busy::Taken));
    ms(4_900).await;
    p.push(key(0)).unwrap();
    ms(4_900).await;
    assert_eq!(hub.publish(&name("s"), origin()).err(), Some(Busy::Taken));
    // It is there, which is known, and still has to give way.
    p.is_there();
    ms(200).await;
    let info = hub.info(&name("s")).unwrap();
    assert_eq!((info.silent, info.unheard), (Duration::from_millis(5_100), Duration::from_millis(200)));
    let q = hub.publish(&name("s"), origin()).unwrap();
    assert_eq!(p.ended().await, Ended::TakenOver);
    assert_eq!(p.push(delta(40)), Err(Ended::TakenOver));
    p.is_there();
    assert_eq!(hub.info(&name("s")).unwrap().unheard, Duration::from_millis(200), "it says nothing for the other");
    assert!(!hub.end_of(&name("s"), p.id(), Ended::Finished), "nor does its end");
    drop(p);
    q.push(key(0)).unwrap();
    assert!(!hub.info(&name("s")).unwrap().paused, "the old one's end is not the stream's");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_comes_back_continues_the_stream() {
    let hub = Hub::new(merging());
    let mut events = hub.events();
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    p.push(delta(40)).unwrap();
    let mut r = read(&hub, "s", Pace::Audience);
    assert_eq!(now(&mut r), "T | k0 40");
    drop(p);
    ms(14_000).await;
    assert!(hub.info(&name("s")).unwrap().paused);
    let p = start(&hub, "s");
    p.push(key(700_000)).unwrap();
    p.push(delta(700_040)).unwrap();
    ms(200).await;
    // Same configuration: not repeated. The clock went on by the time that passed.
    assert_eq!(now(&mut r), "| k14040 14080");
    p.finish(Ended::Finished);
    assert!(r.next().await.is_none());
    assert_eq!(r.ended(), Some(Ended::Finished));
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        seen.push(match event {
            Event::Started { .. } => "started",
            Event::Paused { .. } => "paused",
            Event::Resumed { .. } => "resumed",
            Event::Ended { .. } => "ended",
        });
    }
    assert_eq!(seen, ["started", "paused", "resumed", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_stays_away_ends_the_stream() {
    let hub = Hub::new(Settings::default());
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    let mut r = read(&hub, "s", Pace::Audience);
    now(&mut r);
    drop(p);
    let began = Instant::now();
    assert!(r.next().await.is_none());
    assert_eq!((began.elapsed().as_secs(), r.ended()), (15, Some(Ended::Deserted)));
    assert!(hub.is_empty());

    let hub = Hub::new(Settings { resume_window: Duration::ZERO, ..Settings::default() });
    drop(start(&hub, "s"));
    assert!(hub.is_empty());
}

#[tokio::test(start_paused = true)]
async fn slow_readers_are_skipped_to_a_key_frame_and_counted() {
    let hub = Hub::new(merging());
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    let mut slow = read(&hub, "s", Pace::Audience);
    let mut prompt = read(&hub, "s", Pace::Realtime);
    now(&mut slow);
    now(&mut prompt);
    for i in 1..200 {
        ms(40).await;
        p.push(if i % 50 == 0 { key(i * 40) } else { delta(i * 40) }).unwrap();
    }
    let got = now(&mut slow);
    assert!(got.starts_with("| k6000 6040"), "{got}");
    assert_eq!(slow.skipped(), 149);
    assert!(now(&mut prompt).starts_with("k6000"));
    assert_eq!(hub.info(&name("s")).unwrap().skipped, 298);
    // A change of configuration that happened meanwhile is told again.
    for i in 200..300 {
        ms(40).await;
        if i == 210 {
            p.push(avcc(40)).unwrap();
        }
        p.push(if i % 50 == 0 { key(i * 40) } else { delta(i * 40) }).unwrap();
    }
    assert!(now(&mut slow).starts_with("T | k"), "tracks first");
}

#[tokio::test(start_paused = true)]
async fn a_group_of_pictures_beyond_the_bound_is_not_kept() {
    let hub = Hub::new(Settings { gop_frames: 50, ..merging() });
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    for i in 1..100 {
        ms(10).await;
        p.push(delta(i * 10)).unwrap();
    }
    let mut r = read(&hub, "s", Pace::Audience);
    assert_eq!(now(&mut r), "");
    p.push(key(1000)).unwrap();
    ms(101).await;
    assert_eq!(now(&mut r), "T | k1000");
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_video_stopped_still_lets_listeners_in() {
    let hub = Hub::new(Settings { gop_frames: 50, ..merging() });
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    for i in 1..200 {
        ms(20).await;
        p.push(Frame::audio(Codec::Aac, i * 20 * MS, Bytes::from_static(b"a"))).unwrap();
    }
    let mut r = read(&hub, "s", Pace::Audience);
    ms(20).await;
    p.push(Frame::audio(Codec::Aac, 4000 * MS, Bytes::from_static(b"a"))).unwrap();
    ms(120).await;
    assert_eq!(now(&mut r), "T | 4000");
}

#[tokio::test(start_paused = true)]
async fn players_wait_a_bounded_time_for_their_publisher() {
    let hub = Hub::new(Settings::default());
    let early = hub.clone();
    let name_ = name("s");
    let waits = tokio::spawn(async move {
        early
            .wait(&name_, Want::new(Protocol::Rtmp, Pace::Audience, Start::Group), None)
            .await
            .map(|r| r.name().clone())
    });
    ms(9_000).await;
    let _p = start(&hub, "s");
    assert_eq!(waits.await.unwrap().unwrap(), name("s"));
    let began = Instant::now();
    let none = hub.wait(&name("none"), Want::new(Protocol::Rtmp, Pace::Audience, Start::Group), None).await;
    assert_eq!((none.err(), began.elapsed().as_secs()), (Some(Ended::NotFound), 10));
    assert!(hub.inner.waiting.lock().is_empty(), "waiting leaves nothing behind");
}

#[tokio::test(start_paused = true)]
async fn operators_see_and_end_streams() {
    let hub = Hub::new(Settings::default());
    let p = start(&hub, "s");
    assert!(!hub.is_live(&name("s")));
    let r = read(&hub, "s", Pace::Audience);
    for i in 0..150 {
        ms(40).await;
        p.push(if i % 50 == 0 { key(i * 40) } else { delta(i * 40) }).unwrap();
        r.count_sent(100);
    }
    let info = hub.info(&name("s")).unwrap();
    assert!((info.frame_rate - 25.0).abs() < 1.0, "{}", info.frame_rate);
    assert_eq!(info.gop, Some(Duration::from_secs(2)));
    assert_eq!(info.bitrate_out / 1000, 20);
    assert_eq!((info.viewers(), info.joined, info.left, info.live), (1, 1, 0, true));
    assert_eq!(info.video.unwrap().mime, "avc1.64001e");
    drop(r);
    assert_eq!(hub.list()[0].left, 1);
    ms(10_001).await;
    assert!(!hub.is_live(&name("s")));
    assert!(hub.end(&name("s"), Ended::Kicked("spam".into())));
    assert_eq!(p.ended().await, Ended::Kicked("spam".into()));
    assert_eq!(p.push(key(0)), Err(Ended::Kicked("spam".into())));
    assert!(!hub.end(&name("s"), Ended::Shutdown) && hub.is_empty());
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded() {
    let hub = Hub::new(Settings { max_streams: 1, ..Settings::default() });
    let _p = start(&hub, "a");
    assert_eq!(hub.publish(&name("b"), origin()).err(), Some(Busy::Full));
}

#[tokio::test(start_paused = true)]
async fn wishes_for_key_frames_reach_the_publisher_once() {
    let hub = Hub::new(Settings::default());
    let p = start(&hub, "s");
    let r = read(&hub, "s", Pace::Realtime);
    r.request_key();
    r.request_key();
    p.key_wanted().await;
    assert!(tokio::time::timeout(Duration::from_secs(1), p.key_wanted()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn readers_that_cannot_begin_ask_until_a_keyframe_comes() {
    let hub = Hub::new(Settings { gop_frames: 10, ..Settings::default() });
    let p = start(&hub, "s");
    let asked = async |within: u64| tokio::time::timeout(Duration::from_millis(within), p.key_wanted()).await.is_ok();
    p.push(key(0)).unwrap();
    let mut early = read(&hub, "s", Pace::Realtime);
    assert_eq!(now(&mut early), "T k0");
    for n in 1..20 {
        p.push(delta(n * 40)).unwrap();
        now(&mut early);
    }
    assert!(!asked(10).await, "a reader that keeps up needs none, even if the group is too long to be kept");
    // Each kind of reader that comes now has nothing to begin with.
    let kinds =
        [(Protocol::Rtmp, Pace::Realtime), (Protocol::HttpFlv, Pace::Audience), (Protocol::Internal, Pace::Realtime)];
    for (at, (protocol, pace)) in (1000..).step_by(1000).zip(kinds) {
        let mut late = hub.subscribe(&name("s"), Want::new(protocol, pace, Start::Group)).unwrap();
        assert!(asked(10).await, "{protocol}");
        assert!(!asked(10).await, "{protocol}: once");
        p.push(delta(at - 100)).unwrap();
        assert_eq!(now(&mut late), "", "{protocol}");
        assert!(asked(10).await, "{protocol}: again, for as long as others come");
        assert!(late.waiting().is_some());
        let mut counted = hub.subscribe(&name("s"), Want::new(protocol, pace, Start::Group)).unwrap();
        counted.reads_no_more();
        assert!(counted.waiting().is_none(), "{protocol}: who is only counted waits for nothing");
        drop(counted);
        now(&mut late);
        p.push(key(at)).unwrap();
        ms(200).await;
        assert!(!asked(10).await, "{protocol}: the wish was met before it was heard");
        assert!(now(&mut late).ends_with(&format!("k{at}")), "{protocol}");
        assert!(late.waiting().is_none());
        p.push(avcc(protocol.index() as u8)).unwrap();
        (0..20).for_each(|n| p.push(delta(at + 40 + n)).unwrap());
    }
    // One that was skipped forward asks, too.
    now(&mut early);
    (0..20).for_each(|n| p.push(delta(4000 + n)).unwrap());
    assert_eq!(now(&mut early), "");
    assert!(asked(10).await && early.skipped() > 0);
}

#[tokio::test(start_paused = true)]
async fn where_keyframes_are_made_on_demand_nobody_begins_with_an_old_one() {
    let hub = Hub::new(Settings::default());
    let p = start(&hub, "s");
    let fresh = || hub.subscribe(&name("s"), Want::new(Protocol::Rtmp, Pace::Realtime, Start::Fresh)).unwrap();
    p.push(key(0)).unwrap();
    ms(5000).await;
    p.push(delta(5000)).unwrap();
    assert_eq!(now(&mut fresh()), "T k0 5000", "its publisher cannot be asked");
    p.answers_wishes();
    let mut late = fresh();
    p.key_wanted().await;
    p.push(delta(5040)).unwrap();
    assert_eq!(now(&mut late), "");
    p.push(key(5080)).unwrap();
    assert_eq!(now(&mut late), "T k5080");
    ms(900).await;
    assert_eq!(now(&mut fresh()), "T k5080", "young enough");
    // One that was said to answer, and does not: the old group has to do, and nobody waits for it a second time.
    ms(5000).await;
    let mut patient = fresh();
    p.push(delta(11_000)).unwrap();
    assert_eq!(now(&mut patient), "");
    ms(501).await;
    p.push(delta(11_500)).unwrap();
    assert_eq!(now(&mut patient), "T k5080 11000 11500");
    assert_eq!(now(&mut fresh()), "T k5080 11000 11500");
}

#[tokio::test(start_paused = true)]
async fn for_players_that_ask_nobody_keyframes_come_as_an_encoder_makes_them() {
    let hub = Hub::new(Settings::default());
    let p = start(&hub, "s");
    let asked = async || tokio::time::timeout(Duration::from_millis(1), p.key_wanted()).await.is_ok();
    // Four and a half seconds of pictures: whether and when one was asked for.
    let watched = async |reader: &mut Reader, from: i64| {
        p.push(key(from)).unwrap();
        let mut wishes = Vec::new();
        for at in (from + 100..from + 4500).step_by(100) {
            ms(99).await;
            p.push(delta(at)).unwrap();
            now(reader);
            if asked().await {
                wishes.push(at - from);
            }
        }
        wishes
    };
    for (at, protocol) in (0..).step_by(10_000).zip([Protocol::Rtmp, Protocol::HttpFlv, Protocol::WsFlv]) {
        let mut reader = hub.subscribe(&name("s"), Want::new(protocol, Pace::Realtime, Start::Group)).unwrap();
        assert!(!asked().await || at == 0, "it begins with the group");
        let wishes = watched(&mut reader, at).await;
        assert!(matches!(wishes[..], [4000..4300]), "{protocol}: {wishes:?}");
        p.push(key(at + 5000)).unwrap();
    }
    let mut whep = hub.subscribe(&name("s"), Want::new(Protocol::Whep, Pace::Realtime, Start::Group)).unwrap();
    assert!(watched(&mut whep, 60_000).await.is_empty(), "these ask by themselves");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_before_a_moment_is_read_by_who_asks_so() {
    let hub = Hub::new(Settings::default());
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    ms(10).await;
    let since = |moment| hub.subscribe(&name("s"), Want::internal(Pace::Audience, Start::Since(moment))).unwrap();
    let moment = Instant::now();
    let mut reader = since(moment);
    ms(10).await;
    p.push(delta(20)).unwrap();
    p.push(key(40)).unwrap();
    ms(200).await;
    assert_eq!(now(&mut reader), "T | k40");
    assert_eq!(now(&mut since(moment)), "T | k40", "the group that began meanwhile");
    assert_eq!(now(&mut since(Instant::now())), "");
}

#[tokio::test(start_paused = true)]
async fn the_audience_changes_over_to_an_overlay_and_back() {
    let hub = Hub::new(merging());
    let home = start(&hub, "s");
    home.push(key(0)).unwrap();
    home.push(delta(20)).unwrap();
    home.push(delta(40)).unwrap();
    let viewer = || hub.subscribe(&name("s"), Want::new(Protocol::HttpFlv, Pace::Audience, Start::Group)).unwrap();
    let raw = Want::new(Protocol::Rtmp, Pace::Realtime, Start::Group).with_view(View::Raw);
    let mut viewer_before = viewer();
    let mut anchor = hub.subscribe(&name("s"), raw).unwrap();
    assert_eq!((now(&mut viewer_before), now(&mut anchor)), ("T | k0 20 40".into(), "T k0 20 40".into()));

    let mix = hub.overlay(&name("s"), origin()).unwrap();
    assert!(hub.overlay(&name("s"), origin()).is_err(), "one at a time");
    mix.push(avcc(31)).unwrap();
    // It continues the time of what it lies over; nobody sees it before it is shown.
    mix.push(key(70_000)).unwrap();
    assert_eq!(now(&mut viewer_before), "");
    mix.show();
    let mut viewer_after = viewer();
    ms(100).await;
    mix.push(delta(70_100)).unwrap();
    home.push(delta(140)).unwrap();
    ms(200).await;
    // Where both are at the same time, the mix's first picture comes right behind the last of the stream.
    for (viewer, seen) in [(&mut viewer_before, "T | k41 140"), (&mut viewer_after, "T | k40 140")] {
        assert_eq!(now(viewer), seen);
        assert_eq!(viewer.tracks().video.unwrap().payload, avcc(31).payload);
    }
    assert_eq!(now(&mut anchor), "140", "co-anchors see the stream as it is");
    assert_eq!(hub.info(&name("s")).unwrap().viewers(), 3);
    // So does everybody who does not ask for the stream itself, however they come.
    for protocol in [Protocol::Rtmp, Protocol::Whep, Protocol::WsFlv, Protocol::Hls] {
        let want = Want::new(protocol, Pace::Audience, Start::Group);
        assert_eq!(now(&mut hub.subscribe(&name("s"), want).unwrap()), "T | k40 140", "{protocol}");
    }
    assert!(hub.has_audience(&name("s")));

    // A creator that comes back anew is shown in the mix, too.
    home.finish(Ended::Finished);
    let mut alone = viewer();
    assert_eq!(now(&mut alone), "T | k40 140");
    let home = start(&hub, "s");
    home.push(key(0)).unwrap();
    assert!(hub.is_overlaid(&name("s")));
    assert_eq!(now(&mut viewer()), "T | k40 140");
    // Who watched all along is a viewer of the stream that began anew.
    assert_eq!(hub.info(&name("s")).unwrap().viewers(), 0);
    assert_eq!(now(&mut viewer_after), "");
    assert_eq!(hub.info(&name("s")).unwrap().viewers(), 1);

    // What makes another form of the mix reads just that, and is over with it.
    let of_mix = Hub::overlay_name(&name("s"));
    let mut maker = hub.subscribe(&of_mix, Want::internal(Pace::Realtime, Start::Group)).unwrap();
    now(&mut maker);

    // The mix ends: back to the stream, which began anew in the mix's time, right behind what was seen.
    drop(viewer_before);
    let mut viewer = viewer();
    now(&mut viewer);
    mix.finish(Ended::Finished);
    home.push(delta(20)).unwrap();
    home.push(key(60)).unwrap();
    ms(200).await;
    assert_eq!(now(&mut viewer), "T | k173");
    for viewer in [&mut viewer_after, &mut alone] {
        assert_eq!(now(viewer), "T | k173", "it began before the stream did, and goes on with it");
    }
    assert_eq!(hub.info(&name("s")).unwrap().viewers(), 3);
    assert!(!hub.is_overlaid(&name("s")));
    assert!(maker.next().await.is_none());
    home.finish(Ended::Finished);
    assert!(viewer.next().await.is_none());
    assert_eq!(viewer.ended(), Some(Ended::Finished));
    assert!(viewer_after.next().await.is_none() && alone.next().await.is_none());
    assert!(hub.info(&name("s")).is_none());
}

#[tokio::test(start_paused = true)]
async fn who_saw_a_keyframe_last_goes_over_to_an_overlay_a_little_later() {
    let hub = Hub::new(merging());
    let home = start(&hub, "s");
    home.push(key(0)).unwrap();
    let want = Want::new(Protocol::HttpFlv, Pace::Audience, Start::Group);
    let mut viewers = [hub.subscribe(&name("s"), want).unwrap(), hub.subscribe(&name("s"), want).unwrap()];
    assert!(viewers.iter_mut().all(|viewer| now(viewer) == "T | k0"));
    let mix = hub.overlay(&name("s"), origin()).unwrap();
    mix.push(avcc(31)).unwrap();
    mix.push(key(40)).unwrap();
    mix.show();
    let [with, without] = &mut viewers;
    assert_eq!(now(with), "", "the players of FLV want pictures behind a keyframe");
    // The publisher is there and sends nothing more.
    let next = tokio::time::timeout(Duration::from_secs(1), without.next()).await;
    assert!(matches!(next, Ok(Some(Item::Tracks(_)))), "it waited for pictures that do not come");
    home.push(delta(600)).unwrap();
    home.push(delta(640)).unwrap();
    ms(200).await;
    assert!(now(with).starts_with("T | k"), "as soon as they are there");
    // Who is left when its stream ends goes over at once.
    let mut late = hub.subscribe(&name("s"), want.with_view(View::Shown)).unwrap();
    home.finish(Ended::Finished);
    assert!(now(&mut late).starts_with("T | k"));
}

#[tokio::test(start_paused = true)]
async fn viewers_beyond_the_most_are_refused_and_their_places_are_free_again() {
    let hub = Hub::new(Settings { max_viewers: 2, ..Settings::default() });
    let p = start(&hub, "s");
    p.push(key(0)).unwrap();
    let view = |name: &StreamName, protocol| hub.subscribe(name, Want::new(protocol, Pace::Audience, Start::Group));
    let home = name("s");
    let first = view(&home, Protocol::HttpFlv).unwrap();
    let _second = view(&home, Protocol::Whep).unwrap();
    for protocol in [Protocol::Rtmp, Protocol::HttpFlv, Protocol::WsFlv, Protocol::Whep, Protocol::Hls] {
        assert_eq!(view(&home, protocol).err(), Some(Ended::Limit("viewers of this stream")), "{protocol:?}");
    }
    // Who waits for a publisher is told at once, not after the wait.
    let waited = hub.wait(&home, Want::new(Protocol::Rtmp, Pace::Audience, Start::Group), None).await;
    assert_eq!(waited.err(), Some(Ended::Limit("viewers of this stream")));
    // Neither a part of this server nor another server is a viewer; a rendition's viewers are the stream's.
    let _inside = [Protocol::Internal, Protocol::Relay].map(|protocol| view(&home, protocol).unwrap());
    let _rendition = hub.publish_beside(&home.derived("opus"), origin()).unwrap();
    assert!(view(&home.derived("opus"), Protocol::Whep).is_err());
    assert_eq!(hub.figures().refused, 7);
    drop(first);
    let third = view(&home.derived("opus"), Protocol::Whep).unwrap();
    assert!(view(&home, Protocol::Rtmp).is_err());
    drop(third);
    assert!(view(&home, Protocol::Rtmp).is_ok());
    assert_eq!(hub.info(&home).unwrap().viewers(), 1);
}
