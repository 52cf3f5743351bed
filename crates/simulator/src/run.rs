//! One run of one plan: the machine, the users and the faults on one thread, by a clock that is wound.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::book::Broken;
use crate::check;
use crate::plan::{Fault, Plan, What};
use crate::process::Process;
use crate::redis::Redis;
use crate::user::{User, mute, operate};
use crate::world::{Shared, World};

/// What came of a run.
pub struct Outcome {
    /// What was broken, if something was.
    pub broken: Option<Broken>,
    /// What happened.
    pub history: Vec<String>,
    /// Calls that were answered.
    pub calls: u64,
}

/// Runs a plan.
pub fn run(plan: &Plan) -> Outcome {
    store::mends::take_out(plan.without);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread needs nothing");
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, whole(plan));
    store::mends::take_out(None);
    outcome
}

async fn whole(plan: &Plan) -> Outcome {
    let world = World::new(plan);
    for machine in 0..world.machines.len() {
        start(&world, machine).await;
    }
    let users: Vec<_> = (0..plan.users).map(|n| tokio::spawn(User::new(&world, n).run())).collect();
    let operator = tokio::spawn(operate(world.clone(), plan.users));
    let mutes = world.shared.as_ref().map(|_| tokio::spawn(mute(world.clone(), plan.users)));
    let looks = tokio::spawn(look(world.clone()));
    tokio::select! {
        () = go_wrong(&world, plan) => {}
        () = world.book.wait() => {}
    }
    users.iter().chain([&operator, &looks]).chain(&mutes).for_each(tokio::task::JoinHandle::abort);
    for machine in &world.machines {
        if let Some(process) = machine.lock().take() {
            tokio::spawn(async move { process.kill(false, 0).await });
        }
    }
    tokio::task::yield_now().await;
    world.book.with(|pages| Outcome {
        broken: pages.broken.clone(),
        history: std::mem::take(&mut pages.history),
        calls: pages.calls,
    })
}

/// Looks again and again whether something takes too long.
async fn look(world: Arc<World>) {
    loop {
        sleep(Duration::from_secs(2)).await;
        if world.disk.is_troubled() {
            world.book.with(|pages| pages.disk_well = Instant::now());
        }
        if world.is_troubled() || *world.live.away.lock() {
            world.not_calm();
        }
        check::agree(&world);
        let wall = world.wall();
        let pushed = world.live.pushed.lock().clone();
        world.book.with(|pages| pages.look(wall, |room, user| pushed.contains(&crate::user::stream(room, user))));
    }
}

async fn start(world: &Arc<World>, machine: usize) {
    world.not_calm();
    let started = match &world.shared {
        None => Process::start(world).await,
        Some(shared) => Process::start_shared(world, shared, machine).await,
    };
    match started {
        Ok(process) => {
            let of = if world.shared.is_some() { format!(" of machine {machine}") } else { String::new() };
            world.book.note(format!("the process{of} begins"));
            *world.machines[machine].lock() = Some(process);
            world.not_calm();
        }
        Err(why) => world.book.broken("a process starts", why),
    }
}

async fn go_wrong(world: &Arc<World>, plan: &Plan) {
    for fault in &plan.faults {
        sleep_until(world.begun + Duration::from_millis(fault.at)).await;
        world.book.note(format!("FAULT {fault}"));
        happen(world, *fault).await;
    }
    sleep_until(world.begun + Duration::from_millis(plan.length)).await;
    // What still lasts is over.
    sleep(Duration::from_secs(41)).await;
    world.quiet.store(true, Ordering::SeqCst);
    world.book.note("everything is well from here on");
    world.not_calm();
    sleep(Duration::from_millis(plan.heals)).await;
    match world.running() {
        Some(process) => check::healed(&process).await,
        None => world.book.broken("everything heals", "no process runs"),
    }
}

/// Lets something last.
fn lasts(world: &Arc<World>, time: u64, begin: impl FnOnce(&World), end: impl FnOnce(&World) + Send + 'static) {
    begin(world);
    world.not_calm();
    let world = world.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(time)).await;
        end(&world);
        world.not_calm();
    });
}

async fn happen(world: &Arc<World>, Fault { what, .. }: Fault) {
    match what {
        What::Kill { power, steps, down } => {
            again(world, 0, down, |process| async move { process.kill(power, steps).await }).await
        }
        What::Stop { down } => again(world, 0, down, Process::stop).await,
        What::Rot => {
            if world.book.with(|pages| pages.rotten) > 0 {
                return;
            }
            again(world, 0, 500, |process| async move {
                process.world().book.with(|pages| pages.rotten = 1);
                process.kill(false, 0).await;
                let rotten = process.world().disk.rot();
                process.world().book.with(|pages| {
                    pages.rotten = usize::from(rotten.is_some());
                    pages.rot |= rotten.is_some();
                    pages.note(format!("rot: {rotten:?}"));
                });
            })
            .await;
        }
        What::Full { lasts: time } => {
            lasts(world, time, |w| w.disk.trouble(|t| t.full = true), |w| w.disk.trouble(|t| t.full = false))
        }
        What::Write { lasts: time } => {
            lasts(world, time, |w| w.disk.trouble(|t| t.write = true), |w| w.disk.trouble(|t| t.write = false))
        }
        What::Sync { lasts: time } => {
            lasts(world, time, |w| w.disk.trouble(|t| t.sync = true), |w| w.disk.trouble(|t| t.sync = false))
        }
        What::Hang { lasts: time } => {
            let until = Instant::now() + Duration::from_millis(time);
            lasts(world, time, |w| w.disk.trouble(|t| t.hangs = t.hangs.max(Some(until))), |_| ());
        }
        What::Slow { lasts: time, each } => {
            lasts(world, time, |w| w.disk.trouble(|t| t.slow = each), |w| w.disk.trouble(|t| t.slow = 0))
        }
        What::Step { by } => {
            // What is over stays over, wherever the clock goes.
            let wall = world.wall();
            world.book.with(|pages| pages.banned.retain(|_, ban| ban.until > wall));
            _ = world.wall.fetch_add(by * 1_000, Ordering::SeqCst);
        }
        What::Backend { lasts: time } => {
            lasts(world, time, |w| *w.backend.away.lock() = true, |w| *w.backend.away.lock() = false)
        }
        What::Cut { lasts: time } => {
            lasts(world, time, |w| w.cut.store(true, Ordering::SeqCst), |w| w.cut.store(false, Ordering::SeqCst))
        }
        What::Live { lasts: time } => {
            lasts(world, time, |w| *w.live.away.lock() = true, |w| *w.live.away.lock() = false)
        }
        what => {
            let Some(shared) = &world.shared else { return };
            go_wrong_between(world, shared, what);
        }
    }
}

/// What goes wrong between the machines and Redis. It lasts beside what comes next.
fn go_wrong_between(world: &Arc<World>, shared: &Shared, what: What) {
    world.not_calm();
    let redis = shared.redis.clone();
    let beside = world.clone();
    let wire = |node: usize| shared.wires[node].clone();
    match what {
        What::KillNode { node, steps, down } => {
            tokio::task::spawn_local(async move {
                again(&beside, node, down, |process| async move { process.kill(false, steps).await }).await;
            });
        }
        What::CutNode { node, lasts: time } => {
            let ends = wire(node);
            lasts(world, time, |_| wire(node).cut(true), move |_| ends.cut(false));
        }
        What::MissNode { node, lasts: time } => {
            let ends = wire(node);
            let end = move |_: &World| {
                redis.trim();
                ends.cut(false);
            };
            lasts(world, time, |_| wire(node).cut(true), end);
        }
        What::SlowNode { node, lasts: time, each } => {
            let ends = wire(node);
            lasts(world, time, |_| wire(node).slow(each), move |_| ends.slow(0));
        }
        What::LateNode { node, lasts: time, by } => {
            let ends = wire(node);
            lasts(world, time, |_| wire(node).late(by), move |_| ends.late(0));
        }
        What::StallNode { node, lasts: time } => {
            let begin = |world: &World| {
                if let Some(process) = &*world.machines[node].lock() {
                    process.stall(time);
                }
            };
            lasts(world, time, begin, |_| ());
        }
        What::HangUp => redis.hang_up(),
        What::Forget => redis.forget(),
        what => drop(tokio::spawn(fail_over(beside, redis, what))),
    }
}

/// A failover, whoever wishes it.
async fn fail_over(world: Arc<World>, redis: Arc<Redis>, what: What) {
    match what {
        What::FailOver { begins, takes, tells } => _ = redis.fail_over(begins, takes, tells).await,
        What::MasterDies { begins, takes, down } if !redis.is_troubled() => {
            let old = redis.master();
            redis.set_up(old, false);
            redis.fail_over(begins, takes, 20).await;
            sleep(Duration::from_millis(down)).await;
            redis.set_up(old, true);
            redis.tidy();
        }
        _ => {}
    }
    world.not_calm();
}

/// Ends the process in some way, and starts it again after a while.
async fn again<F: Future<Output = ()>>(
    world: &Arc<World>,
    machine: usize,
    down: u64,
    end: impl FnOnce(Arc<Process>) -> F,
) {
    let Some(process) = world.machines[machine].lock().take() else { return };
    let troubled = world.disk.is_troubled();
    world.book.with(|pages| {
        pages.few_again = !pages.shared && !troubled && pages.disk_well.elapsed() > Duration::from_secs(5);
        pages.again = 0;
    });
    world.not_calm();
    end(process).await;
    sleep(Duration::from_millis(down)).await;
    start(world, machine).await;
}
