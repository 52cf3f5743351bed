//! Order, bounds and patience, with a service that does what the test wants and time that is wound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

struct World {
    delivery: Arc<Delivery>,
    down: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<(String, Task)>>>,
    most: Arc<AtomicUsize>,
    tries: Arc<AtomicUsize>,
}

/// A service that takes 100 ms for everything.
fn world() -> World {
    let (delivery, woken) = Delivery::new();
    let world = World {
        delivery: Arc::new(delivery),
        down: Arc::default(),
        done: Arc::default(),
        most: Arc::default(),
        tries: Arc::default(),
    };
    let down = world.down.clone();
    let done = world.done.clone();
    let most = world.most.clone();
    let tries = world.tries.clone();
    let delivery = world.delivery.clone();
    let now = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        let work = |room: RoomId, task| {
            let down = down.clone();
            let done = done.clone();
            let most = most.clone();
            let tries = tries.clone();
            let now = now.clone();
            async move {
                tries.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                if down.load(Ordering::SeqCst) {
                    return Outcome::Again;
                }
                done.lock().push((room.to_string(), task));
                Outcome::Over
            }
        };
        delivery.run(woken, work).await;
    });
    world
}

impl World {
    fn add(&self, room: &str, task: Task) {
        self.delivery.add(&RoomId::parse(room).unwrap(), task);
    }
    fn of(&self, room: &str) -> Vec<Task> {
        self.done.lock().iter().filter(|(r, _)| r == room).map(|(_, task)| task.clone()).collect()
    }
    async fn pass(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_change_is_told_once_and_in_order() {
    let world = world();
    for _ in 0..5 {
        world.add("r", Task::Notify);
    }
    world.pass(1_000).await;
    assert_eq!(world.of("r"), [const { Task::Notify }; 5]);
    world.add("r", Task::Notify);
    world.pass(50).await;
    world.add("r", Task::Notify);
    world.add("r", Task::Destroy);
    world.pass(1_000).await;
    assert_eq!(world.of("r")[5..], [Task::Notify, Task::Destroy], "the change that the end overtook is not told");
    assert_eq!(world.delivery.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn rooms_that_change_without_end_are_told_less_often() {
    let world = world();
    for _ in 0..1_000 {
        world.add("r", Task::Notify);
    }
    world.pass(60_000).await;
    assert_eq!(world.of("r").len(), APART);
}

#[tokio::test(start_paused = true)]
async fn down_for_minutes_costs_little_and_loses_nothing() {
    let world = world();
    world.down.store(true, Ordering::SeqCst);
    for minute in 0..5 {
        for n in 0..500 {
            world.add(&format!("r{n}"), Task::Notify);
        }
        if minute == 4 {
            world.add("r0", Task::Destroy);
        }
        world.pass(60_000).await;
    }
    let tries = world.tries.load(Ordering::SeqCst);
    assert!(tries < 300, "five minutes down: {tries} tries");
    assert_eq!(world.delivery.len(), 500);
    world.down.store(false, Ordering::SeqCst);
    world.pass(8_000).await;
    assert!(world.delivery.len() == 0, "all told within seconds: {} left", world.delivery.len());
    // The first one may have been on its way when the room changed again.
    for n in 1..500 {
        let told = world.of(&format!("r{n}"));
        assert!((1..=2).contains(&told.len()), "r{n}: {told:?}");
    }
    assert_eq!(world.of("r0").last(), Some(&Task::Destroy));
    assert!(world.most.load(Ordering::SeqCst) <= PARALLEL);
}

#[tokio::test(start_paused = true)]
async fn who_holds_a_room_comes_after_what_is_pending() {
    let world = world();
    world.add("r", Task::Destroy);
    tokio::task::yield_now().await;
    let room = RoomId::parse("r").unwrap();
    let hold = world.delivery.hold(&room).await;
    if let Some(task) = hold.next() {
        assert_eq!(task, Task::Destroy);
        hold.over();
    }
    world.add("r", Task::Notify);
    world.pass(5_000).await;
    assert!(!world.of("r").contains(&Task::Notify), "nobody else touches a held room");
    drop(hold);
    world.pass(1_000).await;
    assert_eq!(world.of("r").last(), Some(&Task::Notify));
    assert_eq!(world.delivery.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn checks_wait_for_their_time() {
    let world = world();
    world.delivery.check_at(&RoomId::parse("r").unwrap(), Instant::now() + Duration::from_secs(5));
    world.pass(4_900).await;
    assert!(world.of("r").is_empty());
    world.pass(1_000).await;
    assert_eq!(world.of("r"), [Task::Check]);
}
