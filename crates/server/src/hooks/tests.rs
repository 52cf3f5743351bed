//! A backend that fails, hangs and comes back hears every event, in order for each room, signed.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;
use room::pushers::{NewPusher, add_pusher, delete_pusher};
use room::{Kind, LeaveReason, RoomId, Rules, StreamId, UserId};
use serde_json::Value;
use tokio::sync::mpsc;

use super::*;
use crate::clock::Manual;
use crate::store::{Journal, Note, Store};

/// A backend: what it accepted, and what it answers next.
#[derive(Default)]
struct Backend {
    heard: Mutex<Vec<Value>>,
    answers: Mutex<Vec<Result<u16, String>>>,
    posts: Mutex<Vec<String>>,
}

impl Post for Backend {
    fn post(&self, url: &str, headers: &[(&'static str, String)], body: Bytes) -> Posted {
        let value: Value = serde_json::from_slice(&body).unwrap();
        let of = |name: &str| headers.iter().find(|(n, _)| *n == name).unwrap().1.clone();
        assert_eq!(of("x-roomservice-event"), value["event"].as_str().unwrap());
        assert_eq!(of("x-roomservice-id"), value["id"].as_str().unwrap());
        let signed = of("x-roomservice-signature");
        let seconds: u64 = signed.strip_prefix("t=").unwrap().split_once(',').unwrap().0.parse().unwrap();
        assert_eq!(signed, signature(&secret(), Millis(seconds * 1000), &body));
        self.posts.lock().push(url.to_owned());
        let answer = self.answers.lock().pop().unwrap_or(Ok(200));
        if answer == Ok(200) {
            self.heard.lock().push(value);
        }
        Box::pin(async move { answer })
    }
}

fn secret() -> Hidden {
    Hidden::new("a secret of sixteen")
}

struct World {
    journal: Arc<Journal>,
    hook: Arc<Hook>,
    backend: Arc<Backend>,
    clock: Arc<Manual>,
}

fn world(dir: &Path, events: &[&str]) -> World {
    let (outbox, _) = mpsc::unbounded_channel();
    let journal = Arc::new(Journal::open(dir, true, Arc::default(), outbox, Millis(0)).unwrap());
    let (backend, clock) = (Arc::new(Backend::default()), Arc::new(Manual::at(Millis(1_000_000))));
    let settings = Settings {
        urls: vec!["http://backend/hook".into()],
        secret: secret(),
        events: events.iter().map(|e| (*e).to_owned()).collect(),
    };
    let (post, history, time): (Arc<dyn Post>, Arc<dyn History>, Arc<dyn Clock>) =
        (backend.clone(), journal.clone(), clock.clone());
    let hook = Hook::all(&settings, &post, &history, &time).remove(0);
    World { journal, hook, backend, clock }
}

impl World {
    async fn visit(&self, n: usize, who: &str) {
        let (room, user, stream) =
            (RoomId::parse(&format!("r{n}")).unwrap(), UserId::parse(who).unwrap(), StreamId::parse(who).unwrap());
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
        let rules = Rules::default();
        self.journal.update(&room, &mut |slot| add_pusher(slot, now, &new, &rules).map(|j| j.events)).await.unwrap();
        let leave = &mut |slot: &mut Option<room::Room>| delete_pusher(slot, now, &user, LeaveReason::Quit, &rules);
        self.journal.update(&room, leave).await.unwrap();
    }

    /// Tells what there is, to the end of the record.
    async fn tell(&self) {
        loop {
            let end = self.journal.end(0).await.unwrap();
            if self.journal.place(&self.hook.reader, 0).await.unwrap().as_ref() == Some(&end) {
                return;
            }
            self.hook.pass(0).await.unwrap();
        }
    }

    /// Begins to listen: what happened before is not told.
    async fn begin(&self) {
        let end = self.journal.end(0).await.unwrap();
        self.journal.save(&self.hook.reader, 0, &end).await.unwrap();
    }
}

/// Checks that each visit of each room was told once, in order.
fn told(heard: &[Value], rooms: usize, visits: usize) {
    let mut by_room: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in heard {
        by_room.entry(event["roomID"].as_str().unwrap()).or_default().push(event["event"].as_str().unwrap());
    }
    assert_eq!(by_room.len(), rooms);
    for (room, events) in by_room {
        let once = ["room_created", "pusher_joined", "pusher_left", "room_closed"];
        assert_eq!(events, once.repeat(visits), "{room}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_backend_hears_everything_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &[]);
    world.visit(99, "before").await;
    world.begin().await;
    for round in 0..3 {
        for n in 0..20 {
            world.visit(n, "alice").await;
        }
        let failures = [Err("connection refused".into()), Ok(500), Ok(503), Ok(429), Ok(404), Err("timeout".into())];
        world.backend.answers.lock().extend(failures.into_iter().cycle().take(40 * round));
        world.tell().await;
    }
    told(&world.backend.heard.lock(), 20, 3);
    let heard = world.backend.heard.lock();
    let left = heard.iter().find(|e| e["event"] == "pusher_left").unwrap();
    assert_eq!((&left["reason"], &left["seq"], &left["userID"]), (&"quit".into(), &3.into(), &"alice".into()));
    let ids: std::collections::HashSet<_> = heard.iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), heard.len(), "each event has an id of its own");
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was_over_files_and_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let first = world(dir.path(), &[]);
    first.begin().await;
    first.visit(0, "alice").await;
    first.tell().await;
    // Committed and never told: the server ends, with a snapshot that holds everything.
    first.visit(1, "bob").await;
    tokio::task::spawn_blocking({
        let journal = first.journal.clone();
        move || journal.snapshot().unwrap()
    })
    .await
    .unwrap();
    first.visit(2, "carol").await;
    tokio::task::spawn_blocking({
        let journal = first.journal.clone();
        move || journal.snapshot().unwrap()
    })
    .await
    .unwrap();
    let mut heard = first.backend.heard.lock().clone();
    drop(first);
    let again = world(dir.path(), &[]);
    again.tell().await;
    heard.extend(again.backend.heard.lock().drain(..));
    told(&heard, 3, 1);
    // What was accepted can be told again, with the ids that it had.
    let all = again.hook.replay(0, "0").await.unwrap();
    assert_eq!(all, 12);
    assert_eq!(*again.backend.heard.lock(), heard);
}

#[tokio::test(start_paused = true)]
async fn only_the_events_that_are_wanted_and_notes_too() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &["pusher_left", "stream_ended"]);
    world.begin().await;
    world.visit(0, "alice").await;
    let (room, data) = (RoomId::parse("r0").ok(), serde_json::json!({ "streamID": "1000_r0_alice" }));
    for event in ["stream_ended", "stream_started"] {
        let note = Note { event: event.into(), room: room.clone(), at: world.clock.now(), data: data.clone() };
        world.journal.note(&note).await.unwrap();
    }
    world.tell().await;
    let heard = world.backend.heard.lock();
    let names: Vec<_> = heard.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["pusher_left", "stream_ended"]);
    assert_eq!(heard[1]["streamID"], "1000_r0_alice");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_or_always_refused_does_not_stop_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &["pusher_left"]);
    world.begin().await;
    world.visit(0, "alice").await;
    world.clock.pass(25 * 3600 * 1000);
    world.visit(1, "bob").await;
    world.visit(1, "carol").await;
    // Bob's leave is refused by the app; carol's, of the same room, comes after it.
    world.backend.answers.lock().extend((0..WRONG).map(|_| Ok(400)));
    world.tell().await;
    let heard = world.backend.heard.lock();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0]["userID"], "carol");
    assert_eq!(world.backend.posts.lock().len(), WRONG as usize + 1, "alice's is a day old and not sent");
}

#[test]
fn settings_that_cannot_work_are_named() {
    let settings =
        Settings { urls: vec!["ftp://x".into()], secret: Hidden::new("short"), events: vec!["pusher_vanished".into()] };
    let mut found = Vec::new();
    settings.problems(&mut found);
    assert_eq!(found.len(), 3, "{found:?}");
}
