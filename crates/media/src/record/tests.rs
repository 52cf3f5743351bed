//! Files that are finished, cut short, or too many; a disk that is too slow, or not there.

mod files;
mod room;

use bytes::Bytes;

use super::queue::{Offer, Queue};
use super::*;
use crate::ended::Ended;
use crate::fmp4::Fragment;
use crate::frame::{Codec, Frame};
use crate::hub::{self, Origin, Publisher};
use crate::name::Protocol;

/// A directory of its own, gone at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("media-record-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Dir(dir)
    }

    fn settings(&self) -> Settings {
        Settings { dir: self.0.clone(), quota: 1 << 30, longest: Duration::from_secs(3600) }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(level: u8) -> Frame {
    let avcc = [1, 0x64, 0, level, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, level, 1, 0, 1, 0x68];
    Frame::config(Codec::H264, 0, avcc.to_vec().into())
}

fn picture(ms: i64) -> Frame {
    Frame::video(Codec::H264, ms * 1000, 0, ms % 1000 == 0, vec![7; 1000].into())
}

fn origin() -> Origin {
    Origin { protocol: Protocol::Rtmp, peer: "127.0.0.1:1".parse().unwrap() }
}

fn publish(hub: &Hub, stream: &StreamName) -> Publisher {
    let publisher = hub.publish(stream, origin()).unwrap();
    publisher.push(config(30)).unwrap();
    publisher
}

fn aac() -> Frame {
    Frame::config(Codec::Aac, 0, vec![0x12, 0x10].into())
}

/// Publishes so many frames of sound, 20 ms each, and ends; `beside` pushes what else there is at a frame.
async fn sound(publisher: Publisher, frames: i64, beside: impl Fn(&Publisher, i64)) {
    for n in 0..frames {
        beside(&publisher, n);
        publisher.push(Frame::audio(Codec::Aac, n * 20_000, vec![7; 100].into())).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    publisher.finish(Ended::Finished);
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// How long all of them play, in milliseconds.
fn length(list: &[Recording]) -> u64 {
    list.iter().map(|r| r.duration.as_millis() as u64).sum()
}

async fn stream(publisher: &Publisher, ms: std::ops::Range<i64>) {
    for ms in ms.step_by(40) {
        publisher.push(picture(ms)).unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// Until the writing thread has come as far as this.
fn until(recorder: &Recorder, done: impl Fn(&[Recording]) -> bool) -> Vec<Recording> {
    let began = std::time::Instant::now();
    loop {
        let list = recorder.list();
        if done(&list) {
            return list;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "never came to be: {list:?}");
        std::thread::yield_now();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_recorded_until_it_ends() {
    let dir = Dir::new("ends");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("room.1").unwrap();
    let recorder = Recorder::new(hub.clone(), dir.settings()).unwrap();
    assert!(recorder.record(&name), "before it is published");
    assert!(!recorder.record(&name), "once");
    tokio::task::yield_now().await;
    let publisher = publish(&hub, &name);
    stream(&publisher, 0..5000).await;
    let list = until(&recorder, |l| l.first().is_some_and(|r| r.running && r.size > 50_000));
    assert_eq!((list[0].stream.as_str(), list.len()), ("room.1", 1));
    assert!(!recorder.delete(&list[0].file), "not while it is written");
    publisher.finish(Ended::Finished);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let list = until(&recorder, |l| !l[0].running);
    assert!(list[0].duration.as_millis().abs_diff(5000) < 100, "{list:?}");
    // The same is found by whoever opens the directory next.
    let again = Recorder::new(hub, dir.settings()).unwrap();
    assert_eq!(again.list(), list);
    assert_eq!(again.path(&list[0].file), Some(dir.0.join(&list[0].file)));
    assert_eq!(again.path("../etc/passwd"), None);
    assert!(again.delete(&list[0].file) && again.list().is_empty());
    assert_eq!(recorder.skipped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_recording_can_be_stopped_is_bounded_and_changes_files_with_the_codec() {
    let dir = Dir::new("stopped");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    let recorder = Recorder::new(hub.clone(), dir.settings()).unwrap();
    let publisher = publish(&hub, &name);
    assert!(recorder.record(&name));
    stream(&publisher, 0..1500).await;
    assert_eq!(recorder.stop(&name), Some(Stopped::Recorded));
    stream(&publisher, 1520..2000).await;
    assert_eq!(recorder.stop(&name), None);
    until(&recorder, |l| l.len() == 1 && !l[0].running);
    assert!(recorder.record(&name));
    stream(&publisher, 2000..3000).await;
    // The lengths of NAL units have two bytes from here on: that can be said once in a file.
    let mut other = config(31).payload.to_vec();
    other[4] = 0xfd;
    publisher.push(Frame::config(Codec::H264, 0, other.into())).unwrap();
    stream(&publisher, 3000..4000).await;
    until(&recorder, |l| l.len() == 3 && !l[1].running && l[2].running);
    assert_eq!(recorder.stop(&name), Some(Stopped::Recorded));
    tokio::time::sleep(Duration::from_millis(200)).await;
    until(&recorder, |l| l.len() == 3 && !l[2].running);
}

#[tokio::test(start_paused = true)]
async fn a_long_stream_is_several_files_with_nothing_between_them() {
    let dir = Dir::new("long");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    let recorder =
        Recorder::new(hub.clone(), Settings { longest: Duration::from_millis(2500), ..dir.settings() }).unwrap();
    let publisher = publish(&hub, &name);
    assert!(recorder.record(&name));
    stream(&publisher, 0..10_000).await;
    publisher.finish(Ended::Finished);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let list = until(&recorder, |l| l.len() == 4 && l.iter().all(|r| !r.running));
    let seconds: Vec<u64> = list.iter().map(|r| r.duration.as_millis() as u64).collect();
    assert_eq!(seconds[..3], [3_000; 3], "each ends where the next begins, with a keyframe");
    assert!((800..=1_000).contains(&seconds[3]), "{seconds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_pictures_stopped_ends_too() {
    let dir = Dir::new("stopped_pictures");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    let recorder = Recorder::new(hub.clone(), Settings { longest: Duration::from_secs(15), ..dir.settings() }).unwrap();
    let publisher = publish(&hub, &name);
    publisher.push(aac()).unwrap();
    assert!(recorder.record(&name));
    let pictures = |publisher: &Publisher, n: i64| {
        if n <= 50 && n % 2 == 0 {
            publisher.push(picture(n * 20)).unwrap();
        }
    };
    sound(publisher, 2_000, pictures).await;
    let list = until(&recorder, |l| l.len() == 3 && l.iter().all(|r| !r.running));
    assert!((39_800..=40_000).contains(&length(&list)), "{list:?}");
}

#[tokio::test(start_paused = true)]
async fn long_sound_is_several_files_too() {
    let dir = Dir::new("long_sound");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    let recorder = Recorder::new(hub.clone(), Settings { longest: Duration::from_secs(5), ..dir.settings() }).unwrap();
    let publisher = hub.publish(&name, origin()).unwrap();
    publisher.push(aac()).unwrap();
    assert!(recorder.record(&name));
    sound(publisher, 600, |_, _| ()).await;
    let list = until(&recorder, |l| l.len() == 3 && l.iter().all(|r| !r.running));
    assert!((11_900..=12_000).contains(&length(&list)), "{list:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_cut_short_is_whole_up_to_its_last_fragment() {
    let dir = Dir::new("cut");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    let recorder = Recorder::new(hub.clone(), dir.settings()).unwrap();
    let publisher = publish(&hub, &name);
    recorder.record(&name);
    stream(&publisher, 0..5040).await;
    let list = until(&recorder, |l| l.first().is_some_and(|r| r.duration >= Duration::from_millis(5000)));
    let bytes = std::fs::read(dir.0.join(&list[0].file)).unwrap();
    // As a killed process leaves it: no duration, and half a fragment at the end.
    let cut = Dir::new("cut-copy");
    std::fs::create_dir_all(&cut.0).unwrap();
    std::fs::write(cut.0.join("s.5.mp4"), &bytes[..bytes.len() - 500]).unwrap();
    std::fs::write(cut.0.join("garbage.1.mp4"), b"\0\0\0\x08moofxxxxxxxxxxxxxxxxxxxx").unwrap();
    std::fs::write(cut.0.join("notes.txt"), b"somebody else's").unwrap();
    for _ in 0..2 {
        let found = Recorder::new(hub.clone(), cut.settings()).unwrap().list();
        assert_eq!(found.len(), 1, "{found:?}");
        let Recording { duration, size, started, running, .. } = &found[0];
        assert!(*duration >= Duration::from_millis(3900) && *duration < list[0].duration, "{found:?}");
        assert!(*size < bytes.len() as u64 - 500 && (*started, *running) == (5, false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_holds_nothing_of_before_and_asks_for_its_keyframe() {
    let dir = Dir::new("since");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    let recorder = Recorder::new(hub.clone(), dir.settings()).unwrap();
    let publisher = publish(&hub, &name);
    publisher.push(picture(0)).unwrap();
    stream(&publisher, 40..800).await;
    assert!(recorder.record(&name));
    publisher.key_wanted().await;
    stream(&publisher, 800..3000).await;
    assert_eq!(recorder.stop(&name), Some(Stopped::Recorded));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let list = until(&recorder, |l| l.len() == 1 && !l[0].running);
    let length = list[0].duration;
    assert!(recorder.record(&name) && recorder.stop(&name).is_some() && recorder.record(&name), "again at once");
    recorder.stop(&name);
    assert!(length <= Duration::from_millis(2000) && length >= Duration::from_millis(1800), "{list:?}");
    assert_eq!(recorder.empty(), []);
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_never_got_a_keyframe_says_so() {
    let dir = Dir::new("empty");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    let recorder = Recorder::new(hub.clone(), dir.settings()).unwrap();
    let mut events = recorder.events();
    let publisher = publish(&hub, &name);
    publisher.push(picture(0)).unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(recorder.record(&name));
    stream(&publisher, 40..960).await;
    stream(&publisher, 1040..1960).await;
    let waiting = recorder.empty();
    assert!(waiting.len() == 1 && waiting[0].running && waiting[0].stream == "s", "{waiting:?}");
    let Some(Stopped::Empty(empty)) = recorder.stop(&name) else { panic!("there is no file") };
    assert!(!empty.running && empty.waited >= Duration::from_millis(1800), "{empty:?}");
    let Event::Empty(told) = events.recv().await.unwrap() else { panic!("nothing began") };
    assert_eq!((told.stream.as_str(), told.asked), ("s", empty.asked));
    assert_eq!(recorder.empty(), [told]);
    assert_eq!(recorder.list(), []);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_begun_is_told_as_none() {
    let dir = Dir::new("gone");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    let recorder = Recorder::new(hub.clone(), dir.settings()).unwrap();
    let mut events = recorder.events();
    let publisher = publish(&hub, &name);
    std::fs::remove_dir_all(&dir.0).unwrap();
    assert!(recorder.record(&name));
    stream(&publisher, 0..3000).await;
    publisher.finish(Ended::Finished);
    let Event::Empty(told) = events.recv().await.unwrap() else { panic!("nothing was written") };
    assert_eq!((recorder.empty(), recorder.list()), (vec![told], vec![]));
}

#[test]
fn a_slow_disk_skips_to_the_next_start() {
    let (mut queue, pieces) = Queue::bare();
    let fragment = |independent| {
        let bytes = Bytes::from_static(b"x");
        Fragment { bytes, independent, has_video: true, has_audio: true }
    };
    let mut offers = String::new();
    let mut offer = |queue: &mut Queue, independent| {
        offers.push(match queue.offer(fragment(independent), 0) {
            Offer::Taken => 't',
            Offer::Skipped => 's',
        });
    };
    (0..10).for_each(|_| offer(&mut queue, true));
    // There is room again, but not for what cannot be decoded.
    pieces.iter().take(2).count();
    offer(&mut queue, false);
    offer(&mut queue, true);
    offer(&mut queue, false);
    offer(&mut queue, false);
    assert_eq!(offers, "ttttttttssstts");
}
