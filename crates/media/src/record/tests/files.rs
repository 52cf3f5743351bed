//! What is in one file: tracks that come one after the other, pictures that change, and where players jump to.

use std::path::Path;
use std::process::Stdio;

use testkit::bounded::program_within;

use super::*;
use crate::flv::demux::Demuxer;
use crate::frame::Kind;

fn sound_config() -> Frame {
    Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]))
}

fn sound(ms: i64) -> Frame {
    Frame::audio(Codec::Aac, ms * 1000, Bytes::from_static(&[0x21, 0x10, 4]))
}

/// Pushes what there is of these milliseconds, 20 at a time.
async fn both(publisher: &Publisher, ms: std::ops::Range<i64>, pictures: bool, sounds: bool) {
    for ms in ms.step_by(20) {
        if pictures && ms % 40 == 0 {
            publisher.push(picture(ms)).unwrap();
        }
        if sounds {
            publisher.push(sound(ms)).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

struct Test {
    dir: Dir,
    recorder: Recorder,
    publisher: Publisher,
}

impl Test {
    /// A stream that is recorded from its beginning.
    fn new(name: &str) -> Self {
        let dir = Dir::new(name);
        let hub = Hub::new(hub::Settings::default());
        let stream = StreamName::new("s").unwrap();
        let recorder = Recorder::new(hub.clone(), dir.settings()).unwrap();
        assert!(recorder.record(&stream));
        let origin = Origin { protocol: Protocol::Whip, peer: "127.0.0.1:1".parse().unwrap() };
        let publisher = hub.publish(&stream, origin).unwrap();
        Test { dir, recorder, publisher }
    }

    /// The stream is over: the length of each file in milliseconds, and its bytes.
    async fn files(self) -> Vec<(u64, Vec<u8>)> {
        self.publisher.finish(Ended::Finished);
        tokio::time::sleep(Duration::from_millis(1)).await;
        // The recording and the threads that write its files have it, too.
        let inner = &self.recorder.inner;
        let list = until(&self.recorder, |l| !l.is_empty() && Arc::strong_count(inner) == 1);
        assert!(list.iter().all(|r| !r.running));
        let read = |r: &Recording| (r.duration.as_millis() as u64, std::fs::read(self.dir.0.join(&r.file)).unwrap());
        list.iter().map(read).collect()
    }
}

fn has(file: &[u8], what: &[u8; 4]) -> bool {
    file.windows(4).any(|w| w == what)
}

#[tokio::test(start_paused = true)]
async fn a_browser_whose_sound_comes_first_and_whose_pictures_change_is_one_file() {
    let test = Test::new("browser");
    test.publisher.push(sound_config()).unwrap();
    both(&test.publisher, 0..1000, false, true).await;
    test.publisher.push(config(30)).unwrap();
    both(&test.publisher, 1000..4000, true, true).await;
    // More than waits for the disk at a time is not pushed before it is there.
    until(&test.recorder, |l| l.iter().any(|r| r.duration.as_millis() >= 1_000));
    for (n, level) in [31, 32, 30].into_iter().enumerate() {
        test.publisher.push(config(level)).unwrap();
        let from = 4000 + 2000 * n as i64;
        both(&test.publisher, from..from + 2000, true, true).await;
    }
    let files = test.files().await;
    assert_eq!(files.len(), 1, "{:?}", files.iter().map(|f| f.0).collect::<Vec<_>>());
    let (length, bytes) = &files[0];
    assert!((8900..=9100).contains(length), "{length} ms");
    assert!(has(bytes, b"avc3") && has(bytes, b"mp4a") && !has(bytes, b"avc1"));
    // Keyframes hold the parameter sets that are theirs.
    for (level, at_least) in [(30, 4), (31, 2), (32, 2)] {
        let set = [0, 0, 0, 4, 0x67, 0x64, 0, level, 0, 0, 0, 1, 0x68];
        let count = bytes.windows(set.len()).filter(|w| **w == set).count();
        assert!(count >= at_least, "{count} of {level}");
    }
}

#[tokio::test(start_paused = true)]
async fn sound_that_comes_a_little_after_the_pictures_is_in_their_file() {
    let test = Test::new("later");
    test.publisher.push(config(30)).unwrap();
    both(&test.publisher, 0..300, true, false).await;
    test.publisher.push(sound_config()).unwrap();
    both(&test.publisher, 300..3000, true, true).await;
    let files = test.files().await;
    assert_eq!(files.len(), 1);
    assert!(files[0].0 >= 2900 && has(&files[0].1, b"mp4a") && has(&files[0].1, b"avc1"));
}

#[tokio::test(start_paused = true)]
async fn one_track_alone_is_recorded_from_its_beginning() {
    let test = Test::new("sound");
    test.publisher.push(sound_config()).unwrap();
    both(&test.publisher, 0..4000, false, true).await;
    let files = test.files().await;
    assert!(files.len() == 1 && files[0].0 >= 3900 && !has(&files[0].1, b"avcC"), "{} ms", files[0].0);

    let test = Test::new("pictures");
    test.publisher.push(config(30)).unwrap();
    both(&test.publisher, 0..2000, true, false).await;
    let files = test.files().await;
    assert!(files.len() == 1 && files[0].0 >= 1900, "{} ms", files[0].0);

    let test = Test::new("short");
    test.publisher.push(config(30)).unwrap();
    both(&test.publisher, 0..200, true, false).await;
    let files = test.files().await;
    assert!(files.len() == 1 && files[0].0 >= 120, "{} ms", files[0].0);
}

#[tokio::test(start_paused = true)]
async fn sound_is_recorded_while_the_camera_is_off_and_the_pictures_when_it_is_on() {
    let test = Test::new("camera");
    test.publisher.push(config(30)).unwrap();
    test.publisher.push(sound_config()).unwrap();
    both(&test.publisher, 0..6000, false, true).await;
    both(&test.publisher, 6000..9000, true, true).await;
    let files = test.files().await;
    let lengths: Vec<u64> = files.iter().map(|file| file.0).collect();
    assert_eq!(files.len(), 2, "{lengths:?}");
    assert!(lengths[0] >= 2000 && !has(&files[0].1, b"avcC"), "{lengths:?}");
    assert!(lengths[1] >= 2900 && has(&files[1].1, b"avc1"), "{lengths:?}");
}

#[tokio::test(start_paused = true)]
async fn a_keyframe_is_asked_for_where_a_file_ended_without_one() {
    let test = Test::new("asks");
    test.publisher.push(config(30)).unwrap();
    test.publisher.push(picture(0)).unwrap();
    let mut delta = (1..).map(|n| Frame::video(Codec::H264, n * 40_000, 0, false, vec![7; 100].into()));
    let mut push = async |publisher: &Publisher, count: usize| {
        for frame in delta.by_ref().take(count) {
            publisher.push(frame).unwrap();
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    push(&test.publisher, 50).await;
    // Met by the first picture.
    let _ = tokio::time::timeout(Duration::from_millis(1), test.publisher.key_wanted()).await;
    // Its sound begins after two seconds, and has no place in the file.
    test.publisher.push(sound_config()).unwrap();
    push(&test.publisher, 5).await;
    tokio::time::timeout(Duration::from_secs(1), test.publisher.key_wanted()).await.expect("a keyframe is asked for");
}

/// Pictures of this size, two seconds of them, one keyframe a second, from this second on.
fn encoded(size: &str, from: i64) -> Vec<Frame> {
    let mut command = program_within("ffmpeg", Duration::from_secs(60));
    command.args(["-loglevel", "error", "-f", "lavfi", "-i", &format!("testsrc2=size={size}:rate=25")]);
    command.args("-t 2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -threads 1 -g 25 -bf 0 -f flv -".split(' '));
    let made = command.stdout(Stdio::piped()).output().unwrap();
    let mut demuxer = Demuxer::default();
    demuxer.push(&made.stdout);
    let mut frames = Vec::new();
    while let Some(frame) = demuxer.next_frame().unwrap() {
        if matches!(frame.kind, Kind::Video | Kind::VideoConfig) {
            frames.push(frame.at(frame.dts + from * 1_000_000));
        }
    }
    frames
}

fn probed(file: &Path, arguments: &str) -> String {
    let mut command = program_within("ffprobe", Duration::from_secs(60));
    command.args(["-v", "error"]).args(arguments.split(' ')).args(["-of", "csv=p=0"]).arg(file);
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(start_paused = true)]
async fn pictures_of_another_size_are_decoded_from_the_same_file_wherever_one_jumps_to() {
    let test = Test::new("sizes");
    for (size, from) in [("160x120", 0), ("320x240", 2), ("160x120", 4)] {
        for frame in encoded(size, from) {
            let step = u64::from(frame.kind == Kind::Video) * 40;
            test.publisher.push(frame).unwrap();
            tokio::time::sleep(Duration::from_millis(step)).await;
        }
    }
    let files = test.files().await;
    assert_eq!(files.len(), 1);
    let dir = Dir::new("sizes-read");
    std::fs::create_dir_all(&dir.0).unwrap();
    let file = dir.0.join("recorded.mp4");
    std::fs::write(&file, &files[0].1).unwrap();
    let widths = probed(&file, "-show_entries frame=width");
    let count = |width: &str| widths.lines().filter(|line| line.trim_end_matches(',') == width).count();
    assert_eq!((count("160"), count("320")), (100, 50));
    for (at, width) in [(5, "160"), (3, "320"), (1, "160")] {
        let read = probed(&file, &format!("-read_intervals {at}%+0.1 -show_entries frame=width"));
        assert!(read.lines().next().is_some_and(|w| w.trim_end_matches(',') == width), "{at} s: {read}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_file_has_an_index_and_so_has_one_that_was_cut_short() {
    let test = Test::new("index");
    let hub = Hub::new(hub::Settings::default());
    test.publisher.push(config(30)).unwrap();
    both(&test.publisher, 0..5_000, true, false).await;
    until(&test.recorder, |l| l.iter().any(|r| r.duration.as_millis() >= 2_000));
    both(&test.publisher, 5_000..10_000, true, false).await;
    let files = test.files().await;
    let whole = &files[0].1;
    let places = |bytes: &[u8]| {
        let at = bytes.windows(4).position(|w| w == b"sidx").expect("an index");
        let word = |n: usize| u32::from_be_bytes(bytes[at + 4 * n..at + 4 * n + 4].try_into().unwrap());
        let count = word(8) as usize & 0xffff;
        let first = at - 4 + 40 + 12 * count + word(7) as usize;
        let sizes: Vec<usize> = (0..count).map(|n| word(9 + 3 * n) as usize).collect();
        let starts = sizes.iter().scan(first, |at, size| Some(std::mem::replace(at, *at + size)));
        assert!(starts.clone().all(|at| &bytes[at + 4..at + 8] == b"moof"), "places begin with fragments");
        assert_eq!(first + sizes.iter().sum::<usize>(), bytes.len(), "all of the file");
        count
    };
    assert!(places(whole) >= 4);
    // As a killed process leaves it.
    let cut = Dir::new("index-cut");
    std::fs::create_dir_all(&cut.0).unwrap();
    let mut bytes = whole[..whole.len() - 500].to_vec();
    let duration = crate::fmp4::duration_at(&bytes).unwrap();
    bytes[duration..duration + 4].fill(0);
    let at = bytes.windows(4).position(|w| w == b"free").unwrap() - 4;
    let reserved = crate::fmp4::Index::new(&bytes).reserved();
    bytes[at..at + reserved.len()].copy_from_slice(&reserved);
    std::fs::write(cut.0.join("s.5.mp4"), &bytes).unwrap();
    let found = Recorder::new(hub, cut.settings()).unwrap().list();
    assert!(found[0].duration.as_millis() >= 8000, "{found:?}");
    assert!(places(&std::fs::read(cut.0.join("s.5.mp4")).unwrap()) >= 3);
}

#[tokio::test(start_paused = true)]
async fn further_tracks_of_sound_are_in_the_file_for_who_chooses_them() {
    let test = Test::new("tracks");
    let two = |ms: i64| Frame::audio(Codec::Aac, ms * 1000, vec![2; 100].into()).of_track(2);
    test.publisher.push(config(30)).unwrap();
    test.publisher.push(sound_config()).unwrap();
    test.publisher.push(sound_config().of_track(2)).unwrap();
    test.publisher.push(Frame::config(Codec::Opus, 0, b"OpusHead".as_slice().into()).of_track(1)).unwrap();
    for at in (0..6_000).step_by(20) {
        both(&test.publisher, at..at + 20, true, true).await;
        test.publisher.push(two(at)).unwrap();
    }
    let files = test.files().await;
    assert_eq!(files.len(), 1);
    let file = &files[0].1;
    let count = |what: &[u8; 4]| file.windows(4).filter(|w| w == what).count();
    assert_eq!((count(b"trak"), count(b"mp4a"), count(b"Opus"), count(b"sidx")), (3, 2, 0, 3));
    // Enabled are the pictures and the first track, which players take that know of no other.
    let headers = file.windows(8).filter(|w| &w[..4] == b"tkhd").map(|w| w[7]);
    assert_eq!(headers.collect::<Vec<_>>(), [7, 7, 6]);
    let units =
        |byte: u8| file.chunk_by(|a, b| a == b).filter(|run| run[0] == byte).map(|run| run.len() / 100).sum::<usize>();
    // Stamped every 20 ms, though they are longer: as with the first track.
    assert!((280..=300).contains(&units(2)), "{}", units(2));
    // As a killed process leaves it: found again, with its index.
    let cut = Dir::new("tracks-cut");
    std::fs::create_dir_all(&cut.0).unwrap();
    let mut bytes = file.clone();
    let duration = crate::fmp4::duration_at(&bytes).unwrap();
    bytes[duration..duration + 4].fill(0);
    let reserved = crate::fmp4::Index::new(&bytes).reserved();
    let at = bytes.windows(4).position(|w| w == b"free").unwrap() - 4;
    bytes[at..at + reserved.len()].copy_from_slice(&reserved);
    std::fs::write(cut.0.join("s.5.mp4"), &bytes).unwrap();
    Recorder::new(Hub::new(hub::Settings::default()), cut.settings()).unwrap();
    let found = std::fs::read(cut.0.join("s.5.mp4")).unwrap();
    let indexes = found.windows(4).filter(|w| w == b"sidx").count();
    assert_eq!((indexes, found.len()), (3, file.len()));
}
