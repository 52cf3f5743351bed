//! Further tracks of sound: what is listed and handed out of each, and that nobody notices who does not ask.

use super::*;
use crate::fmp4::{PICTURES, SOUND, only};

fn asc(track: u8) -> Frame {
    Frame::config(Codec::Aac, 0, vec![0x11, 0x90].into()).of_track(track)
}

/// Two seconds and a half of pictures and these tracks of sound, whose frames tell them apart.
fn feed_with(segmenter: &mut Segmenter, from: i64, sounds: &[u8]) {
    for at in (from..from + 2_500).step_by(20) {
        if at % 40 == 0 {
            segmenter.push(&Arc::new(picture(at, at % 1000 == 0)));
        }
        for track in sounds {
            let unit = vec![0x40 + track; 50];
            segmenter.push(&Arc::new(Frame::audio(Codec::Aac, at * 1000, unit.into()).of_track(*track)));
        }
    }
}

fn with_sound(further: &[u8]) -> Segmenter {
    let mut s = Segmenter::new(Settings::default(), 100);
    let further = further.iter().map(|track| Arc::new(asc(*track))).collect();
    s.tracks(&Tracks { audio: Some(Arc::new(asc(0))), further, ..tracks(30) });
    s
}

/// How many units of each track of sound, and of pictures, are in these bytes.
fn units(bytes: &[u8]) -> [usize; 4] {
    let runs = |byte: u8, length: usize| {
        let mut count = 0;
        let mut at = 0;
        while let Some(window) = bytes.get(at..at + length) {
            let found = window.iter().all(|b| *b == byte);
            count += usize::from(found);
            at += if found { length } else { 1 };
        }
        count
    };
    [runs(7, 100), runs(0x40, 50), runs(0x41, 50), runs(0x42, 50)]
}

fn got(segment: &Segment, which: Which) -> Option<Bytes> {
    segment.get(which).and_then(|kept| kept.bytes())
}

fn listed(s: &Segmenter, which: Which) -> String {
    playlist::write_of(s, &Settings::default(), &Names { before: String::new(), which, query: "?a=1" })
}

#[test]
fn each_track_is_a_file_of_its_own_beside_what_there_was_without_it() {
    let mut s = with_sound(&[1, 2]);
    let mut without = with_sound(&[]);
    for from in [0, 2_500, 5_000] {
        feed_with(&mut s, from, &[0, 1, 2]);
        feed_with(&mut without, from, &[0]);
    }
    assert_eq!(
        playlist::write(&s, &Settings::default(), "s", ""),
        playlist::write(&without, &Settings::default(), "s", "")
    );
    assert!(s.segments().len() > 4);
    for (segment, plain) in s.segments().iter().zip(without.segments()) {
        assert_eq!((&segment.bytes, segment.number), (&plain.bytes, plain.number));
        let [pictures, sound, none, _] = units(&segment.bytes);
        assert!(pictures > 4 && sound > 8 && none == 0);
        assert_eq!(units(&got(segment, Which::Pictures).unwrap()), [pictures, 0, 0, 0]);
        assert_eq!(units(&got(segment, Which::Sound(0)).unwrap()), [0, sound, 0, 0]);
        let [.., first, second] = units(&got(segment, Which::Sound(1)).unwrap());
        assert!(first.abs_diff(sound) <= 3 && second == 0, "cut where the pictures are");
        assert!(got(segment, Which::Sound(3)).is_none());
        let parts: Vec<Bytes> = segment.parts.iter().filter_map(|p| p.get(Which::Sound(2))?.bytes()).collect();
        assert_eq!(parts.concat(), got(segment, Which::Sound(2)).unwrap());
    }
    // Nothing is lost between them, and nothing comes twice.
    let units_of =
        |which: Which, at: usize| s.segments().iter().map(|s| units(&got(s, which).unwrap())[at]).sum::<usize>();
    let first = units_of(Which::Sound(0), 1);
    assert!(first > 300 && first.abs_diff(units_of(Which::Sound(1), 2)) <= 3, "{first}");
    let init = s.current_init(Which::All).unwrap();
    assert_eq!(only(&s.init(init, Which::Sound(1)).unwrap().bytes().unwrap(), PICTURES), Bytes::new());
    assert!(s.init(init, Which::Sound(3)).is_none() && only(&s.segments()[0].bytes, SOUND).len() > 100);
}

#[test]
fn playlists_name_the_same_segments_and_the_multivariant_one_names_them() {
    let mut s = with_sound(&[1]);
    feed_with(&mut s, 0, &[0, 1]);
    feed_with(&mut s, 2_500, &[0, 1]);
    let plain = playlist::write(&s, &Settings::default(), "s", "?a=1");
    for (which, tag) in [(Which::Pictures, ".v"), (Which::Sound(0), ".a0"), (Which::Sound(1), ".a1")] {
        let text = listed(&s, which);
        let strip = |text: &str, tag: &str| {
            let lines =
                text.lines().filter(|l| !l.starts_with("#EXT-X-START")).map(|l| l.replace(",INDEPENDENT=YES", ""));
            lines.collect::<Vec<_>>().join("\n").replace("s/", "").replace(tag, "")
        };
        assert_eq!(strip(&text, tag), strip(&plain, "none"), "{text}");
        assert!(
            !text.contains("GAP")
                && text.contains(&format!("100.init.mp4{}", "?a=1").replace("100", &format!("100{tag}")))
        );
    }
    let text = playlist::write_tracks(&s, "s", "?a=1");
    for line in [
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Track 1\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"s/sound0.m3u8?a=1\"",
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Track 2\",DEFAULT=NO,AUTOSELECT=NO,CHANNELS=\"2\",URI=\"s/sound1.m3u8?a=1\"",
        "s/pictures.m3u8?a=1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    assert!(text.contains("CODECS=\"avc1.64001e,mp4a.40.2\"") && text.contains(",AUDIO=\"sound\"\n"), "{text}");
}

#[test]
fn a_track_that_comes_late_is_a_gap_before_and_one_that_stays_away_is_silent() {
    let mut s = with_sound(&[]);
    feed_with(&mut s, 0, &[0]);
    s.push(&Arc::new(asc(1)));
    feed_with(&mut s, 2_500, &[0, 1]);
    feed_with(&mut s, 5_000, &[0]);
    feed_with(&mut s, 7_500, &[0]);
    let text = listed(&s, Which::Sound(1));
    let gaps: Vec<bool> = s.segments().iter().map(|segment| got(segment, Which::Sound(1)).is_none()).collect();
    assert_eq!(text.matches("#EXT-X-GAP\n").count(), gaps.iter().filter(|gap| **gap).count(), "{text}");
    assert!(gaps[0] && !gaps[gaps.len() - 3] && !gaps[gaps.len() - 1], "{gaps:?}");
    assert!(!text.contains("DISCONTINUITY"), "{text}");
    // Silence: units that are none of ours.
    let last = got(&s.segments()[gaps.len() - 1], Which::Sound(1)).unwrap();
    assert!(last.len() > 500 && units(&last) == [0; 4]);
}

#[test]
fn a_track_that_comes_after_pictures_have_come_to_sound_can_be_read_by_who_listens() {
    // Before pictures, with them, and behind them.
    for comes in [1_000, 3_000, 5_000] {
        let mut s = Segmenter::new(Settings::default(), 100);
        s.expect(Expected::Known);
        s.push(&Arc::new(asc(0)));
        for at in (0..10_000).step_by(20) {
            if at == 3_000 {
                s.push(&Arc::new(avcc(30)));
            }
            if at == comes {
                s.push(&Arc::new(asc(1)));
            }
            if at >= 3_000 && at % 40 == 0 {
                s.push(&Arc::new(picture(at, at % 1_000 == 0)));
            }
            let sound = |track| Arc::new(Frame::audio(Codec::Aac, at * 1_000, vec![0x40; 50].into()).of_track(track));
            s.push(&sound(0));
            if at >= comes {
                s.push(&sound(1));
            }
        }
        assert!(s.segments().iter().any(|segment| segment.init != segment.init_of_sound), "{comes}");
        for segment in s.segments().iter().filter(|segment| segment.has(Which::Sound(1))) {
            let init = s.init(segment.init_of_sound, Which::Sound(1));
            assert!(init.is_some_and(|kept| kept.bytes().is_some()), "{comes}: {}", segment.number);
        }
        assert!(got(s.segments().back().unwrap(), Which::Sound(1)).is_some(), "{comes}");
    }
}

#[test]
fn names_of_files_and_playlists_are_read_as_they_are_written() {
    for (name, file, which) in [
        ("7.m4s", File::Segment(7), Which::All),
        ("7.a1.m4s", File::Segment(7), Which::Sound(1)),
        ("7.2.v.m4s", File::Part(7, 2), Which::Pictures),
        ("7.a0.init.mp4", File::Init(7), Which::Sound(0)),
        ("7.init.mp4", File::Init(7), Which::All),
        ("7.2.m4s", File::Part(7, 2), Which::All),
    ] {
        assert_eq!(Wanted::parse(name), Some(Wanted { file, which }), "{name}");
    }
    for none in ["7.x.m4s", "a1.m4s", "7.a999.m4s", "7.1.2.m4s", "7.2.init.mp4", ".m4s"] {
        assert_eq!(Wanted::parse(none), None, "{none}");
    }
    for which in [Which::Pictures, Which::Sound(0), Which::Sound(5)] {
        assert_eq!(Which::of_playlist(&which.playlist()), Some(which));
    }
    assert_eq!((Which::of_playlist("all"), Which::of_playlist("soundx")), (None, None));
}
