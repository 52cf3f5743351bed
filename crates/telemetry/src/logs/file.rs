//! A log file that starts anew every hour (UTC) and is forgotten after some days. Lines are gathered in
//! memory and written by a thread of its own: a slow disk never holds up an answer.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex};
use time::OffsetDateTime;
use time::macros::format_description;

/// Lines wait at most this long for the disk.
const LINGER: Duration = Duration::from_millis(100);
/// Gathered bytes that are written without waiting.
const ENOUGH: usize = 256 * 1024;
/// Gathered bytes beyond which lines are dropped and counted.
const MOST: usize = 8 * 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    dropped: u64,
    /// Formatting a time costs more than the rest of a line: once a second is enough.
    second: u64,
    stamp: String,
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

#[derive(Debug)]
struct Out {
    dir: PathBuf,
    prefix: String,
    days: u32,
    hour: String,
    file: Option<File>,
    spare: Vec<u8>,
}

/// The file of this hour.
#[derive(Debug)]
pub struct HourlyFile {
    shared: Arc<Shared>,
}

impl HourlyFile {
    /// Opens this hour's file in `dir`, named `{prefix}-YYYY-MM-DD-HH.log`.
    ///
    /// # Errors
    /// The directory cannot be made, or the file not written.
    pub fn open(dir: PathBuf, prefix: &str, days: u32) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let mut out = Out { dir, prefix: prefix.into(), days, hour: String::new(), file: None, spare: Vec::new() };
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
        self.shared.write_out();
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
        self.shared.write_out();
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
            self.write_out();
        }
    }

    fn write_out(&self) {
        let mut out = self.out.lock();
        let mut gathered = self.gathered.lock();
        let dropped = std::mem::take(&mut gathered.dropped);
        if gathered.bytes.is_empty() && dropped == 0 {
            return;
        }
        let mut bytes = std::mem::replace(&mut gathered.bytes, std::mem::take(&mut out.spare));
        drop(gathered);
        self.lost.fetch_add(dropped, Ordering::Relaxed);
        if dropped > 0 {
            let _ = writeln!(bytes, "{dropped} lines were dropped: the disk is too slow for them");
        }
        // A full disk must not stop the server; the next hour's file is tried again.
        let unwritten = out.write(&bytes);
        self.lost.fetch_add(unwritten, Ordering::Relaxed);
        bytes.clear();
        bytes.shrink_to(ENOUGH);
        out.spare = bytes;
    }
}

impl Out {
    /// Writes whole lines, and says how many of them did not get to the file, or not to their end.
    fn write(&mut self, mut bytes: &[u8]) -> u64 {
        if self.rotate(SystemTime::now()).is_ok()
            && let Some(file) = &mut self.file
        {
            while !bytes.is_empty() {
                match file.write(bytes) {
                    Ok(written @ 1..) => bytes = &bytes[written..],
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                }
            }
        }
        bytes.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    fn rotate(&mut self, now: SystemTime) -> io::Result<()> {
        let hour = OffsetDateTime::from(now)
            .format(format_description!("[year]-[month]-[day]-[hour]"))
            .map_err(io::Error::other)?;
        if hour == self.hour && self.file.is_some() {
            return Ok(());
        }
        let path = self.dir.join(format!("{}-{hour}.log", self.prefix));
        self.file = Some(OpenOptions::new().create(true).append(true).open(path)?);
        self.hour = hour;
        forget(&self.dir, now, DAY * self.days);
        Ok(())
    }
}

/// Removes files older than `keep`.
fn forget(dir: &Path, now: SystemTime, keep: Duration) {
    let Ok(files) = std::fs::read_dir(dir) else { return };
    for file in files.flatten() {
        let Ok(modified) = file.metadata().and_then(|m| m.modified()) else { continue };
        let is_log = file.path().extension().is_some_and(|e| e == "log");
        if is_log && now.duration_since(modified).is_ok_and(|age| age > keep) {
            let _ = std::fs::remove_file(file.path());
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

    fn temp(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("roomservice-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn lines_are_stamped_and_written() {
        let dir = temp("lines");
        let log = HourlyFile::open(dir.clone(), "response", 7).unwrap();
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
        let mut out =
            Out { dir: dir.clone(), prefix: "error".into(), days: 7, hour: String::new(), file: None, spare: vec![] };
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
        let file = HourlyFile::open(dir.path().into(), "x", 7).unwrap();
        file.raw(b"one\n");
        file.flush();
        assert_eq!(file.lost(), 0);
        file.shared.out.lock().file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        file.raw(b"two\nthree\n");
        file.flush();
        assert_eq!(file.lost(), 2);
    }
}
