//! The files of a journal: numbered segments and one snapshot, in a directory that one server holds at a time.
//! Knows what they are called and how they are made durable; what stands in them is for others.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
const SNAPSHOT: &str = "snapshot";
const SEGMENT: &str = "log";

impl Drop for Dir {
    fn drop(&mut self) {
        // Closing it would not do at once: a child process that is just being started has it open for a moment too.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the journal's directory stays held until the end of the process");
        }
    }
}

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

/// Makes the sheet of a new segment.
pub type Make = Box<dyn FnMut(&Path) -> io::Result<Box<dyn Sheet>> + Send>;

/// Makes it in the file system.
pub fn on_disk() -> Make {
    Box::new(|path| {
        // A file of this name can only be left from an attempt that failed before anything was in it.
        let file = private().append(true).open(path)?;
        file.set_len(0)?;
        if let Some(dir) = path.parent() {
            sync_dir(dir)?;
        }
        Ok(Box::new(file))
    })
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

/// Makes a file, or empties it, for this user alone.
pub fn create(path: &Path) -> io::Result<File> {
    private().write(true).truncate(true).open(path)
}

/// Makes the names in a directory durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The directory of a journal, held until it is dropped.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    lock: File,
}

impl Dir {
    /// Makes the directory where there is none, and takes hold of it.
    ///
    /// # Errors
    /// Another server has it, or it cannot be made.
    pub fn hold(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        if let Err(error) = close(path) {
            tracing::warn!(%error, "the journal's files stay readable for others");
        }
        let lock = private().truncate(false).write(true).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), lock }),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!(
                    "{} is in use by another running server; give each its own data_dir, or stop the other one",
                    path.display()
                ),
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the snapshot.
    pub fn snapshot(&self) -> PathBuf {
        self.path.join(SNAPSHOT)
    }

    /// The file of the segment whose first frame has this number.
    pub fn segment(&self, first: u64) -> PathBuf {
        self.path.join(format!("{first:020}.{SEGMENT}"))
    }

    /// The first numbers of all segments, ascending.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn segments(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|n| n.strip_suffix(SEGMENT)?.strip_suffix('.'));
            found.extend(number.and_then(|n| n.parse::<u64>().ok()));
        }
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
            fs::remove_file(self.segment(*first))?;
        }
        Ok(all.len() - needless)
    }

    /// Writes a small file whole or not at all.
    ///
    /// # Errors
    /// The disk is full or away.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (new, path) = (self.path.join(format!("{name}.new")), self.path.join(name));
        let mut file = create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(new, path)?;
        sync_dir(&self.path)
    }
}
