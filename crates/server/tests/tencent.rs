//! Rooms whose chat and live service are Tencent's, emulated: right whatever the services do, quick
//! though they are slow, and everybody told in order once they are back. Time is wound.

#![allow(clippy::unwrap_used)]

mod emulator;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use emulator::{ADMINISTRATOR, APP, Emulator, Inside, Mood, SECRET, SECRET_ID, SECRET_KEY, Silent};
use room::pushers::NewPusher;
use room::sweep::Pushing;
use room::{Kind, LeaveReason, Millis, RoomId, StreamId, UserId};
use roomservice::chat;
use roomservice::chat::tencent::rest::{Rest, Trouble, Words};
use roomservice::clock::Clock;
use roomservice::cloud::{Client, Dial};
use roomservice::clouds::Clouds;
use roomservice::config::{Hidden, Settings};
use roomservice::error::Error;
use roomservice::live::{self, Live};
use roomservice::rooms::{self, Rooms};
use roomservice::store::{Memory, Store};
use roomservice::sweeper::Sweeper;
use serde_json::json;
use sign::stream_url::Query;
use sign::{Secret, callback};
use tokio::sync::mpsc;
use tokio::time::Instant;

const START: u64 = 1_700_000_000_000;

/// The wall clock, wound together with tokio's.
struct Wound(Instant);

impl Clock for Wound {
    fn now(&self) -> Millis {
        Millis(START + u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.im.sdk_app_id = APP;
    settings.im.secret_key = Hidden::new(SECRET);
    settings.chat.provider = chat::Provider::Tencent;
    settings.chat.tencent.callback_token = Hidden::new("callback token");
    settings.live.provider = live::Provider::Tencent;
    settings.live.bizid = 8525;
    settings.live.push_secret_key = Hidden::new("push key");
    settings.live.tencent.secret_id = SECRET_ID.into();
    settings.live.tencent.secret_key = Hidden::new(SECRET_KEY);
    settings.live.tencent.callback_key = Hidden::new("callback key");
    settings
}

struct World {
    emulator: Arc<Emulator>,
    rooms: Rooms,
    chat: Arc<chat::Tencent>,
    live: Arc<live::Tencent>,
    clouds: Clouds,
    clock: Arc<Wound>,
}

fn world() -> World {
    let begun = Instant::now();
    let emulator = Emulator::new(move || (START + u64::try_from(begun.elapsed().as_millis()).unwrap()) / 1000);
    world_of(&settings(), emulator.clone(), Inside(emulator), begun)
}

fn world_of(settings: &Settings, emulator: Arc<Emulator>, dial: impl Dial, begun: Instant) -> World {
    let (clock, client) = (Arc::new(Wound(begun)), Client::new(dial));
    let rules = Arc::new(settings.rooms.rules());
    let (outbox, committed) = mpsc::unbounded_channel();
    let store: Arc<dyn Store> = Arc::new(Memory::new(rules.clone(), outbox));
    let live = Arc::new(live::Tencent::new(&settings.live, client.clone(), clock.clone()));
    let (chat, work) = chat::Tencent::new(Rest::of(settings, client, clock.clone()).unwrap(), store.clone());
    let rooms = Rooms::new(store.clone(), chat.clone(), clock.clone(), rules.clone());
    let clouds = Clouds::new(settings, Some(chat.clone()), Some(live.clone()));
    tokio::spawn(rooms::carry(committed, chat.clone()));
    tokio::spawn(work.run());
    tokio::spawn(Sweeper::new(store, live.clone(), clock.clone(), rules).run());
    World { emulator, rooms, chat, live, clouds, clock }
}

fn room(id: &str) -> RoomId {
    RoomId::parse(id).unwrap()
}
fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}
fn stream_of(id: &str, who: &str) -> StreamId {
    StreamId::parse(&format!("8525_{id}_{who}")).unwrap()
}

impl World {
    async fn enter(&self, id: &str, who: &str) -> Result<bool, Error> {
        let (room, user, stream) = (room(id), user(who), stream_of(id, who));
        let kind = Kind::Live;
        let new = NewPusher { room: &room, kind, user: &user, name: "", avatar: "", stream: &stream, info: None };
        self.rooms.add_pusher(&new).await
    }
    async fn leave(&self, id: &str, who: &str) {
        self.rooms.delete_pusher(Kind::Live, &room(id), &user(who), LeaveReason::Quit).await.unwrap();
    }
    async fn pushers(&self, id: &str) -> Vec<String> {
        let mut names = Vec::new();
        let see = &mut |room: &room::Room, _| names = room.pushers.iter().map(|p| p.user.to_string()).collect();
        let _ = self.rooms.see(Kind::Live, &room(id), see).await;
        names
    }
    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

const NOTICE: &str = "send_group_system_notification";

#[tokio::test(start_paused = true)]
async fn a_room_from_its_group_to_its_end() {
    let world = world();
    world.rooms.create(Kind::Live, Some(&room("r")), "info", &user("alice")).await.unwrap();
    world.enter("r", "alice").await.unwrap();
    world.enter("r", "bob").await.unwrap();
    world.pass(1).await;
    world.leave("r", "bob").await;
    world.pass(1).await;
    world.leave("r", "alice").await;
    world.pass(1).await;
    let told = world.emulator.of("r");
    assert_eq!(told, ["create_group", NOTICE, NOTICE, NOTICE, "destroy_group"], "one for each change, then the end");
    world.pass(30).await;
    assert_eq!(world.emulator.of("r").len(), 5);
    assert_eq!((world.rooms.count(), world.chat.pending()), (0, 0));
    assert!(world.emulator.connections.load(Ordering::SeqCst) <= 2, "connections are kept");
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn whatever_the_chat_service_does_rooms_are_right_and_quick() {
    let slow = Mood::Slow(Duration::from_secs(10));
    let moods = [
        slow,
        Mood::Resets,
        Mood::Fails,
        Mood::WrongJson,
        Mood::Html,
        Mood::Partial,
        Mood::Limited,
        Mood::Disbelieves,
        Mood::Down,
    ];
    for mood in moods {
        let world = world();
        world.enter("r", "alice").await.unwrap();
        world.enter("expires", "carol").await.unwrap();
        world.pass(1).await;
        world.emulator.mood(mood);
        // Making a room takes two seconds at most, and says why it failed.
        let begun = Instant::now();
        let made = world.rooms.create(Kind::Live, Some(&room("new")), "", &user("dave")).await;
        assert!(matches!(made, Err(Error::NoGroup(_))), "{mood:?}: {made:?}");
        assert!(begun.elapsed() <= Duration::from_millis(2_050), "{mood:?}: {:?}", begun.elapsed());
        assert_eq!(world.rooms.count(), 2, "{mood:?}");
        // Everything else does not notice, for minutes.
        for _ in 0..8 {
            let begun = Instant::now();
            world.enter("r", "bob").await.unwrap();
            world.rooms.heartbeat(Kind::Live, &room("r"), &user("alice"), None).await.unwrap();
            assert_eq!(world.pushers("r").await, ["alice", "bob"], "{mood:?}");
            world.leave("r", "bob").await;
            assert!(begun.elapsed() < Duration::from_secs(1), "{mood:?}: {:?}", begun.elapsed());
            world.pass(15).await;
        }
        world.enter("r", "bob").await.unwrap();
        assert_eq!(
            world.pushers("expires").await,
            ["carol"],
            "{mood:?}: nobody is removed because nobody can be asked"
        );
        let calls = world.emulator.calls();
        assert!(calls < 400, "{mood:?}: {calls} calls in two minutes");
        // And when it is back, everybody hears of it, in order.
        let before = world.emulator.of("r").len();
        world.emulator.mood(Mood::Well);
        world.rooms.heartbeat(Kind::Live, &room("r"), &user("alice"), None).await.unwrap();
        world.pass(15).await;
        let told = world.emulator.of("r")[before..].to_vec();
        assert!((1..=3).contains(&told.len()) && told.iter().all(|t| t == NOTICE), "{mood:?}: {told:?}");
        assert_eq!(world.emulator.of("expires").last().map(String::as_str), Some("destroy_group"), "{mood:?}");
        assert_eq!(world.emulator.of("expires").iter().filter(|t| *t == "destroy_group").count(), 1, "{mood:?}");
        world.pass(60).await;
        assert_eq!(world.chat.pending(), 0, "{mood:?}");
        assert!(!world.emulator.groups.lock().contains("new"), "{mood:?}: a group without a room stayed");
        world.emulator.faultless();
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_exist_are_ours_or_not() {
    let world = world();
    world.emulator.groups.lock().insert("ours".into());
    world.emulator.taken.lock().insert("theirs".into());
    world.rooms.create(Kind::Live, Some(&room("ours")), "", &user("alice")).await.unwrap();
    let taken = world.rooms.create(Kind::Live, Some(&room("theirs")), "", &user("alice")).await;
    assert!(matches!(taken, Err(Error::Refused(room::Refusal::RoomExists))), "{taken:?}");
    for bad in ["x".repeat(49), "@TGS#1".into()] {
        let refused = world.rooms.create(Kind::Live, Some(&room(&bad)), "", &user("alice")).await;
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }
    // A group that is lost is made again by the next change.
    world.emulator.groups.lock().clear();
    world.enter("ours", "alice").await.unwrap();
    world.pass(1).await;
    assert_eq!(world.emulator.of("ours"), ["create_group", NOTICE]);
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn a_room_made_again_gets_a_group_of_its_own() {
    let world = world();
    world.enter("r", "alice").await.unwrap();
    world.pass(1).await;
    world.emulator.mood(Mood::Down);
    world.leave("r", "alice").await;
    world.pass(20).await;
    world.emulator.mood(Mood::Well);
    world.enter("r", "bob").await.unwrap();
    world.pass(10).await;
    let told = world.emulator.of("r");
    assert_eq!(told[told.len() - 3..], ["destroy_group", "create_group", NOTICE], "{told:?}");
    assert!(world.emulator.groups.lock().contains("r"));
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn the_signature_is_kept_and_renewed() {
    let world = world();
    let within = Duration::from_secs(3);
    let rest = world.chat.rest();
    rest.create_group("g", within).await.unwrap();
    // By our clock it is good for long; by theirs it is over: made anew once, then reported.
    world.pass(60).await;
    world.emulator.skew.store(25 * 3600, Ordering::SeqCst);
    let before = world.emulator.calls();
    assert_eq!(rest.online("g", within).await, Err(Trouble::Said(70001)));
    assert_eq!(world.emulator.calls() - before, 2, "once more with a fresh one");
    world.emulator.skew.store(0, Ordering::SeqCst);
    assert_eq!(rest.online("g", within).await, Ok(7));
    for _ in 0..10 {
        tokio::time::advance(Duration::from_secs(24 * 3600)).await;
        let before = world.emulator.calls();
        rest.say("g", Some(&user("alice")), Words::Text("hello"), 7, within).await.unwrap();
        rest.say_to(&user("bob"), None, Words::Custom("{}"), 8, within).await.unwrap();
        assert_eq!(world.emulator.calls() - before, 2, "renewed before it is refused");
    }
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_silent_pushers_are_not_a_thousand_questions_at_once() {
    let world = world();
    for n in 0..1_000 {
        world.enter(&format!("r{n}"), "alice").await.unwrap();
    }
    for n in 0..500 {
        world.emulator.streams.lock().insert(format!("8525_r{n}_alice"), "active".into());
    }
    world.emulator.most.store(0, Ordering::SeqCst);
    world.emulator.mood(Mood::Slow(Duration::from_millis(50)));
    world.pass(60).await;
    let most = world.emulator.most.load(Ordering::SeqCst);
    assert!(most <= 16 + 32, "{most} at a time: questions and notifications");
    assert_eq!(world.rooms.count(), 500, "who pushes stays, who does not goes");
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn in_any_doubt_nobody_is_removed() {
    let world = world();
    let streams: Vec<StreamId> = (0..100).map(|n| stream_of("r", &format!("u{n}"))).collect();
    let now = world.clock.now();
    for mood in [
        Mood::Slow(Duration::from_secs(20)),
        Mood::Resets,
        Mood::Fails,
        Mood::WrongJson,
        Mood::Html,
        Mood::Partial,
        Mood::Limited,
        Mood::Disbelieves,
        Mood::Down,
    ] {
        world.emulator.mood(mood);
        let begun = Instant::now();
        let said = world.live.pushing(&streams, now).await.unwrap();
        assert_eq!(said, vec![Pushing::Unknown; 100], "{mood:?}");
        assert!(begun.elapsed() <= Duration::from_millis(5_050), "{mood:?}: {:?}", begun.elapsed());
        world.pass(5).await;
    }
    world.emulator.mood(Mood::Well);
    world.pass(5).await;
    // The clock of one of us is wrong: that is doubt as well.
    world.emulator.skew.store(400, Ordering::SeqCst);
    assert_eq!(world.live.pushing(&streams[..1], now).await.unwrap(), [Pushing::Unknown]);
    world.emulator.skew.store(0, Ordering::SeqCst);
    world.pass(5).await;
    // One question finds out that it is back, then all are asked.
    assert_eq!(world.live.pushing(&streams[..1], now).await.unwrap(), [Pushing::No]);
    world.emulator.streams.lock().insert(streams[0].to_string(), "active".into());
    world.emulator.streams.lock().insert(streams[1].to_string(), "forbid".into());
    world.emulator.streams.lock().insert(streams[2].to_string(), "somehow".into());
    let said = world.live.pushing(&streams[..4], now).await.unwrap();
    assert_eq!(said, [Pushing::Yes, Pushing::No, Pushing::Unknown, Pushing::No]);
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn silence_is_bounded_too() {
    let begun = Instant::now();
    let world = world_of(&settings(), Emulator::new(|| 0), Silent, begun);
    let made = world.rooms.create(Kind::Live, Some(&room("r")), "", &user("alice")).await;
    assert!(matches!(made, Err(Error::NoGroup(_))));
    assert!(begun.elapsed() <= Duration::from_millis(2_050));
    let streams: Vec<StreamId> = (0..100).map(|n| stream_of("r", &format!("u{n}"))).collect();
    let begun = Instant::now();
    let said = world.live.pushing(&streams, world.clock.now()).await.unwrap();
    assert_eq!(said, vec![Pushing::Unknown; 100]);
    assert!(begun.elapsed() <= Duration::from_millis(5_050));
}

#[tokio::test(start_paused = true)]
async fn mixes_wait_for_their_inputs_and_keep_their_numbers() {
    let world = world();
    let streams = [stream_of("r", "a"), stream_of("r", "b")];
    let input =
        |stream: &StreamId, layer| json!({ "input_stream_id": stream, "layout_params": { "image_layer": layer } });
    let params = json!({ "interface": { "para": {
        "app_id": "1400000000", "interface": "mix_streamv2.start_mix_stream_advanced",
        "mix_stream_session_id": streams[0], "output_stream_id": streams[0],
        "input_stream_list": [input(&streams[0], 1), input(&streams[1], 2)] } } });
    world.emulator.errors.lock().push(("InvalidParameter.OtherError", "code: -505"));
    let begun = Instant::now();
    let outcome = world.live.mix(&params, &streams).await.unwrap();
    assert_eq!((outcome.code, outcome.message.as_str()), (0, "Success!"));
    assert!(begun.elapsed() >= Duration::from_secs(1), "tried again when the input was there");
    world.emulator.errors.lock().extend([("InvalidParameter.OtherError", "code: -505"); 5]);
    assert_eq!(world.live.mix(&params, &streams).await.unwrap().code, -505);
    world.emulator.errors.lock().clear();
    world.emulator.mood(Mood::Html);
    assert_eq!(world.live.mix(&params, &streams).await.unwrap().code, -10031);
    world.emulator.mood(Mood::Well);
    world.live.forbid_stream(&streams[0], 3600, "because").await.unwrap();
    let until = world.emulator.bodies.lock().last().unwrap()["ResumeTime"].to_string();
    assert!(until.starts_with("\"2023-11-14T23:13:2") && until.ends_with("Z\""), "{until}");
    assert_eq!(world.live.pushing(&streams[..1], world.clock.now()).await.unwrap(), [Pushing::No]);
    world.live.resume_stream(&streams[0]).await.unwrap();
    world.live.drop_stream(&streams[0]).await.unwrap();
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn who_is_seen_to_vanish_is_asked_about_at_once() {
    let world = world();
    for who in ["alice", "bob", "carol"] {
        world.enter("r", who).await.unwrap();
        world.emulator.streams.lock().insert(format!("8525_r_{who}"), "active".into());
    }
    world.rooms.add_viewer(&room("r"), &user("viewer"), "").await.unwrap();
    world.pass(2).await;
    let called = |command: &'static str, body: serde_json::Value, token: &'static str| {
        let (world, t) = (&world, world.clock.now().secs());
        async move {
            let sign = callback::sign_webhook(&Secret::from(token), t);
            let query = format!("SdkAppid={APP}&CallbackCommand={command}&RequestTime={t}&Sign={sign}");
            let (query, body) = (Query::parse(&query).unwrap(), body.to_string());
            world.clouds.chat_called(&query, body.as_bytes(), &world.rooms, world.clock.now()).await
        }
    };
    let exit = |who: &str| {
        json!({ "CallbackCommand": "Group.CallbackAfterMemberExit", "GroupId": "r",
            "ExitMemberList": [{ "Member_Account": who }] })
    };
    const EXIT: &str = "Group.CallbackAfterMemberExit";
    world.emulator.streams.lock().remove("8525_r_bob");
    called(EXIT, exit("bob"), "forged").await.unwrap_err();
    world.pass(1).await;
    assert_eq!(world.pushers("r").await.len(), 3, "nobody believes that");
    for who in ["alice", "bob", "bob", "viewer"] {
        called(EXIT, exit(who), "callback token").await.unwrap();
    }
    world.pass(1).await;
    assert_eq!(world.pushers("r").await, ["alice", "carol"], "who still pushes stays");
    assert_eq!(world.rooms.viewers(&room("r")).await.unwrap().count, 0);
    world.emulator.streams.lock().remove("8525_r_carol");
    let gone = json!({ "CallbackCommand": "State.StateChange", "EventTime": world.clock.now().0,
        "Info": { "Action": "Disconnect", "To_Account": "carol", "Reason": "TimeOut" } });
    called("State.StateChange", gone, "callback token").await.unwrap();
    world.pass(1).await;
    assert_eq!(world.pushers("r").await, ["alice"]);
    // The live service says that a push ended; the question decides.
    let t = world.clock.now().secs() + 600;
    let mut ended = json!({ "t": t, "sign": callback::sign_live(&Secret::from("callback key"), t), "event_type": 0,
        "stream_id": "8525_r_alice", "event_time": world.clock.now().secs(), "sequence": "1" });
    let body = ended.to_string();
    world.clouds.live_called(body.as_bytes(), &world.rooms, world.clock.now()).await.unwrap();
    world.pass(1).await;
    assert_eq!(world.pushers("r").await, ["alice"], "still active");
    world.emulator.streams.lock().remove("8525_r_alice");
    ended["sequence"] = "2".into();
    ended["event_time"] = world.clock.now().secs().into();
    let body = ended.to_string();
    world.clouds.live_called(body.as_bytes(), &world.rooms, world.clock.now()).await.unwrap();
    world.pass(1).await;
    assert_eq!(world.rooms.count(), 0);
    ended["sign"] = "00000000000000000000000000000000".into();
    let forged = ended.to_string();
    world.clouds.live_called(forged.as_bytes(), &world.rooms, world.clock.now()).await.unwrap_err();
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_just_begun_is_not_thought_gone() {
    let world = world();
    let (stream, now) = (stream_of("r", "alice"), world.clock.now());
    let t = now.secs() + 600;
    let began = json!({ "t": t, "sign": callback::sign_live(&Secret::from("callback key"), t), "event_type": 1,
        "stream_id": stream, "event_time": now.secs(), "sequence": "9" });
    let body = began.to_string();
    world.clouds.live_called(body.as_bytes(), &world.rooms, now).await.unwrap();
    let one = std::slice::from_ref(&stream);
    assert_eq!(world.live.pushing(one, now).await.unwrap(), [Pushing::Unknown]);
    assert_eq!(world.live.pushing(one, now.plus(31_000)).await.unwrap(), [Pushing::No]);
}

#[tokio::test(start_paused = true)]
async fn wrong_settings_are_named() {
    let begun = Instant::now();
    let check = |change: fn(&mut Settings)| async move {
        let emulator = Emulator::new(move || START / 1000 + begun.elapsed().as_secs());
        let mut settings = settings();
        change(&mut settings);
        let found = world_of(&settings, emulator.clone(), Inside(emulator), begun).clouds.check().await;
        found.live.iter().chain(&found.im).map(|f| f.setting.clone()).collect::<Vec<_>>()
    };
    assert_eq!(check(|_| {}).await, Vec::<String>::new());
    assert_eq!(check(|s| s.im.sdk_app_id = 1).await, ["im.sdkAppID"]);
    assert_eq!(check(|s| s.im.administrator = "bob".into()).await, ["im.administrator"]);
    assert_eq!(check(|s| s.im.secret_key = Hidden::new("another secret of mine")).await, ["im.secretKey"]);
    assert_eq!(check(|s| s.live.tencent.secret_id = "AKID".into()).await, ["live.tencent.secretId"]);
    assert_eq!(check(|s| s.live.tencent.secret_key = Hidden::new("x")).await, ["live.tencent.secretKey"]);
    let away = world_of(&settings(), Emulator::new(|| 0), Silent, begun).clouds.check().await;
    assert_eq!(away.live[0].setting, "live.tencent.host");
    assert_eq!(away.im[0].setting, "chat.tencent.host");
    assert_eq!(ADMINISTRATOR, settings().im.administrator);
}

#[tokio::test]
async fn over_real_sockets_too() {
    let emulator = Emulator::new(|| roomservice::clock::System.now().secs());
    let base = emulator.listen().await;
    let mut settings = settings();
    settings.chat.tencent.host = base.clone();
    settings.live.tencent.host = base;
    let clock = Arc::new(roomservice::clock::System);
    let rest = Rest::of(&settings, Client::default(), clock.clone()).unwrap();
    let within = Duration::from_secs(30);
    for _ in 0..3 {
        rest.create_group("g", within).await.unwrap();
    }
    let live = live::Tencent::new(&settings.live, Client::default(), clock.clone());
    assert_eq!(live.pushing(&[stream_of("r", "a")], clock.now()).await.unwrap(), [Pushing::No]);
    assert_eq!(emulator.connections.load(Ordering::SeqCst), 2, "one for each client");
    emulator.mood(Mood::Partial);
    assert!(matches!(rest.online("g", within).await, Err(Trouble::Away(_))));
    emulator.mood(Mood::Well);
    assert_eq!(rest.online("g", within).await, Ok(7), "a broken answer spoils only its own connection");
    emulator.faultless();
}
