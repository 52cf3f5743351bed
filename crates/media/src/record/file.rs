//! Recordings on disk: one file being written, and the index of all of them with the quota. Blocking; never called from
//! the hot path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::queue::Piece;
use super::space::{Short, Space};
use super::{Event, Recording};
use crate::fmp4::{self, Played, avc_at, duration_at, played};

/// Fragments between two waits for the disk to have them.
const SYNC_EVERY: u32 = 5;
/// Init segments are much shorter than this.
const HEAD: u64 = 16 * 1024;

/// Everything in the directory, and how much of it there may be.
pub(super) struct Index {
    dir: PathBuf,
    space: Space,
    files: Mutex<Vec<Kept>>,
    events: broadcast::Sender<Event>,
}

/// A file, and when it ended.
struct Kept {
    recording: Recording,
    ended: Option<SystemTime>,
}

impl Kept {
    /// Whether it ended, so long ago at least.
    fn ended(&self, ago: Duration) -> bool {
        // One of a time to come is of another clock.
        !self.recording.running && !self.ended.is_some_and(|at| at.elapsed().is_ok_and(|passed| passed < ago))
    }
}

impl Index {
    pub fn open(dir: &Path, space: Space) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            let Some((stream, started)) = parse(&name) else {
                continue;
            };
            // One that cannot be read is not ours.
            let Ok((size, duration)) = examine(&entry.path()) else {
                continue;
            };
            let ended = entry.metadata().and_then(|found| found.modified()).ok();
            let stream = stream.into();
            let recording = Recording { stream, started, file: name, size, duration, running: false };
            files.push(Kept { recording, ended });
        }
        files.sort_by_key(|kept| kept.recording.started);
        let (events, _) = broadcast::channel(256);
        Ok(Index { dir: dir.into(), space, files: Mutex::new(files), events })
    }

    pub fn list(&self) -> Vec<Recording> {
        self.files.lock().iter().map(|kept| kept.recording.clone()).collect()
    }

    pub fn delete(&self, file: &str) -> bool {
        let mut files = self.files.lock();
        let Some(at) = files.iter().position(|kept| kept.recording.file == file && !kept.recording.running) else {
            return false;
        };
        let gone = fs::remove_file(self.dir.join(file)).is_ok();
        if gone {
            files.remove(at);
        }
        gone
    }

    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub fn tell(&self, event: Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    fn update(&self, file: &str, change: impl FnOnce(&mut Kept)) {
        if let Some(kept) = self.files.lock().iter_mut().find(|kept| kept.recording.file == file) {
            change(kept);
        }
    }

    /// The largest that a file should become where so many are being written.
    pub fn share(&self, running: usize) -> u64 {
        self.space.share(running)
    }

    /// Makes room for `bytes` more: deletes the oldest finished recordings, but for those that just ended. Fails when that is not
    /// enough. `again`: for what goes on after there was no room.
    fn make_room(&self, bytes: u64, again: bool) -> io::Result<()> {
        let ago = self.space.keeps(again);
        loop {
            let (used, oldest) = {
                let files = self.files.lock();
                let oldest = files.iter().find(|kept| kept.ended(ago)).map(|kept| &kept.recording);
                let oldest = oldest.map(|r| (r.file.clone(), r.size));
                (files.iter().map(|kept| kept.recording.size).sum(), oldest)
            };
            let Err(short) = self.space.has(&self.dir, used, bytes) else { return Ok(()) };
            let (oldest, size) = oldest.ok_or(short)?;
            tracing::warn!(file = oldest, ?short, "deleting the oldest recording to make room");
            if !self.delete(&oldest) {
                // Another program deleted it, or we may not: it is not counted any more either way.
                self.files.lock().retain(|kept| kept.recording.file != oldest);
            } else if short == Short::Disk {
                self.space.gave(&self.dir, size);
            }
        }
    }
}

/// A file that is being written.
pub(super) struct Output<'a> {
    index: &'a Index,
    name: String,
    file: File,
    /// Bytes that are written and whole.
    size: u64,
    duration_at: Option<usize>,
    avc_at: Option<usize>,
    reserved_at: u64,
    places: fmp4::Index,
    until: u64,
    varies: bool,
    unsynced: u32,
}

impl<'a> Output<'a> {
    /// Begins a file; `again`: after one that could not be written.
    pub fn create(index: &'a Arc<Index>, stream: &str, started: u64, init: &[u8], again: bool) -> io::Result<Self> {
        let places = fmp4::Index::new(init);
        let head = [init, &places.reserved()].concat();
        let size = head.len() as u64;
        index.make_room(size, again)?;
        let name = format!("{stream}.{started}.mp4");
        let path = index.dir.join(&name);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        if let Err(why) = file.write_all(&head) {
            let _ = fs::remove_file(&path);
            return Err(why);
        }
        let recording = Recording {
            file: name.clone(),
            stream: stream.into(),
            started,
            size,
            duration: Duration::ZERO,
            running: true,
        };
        // Files are begun beside each other, and listed by when their recordings began.
        let mut files = index.files.lock();
        let at = files.partition_point(|other| other.recording.started <= started);
        files.insert(at, Kept { recording: recording.clone(), ended: None });
        drop(files);
        index.tell(Event::Started(recording));
        Ok(Output {
            index,
            name,
            file,
            size,
            duration_at: duration_at(init),
            avc_at: avc_at(init),
            reserved_at: init.len() as u64,
            places,
            until: 0,
            varies: false,
            unsynced: 0,
        })
    }

    /// Appends a fragment. What does not fit is not there in part either.
    pub fn append(&mut self, piece: &Piece) -> io::Result<()> {
        let length = piece.bytes.len() as u64;
        self.index.make_room(length, false)?;
        if let Err(why) = self.file.write_all(&piece.bytes) {
            self.file.set_len(self.size)?;
            return Err(why);
        }
        self.size += length;
        self.until = piece.until;
        self.places.add(&piece.bytes);
        self.index.update(&self.name, |kept| {
            kept.recording.size += length;
            kept.recording.duration = Duration::from_millis(piece.until);
        });
        if piece.varies && !std::mem::replace(&mut self.varies, true) {
            self.tell_variation()?;
        }
        self.unsynced += 1;
        if self.unsynced >= SYNC_EVERY {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Says at the file's beginning that parameter sets are among its pictures: `avc3` (ISO/IEC 14496-15 §5.4.2).
    fn tell_variation(&mut self) -> io::Result<()> {
        if let Some(at) = self.avc_at {
            self.file.seek(SeekFrom::Start(at as u64))?;
            self.file.write_all(b"avc3")?;
            self.file.seek(SeekFrom::Start(self.size))?;
        }
        Ok(())
    }

    /// Writes the duration and the index to the file's beginning.
    pub fn finish(mut self) -> io::Result<()> {
        write_duration(&mut self.file, self.duration_at, self.until)?;
        write_index(&mut self.file, self.reserved_at, &self.places)?;
        self.file.sync_all()
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        let mut ready = None;
        self.index.update(&self.name, |kept| {
            kept.recording.running = false;
            kept.ended = Some(SystemTime::now());
            ready = Some(kept.recording.clone());
        });
        if let Some(recording) = ready {
            self.index.tell(Event::Ready(recording));
        }
    }
}

fn write_duration(file: &mut File, at: Option<usize>, ms: u64) -> io::Result<()> {
    let Some(at) = at else {
        return Ok(());
    };
    file.seek(SeekFrom::Start(at as u64))?;
    file.write_all(&u32::try_from(ms).unwrap_or(u32::MAX).to_be_bytes())
}

fn write_index(file: &mut File, at: u64, places: &fmp4::Index) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&places.bytes())
}

fn parse(name: &str) -> Option<(&str, u64)> {
    let (stream, started) = name.strip_suffix(".mp4")?.rsplit_once('.')?;
    Some((stream, started.parse().ok()?))
}

/// Size and duration of a file. One that was cut short does not know its duration: it is counted and written, with the index, and
/// the beginning of a fragment at its end is taken off.
fn examine(path: &Path) -> io::Result<(u64, Duration)> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut size = file.metadata()?.len();
    let mut head = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut head)?;
    let at = duration_at(&head);
    let known = at.and_then(|at| head.get(at..at + 4)).map(|b| b.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)));
    let ms = match known {
        None | Some(0) => {
            let Played { ms, whole, reserved_at, index } = played(&mut file, size)?;
            file.set_len(whole)?;
            size = whole;
            write_duration(&mut file, at, ms)?;
            if let Some(at) = reserved_at {
                write_index(&mut file, at, &index)?;
            }
            ms
        }
        Some(ms) => ms,
    };
    Ok((size, Duration::from_millis(ms)))
}
