//! A log file that starts anew every hour (UTC), and where an hour has very much to say. The oldest are forgotten, after some days
//! or beyond some bytes. Lines are gathered in memory and written by a thread of its own: a slow disk never holds up an answer.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::sync::broadcast;

use super::refused::Refused;
use super::{Format, Line};

/// Lines wait at most this long for the disk.
const LINGER: Duration = Duration::from_millis(100);
/// Gathered bytes that are written without waiting.
const ENOUGH: usize = 256 * 1024;
/// Gathered bytes beyond which lines are dropped and counted.
const MOST: usize = 8 * 1024 * 1024;
/// A file is at most one of so many parts of all bytes: the oldest goes as a whole.
const PARTS: u64 = 8;
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    dropped: u64,
    /// Formatting a time costs more than the rest of a line: once a second is enough.
    second: u64,
    stamp: String,
    refused: Refused,
    closed: bool,
}

#[derive(Debug)]
struct Shared {
    lost: AtomicU64,
    gathered: Mutex<Gathered>,
    wake: Condvar,
    /// Held while writing, so that `flush` returns after the bytes are out.
    out: Mutex<Out>,
}

/// How lines look, and how much they may take.
#[derive(Debug)]
pub struct Bounds {
    /// How lines look that are made here.
    pub format: Format,
    /// Days for which files are kept.
    pub days: u32,
    /// Most bytes of all files.
    pub bytes: u64,
    /// What stays free of the disk.
    pub spare: Option<Spare>,
    /// Who watches, and is shown what is made here.
    pub tail: broadcast::Sender<Line>,
}

/// Bytes of a disk that stay free of this file's lines.
pub struct Spare {
    /// Free bytes of the disk with a directory, and all of them; `None` where that cannot be told.
    pub disk: fn(&Path) -> Option<(u64, u64)>,
    /// How many stay free of so many.
    pub of: fn(u64) -> u64,
}

impl std::fmt::Debug for Spare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spare")
    }
}

#[derive(Debug)]
struct Out {
    dir: PathBuf,
    prefix: String,
    bounds: Bounds,
    hour: String,
    /// Which file of the hour it is, from 0 on.
    part: u32,
    file: Option<File>,
    /// Bytes of the file.
    size: u64,
    /// There is no room on the disk for more.
    full: bool,
    spare: Vec<u8>,
}

/// The file of this hour.
#[derive(Debug)]
pub struct HourlyFile {
    shared: Arc<Shared>,
}

impl HourlyFile {
    /// Opens this hour's file in `dir`, named `{prefix}-YYYY-MM-DD-HH.log`, further ones of the hour `…-HH_0001.log`.
    ///
    /// # Errors
    /// The directory cannot be made, or the file not written.
    pub fn open(dir: PathBuf, prefix: &str, bounds: Bounds) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let mut out = Out::new(dir, prefix, bounds);
        out.rotate(SystemTime::now())?;
        let lost = AtomicU64::new(0);
        let gathered = Mutex::default();
        let shared = Arc::new(Shared { lost, gathered, wake: Condvar::new(), out: Mutex::new(out) });
        let writer = shared.clone();
        std::thread::Builder::new().name(format!("log {prefix}")).spawn(move || writer.run())?;
        Ok(Self { shared })
    }

    /// Adds a line, stamped with the time; `append` writes it.
    pub fn line(&self, now: u64, append: impl FnOnce(&mut Vec<u8>)) {
        let mut gathered = self.shared.gathered.lock();
        if !gathered.has_room() {
            return;
        }
        if gathered.second != now / 1000 {
            gathered.second = now / 1000;
            gathered.stamp = stamp(now);
        }
        let Gathered { bytes, stamp, .. } = &mut *gathered;
        let ms = now % 1000;
        bytes.extend_from_slice(stamp.as_bytes());
        bytes.extend_from_slice(&[b'.', digit(ms / 100), digit(ms / 10), digit(ms), b'Z', b' ']);
        append(bytes);
        bytes.push(b'\n');
        self.wake_if_enough(&gathered);
    }

    /// Adds bytes that are whole lines.
    pub fn raw(&self, bytes: &[u8]) {
        let mut gathered = self.shared.gathered.lock();
        if gathered.has_room() {
            gathered.bytes.extend_from_slice(bytes);
            self.wake_if_enough(&gathered);
        }
    }

    /// A call was refused because its caller asks for too much: told together with others, once a second.
    pub fn refused(&self, peer: Option<IpAddr>) {
        self.shared.gathered.lock().refused.add(peer);
    }

    fn wake_if_enough(&self, gathered: &Gathered) {
        if gathered.bytes.len() >= ENOUGH {
            self.shared.wake.notify_one();
        }
    }

    /// Lines that were lost since the start, because the disk was full or too slow for them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Writes out what was gathered.
    pub fn flush(&self) {
        self.shared.write_out(true);
    }
}

/// The last digit of a number.
const fn digit(number: u64) -> u8 {
    b'0' + (number % 10) as u8
}

impl Drop for HourlyFile {
    fn drop(&mut self) {
        self.shared.gathered.lock().closed = true;
        self.shared.wake.notify_one();
        self.shared.write_out(true);
    }
}

impl Gathered {
    fn has_room(&mut self) -> bool {
        let room = self.bytes.len() < MOST;
        self.dropped += u64::from(!room);
        room
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let mut gathered = self.gathered.lock();
            if gathered.closed {
                return;
            }
            if gathered.bytes.len() < ENOUGH {
                self.wake.wait_for(&mut gathered, LINGER);
            }
            drop(gathered);
            self.write_out(false);
        }
    }

    /// Writes what was gathered; `at_last` what could wait, too.
    fn write_out(&self, at_last: bool) {
        let mut out = self.out.lock();
        let mut gathered = self.gathered.lock();
        let dropped = std::mem::take(&mut gathered.dropped);
        let refused = gathered.refused.tell(Instant::now(), at_last);
        if gathered.bytes.is_empty() && dropped == 0 && refused.is_none() {
            return;
        }
        let mut bytes = std::mem::replace(&mut gathered.bytes, std::mem::take(&mut out.spare));
        drop(gathered);
        self.lost.fetch_add(dropped, Ordering::Relaxed);
        if dropped > 0 {
            let text = format!("{dropped} lines were dropped: the disk is too slow for them");
            out.remark(&mut bytes, dropped, &text);
        }
        if let Some((count, text)) = refused {
            out.remark(&mut bytes, count, &text);
        }
        // A full disk must not stop the server; the next hour's file is tried again.
        let unwritten = if out.has_room() { out.write(&bytes) } else { lines(&bytes) };
        self.lost.fetch_add(unwritten, Ordering::Relaxed);
        bytes.clear();
        bytes.shrink_to(ENOUGH);
        out.spare = bytes;
    }
}

/// How many lines these bytes are.
fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Out {
    fn new(dir: PathBuf, prefix: &str, bounds: Bounds) -> Self {
        let prefix = prefix.into();
        Self { dir, prefix, bounds, hour: String::new(), part: 0, file: None, size: 0, full: false, spare: Vec::new() }
    }

    /// Adds a line about `count` others, and shows it to who watches.
    fn remark(&self, bytes: &mut Vec<u8>, count: u64, text: &str) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        // Writing to memory cannot fail.
        let _ = match self.bounds.format {
            Format::Text => writeln!(bytes, "{}.{:03}Z {text}", stamp(now), now % 1000),
            Format::Json => {
                writeln!(bytes, "{}", serde_json::json!({"time": now, "count": count, "message": text}))
            }
        };
        if self.bounds.tail.receiver_count() > 0 {
            let _ = self.bounds.tail.send(Line::response(now, text));
        }
    }

    /// Whether the disk has room for more, of which nothing is said but where that changes.
    fn has_room(&mut self) -> bool {
        let Some(spare) = &self.bounds.spare else { return true };
        let Some((free, all)) = (spare.disk)(&self.dir) else { return true };
        let least = (spare.of)(all);
        // It must become a little more than it was, or this would change with every file that comes and goes.
        let full = free < if self.full { least + least / 8 } else { least };
        if full != self.full {
            self.full = full;
            let log = &self.prefix;
            if full {
                tracing::warn!(free, least, "the disk is almost full: the {log} log has no lines until there is room");
            } else {
                tracing::info!(free, "there is room on the disk: the {log} log goes on");
            }
        }
        !full
    }

    /// Writes whole lines, and says how many of them did not get to the file, or not to their end.
    fn write(&mut self, mut bytes: &[u8]) -> u64 {
        if self.rotate(SystemTime::now()).is_ok()
            && let Some(file) = &mut self.file
        {
            while !bytes.is_empty() {
                match file.write(bytes) {
                    Ok(written @ 1..) => {
                        bytes = &bytes[written..];
                        self.size += written as u64;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                }
            }
        }
        lines(bytes)
    }

    /// Most bytes of a file, but for the lines that were gathered when it had fewer.
    const fn most_of_one(&self) -> u64 {
        self.bounds.bytes / PARTS
    }

    /// Goes on with another file where that is due.
    fn rotate(&mut self, now: SystemTime) -> io::Result<()> {
        let hour = OffsetDateTime::from(now)
            .format(format_description!("[year]-[month]-[day]-[hour]"))
            .map_err(io::Error::other)?;
        let goes_on = hour == self.hour && self.file.is_some();
        if goes_on && self.size < self.most_of_one() {
            return Ok(());
        }
        if goes_on {
            self.part += 1;
        } else {
            // A start goes on with the last one of the hour.
            self.part = self.last_part(&hour);
        }
        let path = self.path(&hour, self.part);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        self.hour = hour;
        self.forget(now, &path);
        Ok(())
    }

    /// The last file that there is of an hour; the first one where there is none.
    fn last_part(&self, hour: &str) -> u32 {
        let Ok(files) = std::fs::read_dir(&self.dir) else { return 0 };
        let head = format!("{}-{hour}_", self.prefix);
        let part = |name: String| -> Option<u32> { name.strip_prefix(&head)?.strip_suffix(".log")?.parse().ok() };
        files.flatten().filter_map(|file| part(file.file_name().into_string().ok()?)).max().unwrap_or(0)
    }

    fn path(&self, hour: &str, part: u32) -> PathBuf {
        let prefix = &self.prefix;
        self.dir.join(match part {
            0 => format!("{prefix}-{hour}.log"),
            // An underscore, so that names have the order of the files.
            _ => format!("{prefix}-{hour}_{part:04}.log"),
        })
    }

    /// Removes files that are too old, and the oldest where all are too much, but not the `open` one.
    fn forget(&self, now: SystemTime, open: &Path) {
        let Ok(files) = std::fs::read_dir(&self.dir) else { return };
        let keep = DAY * self.bounds.days;
        let mut kept = Vec::new();
        for file in files.flatten() {
            let path = file.path();
            let Ok(meta) = file.metadata() else { continue };
            let Ok(modified) = meta.modified() else { continue };
            if path.extension().is_none_or(|e| e != "log") {
                continue;
            }
            if now.duration_since(modified).is_ok_and(|age| age > keep) {
                let _ = std::fs::remove_file(path);
            } else if path != open && file.file_name().to_str().is_some_and(|name| super::is_log(&self.prefix, name)) {
                kept.push((path, meta.len()));
            }
        }
        kept.sort();
        let mut all = self.most_of_one() + kept.iter().map(|(_, size)| size).sum::<u64>();
        for (path, size) in kept {
            if all <= self.bounds.bytes {
                break;
            }
            all -= size;
            let _ = std::fs::remove_file(path);
        }
    }
}

pub(super) fn stamp(now: u64) -> String {
    let secs = i64::try_from(now / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(secs)
        .ok()
        .and_then(|t| t.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]")).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(bytes: u64) -> Bounds {
        Bounds { format: Format::Text, days: 7, bytes, spare: None, tail: broadcast::channel(8).0 }
    }

    fn temp(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("roomservice-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn lines_are_stamped_and_written() {
        let dir = temp("lines");
        let log = HourlyFile::open(dir.clone(), "response", bounds(1 << 30)).unwrap();
        log.line(1_700_000_000_042, |line| line.extend_from_slice(b"hello 1"));
        log.flush();
        let file = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "2023-11-14T22:13:20.042Z hello 1\n");
        drop(log);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn an_hour_is_a_file_and_old_ones_go() {
        let dir = temp("hours");
        std::fs::create_dir_all(&dir).unwrap();
        let mut out = Out::new(dir.clone(), "error", bounds(1 << 30));
        let now = SystemTime::now();
        std::fs::write(dir.join("notes.txt"), "not ours").unwrap();
        out.rotate(now).unwrap();
        out.rotate(now + Duration::from_secs(3600)).unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 3);
        out.rotate(now + DAY * 8).unwrap();
        assert_eq!(
            std::fs::read_dir(&dir).unwrap().count(),
            1,
            "what is not a log stays; all logs were written 8 days ago"
        );
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_stuck_disk_costs_lines_not_memory() {
        let mut gathered = Gathered { bytes: vec![0; MOST], ..Gathered::default() };
        assert!(!gathered.has_room() && !gathered.has_room());
        assert_eq!(gathered.dropped, 2);
    }

    #[test]
    fn lines_that_a_full_disk_did_not_take_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let file = HourlyFile::open(dir.path().into(), "x", bounds(1 << 30)).unwrap();
        file.raw(b"one\n");
        file.flush();
        assert_eq!(file.lost(), 0);
        file.shared.out.lock().file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        file.raw(b"two\nthree\n");
        file.flush();
        assert_eq!(file.lost(), 2);
    }

    #[test]
    fn all_files_together_have_a_bound_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let older = dir.path().join("response-2020-01-01-00.log");
        std::fs::write(&older, vec![b'x'; 3000]).unwrap();
        std::fs::write(dir.path().join("notes.log"), vec![b'x'; 100_000]).unwrap();
        let file = HourlyFile::open(dir.path().into(), "response", bounds(8000)).unwrap();
        assert!(older.exists());
        let names = || {
            let mut all: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
            all.retain(|path| !path.ends_with("notes.log"));
            all.sort();
            all
        };
        let size = || names().iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
        for n in 0..300 {
            file.raw(format!("{n:99}\n").as_bytes());
            file.flush();
            assert!(size() <= 8000, "{:?}", names());
        }
        assert_eq!(file.lost(), 0);
        // Names are in order, the newest lines are there, and only those.
        let text: String = names().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let lines: Vec<u32> = text.lines().map(|line| line.trim().parse().unwrap()).collect();
        assert!(lines.len() > 60 && lines.is_sorted() && lines.last() == Some(&299), "{lines:?}");
        assert_eq!(lines.len() as u32, 300 - lines[0]);
        // A start goes on where it was.
        let before = names().len();
        drop(file);
        drop(HourlyFile::open(dir.path().into(), "response", bounds(8000)).unwrap());
        assert_eq!(names().len(), before);
        assert!(
            names().iter().all(|path| super::super::is_log("response", path.file_name().unwrap().to_str().unwrap()))
        );
    }

    #[test]
    fn what_stays_free_of_the_disk_is_not_taken() {
        static FREE: AtomicU64 = AtomicU64::new(99);
        let dir = tempfile::tempdir().unwrap();
        let spare = Spare { disk: |_| Some((FREE.load(Ordering::SeqCst), 2000)), of: |all| all / 20 };
        let file = HourlyFile::open(dir.path().into(), "x", Bounds { spare: Some(spare), ..bounds(1 << 30) }).unwrap();
        let say = |line: &[u8], free| {
            FREE.store(free, Ordering::SeqCst);
            file.raw(line);
            file.flush();
        };
        say(b"none\n", 99);
        assert_eq!(file.lost(), 1);
        say(b"none\n", 105);
        assert_eq!(file.lost(), 2, "a little more is not enough");
        say(b"one\n", 112);
        say(b"two\n", 100);
        say(b"none\n", 99);
        assert_eq!(file.lost(), 3);
        let name = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(std::fs::read_to_string(name).unwrap(), "one\ntwo\n");
    }
}
