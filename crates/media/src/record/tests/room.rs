//! Recordings that need more room than there is, by the quota or on the disk, and their end with the server.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::*;

/// A recorder with so much room, whose files give way as soon as they ended.
fn recorder(hub: &Hub, settings: Settings, disk: space::Disk) -> Recorder {
    Recorder::within(Space::new(settings.quota, disk).at_once(), hub.clone(), settings).unwrap()
}

/// Bytes of a directory.
fn bytes_in(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap();
    files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum()
}

/// Publishes these seconds to each, and gives the threads that write them time.
async fn seconds(publishers: &[&Publisher], seconds: std::ops::Range<i64>) {
    for second in seconds {
        for ms in (second * 1000..second * 1000 + 1000).step_by(40) {
            publishers.iter().for_each(|publisher| publisher.push(picture(ms)).unwrap());
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the file says of how long it plays, in milliseconds.
fn said(path: &Path) -> u128 {
    let bytes = std::fs::read(path).unwrap();
    let at = crate::fmp4::duration_at(&bytes).unwrap();
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()).into()
}

#[tokio::test(start_paused = true)]
async fn beyond_the_quota_the_oldest_go_and_recordings_go_on() {
    const QUOTA: u64 = 800_000;
    let dir = Dir::new("quota");
    let hub = Hub::new(hub::Settings::default());
    let names = ["a", "b"].map(|name| StreamName::new(name).unwrap());
    let recorder = recorder(&hub, Settings { quota: QUOTA, ..dir.settings() }, Box::new(|_| None));
    let [a, b] = [&names[0], &names[1]].map(|name| publish(&hub, name));
    names.iter().for_each(|name| assert!(recorder.record(name)));
    // 25 kB a second each: more than the quota.
    for second in 0..20 {
        seconds(&[&a, &b], second..second + 1).await;
        let used = bytes_in(&dir.0);
        assert!(used <= QUOTA + 60_000, "{used} bytes after {second} s");
    }
    a.finish(Ended::Finished);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let list = until(&recorder, |l| l.iter().all(|r| r.stream == "b" || !r.running));
    let last = list.iter().rfind(|r| r.stream == "a").unwrap().file.clone();
    seconds(&[&b], 20..24).await;
    let list = recorder.list();
    assert!(list.iter().any(|r| r.file == last), "what just ended is gone: {list:?}");
    assert!(list.iter().any(|r| r.stream == "b" && r.running), "the other one does not go on: {list:?}");
    b.finish(Ended::Finished);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let list = until(&recorder, |l| l.iter().all(|r| !r.running));
    assert!(list.len() > 4 && length(&list) >= 10_000, "{list:?}");
    for file in list {
        assert_eq!(said(&dir.0.join(&file.file)), file.duration.as_millis());
    }
}

#[tokio::test(start_paused = true)]
async fn a_recording_without_room_goes_on_as_soon_as_there_is_some() {
    let dir = Dir::new("no_keys");
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    let recorder = recorder(&hub, Settings { quota: 150_000, ..dir.settings() }, Box::new(|_| None));
    let publisher = publish(&hub, &name);
    assert!(recorder.record(&name));
    publisher.push(picture(0)).unwrap();
    for ms in (40..8_000).step_by(40) {
        publisher.push(Frame::video(Codec::H264, ms * 1000, 0, false, vec![7; 1000].into())).unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    let first = until(&recorder, |l| l.len() == 1 && !l[0].running)[0].clone();
    assert!(first.size > 100_000 && said(&dir.0.join(&first.file)) == first.duration.as_millis(), "{first:?}");
    seconds(&[&publisher], 8..30).await;
    assert_eq!(recorder.list(), std::slice::from_ref(&first), "it does not take the place of what it has");
    assert!(recorder.delete(&first.file));
    // The disk's answers come in its own time, and each is waited on for a while of the clock that stands still.
    let mut at = 30;
    while !recorder.list().iter().any(|r| r.running) {
        assert!(at < 3_000, "it does not go on: {:?}", recorder.list());
        seconds(&[&publisher], at..at + 5).await;
        std::thread::sleep(Duration::from_millis(2));
        at += 5;
    }
    assert_eq!(recorder.stop(&name), Some(Stopped::Recorded));
}

#[tokio::test(start_paused = true)]
async fn of_a_disk_a_rest_stays_free_and_a_recording_waits_for_room() {
    const DISK: u64 = 800_000;
    let dir = Dir::new("disk");
    std::fs::create_dir_all(&dir.0).unwrap();
    let hub = Hub::new(hub::Settings::default());
    let name = StreamName::new("s").unwrap();
    // Another program that takes all that is left.
    let taken = Arc::new(AtomicBool::new(false));
    let all = Arc::clone(&taken);
    let disk = move |dir: &Path| {
        let free = if all.load(Ordering::Relaxed) { 0 } else { DISK.saturating_sub(bytes_in(dir)) };
        Some((free, DISK))
    };
    let recorder = recorder(&hub, dir.settings(), Box::new(disk));
    let publisher = publish(&hub, &name);
    assert!(recorder.record(&name));
    for second in 0..40 {
        seconds(&[&publisher], second..second + 1).await;
        let used = bytes_in(&dir.0);
        assert!(used < DISK, "{used} bytes after {second} s");
    }
    let list = recorder.list();
    assert!(list.last().is_some_and(|r| r.running) && length(&list) >= 12_000, "{list:?}");
    taken.store(true, Ordering::Relaxed);
    seconds(&[&publisher], 40..80).await;
    taken.store(false, Ordering::Relaxed);
    seconds(&[&publisher], 80..95).await;
    let list = recorder.list();
    assert!(list.last().is_some_and(|r| r.running), "{list:?}");
    assert_eq!(recorder.stop(&name), Some(Stopped::Recorded));
}

#[test]
fn what_just_ended_is_kept_for_a_minute() {
    let dir = Dir::new("just");
    let open = |space| Arc::new(file::Index::open(&dir.0, space).unwrap());
    let space = || Space::new(100_000, Box::new(|_| None));
    for (space, again, kept) in
        [(space(), false, true), (space().at_once(), true, true), (space().at_once(), false, false)]
    {
        let index = open(space);
        let begin = |started, again| file::Output::create(&index, "s", started, &[0; 70_000], again).map(drop);
        begin(1, false).unwrap();
        let second = begin(2, again).map_err(|why| why.kind());
        assert_eq!(second, if kept { Err(io::ErrorKind::QuotaExceeded) } else { Ok(()) });
        let list = index.list();
        assert_eq!(list.iter().map(|r| r.started).collect::<Vec<_>>(), [if kept { 1 } else { 2 }]);
        assert!(list.iter().all(|r| index.delete(&r.file)));
    }
}

#[test]
fn a_disk_that_gives_back_late_is_not_emptied() {
    let dir = Path::new("/");
    let full = space::Space::new(1 << 40, Box::new(|_| Some((0, 1 << 40))));
    assert_eq!(full.has(dir, 5000, 100), Err(space::Short::Disk));
    full.gave(dir, 1000);
    for _ in 0..10 {
        assert_eq!(full.has(dir, 4000, 100), Ok(()));
    }
    assert_eq!(full.has(dir, 4000, 100), Err(space::Short::Disk));
    assert_eq!((spare(1 << 40), spare(2000)), (1 << 30, 100));
}

#[tokio::test(start_paused = true)]
async fn when_it_is_closed_all_files_are_complete_and_told() {
    let dir = Dir::new("closed");
    let hub = Hub::new(hub::Settings::default());
    let names = ["a", "b"].map(|name| StreamName::new(name).unwrap());
    let recorder = Recorder::new(hub.clone(), dir.settings()).unwrap();
    let mut events = recorder.events();
    let [a, b] = [&names[0], &names[1]].map(|name| publish(&hub, name));
    names.iter().for_each(|name| assert!(recorder.record(name)));
    seconds(&[&a, &b], 0..3).await;
    recorder.close().await;
    assert!(recorder.list().iter().all(|r| !r.running && r.duration >= Duration::from_secs(2)));
    let mut ready = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Ready(recording) = event {
            ready.push(recording.stream);
        }
    }
    ready.sort();
    assert_eq!(ready, ["a", "b"]);
    assert!(!recorder.record(&names[0]), "none begins any more");
}
