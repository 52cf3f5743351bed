//! The sweeper with a live service that says what the test wants.

use std::collections::HashMap;

use parking_lot::Mutex;
use room::pushers::{NewPusher, add_pusher};
use room::{Event, Kind, Millis};
use tokio::sync::mpsc;

use super::*;
use store::clock::Manual;
use store::{Answer, Memory};
use streams::live::{MixOutcome, Mixable};

/// Streams and what is said of them; streams it does not know are not pushed.
#[derive(Default)]
struct Says(Mutex<HashMap<String, Pushing>>, Mutex<bool>);

impl Live for Says {
    fn mix<'a>(&'a self, _: &'a serde_json::Value, _: &'a Mixable) -> Answer<'a, MixOutcome> {
        Box::pin(async { Err(Error::Unavailable("no mixing here".into())) })
    }
    fn pushing<'a>(&'a self, streams: &'a [StreamId], _: Millis) -> Answer<'a, Vec<Pushing>> {
        Box::pin(async move {
            if *self.1.lock() {
                return Err(Error::Unavailable("live".into()));
            }
            let said = self.0.lock();
            Ok(streams.iter().map(|s| said.get(s.as_str()).copied().unwrap_or(Pushing::No)).collect())
        })
    }
    fn stop<'a>(&'a self, _: &'a StreamId, _: Option<u64>) -> Answer<'a, bool> {
        Box::pin(async { Ok(false) })
    }
    fn allow<'a>(&'a self, _: &'a StreamId) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

struct World {
    sweeper: Sweeper,
    clock: Arc<Manual>,
    says: Arc<Says>,
    events: mpsc::UnboundedReceiver<Vec<Event>>,
}

fn world() -> World {
    let (outbox, events) = mpsc::unbounded_channel();
    let rules = Arc::new(Rules::default());
    let clock = Arc::new(Manual::at(Millis(0)));
    let says = Arc::new(Says::default());
    let store = Arc::new(Memory::new(rules.clone(), outbox));
    World { sweeper: Sweeper::new(store, says.clone(), clock.clone(), rules), clock, says, events }
}

impl World {
    async fn enter(&self, room: &str, who: &str) {
        let room = RoomId::parse(room).unwrap();
        let user = UserId::parse(who).unwrap();
        let stream = StreamId::parse(who).unwrap();
        let now = self.clock.now();
        let new = NewPusher {
            room: &room,
            kind: Kind::Multi,
            user: &user,
            name: "",
            avatar: "",
            stream: &stream,
            info: None,
        };
        let decide = &mut |slot: &mut Option<Room>| add_pusher(slot, now, &new, &Rules::default()).map(|j| j.events);
        self.sweeper.store.update(&room, decide).await.unwrap();
    }
    fn drain(&mut self) -> usize {
        std::iter::from_fn(|| self.events.try_recv().ok()).flatten().count()
    }
}

#[tokio::test]
async fn ten_thousand_silent_rooms_go_in_one_sweep() {
    let mut world = world();
    for n in 0..10_000 {
        world.enter(&format!("r{n}"), "alice").await;
    }
    world.drain();
    world.clock.pass(20_000);
    world.sweeper.sweep().await.unwrap();
    assert_eq!(world.sweeper.store.len(), 0);
    assert_eq!(world.drain(), 20_000, "a leave and a close each");
}

#[tokio::test]
async fn who_still_pushes_stays_and_who_cannot_be_asked_about_too() {
    let mut world = world();
    world.enter("r", "alice").await;
    world.says.0.lock().insert("alice".into(), Pushing::Yes);
    world.clock.pass(20_000);
    world.sweeper.sweep().await.unwrap();
    assert_eq!(world.sweeper.store.len(), 1);
    *world.says.1.lock() = true;
    for _ in 0..100 {
        world.clock.pass(1_000);
        world.sweeper.sweep().await.unwrap();
    }
    assert_eq!(world.sweeper.store.len(), 1, "nobody is removed because the live service is away");
    *world.says.1.lock() = false;
    world.says.0.lock().clear();
    world.drain();
    world.clock.pass(5_000);
    world.sweeper.sweep().await.unwrap();
    assert_eq!((world.sweeper.store.len(), world.drain()), (0, 2));
}
