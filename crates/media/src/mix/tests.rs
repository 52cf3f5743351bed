//! What ffmpeg is told, what silence is, and who may mix. The pictures themselves are compared in the server's tests.

mod ends;
mod sounds;

use std::path::Path;

use super::graph::{Has, arguments};
use super::*;
use crate::frame::{Codec, Frame};
use crate::hub;
use crate::silence;
use bytes::Bytes;

fn name(s: &str) -> StreamName {
    StreamName::new(s).unwrap()
}

fn input(stream: &str, place: Option<Place>) -> Input {
    Input { stream: name(stream), place, heard: true }
}

fn layout() -> Layout {
    let place = |x, y, width, height| Some(Place { x, y, width, height, crop: None });
    Layout {
        size: (360, 640),
        color: 0x112233,
        inputs: vec![input("a", place(0, 0, 360, 640)), input("b", place(200, 310, 160, 240)), input("c", None)],
        bitrate: None,
        rate: RATE,
        passes_sound: false,
    }
}

const BOTH: Has = Has { video: true, audio: true, aac: true };

#[test]
fn ffmpeg_is_told_of_each_input_its_place_and_its_sound() {
    let sound = Has { video: false, audio: true, aac: true };
    let said = arguments(&layout(), &[BOTH, BOTH, sound], Path::new("/run/x"), 60_500_000);
    let inputs: Vec<_> = said.iter().filter(|a| a.starts_with("unix:")).collect();
    assert_eq!(inputs, ["unix:/run/x/0", "unix:/run/x/1", "unix:/run/x/2"]);
    let graph = said.iter().skip_while(|a| *a != "-filter_complex").nth(1).unwrap();
    for part in [
        "color=c=0x112233:s=360x640:r=25,setpts=PTS+60.500000/TB",
        "[1:v]scale=160:240:force_original_aspect_ratio=increase,crop=160:240,setsar=1[v1]",
        "[b1][v1]overlay=200:310:eof_action=repeat[b2]",
        "[b2]null[picture]",
        "[2:a]aresample=48000,aresample=48000:async=1000:first_pts=2904000[a2]",
        "amix=inputs=3:dropout_transition=0,volume=3[sound]",
    ] {
        assert!(graph.contains(part), "{part} in {graph}");
    }
    assert!(!graph.contains("[2:v]"));
}

#[test]
fn inputs_that_are_not_there_are_left_out() {
    let none = Has { video: false, audio: false, aac: false };
    let said = arguments(&layout(), &[none, Has { video: true, audio: false, aac: false }, none], Path::new("/x"), 0)
        .join(" ");
    assert!(said.contains("-i unix:/x/1 ") && !said.contains("unix:/x/0"), "{said}");
    assert!(said.contains("[0:v]scale") && said.contains("[b0][v0]overlay=200:310"), "{said}");
    assert!(!said.contains("[sound]") && !said.contains("amix"), "{said}");
}

#[test]
fn silence_fits_the_track() {
    let of = |codec, bytes: &'static [u8]| silence::frame(&Frame::config(codec, 0, Bytes::from_static(bytes)));
    assert_eq!(of(Codec::Aac, &[0x12, 0x10]).map(|(_, us)| us), Some(23_219), "two channels at 44,100 Hz");
    assert_eq!(of(Codec::Aac, &[0x11, 0x88]).map(|(bytes, us)| (bytes.len(), us)), Some((4, 21_333)));
    assert_eq!(of(Codec::Opus, b"OpusHead\x01\x02\0\0\0\0\0\0\0\0\0").map(|(_, us)| us), Some(20_000));
    assert_eq!(of(Codec::Aac, b""), None);
    assert_eq!(of(Codec::Mp3, b""), None);
}

#[tokio::test]
async fn mixes_are_bounded_and_keep_their_outputs() {
    let hub = Hub::new(hub::Settings::default());
    // A program that ends at once: what is tested is who is let in.
    let settings = Settings { ffmpeg: "true".into(), most: 2, ..Settings::default() };
    let mixer = Mixer::new(hub.clone(), settings);
    let over = |s: &str| Output::Over(name(s));
    assert_eq!(mixer.start("1", over("a"), layout()), Ok(()));
    assert_eq!(mixer.start("1", over("a"), layout()), Ok(()), "the same again is a change of layout");
    assert_eq!(mixer.start("1", over("b"), layout()), Err(Refused::OtherOutput));
    assert_eq!(mixer.start("2", over("a"), layout()), Err(Refused::Taken));
    assert_eq!(mixer.start("2", Output::Own(name("m")), layout()), Ok(()));
    assert_eq!(mixer.start("3", over("c"), layout()), Err(Refused::TooMany));
    assert!(mixer.stop("1") && !mixer.stop("1") && mixer.stop_output(&name("m")));
    assert!(mixer.is_empty());
    let absent = Mixer::new(hub, Settings { ffmpeg: "/no/such/ffmpeg".into(), ..Settings::default() });
    assert_eq!(absent.start("1", over("a"), layout()), Err(Refused::NoProgram));
    assert!(absent.program().is_none());
}
