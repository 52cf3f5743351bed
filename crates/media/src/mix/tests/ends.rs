//! How a mix ends for those who watch it. What stands for ffmpeg writes a file.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::{Mixer, Output, Settings, input, layout, name};
use crate::flv;
use crate::frame::{Codec, Frame, Kind};
use crate::hub::{self, Hub, Item, Origin, Pace, Publisher, Reader, Start, Want};
use crate::name::Protocol;

const AVCC: &[u8] = b"\x01\x42\xc0\x1f\xff\xe1\x00\x04\x67\x42\xc0\x1f\x01\x00\x02\x68\xce";

fn config(last: u8) -> Frame {
    Frame::config(Codec::H264, 0, [AVCC, &[last]].concat().into())
}

fn picture(ms: i64, key: bool) -> Frame {
    Frame::video(Codec::H264, ms * 1000, 0, key, Bytes::from_static(&[0, 0, 0, 2, 0x65, 1]))
}

/// A program that writes these pictures (keyframe or not, 40 ms apart) in FLV, whatever it is told. None of them is late.
fn writes(what: &str, pictures: &[bool]) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("media-mix-ends-{what}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let mut bytes = BytesMut::from(&flv::header(false, true)[..]);
    flv::write(&mut bytes, &config(2), 0);
    for (at, key) in (120_000..).step_by(40).zip(pictures) {
        flv::write(&mut bytes, &picture(at, *key), at as u32);
    }
    std::fs::write(dir.join("pictures.flv"), &bytes).unwrap();
    // The same again and again, for who did not take it: frames that are not newer are left out of a mix.
    let again = bytes.split_off(flv::header(false, true).len());
    std::fs::write(dir.join("again.flv"), &again).unwrap();
    let program = dir.join("ffmpeg");
    let script =
        format!("#!/bin/sh\ncd '{}'\ncat pictures.flv\nwhile sleep 0.3; do cat again.flv; done\n", dir.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// A stream whose publisher answers wishes for keyframes, and a mix over it that is seen.
async fn mixed(what: &str, pictures: &[bool]) -> (Hub, Publisher, Mixer) {
    let hub = Hub::new(hub::Settings::default());
    let origin = Origin { protocol: Protocol::Whip, peer: (Ipv4Addr::LOCALHOST, 1).into() };
    let home = hub.publish(&name("a"), origin).unwrap();
    home.answers_wishes();
    for frame in [config(1), picture(0, true), picture(40, false), picture(80, false)] {
        home.push(frame).unwrap();
    }
    let mixer = Mixer::new(hub.clone(), Settings { ffmpeg: writes(what, pictures), ..Settings::default() });
    let mut layout = layout();
    layout.inputs = vec![input("a", layout.inputs[0].place)];
    mixer.start("1", Output::Over(name("a")), layout).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !hub.is_overlaid(&name("a")) {
        assert!(Instant::now() < until, "the mix was never seen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // All that the program wrote is published: the configuration, too.
    let over = Hub::overlay_name(&name("a"));
    while hub.info(&over).is_none_or(|info| info.frames <= pictures.len() as u64) {
        assert!(Instant::now() < until, "not all of it is published");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (hub, home, mixer)
}

/// How long the mix is seen from now on.
async fn lasts(hub: &Hub) -> Duration {
    let began = Instant::now();
    while hub.is_overlaid(&name("a")) && began.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

/// What there is to read now: kinds, and which are keyframes.
fn taken(viewer: &mut Reader) -> Vec<(Kind, bool)> {
    let mut seen = Vec::new();
    while let Some(item) = viewer.try_next() {
        match item {
            Item::Tracks(_) => seen.push((Kind::VideoConfig, false)),
            Item::Frame(frame) => seen.push((frame.kind, frame.key)),
            Item::Burst(_) => unreachable!("read in real time"),
        }
    }
    seen
}

#[tokio::test]
async fn a_mix_goes_on_until_what_it_lies_over_has_a_keyframe() {
    let (hub, home, mixer) = mixed("waits", &[true, false, false]).await;
    let want = Want::new(Protocol::HttpFlv, Pace::Realtime, Start::Group);
    let mut viewer = hub.subscribe(&name("a"), want).unwrap();
    let mut seen = taken(&mut viewer);
    assert!(mixer.stop("1"));
    // Asked for a keyframe, the publisher takes its time.
    tokio::time::timeout(Duration::from_secs(2), home.key_wanted()).await.expect("a keyframe is asked for");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(hub.is_overlaid(&name("a")), "it ended before there was anything to see in its place");
    home.push(picture(1000, true)).unwrap();
    assert!(lasts(&hub).await < Duration::from_millis(550), "as soon as there is");
    seen.extend(taken(&mut viewer));
    let c = (Kind::VideoConfig, false);
    let k = (Kind::Video, true);
    let p = (Kind::Video, false);
    assert_eq!(seen, [c, k, p, p, c, k], "straight from the one to the other");
}

#[tokio::test]
async fn a_mix_does_not_end_with_a_keyframe_if_it_can_be_helped() {
    let (hub, home, mixer) = mixed("key", &[true, false, false, true]).await;
    assert!(mixer.stop("1"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    home.push(picture(1000, true)).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(hub.is_overlaid(&name("a")), "it waits for pictures after its keyframe");
    let lasted = lasts(&hub).await;
    assert!(lasted < Duration::from_secs(1), "but not for ever: {lasted:?}");
}

#[tokio::test]
async fn a_mix_that_begins_anew_while_it_ends_is_seen() {
    let (hub, home, mixer) = mixed("anew", &[true, false, false]).await;
    assert!(mixer.stop("1"));
    let mut layout = layout();
    layout.inputs = vec![input("a", layout.inputs[0].place)];
    assert_eq!(mixer.start("1", Output::Over(name("a")), layout), Ok(()));
    let lasted = lasts(&hub).await;
    assert!(lasted < Duration::from_secs(2), "the one before ends: {lasted:?}");
    home.push(picture(3000, true)).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while !hub.is_overlaid(&name("a")) {
        assert!(Instant::now() < until && mixer.len() == 1, "the new one is never seen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A program that stops, as by `SIGSTOP`, after it wrote these frames; when it is started again, it writes the others for ever.
fn hangs(what: &str, first: &[Frame], pictures: &[bool]) -> PathBuf {
    let program = writes(what, pictures);
    let mut bytes = BytesMut::from(&flv::header(false, true)[..]);
    for frame in first {
        flv::write(&mut bytes, frame, (frame.dts / 1000) as u32);
    }
    std::fs::write(program.with_file_name("first.flv"), &bytes).unwrap();
    let _ = std::fs::remove_file(program.with_file_name("pid"));
    let script = std::fs::read_to_string(&program).unwrap();
    let once = "[ -e pid ] || { cat first.flv; echo $$ >pid; kill -STOP $$; }\ncat pictures.flv\n";
    std::fs::write(&program, script.replacen("cat pictures.flv\n", once, 1)).unwrap();
    program
}

async fn until(what: &str, seconds: u64, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(seconds);
    while !is_so() {
        assert!(Instant::now() < until, "not within {seconds} s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_ffmpeg_that_hangs_is_replaced_and_its_audience_sees_the_stream_meanwhile() {
    let hub = Hub::new(hub::Settings::default());
    let origin = Origin { protocol: Protocol::Whip, peer: (Ipv4Addr::LOCALHOST, 1).into() };
    let home = hub.publish(&name("a"), origin).unwrap();
    home.answers_wishes();
    for frame in [config(1), picture(0, true), picture(40, false), picture(80, false)] {
        home.push(frame).unwrap();
    }
    let program = hangs("hangs", &[config(2), picture(120_000, true), picture(120_040, false)], &[true, false, false]);
    let pid = program.with_file_name("pid");
    let mixer = Mixer::new(hub.clone(), Settings { ffmpeg: program, ..Settings::default() });
    let mut layout = layout();
    layout.inputs = vec![input("a", layout.inputs[0].place)];
    mixer.start("1", Output::Over(name("a")), layout).unwrap();
    until("the mix is seen", 20, || hub.is_overlaid(&name("a"))).await;
    let want = Want::new(Protocol::HttpFlv, Pace::Realtime, Start::Group);
    let mut viewer = hub.subscribe(&name("a"), want).unwrap();
    until("it hangs", 5, || std::fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n'))).await;
    let pid = std::fs::read_to_string(pid).unwrap();
    let is_there = || Path::new("/proc").join(pid.trim()).exists();
    assert!(is_there());
    let began = Instant::now();
    until("the audience sees the stream itself", 15, || !hub.is_overlaid(&name("a"))).await;
    assert!(began.elapsed() > Duration::from_secs(4), "a short pause is no fault: {:?}", began.elapsed());
    taken(&mut viewer);
    home.push(picture(7000, true)).unwrap();
    assert!(taken(&mut viewer).contains(&(Kind::Video, true)), "who was there goes on with it");
    until("the process that hung is gone", 5, || !is_there()).await;
    until("the mix is seen again", 20, || hub.is_overlaid(&name("a"))).await;
    assert_eq!(mixer.len(), 1);
}

#[tokio::test]
async fn a_mix_whose_ffmpeg_ends_after_its_first_picture_each_time_is_given_up() {
    let hub = Hub::new(hub::Settings::default());
    let program = writes("ends-each-time", &[true, false]);
    let script = std::fs::read_to_string(&program).unwrap();
    std::fs::write(&program, script.replacen("cat pictures.flv\n", "cat pictures.flv\nexit 1\n", 1)).unwrap();
    let mixer = Mixer::new(hub.clone(), Settings { ffmpeg: program, ..Settings::default() });
    let mut layout = layout();
    layout.inputs = vec![input("b", None)];
    mixer.start("1", Output::Own(name("m")), layout).unwrap();
    until("the mix is seen", 20, || hub.info(&name("m")).is_some()).await;
    until("it is given up", 90, || mixer.is_empty()).await;
}

#[tokio::test]
async fn an_ffmpeg_that_hangs_before_it_is_seen_is_replaced() {
    let hub = Hub::new(hub::Settings::default());
    // Its first picture is of long ago, and it gives no fresher one.
    let program = hangs("hangs-early", &[config(2), picture(1000, true)], &[true, false, false]);
    let mixer = Mixer::new(hub.clone(), Settings { ffmpeg: program, ..Settings::default() });
    let mut layout = layout();
    layout.inputs = vec![input("b", None)];
    mixer.start("1", Output::Own(name("m")), layout).unwrap();
    until("the mix is seen", 20, || hub.info(&name("m")).is_some()).await;
}
