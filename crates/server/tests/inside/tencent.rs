//! Rooms whose chat and live service are Tencent's, emulated: right whatever the services do, quick
//! though they are slow, and everybody told in order once they are back. Time is wound.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::emulator::{
    ADMINISTRATOR, API_KEY, APP, APP_ID, Emulator, Inside, Mood, SECRET, SECRET_ID, SECRET_KEY, Silent,
};
use access::bans::Bans;
use chat::Remote;
use outbound::{Client, Dial};
use room::pushers::NewPusher;
use room::sweep::Pushing;
use room::{Kind, LeaveReason, Millis, RoomId, StreamId, UserId};
use rooms::sweeper::Sweeper;
use rooms::{self, Rooms};
use roomservice::config::Settings;
use serde_json::{Value, json};
use sign::stream_url::Query;
use sign::{Invalid, Secret, callback};
use store::clock::{Clock, Manual};
use store::error::Error;
use store::{History, Journal, Memory, Store};
use streams::live::Version;
use streams::live::{self, Live, Mixable};
use tencent::clouds::{Clouds, Taken};
use tencent::im::rest::{Rest, Trouble, Words};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

const START: u64 = 1_700_000_000_000;

/// The wall clock, wound together with tokio's.
struct Wound(Instant);

impl Clock for Wound {
    fn now(&self) -> Millis {
        Millis(START + u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }

    fn steady(&self) -> Millis {
        self.now()
    }
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.im.sdk_app_id = APP;
    settings.im.secret_key = Secret::new(SECRET);
    settings.chat.provider = chat::Provider::Tencent;
    settings.chat.tencent.callback_token = Secret::new("callback token");
    settings.live.provider = live::Provider::Tencent;
    settings.live.bizid = 8525;
    settings.live.push_secret_key = Secret::new("push key");
    settings.live.tencent.secret_id = SECRET_ID.into();
    settings.live.tencent.secret_key = Secret::new(SECRET_KEY);
    settings.live.tencent.callback_key = Secret::new("callback key");
    settings
}

struct World {
    emulator: Arc<Emulator>,
    rooms: Arc<Rooms>,
    bans: Bans,
    chat: Arc<tencent::im::ChatService>,
    live: Arc<tencent::live::LiveService>,
    clouds: Clouds,
    clock: Arc<dyn Clock>,
    /// Ends with the world.
    _tasks: JoinSet<()>,
}

fn world() -> World {
    world_with(|_| {})
}

/// With other settings.
fn world_with(change: impl FnOnce(&mut Settings)) -> World {
    let begun = Instant::now();
    let emulator = Emulator::new(move || (START + u64::try_from(begun.elapsed().as_millis()).unwrap()) / 1000);
    let mut settings = settings();
    change(&mut settings);
    world_of(&settings, emulator.clone(), Inside(emulator), begun)
}

fn world_of(settings: &Settings, emulator: Arc<Emulator>, dial: impl Dial, begun: Instant) -> World {
    let rules = Arc::new(settings.rooms.rules());
    let (outbox, committed) = mpsc::unbounded_channel();
    let store = Arc::new(Memory::new(rules, outbox));
    put_together(settings, emulator, dial, Arc::new(Wound(begun)), store, None, committed)
}

fn speak_old(settings: &mut Settings) {
    settings.live.tencent.api = Version::Old;
    settings.live.tencent.app_id = APP_ID;
    settings.live.tencent.api_key = Secret::new(API_KEY);
}

/// With rooms on disk. A disk takes its time, and time that is wound by the runtime flies meanwhile: the wall clock is
/// wound by hand.
fn kept_in(dir: &Path, emulator: Arc<Emulator>, clock: &Arc<Manual>) -> World {
    let settings = settings();
    let (outbox, committed) = mpsc::unbounded_channel();
    let journal = Journal::open(dir, true, Arc::new(settings.rooms.rules()), outbox, clock.now());
    let journal = Arc::new(journal.unwrap());
    let history: Arc<dyn History> = journal.clone();
    put_together(&settings, emulator.clone(), Inside(emulator), clock.clone(), journal, Some(history), committed)
}

fn put_together(
    settings: &Settings,
    emulator: Arc<Emulator>,
    dial: impl Dial,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    history: Option<Arc<dyn History>>,
    committed: mpsc::UnboundedReceiver<Vec<room::Event>>,
) -> World {
    let client = Client::new(dial);
    let rules = Arc::new(settings.rooms.rules());
    let live = Arc::new(tencent::live::LiveService::new(&settings.live, client.clone(), clock.clone()));
    let rest = Rest::of(&settings.im, &settings.chat.tencent, client, clock.clone()).unwrap();
    let (chat, work) = tencent::im::ChatService::new(rest, store.clone(), history.is_some());
    let rooms = Rooms::new(store.clone(), chat.clone(), clock.clone(), rules.clone());
    let rooms = Arc::new(rooms.recording(None, settings.live.bizid).with_chat_elsewhere());
    let clouds = Clouds::new(settings.clouds(), Some(chat.clone()), Some(live.clone()));
    let clouds = match &history {
        Some(history) => clouds.noting(history.clone(), store.clone()),
        None => clouds,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(rooms::carry(committed, chat.clone()));
    tasks.spawn(work.run());
    tasks.spawn(rooms.clone().keep_presence(None));
    if let Some(history) = history {
        tasks.spawn(tencent::im::Follower::new(chat.clone(), history, clock.clone()).run());
    }
    tasks.spawn(Sweeper::new(store, live.clone(), clock.clone(), rules).run());
    World { emulator, rooms, bans: Bans::default(), chat, live, clouds, clock, _tasks: tasks }
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
        let room = room(id);
        let user = user(who);
        let stream = stream_of(id, who);
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
    /// The chat service calls.
    async fn called(&self, command: &str, body: Value, token: &str) -> Result<Taken, Invalid> {
        let t = self.clock.now().secs();
        let sign = callback::sign_webhook(&Secret::from(token), t);
        let query = format!("SdkAppid={APP}&CallbackCommand={command}&RequestTime={t}&Sign={sign}");
        let query = Query::parse(&query).unwrap();
        let now = self.clock.now();
        self.clouds.chat_called(&query, body.to_string().as_bytes(), &self.rooms, &self.bans, now).await
    }
    /// It says that a viewer of a room became `Offline` or `Online` at this time; none: it says no time.
    async fn is(&self, state: &str, who: &str, at: Option<Millis>) {
        const COMMAND: &str = "Group.CallbackOnMemberStateChange";
        let mut body = json!({ "CallbackCommand": COMMAND, "GroupId": "r", "EventType": state,
            "MemberList": [{ "Member_Account": who }] });
        if let Some(at) = at {
            body["EventTime"] = at.0.to_string().into();
        }
        assert_eq!(self.called(COMMAND, body, "callback token").await, Ok(Taken::Done));
    }
    async fn viewers(&self) -> Vec<String> {
        let viewers = self.rooms.viewers(&room("r")).await.unwrap();
        viewers.listed.iter().map(|viewer| viewer.user.to_string()).collect()
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
            world.rooms.heartbeat(Kind::Live, &room("r"), &user("alice")).await.unwrap();
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
        world.rooms.heartbeat(Kind::Live, &room("r"), &user("alice")).await.unwrap();
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
    // Whoever is silent together is asked about together: some by one, then all by a list every ten seconds.
    let questions =
        world.emulator.count("DescribeLiveStreamOnlineList") + world.emulator.count("DescribeLiveStreamState");
    assert!((1..=6 * 33).contains(&questions), "{questions} questions in a minute");
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

fn of_room(streams: &[StreamId]) -> Mixable {
    Mixable { room: streams.to_vec(), partners: Vec::new() }
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
    let outcome = world.live.mix(&params, &of_room(&streams)).await.unwrap();
    assert_eq!((outcome.code, outcome.message.as_str()), (0, "Success!"));
    assert!(begun.elapsed() >= Duration::from_secs(1), "tried again when the input was there");
    world.emulator.errors.lock().extend([("InvalidParameter.OtherError", "code: -505"); 5]);
    assert_eq!(world.live.mix(&params, &of_room(&streams)).await.unwrap().code, -505);
    world.emulator.errors.lock().clear();
    // What the service says of itself passes as well: no size yet, could not just now.
    for (code, message) in [
        ("FailedOperation.GetStreamResolutionError", "code: -507"),
        ("InternalError", "code: -10031"),
        ("RequestLimitExceeded", "too many"),
    ] {
        world.emulator.errors.lock().push((code, message));
        let outcome = world.live.mix(&params, &of_room(&streams)).await.unwrap();
        assert_eq!((outcome.code, outcome.message.as_str()), (0, "Success!"), "{code}");
    }
    // What no waiting mends is said at once.
    world.emulator.errors.lock().push(("AuthFailure.SignatureFailure", "wrong"));
    let begun = Instant::now();
    assert_eq!(world.live.mix(&params, &of_room(&streams)).await.unwrap().code, -10031);
    assert!(begun.elapsed() < Duration::from_secs(1));
    world.emulator.mood(Mood::Html);
    assert_eq!(world.live.mix(&params, &of_room(&streams)).await.unwrap().code, -10031);
    // An end whose answer was lost is no error the second time.
    world.emulator.mood(Mood::Partial);
    let mut end = params.clone();
    end["interface"]["para"]["interface"] = "mix_streamv2.cancel_mix_stream".into();
    let ended = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.emulator.errors.lock().push(("InvalidParameter.CancelSessionNotExist", "code: -30300"));
        world.emulator.mood(Mood::Well);
    };
    let ours = of_room(&streams);
    let (outcome, ()) = tokio::join!(world.live.mix(&end, &ours), ended);
    assert_eq!(outcome.unwrap().code, 0);
    world.emulator.mood(Mood::Well);
    world.live.forbid_stream(&streams[0], 3600, "because").await.unwrap();
    let until = world.emulator.bodies.lock().last().unwrap()["ResumeTime"].to_string();
    assert!(until.starts_with("\"2023-11-14T23:13:") && until.ends_with("Z\""), "{until}");
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
    let called = |command, body, token| world.called(command, body, token);
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
async fn a_viewer_who_is_away_for_a_moment_stays() {
    let world = world();
    world.enter("r", "alice").await.unwrap();
    world.emulator.streams.lock().insert("8525_r_alice".into(), "active".into());
    let enter = async |who: &str| world.rooms.add_viewer(&room("r"), &user(who), "").await.unwrap();
    for who in ["back", "gone", "again", "late"] {
        enter(who).await;
    }
    world.pass(20).await;
    let before = world.clock.now();
    for who in ["back", "gone", "again"] {
        world.is("Offline", who, None).await;
    }
    world.pass(20).await;
    assert_eq!(world.viewers().await, ["back", "gone", "again", "late"], "each has a moment");
    world.is("Online", "back", None).await;
    enter("again").await;
    enter("late").await;
    // What is told again, or late, is about what was before.
    world.is("Offline", "gone", None).await;
    world.is("Offline", "late", Some(before)).await;
    let left = json!({ "CallbackCommand": "Group.CallbackAfterMemberExit", "GroupId": "r",
        "ExitMemberList": [{ "Member_Account": "late" }], "EventTime": before.0.to_string() });
    world.called("Group.CallbackAfterMemberExit", left, "callback token").await.unwrap();
    world.pass(30).await;
    assert_eq!(world.viewers().await, ["back", "again", "late"]);
    // Who vanishes once more has the same time once more.
    world.is("Offline", "back", None).await;
    world.pass(40).await;
    assert_eq!(world.viewers().await.len(), 3);
    world.pass(10).await;
    assert_eq!(world.viewers().await, ["again", "late"]);
    // A moment too late it is a viewer again all the same.
    world.is("Online", "back", None).await;
    assert_eq!(world.viewers().await, ["again", "late", "back"]);
    assert_eq!(world.pushers("r").await, ["alice"]);
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_told_to_the_chat_again_until_it_is_heard() {
    let world = world();
    world.enter("r", "alice").await.unwrap();
    world.emulator.streams.lock().insert("8525_r_alice".into(), "active".into());
    world.pass(1).await;
    world.emulator.mood(Mood::Down);
    let begun = Instant::now();
    let until = |seconds: u64| world.clock.now().plus(seconds * 1000);
    let silence = |who: &str, until| world.chat.silence(&room("r"), &user(who), until);
    silence("bob", until(60));
    silence("carol", until(5));
    silence("bob", until(3600));
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for it");
    world.pass(20).await;
    assert_eq!(world.emulator.count("forbid_send_msg"), 0);
    world.emulator.mood(Mood::Well);
    world.pass(60).await;
    let bodies: Vec<Value> =
        world.emulator.bodies.lock().iter().filter(|body| body.get("MuteTime").is_some()).cloned().collect();
    assert_eq!(bodies.len(), 1, "the last word about bob, and none about carol, whose time is over: {bodies:?}");
    assert_eq!(bodies[0]["Members_Account"], json!(["bob"]));
    let left = bodies[0]["MuteTime"].as_u64().unwrap();
    assert!((3500..=3580).contains(&left), "what is left of the hour: {left}");
    silence("bob", Millis(0));
    world.pass(1).await;
    assert_eq!(world.emulator.bodies.lock().last().unwrap()["MuteTime"], 0);
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn the_chat_service_hears_who_is_banned_when_it_asks() {
    let world = world();
    let now = world.clock.now();
    let ban = |who: &str, of: Option<&str>, seconds: u64| store::Ban {
        user: user(who),
        room: of.map(room),
        until: now.plus(seconds * 1000),
        at: now,
        streams: Vec::new(),
        reason: "".into(),
        kick: false,
    };
    world.bans.take(vec![ban("here", Some("r"), 60), ban("all", None, 60)], now);
    let asks = async |command: &str, key: &str, who: &str, group: &str| {
        let body = json!({ "CallbackCommand": command, "GroupId": group, "Type": "AVChatRoom", key: who,
            "EventTime": world.clock.now().0.to_string() });
        world.called(command, body, "callback token").await.unwrap()
    };
    for (command, key) in
        [("Group.CallbackBeforeSendMsg", "From_Account"), ("Group.CallbackBeforeApplyJoinGroup", "Requestor_Account")]
    {
        assert_eq!(asks(command, key, "here", "r").await, Taken::Refused);
        assert_eq!(asks(command, key, "here", "other").await, Taken::Done, "it is banned elsewhere");
        assert_eq!(asks(command, key, "all", "other").await, Taken::Refused);
        assert_eq!(asks(command, key, "alice", "r").await, Taken::Done);
    }
    assert_eq!(asks("C2C.CallbackBeforeSendMsg", "From_Account", "all", "").await, Taken::Refused);
    world.pass(61).await;
    assert_eq!(asks("Group.CallbackBeforeSendMsg", "From_Account", "here", "r").await, Taken::Done, "it is over");
}

#[tokio::test]
async fn what_happens_to_streams_is_in_the_record_once() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Manual::at(Millis(START)));
    let time = clock.clone();
    let emulator = Emulator::new(move || time.now().secs());
    let world = kept_in(dir.path(), emulator.clone(), &clock);
    let said = async |world: &World, kind: u8, sequence: &str, more: Value| {
        let now = world.clock.now();
        let t = now.secs() + 600;
        let mut body = json!({ "t": t, "sign": callback::sign_live(&Secret::from("callback key"), t),
            "event_type": kind, "stream_id": "8525_r_alice", "event_time": now.secs(), "sequence": sequence });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.clouds.live_called(body.to_string().as_bytes(), &world.rooms, now).await
    };
    let file = json!({ "file_id": "5285", "video_url": "https://v.example.com/x.mp4", "duration": 61,
        "end_time": START / 1000, "file_size": 9 });
    let ended = json!({ "errcode": 1, "errmsg": "The push client actively stopped the push" });
    for _ in 0..2 {
        assert_eq!(said(&world, 1, "7", json!({})).await, Ok(Taken::Done));
    }
    // It is told again after a restart too, and late.
    gone(world, dir.path()).await;
    let world = kept_in(dir.path(), emulator.clone(), &clock);
    clock.pass(60_000);
    for (kind, sequence, more) in [
        (1, "7", json!({})),
        (0, "7", ended.clone()),
        (0, "7", ended),
        (1, "7", json!({})),
        (100, "7", file.clone()),
        (100, "7", file),
    ] {
        assert_eq!(said(&world, kind, sequence, more).await, Ok(Taken::Done));
    }
    assert_eq!(said(&world, 1, "8", json!({})).await, Ok(Taken::Done));
    assert_eq!(said(&world, 1, "9", json!({ "stream_id": "somebody_elses" })).await, Ok(Taken::Done));
    gone(world, dir.path()).await;

    let (outbox, _) = mpsc::unbounded_channel();
    let journal = Journal::open(dir.path(), true, Arc::default(), outbox, clock.now()).unwrap();
    let entries = journal.after(0, "0", 100).await.unwrap();
    let notes: Vec<store::Note> = entries
        .into_iter()
        .flat_map(|entry| entry.news)
        .filter_map(|news| match news {
            store::News::Note(note) => Some(note),
            store::News::Room(_) => None,
        })
        .collect();
    let names: Vec<&str> = notes.iter().map(|note| &*note.event).collect();
    assert_eq!(names, ["stream_started", "stream_ended", "record_ready", "stream_started"]);
    assert!(notes.iter().all(|note| note.room == Some(room("r")) && note.data["userID"] == "alice"));
    assert!(notes.iter().all(|note| note.data["streamID"] == "8525_r_alice"));
    assert_eq!((notes[0].at, notes[1].at), (Millis(START), Millis(START + 60_000)));
    assert_eq!(notes[1].data["reason"], "The push client actively stopped the push");
    let ready = &notes[2].data;
    assert_eq!(
        (&ready["url"], &ready["seconds"], &ready["size"], &ready["started"]),
        (&json!("https://v.example.com/x.mp4"), &json!(61.0), &json!(9), &json!(START - 61_000))
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_just_begun_is_not_thought_gone() {
    let world = world();
    let stream = stream_of("r", "alice");
    let now = world.clock.now();
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
    async fn named(change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let world = world_with(change);
        world.emulator.domains.lock().push("8525.livepush.myqcloud.com".into());
        let found = world.clouds.check().await;
        found.live.iter().chain(&found.im).map(|f| f.setting.clone()).collect()
    }
    assert_eq!(named(|_| {}).await, Vec::<String>::new());
    assert_eq!(named(|s| s.im.sdk_app_id = 1).await, ["im.sdkAppID"]);
    assert_eq!(named(|s| s.im.administrator = "bob".into()).await, ["im.administrator"]);
    assert_eq!(named(|s| s.im.secret_key = Secret::new("another secret of mine")).await, ["im.secretKey"]);
    assert_eq!(named(|s| s.live.tencent.secret_id = "AKID".into()).await, ["live.tencent.secretId"]);
    assert_eq!(named(|s| s.live.tencent.secret_key = Secret::new("x")).await, ["live.tencent.secretKey"]);
    assert_eq!(named(|s| s.live.push_host = "push.elsewhere.example".into()).await, ["live.pushHost"]);
    assert_eq!(named(speak_old).await, Vec::<String>::new());
    let old = |wrong: fn(&mut Settings)| {
        move |s: &mut Settings| {
            speak_old(s);
            wrong(s);
        }
    };
    assert_eq!(named(old(|s| s.live.tencent.app_id = 7)).await, ["live.tencent.appID"]);
    assert_eq!(named(old(|s| s.live.tencent.api_key = Secret::new("x"))).await, ["live.tencent.APIKey"]);
    // Several at once are all named.
    let both = |s: &mut Settings| {
        s.im.sdk_app_id = 1;
        s.live.tencent.secret_id = "AKID".into();
    };
    assert_eq!(named(both).await, ["live.tencent.secretId", "im.sdkAppID"]);
    let away = world_of(&settings(), Emulator::new(|| 0), Silent, Instant::now()).clouds.check().await;
    assert_eq!(away.live[0].setting, "live.tencent.host");
    assert_eq!(away.im[0].setting, "chat.tencent.host");
    assert_eq!(ADMINISTRATOR, settings().im.administrator);
}

#[tokio::test]
async fn over_real_sockets_too() {
    let emulator = Emulator::new(|| store::clock::System.now().secs());
    let base = emulator.listen().await;
    let mut settings = settings();
    settings.chat.tencent.host = base.clone();
    settings.live.tencent.host = base;
    let clock = Arc::new(store::clock::System);
    let rest = Rest::of(&settings.im, &settings.chat.tencent, Client::default(), clock.clone()).unwrap();
    let within = Duration::from_secs(30);
    for _ in 0..3 {
        rest.create_group("g", within).await.unwrap();
    }
    let live = tencent::live::LiveService::new(&settings.live, Client::default(), clock.clone());
    assert_eq!(live.pushing(&[stream_of("r", "a")], clock.now()).await.unwrap(), [Pushing::No]);
    assert_eq!(emulator.connections.load(Ordering::SeqCst), 2, "one for each client");
    emulator.mood(Mood::Partial);
    assert!(matches!(rest.online("g", within).await, Err(Trouble::Away(_))));
    emulator.mood(Mood::Well);
    assert_eq!(rest.online("g", within).await, Ok(7), "a broken answer spoils only its own connection");
    emulator.faultless();
}

/// Every way in which a service can fail, and the clock of one of us being wrong.
const FAULTS: [Mood; 10] = [
    Mood::Slow(Duration::from_secs(60)),
    Mood::Resets,
    Mood::Fails,
    Mood::WrongJson,
    Mood::Html,
    Mood::Partial,
    Mood::Limited,
    Mood::Disbelieves,
    Mood::Down,
    Mood::Well,
];

#[tokio::test(start_paused = true)]
async fn every_chat_call_fails_in_time_and_says_how() {
    let world = world();
    let rest = world.chat.rest();
    let within = Duration::from_secs(4);
    rest.create_group("g", within).await.unwrap();
    for mood in FAULTS {
        world.emulator.mood(mood);
        if mood == Mood::Well {
            // The signature that is held is old by their clock, a fresh one is too.
            world.emulator.skew.store(48 * 3600, Ordering::SeqCst);
        }
        for call in 0..7 {
            let begun = Instant::now();
            let bob = user("bob");
            let said = match call {
                0 => rest.create_group("new", within).await,
                1 => rest.destroy_group("g", within).await,
                2 => rest.notify("g", tencent::im::rest::NOTICE, within).await,
                3 => rest.say("g", None, Words::Text("hello"), 1, within).await,
                4 => rest.say_to(&bob, None, Words::Custom("{}"), 1, within).await,
                5 => rest.online("g", within).await.map(drop),
                _ => rest.check(within).await,
            };
            assert!(begun.elapsed() <= within + Duration::from_millis(5), "{mood:?} {call}: {:?}", begun.elapsed());
            let trouble = said.unwrap_err();
            let expected = match mood {
                Mood::Limited => Trouble::Said(60_007),
                Mood::Disbelieves => Trouble::Said(70_009),
                Mood::Well => Trouble::Said(70_001),
                _ => {
                    assert!(matches!(trouble, Trouble::Away(_)), "{mood:?} {call}: {trouble}");
                    continue;
                }
            };
            assert_eq!(trouble, expected, "{mood:?} {call}");
        }
    }
    world.emulator.skew.store(0, Ordering::SeqCst);
    rest.create_group("g", within).await.unwrap();
    assert_eq!(rest.online("g", within).await, Ok(7), "and all is well again");
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn every_live_call_fails_in_time_and_says_how() {
    for old in [false, true] {
        let world = if old { world_with(speak_old) } else { world() };
        let live = &world.live;
        let streams = [stream_of("r", "a"), stream_of("r", "b")];
        let inputs = streams
            .each_ref()
            .map(|stream| json!({ "input_stream_id": stream, "layout_params": { "image_layer": 1 } }));
        let mix = |interface: &str| {
            json!({ "interface": { "para": { "app_id": "1400000000", "interface": interface,
            "mix_stream_session_id": streams[0], "output_stream_id": streams[0], "input_stream_list": inputs } } })
        };
        for mood in FAULTS {
            world.emulator.mood(mood);
            if mood == Mood::Well {
                world.emulator.skew.store(3600, Ordering::SeqCst);
            }
            macro_rules! fails {
                ($what:literal, $most:literal, $call:expr) => {{
                    let begun = Instant::now();
                    let said = $call.await;
                    assert!(said, "{} went well: {mood:?}, old: {old}", $what);
                    assert!(begun.elapsed() <= Duration::from_millis($most), "{}: {mood:?}", $what);
                }};
            }
            let now = world.clock.now();
            fails!("state", 5_050, async { live.pushing(&streams[..1], now).await.unwrap() == [Pushing::Unknown] });
            fails!("drop", 5_050, async { live.drop_stream(&streams[0]).await.is_err() });
            fails!("forbid", 5_050, async { live.forbid_stream(&streams[0], 60, "").await.is_err() });
            fails!("resume", 5_050, async { live.resume_stream(&streams[0]).await.is_err() });
            for interface in ["mix_streamv2.start_mix_stream_advanced", "mix_streamv2.cancel_mix_stream"] {
                fails!("mix", 8_050, async {
                    live.mix(&mix(interface), &of_room(&streams)).await.unwrap().code == -10_031
                });
            }
            fails!("check", 5_050, async {
                // Too many calls blame no setting of ours; everything else is named.
                live.check().await.is_some() || mood == Mood::Limited
            });
            world.pass(5).await;
        }
        world.emulator.skew.store(0, Ordering::SeqCst);
        assert_eq!(live.pushing(&streams[..1], world.clock.now()).await.unwrap(), [Pushing::No]);
        world.emulator.faultless();
    }
}

#[tokio::test(start_paused = true)]
async fn the_retired_api_still_works_for_who_has_it() {
    let world = world_with(speak_old);
    for who in ["alice", "bob"] {
        world.enter("r", who).await.unwrap();
    }
    let streams = [stream_of("r", "alice"), stream_of("r", "bob")];
    world.emulator.streams.lock().insert(streams[0].to_string(), "active".into());
    world.emulator.streams.lock().insert(streams[1].to_string(), "inactive".into());
    world.pass(25).await;
    assert_eq!(world.pushers("r").await, ["alice"], "who does not push goes");

    let input =
        |stream: &StreamId, layer| json!({ "input_stream_id": stream, "layout_params": { "image_layer": layer } });
    let mut params = json!({ "timestamp": 1, "eventId": 1, "interface": { "interfaceName": "Mix_StreamV2", "para": {
        "app_id": "1400000000", "interface": "mix_streamv2.start_mix_stream_advanced",
        "mix_stream_session_id": streams[0], "output_stream_id": streams[0],
        "input_stream_list": [input(&streams[0], 1), input(&streams[1], 2)] } } });
    world.emulator.errors.lock().push(("-505", "not there yet"));
    let said = world.live.mix(&params, &of_room(&streams)).await.unwrap();
    assert_eq!((said.code, said.message.as_str()), (0, "Success!"), "tried again until the input was there");
    let sent = world.emulator.bodies.lock().last().unwrap()["interface"]["para"].clone();
    assert_eq!((&sent["app_id"], &sent["mix_stream_session_id"]), (&json!(APP_ID), &json!(streams[0])));
    // Sessions belong to the whole account: nobody gets at one of another room.
    params["interface"]["para"]["mix_stream_session_id"] = "8525_other_eve".into();
    assert_eq!(world.live.mix(&params, &of_room(&streams)).await.unwrap().code, 0);
    assert_eq!(
        world.emulator.bodies.lock().last().unwrap()["interface"]["para"]["mix_stream_session_id"],
        json!(streams[0])
    );

    world.live.forbid_stream(&streams[0], 3600, "because").await.unwrap();
    assert_eq!(world.live.pushing(&streams[..1], world.clock.now()).await.unwrap(), [Pushing::No]);
    world.live.resume_stream(&streams[0]).await.unwrap();
    world.live.drop_stream(&streams[0]).await.unwrap();
    assert_eq!(world.emulator.of(streams[0].as_str()).last().map(String::as_str), Some("Live_Channel_SetStatus"));
    world.emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_untold_is_told_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Manual::at(Millis(START)));
    let time = clock.clone();
    let emulator = Emulator::new(move || time.now().secs());
    let notices = |room: &str| emulator.of(room).iter().filter(|what| *what == NOTICE).count();
    let world = kept_in(dir.path(), emulator.clone(), &clock);
    for (room, who) in [("stays", "alice"), ("closes", "bob"), ("quiet", "carol")] {
        world.enter(room, who).await.unwrap();
    }
    until("all hear", || notices("stays") == 1 && notices("closes") == 1 && notices("quiet") == 1).await;
    // Time for it to be noted: what was told in the last second before a crash is told once more.
    world.pass(30).await;
    // The service goes away, rooms go on, and the process is gone.
    emulator.mood(Mood::Down);
    for _ in 0..20 {
        world.enter("stays", "dave").await.unwrap();
        world.leave("stays", "dave").await;
    }
    world.leave("closes", "bob").await;
    until("both wait", || world.chat.pending() == 2).await;
    gone(world, dir.path()).await;

    let world = kept_in(dir.path(), emulator.clone(), &clock);
    until("both wait again", || world.chat.pending() == 2).await;
    emulator.mood(Mood::Well);
    until("nothing waits", || world.chat.pending() == 0).await;
    assert!((2..=17).contains(&notices("stays")), "many changes are few: {:?}", emulator.of("stays"));
    assert_eq!(emulator.of("closes"), ["create_group", NOTICE, "destroy_group"]);
    assert!(!emulator.groups.lock().contains("closes") && emulator.groups.lock().contains("stays"));
    // It is noted that all of it was told: so the next life has nothing to say of it.
    world.pass(30).await;
    gone(world, dir.path()).await;
    let before = emulator.done.lock().len();
    let world = kept_in(dir.path(), emulator.clone(), &clock);
    world.enter("quiet", "dave").await.unwrap();
    until("the next change is told", || notices("quiet") == 2).await;
    assert_eq!(emulator.done.lock().len(), before + 1, "and nothing else");

    // What is older than an hour tells nobody anything; groups are still removed.
    emulator.mood(Mood::Down);
    world.enter("stays", "erin").await.unwrap();
    world.leave("quiet", "carol").await;
    gone(world, dir.path()).await;
    clock.pass(2 * 3600 * 1000);
    emulator.mood(Mood::Well);
    let heard = notices("stays");
    let before = emulator.done.lock().len();
    let world = kept_in(dir.path(), emulator.clone(), &clock);
    until("the group is removed", || emulator.of("quiet").last().is_some_and(|what| what == "destroy_group")).await;
    assert_eq!(notices("stays"), heard);
    assert_eq!(emulator.done.lock().len(), before + 1);
    drop(world);
    emulator.faultless();
}

/// Waits until something is so. The clock on the wall bounds it only if something hangs.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ends a world, as a crash does, and waits until it has let go of its journal.
async fn gone(world: World, dir: &Path) {
    drop(world);
    let held = || {
        let (outbox, _) = mpsc::unbounded_channel();
        Journal::open(dir, true, Arc::default(), outbox, Millis(START)).is_err()
    };
    until("the journal is free", || !held()).await;
}
