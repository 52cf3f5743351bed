//! Whether ffmpeg mixes sound of every rate in time: it is started as for a new layout after minutes, where times are
//! large, with inputs that lie there already.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::graph::{Has, arguments};
use super::super::{Crop, Input, Layout, Place, RATE};
use crate::flv::demux::Demuxer;
use crate::fmp4::Muxer;
use crate::frame::Kind;
use testkit::bounded::program_within;

/// Three minutes after a mix began, in the time that all its inputs share.
const START: i64 = 240;
/// Much longer than any of it takes.
const BOUND: Duration = Duration::from_secs(60);
/// What the first and the second input sound like, in Hz.
const TONES: [u32; 2] = [400, 900];

/// A stream of five seconds as the mixer's feeds write it. `rate` 0: without sound.
fn input(tone: u32, rate: u32, channels: u32, frames: u32) -> Vec<u8> {
    let mut command = program_within("ffmpeg", BOUND);
    command.args(["-loglevel", "error", "-f", "lavfi", "-i", &format!("testsrc2=size=320x240:rate={frames}")]);
    if rate > 0 {
        command.args(["-f", "lavfi", "-i", &format!("sine=frequency={tone}:sample_rate={rate}")]);
        command.args(["-c:a", "aac", "-ac", &channels.to_string()]);
    }
    command.args("-t 5 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -threads 1 -g 25 -bf 0 -f flv -".split(' '));
    let made = command.stdout(Stdio::piped()).output().unwrap();
    assert!(made.status.success(), "no input of {rate} Hz");
    let mut demuxer = Demuxer::default();
    demuxer.push(&made.stdout);
    let mut frames = Vec::new();
    while let Some(frame) = demuxer.next_frame().unwrap() {
        frames.push(Arc::new(frame.at(frame.dts + START * 1_000_000)));
    }
    let config = |kind| frames.iter().find(|frame| frame.kind == kind).map(AsRef::as_ref);
    let mut muxer = Muxer::new(config(Kind::VideoConfig), config(Kind::AudioConfig), 0).unwrap();
    let mut bytes = muxer.init().to_vec();
    for some in frames.chunks(10) {
        some.iter().filter(|frame| matches!(frame.kind, Kind::Video | Kind::Audio)).for_each(|frame| muxer.push(frame));
        bytes.extend(muxer.cut().into_iter().flat_map(|fragment| fragment.bytes));
    }
    bytes
}

/// What a mix of two such streams is: times of its pictures and of its sound in microseconds, and the bytes as FLV.
struct Mixed {
    pictures: Vec<i64>,
    sound: Vec<i64>,
    bytes: Vec<u8>,
}

fn mix(dir: &Path, inputs: &[(Vec<u8>, Has)], crop: Option<Crop>) -> Mixed {
    for (at, (bytes, _)) in inputs.iter().enumerate() {
        let listener = UnixListener::bind(dir.join(at.to_string())).unwrap();
        let bytes = bytes.clone();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = socket.write_all(&bytes);
            // A live stream has no end.
            let _ = socket.read(&mut [0]);
        });
    }
    let place = |x| Some(Place { x, y: 0, width: 160, height: 240, crop });
    let input =
        |at: usize| Input { stream: super::name(&format!("s{at}")), place: place(at as i32 * 160), heard: true };
    let layout = Layout {
        size: (320, 240),
        color: 0,
        inputs: (0..inputs.len()).map(input).collect(),
        bitrate: None,
        rate: RATE,
        passes_sound: false,
    };
    let has: Vec<Has> = inputs.iter().map(|(_, has)| *has).collect();
    let mut ffmpeg = program_within("ffmpeg", BOUND);
    ffmpeg.args(arguments(&layout, &has, dir, START * 1_000_000));
    let mut child = ffmpeg.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut mixed = Mixed { pictures: Vec::new(), sound: Vec::new(), bytes: Vec::new() };
    let mut demuxer = Demuxer::default();
    let mut buffer = vec![0; 65536];
    let began = Instant::now();
    while mixed.pictures.last().is_none_or(|at| *at < (START + 4) * 1_000_000) && began.elapsed() < BOUND / 2 {
        let Ok(n @ 1..) = out.read(&mut buffer) else { break };
        mixed.bytes.extend_from_slice(&buffer[..n]);
        demuxer.push(&buffer[..n]);
        while let Some(frame) = demuxer.next_frame().unwrap() {
            match frame.kind {
                Kind::Video => mixed.pictures.push(frame.dts),
                Kind::Audio => mixed.sound.push(frame.dts),
                _ => {}
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    (0..inputs.len()).for_each(|at| std::fs::remove_file(dir.join(at.to_string())).unwrap());
    mixed
}

/// How strong the tones are in the last second of a file's sound.
fn heard(file: &Path) -> [f32; 2] {
    let mut command = program_within("ffmpeg", BOUND);
    command.args(["-loglevel", "quiet", "-i"]).arg(file).args("-vn -ac 1 -ar 48000 -f f32le -".split(' '));
    let samples = command.stdout(Stdio::piped()).output().unwrap().stdout;
    let wave: Vec<f32> = samples.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let last = &wave[wave.len().saturating_sub(48_000)..];
    TONES.map(|hz| {
        let angle = |n: usize| std::f32::consts::TAU * hz as f32 * n as f32 / 48_000.0;
        let (re, im) = last
            .iter()
            .enumerate()
            .fold((0.0f32, 0.0f32), |(re, im), (n, s)| (re + s * angle(n).cos(), im + s * angle(n).sin()));
        re.hypot(im) / last.len().max(1) as f32
    })
}

#[test]
fn sound_of_every_rate_is_mixed_in_time() {
    let dir = std::env::temp_dir().join(format!("media-mix-sounds-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let first = input(TONES[0], 48_000, 2, 30);
    let both = Has { video: true, audio: true, aac: true };
    let kinds = [
        (8_000, 1, 25),
        (16_000, 2, 25),
        (22_050, 1, 10),
        (24_000, 2, 25),
        (32_000, 1, 60),
        (44_100, 2, 25),
        (44_100, 1, 15),
        (48_000, 1, 30),
        (0, 1, 25),
    ];
    for (rate, channels, frames) in kinds {
        let what = format!("{rate} Hz, {channels} channels, {frames} pictures a second");
        let second = input(TONES[1], rate, channels, frames);
        let inputs = [(first.clone(), both), (second, Has { audio: rate > 0, ..both })];
        let mixed = mix(&dir, &inputs, None);
        let start = START * 1_000_000;
        for (name, times) in [("pictures", &mixed.pictures), ("sound", &mixed.sound)] {
            let from = times.first().copied().unwrap_or(0) - start;
            let to = times.last().copied().unwrap_or(0) - start;
            assert!((-50_000..300_000).contains(&from), "{what}: {name} begin {from} µs after the start");
            assert!((3_500_000..6_000_000).contains(&to), "{what}: {name} end {to} µs after the start");
        }
        let steps = mixed.sound.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.clone().all(|step| (0..60_000).contains(&step)), "{what}: a gap of {:?} µs", steps.max());
        let file = dir.join("mixed.flv");
        std::fs::write(&file, &mixed.bytes).unwrap();
        let [one, other] = heard(&file);
        assert!(one > 0.02 && (rate == 0 || other > 0.02), "{what}: {one} {other}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_part_is_taken_of_pictures_of_whatever_size_they_come_in() {
    let dir = std::env::temp_dir().join(format!("media-mix-parts-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let inputs = [(input(TONES[0], 0, 1, 25), Has { video: true, audio: false, aac: false })];
    // As it was when that was asked for: what it is, turned, four times as large, and nearly nothing.
    for of in [(320, 240), (240, 320), (1280, 960), (2, 2)] {
        let crop = Crop { x: of.0 / 16, y: of.1 / 16, width: of.0 / 2, height: (of.1 * 15 / 16).max(1), of };
        let mixed = mix(&dir, &inputs, Some(crop));
        assert!(mixed.pictures.len() > 50, "{} pictures of {crop:?}", mixed.pictures.len());
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
