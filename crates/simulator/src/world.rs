//! The machine and what is around it: its disk and clock, the process that runs, the network, and the book.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use room::Millis;
use tokio::time::{Instant, sleep, timeout};

use crate::backend::Backend;
use crate::book::Book;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::live::Live;
use crate::process::Process;

/// Microseconds that the wall shows at the beginning: some day in 2026.
const TODAY: i64 = 1_780_000_000_000_000;
/// A client gives up after this.
const PATIENCE: Duration = Duration::from_secs(12);

/// All of it.
pub struct World {
    /// The seed.
    pub seed: u64,
    /// What must be true.
    pub book: Arc<Book>,
    /// The disk.
    pub disk: Disk,
    /// When the machine began.
    pub begun: Instant,
    /// What its wall is ahead of that.
    pub wall: Arc<AtomicI64>,
    /// The live service.
    pub live: Arc<Live>,
    /// The app's backend.
    pub backend: Arc<Backend>,
    /// What runs.
    pub process: Mutex<Option<Arc<Process>>>,
    /// Clients do not reach it.
    pub cut: AtomicBool,
    /// Nothing goes wrong any more, and users only stay.
    pub quiet: AtomicBool,
}

impl World {
    /// A machine on which nothing has run.
    pub fn new(seed: u64) -> Arc<Self> {
        let book = Arc::new(Book::default());
        Arc::new(Self {
            seed,
            disk: Disk::new(seed),
            begun: Instant::now(),
            wall: Arc::new(AtomicI64::new(TODAY)),
            live: Arc::default(),
            backend: Arc::new(Backend::new(seed, book.clone())),
            process: Mutex::new(None),
            cut: AtomicBool::new(false),
            quiet: AtomicBool::new(false),
            book,
        })
    }

    /// What the wall shows.
    pub fn wall(&self) -> Millis {
        let passed = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Millis(passed.saturating_add_signed(self.wall.load(Ordering::SeqCst)) / 1_000)
    }

    /// Something is wrong, or was until now.
    pub fn not_calm(&self) {
        self.book.with(|pages| pages.calm = Instant::now());
    }

    /// The process that runs.
    pub fn running(&self) -> Option<Arc<Process>> {
        self.process.lock().clone()
    }

    /// A client's call: over the network, into the process that runs, and back. None if there is no answer.
    pub async fn ask<T, F>(&self, dice: &mut Dice, work: impl FnOnce(Arc<Process>) -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let there = Duration::from_millis(dice.from(1, 60));
        let back = Duration::from_millis(dice.from(1, 60));
        let lost = dice.yes(3);
        let dropped = dice.yes(6);
        sleep(there).await;
        if lost || self.cut.load(Ordering::SeqCst) {
            sleep(PATIENCE).await;
            return None;
        }
        let process = self.running()?;
        let answer = timeout(PATIENCE, process.run(work(process.clone()))).await.ok().flatten()?;
        sleep(back).await;
        if dropped || self.cut.load(Ordering::SeqCst) {
            sleep(PATIENCE / 4).await;
            return None;
        }
        self.book.with(|pages| pages.calls += 1);
        Some(answer)
    }
}
