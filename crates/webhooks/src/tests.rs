//! A backend that fails, hangs and comes back hears every event, in order for each room, signed.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::Mutex;
use room::pushers::{NewPusher, add_pusher, delete_pusher};
use room::{Kind, LeaveReason, Millis, RoomId, Rules, StreamId, UserId};
use serde_json::Value;
use tokio::sync::mpsc;

use super::hook::BELIEVED;
use super::*;
use rooms::Audiences;
use store::clock::Manual;
use store::{Journal, News, Note, Span, Store};

/// A backend: what it accepted, and what it answers next.
#[derive(Default)]
struct Backend {
    heard: Mutex<Vec<Value>>,
    answers: Mutex<Vec<Result<u16, String>>>,
    posts: Mutex<Vec<String>>,
    /// The rooms whose events it refuses: those whose ids begin so.
    refuses: Mutex<Option<&'static str>>,
    /// How long it takes for each.
    takes: Mutex<Duration>,
}

impl Post for Backend {
    fn post(&self, url: &str, headers: &[(&'static str, String)], body: Bytes, _: Duration) -> Posted {
        let value: Value = serde_json::from_slice(&body).unwrap();
        let of = |name: &str| headers.iter().find(|(n, _)| *n == name).unwrap().1.clone();
        assert_eq!(of("x-roomservice-event"), value["event"].as_str().unwrap());
        assert_eq!(of("x-roomservice-id"), value["id"].as_str().unwrap());
        let signed = of("x-roomservice-signature");
        let seconds: u64 = signed.strip_prefix("t=").unwrap().split_once(',').unwrap().0.parse().unwrap();
        assert_eq!(signed, signature(&secret(), Millis(seconds * 1000), &body));
        self.posts.lock().push(url.to_owned());
        let refuses = |of: &&str| value["roomID"].as_str().is_some_and(|room| room.starts_with(of));
        let otherwise = if self.refuses.lock().as_ref().is_some_and(refuses) { Ok(500) } else { Ok(200) };
        let answer = self.answers.lock().pop().unwrap_or(otherwise);
        if answer == Ok(200) {
            self.heard.lock().push(value);
        }
        let takes = *self.takes.lock();
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            answer.map(|status| Answered { status, body: Bytes::new() })
        })
    }
}

fn secret() -> Secret {
    Secret::new("a secret of sixteen")
}

struct World {
    journal: Arc<Journal>,
    hook: Arc<Hook>,
    hooks: Arc<Hooks>,
    backend: Arc<Backend>,
    clock: Arc<Manual>,
}

fn world(dir: &Path, events: &[&str]) -> World {
    let open = || Journal::open(dir, true, Arc::default(), mpsc::unbounded_channel().0, Millis(0));
    // Of one that was killed the last write may still be under way.
    let tries = std::iter::repeat_with(open).inspect(|opened| {
        if opened.is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let journal = Arc::new(tries.take(500).find_map(Result::ok).expect("the directory becomes free"));
    let backend = Arc::new(Backend::default());
    let clock = Arc::new(Manual::at(Millis(1_000_000)));
    let settings = Settings {
        urls: vec!["http://backend/hook".into()],
        secret: secret(),
        events: events.iter().map(|e| (*e).to_owned()).collect(),
        ..Settings::default()
    };
    let post: Arc<dyn Post> = backend.clone();
    let history: Arc<dyn History> = journal.clone();
    let time: Arc<dyn Clock> = clock.clone();
    let hook = Hook::all(&settings, &post, &history, &time, &Arc::default()).remove(0);
    let hooks = Hooks::new(&settings, post, history, time);
    World { journal, hook, hooks, backend, clock }
}

impl World {
    async fn visit(&self, n: usize, who: &str) {
        let room = RoomId::parse(&format!("r{n}")).unwrap();
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
        let rules = Rules::default();
        self.journal.update(&room, &mut |slot| add_pusher(slot, now, &new, &rules).map(|j| j.events)).await.unwrap();
        let leave = &mut |slot: &mut Option<room::Room>| delete_pusher(slot, now, &user, LeaveReason::Quit, &rules);
        self.journal.update(&room, leave).await.unwrap();
    }

    /// Tells what there is, to the end of the record.
    async fn tell(&self) {
        let mut partition = partition::Partition::default();
        loop {
            let end = self.journal.end(0).await.unwrap();
            if self.journal.place(self.hook.reader(), 0).await.unwrap().as_ref() == Some(&end) {
                return;
            }
            self.hook.pass(0, &mut partition).await.unwrap();
        }
    }

    /// What is told again; as many events as were promised.
    async fn replay(&self, from: Cursor, room: Option<RoomId>) -> Vec<Value> {
        let promised = self.hooks.replay(from, room).await.unwrap().events;
        self.replayed().await;
        let heard = std::mem::take(&mut *self.backend.heard.lock());
        assert_eq!(heard.len(), promised);
        heard
    }

    /// It is over when the next one may begin.
    async fn replayed(&self) {
        while !self.hooks.replaying.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Begins to listen: what happened before is not told.
    async fn begin(&self) {
        let end = self.journal.end(0).await.unwrap();
        self.journal.save(self.hook.reader(), 0, &end).await.unwrap();
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
    let after = |text: &str| Cursor::Id(text.to_owned());
    assert_eq!(again.replay(Cursor::Time(Millis(0)), None).await, heard);
    // From some event on, of all rooms or of one.
    let fifth = heard[4]["id"].as_str().unwrap();
    assert_eq!(again.replay(after(fifth), None).await, heard[4..]);
    let room = RoomId::parse("r2").ok();
    assert_eq!(again.replay(after(fifth), room.clone()).await, heard[8..]);
    assert_eq!(again.replay(Cursor::Seq(3), room).await, heard[10..]);
    assert_eq!(again.replay(Cursor::Time(Millis(2_000_000)), None).await, [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn only_the_events_that_are_wanted_and_notes_too() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &["pusher_left", "stream_ended"]);
    world.begin().await;
    world.visit(0, "alice").await;
    let room = RoomId::parse("r0").ok();
    let data = serde_json::json!({ "streamID": "1000_r0_alice" });
    for event in ["stream_ended", "stream_started"] {
        let note = Note {
            event: event.into(),
            room: room.clone(),
            at: world.clock.now(),
            data: data.clone(),
            span: Span::None,
        };
        world.journal.note(&[note]).await.unwrap();
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
    // Alice's and bob's leaves are refused by the app; carol's, of bob's room, comes after his.
    world.backend.answers.lock().extend((0..=BELIEVED).map(|_| Ok(400)));
    world.tell().await;
    let heard = world.backend.heard.lock();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0]["userID"], "carol");
    assert_eq!(world.backend.posts.lock().len(), BELIEVED as usize + 2, "alice's is a day old and sent only once");
}

#[tokio::test(start_paused = true)]
async fn what_began_before_a_kill_ends_once_if_nobody_goes_on_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let note = |event: &str, name: &str, begins: bool| {
        let span = if begins { Span::Begins(name.into()) } else { Span::Ends(name.into()) };
        let data = serde_json::json!({ "streamID": name });
        Note { event: event.into(), room: RoomId::parse("r0").ok(), at: Millis(1_000_000), data, span }
    };
    let begin = |name: &str| [note("stream_started", name, true)];
    let end = |name: &str| [note("stream_ended", name, false)];
    let first = world(dir.path(), &[]);
    first.begin().await;
    for name in ["a", "b", "c"] {
        first.journal.note(&begin(name)).await.unwrap();
    }
    first.journal.note(&end("c")).await.unwrap();
    assert_eq!(first.journal.unfinished(&|_, _| true).await.unwrap(), [], "who began them is here");
    tokio::task::spawn_blocking({
        let journal = first.journal.clone();
        move || journal.snapshot().unwrap()
    })
    .await
    .unwrap();
    drop(first);
    // Killed, with the beginnings in a snapshot. One of the two streams comes back.
    let again = world(dir.path(), &[]);
    again.journal.note(&begin("a")).await.unwrap();
    let lost = again.journal.unfinished(&|_, _| true).await.unwrap();
    assert_eq!(lost.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b"]);
    again.journal.note(&end("b")).await.unwrap();
    again.journal.note(&end("b")).await.unwrap();
    drop(again);
    // Killed again: what went on can still end, and what ended has.
    let last = world(dir.path(), &[]);
    last.journal.note(&end("a")).await.unwrap();
    last.journal.note(&end("b")).await.unwrap();
    last.tell().await;
    let heard = last.backend.heard.lock();
    let told: Vec<_> = heard.iter().map(|e| format!("{} {}", e["event"].as_str().unwrap(), e["streamID"])).collect();
    let expected = ["started \"a", "started \"b", "started \"c", "ended \"c", "ended \"b", "ended \"a"];
    assert_eq!(told, expected.map(|text| format!("stream_{text}\"")));
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_it_tells() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &[]);
    let running = tokio::spawn(world.hooks.clone().run());
    let ids =
        || world.backend.heard.lock().iter().map(|e| e["id"].to_string()).collect::<std::collections::BTreeSet<_>>();
    let heard = async |count: usize| {
        while ids().len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // The URL's place in the record is made; then what happens is told.
    while world.journal.place(world.hook.reader(), 0).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.visit(0, "alice").await;
    heard(4).await;
    // A backend that hangs is given up for another URL; what it did not hear by then is not lost when it is back.
    world.backend.answers.lock().extend((0..20).map(|_| Err("timeout".into())));
    world.visit(1, "bob").await;
    let one = Settings { urls: vec!["http://backend/hook".into()], secret: secret(), ..Settings::default() };
    world.hooks.set(&Settings { urls: vec![one.urls[0].clone(), "http://elsewhere".into()], ..one.clone() });
    heard(8).await;
    // A URL that is gone keeps nothing from being thrown away.
    world.hooks.set(&Settings { urls: vec!["http://elsewhere".into()], ..one.clone() });
    while world.journal.place(world.hook.reader(), 0).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What was accepted and not yet saved when the settings changed comes again, under its id.
    let mut heard = world.backend.heard.lock().clone();
    heard.sort_by_key(|event| event["id"].to_string());
    heard.dedup();
    told(&heard, 2, 1);
    running.abort();
}

/// What the backend heard, as texts.
fn names(heard: &[Value]) -> Vec<String> {
    heard.iter().map(|e| format!("{} {}", e["event"].as_str().unwrap(), e["streamID"].as_str().unwrap_or(""))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_from_its_beginning_to_its_end_over_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let media = |world: &World| {
        let hub = media::hub::Hub::new(media::hub::Settings::default());
        let sources = Sources { hub: hub.clone(), mixer: None, recorder: None, bizid: 1000 };
        (hub, tokio::spawn(world.hooks.clone().note_media(sources)))
    };
    let publish = |hub: &media::hub::Hub, name: &str| {
        let origin = media::hub::Origin { protocol: media::Protocol::Rtmp, peer: ([127, 0, 0, 1], 1).into() };
        hub.publish(&media::StreamName::new(name).unwrap(), origin).unwrap()
    };
    let unfinished = async |world: &World, count: usize| {
        while world.journal.kept_spans() != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let first = world(dir.path(), &[]);
    first.begin().await;
    let (hub, noting) = media(&first);
    tokio::task::yield_now().await;
    let held: Vec<_> = ["1000_r_alice", "1000_r_bob", "1000_r_carol"].map(|name| publish(&hub, name)).into();
    unfinished(&first, 3).await;
    hub.end(&media::StreamName::new("1000_r_carol").unwrap(), media::Ended::Finished);
    unfinished(&first, 2).await;
    noting.abort();
    drop((held, hub, first));
    tokio::task::yield_now().await;

    // Killed. Alice's encoder connects again within its time, bob's does not.
    let again = world(dir.path(), &[]);
    let (hub, noting) = media(&again);
    tokio::task::yield_now().await;
    let _alice = publish(&hub, "1000_r_alice");
    unfinished(&again, 1).await;
    // Written, and durable a moment later.
    while again.backend.heard.lock().len() < 5 {
        again.tell().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let heard = again.backend.heard.lock().clone();
    let expected = [
        "started 1000_r_alice",
        "started 1000_r_bob",
        "started 1000_r_carol",
        "ended 1000_r_carol",
        "ended 1000_r_bob",
    ];
    assert_eq!(names(&heard), expected.map(|text| format!("stream_{text}")));
    assert_eq!((&heard[4]["roomID"], &heard[4]["userID"]), (&"r".into(), &"bob".into()));
    noting.abort();
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_was_cut_off_is_told_by_who_has_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let films = tempfile::tempdir().unwrap();
    let film = [b"mehd\0\0\0\0".as_slice(), &61_500u32.to_be_bytes(), &[0; 88]].concat();
    std::fs::write(films.path().join("1000_r_alice.5.mp4"), film).unwrap();
    let begun = |stream: &str| {
        let file = format!("{stream}.5.mp4");
        let span = Span::Begins(format!("record:{file}"));
        let data = serde_json::json!({ "file": file, "started": 5, "streamID": stream });
        Note { event: "record_started".into(), room: RoomId::parse("r").ok(), at: Millis(1_000_000), data, span }
    };
    let first = world(dir.path(), &[]);
    first.begin().await;
    first.journal.note(&["1000_r_alice", "1000_r_bob"].map(begun)).await.unwrap();
    drop(first);

    // Killed. One file is here, the other one is on a machine that is away.
    let again = world(dir.path(), &[]);
    let hub = media::hub::Hub::new(media::hub::Settings::default());
    let longest = Duration::from_secs(3600);
    let settings = media::record::Settings { dir: films.path().into(), quota: 1 << 30, longest };
    let recorder = media::record::Recorder::new(hub.clone(), settings).unwrap();
    let sources = Sources { hub, mixer: None, recorder: Some(recorder), bizid: 1000 };
    let noting = tokio::spawn(again.hooks.clone().note_media(sources));
    let unfinished = async |count: usize| {
        while again.journal.kept_spans() != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    unfinished(1).await;
    again.clock.pass(59 * 60 * 1000);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(again.journal.kept_spans(), 1, "who has the file may come back");
    again.clock.pass(2 * 60 * 1000);
    unfinished(0).await;
    while again.backend.heard.lock().len() < 4 {
        again.tell().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let heard = again.backend.heard.lock().clone();
    let expected = ["started 1000_r_alice", "started 1000_r_bob", "ready 1000_r_alice", "empty 1000_r_bob"];
    assert_eq!(names(&heard), expected.map(|text| format!("record_{text}")));
    assert_eq!((&heard[2]["size"], &heard[2]["seconds"]), (&100.into(), &61.5.into()));
    assert_eq!((&heard[3]["file"], &heard[3]["asked"]), (&"1000_r_bob.5.mp4".into(), &5.into()));
    noting.abort();
}

#[tokio::test(start_paused = true)]
async fn recordings_are_ready_when_the_server_stops() {
    use media::{Codec, Frame};
    let dir = tempfile::tempdir().unwrap();
    let films = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &["record_started", "record_ready"]);
    world.begin().await;
    let hub = media::hub::Hub::new(media::hub::Settings::default());
    let longest = Duration::from_secs(3600);
    let settings = media::record::Settings { dir: films.path().into(), quota: 1 << 30, longest };
    let recorder = media::record::Recorder::new(hub.clone(), settings).unwrap();
    let sources = Sources { hub: hub.clone(), mixer: None, recorder: Some(recorder.clone()), bizid: 1000 };
    let noting = tokio::spawn(world.hooks.clone().note_media(sources));
    tokio::task::yield_now().await;
    let name = media::StreamName::new("1000_r_alice").unwrap();
    let origin = media::hub::Origin { protocol: media::Protocol::Rtmp, peer: ([127, 0, 0, 1], 1).into() };
    let publisher = hub.publish(&name, origin).unwrap();
    let avcc = [1, 0x64, 0, 30, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 30, 1, 0, 1, 0x68];
    publisher.push(Frame::config(Codec::H264, 0, Bytes::copy_from_slice(&avcc))).unwrap();
    assert!(recorder.record(&name));
    for n in 0..75 {
        let bytes = Bytes::from_static(&[7; 1000]);
        publisher.push(Frame::video(Codec::H264, n * 40_000, 0, n % 25 == 0, bytes)).unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    while world.journal.kept_spans() != 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Nobody hears of it otherwise: the work is dropped next.
    noting.abort();
    world.hooks.end_recordings(&recorder, 1000).await;
    assert_eq!(world.journal.kept_spans(), 1, "the stream may go on");
    while world.backend.heard.lock().len() < 2 {
        world.tell().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let heard = world.backend.heard.lock().clone();
    assert_eq!(names(&heard), ["record_started 1000_r_alice", "record_ready 1000_r_alice"]);
    let [file, size] = [&heard[1]["file"], &heard[1]["size"]];
    assert_eq!(size.as_u64().unwrap(), films.path().join(file.as_str().unwrap()).metadata().unwrap().len());
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_counted_once_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &["audience_count"]);
    world.begin().await;
    let audiences = Arc::new(Audiences::default());
    let store: Arc<dyn Store> = world.journal.clone();
    let counting = tokio::spawn(world.hooks.clone().note_audiences(audiences.clone(), store));
    let room = RoomId::parse("r").unwrap();
    let alice = UserId::parse("alice").unwrap();
    let stream = StreamId::parse("s").unwrap();
    let new =
        NewPusher { room: &room, kind: Kind::Live, user: &alice, name: "", avatar: "", stream: &stream, info: None };
    let now = world.clock.now();
    let rules = Rules::default();
    world.journal.update(&room, &mut |slot| add_pusher(slot, now, &new, &rules).map(|j| j.events)).await.unwrap();
    let heard = async |count: usize| {
        while world.backend.heard.lock().len() < count {
            world.tell().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    for n in 0..20 {
        world.journal.add_viewer(&room, &UserId::parse(&format!("v{n}")).unwrap(), Some("")).await.unwrap();
        audiences.changed(&room);
    }
    heard(1).await;
    for n in 0..20 {
        world.journal.delete_viewer(&room, &UserId::parse(&format!("v{n}")).unwrap()).await.unwrap();
        audiences.changed(&room);
    }
    heard(2).await;
    // What changed to and fro between two looks is no change.
    audiences.changed(&room);
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.tell().await;
    let heard = world.backend.heard.lock();
    let counts: Vec<_> = heard.iter().map(|e| (e["roomID"].as_str().unwrap(), e["count"].as_u64().unwrap())).collect();
    assert_eq!(counts, [("r", 20), ("r", 0)]);
    counting.abort();
}

#[test]
fn the_documented_bodies_are_those_that_are_sent() {
    let document = include_str!("../../../docs/webhooks.md");
    let lines = document.lines().filter(|line| line.starts_with("{\"id\""));
    let shown: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    for event in EVENTS {
        assert!(document.contains(&format!("`{event}`")), "{event} is not in the table");
        let example = shown.iter().find(|e| e["event"] == event).unwrap_or_else(|| panic!("no example of {event}"));
        let room = RoomId::parse("r1").ok();
        let user = || UserId::parse("alice").unwrap();
        let what = match event {
            "room_created" => room::What::Created { by: user() },
            "room_closed" => room::What::Closed { reason: room::CloseReason::Empty },
            "pusher_joined" => room::What::Joined { user: user() },
            "pusher_updated" => room::What::Updated { user: user() },
            "pusher_left" => room::What::Left { user: user(), reason: LeaveReason::Quit },
            "room_info" => room::What::Info,
            "custom_field" => room::What::Custom { name: "likes".into() },
            _ => {
                // A note is sent as it was written, with what every event has.
                let data = example.as_object().unwrap().iter();
                let own = data.filter(|(key, _)| !["id", "event", "time", "roomID"].contains(&key.as_str()));
                let data = own.map(|(key, value)| (key.clone(), value.clone())).collect::<serde_json::Map<_, _>>();
                let note = Note { event: event.into(), room, at: Millis(1), data: data.into(), span: Span::None };
                let (_, _, sent) = body::body("0-1-0", &News::Note(note)).unwrap();
                assert_eq!(keys(&serde_json::from_slice(&sent).unwrap()), keys(example), "{event}");
                continue;
            }
        };
        let change = room::Event { room: room.unwrap(), kind: Kind::Live, seq: 1, at: Millis(1), what };
        let (_, _, sent) = body::body("0-1-0", &News::Room(change)).unwrap();
        assert_eq!(keys(&serde_json::from_slice(&sent).unwrap()), keys(example), "{event}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_forward_makes_nothing_too_old_to_be_tried() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &[]);
    world.begin().await;
    world.visit(1, "alice").await;
    world.clock.step(3 * 24 * 3600 * 1000);
    world.tell().await;
    assert_eq!(world.backend.heard.lock().len(), 4, "made, entered, left, closed");
    // Who does not take it even so is not asked again.
    world.visit(2, "bob").await;
    world.clock.step(3 * 24 * 3600 * 1000);
    *world.backend.refuses.lock() = Some("r2");
    world.tell().await;
    assert_eq!(world.backend.heard.lock().len(), 4);
}

#[tokio::test]
async fn a_note_of_a_later_version_is_told_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &[]);
    world.begin().await;
    let data = serde_json::json!({ "how": "well" });
    let room = RoomId::parse("r1").ok();
    let note = Note { event: "of_a_later_version".into(), room, at: Millis(1), data, span: Span::None };
    world.journal.note(&[note]).await.unwrap();
    world.tell().await;
    let heard = world.backend.heard.lock();
    assert_eq!((&heard[0]["event"], &heard[0]["how"]), (&"of_a_later_version".into(), &"well".into()));
}

#[test]
fn ids_grow_as_texts() {
    let ids =
        [("9", 0), ("10", 0), ("10", 1), ("10", 12), ("1763913600000", 0)].map(|(place, n)| body::id(0, place, n));
    assert!(ids.is_sorted(), "{ids:?}");
    let redis =
        ["1763913600000-0", "1763913600000-9", "1763913600000-10", "1763913600001-0"].map(|p| body::id(3, p, 0));
    assert!(redis.is_sorted(), "{redis:?}");
}

#[test]
fn settings_that_cannot_work_are_named() {
    let settings = Settings {
        urls: vec!["ftp://x".into()],
        secret: Secret::new("short"),
        events: vec!["pusher_vanished".into()],
        ..Settings::default()
    };
    let mut found = Vec::new();
    settings.problems(&mut found);
    assert_eq!(found.len(), 3, "{found:?}");
}

/// Nobody is told that a message was said before its webhook is safe; one that could not be kept in time is kept later.
#[tokio::test(start_paused = true)]
async fn who_says_something_is_answered_when_it_is_kept() {
    use room::chat::{Body, Content, Message, Refusal, Said};
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &[]);
    let settings = world.hooks.settings.borrow().clone();
    world.hooks.set(&Settings { messages: Messages::After, ..settings });
    let message = |seq: u64| {
        let body = Body::new(r#"[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}]"#).unwrap();
        let said = Said { from: UserId::parse("alice").unwrap(), nick: None, random: None, body };
        Message::new(RoomId::parse("r").unwrap(), seq, Millis(7), Content::Said(said))
    };
    // Nobody writes: the store is away.
    assert_eq!(world.hooks.said(&message(1)).await, Err(Refusal::Away));
    tokio::time::resume();
    let writing = tokio::spawn(world.hooks.clone().note_messages());
    assert_eq!(world.hooks.said(&message(2)).await, Ok(()));
    let entries = world.journal.after(0, "0", 10).await.unwrap();
    let numbers: Vec<u64> = entries
        .iter()
        .flat_map(|entry| &entry.news)
        .map(|news| match news {
            News::Note(note) => note.data["messageSeq"].as_u64().unwrap(),
            News::Room(event) => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(numbers, [1, 2]);
    writing.abort();
}

/// What waits for a room that is refused waits for it alone, in order, over a restart, and is told when it is taken.
#[tokio::test(start_paused = true)]
async fn a_room_that_is_refused_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let first = world(dir.path(), &[]);
    first.begin().await;
    *first.backend.refuses.lock() = Some("r1");
    for _ in 0..3 {
        for n in [1, 2, 3] {
            first.visit(n, "alice").await;
        }
    }
    let mut partition = partition::Partition::default();
    while first.backend.heard.lock().len() < 2 * 3 * 4 {
        first.hook.pass(0, &mut partition).await.unwrap();
    }
    let mut heard = std::mem::take(&mut *first.backend.heard.lock());
    told(&heard, 2, 3);
    let behind = first.hook.progress.all();
    assert_eq!((behind[0].rooms, behind[0].oldest), (1, Some(Millis(1_000_000))));
    assert_eq!(behind[0].events, 3 * 4);
    // A restart tells nobody anything twice, and the room that waits still waits.
    first.visit(2, "alice").await;
    drop(first);
    let again = world(dir.path(), &[]);
    *again.backend.refuses.lock() = Some("r1");
    let mut partition = partition::Partition::default();
    while again.backend.heard.lock().len() < 4 {
        again.hook.pass(0, &mut partition).await.unwrap();
    }
    told(&again.backend.heard.lock(), 1, 1);
    again.backend.heard.lock().clear();
    *again.backend.refuses.lock() = None;
    again.tell().await;
    told(&again.backend.heard.lock(), 1, 3);
    heard.extend(again.backend.heard.lock().drain(..));
    assert!(heard.iter().any(|event| event["roomID"] == "r1"));
}

impl World {
    /// How many events of a room were heard.
    fn heard_of(&self, room: &str) -> usize {
        self.backend.heard.lock().iter().filter(|event| event["roomID"] == room).count()
    }
}

/// A room in which more happens than the backend can take sets nobody else's pace, however much more comes.
#[tokio::test(start_paused = true)]
async fn a_busy_room_holds_up_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &[]);
    world.begin().await;
    *world.backend.takes.lock() = Duration::from_millis(20);
    for _ in 0..400 {
        world.visit(1, "alice").await;
    }
    world.visit(2, "bob").await;
    let mut partition = partition::Partition::default();
    let mut visits = 400;
    for others in 1..=5 {
        let began = tokio::time::Instant::now();
        while world.heard_of("r2") < 4 * others {
            world.hook.pass(0, &mut partition).await.unwrap();
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(3), "a room of four events waits for {took:?}");
        assert_eq!(world.hook.progress.all()[0].rooms, 0, "nothing is refused");
        // More than a batch, before the other room's next.
        for _ in 0..100 {
            world.visit(1, "alice").await;
        }
        visits += 100;
        world.visit(2, "bob").await;
    }
    assert!(world.heard_of("r1") >= 100, "the busy one is told meanwhile: {}", world.heard_of("r1"));
    let rest = 4 * visits - world.heard_of("r1");
    let began = tokio::time::Instant::now();
    while world.heard_of("r1") < 4 * visits {
        world.hook.pass(0, &mut partition).await.unwrap();
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(20) * rest as u32 * 11 / 10, "alone, it takes all the time: {took:?}");
    world.tell().await;
    let (r1, r2): (Vec<_>, Vec<_>) = world.backend.heard.lock().drain(..).partition(|event| event["roomID"] == "r1");
    told(&r1, 1, visits);
    told(&r2, 1, 6);
}

/// Killed at any moment, the server tells what a busy room still waits for in order, and next to nothing again.
#[tokio::test(start_paused = true)]
async fn a_busy_room_goes_on_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut heard: Vec<Value> = Vec::new();
    for kill in 0..8 {
        let world = world(dir.path(), &[]);
        *world.backend.takes.lock() = Duration::from_millis(20);
        if kill == 0 {
            world.begin().await;
            for n in 0..250 {
                world.visit(1, "alice").await;
                if n % 50 == 0 {
                    world.visit(2, "bob").await;
                }
            }
        }
        let mut partition = partition::Partition::default();
        let passing = async {
            loop {
                world.hook.pass(0, &mut partition).await.unwrap();
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(1230 + 310 * kill), passing).await;
        heard.extend(world.backend.heard.lock().drain(..));
    }
    let last = world(dir.path(), &[]);
    last.tell().await;
    heard.extend(last.backend.heard.lock().drain(..));
    let mut ids = std::collections::HashSet::new();
    let all = heard.len();
    heard.retain(|event| ids.insert(event["id"].to_string()));
    assert!(all - heard.len() <= 8 * 5, "{} events were told again", all - heard.len());
    let (r1, r2): (Vec<_>, Vec<_>) = heard.into_iter().partition(|event| event["roomID"] == "r1");
    told(&r1, 1, 250);
    told(&r2, 1, 5);
}

/// Of more rooms than are held back none is lost or told out of order.
#[tokio::test(start_paused = true)]
async fn more_refused_rooms_than_are_held_back_wait_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &[]);
    world.begin().await;
    let rooms = partition::MOST_HELD + 20;
    for n in 0..rooms {
        world.visit(n, "alice").await;
    }
    // Nothing is accepted at first: enough refusals for every room's first tries and many more.
    world.backend.answers.lock().extend((0..rooms * 8).map(|_| Ok(500)));
    world.tell().await;
    told(&world.backend.heard.lock(), rooms, 1);
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_without_what_a_backend_cannot_take() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &[]);
    world.begin().await;
    for n in 1..=3 {
        world.visit(n, "alice").await;
    }
    // Whoever asks for it again wants it, however old it is.
    world.clock.pass(3 * 24 * 3600 * 1000);
    *world.backend.refuses.lock() = Some("r2");
    let promised = world.hooks.replay(Cursor::Time(Millis(0)), None).await.unwrap();
    assert_eq!(promised, Replayed { events: 12, left_out: 0 });
    let second = world.hooks.replay(Cursor::Time(Millis(0)), None).await;
    assert!(matches!(second, Err(NotReplayed::Running)), "{second:?}");
    // Another URL need not wait for the first one's replay.
    let both = Settings {
        urls: vec!["http://backend/hook".into(), "http://other/hook".into()],
        secret: secret(),
        ..Settings::default()
    };
    world.hooks.set(&both);
    let second = world.hooks.replay(Cursor::Time(Millis(2_000_000)), None).await.unwrap();
    assert_eq!(second, Replayed { events: 0, left_out: 1 });
    tokio::time::timeout(Duration::from_secs(60), world.replayed()).await.expect("a replay ends within a minute");
    told(&std::mem::take(&mut *world.backend.heard.lock()), 2, 1);
    *world.backend.refuses.lock() = None;
    world.hooks.set(&Settings { urls: both.urls[..1].to_vec(), ..both });
    told(&world.replay(Cursor::Time(Millis(0)), None).await, 3, 1);
}

#[tokio::test(start_paused = true)]
async fn a_replay_to_nobody_ends() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path(), &[]);
    world.begin().await;
    for n in 0..200 {
        world.visit(n, "alice").await;
    }
    *world.backend.refuses.lock() = Some("r");
    assert_eq!(world.hooks.replay(Cursor::Time(Millis(0)), None).await.unwrap().events, 800);
    tokio::time::timeout(Duration::from_secs(60), world.replayed()).await.expect("a replay ends within a minute");
    let posts = world.backend.posts.lock().len();
    assert!((256..=400).contains(&posts), "{posts} tries of 64 events in a row, and of those beside them");
}
