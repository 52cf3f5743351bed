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
use crate::plan::Plan;
use crate::process::Process;
use crate::redis::Redis;
use crate::redis::wire::Wire;

/// Microseconds that the wall shows at the beginning: some day in 2026.
const TODAY: i64 = 1_780_000_000_000_000;
/// Microseconds that the way to Redis takes at most.
const WAY: u64 = 3_000;
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
    /// What runs on each machine.
    pub machines: Vec<Mutex<Option<Arc<Process>>>>,
    /// What several machines share.
    pub shared: Option<Shared>,
    /// Clients do not reach it.
    pub cut: AtomicBool,
    /// Nothing goes wrong any more, and users only stay.
    pub quiet: AtomicBool,
}

/// What several machines share.
pub struct Shared {
    /// Redis.
    pub redis: Arc<Redis>,
    /// Each machine's way to it.
    pub wires: Vec<Arc<Wire>>,
    /// How many replicas must have a change before it is answered.
    pub replicas: usize,
}

impl Shared {
    fn new(plan: &Plan, book: &Arc<Book>) -> Self {
        let ahead = Dice::apart(plan.seed, 61).below(4_000);
        let clock = TODAY.unsigned_abs() / 1_000 + ahead - 2_000;
        let redis = Redis::new(plan.seed, 2, plan.replicas > 0, clock);
        let book = book.clone();
        redis.watch(Box::new(move |noticed| book.with(|pages| pages.noticed(noticed))));
        let wires = (0..plan.nodes).map(|n| Wire::new(plan.seed, n, WAY)).collect();
        Self { redis, wires, replicas: plan.replicas }
    }

    /// Whether something is wrong with it.
    pub fn is_troubled(&self) -> bool {
        self.redis.is_troubled() || self.wires.iter().any(|wire| wire.is_troubled())
    }
}

impl World {
    /// Machines on which nothing has run.
    pub fn new(plan: &Plan) -> Arc<Self> {
        let seed = plan.seed;
        let book = Arc::new(Book::default());
        let shared = (plan.nodes > 1).then(|| Shared::new(plan, &book));
        book.with(|pages| {
            pages.shared = shared.is_some();
            pages.waits = plan.replicas > 0;
        });
        Arc::new(Self {
            seed,
            disk: Disk::new(seed),
            begun: Instant::now(),
            wall: Arc::new(AtomicI64::new(TODAY)),
            live: Arc::default(),
            backend: Arc::new(Backend::new(seed, book.clone())),
            machines: (0..plan.nodes.max(1)).map(|_| Mutex::default()).collect(),
            shared,
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

    /// The first process that runs.
    pub fn running(&self) -> Option<Arc<Process>> {
        self.machines.iter().find_map(|machine| machine.lock().clone())
    }

    /// Whether something is wrong with what the processes stand on, or one of them does not run.
    pub fn is_troubled(&self) -> bool {
        self.disk.is_troubled()
            || self.shared.as_ref().is_some_and(Shared::is_troubled)
            || self
                .machines
                .iter()
                .any(|machine| machine.lock().as_ref().is_none_or(|process| process.stands().is_some()))
    }

    /// The process that a call gets to: that of any machine.
    fn any(&self, dice: &mut Dice) -> Option<Arc<Process>> {
        let machine = if self.machines.len() > 1 { dice.below(self.machines.len() as u64) as usize } else { 0 };
        self.machines[machine].lock().clone()
    }

    /// A client's call: over the network, into the process that runs, and back. None if there is no answer.
    pub async fn ask<T, F>(&self, dice: &mut Dice, work: impl FnOnce(Arc<Process>) -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let process = self.any(dice);
        self.ask_of(process, dice, work).await
    }

    /// The same of this process, or of the one that runs in its place where there is one machine.
    pub async fn ask_of<T, F>(
        &self,
        process: Option<Arc<Process>>,
        dice: &mut Dice,
        work: impl FnOnce(Arc<Process>) -> F,
    ) -> Option<T>
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
        let process = if self.machines.len() > 1 { process? } else { self.running()? };
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
