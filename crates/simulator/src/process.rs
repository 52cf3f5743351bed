//! The server's process: its parts put together as the program does it, and an end at any of its steps.

mod shared;

use std::future::poll_fn;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::Poll;
use std::time::Duration;

use access::bans::Bans;
use access::sessions::{self, Sessions};
use parking_lot::Mutex;
use room::{Event, Millis, Rules};
use rooms::Rooms;
use rooms::moderation::Moderation;
use rooms::sweeper::Sweeper;
use sign::Secret;
use store::clock::{Clock, Simulated};
use store::mends::{Mend, is_out};
use store::simulation::Ground;
use store::{ChatRecord, History, Journal, Store};
use streams::live::Urls;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use webhooks::Hooks;

use crate::world::World;

/// The reader of the record that the book is.
const READER: &str = "book";

/// A process.
pub struct Process {
    /// Rooms.
    pub rooms: Arc<Rooms>,
    /// Chat.
    pub hub: Arc<chat::Hub>,
    /// Logins.
    pub sessions: Arc<Sessions>,
    /// Who is kept out.
    pub bans: Arc<Bans>,
    /// Operators' calls.
    pub moderation: Moderation,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its record.
    pub history: Arc<dyn History>,
    /// The journal, where it is that.
    pub journal: Option<Arc<Journal>>,
    /// Its clock.
    pub clock: Arc<Simulated>,
    world: Arc<World>,
    committed: Arc<Mutex<mpsc::UnboundedReceiver<Vec<Event>>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// It was killed.
    dead: AtomicBool,
    /// After so many more steps it is killed; below nothing: not.
    fuse: AtomicI64,
    blown: Notify,
    /// Until when it stands still.
    stands: Mutex<Option<tokio::time::Instant>>,
    /// Cancelled when it has ended: then no connection comes from it any more.
    over: CancellationToken,
}

/// What a process is put together from.
struct Parts {
    clock: Arc<Simulated>,
    rules: Arc<Rules>,
    store: Arc<dyn Store>,
    history: Arc<dyn History>,
    journal: Option<Arc<Journal>>,
    hub: chat::Hub,
    committed: mpsc::UnboundedReceiver<Vec<Event>>,
    over: CancellationToken,
}

fn sessions() -> Result<Arc<Sessions>, String> {
    let settings = sessions::Settings { secret: Secret::new("0123456789abcdef"), ..sessions::Settings::default() };
    Sessions::new(&settings).map(Arc::new)
}

impl Process {
    /// Starts.
    ///
    /// # Errors
    /// The journal cannot be opened.
    pub async fn start(world: &Arc<World>) -> Result<Arc<Self>, String> {
        let clock = Arc::new(Simulated::new(world.begun, world.wall.clone()));
        let rules = Arc::new(Rules::default());
        let (outbox, committed) = mpsc::unbounded_channel();
        let ground = Ground {
            disk: world.disk.mount(),
            patience: Duration::from_secs(3),
            segment: 8 << 10,
            save_after: 24 << 10,
            pace: Some(Arc::new(world.disk.clone())),
        };
        let opened = Journal::paced(ground, Path::new("/journal"), true, rules.clone(), outbox, clock.now());
        let (journal, tasks) = opened.map_err(|error| format!("the journal: {error}"))?;
        let journal = Arc::new(journal);
        let record: Arc<dyn ChatRecord> = journal.clone();
        let hub = chat::Hub::new(&chat::Settings::default(), clock.clone());
        let hub = if is_out(Mend::ChatIsKept) { hub } else { hub.recorded(&record) };
        let parts = Parts {
            clock,
            rules,
            store: journal.clone(),
            history: journal.clone(),
            journal: Some(journal.clone()),
            hub,
            committed,
            over: CancellationToken::new(),
        };
        let sessions = sessions()?;
        let bans = Arc::new(Bans::default());
        sessions.refuse(&journal.revoked(Millis(0)).await.map_err(|e| e.to_string())?, parts.clock.now());
        bans.take(journal.bans(Millis(0)).await.map_err(|e| e.to_string())?, parts.clock.now());
        parts.hub.restore(&*journal).await.map_err(|e| e.to_string())?;
        let process = Self::assemble(world, parts, sessions, bans);
        for task in tasks {
            process.clone().spawn(task);
        }
        process.read_record(true).await;
        crate::check::loaded(&process).await;
        process.begin().await;
        Ok(process)
    }

    fn assemble(world: &Arc<World>, parts: Parts, sessions: Arc<Sessions>, bans: Arc<Bans>) -> Arc<Self> {
        let Parts { clock, rules, store, history, journal, hub, committed, over } = parts;
        let hub = Arc::new(hub);
        let rooms = Arc::new(Rooms::new(store.clone(), hub.clone(), clock.clone(), rules));
        let moderation = Moderation {
            store: store.clone(),
            bans: bans.clone(),
            rooms: rooms.clone(),
            chat: hub.clone(),
            cloud: None,
            live: world.live.clone(),
            urls: Arc::new(Urls::new(&streams::live::Settings::default(), 1935)),
            hub: media::Hub::new(media::hub::Settings::default()),
            clock: clock.clone(),
        };
        Arc::new(Self {
            rooms,
            hub,
            sessions,
            bans,
            moderation,
            store,
            history,
            journal,
            clock,
            world: world.clone(),
            committed: Arc::new(Mutex::new(committed)),
            tasks: Mutex::default(),
            dead: AtomicBool::new(false),
            fuse: AtomicI64::new(-1),
            blown: Notify::new(),
            stands: Mutex::default(),
            over,
        })
    }

    /// Starts what goes on beside calls.
    async fn begin(self: &Arc<Self>) {
        let (forward, carried) = mpsc::unbounded_channel();
        let committed = self.committed.clone();
        let book = self.world.book.clone();
        let shared = self.is_shared();
        self.clone().spawn(async move {
            while let Some(events) = poll_fn(|context| committed.lock().poll_recv(context)).await {
                if !shared {
                    book.let_out(&events);
                }
                let _ = forward.send(events);
            }
        });
        self.clone().spawn(rooms::carry(carried, self.hub.clone()));
        let rules = Arc::new(Rules::default());
        let sweeper = Sweeper::new(self.store.clone(), self.world.live.clone(), self.clock.clone(), rules);
        self.clone().spawn(sweeper.run());
        self.clone().spawn(self.hub.clone().run(CancellationToken::new()));
        let settings = webhooks::Settings {
            urls: vec!["http://backend/hook".into()],
            secret: Secret::new("a secret of sixteen"),
            ..webhooks::Settings::default()
        };
        let hooks = Hooks::new(&settings, self.world.backend.clone(), self.history.clone(), self.clock.clone());
        hooks.begin().await;
        self.clone().spawn(hooks.run());
        let this = self.clone();
        self.clone().spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(7)).await;
                if !shared {
                    this.read_record(false).await;
                }
                crate::check::owners(&this);
            }
        });
    }

    /// Reads the record of commits into the book.
    async fn read_record(&self, start: bool) {
        loop {
            let place = self.world.book.with(|pages| pages.place.clone());
            if self.history.end(0).await.ok().as_ref() == Some(&place) {
                break;
            }
            let Ok(entries) = self.history.after(0, &place, 256).await else { return };
            let before = place;
            self.world.book.record(entries, start);
            let place = self.world.book.with(|pages| pages.place.clone());
            if place == before {
                break;
            }
        }
        if start {
            // Once more for what is missing at the end.
            self.world.book.record(Vec::new(), true);
        }
        let place = self.world.book.with(|pages| pages.place.clone());
        let _ = self.history.save(READER, 0, &place).await;
    }

    /// The world that it is in.
    pub const fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Whether it is one of several.
    pub fn is_shared(&self) -> bool {
        self.world.shared.is_some()
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// One step of one of its tasks. Says whether it is made.
    fn step(&self) -> bool {
        if self.is_dead() {
            return false;
        }
        if self.fuse.load(Ordering::SeqCst) >= 0 && self.fuse.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.die(false);
            self.blown.notify_one();
            return false;
        }
        true
    }

    /// Stands still for so many milliseconds.
    pub fn stall(&self, lasts: u64) {
        *self.stands.lock() = Some(tokio::time::Instant::now() + Duration::from_millis(lasts));
    }

    /// Until when it stands still, if it does.
    pub fn stands(&self) -> Option<tokio::time::Instant> {
        self.stands.lock().filter(|until| *until > tokio::time::Instant::now())
    }

    /// Runs something for as long as the process lives; it may be ended between any two of its steps, or wait there while the process
    /// stands still.
    async fn alive<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut rest = pin!(None);
        poll_fn(|context| {
            while let Some(until) = self.stands() {
                if rest.is_none() {
                    rest.set(Some(tokio::time::sleep_until(until)));
                }
                if rest.as_mut().as_pin_mut().is_some_and(|rest| rest.poll(context).is_pending()) {
                    return Poll::Pending;
                }
                rest.set(None);
            }
            rest.set(None);
            if self.step() { work.as_mut().poll(context) } else { Poll::Pending }
        })
        .await
    }

    fn spawn(self: Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(self.clone().alive(work));
        self.tasks.lock().push(task);
    }

    /// Runs a call; none if the process ends meanwhile.
    pub fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Option<T>> + Send>> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.tasks.lock().retain(|task| !task.is_finished());
        self.clone().spawn(async move {
            // Who asked may have given up.
            let _ = sender.send(work.await);
        });
        Box::pin(async move { receiver.await.ok() })
    }

    /// Is killed after so many more steps; returns when that is done.
    pub async fn kill(&self, power: bool, steps: u64) {
        self.fuse.store(steps.cast_signed(), Ordering::SeqCst);
        // A process that makes no steps is killed all the same.
        let _ = tokio::time::timeout(Duration::from_millis(500), self.blown.notified()).await;
        self.die(power);
        if !self.is_shared() {
            self.world.disk.kill(power);
        }
    }

    fn die(&self, power: bool) {
        if self.dead.swap(true, Ordering::SeqCst) {
            return;
        }
        self.over.cancel();
        if !self.is_shared() {
            self.world.disk.kill(false);
            let mut committed = self.committed.lock();
            while let Ok(events) = committed.try_recv() {
                self.world.book.let_out(&events);
            }
        }
        self.world.book.note(format!("the process is killed{}", if power { ", without power" } else { "" }));
        self.tasks.lock().drain(..).for_each(|task| task.abort());
    }

    /// Is asked to end: connections end, and what waits is written.
    pub async fn stop(self: Arc<Self>) {
        self.hub.end_all();
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.kill(false, 0).await;
    }
}
