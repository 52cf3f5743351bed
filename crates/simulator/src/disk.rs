//! A disk in memory: what was written and not synced is lost, torn or reordered when power is lost; it fills up, fails,
//! hangs and rots. A process that was killed can do nothing on it any more.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use store::simulation::{self, About, Pace, Sheet};
use tokio::time::Instant;

use crate::dice::Dice;

/// What is kept or lost together when a write is torn.
const SECTOR: usize = 512;

/// The disk of a machine.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    names: BTreeMap<PathBuf, u64>,
    /// As of the last sync of the directory, and what was done with names since.
    durable: BTreeMap<PathBuf, u64>,
    undone: Vec<(PathBuf, Option<u64>)>,
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    /// Which life of the machine's process may work on it.
    life: u64,
    trouble: Trouble,
    dice: Dice,
}

#[derive(Default)]
struct Inode {
    bytes: Vec<u8>,
    /// As of the last sync.
    durable: Vec<u8>,
    /// What a sync failed for: the kernel holds it for clean, and never writes it.
    dropped: Vec<(usize, usize)>,
}

/// What is wrong with the disk just now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// It takes nothing more.
    pub full: bool,
    /// Writes fail.
    pub write: bool,
    /// Syncs fail.
    pub sync: bool,
    /// It answers nothing before then.
    pub hangs: Option<Instant>,
    /// Each work takes up to so many milliseconds.
    pub slow: u64,
}

impl Trouble {
    /// Whether changes may be refused for it.
    pub fn any(&self) -> bool {
        self.full || self.write || self.sync || self.hangs.is_some_and(|until| until > Instant::now()) || self.slow > 0
    }
}

fn failed(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

impl Inode {
    fn sync(&mut self) {
        self.durable = self.bytes.clone();
        for (from, to) in &self.dropped {
            let end = (*to).min(self.durable.len());
            self.durable[(*from).min(end)..end].fill(0);
        }
    }

    fn fail_sync(&mut self) {
        if self.bytes.len() > self.durable.len() {
            self.dropped.push((self.durable.len(), self.bytes.len()));
        }
    }

    fn try_sync(&mut self, trouble: Trouble) -> io::Result<()> {
        if trouble.sync {
            self.fail_sync();
            return Err(failed(EIO));
        }
        self.sync();
        Ok(())
    }

    /// What power leaves of it.
    fn crash(&mut self, dice: &mut Dice) {
        let synced = self.durable.len();
        if self.bytes.len() <= synced {
            // It was cut, and that may not have come to the disk.
            if dice.yes(500) {
                self.bytes.clone_from(&self.durable);
            }
        } else {
            let mut pending = self.bytes.split_off(synced);
            self.bytes.clone_from(&self.durable);
            match dice.below(4) {
                0 => pending.clear(),
                1 => {}
                2 => pending.truncate(dice.below(pending.len() as u64 + 1) as usize),
                // The length came to the disk, and some of the sectors.
                _ => pending.chunks_mut(SECTOR).filter(|_| dice.yes(500)).for_each(|sector| sector.fill(0)),
            }
            self.bytes.extend(pending);
        }
        self.dropped.clear();
        self.durable.clone_from(&self.bytes);
    }
}

impl Disk {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            undone: Vec::new(),
            inodes: BTreeMap::new(),
            next: 1,
            life: 0,
            trouble: Trouble::default(),
            dice: Dice::apart(seed, 1),
        })))
    }

    /// The disk for a new process; who had it before can do nothing on it any more.
    pub fn mount(&self) -> Arc<Mount> {
        let mut state = self.0.lock();
        state.life += 1;
        Arc::new(Mount { disk: self.clone(), life: state.life })
    }

    /// The process is gone. What it wrote is still in the kernel, unless power is lost too.
    pub fn kill(&self, power: bool) {
        let state = &mut *self.0.lock();
        state.life += 1;
        if !power {
            return;
        }
        let mut names = std::mem::take(&mut state.durable);
        let kept = state.dice.below(state.undone.len() as u64 + 1) as usize;
        for (path, inode) in state.undone.drain(..).take(kept) {
            match inode {
                Some(inode) => _ = names.insert(path, inode),
                None => _ = names.remove(&path),
            }
        }
        state.durable.clone_from(&names);
        state.names = names;
        state.inodes.values_mut().for_each(|inode| inode.crash(&mut state.dice));
        state.forget();
    }

    /// What is wrong with it from now on.
    pub fn trouble(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.0.lock().trouble);
    }

    /// Whether something is.
    pub fn is_troubled(&self) -> bool {
        self.0.lock().trouble.any()
    }

    /// A byte in the older half of the newest segment rots. Says where, if there is one to take.
    pub fn rot(&self) -> Option<String> {
        let state = &mut *self.0.lock();
        let is_log = |path: &PathBuf| path.extension().is_some_and(|end| end == "log");
        let (path, inode) = state.names.iter().rfind(|(path, _)| is_log(path))?;
        let inode = state.inodes.get_mut(inode)?;
        let end = inode.bytes.len() as u64 / 2;
        if end < 256 {
            return None;
        }
        let at = usize::try_from(state.dice.below(end)).unwrap_or(0);
        inode.bytes[at] ^= 0x41;
        inode.durable.clone_from(&inode.bytes);
        Some(format!("{} at {at}", path.display()))
    }

    /// Bytes on it.
    pub fn used(&self) -> usize {
        self.0.lock().inodes.values().map(|inode| inode.bytes.len()).sum()
    }
}

impl State {
    /// Files without a name are gone.
    fn forget(&mut self) {
        let Self { names, durable, undone, inodes, .. } = self;
        let named = |inode: &u64| {
            names
                .values()
                .chain(durable.values())
                .chain(undone.iter().filter_map(|(_, i)| i.as_ref()))
                .any(|i| i == inode)
        };
        inodes.retain(|inode, _| named(inode));
    }

    fn name(&mut self, path: &Path, inode: Option<u64>) {
        match inode {
            Some(inode) => _ = self.names.insert(path.into(), inode),
            None => _ = self.names.remove(path),
        }
        self.undone.push((path.into(), inode));
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn bytes(&self, path: &Path) -> io::Result<&Vec<u8>> {
        Ok(&self.inodes.get(&self.find(path)?).ok_or(io::ErrorKind::NotFound)?.bytes)
    }
}

/// The disk as one process has it.
pub struct Mount {
    disk: Disk,
    life: u64,
}

impl Mount {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        if state.life != self.life {
            return Err(io::Error::other("the process is gone"));
        }
        work(&mut state)
    }
}

impl simulation::Disk for Mount {
    fn hold(&self, _: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.with(|_| Ok(Box::new(()) as Box<dyn Any + Send + Sync>))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let name = |path: &PathBuf| Some(path.strip_prefix(dir).ok()?.to_str()?.to_owned());
        self.with(|state| Ok(state.names.keys().filter_map(name).collect()))
    }

    fn about(&self, path: &Path) -> io::Result<About> {
        self.with(|state| Ok(About { modified: SystemTime::now(), length: state.bytes(path)?.len() as u64 }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.with(|state| state.bytes(path).cloned())
    }

    fn read_at(&self, path: &Path, from: u64, most: u64) -> io::Result<Vec<u8>> {
        self.with(|state| {
            let bytes = state.bytes(path)?;
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len() - from);
            Ok(bytes[from..from + most].to_vec())
        })
    }

    fn make(&self, path: &Path) -> io::Result<Box<dyn Sheet>> {
        self.with(|state| {
            if state.trouble.full && state.dice.yes(500) {
                return Err(failed(ENOSPC));
            }
            let inode = match state.find(path) {
                Ok(inode) => inode,
                Err(_) => {
                    state.next += 1;
                    let inode = state.next;
                    state.inodes.insert(inode, Inode::default());
                    state.name(path, Some(inode));
                    inode
                }
            };
            if let Some(inode) = state.inodes.get_mut(&inode) {
                inode.bytes.clear();
                inode.dropped.clear();
            }
            Ok(Box::new(File { mount: Self { disk: self.disk.clone(), life: self.life }, inode }) as Box<dyn Sheet>)
        })
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        self.with(|state| {
            let inode = state.find(path)?;
            let inode = state.inodes.get_mut(&inode).ok_or(io::ErrorKind::NotFound)?;
            inode.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            inode.sync();
            Ok(())
        })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            let inode = state.find(path)?;
            state.inodes.get_mut(&inode).ok_or(io::ErrorKind::NotFound)?.try_sync(state.trouble)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|state| {
            let inode = state.find(from)?;
            // One step: no power loss leaves both or none.
            state.names.remove(from);
            state.names.insert(to.into(), inode);
            state.undone.push((to.into(), Some(inode)));
            state.undone.push((from.into(), None));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            state.find(path)?;
            state.name(path, None);
            Ok(())
        })
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.with(|state| {
            if state.trouble.sync {
                return Err(failed(EIO));
            }
            state.durable.clone_from(&state.names);
            state.undone.clear();
            state.forget();
            Ok(())
        })
    }
}

/// A file that is appended to.
struct File {
    mount: Mount,
    inode: u64,
}

impl File {
    fn with<T>(&self, work: impl FnOnce(&mut Inode, Trouble, &mut Dice) -> io::Result<T>) -> io::Result<T> {
        self.mount.with(|state| {
            let State { inodes, trouble, dice, .. } = state;
            work(inodes.get_mut(&self.inode).ok_or_else(|| failed(EIO))?, *trouble, dice)
        })
    }
}

impl Sheet for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|inode, trouble, dice| {
            if trouble.full || trouble.write {
                let some = dice.below(bytes.len() as u64 + 1) as usize;
                inode.bytes.extend(&bytes[..some]);
                return Err(failed(if trouble.full { ENOSPC } else { EIO }));
            }
            inode.bytes.extend(bytes);
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|inode, trouble, _| inode.try_sync(trouble))
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.with(|inode, trouble, dice| {
            if trouble.write && dice.yes(300) {
                return Err(failed(EIO));
            }
            inode.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            Ok(())
        })
    }
}

impl Pace for Disk {
    fn pause(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let (until, takes) = {
            let state = &mut *self.0.lock();
            let usual = state.dice.from(100, 3_000);
            let slow = state.dice.below(state.trouble.slow * 1_000 + 1);
            (state.trouble.hangs, Duration::from_micros(usual + slow))
        };
        Box::pin(async move {
            if let Some(until) = until {
                tokio::time::sleep_until(until).await;
            }
            tokio::time::sleep(takes).await;
        })
    }
}
