//! Streams of several tracks of sound on the real program: the further ones are heard by who asks for them, and nobody else
//! notices.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use media::flv::{self, demux::Demuxer};
use media::rtmp::chunk::{self, Header};
use media::rtmp::client::{Player, Publisher, Target};
use media::rtmp::mux;
use media::{Codec, Frame, Kind};
use testkit::bounded::program;

use crate::kit::{self, Server, directory, until};

/// The chunk size that the client announces.
const CHUNK: usize = 60_000;

/// What ffmpeg makes of these inputs in this codec, without its description.
fn encoded(inputs: &str, codecs: &str) -> Vec<Frame> {
    let mut command = program("ffmpeg");
    command.args("-hide_banner -loglevel error".split(' ')).args(inputs.split(' ')).args(codecs.split(' '));
    let made = command.args(["-t", "40", "-f", "flv", "-"]).output().unwrap();
    let mut demuxer = Demuxer::default();
    demuxer.push(&made.stdout);
    let all = std::iter::from_fn(|| demuxer.next_frame().unwrap());
    all.filter(|frame| frame.kind != Kind::Data).collect()
}

fn pictures() -> Vec<Frame> {
    let h264 = "-c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -g 15 -pix_fmt yuv420p";
    encoded("-f lavfi -i testsrc=size=160x120:rate=15", h264)
}

fn tone(frequency: u32, codec: &str) -> Vec<Frame> {
    encoded(&format!("-f lavfi -i sine=frequency={frequency}:sample_rate=48000"), codec)
}

/// An encoder that sends these frames in their time, in a form of its own.
struct Encoder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Encoder {
    fn start(url: &str, mut frames: Vec<Frame>, write: fn(&mut BytesMut, &Frame)) -> Self {
        let target = Target::parse(url).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        frames.sort_by_key(|frame| if frame.kind.is_config() { -1 } else { frame.dts });
        let run = async move {
            let mut to = Publisher::connect(&target).await.unwrap();
            let began = tokio::time::Instant::now();
            for frame in frames {
                tokio::time::sleep_until(began + Duration::from_micros(frame.dts.max(0) as u64)).await;
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let mut chunks = BytesMut::new();
                write(&mut chunks, &frame);
                to.send_raw(chunks.freeze()).await.unwrap();
            }
            let _ = to.finish().await;
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Encoder { stop, thread: Some(std::thread::spawn(move || runtime.block_on(run))) }
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// As FFmpeg 9 and OBS send it: track 0 in the old form.
fn as_obs(out: &mut BytesMut, frame: &Frame) {
    mux::write(out, frame, frame.dts_ms());
}

/// As GStreamer's eflvmux does in multitrack mode: all tracks as such, and the number of PCM where its four characters should be.
fn as_eflvmux(out: &mut BytesMut, frame: &Frame) {
    let config = frame.kind.is_config();
    let (kind, channel, head, body) = match (frame.kind, frame.codec) {
        (Kind::Video | Kind::VideoConfig, _) => {
            let packet = if config { 0 } else { 3 };
            let first = if frame.key || config { 0x96 } else { 0xa6 };
            (9, 6, [&[first, packet][..], b"avc1\0"].concat(), &frame.payload[..])
        }
        (_, Codec::Pcm) => (8, 4, b"\x95\x01\x03\0\0\0\0".to_vec(), &frame.payload[1..]),
        _ => (8, 4, [&[0x95, u8::from(!config)][..], b"mp4a", &[frame.track]].concat(), &frame.payload[..]),
    };
    let header = Header { kind, stream: 1, timestamp: frame.dts_ms() };
    chunk::write(out, channel, header, &head, body, CHUNK);
}

/// The frequency of a tone, in Hz: one track of what ffmpeg reads.
fn frequency(input: &str, track: usize) -> Option<u32> {
    let mut command = program("ffmpeg");
    command.args("-hide_banner -loglevel error -probesize 200000 -analyzeduration 1500000 -i".split(' ')).arg(input);
    command.args(["-map", &format!("0:a:{track}"), "-t", "2"]).args("-ac 1 -ar 16000 -f s16le -".split(' '));
    let heard = command.output().unwrap().stdout;
    let samples: Vec<i16> = heard.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)).collect();
    // Without its beginning, which a decoder makes of nothing.
    let samples = samples.get(4000..).filter(|samples| samples.len() > 4000)?;
    let is_loud = samples.iter().map(|sample| sample.unsigned_abs()).max() > Some(1000);
    let crossings = samples.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    is_loud.then(|| (crossings * 16_000 / 2 / samples.len()) as u32)
}

fn is(heard: Option<u32>, frequency: u32) -> bool {
    heard.is_some_and(|f| f.abs_diff(frequency) < frequency / 20)
}

/// The frequency of one track among frames.
fn frequency_in(frames: &[Frame], track: u8, dir: &Path) -> Option<u32> {
    let mut out = BytesMut::from(&flv::header(true, false)[..]);
    for frame in frames.iter().filter(|f| matches!(f.kind, Kind::Audio | Kind::AudioConfig) && f.track == track) {
        flv::write(&mut out, &frame.at(frame.dts).of_track(0), frame.dts_ms());
    }
    let file = dir.join(format!("track{track}.flv"));
    std::fs::write(&file, &out).unwrap();
    frequency(file.to_str().unwrap(), 0)
}

/// What an RTMP player gets in three seconds.
fn played(url: &str) -> Vec<Frame> {
    let target = Target::parse(url).unwrap();
    let read = async {
        let mut player = Player::connect(&target).await.unwrap();
        let mut frames = VecDeque::new();
        let all = async {
            while let Ok(Some(frame)) = player.next().await {
                frames.push_back(frame);
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(3), all).await;
        frames.into()
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(read)
}

fn fetched(url: &str, seconds: u32) -> Bytes {
    let mut command = program("curl");
    command.args(["-s", "--max-time", &seconds.to_string(), url]);
    command.output().unwrap().stdout.into()
}

/// What an HTTP-FLV player gets in three seconds.
fn played_by_flv(url: &str) -> Vec<Frame> {
    let mut demuxer = Demuxer::default();
    demuxer.push(&fetched(url, 3));
    std::iter::from_fn(|| demuxer.next_frame().unwrap()).collect()
}

fn all_tracks(url: &str) -> String {
    format!("{url}&multitrack=1")
}

fn two_tones() -> Vec<Frame> {
    let second = tone(880, "-c:a aac").into_iter().map(|frame| frame.of_track(1));
    pictures().into_iter().chain(tone(440, "-c:a aac")).chain(second).collect()
}

#[test]
fn a_second_track_is_heard_by_who_asks_for_it_and_recorded() {
    let dir = directory();
    let kept = dir.join("kept");
    let variables = [("ROOMSERVICE_RECORD__ENABLED", "true"), ("ROOMSERVICE_RECORD__DIR", kept.to_str().unwrap())];
    let scratch = directory();
    std::fs::create_dir_all(&scratch).unwrap();
    let server = Server::with(dir, &variables);
    let at = server.urls("r");
    let encoder = Encoder::start(&format!("{}&record=1", at.push), two_tones(), as_obs);
    until("it is published", || !kit::probe(&at.play).is_empty());
    // Whoever does not ask has one track, as ever.
    for frames in [played(&at.play), played_by_flv(&at.flv)] {
        assert!(frames.iter().filter(|f| f.kind == Kind::Audio).count() > 50 && frames.iter().all(|f| f.track == 0));
    }
    for url in [&at.play, &at.flv, &at.hls] {
        let mut codecs = kit::probe(url);
        codecs.dedup();
        codecs.sort_unstable();
        assert_eq!(codecs, ["aac", "h264"], "{url}");
        until("the first track is heard", || is(frequency(url, 0), 440));
    }
    // They come late, too.
    for (way, frames) in [("rtmp", played(&all_tracks(&at.play))), ("flv", played_by_flv(&all_tracks(&at.flv)))] {
        let heard = [0, 1].map(|track| frequency_in(&frames, track, &scratch));
        assert!(is(heard[0], 440) && is(heard[1], 880), "{way}: {heard:?}");
        assert!(frames.iter().any(|frame| frame.kind == Kind::Video && frame.key));
    }
    let hls = all_tracks(&at.hls);
    let text = String::from_utf8(fetched(&hls, 10).to_vec()).unwrap();
    assert_eq!(text.matches("#EXT-X-MEDIA:TYPE=AUDIO").count(), 2, "{text}");
    until("both are heard by HLS", || is(frequency(&hls, 0), 440) && is(frequency(&hls, 1), 880));
    let said = crate::kit::said(&server.dir);
    assert_eq!(said.matches("a further track of sound goes to HLS, recordings and players").count(), 1, "{said}");

    encoder.end();
    let file = || std::fs::read_dir(&kept).unwrap().find_map(|f| Some(f.ok()?.path().to_str()?.to_owned()));
    until("the recording has both", || {
        file().is_some_and(|file| is(frequency(&file, 0), 440) && is(frequency(&file, 1), 880))
    });
}

#[test]
fn tracks_that_can_go_nowhere_are_left_out_and_told_once() {
    let server = Server::start(directory());
    let at = server.urls("r");
    let further = |track: u8, codec: &str| tone(880, codec).into_iter().map(move |frame| frame.of_track(track));
    let all = pictures().into_iter().chain(tone(440, "-c:a aac")).chain(further(6, "-c:a aac"));
    let all = all.chain(further(2, "-c:a libmp3lame -ar 44100")).collect();
    let _encoder = Encoder::start(&at.push, all, as_obs);
    until("it is published", || !kit::probe(&at.play).is_empty());
    let frames = played(&all_tracks(&at.play));
    let has = |track: u8| frames.iter().any(|frame| frame.track == track && frame.kind == Kind::Audio);
    assert_eq!([0, 2, 6].map(has), [true, true, false]);
    let text = String::from_utf8(fetched(&all_tracks(&at.hls), 20).to_vec()).unwrap();
    assert_eq!(text.matches("#EXT-X-MEDIA:TYPE=AUDIO").count(), 1, "{text}");
    until("the first track is heard", || is(frequency(&at.hls, 0), 440));
    let said = crate::kit::said(&server.dir);
    assert_eq!(said.matches("track 6 of sound is not carried").count(), 1, "{said}");
    assert_eq!(said.matches("that ask for it, and nowhere else").count(), 1, "{said}");
}

#[test]
fn what_eflvmux_sends_is_seen_everywhere_and_heard_where_it_is_named() {
    let server = Server::start(directory());
    for (room, sound, heard) in [("aac", "-c:a aac", true), ("pcm", "-c:a pcm_s16le -ar 44100", false)] {
        let at = server.urls(room);
        let encoder = Encoder::start(&at.push, pictures().into_iter().chain(tone(440, sound)).collect(), as_eflvmux);
        until("it is published", || kit::probe(&at.play).contains(&"h264".to_owned()));
        for url in [&at.play, &at.flv, &at.hls] {
            assert!(kit::probe(url).contains(&"h264".to_owned()), "{room} at {url}");
            let is_heard = || is(frequency(url, 0), 440);
            if heard {
                until("it is heard", is_heard);
            } else {
                assert!(!is_heard(), "{room} at {url}");
            }
        }
        encoder.end();
    }
    let said = crate::kit::said(&server.dir);
    assert_eq!(said.matches("audio in \"\\u{3}\\0\\0\\0\" is not supported").count(), 1, "{said}");
}
