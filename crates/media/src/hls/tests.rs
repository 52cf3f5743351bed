//! The window and its playlist on frames made up, and the registry on tokio's wound clock.

use std::sync::Arc;

use super::segment::Segment;
use super::*;
use crate::frame::{Codec, Frame};
use crate::hub::{self, Expected, Origin, Publisher, Tracks};

mod tracks;

fn avcc(level: u8) -> Frame {
    let avcc = [1, 0x64, 0, level, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, level, 1, 0, 1, 0x68];
    Frame::config(Codec::H264, 0, avcc.to_vec().into())
}

fn picture(ms: i64, key: bool) -> Frame {
    Frame::video(Codec::H264, ms * 1000, 0, key, vec![7; 100].into())
}

fn tracks(level: u8) -> Tracks {
    Tracks { video: Some(Arc::new(avcc(level))), ..Tracks::default() }
}

fn init(s: &Segmenter, number: u64) -> Bytes {
    s.init(number, Which::All).and_then(|kept| kept.bytes()).unwrap()
}

fn segmenter(settings: Settings) -> Segmenter {
    let mut segmenter = Segmenter::new(settings, 100);
    segmenter.tracks(&tracks(30));
    segmenter
}

/// Pictures every 40 ms with a key frame every `gop` ms.
fn feed(segmenter: &mut Segmenter, ms: std::ops::Range<i64>, gop: i64) {
    for ms in ms.step_by(40) {
        segmenter.push(&Arc::new(picture(ms, ms % gop == 0)));
    }
}

fn lengths(segmenter: &Segmenter) -> Vec<(u64, i64)> {
    segmenter.segments().iter().map(|s| (s.number, s.duration / 1000)).collect()
}

#[test]
fn segments_end_before_key_frames_once_they_are_long_enough() {
    let mut s = segmenter(Settings { kept: 100, ..Settings::default() });
    feed(&mut s, 0..12_040, 1000);
    // The first three are short, so that players start early.
    let wanted = [(100, 400), (101, 400), (102, 200), (103, 2000), (104, 2000), (105, 2000), (106, 2000), (107, 2000)];
    assert_eq!(lengths(&s), wanted);
    for segment in s.segments().iter().skip(3) {
        assert!(segment.parts[0].independent);
        assert!(segment.parts.iter().skip(1).all(|p| !p.independent || p.duration > 0));
        assert_eq!(segment.parts.iter().map(|p| p.duration).sum::<i64>(), segment.duration);
        assert!(segment.parts.iter().all(|p| p.duration <= 500_000));
        let joined: Vec<u8> = segment.parts.iter().flat_map(|p| p.bytes.to_vec()).collect();
        assert_eq!(joined, segment.bytes);
    }
    assert_eq!(s.target(), 4);
}

#[test]
fn a_stream_without_key_frames_is_cut_all_the_same() {
    let mut s = segmenter(Settings::default());
    s.push(&Arc::new(picture(0, true)));
    for ms in (40..25_000).step_by(40) {
        s.push(&Arc::new(picture(ms, false)));
    }
    assert!(s.segments().len() >= 8);
    assert!(s.segments().iter().all(|segment| segment.duration <= 4_400_000 && !segment.parts.is_empty()));
    assert!(!s.segments()[1].parts[0].independent);
    assert_eq!(s.target(), 4);
}

/// The promises of a playlist.
fn promises(s: &Segmenter) -> Vec<String> {
    let text = playlist::write(s, &Settings::default(), "s", "");
    let promise = ["#EXT-X-TARGETDURATION", "#EXT-X-PART-INF", "#EXT-X-SERVER-CONTROL"];
    text.lines().filter(|l| promise.iter().any(|p| l.starts_with(p))).map(String::from).collect()
}

/// What of a window breaks what its playlist promises.
fn broken(s: &Segmenter) -> Vec<String> {
    let mut broken = Vec::new();
    for segment in s.segments() {
        if (segment.duration + 500_000) / 1_000_000 > s.target() {
            broken.push(format!("segment {} of {}", segment.number, segment.duration));
        }
        for (number, part) in segment.parts.iter().enumerate() {
            let short = part.duration < 425_000 && !part.independent;
            let last = number + 1 == segment.parts.len();
            if part.duration > 500_000 || (short && !last) {
                broken.push(format!("part {}.{number} of {}", segment.number, part.duration));
            }
        }
    }
    broken
}

#[test]
fn what_a_playlist_promises_never_changes_and_is_kept() {
    let asc = || Arc::new(Frame::config(Codec::Aac, 0, vec![0x12, 0x10].into()));
    let sound = |us: i64| Arc::new(Frame::audio(Codec::Aac, us, vec![1; 50].into()));
    let lengths_of_groups: [&[i64]; 7] =
        [&[2000], &[10_000], &[2000, 1200, 1800, 10_000], &[2600], &[4600], &[480, 480, 480, 2000, 2000], &[3000, 700]];
    for step in [20, 33, 40, 100, 200, 333, 1000] {
        for groups in lengths_of_groups {
            for (with_sound, pause) in [(true, 0), (false, 0), (true, 1200), (false, 1200)] {
                // Without sound, a longer pause is a break.
                let pause = if step > 500 { 0 } else { pause };
                let mut s = Segmenter::new(Settings { kept: 1000, ..Settings::default() }, 100);
                s.tracks(&Tracks { audio: with_sound.then(asc), ..tracks(30) });
                let promised = promises(&s);
                let mut heard = 0;
                let mut key = 0;
                let mut group = groups.iter().cycle();
                for ms in (0..40_000).step_by(step).filter(|ms| !(12_000..12_000 + pause).contains(ms)) {
                    while with_sound && heard <= ms * 1000 {
                        s.push(&sound(heard));
                        heard += 23_220;
                    }
                    let is_key = ms >= key;
                    while ms >= key {
                        key += group.next().unwrap();
                    }
                    s.push(&Arc::new(picture(ms, is_key)));
                    assert_eq!(promises(&s), promised);
                }
                s.finish();
                let what = format!("pictures every {step} ms, groups of {groups:?}, sound {with_sound}, pause {pause}");
                assert_eq!(broken(&s), [""; 0], "{what}: {:?}", lengths(&s));
                let whole: i64 = s.segments().iter().map(|s| s.duration).sum();
                // Silence begins with the second picture: of one a second, the first second may have no parts.
                assert!((38_000_000..41_100_000).contains(&whole), "{what}: {whole}");
                let parts: i64 = s.segments().iter().flat_map(|s| &s.parts).map(|p| p.duration).sum();
                assert_eq!(parts, whole, "{what}");
                assert!(s.segments().iter().all(|segment| !segment.discontinuity), "{what}");
            }
        }
    }
}

#[test]
fn three_segments_are_there_soon_after_the_first_keyframe() {
    for gop in [500, 1000, 2000, 10_000] {
        let mut s = segmenter(Settings::default());
        feed(&mut s, 0..1_280, gop);
        assert!(s.segments().len() >= 3, "{:?}", lengths(&s));
        assert!(s.segments()[0].parts[0].independent);
    }
}

#[test]
fn a_part_beyond_the_last_one_is_the_first_of_the_next_segment() {
    let mut s = segmenter(Settings::default());
    feed(&mut s, 0..3_040, 1000);
    let number = s.segments().back().unwrap().number;
    let parts = s.segments().back().unwrap().parts.len();
    assert_eq!((number, s.current().0, s.current().1.len()), (103, 104, 0));
    assert!(s.reached(number, None) && s.reached(number, Some(parts - 1)));
    assert!(!s.reached(number, Some(parts)) && !s.reached(number, Some(99)) && !s.reached(number + 1, Some(0)));
    assert!(s.reached(number - 1, Some(99)), "the first part of the next is there");
    assert!(!s.may_come(number, parts) && s.may_come(number + 1, 0), "there is no such file");
    feed(&mut s, 3_040..3_560, 1000);
    assert_eq!(s.current().1.len(), 1);
    assert!(s.reached(number, Some(parts)) && s.reached(number, Some(99)) && s.reached(number + 1, Some(0)));
}

#[test]
fn sound_and_pictures_may_be_stamped_seconds_apart() {
    for (ahead, pictures) in [(2_000, 0), (-2_000, 0), (2_000, 200), (-6_000, 100)] {
        let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
        let asc = Arc::new(Frame::config(Codec::Aac, 0, vec![0x12, 0x10].into()));
        s.tracks(&Tracks { audio: Some(asc), ..tracks(30) });
        let mut made = 0;
        for ms in (10_000..20_000).step_by(20) {
            if ms % 40 == 0 && ms >= 10_000 + pictures {
                s.push(&Arc::new(picture(ms, ms % 1000 == 0)));
                made += i32::from(ms >= 11_000);
            }
            s.push(&Arc::new(Frame::audio(Codec::Aac, (ms + ahead) * 1000, vec![1; 50].into())));
        }
        s.finish();
        assert!(made > 200);
        assert!(s.segments().iter().all(|segment| !segment.discontinuity), "{ahead}: {:?}", lengths(&s));
        assert_eq!(broken(&s), [""; 0], "{ahead}");
        let whole: i64 = s.segments().iter().map(|s| s.duration).sum();
        assert!((8_900_000..=10_100_000).contains(&whole), "{ahead}: {whole}");
    }
}

#[test]
fn segments_say_when_they_came() {
    let mut s = segmenter(Settings::default());
    assert!(s.wants_clock());
    // 1 March 2028, after a leap day.
    s.set_clock(1_835_481_600_000_000);
    feed(&mut s, 0..3_040, 1000);
    let text = playlist::write(&s, &Settings::default(), "s", "");
    let dates: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:")).collect();
    let wanted = ["00.000", "00.400", "00.800", "01.000"].map(|s| format!("2028-03-01T00:00:{s}Z"));
    assert_eq!(dates, wanted);
    // After a break the publisher's time is another one.
    feed(&mut s, 16_000..16_040, 1000);
    assert!(s.wants_clock());
}

#[test]
fn audio_alone_is_cut_by_time_and_goes_on_when_pictures_stop() {
    let asc = Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x12, 0x10]));
    let sound = |i: i64| Arc::new(Frame::audio(Codec::Aac, i * 23_220, Bytes::from_static(b"aac")));
    let mut s = Segmenter::new(Settings::default(), 0);
    s.tracks(&Tracks { audio: Some(Arc::new(asc)), ..Tracks::default() });
    (0..300).for_each(|i| _ = s.push(&sound(i)));
    assert!(s.segments().len() >= 3 && s.segments().iter().all(|s| s.parts.iter().all(|p| p.independent)));

    let mut s = segmenter(Settings::default());
    s.push(&Arc::new(Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x12, 0x10]))));
    s.push(&Arc::new(picture(0, true)));
    (0..1000).for_each(|i| _ = s.push(&sound(i)));
    assert!(s.segments().len() >= 2, "pictures that stay away do not hold the sound back");
}

#[test]
fn old_segments_go_by_number_and_by_bytes() {
    let mut s = segmenter(Settings { kept: 14, ..Settings::default() });
    feed(&mut s, 0..40_000, 2000);
    assert_eq!(s.segments().len(), 14);
    let oldest = s.segments()[0].number;
    assert!(s.segment(oldest - 1).is_none() && s.segment(oldest).is_some());
    assert!(s.part(oldest - 1, 0).is_none());
    let size = s.segments()[0].bytes.len();
    let mut s = segmenter(Settings { bytes: size * 2 + 10, ..Settings::default() });
    feed(&mut s, 0..40_000, 2000);
    assert!(s.segments().iter().map(|s| s.bytes.len()).sum::<usize>() <= size * 2 + 10);
    assert!(!s.segments().is_empty());
}

#[test]
fn of_short_segments_as_many_are_listed_as_players_are_held_back() {
    let mut s = segmenter(Settings::default());
    // Each change of the pictures' size ends a segment.
    for second in 0..60 {
        s.tracks(&tracks(30 + (second % 2) as u8));
        feed(&mut s, second * 1000..(second + 1) * 1000, 1000);
    }
    let text = playlist::write(&s, &Settings::default(), "s", "");
    let of = |line: &str| line.strip_prefix("#EXTINF:").and_then(|l| l.trim_end_matches(',').parse::<f64>().ok());
    let listed: Vec<f64> = text.lines().filter_map(of).collect();
    assert!(listed.iter().sum::<f64>() >= 12.0 && listed.iter().sum::<f64>() < 14.0, "{text}");
    assert!(s.segments().len() < 50);
}

/// The discontinuity numbers of what a playlist names: of its segments, and of the one that is being made or hinted at.
fn numbers(text: &str) -> Vec<(u64, u64)> {
    let of = |tag: &str| text.lines().find_map(|line| line.strip_prefix(tag)).map_or(0, |n| n.parse().unwrap());
    let mut number = of("#EXT-X-MEDIA-SEQUENCE:");
    let mut breaks = of("#EXT-X-DISCONTINUITY-SEQUENCE:");
    let mut found = Vec::new();
    for line in text.lines() {
        breaks += u64::from(line == "#EXT-X-DISCONTINUITY");
        if line.starts_with("#EXTINF") || line.starts_with("#EXT-X-PRELOAD-HINT") {
            found.push((number, breaks));
            number += 1;
        }
    }
    found
}

/// Where a server is started again, players keep what they know of the time (hls.js: for each discontinuity number), and these
/// pictures come behind those of before.
#[test]
fn what_is_cut_later_has_later_times() {
    let mut last = 0;
    for restart in [1_790_000_000_000_000, 1_790_000_040_000_000] {
        let mut s = segmenter(Settings::default());
        s.set_clock(restart);
        feed(&mut s, 0..6_000, 2000);
        // A break asks for the clock again; what follows is in the same time.
        feed(&mut s, 30_000..30_040, 2000);
        assert!(s.wants_clock());
        s.set_clock(restart);
        feed(&mut s, 30_040..34_000, 2000);
        for segment in s.segments() {
            let time = i64::try_from(decode_times(&segment.bytes)[0]).unwrap() * 1000 / 90;
            let came = segment.came.unwrap();
            assert!((time - came).abs() < 1_000, "{time} {came}");
            assert!(time > last, "{time} {last}");
            last = time;
        }
    }
}

/// hls.js until 1.7.0 stops for good where a segment's number is another than it was.
#[test]
fn each_segment_keeps_its_discontinuity_number() {
    let settings = Settings { listed: 6, ..Settings::default() };
    let mut s = segmenter(Settings::default());
    let mut known = std::collections::BTreeMap::new();
    let mut check = |s: &Segmenter| {
        for (number, breaks) in numbers(&playlist::write(s, &settings, "s", "")) {
            let before = *known.entry(number).or_insert(breaks);
            assert_eq!(before, breaks, "segment {number}");
        }
    };
    let mut at = 0;
    for level in 30..35 {
        // Another size, and the configuration comes some time before the first picture.
        s.push(&Arc::new(avcc(level)));
        check(&s);
        for ms in (at..at + 20_000).step_by(40) {
            s.push(&Arc::new(picture(ms, (ms - at) % 2_000 == 0)));
            check(&s);
        }
        // And the publisher goes, and is back later.
        at += 30_000;
    }
    let last = known.values().last().unwrap();
    assert!(*last >= 4, "there were breaks: {last}");
}

#[test]
fn a_change_of_codec_or_clock_is_a_discontinuity() {
    let mut s = segmenter(Settings::default());
    feed(&mut s, 0..4000, 1000);
    s.push(&Arc::new(avcc(31)));
    feed(&mut s, 4000..6040, 1000);
    // Ten seconds later the publisher is back.
    feed(&mut s, 16_000..19_040, 1000);
    let text = playlist::write(&s, &Settings::default(), "s", "");
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 2, "{text}");
    assert_eq!(text.matches("#EXT-X-MAP").count(), 3, "{text}");
    assert!(s.segments().iter().all(|s| s.duration <= 2_100_000), "the pause is in no segment");
    let init = s.segments().back().unwrap().init;
    assert!(s.init(init, Which::All).is_some());
}

#[test]
fn pictures_of_another_size_follow_without_a_gap_when_their_keyframe_comes() {
    let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
    s.tracks(&Tracks { audio: Some(asc()), ..tracks(30) });
    let mut told = Vec::new();
    for ms in (0..8_040).step_by(20) {
        if ms == 4_000 {
            s.push(&Arc::new(avcc(31)));
        }
        // Nothing is at hand to decode these with.
        let is_key = if ms < 4_000 { ms % 1_000 == 0 } else { ms == 4_300 || ms % 1_000 == 0 && ms > 4_000 };
        if ms % 60 == 0 || is_key {
            s.push(&Arc::new(picture(ms, is_key)));
        }
        s.push(&sound(ms));
        told.push((ms, s.segments().len() - s.with(Which::All).len()));
    }
    let change = s.segments().iter().position(|segment| segment.discontinuity).unwrap();
    let segments: Vec<&Segment> = s.segments().iter().collect();
    // What is shown lasts until then, and the sound goes on.
    let shown = |segment: &Segment| {
        let init = s.init(segment.init, Which::Pictures).and_then(|kept| kept.bytes()).unwrap();
        let file = [init, segment.get(Which::Pictures).and_then(|kept| kept.bytes()).unwrap()].concat();
        crate::fmp4::played(&mut std::io::Cursor::new(&file), file.len() as u64).unwrap().ms
    };
    let before = segments[change - 1];
    assert_eq!(shown(before), 4_300);
    assert_eq!(
        decode_times(&segments[change].get(Which::Pictures).and_then(|kept| kept.bytes()).unwrap())[0],
        4_300 * 90
    );
    // The first segment behind the change is short, and players are told of it together with the next.
    assert!(segments[change].parts.len() == 1 && segments[change].duration <= 150_000);
    let held: Vec<i64> = told.iter().filter(|(_, held)| *held > 0).map(|(ms, _)| *ms).collect();
    assert!(!held.is_empty() && held.iter().all(|ms| (4_300..5_000).contains(ms)), "{held:?}");
}

#[test]
fn parts_are_listed_of_all_short_segments_at_the_end() {
    let mut s = segmenter(Settings::default());
    feed(&mut s, 0..1_500, 1_000);
    let text = playlist::write(&s, &Settings::default(), "s", "");
    assert!(text.contains("s/100.0.m4s\""), "{text}");
    feed(&mut s, 1_520..9_000, 1_000);
    let text = playlist::write(&s, &Settings::default(), "s", "");
    let (current, ..) = s.current();
    let of = |back: u64| text.contains(&format!("s/{}.0.m4s\"", current - back));
    assert!(of(1) && of(2) && !of(3), "{text}");
}

#[test]
fn the_playlist_names_segments_parts_and_what_comes() {
    let mut s = segmenter(Settings::default());
    feed(&mut s, 0..5000, 1000);
    let text = playlist::write(&s, &Settings::default(), "room", "?txSecret=a");
    for line in [
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:4",
        "#EXT-X-PART-INF:PART-TARGET=0.500",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.500,HOLD-BACK=12",
        "#EXT-X-MEDIA-SEQUENCE:100",
        "#EXT-X-MAP:URI=\"room/100.init.mp4?txSecret=a\"",
        "room/100.m4s?txSecret=a",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    let (current, parts, _) = s.current();
    let hint = format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"room/{current}.{}.m4s?txSecret=a\"", parts.len());
    assert!(text.ends_with(&format!("{hint}\n")), "{text}");
    assert!(text.contains(&format!("room/{current}.0.m4s?txSecret=a\",INDEPENDENT=YES")), "{text}");
    s.finish();
    let text = playlist::write(&s, &Settings::default(), "room", "");
    assert!(text.ends_with("#EXT-X-ENDLIST\n") && !text.contains("PRELOAD"), "{text}");
}

/// Where the playlist tells players to begin, in milliseconds from its end. It says so from its beginning.
fn begins(s: &Segmenter) -> Option<i64> {
    let text = playlist::write(s, &Settings::default(), "s", "");
    let offset = text.lines().find_map(|l| l.strip_prefix("#EXT-X-START:TIME-OFFSET="))?;
    let segments = text.lines().filter_map(|l| l.strip_prefix("#EXTINF:")?.strip_suffix(','));
    let open = text.rsplit("\n").take_while(|l| !l.starts_with("#EXTINF"));
    let parts = open.filter_map(|l| l.strip_prefix("#EXT-X-PART:DURATION=")?.split(',').next());
    let end: f64 = segments.chain(parts).map(|length| length.parse::<f64>().unwrap()).sum();
    Some(((offset.parse::<f64>().unwrap() - end) * 1000.0).round() as i64)
}

#[test]
fn players_begin_at_the_keyframe_of_a_long_group() {
    for (gop, is_told) in [(1000, false), (2000, false), (3000, false), (4000, false), (6000, true), (10_000, true)] {
        let mut s = segmenter(Settings::default());
        s.set_clock(0);
        let mut told = 0;
        let mut end = 0;
        for ms in (0..40_000).step_by(40) {
            feed(&mut s, ms..ms + 40, gop);
            let open: i64 = s.current().1.iter().map(|p| p.duration).sum();
            end = end.max(s.segments().back().map_or(0, |last| last.came.unwrap() + last.duration) + open);
            let Some(offset) = begins(&s) else {
                assert!(gop < 10_000 || !(1_500_000..9_900_000).contains(&end), "the first group, too: {end}");
                continue;
            };
            // The first segments are short, and cut with or without a keyframe.
            told += i32::from(end > 6_000_000);
            let begin = end / 1000 + offset;
            assert_eq!(begin % gop, 10, "{gop}: {begin} of {end}");
            assert!((-gop - 500..=-400).contains(&offset), "{gop}: {offset}");
        }
        assert_eq!(told > 0, is_told, "{gop}");
        s.finish();
        assert_eq!(begins(&s), None);
    }
}

#[test]
fn files_are_known_by_their_names() {
    assert_eq!(Wanted::parse("7.init.mp4").map(|w| w.file), Some(File::Init(7)));
    assert_eq!(Wanted::parse("7.m4s").map(|w| w.file), Some(File::Segment(7)));
    assert_eq!(Wanted::parse("7.12.m4s").map(|w| w.file), Some(File::Part(7, 12)));
    for bad in ["", ".m4s", "x.m4s", "7.x.m4s", "7.1.2.m4s", "-1.m4s", "99999999999999999999.m4s", "7.mp4", "7"] {
        assert_eq!(Wanted::parse(bad).map(|w| w.file), None, "{bad}");
    }
}

fn start(hub: &Hub, stream: &StreamName) -> Publisher {
    let origin = Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() };
    let publisher = hub.publish(stream, origin).unwrap();
    publisher.push(avcc(30)).unwrap();
    publisher
}

/// Pushes pictures in their own time.
async fn stream(publisher: &Publisher, ms: std::ops::Range<i64>) {
    for ms in ms.step_by(40) {
        publisher.push(picture(ms, ms % 1000 == 0)).unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_cut_while_somebody_asks() {
    let hub = Hub::new(hub::Settings::default());
    let hls = Hls::new(hub.clone(), Renditions::new(hub.clone()), Settings::default());
    let name = StreamName::new("s").unwrap();
    let none = hls.playlist(&name, Some(Duration::from_secs(1)), Reload::default(), "s", "").await;
    assert_eq!((none, hls.len()), (Err(Missing::NotFound), 0));
    assert_eq!(hls.file(&name, File::Segment(1)).await, Err(Missing::NotFound));

    let publisher = start(&hub, &name);
    let ask = |reload| {
        let hls = hls.clone();
        let name = name.clone();
        tokio::spawn(async move { hls.playlist(&name, None, reload, "s", "").await })
    };
    let first = ask(Reload::default());
    stream(&publisher, 0..3000).await;
    let text = first.await.unwrap().unwrap();
    let number: u64 = text.lines().find_map(|l| l.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")).unwrap().parse().unwrap();
    assert!(!hls.file(&name, File::Segment(number)).await.unwrap().is_empty());
    assert!(!hls.file(&name, File::Init(number)).await.unwrap().is_empty());
    assert_eq!(hls.file(&name, File::Segment(number + 50)).await, Err(Missing::NotFound));
    assert_eq!(text.matches("#EXTINF").count(), 3, "{text}");

    // A reload and a part that come later are waited for, and answered as soon as they are there.
    let segment = number + 4;
    let reload = ask(Reload { segment: Some(segment), part: Some(1) });
    let far = ask(Reload { segment: Some(number + 99), part: None });
    let part = {
        let hls = hls.clone();
        let name = name.clone();
        tokio::spawn(async move { hls.file(&name, File::Part(segment, 0)).await })
    };
    assert_eq!(far.await.unwrap(), Err(Missing::TooFar));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!reload.is_finished() && !part.is_finished());
    stream(&publisher, 3000..5200).await;
    let text = reload.await.unwrap().unwrap();
    assert!(text.contains(&format!("#EXT-X-PART:DURATION=0.48000,URI=\"s/{segment}.1.m4s\"")), "{text}");
    assert!(!part.await.unwrap().unwrap().is_empty());

    // Nobody asks: it stops by itself, and the hub has no reader more.
    assert_eq!(hub.info(&name).unwrap().viewers(), 1);
    stream(&publisher, 5200..37_000).await;
    assert_eq!((hls.len(), hub.info(&name).unwrap().viewers()), (0, 0));

    // Asked again, it starts again, under numbers of their own.
    let again = ask(Reload::default());
    stream(&publisher, 37_000..40_000).await;
    let text = again.await.unwrap().unwrap();
    let before = hls.playlist(&name, None, Reload::default(), "s", "").await.unwrap();
    publisher.finish(Ended::Finished);
    tokio::time::sleep(Duration::from_millis(1)).await;
    // The last part is told of before the end.
    let last = hls.playlist(&name, None, Reload::default(), "s", "").await.unwrap();
    let parts = |text: &str| text.matches("#EXT-X-PART:").count();
    assert!(!last.contains("ENDLIST") && parts(&last) > parts(&before), "{before}{last}");
    tokio::time::sleep(Settings::default().returns).await;
    let over = hls.playlist(&name, None, Reload::default(), "s", "").await.unwrap();
    assert!(!text.contains("ENDLIST") && over.ends_with("#EXT-X-ENDLIST\n"), "{over}");
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(hls.is_empty());
}

/// The times of decoding at which runs begin, each in ticks of its track: pictures (90 kHz) and sound in turn.
fn decode_times(segment: &[u8]) -> Vec<u64> {
    let at = segment.windows(4).enumerate().filter(|(_, w)| w == b"tfdt").map(|(at, _)| at + 8);
    at.map(|at| u64::from_be_bytes(segment[at..at + 8].try_into().unwrap())).collect()
}

#[test]
fn parts_begin_where_the_lengths_before_them_end() {
    let sound = |us: i64| Arc::new(Frame::audio(Codec::Aac, us, vec![1; 50].into()));
    // Pictures of a browser, whose clock has 90,000 steps a second and which come when they are made; black ones at first, or none.
    for begins_black in [true, false] {
        let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
        s.expect(if begins_black { Expected::AnyTime } else { Expected::Soon });
        s.set_clock(1_790_000_000_440_389);
        s.push(&Arc::new(Frame::config(Codec::Aac, 0, vec![0x11, 0x90].into())));
        let mut next = if begins_black { 3_000_000 } else { 0 };
        for n in 0..900_i64 {
            let at = n * 64_000 / 3;
            while next <= at {
                let picture = next * 9 / 100;
                let frame = picture * 100 / 9;
                if frame / 6_000_000 > (next - 40_000) / 6_000_000 || next == 0 || next == 3_000_000 {
                    s.push(&Arc::new(avcc(30 + (next / 6_000_000) as u8)));
                }
                let key = (next / 33_333) % 60 == 0 || next % 6_000_000 < 40_000 || next == 3_000_000;
                s.push(&Arc::new(Frame::video(Codec::H264, frame, 0, key, vec![7; 100].into())));
                next += [33_333, 16_667, 50_000][(next as usize / 3) % 3];
            }
            s.push(&sound(at));
        }
        let mut begins = None;
        let mut seen = 0;
        for segment in s.segments() {
            for (number, part) in segment.parts.iter().enumerate() {
                let first = decode_times(&part.bytes)[0];
                let begin = *begins.get_or_insert(first);
                assert!(part.has_video, "{begins_black}: {}.{number} has no picture", segment.number);
                assert_eq!((first, first % 90), (begin, 0), "{begins_black}: {}.{number}", segment.number);
                assert_eq!(part.duration % 1_000, 0, "{begins_black}: {}.{number}", segment.number);
                begins = Some(begin + part.duration as u64 / 1_000 * 90);
                seen += 1;
            }
        }
        assert!(seen > 35 && s.segments().iter().any(|segment| segment.discontinuity), "{seen}");
    }
}

#[test]
fn pictures_that_stand_still_are_at_whole_milliseconds_too() {
    let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
    s.set_clock(1_790_000_000_440_389);
    s.push(&Arc::new(Frame::config(Codec::Aac, 0, vec![0x11, 0x90].into())));
    s.push(&Arc::new(avcc(30)));
    for n in 0..600_i64 {
        let at = n * 64_000 / 3;
        if n % 2 == 0 && !(4_000_000..9_000_000).contains(&at) {
            s.push(&Arc::new(Frame::video(Codec::H264, at, 0, n % 48 == 0, vec![7; 100].into())));
        }
        s.push(&Arc::new(Frame::audio(Codec::Aac, at, vec![1; 50].into())));
    }
    let parts = s.segments().iter().flat_map(|segment| &segment.parts);
    let begins: Vec<u64> = parts.filter(|part| part.has_video).map(|part| decode_times(&part.bytes)[0]).collect();
    assert!(begins.len() > 15 && begins.iter().all(|begin| begin % 90 == 0), "{begins:?}");
    let stills = s.segments().iter().flat_map(|segment| &segment.parts).filter(|part| part.independent).count();
    assert!(stills > 8, "{stills}");
    assert!(broken(&s).is_empty(), "{:?}", broken(&s));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_and_begins_anew_goes_on_in_the_same_playlist() {
    let hub = Hub::new(hub::Settings::default());
    let hls = Hls::new(hub.clone(), Renditions::new(hub.clone()), Settings::default());
    let name = StreamName::new("s").unwrap();
    let ask = async || hls.playlist(&name, None, Reload::default(), "s", "").await.unwrap();
    let publisher = start(&hub, &name);
    let (first, ()) = tokio::join!(ask(), stream(&publisher, 0..8_000));
    publisher.finish(Ended::Finished);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!ask().await.contains("ENDLIST"), "it may come back");
    let publisher = start(&hub, &name);
    stream(&publisher, 0..6_000).await;
    let text = ask().await;
    assert!(!text.contains("ENDLIST") && text.matches("#EXT-X-DISCONTINUITY\n").count() == 1, "{text}");
    let number = |text: &str| -> u64 {
        text.lines().find_map(|l| l.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")).unwrap().parse().unwrap()
    };
    let count = text.matches("#EXTINF").count() as u64;
    assert!(number(&text) <= number(&first) + 4 && count >= 6, "{first}{text}");
    let mut times = Vec::new();
    for segment in number(&text)..number(&text) + count {
        times.extend(decode_times(&hls.file(&name, File::Segment(segment)).await.unwrap()).into_iter().step_by(2));
    }
    assert!(times.is_sorted() && times.last().unwrap() - times[0] < 15 * 90_000, "one time for both: {times:?}");
    // An operator's end is one at once.
    hub.end(&name, Ended::Kicked("banned".into()));
    tokio::time::sleep(Settings::default().part * 2).await;
    assert!(ask().await.ends_with("#EXT-X-ENDLIST\n"));
}

#[test]
fn a_publisher_that_comes_back_without_pictures_is_heard_and_seen_again_when_it_shows_some() {
    let mut s = Segmenter::new(Settings::default(), 100);
    let asc = Arc::new(Frame::config(Codec::Aac, 0, vec![0x12, 0x10].into()));
    s.tracks(&Tracks { audio: Some(asc), ..tracks(30) });
    let sound = |s: &mut Segmenter, ms: std::ops::Range<i64>| {
        for ms in ms.step_by(20) {
            s.push(&Arc::new(Frame::audio(Codec::Aac, ms * 1000, vec![1; 50].into())));
        }
    };
    feed(&mut s, 0..3_040, 1000);
    let before = s.segments().len();
    // Pictures that do flow, without a key picture so far, are waited for.
    for ms in (6_000..9_000).step_by(40) {
        s.push(&Arc::new(picture(ms, false)));
        sound(&mut s, ms..ms + 40);
    }
    assert_eq!(s.current_init(Which::All), Some(100));
    sound(&mut s, 9_000..17_000);
    let heard: Vec<_> = s.segments().iter().skip(before + 1).map(|segment| segment.init).collect();
    assert!(heard.len() >= 2, "{heard:?}");
    // The playlist had pictures, and has them: the last keyframe stands there.
    assert!(init(&s, *heard.last().unwrap()).windows(4).any(|w| w == b"avc1"));
    feed(&mut s, 17_000..22_040, 1000);
    let last = s.segments().back().unwrap();
    assert!(init(&s, last.init).windows(4).any(|w| w == b"avc1"));
}

/// Whether each segment has pictures, and sound.
fn sets(s: &Segmenter) -> Vec<(bool, bool)> {
    let has = |init: u64, four: &[u8]| self::init(s, init).windows(4).any(|w| w == four);
    s.segments().iter().map(|segment| (has(segment.init, b"avc1"), has(segment.init, b"mp4a"))).collect()
}

#[test]
fn the_set_of_tracks_is_one_for_as_long_as_the_playlist_lives() {
    let asc = || Arc::new(Frame::config(Codec::Aac, 0, vec![0x12, 0x10].into()));
    let sound = |ms: i64| Arc::new(Frame::audio(Codec::Aac, ms * 1000, vec![1; 50].into()));
    // Whether sound is announced, and from when to when there are pictures and sound, in milliseconds.
    for (announced, pictures, sounds) in [
        (true, 0..20_000, 0..0),
        (false, 0..20_000, 0..0),
        (true, 0..20_000, 8_000..20_000),
        (false, 0..20_000, 8_000..20_000),
        (true, 0..20_000, 0..8_000),
        (true, 0..8_000, 0..20_000),
        (true, 8_000..20_000, 0..20_000),
    ] {
        let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
        s.tracks(&Tracks { audio: announced.then(asc), ..tracks(30) });
        for ms in (0..20_000).step_by(20) {
            if ms == sounds.start && !announced && !sounds.is_empty() {
                s.push(&asc());
            }
            if pictures.contains(&ms) && ms % 40 == 0 {
                s.push(&Arc::new(picture(ms, ms % 1000 == 0)));
            }
            if sounds.contains(&ms) {
                s.push(&sound(ms));
            }
        }
        let sets = sets(&s);
        assert!(sets.len() >= 7 && sets.iter().all(|set| *set == (true, true)), "{pictures:?} {sounds:?}: {sets:?}");
        let whole: i64 = s.segments().iter().map(|s| s.duration).sum();
        assert!(whole > 15_500_000, "{pictures:?} {sounds:?}: {whole}");
    }
}

/// Sound, as browsers begin with it.
fn sound(ms: i64) -> Arc<Frame> {
    Arc::new(Frame::audio(Codec::Aac, ms * 1000, vec![1; 50].into()))
}

fn asc() -> Arc<Frame> {
    Arc::new(Frame::config(Codec::Aac, 0, vec![0x11, 0x90].into()))
}

/// Six seconds of sound, where no pictures are to be expected.
fn sound_alone() -> Segmenter {
    let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
    s.tracks(&Tracks { audio: Some(asc()), ..Tracks::default() });
    s.expect(Expected::Nothing);
    (0..6_000).step_by(20).for_each(|ms| _ = s.push(&sound(ms)));
    s
}

fn whole(s: &Segmenter) -> i64 {
    s.segments().iter().map(|segment| segment.duration).sum()
}

#[test]
fn pictures_that_come_behind_the_first_sound_are_there_from_the_first_segment_on() {
    // When pictures come after the first sound, and whether they have a place from the start, in milliseconds.
    for (late, expected) in [(40, Expected::Nothing), (900, Expected::Nothing), (12_000, Expected::AnyTime)] {
        let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
        s.tracks(&Tracks { audio: Some(asc()), ..Tracks::default() });
        for ms in (0..20_000).step_by(20) {
            s.expect(if ms < 1_000 { Expected::Soon } else { expected });
            if ms == late {
                s.push(&Arc::new(avcc(30)));
            }
            if ms >= late && ms % 40 == 0 {
                s.push(&Arc::new(picture(ms, ms % 1000 == 0 || ms == late)));
            }
            s.push(&sound(ms));
        }
        let sets = sets(&s);
        assert!(sets.len() > 7 && sets.iter().all(|set| *set == (true, true)), "{late}: {sets:?}");
        let breaks = s.segments().iter().filter(|segment| segment.discontinuity).count();
        assert_eq!(breaks, usize::from(late > 1_000), "{late}");
        assert!(whole(&s) > 16_500_000, "{late}: {}", whole(&s));
    }
}

#[test]
fn a_camera_that_comes_on_is_seen_however_far_its_pictures_are_stamped_behind_the_sound() {
    for behind in [0, 20, 100, 200, 300, 700] {
        let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
        s.tracks(&Tracks { audio: Some(asc()), ..Tracks::default() });
        s.expect(Expected::AnyTime);
        let mut bytes = 0;
        for ms in (0..12_000).step_by(20) {
            s.push(&sound(ms));
            if ms == 6_000 {
                s.push(&Arc::new(avcc(30)));
            }
            if ms >= 6_000 && ms % 40 == 0 {
                s.push(&Arc::new(picture(ms - behind, ms % 1_000 == 0)));
                bytes += 100;
            }
        }
        s.finish();
        let shown: usize = s.segments().iter().map(|segment| segment.bytes.iter().filter(|b| **b == 7).count()).sum();
        assert!(shown >= bytes * 9 / 10, "{behind}: {shown} of {bytes}");
    }
}

#[test]
fn who_comes_after_pictures_came_with_a_publisher_that_returned_sees_them() {
    let mut s = sound_alone();
    s.resume();
    s.tracks(&Tracks { audio: Some(asc()), ..tracks(30) });
    for ms in (0..6_000).step_by(20) {
        if ms % 40 == 0 {
            s.push(&Arc::new(picture(ms, ms % 1_000 == 0)));
        }
        s.push(&sound(ms));
    }
    let has_pictures = |init| self::init(&s, init).windows(4).any(|four| four == b"avc1");
    assert!(s.with(Which::All).len() >= 3 && s.with(Which::All).all(|segment| has_pictures(segment.init)));
}

#[test]
fn sound_that_stays_alone_loses_nothing_of_its_first_second() {
    let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
    s.tracks(&Tracks { audio: Some(asc()), ..Tracks::default() });
    for ms in (0..5_000).step_by(20) {
        s.expect(if ms < 1_000 { Expected::Soon } else { Expected::Nothing });
        s.push(&sound(ms));
        assert_eq!(s.current_init(Which::All).is_some(), ms >= 1_000);
    }
    assert!(sets(&s).iter().all(|set| *set == (false, true)) && whole(&s) >= 4_000_000);
    assert_eq!(decode_times(&s.segments()[0].bytes)[0], 0);
}

#[test]
fn who_began_with_sound_alone_hears_on_when_pictures_come_and_who_comes_then_sees_them() {
    let mut s = sound_alone();
    assert!(s.is_sound_alone());
    let text = playlist::write_sound(&s, "s", "?a=1");
    assert!(text.contains("CODECS=\"mp4a.40.2\"") && text.ends_with("\ns/sound0.m3u8?a=1\n"), "{text}");
    let names = || Names { before: String::new(), which: Which::Sound(0), query: "" };
    let before = playlist::write_of(&s, &Settings::default(), &names());
    s.push(&Arc::new(avcc(30)));
    let see = |s: &mut Segmenter, range: std::ops::Range<i64>| {
        for ms in range.step_by(20) {
            if ms % 40 == 0 {
                s.push(&Arc::new(picture(ms, ms % 1000 == 0)));
            }
            s.push(&sound(ms));
        }
    };
    // Pictures that no keyframe is before break nothing off.
    see(&mut s, 6_200..7_000);
    assert!(s.is_sound_alone());
    see(&mut s, 7_000..7_100);
    assert!(!s.is_sound_alone() && s.with(Which::All).next().is_none(), "who comes now waits for pictures");
    see(&mut s, 7_100..13_000);
    assert!(!s.is_sound_alone());
    let after = playlist::write_of(&s, &Settings::default(), &names());
    assert!(!before.contains("GAP") && !after.contains("GAP"), "{after}");
    // One list of sound, as if no pictures had come.
    let inits = |text: &str| text.lines().filter(|line| line.starts_with("#EXT-X-MAP")).count();
    assert!(inits(&after) == 1 && !after.contains("DISCONTINUITY"), "{after}");
    let seen = playlist::write(&s, &Settings::default(), "s", "");
    assert!(inits(&seen) == 1 && !seen.contains("DISCONTINUITY"), "{seen}");
    assert!(s.with(Which::All).all(|segment| segment.has(Which::Pictures)));
    let lengths: Vec<i64> = s.with(Which::All).map(|segment| segment.duration / 1_000).collect();
    assert!(lengths[..3].iter().all(|length| *length <= 400) && lengths[3] >= 1_500, "{lengths:?}");
    // No sound is left out: each segment begins where the one before it ended.
    let sounds = |segment: &Segment| {
        let bytes = segment.get(Which::Sound(0)).and_then(|kept| kept.bytes()).unwrap();
        decode_times(&bytes)
    };
    assert!(s.segments().iter().all(|segment| sounds(segment).len() == segment.parts.len()));
}

#[test]
fn announced_pictures_of_any_codec_that_stay_away_are_black() {
    let black = |codec: Codec| crate::black::Black::of(codec).unwrap();
    for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp9] {
        let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
        let config = Frame::config(codec, 0, black(codec).config.payload.clone());
        s.tracks(&Tracks { video: Some(Arc::new(config)), audio: Some(asc()), ..Tracks::default() });
        (0..5_000).step_by(20).for_each(|ms| _ = s.push(&sound(ms)));
        assert!(s.segments().len() >= 3, "{codec:?}");
        assert!(s.segments().iter().all(|segment| segment.parts.iter().any(|part| part.has_video)), "{codec:?}");
    }
}

#[test]
fn a_stream_that_begins_anew_with_sound_alone_keeps_its_pictures() {
    for gap in [1_000, 14_000] {
        let mut s = Segmenter::new(Settings { kept: 100, ..Settings::default() }, 100);
        s.tracks(&Tracks { audio: Some(asc()), ..tracks(30) });
        for ms in (0..4_000).step_by(20) {
            if ms % 40 == 0 {
                s.push(&Arc::new(picture(ms, ms % 1000 == 0)));
            }
            s.push(&sound(ms));
        }
        let before = s.segments().len();
        if gap < 5_000 {
            s.begin_end();
            s.resume();
            s.tracks(&Tracks { audio: Some(asc()), ..Tracks::default() });
        }
        // Or its publisher was away, and comes back without a camera.
        (4_000 + gap..10_000 + gap).step_by(20).for_each(|ms| _ = s.push(&sound(ms)));
        let sets = sets(&s);
        assert!(sets.len() >= before + 2 && sets.iter().all(|set| *set == (true, true)), "{gap}: {sets:?}");
        assert!(whole(&s) >= 7_000_000, "{gap}: {}", whole(&s));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_come_before_what_was_asked_for() {
    let hub = Hub::new(hub::Settings::default());
    let hls = Hls::new(hub.clone(), Renditions::new(hub.clone()), Settings::default());
    let name = StreamName::new("s").unwrap();
    let publisher = start(&hub, &name);
    let first = hls.playlist(&name, None, Reload::default(), "s", "");
    let (first, ()) = tokio::join!(first, stream(&publisher, 0..3_000));
    first.unwrap();
    let next = hls.inner.streams.lock().get(&name).unwrap().segmenter.lock().current().0 + 1;
    let begun = Instant::now();
    let found = hls.playlist(&name, None, Reload { segment: Some(next), part: None }, "s", "").await;
    assert_eq!((found, begun.elapsed()), (Err(Missing::NotYet), Settings::default().patience));
}
