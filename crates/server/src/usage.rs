//! What the system says of this process, and of the disk that it keeps its data on. Nothing where it has no /proc.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How old what is known of a disk may be.
const RECENT: Duration = Duration::from_secs(5);
/// How long its answer is waited for.
const PATIENCE: Duration = Duration::from_millis(200);
/// A disk that has not answered for so long is told of.
const SILENT: Duration = Duration::from_secs(10);

/// This process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident bytes.
    pub resident: Option<u64>,
    /// Seconds of processor time, of programs and of the kernel for it.
    pub cpu: Option<f64>,
    /// Open file descriptors, and as many as may be.
    pub descriptors: Option<(u64, u64)>,
    /// Threads.
    pub threads: Option<u64>,
}

impl Usage {
    /// Looks.
    #[must_use]
    pub fn now() -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
        let pages = read("statm").and_then(|s| s.split_whitespace().nth(1)?.parse::<u64>().ok());
        let stat = read("stat").unwrap_or_default();
        // The name in the second field may hold spaces: fields are counted from its end. Ticks are hundredths.
        let field = |n: usize| stat.rsplit_once(')')?.1.split_whitespace().nth(n)?.parse::<u64>().ok();
        let ticks = || field(11)?.checked_add(field(12)?);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let open = std::fs::read_dir("/proc/self/fd").ok().map(|dir| dir.count() as u64);
        Self {
            resident: pages.and_then(|p| p.checked_mul(4096)),
            cpu: ticks().map(|t| t as f64 / 100.0),
            descriptors: open.map(|open| (open, limit.unwrap_or(u64::MAX))),
            threads: field(17),
        }
    }
}

/// Free bytes of the disk that a path is on, and all of them.
#[must_use]
pub fn disk(path: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

/// The room on a disk, as it was a moment ago: who asks does not wait long for a disk that hangs, as one of a network may.
pub struct Space {
    path: PathBuf,
    known: Arc<Mutex<Known>>,
    answered: Arc<Notify>,
}

#[derive(Default)]
struct Known {
    /// What [`disk`] said, and when.
    last: Option<(Instant, Option<(u64, u64)>)>,
    /// Since when it is being asked.
    asked: Option<Instant>,
}

impl Space {
    /// Of the disk that a path is on, which is asked at once.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let known = Known { last: Some((Instant::now(), disk(path))), asked: None };
        Self { path: path.to_owned(), known: Arc::new(Mutex::new(known)), answered: Arc::default() }
    }

    /// Asks the disk, unless it answered a moment ago, and waits a little for it.
    pub async fn ask(&self) {
        self.ask_by(disk).await;
    }

    async fn ask_by(&self, ask: impl FnOnce(&Path) -> Option<(u64, u64)> + Send + 'static) {
        let mut answered = pin!(self.answered.notified());
        answered.as_mut().enable();
        if self.begin(ask) {
            let _ = tokio::time::timeout(PATIENCE, answered).await;
        }
    }

    /// Free bytes and all of them, as the disk answered last.
    #[must_use]
    pub fn last(&self) -> Option<(u64, u64)> {
        self.known.lock().last.and_then(|(_, found)| found)
    }

    /// Whether the disk has left a question without an answer for long.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.known.lock().asked.is_some_and(|since| since.elapsed() >= SILENT)
    }

    /// Says whether an answer is to come.
    fn begin(&self, ask: impl FnOnce(&Path) -> Option<(u64, u64)> + Send + 'static) -> bool {
        let mut known = self.known.lock();
        let recent = known.last.is_some_and(|(at, _)| at.elapsed() < RECENT);
        if !recent && known.asked.is_none() {
            let path = self.path.clone();
            let answer = Arc::clone(&self.known);
            let answered = Arc::clone(&self.answered);
            // A thread of its own: one that hangs holds up neither the runtime nor its end.
            let asking = thread::Builder::new().name("disk".into()).spawn(move || {
                let found = ask(&path);
                *answer.lock() = Known { last: Some((Instant::now(), found)), asked: None };
                answered.notify_waiters();
            });
            known.asked = asking.is_ok().then(Instant::now);
        }
        known.asked.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_disk_that_hangs_holds_nobody_up_for_long() {
        let space = Space { path: "/".into(), known: Arc::default(), answered: Arc::default() };
        let (answer, waits) = mpsc::channel::<()>();
        let hangs = move |_: &Path| {
            waits.recv().ok();
            Some((1, 2))
        };
        space.ask_by(hangs).await;
        space.ask_by(|_| panic!("asked twice at once")).await;
        assert!(!space.is_silent() && space.last().is_none());
        space.known.lock().asked = Instant::now().checked_sub(SILENT);
        assert!(space.is_silent());
        answer.send(()).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while space.last() != Some((1, 2)) {
            assert!(Instant::now() < end);
            space.ask_by(|_| panic!("asked again too soon")).await;
        }
        assert!(!space.is_silent());
        // What is old is asked for again, and the answer waited for.
        space.known.lock().last = Instant::now().checked_sub(RECENT).map(|then| (then, Some((1, 2))));
        space.ask_by(|_| Some((3, 4))).await;
        assert_eq!(space.last(), Some((3, 4)));
    }

    #[test]
    fn this_process_is_seen() {
        let now = Usage::now();
        assert!(now.resident.unwrap() > 1 << 20);
        assert!(now.cpu.unwrap() >= 0.0 && now.threads.unwrap() >= 1);
        let (open, most) = now.descriptors.unwrap();
        assert!(open >= 3 && open <= most);
        let (free, all) = disk(Path::new("/")).unwrap();
        assert!(free <= all && all > 0);
        assert_eq!(disk(Path::new("/no such place")), None);
    }
}
