//! How much room recordings have: the quota, and what stays free of their disk, on which the rooms' journal may be, too. Knows no
//! files.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A file is at most the part of all room that is 1 in so many, and all that are being written together: the others are finished, and
/// of those the oldest gives way.
const PARTS: u64 = 4;
/// Most bytes of a disk that stay free.
const SPARE: u64 = 1 << 30;
/// What just ended is not deleted for so long: who hears of it begins to fetch it.
const JUST: Duration = Duration::from_secs(60);
/// Nor for so long by a recording that goes on after it found no room: it would take the place of what it has.
const JUST_FULL: Duration = Duration::from_secs(3600);
/// A deleted file's room is counted on for so long; some disks give it back only then.
const GIVEN_BACK: Duration = Duration::from_secs(40);

/// Free bytes of the disk with this directory, and all of them; `None` where that cannot be told.
pub(super) type Disk = Box<dyn Fn(&Path) -> Option<(u64, u64)> + Send + Sync>;

/// How many bytes stay free of a disk of so many.
#[must_use]
pub fn spare(disk: u64) -> u64 {
    (disk / 20).min(SPARE)
}

/// What the system says of a disk.
pub(super) fn of_disk(dir: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

/// What there is no room in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    Quota,
    Disk,
}

impl From<Short> for io::Error {
    fn from(short: Short) -> Self {
        match short {
            Short::Quota => io::Error::new(io::ErrorKind::QuotaExceeded, "the quota of recordings is used up"),
            Short::Disk => io::Error::new(io::ErrorKind::StorageFull, "the rest of the disk is not for recordings"),
        }
    }
}

/// The room of a directory of recordings.
pub(super) struct Space {
    quota: u64,
    disk: Disk,
    /// How long files are kept for sure, and by who found no room.
    kept: [Duration; 2],
    /// Bytes that recordings can take, and free ones of the disk, as it was seen last.
    all: AtomicU64,
    free: AtomicU64,
    /// Bytes of a deleted file that the disk did not give back yet, but for what was written since, and since when.
    given: Mutex<Option<(u64, Instant)>>,
}

impl Space {
    pub fn new(quota: u64, disk: Disk) -> Self {
        Space {
            quota,
            disk,
            kept: [JUST, JUST_FULL],
            all: AtomicU64::new(quota),
            free: AtomicU64::new(0),
            given: Mutex::default(),
        }
    }

    /// The same, with files that give way as soon as they ended, but to who found no room.
    #[cfg(test)]
    pub fn at_once(self) -> Self {
        Space { kept: [Duration::ZERO, JUST_FULL], ..self }
    }

    /// For how long a file that ended is not deleted by a recording, or by one that goes on after it found no room.
    pub fn keeps(&self, again: bool) -> Duration {
        self.kept[usize::from(again)]
    }

    /// The largest that a file should become where so many are being written.
    pub fn share(&self, running: usize) -> u64 {
        self.all.load(Ordering::Relaxed) / PARTS / (running as u64).max(1)
    }

    /// Whether there is room for `bytes` more beside the `used` ones.
    pub fn has(&self, dir: &Path, used: u64, bytes: u64) -> Result<(), Short> {
        if used.saturating_add(bytes) > self.quota {
            return Err(Short::Quota);
        }
        let mut given = self.given.lock();
        if let Some((left, _)) = given.as_mut().filter(|(left, since)| *left >= bytes && since.elapsed() < GIVEN_BACK) {
            *left -= bytes;
            return Ok(());
        }
        *given = None;
        let Some((free, disk)) = (self.disk)(dir) else { return Ok(()) };
        self.free.store(free, Ordering::Relaxed);
        let free = free.saturating_sub(spare(disk));
        self.all.store(self.quota.min(used.saturating_add(free)), Ordering::Relaxed);
        if bytes > free { Err(Short::Disk) } else { Ok(()) }
    }

    /// A file of so many bytes was deleted to make room on the disk.
    pub fn gave(&self, dir: &Path, bytes: u64) {
        let expected = self.free.load(Ordering::Relaxed).saturating_add(bytes / 2);
        if (self.disk)(dir).is_none_or(|(free, _)| free < expected) {
            *self.given.lock() = Some((bytes, Instant::now()));
        }
    }
}
