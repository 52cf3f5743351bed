//! The files of a journal: numbered segments and one snapshot, in a directory that one server holds at a time.
//! Knows what they are called and how they are made durable; what stands in them is for others.

use std::any::Any;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

const LOCK: &str = "lock";
const SNAPSHOT: &str = "snapshot";
const SEGMENT: &str = "log";

/// A file that is appended to. A trait so that tests can let the disk be full.
pub trait Sheet: Send {
    /// Writes all of it, or fails at any point of it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when what was appended survives a loss of power.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts what follows the first `length` bytes off.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Sheet for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// When it was changed last.
    pub modified: SystemTime,
    /// Its size in bytes.
    pub length: u64,
}

/// The file system as the journal sees it. A trait so that tests can let the disk be full, or lose power.
pub trait Disk: Send + Sync {
    /// Makes a directory where there is none, and holds it until what is returned is dropped.
    fn hold(&self, dir: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
    /// The names in a directory. What has one may be gone when it is asked for.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Age and size of a file.
    fn about(&self, path: &Path) -> io::Result<About>;
    /// All of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// At most so many bytes of a file from here on.
    fn read_at(&self, path: &Path, from: u64, most: u64) -> io::Result<Vec<u8>>;
    /// Makes a file, or empties it, for this user alone. Its name is durable when its directory was synced.
    fn make(&self, path: &Path) -> io::Result<Box<dyn Sheet>>;
    /// Cuts what follows the first `length` bytes of a file off, durably.
    fn cut(&self, path: &Path, length: u64) -> io::Result<()>;
    /// Returns when what a file has survives a loss of power.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, in place of what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnDisk;

impl Disk for OnDisk {
    fn hold(&self, dir: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        fs::create_dir_all(dir)?;
        if let Err(error) = close(dir) {
            tracing::warn!(%error, "the journal's files stay readable for others");
        }
        let lock = private().truncate(false).write(true).open(dir.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Box::new(Lock(lock))),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!(
                    "{} is in use by another running server; give each its own data_dir, or stop the other one",
                    dir.display()
                ),
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            found.extend(entry?.file_name().into_string());
        }
        Ok(found)
    }

    fn about(&self, path: &Path) -> io::Result<About> {
        let known = fs::metadata(path)?;
        Ok(About { modified: known.modified()?, length: known.len() })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_at(&self, path: &Path, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn make(&self, path: &Path) -> io::Result<Box<dyn Sheet>> {
        let file = private().append(true).open(path)?;
        // Nothing is left of what an attempt that failed may have written.
        file.set_len(0)?;
        Ok(Box::new(file))
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// Holds a directory.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would not do at once: a child process that is just being started has it open for a moment too.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the journal's directory stays held until the end of the process");
        }
    }
}

/// Who else has an account on the machine reads nothing of what is kept, however the process was started.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    options
}

/// Closes what an earlier version left readable for others.
fn close(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// The directory of a journal, held until it is dropped.
pub struct Dir {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    _held: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dir").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Dir {
    /// Makes the directory where there is none, and takes hold of it.
    ///
    /// # Errors
    /// Another server has it, or it cannot be made.
    pub fn hold(disk: Arc<dyn Disk>, path: &Path) -> io::Result<Self> {
        let held = disk.hold(path)?;
        Ok(Self { path: path.to_path_buf(), disk, _held: held })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the files are.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The file of the snapshot.
    pub fn snapshot(&self) -> PathBuf {
        self.path.join(SNAPSHOT)
    }

    /// The file of the segment whose first frame has this number.
    pub fn segment(&self, first: u64) -> PathBuf {
        self.path.join(format!("{first:020}.{SEGMENT}"))
    }

    /// Begins a segment. A file of its name can only be left from an attempt that failed before anything was in it.
    ///
    /// # Errors
    /// The disk is full or away.
    pub fn begin(&self, first: u64) -> io::Result<Box<dyn Sheet>> {
        let sheet = self.disk.make(&self.segment(first))?;
        self.sync()?;
        Ok(sheet)
    }

    /// Makes the names in it durable.
    ///
    /// # Errors
    /// The disk is away.
    pub fn sync(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.path)
    }

    /// The names in it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list(&self.path)
    }

    /// Age and size of a file in it; `None`: it is gone.
    ///
    /// # Errors
    /// The disk is away.
    pub fn about(&self, path: &Path) -> io::Result<Option<About>> {
        there(self.disk.about(path))
    }

    /// The first numbers of all segments, ascending.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn segments(&self) -> io::Result<Vec<u64>> {
        let number = |name: &String| name.strip_suffix(SEGMENT)?.strip_suffix('.')?.parse::<u64>().ok();
        let mut found: Vec<u64> = self.list()?.iter().filter_map(number).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Removes segments of which nothing is needed: those that end before `from`. Says how many are left.
    ///
    /// # Errors
    /// The directory cannot be changed.
    pub fn forget_before(&self, from: u64) -> io::Result<usize> {
        let all = self.segments()?;
        let needless = all.windows(2).take_while(|pair| pair[1] <= from).count();
        for first in &all[..needless] {
            self.disk.remove(&self.segment(*first))?;
        }
        Ok(all.len() - needless)
    }

    /// Writes a small file whole or not at all.
    ///
    /// # Errors
    /// The disk is full or away.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.join(format!("{name}.new"));
        let path = self.path.join(name);
        let mut file = self.disk.make(&new)?;
        file.append(bytes)?;
        file.sync()?;
        self.disk.rename(&new, &path)?;
        self.sync()
    }

    /// A file that may not be there.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        there(self.disk.read(path))
    }
}

fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}
