//! What is still to be done for each room's group, in order for each room, none waiting for another.
//! Owns order, bounds and patience; what a task does is the caller's.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hashbrown::HashMap;
use parking_lot::Mutex;
use room::{Millis, RoomId, UserId};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use outbound::{Breaker, Retry};

/// Tasks carried out at a time.
const PARALLEL: usize = 32;
/// Notifications of one room that are kept apart; more become one.
const APART: usize = 16;
/// Users of one room who wait to be silenced.
const MAX_SILENCED: usize = 1_000;
/// Most rooms with something to do. Beyond it, what comes is lost, and counted.
const MAX_ROOMS: usize = 200_000;
/// Waits of one room whose task failed.
const PATIENCE: Retry = Retry { tries: u32::MAX, first: Duration::from_secs(1), most: Duration::from_secs(60) };
/// Failures in a row after which the service counts as away, and how often it is tried then.
const FAILURES: u32 = 4;
const TRIED_EVERY: Duration = Duration::from_secs(2);

/// One thing to do for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Say that the pushers changed.
    Notify,
    /// Let a user say nothing until then; 0 takes it back.
    Silence(UserId, Millis),
    /// Remove the group.
    Destroy,
    /// Remove the group if it was made for a room that never came to be.
    Check,
}

/// How a task went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or nothing can be done.
    Over,
    /// The service could not; try again later.
    Again,
}

#[derive(Debug)]
struct Queue {
    tasks: VecDeque<Task>,
    /// Since when there has been something to do.
    since: Instant,
    /// The first task is being carried out right now.
    held: bool,
    /// It stands among the ready or waiting ones.
    scheduled: bool,
    /// Of its first task, in a row.
    failures: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self { tasks: VecDeque::new(), since: Instant::now(), held: false, scheduled: false, failures: 0 }
    }
}

impl Queue {
    /// Adds a task. Where a room cannot be notified, or not as fast as it changes, changes become one.
    fn add(&mut self, task: Task, away: bool) {
        let waiting = usize::from(self.held && !self.tasks.is_empty());
        match task {
            Task::Notify => {
                let merge = away || self.failures > 0 || self.tasks.len() >= APART;
                let same = self.tasks.len() > waiting && self.tasks.back() == Some(&Task::Notify);
                if !(merge && same) {
                    self.tasks.push_back(task);
                }
            }
            Task::Silence(ref user, _) => {
                // The last word about a user counts.
                let of = |task: &Task| matches!(task, Task::Silence(..));
                let mut at = 0;
                self.tasks.retain(|task| {
                    at += 1;
                    at <= waiting || !matches!(task, Task::Silence(of, _) if of == user)
                });
                if self.tasks.iter().filter(|task| of(task)).count() >= MAX_SILENCED {
                    tracing::error!(%user, "too many wait to be silenced in this room: this is lost");
                    return;
                }
                self.tasks.push_back(task);
            }
            Task::Destroy | Task::Check => {
                if task == Task::Destroy {
                    // Who is put out of the group need not hear what else changed.
                    self.tasks.truncate(waiting);
                }
                let pending = self.tasks.iter().skip(waiting).any(|t| *t == task);
                if !pending {
                    self.tasks.push_back(task);
                }
            }
        }
    }

    /// After a failure: the changes that wait become one.
    fn merge(&mut self) {
        let mut before = false;
        self.tasks.retain(|task| {
            let notify = *task == Task::Notify;
            !(std::mem::replace(&mut before, notify) && notify)
        });
    }
}

enum Wake {
    Ready(RoomId),
    CheckAt(Instant, RoomId),
}

/// Everything that is still to be done.
pub struct Delivery {
    queues: Mutex<HashMap<RoomId, Queue>>,
    wake: mpsc::UnboundedSender<Wake>,
    /// A room was let go of.
    freed: Notify,
    /// The service has answered again.
    healed: Notify,
    breaker: Breaker,
}

/// The other end of [`Delivery`], for its one [`Delivery::run`].
pub struct Woken(mpsc::UnboundedReceiver<Wake>);

impl Delivery {
    /// Nothing to do yet.
    #[must_use]
    pub fn new() -> (Self, Woken) {
        let (wake, woken) = mpsc::unbounded_channel();
        let delivery = Self {
            queues: Mutex::default(),
            wake,
            freed: Notify::new(),
            healed: Notify::new(),
            breaker: Breaker::new(FAILURES, TRIED_EVERY),
        };
        (delivery, Woken(woken))
    }

    /// Adds a task. Never waits.
    pub fn add(&self, room: &RoomId, task: Task) {
        let mut queues = self.queues.lock();
        if queues.len() >= MAX_ROOMS && !queues.contains_key(room) {
            tracing::error!(%room, ?task, "too many rooms wait for the chat service: this is lost");
            return;
        }
        let queue = queues.entry(room.clone()).or_default();
        queue.add(task, self.breaker.is_broken());
        self.schedule(room, queue);
    }

    /// Adds a [`Task::Check`] after a while.
    pub fn check_at(&self, room: &RoomId, at: Instant) {
        // A closed channel means that the server is going down.
        let _ = self.wake.send(Wake::CheckAt(at, room.clone()));
    }

    fn schedule(&self, room: &RoomId, queue: &mut Queue) {
        if !queue.held && !queue.scheduled && !queue.tasks.is_empty() {
            queue.scheduled = true;
            let _ = self.wake.send(Wake::Ready(room.clone()));
        }
    }

    /// Since when the room that waits longest has something to do; `None` if there is none.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.queues.lock().values().map(|queue| queue.since).min()
    }

    /// Whether it is time to wait with more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queues.lock().len() >= MAX_ROOMS / 2
    }

    /// How many rooms have something to do.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queues.lock().len()
    }

    /// Takes a room to oneself as soon as it is free: for what must come after everything that
    /// is pending for it.
    pub async fn hold(&self, room: &RoomId) -> Hold<'_> {
        loop {
            let freed = self.freed.notified();
            if let Some(hold) = self.try_hold(room) {
                return hold;
            }
            freed.await;
        }
    }

    fn try_hold(&self, room: &RoomId) -> Option<Hold<'_>> {
        let mut queues = self.queues.lock();
        let queue = queues.entry(room.clone()).or_default();
        (!std::mem::replace(&mut queue.held, true)).then(|| Hold { delivery: self, room: room.clone() })
    }

    /// Says that the service answered (or not), so that waiting rooms need not find out by themselves.
    pub fn heard(&self, answered: bool) {
        if answered {
            if self.breaker.succeeded() {
                tracing::info!("the chat service answers again");
                self.healed.notify_one();
            }
        } else if self.breaker.failed() {
            tracing::error!("the chat service is away; rooms go on, and who is in them is told later");
        }
    }

    fn unschedule(&self, room: &RoomId) {
        if let Some(queue) = self.queues.lock().get_mut(room) {
            queue.scheduled = false;
        }
    }

    /// Carries out tasks until it is dropped.
    pub async fn run<F: Future<Output = Outcome>>(&self, mut woken: Woken, work: impl Fn(RoomId, Task) -> F) {
        let mut running = FuturesUnordered::new();
        let mut later: BTreeMap<(Instant, u64), (RoomId, bool)> = BTreeMap::new();
        let mut ready: VecDeque<RoomId> = VecDeque::new();
        let mut number = 0;
        loop {
            let broken = self.breaker.trial();
            let room = match broken {
                None => PARALLEL.saturating_sub(running.len()),
                Some(_) => usize::from(running.is_empty() && !ready.is_empty() && self.breaker.admits()),
            };
            for _ in 0..room {
                let Some(room) = ready.pop_front() else { break };
                match self.try_hold(&room) {
                    Some(hold) => running.push(step(hold, room, &work)),
                    // The task that has it lets it be scheduled again.
                    None => self.unschedule(&room),
                }
            }
            let trial = broken.filter(|_| running.is_empty() && !ready.is_empty());
            let next = later.first_key_value().map(|((at, _), _)| *at).into_iter().chain(trial).min();
            tokio::select! {
                wake = woken.0.recv() => match wake {
                    None => return,
                    Some(Wake::Ready(room)) => ready.push_back(room),
                    Some(Wake::CheckAt(at, room)) => {
                        number += 1;
                        later.insert((at, number), (room, true));
                    }
                },
                Some((room, went)) = running.next(), if !running.is_empty() => match went {
                    Went::Nothing => {}
                    Went::Well => self.heard(true),
                    Went::Badly(failures) => {
                        self.heard(false);
                        number += 1;
                        let wait = PATIENCE.wait(failures, sign::fresh_id());
                        later.insert((Instant::now() + wait, number), (room, false));
                    }
                },
                () = self.healed.notified() => {
                    // Rooms that wait only because the service was away go now.
                    let (checks, again): (Vec<_>, Vec<_>) = later.into_iter().partition(|(_, (_, check))| *check);
                    ready.extend(again.into_iter().map(|(_, (room, _))| room));
                    later = checks.into_iter().collect();
                }
                () = sleep_until(next) => {
                    let now = Instant::now();
                    while let Some(entry) = later.first_entry().filter(|entry| entry.key().0 <= now) {
                        match entry.remove() {
                            (room, false) => ready.push_back(room),
                            (room, true) => self.add(&room, Task::Check),
                        }
                    }
                }
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How a room's turn went.
enum Went {
    /// There was nothing to do.
    Nothing,
    /// Everything is done.
    Well,
    /// It must wait, after so many failures in a row.
    Badly(u32),
}

/// Does what a room has to do, in order.
async fn step<F: Future<Output = Outcome>>(
    hold: Hold<'_>,
    room: RoomId,
    work: &impl Fn(RoomId, Task) -> F,
) -> (RoomId, Went) {
    let mut went = Went::Nothing;
    while let Some(task) = hold.next() {
        match work(room.clone(), task).await {
            Outcome::Over => {
                hold.over();
                went = Went::Well;
            }
            Outcome::Again => {
                let failures = hold.failed();
                return (room, Went::Badly(failures));
            }
        }
    }
    hold.unschedule();
    (room, went)
}

/// A room that one has to oneself.
pub struct Hold<'a> {
    delivery: &'a Delivery,
    room: RoomId,
}

impl Hold<'_> {
    fn with<T>(&self, run: impl FnOnce(&mut Queue) -> T) -> T {
        run(self.delivery.queues.lock().entry(self.room.clone()).or_default())
    }

    /// What is to be done first.
    #[must_use]
    pub fn next(&self) -> Option<Task> {
        self.with(|queue| queue.tasks.front().cloned())
    }

    /// It is done.
    pub fn over(&self) {
        self.with(|queue| {
            queue.tasks.pop_front();
            queue.failures = 0;
        });
    }

    /// The service could not; says how often in a row. The room stays scheduled: it is looked at again later.
    fn failed(&self) -> u32 {
        self.with(|queue| {
            queue.failures = queue.failures.saturating_add(1);
            queue.merge();
            queue.scheduled = true;
            queue.failures
        })
    }

    fn unschedule(&self) {
        self.with(|queue| queue.scheduled = false);
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut queues = self.delivery.queues.lock();
        if let Some(queue) = queues.get_mut(&self.room) {
            queue.held = false;
            if queue.tasks.is_empty() {
                // A room that is scheduled all the same is found to have nothing to do.
                queues.remove(&self.room);
            } else {
                self.delivery.schedule(&self.room, queue);
            }
        }
        drop(queues);
        self.delivery.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
