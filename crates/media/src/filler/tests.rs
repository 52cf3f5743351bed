//! What is filled in, on frames made up.

use super::*;

const MS: i64 = 1_000;

fn config() -> Frame {
    Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))
}

fn sound(ms: i64) -> Arc<Frame> {
    Arc::new(Frame::audio(Codec::Aac, ms * MS, Bytes::from_static(b"sound")))
}

fn picture(ms: i64, key: bool) -> Arc<Frame> {
    Arc::new(Frame::video(Codec::H264, ms * MS, 0, key, Bytes::from_static(b"picture")))
}

/// What comes out: kind, milliseconds, and whether it was filled in.
fn run(filler: &mut Filler, frames: &[Arc<Frame>]) -> Vec<(Kind, i64, bool)> {
    let mut out = Vec::new();
    for frame in frames {
        let mut filled = Vec::new();
        let verdict = filler.pass(frame, &mut filled);
        out.extend(filled.iter().map(|f| (f.kind, f.dts / MS, true)));
        if verdict == Verdict::Pass {
            out.push((frame.kind, frame.dts / MS, false));
        }
    }
    out
}

/// Pictures at 25 a second with a key picture a second, and sound of 48 kHz where it is wanted, in order of time.
fn stream(
    ms: std::ops::Range<i64>,
    has_picture: impl Fn(i64) -> bool,
    has_sound: impl Fn(i64) -> bool,
) -> Vec<Arc<Frame>> {
    let pictures = (ms.start / 40..ms.end / 40).map(|n| n * 40).filter(|at| has_picture(*at));
    let sounds = (ms.start * 48 / 1024..ms.end * 48 / 1024).map(|n| n * 1024 / 48).filter(|at| has_sound(*at));
    let mut frames: Vec<_> = pictures.map(|at| picture(at, at % 1000 == 0)).chain(sounds.map(sound)).collect();
    frames.sort_by_key(|frame| frame.dts);
    frames
}

fn times(out: &[(Kind, i64, bool)], kind: Kind) -> Vec<i64> {
    out.iter().filter(|(k, ..)| *k == kind).map(|(_, at, _)| *at).collect()
}

fn largest_step(times: &[i64]) -> i64 {
    times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(0)
}

#[test]
fn what_flows_is_left_alone() {
    for (pictures, lag) in [(40, 0), (2_000, 0), (40, 800)] {
        let mut frames = stream(0..20_000, |at| at % pictures == 0, |_| true);
        // The sound of a moment may come after the pictures of a later one.
        frames.sort_by_key(|f| f.dts + if f.kind == Kind::Audio { lag * MS } else { 0 });
        let out = run(&mut Filler::new(Some(&config()), true), &frames);
        let changed = out.iter().filter(|(.., filled)| *filled).count() as i64;
        // Until the lag and the rate are known a little may stand there.
        let most = lag / 20 + if pictures > 1_000 { 8 } else { 0 };
        assert!(changed <= most && out.len() as i64 >= frames.len() as i64 - most, "{pictures} {lag} {changed}");
        assert!(!out.iter().any(|(_, at, filled)| *at > 8_000 && *filled), "{pictures} {lag}");
    }
}

#[test]
fn sound_that_never_comes_comes_late_or_stops_is_silence() {
    let cases = [("never", 0..0), ("late", 8_000..16_000), ("stops", 0..8_000)];
    for (what, times_of_sound) in cases {
        let has = |at: i64| times_of_sound.contains(&at);
        let out = run(&mut Filler::new(Some(&config()), true), &stream(0..16_000, |_| true, has));
        let sounds = times(&out, Kind::Audio);
        assert!(largest_step(&sounds) <= 43, "{what}: {}", largest_step(&sounds));
        assert!(sounds[0] < 100 && *sounds.last().unwrap() > 15_800, "{what}");
        assert_eq!(times(&out, Kind::Video).len(), 400, "{what}");
        let real = out.iter().filter(|(kind, _, filled)| *kind == Kind::Audio && !filled).count();
        assert!(real >= (0..750).filter(|n| has(n * 1024 / 48)).count().saturating_sub(1), "{what}: {real}");
    }
}

#[test]
fn pictures_that_stop_are_the_last_keyframe_until_the_next_one() {
    let out =
        run(&mut Filler::new(Some(&config()), true), &stream(0..16_000, |at| !(4_500..11_500).contains(&at), |_| true));
    let pictures = times(&out, Kind::Video);
    assert!(largest_step(&pictures[..]) <= 1_100, "{}", largest_step(&pictures));
    let stills = out.iter().filter(|(kind, _, filled)| *kind == Kind::Video && *filled).count();
    assert!((20..30).contains(&stills), "{stills}");
    let first_after = out.iter().find(|(kind, at, filled)| *kind == Kind::Video && *at > 11_000 && !filled).unwrap();
    assert_eq!(first_after.1, 12_000, "what cannot be decoded waits for a keyframe");
}

#[test]
fn sound_that_came_late_once_is_waited_for_the_next_time() {
    // A second of sound at a time.
    let mut frames = stream(0..20_000, |_| true, |_| true);
    frames.sort_by_key(|f| if f.kind == Kind::Audio { (f.dts / (1_000 * MS) + 1) * 1_000 * MS } else { f.dts });
    let out = run(&mut Filler::new(Some(&config()), true), &frames);
    let after =
        |from: i64| out.iter().filter(|(kind, at, filled)| *kind == Kind::Audio && *at > from && *filled).count();
    assert_eq!(after(6_000), 0);
}

#[test]
fn a_hole_in_all_tracks_is_not_filled() {
    let frames = stream(0..20_000, |at| !(5_000..12_000).contains(&at), |at| !(5_000..12_000).contains(&at));
    let out = run(&mut Filler::new(Some(&config()), true), &frames);
    assert!(!out.iter().any(|(_, at, filled)| *filled && (5_200..11_900).contains(at)), "{out:?}");
}

#[test]
fn behind_a_hole_of_sound_a_still_picture_comes_twice_and_not_for_all_of_it() {
    let frames = stream(0..20_000, |at| at < 3_000, |at| !(6_000..14_000).contains(&at));
    let out = run(&mut Filler::new(Some(&config()), true), &frames);
    let stills = times(&out, Kind::Video);
    let count = |range: std::ops::Range<i64>| stills.iter().filter(|at| range.contains(at)).count();
    assert!(count(6_000..14_000) <= 2, "{stills:?}");
    assert!(
        (20..30).contains(&count(14_000..20_000)) && largest_step(&stills[stills.len() - 20..]) == 240,
        "{stills:?}"
    );
}
