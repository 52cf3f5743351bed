//! The hub under a clock that is wound by hand: changes are told once, what is left over goes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use room::pushers::NewPusher;
use room::{Kind, Rules, StreamId};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use chat::Chat;
use chat::Settings;
use chat::hub::BACK_WITHIN as AWAY;
use chat::hub::link::{Link, Login};
use chat::hub::*;
use chat::render;
use room::chat::*;
use room::sanctions::Sanction;
use room::{Millis, RoomId, UserId};
use rooms::Rooms;
use rooms::groups::{sanction, with_group};
use rooms::sweeper::Sweeper;
use store::clock::{Clock, Manual};
use store::{Memory, Store};
use streams::live::Embedded;

struct World {
    clock: Arc<Manual>,
    hub: Arc<Hub>,
    rooms: Rooms,
    sweeper: Sweeper,
    events: mpsc::UnboundedReceiver<Vec<room::Event>>,
}

fn world() -> World {
    let (outbox, events) = mpsc::unbounded_channel();
    let rules = Arc::new(Rules::default());
    let clock = Arc::new(Manual::at(Millis(1_000_000)));
    let store: Arc<dyn Store> = Arc::new(Memory::new(rules.clone(), outbox));
    let hub = Arc::new(Hub::new(&Settings::default(), clock.clone()));
    let live = {
        let hub = media::hub::Hub::new(media::hub::Settings::default());
        Arc::new(Embedded::new(hub.clone(), streams::live::mix::Settings::default().mixer(&hub)))
    };
    let rooms = Rooms::new(store.clone(), hub.clone(), clock.clone(), rules.clone());
    World { sweeper: Sweeper::new(store, live, clock.clone(), rules), clock, hub, rooms, events }
}

fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

fn group(text: &str) -> RoomId {
    RoomId::parse(text).unwrap()
}

fn login(user: &UserId, session: u64, at: u64) -> Login<'_> {
    Login { user, session, at: Millis(at), expires: Millis::NEVER }
}

impl World {
    async fn enter(&mut self, room: &str, who: &str) {
        self.make(room, who).await;
        self.carry();
    }

    /// Without what another task does with it.
    async fn make(&self, room: &str, who: &str) {
        let room = group(room);
        let user = user(who);
        let stream = StreamId::parse(who).unwrap();
        let new = NewPusher {
            room: &room,
            kind: Kind::Multi,
            user: &user,
            name: "",
            avatar: "",
            stream: &stream,
            info: None,
        };
        self.rooms.add_pusher(&new).await.unwrap();
    }

    fn carry(&mut self) {
        while let Ok(events) = self.events.try_recv() {
            events.iter().for_each(|event| self.hub.carry(event));
        }
    }

    fn connect(&self, who: &str) -> Arc<Link> {
        self.hub.connect(&login(&user(who), 1, 0), None, |_| render::frame(&json!({"type": "welcome"}))).unwrap()
    }

    /// As the doors do it: a room's group is made by the first who asks for it.
    async fn come(&self, link: &Link, room: &str) -> Result<(), Refusal> {
        with_group(&self.hub, &self.rooms, &group(room), || self.join(link, room)).await
    }

    fn join(&self, link: &Link, room: &str) -> Result<(), Refusal> {
        self.hub.join(link, &group(room), None, 0, |_| render::frame(&json!({"type": "ack"})))
    }
}

/// What waits for a WebSocket; none at its end.
fn waiting(link: &Link) -> Option<Vec<Value>> {
    let taken = link.queue().unwrap().poll_take(&mut Context::from_waker(Waker::noop()));
    let frames = match taken {
        Poll::Ready(Ok(frames)) => frames,
        Poll::Ready(Err(_)) => return None,
        Poll::Pending => VecDeque::new(),
    };
    Some(frames.iter().map(|frame| serde_json::from_slice(frame).unwrap()).collect())
}

fn kinds(link: &Link) -> Vec<String> {
    let name = |frame: &Value| {
        let data = frame["data"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap()["cmd"].clone());
        let kind = data.unwrap_or_else(|| frame["notice"].clone());
        kind.as_str().or(frame["type"].as_str()).unwrap().to_owned()
    };
    waiting(link).unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn a_heartbeat_that_stops_is_told_once() {
    let mut world = world();
    world.enter("r", "ann").await;
    world.enter("r", "bob").await;
    assert!(world.hub.is_empty(), "nobody asked for the room's group");
    let watcher = world.connect("watcher");
    world.come(&watcher, "r").await.unwrap();
    waiting(&watcher);
    // Ann goes on; bob does not.
    for _ in 0..30 {
        world.clock.pass(1_000);
        world.rooms.heartbeat(Kind::Multi, &group("r"), &user("ann")).await.unwrap();
        world.sweeper.sweep().await.unwrap();
        world.carry();
    }
    assert_eq!(kinds(&watcher), ["notifyPusherChange"]);
    // Then nobody does: the last one's end, and the room's.
    for _ in 0..30 {
        world.clock.pass(1_000);
        world.sweeper.sweep().await.unwrap();
        world.carry();
    }
    assert_eq!(kinds(&watcher), ["notifyPusherChange", "destroyed"]);
    assert_eq!(world.come(&watcher, "r").await, Err(Refusal::NoGroup));
    assert!(world.hub.is_empty());
    assert!(world.hub.groups_of(&watcher).is_empty());
}

#[tokio::test]
async fn a_clock_that_steps_puts_nobody_out_and_keeps_nobody() {
    let mut world = world();
    world.enter("r", "ann").await;
    world.enter("r", "bob").await;
    let watcher = world.connect("watcher");
    world.come(&watcher, "r").await.unwrap();
    waiting(&watcher);
    const HOUR: i64 = 3_600_000;
    for step in [HOUR, -2 * HOUR] {
        world.clock.step(step);
        world.sweeper.sweep().await.unwrap();
        world.hub.tick();
        for who in ["ann", "bob"] {
            world.rooms.heartbeat(Kind::Multi, &group("r"), &user(who)).await.unwrap();
        }
    }
    world.carry();
    assert_eq!(kinds(&watcher), ["count"], "nobody left");
    // Silence is as long as it lasts, whatever the wall shows.
    world.clock.pass(Rules::default().heartbeat_timeout + 1_000);
    world.sweeper.sweep().await.unwrap();
    world.carry();
    assert_eq!(kinds(&watcher).last().map(String::as_str), Some("destroyed"));
}

#[tokio::test]
async fn every_kind_of_change_has_a_notification() {
    let mut world = world();
    world.enter("r", "ann").await;
    let watcher = world.connect("watcher");
    world.come(&watcher, "r").await.unwrap();
    waiting(&watcher);
    let set = room::custom::Operation::Set(room::custom::Value::Int(3));
    world.rooms.set_custom(Kind::Multi, &group("r"), "like", set).await.unwrap();
    world.carry();
    assert_eq!(kinds(&watcher), ["notifyCustomChange"]);
}

#[test]
fn counts_are_told_when_they_change_and_not_more_often_than_once_a_second() {
    let world = world();
    world.hub.create(&group("r"), None, "").unwrap();
    let first = world.connect("first");
    world.join(&first, "r").unwrap();
    world.hub.tick();
    waiting(&first);
    for n in 0..50 {
        let one = world.connect(&format!("user{n}"));
        world.join(&one, "r").unwrap();
        world.hub.tick();
        world.clock.pass(100);
    }
    let counts: Vec<_> = waiting(&first).unwrap().iter().map(|frame| frame["users"].as_u64().unwrap()).collect();
    assert!((4..=5).contains(&counts.len()), "{counts:?}");
    world.clock.pass(1_000);
    world.hub.tick();
    assert_eq!(waiting(&first).unwrap().last().unwrap()["users"], 51);
}

#[tokio::test]
async fn a_group_begins_with_its_room_and_what_the_room_has_put_into_it_stays() {
    let mut world = world();
    let id = group("r");
    crate::make_before_the_room(&world.hub, &id, &user("eve")).await;
    world.hub.mute(&id, &user("carl"), 60_000).unwrap();
    world.make("r", "ann").await;
    // Before the other task has said that there is a room.
    sanction(&world.hub, &world.rooms, &id, Sanction::Ban, &user("bob"), 60_000).await.unwrap();
    world.carry();
    assert!(crate::is_the_rooms(&world.hub, &id));
    let bob = world.connect("bob");
    assert!(matches!(world.come(&bob, "r").await, Err(Refusal::Banned { .. })));
}

#[test]
fn a_group_without_room_and_members_goes() {
    let world = world();
    let watcher = world.connect("watcher");
    world.hub.create(&group("left"), Some(&user("a")), "").unwrap();
    world.hub.create(&group("used"), Some(&user("a")), "").unwrap();
    world.join(&watcher, "used").unwrap();
    world.clock.pass(tick::ROOMLESS);
    world.hub.tick();
    assert_eq!(world.hub.ids(), [group("used")]);
    world.hub.quit(&watcher, &group("used")).unwrap();
    world.clock.pass(tick::ROOMLESS);
    world.hub.tick();
    assert!(world.hub.is_empty());
}

#[test]
fn a_user_makes_so_many_groups_without_rooms_and_others_go_on() {
    let world = world();
    let ann = user("ann");
    let make =
        |n: u32, who: &UserId| world.hub.create(&group(&format!("{who}{n}")), Some(who), "").map(|made| made.existed);
    let watcher = world.connect("watcher");
    let made: Vec<_> = (0..17).map(|n| make(n, &ann)).collect();
    assert_eq!(made[15..], [Ok(false), Err(Refusal::TooManyGroups { max: 16 })]);
    world.join(&watcher, "ann3").unwrap();
    assert_eq!(make(3, &ann), Ok(true), "what is there is there");
    assert_eq!(make(0, &user("bob")), Ok(false));
    // Those that nobody is in go, and make room.
    world.clock.pass(tick::ROOMLESS);
    world.hub.tick();
    assert_eq!(world.hub.ids(), [group("ann3")]);
    let made: Vec<_> = (20..36).map(|n| make(n, &ann).is_ok()).collect();
    assert_eq!((made.iter().filter(|made| **made).count(), made[15]), (15, false));
}

#[tokio::test]
async fn the_group_of_a_room_stays_when_nobody_is_in() {
    let mut world = world();
    world.enter("r", "ann").await;
    let watcher = world.connect("watcher");
    world.come(&watcher, "r").await.unwrap();
    world.hub.quit(&watcher, &group("r")).unwrap();
    for _ in 0..3 {
        world.clock.pass(tick::ROOMLESS);
        world.hub.tick();
    }
    assert_eq!(world.hub.ids(), [group("r")], "its messages can be caught up with");
}

#[test]
fn a_long_polling_client_that_stays_away_is_gone_and_a_newer_login_takes_its_place() {
    let world = world();
    let ann = user("ann");
    let old = world.hub.poller(&login(&ann, 1, 10)).unwrap();
    world.hub.create(&group("r"), None, "").unwrap();
    world.hub.join(&old, &group("r"), None, 0, |_| Default::default()).unwrap();
    assert_eq!(world.hub.poller(&login(&ann, 1, 10)).unwrap().id, old.id, "the same login, the same connection");
    let new = world.hub.poller(&login(&ann, 2, 20)).unwrap();
    assert_eq!(world.hub.show(&group("r")).unwrap().users, 0);
    assert_eq!(world.hub.poller(&login(&ann, 1, 10)).unwrap_err(), Refusal::NoConnection);
    world.clock.pass(tick::POLLER_AWAY - 1);
    world.hub.tick();
    assert_eq!(world.hub.connections(), 1);
    new.inbox().unwrap().seen(world.clock.now());
    world.clock.pass(1);
    world.hub.tick();
    assert_eq!(world.hub.connections(), 1, "it was heard of");
    world.clock.pass(tick::POLLER_AWAY);
    world.hub.tick();
    assert_eq!(world.hub.connections(), 0);
}

#[tokio::test]
async fn a_viewer_whose_chat_broke_is_taken_out_of_the_audience_unless_it_comes_back() {
    let world = world();
    let room = group("r");
    let ann = user("ann");
    let stream = StreamId::parse("ann").unwrap();
    let new =
        NewPusher { room: &room, kind: Kind::Live, user: &ann, name: "", avatar: "", stream: &stream, info: None };
    world.rooms.add_pusher(&new).await.unwrap();
    world.hub.create(&room, Some(&ann), "").unwrap();
    let enter = async |name: &str| {
        let link = world.connect(name);
        world.hub.join(&link, &room, None, 0, |_| Default::default()).unwrap();
        world.rooms.add_viewer(&room, &user(name), "").await.unwrap();
        link
    };
    let gone = enter("gone").await;
    let back = enter("back").await;
    let two = [enter("two").await, enter("two").await];
    let quit = enter("quit").await;
    // Who leaves the chat alone is still in the audience.
    world.hub.quit(&quit, &room).unwrap();
    for link in [&gone, &back, &two[0]] {
        world.hub.disconnect(link);
    }
    let names = async || {
        world.rooms.take_absent_out(Some(&world.hub)).await.unwrap();
        let mut names: Vec<String> =
            world.rooms.viewers(&room).await.unwrap().listed.iter().map(|viewer| viewer.user.to_string()).collect();
        names.sort();
        names
    };
    world.clock.pass(AWAY - 1);
    let again = world.connect("back");
    world.hub.join(&again, &room, None, 0, |_| Default::default()).unwrap();
    assert_eq!(names().await, ["back", "gone", "quit", "two"]);
    world.clock.pass(1);
    assert_eq!(names().await, ["back", "quit", "two"]);
    // Away again for a moment, when the time of an earlier moment is over.
    world.hub.disconnect(&again);
    world.clock.pass(AWAY / 2);
    let again = world.connect("back");
    world.hub.join(&again, &room, None, 0, |_| Default::default()).unwrap();
    world.clock.pass(AWAY / 2 - 5_000);
    world.hub.disconnect(&again);
    world.clock.pass(5_000);
    assert_eq!(names().await, ["back", "quit", "two"], "it has been away for five seconds");
    world.clock.pass(AWAY - 5_000);
    assert_eq!(names().await, ["quit", "two"]);
    // Clients of before join the chat again, and do not say again that they watch.
    let again = world.connect("back");
    world.hub.join(&again, &room, None, 0, |_| Default::default()).unwrap();
    assert_eq!(names().await, ["back", "quit", "two"]);
    // Who says that it watches no more, does not.
    world.hub.disconnect(&again);
    world.clock.pass(AWAY);
    assert_eq!(names().await, ["quit", "two"]);
    world.rooms.delete_viewer(&room, &user("back")).await.unwrap();
    let again = world.connect("back");
    world.hub.join(&again, &room, None, 0, |_| Default::default()).unwrap();
    assert_eq!(names().await, ["quit", "two"]);
}

#[tokio::test]
async fn after_a_restart_the_audience_is_there_and_who_does_not_come_back_leaves_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Manual::at(Millis(1_000_000)));
    let room = group("r");
    let start = async || {
        let rules = Arc::new(Rules::default());
        let (outbox, _) = mpsc::unbounded_channel();
        let store = Arc::new(store::Journal::open(dir.path(), true, rules.clone(), outbox, clock.now()).unwrap());
        let hub = Arc::new(Hub::new(&Settings::default(), clock.clone()));
        let rooms = Arc::new(Rooms::new(store.clone(), hub.clone(), clock.clone(), rules));
        (store, hub, rooms)
    };
    let names = async |rooms: &Rooms| {
        let listed = rooms.viewers(&room).await.unwrap().listed;
        listed.iter().map(|viewer| format!("{} {}", viewer.user, viewer.info)).collect::<Vec<_>>()
    };
    let (store, hub, rooms) = start().await;
    let ann = user("ann");
    let stream = StreamId::parse("ann").unwrap();
    let new =
        NewPusher { room: &room, kind: Kind::Live, user: &ann, name: "", avatar: "", stream: &stream, info: None };
    rooms.add_pusher(&new).await.unwrap();
    for who in ["gone", "back"] {
        rooms.add_viewer(&room, &user(who), "info").await.unwrap();
    }
    store.probe().await.unwrap();
    drop((store, hub, rooms));
    let (_store, hub, rooms) = start().await;
    assert_eq!(names(&rooms).await, ["gone info", "back info"]);
    let kept = tokio::spawn(rooms.clone().keep_presence(Some(hub.clone())));
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    hub.create(&room, Some(&ann), "").unwrap();
    let back = user("back");
    let link = hub.connect(&login(&back, 1, 0), None, |_| Default::default()).unwrap();
    hub.join(&link, &room, None, 0, |_| Default::default()).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    clock.pass(AWAY - 1);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(names(&rooms).await, ["gone info", "back info"]);
    clock.pass(1);
    let begun = std::time::Instant::now();
    while names(&rooms).await != ["back info"] {
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", names(&rooms).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    kept.abort();
}

#[test]
fn requests_are_let_through_at_the_set_pace() {
    let world = world();
    let link = world.connect("a");
    let now = world.clock.now();
    let at_once = (0..1000).filter(|_| link.ask(now).is_ok()).count();
    assert_eq!(at_once, 100);
    assert_eq!(link.ask(now), Err(50));
    let later = now.plus(1_000);
    assert_eq!((0..1000).filter(|_| link.ask(later).is_ok()).count(), 20);
}

/// Waiting goes by a clock that does not step; what people see is what the wall shows.
#[tokio::test]
async fn times_that_are_shown_go_by_the_wall() {
    let mut world = world();
    world.enter("r", "ann").await;
    let ann = world.connect("ann");
    world.come(&ann, "r").await.unwrap();
    let carl = world.connect("carl");
    world.come(&carl, "r").await.unwrap();
    let said = |random| Said {
        from: user("ann"),
        nick: None,
        random: Some(random),
        body: Body::new(r#"[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi"}}]"#).unwrap(),
    };
    world.hub.mute(&group("r"), &user("carl"), 60_000).unwrap();
    for (n, step) in [3_600_000_i64, -7_200_000].into_iter().enumerate() {
        let n = n as u64;
        world.clock.step(step);
        let wall = world.clock.now();
        waiting(&ann);
        let sent = world.hub.send(&group("r"), said(n)).await.unwrap();
        world.hub.notify(&group("r"), None, "{}").unwrap();
        let posted = world.hub.send_direct(&user("ann"), None, said(n)).await.unwrap();
        assert_eq!((sent.at, posted.message.at), (wall, wall));
        let heard = waiting(&ann).unwrap();
        let times: Vec<u64> = heard.iter().filter_map(|frame| frame["time"].as_u64()).collect();
        assert_eq!(times, [wall.0; 3], "{heard:?}");
        // A mute holds for as long as it was to, and shows when that is.
        let refused = world.hub.send(&group("r"), Said { from: user("carl"), ..said(9) }).await.unwrap_err();
        let until = wall.plus(60_000);
        assert_eq!(refused, Refusal::Muted { until });
        assert_eq!(world.hub.show(&group("r")).unwrap().muted, [(user("carl"), until)]);
    }
    world.hub.ban(&group("r"), &user("carl"), 60_000).unwrap();
    let told = waiting(&carl).unwrap().into_iter().find(|frame| frame["type"] == "out").unwrap();
    assert_eq!(told["until"].as_u64(), Some(world.clock.now().plus(60_000).0));
    world.clock.pass(60_000);
    world.come(&carl, "r").await.unwrap();
}
