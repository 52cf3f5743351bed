//! Several hubs on one real Redis: one order for all, also after they could not hear each other.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use room::pushers::NewPusher;
use room::{Kind, LeaveReason, Rules, StreamId};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use chat::Settings;
use chat::bus::{Bus, Heard, Listener as _, Op};
use chat::close::Close;
use chat::hub::link::{Link, Login};
use chat::hub::*;
use chat::render;
use room::chat::*;
use room::sanctions::Sanction;
use room::{Millis, RoomId, UserId};
use rooms::Rooms;
use rooms::groups::{sanction, with_group};
use store::Target;
use store::clock::{Clock, System};
use testkit::redis::{RedisServer, cluster};

pub struct Node {
    pub hub: Arc<Hub>,
    pub rooms: Arc<Rooms>,
    pub store: Arc<store::Redis>,
    pub bus: JoinHandle<((), ())>,
    presence: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.crash();
    }
}

pub fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

pub fn group(text: &str) -> RoomId {
    RoomId::parse(text).unwrap()
}

fn say(from: &str, text: &str, random: u64) -> Said {
    let body = json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": text}}]);
    Said { from: user(from), nick: None, random: Some(random), body: Body::new(&body.to_string()).unwrap() }
}

pub async fn node(redis: &RedisServer) -> Node {
    node_at(Target::parse(&redis.url(0)).unwrap()).await
}

pub async fn node_at(target: Target) -> Node {
    let clock = Arc::new(System);
    let rules = Arc::new(Rules::default());
    let bus = Arc::new(Bus::new(target.clone(), None));
    let hub = Arc::new(Hub::shared(&Settings::default(), clock.clone(), bus.clone()));
    let (outbox, _) = mpsc::unbounded_channel();
    let store = store::Redis::open(target, rules.clone(), outbox, Some(chat::hub::told)).await;
    let store = Arc::new(store);
    let rooms = Arc::new(Rooms::new(store.clone(), hub.clone(), clock, rules));
    let presence = rooms.clone().keep_presence(Some(hub.clone()));
    let time = hub.clone().run(tokio_util::sync::CancellationToken::new());
    let bus = tokio::spawn(futures_util::future::join(bus.run(hub.clone()), time));
    let presence = tokio::spawn(presence);
    Node { hub, rooms, store, bus, presence }
}

impl Node {
    /// Goes without a word, as a process that was killed.
    pub fn crash(&self) {
        self.bus.abort();
        self.presence.abort();
    }

    pub async fn enter(&self, room: &str, who: &str) {
        let room = group(room);
        let user = user(who);
        let stream = StreamId::parse(who).unwrap();
        let kind = Kind::Multi;
        let name = "";
        let avatar = "";
        let new = NewPusher { room: &room, kind, user: &user, name, avatar, stream: &stream, info: None };
        self.rooms.add_pusher(&new).await.unwrap();
    }

    pub fn connect(&self, who: &str) -> Listener {
        let user = user(who);
        let at = System.now();
        let login = Login { user: &user, session: 1, at, expires: Millis::NEVER };
        let link = self.hub.connect(&login, None, |_| render::frame(&json!({"type": "welcome"}))).unwrap();
        Listener { link, heard: Vec::new(), ended: None }
    }

    pub async fn join(&self, who: &str, room: &str, since: Option<Since>) -> Listener {
        let listener = self.connect(who);
        let acknowledge = |joined: &room::chat::Joined| {
            let missed = &joined.catch_up;
            render::frame(&json!({
                "type": "ack", "epoch": joined.epoch, "users": joined.users, "last": joined.last, "anew": missed.anew,
            }))
        };
        let step = || self.hub.join(&listener.link, &group(room), since, 0, acknowledge);
        with_group(&self.hub, &self.rooms, &group(room), step).await.unwrap();
        listener
    }

    /// A long-polling client that is in a group.
    async fn poll(&self, who: &str, room: &str) -> Arc<Link> {
        let user = user(who);
        let login = Login { user: &user, session: 2, at: System.now(), expires: Millis::NEVER };
        let link = self.hub.poller(&login).unwrap();
        let step = || self.hub.join(&link, &group(room), None, 0, |_| Default::default());
        with_group(&self.hub, &self.rooms, &group(room), step).await.unwrap();
        link
    }

    pub async fn send(&self, who: &str, room: &str, text: &str, random: u64) -> Sent {
        self.hub.send(&group(room), say(who, text, random)).await.unwrap()
    }
}

/// A WebSocket's end, without the socket.
pub struct Listener {
    pub link: Arc<Link>,
    pub heard: Vec<Value>,
    ended: Option<Close>,
}

impl Listener {
    pub fn take(&mut self) {
        let Some(queue) = self.link.queue() else { return };
        match queue.poll_take(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(frames)) => {
                self.heard.extend(frames.iter().map(|frame| serde_json::from_slice::<Value>(frame).unwrap()));
            }
            Poll::Ready(Err(why)) => self.ended = Some(why),
            Poll::Pending => {}
        }
    }

    /// Number and text of all messages and notices so far.
    fn messages(&mut self) -> Vec<(u64, String)> {
        self.take();
        let frames = self.heard.iter().filter(|frame| frame["seq"].is_u64() && frame["type"] != "direct");
        let text = |frame: &Value| {
            let text = &frame["body"][0]["MsgContent"]["Text"];
            let other = frame["data"].as_str().map(|data| serde_json::from_str::<Value>(data).unwrap()["cmd"].clone());
            text.as_str().or(other.as_ref().and_then(Value::as_str)).or(frame["notice"].as_str()).unwrap().to_owned()
        };
        frames.map(|frame| (frame["seq"].as_u64().unwrap(), text(frame))).collect()
    }

    /// Texts of point-to-point messages so far.
    fn direct(&mut self) -> Vec<String> {
        self.take();
        let frames = self.heard.iter().filter(|frame| frame["type"] == "direct");
        frames.map(|frame| frame["body"][0]["MsgContent"]["Text"].as_str().unwrap().to_owned()).collect()
    }

    pub fn count(&mut self) -> Option<u64> {
        self.take();
        self.heard.iter().rev().find_map(|frame| frame["users"].as_u64())
    }

    fn acknowledged(&self) -> &Value {
        self.heard.iter().find(|frame| frame["type"] == "ack").unwrap()
    }

    async fn hears(&mut self, wanted: &[(u64, &str)]) {
        let wanted: Vec<_> = wanted.iter().map(|(seq, text)| (*seq, (*text).to_owned())).collect();
        until(&format!("{wanted:?}"), || self.messages().len() >= wanted.len()).await;
        assert_eq!(self.messages(), wanted);
    }
}

pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_one_room_at_all_nodes() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    a.enter("r", "ann").await;
    let mut ann = a.join("ann", "r", None).await;
    let mut bob = b.join("bob", "r", None).await;
    // The room's news, whichever node made it, and what is said, in one order.
    b.enter("r", "bob").await;
    let first = a.send("ann", "r", "hello", 1).await;
    assert_eq!(first.message.as_ref().map(|m| m.seq), Some(first.seq));
    let second = b.send("bob", "r", "hello yourself", 1).await;
    assert_eq!((first.seq, second.seq), (2, 3));
    let wanted = [(1, "notifyPusherChange"), (2, "hello"), (3, "hello yourself")];
    ann.hears(&wanted).await;
    bob.hears(&wanted).await;
    assert!(a.send("ann", "r", "hello", 1).await.message.is_none());
    assert_eq!(a.send("ann", "r", "hello", 1).await.seq, 2, "said before");
    // Who comes later, to a node that knows nothing, or back to another node, has it all.
    let c = node(&redis).await;
    let epoch = Epoch(bob_epoch(&mut bob));
    let mut late = c.join("late", "r", Some(Since { epoch, seq: 0 })).await;
    late.hears(&wanted).await;
    let mut back = c.join("ann", "r", Some(Since { epoch, seq: 2 })).await;
    back.hears(&wanted[2..]).await;
    assert_eq!(back.acknowledged()["anew"], false);
    for listener in [&mut ann, &mut bob, &mut late] {
        until("all are counted, ann once", || listener.count() == Some(3)).await;
    }
    // A node that is gone takes its users along.
    c.bus.abort();
    until("the count of a node that is gone", || ann.count() == Some(2)).await;
    // The room's end is everybody's.
    for who in ["ann", "bob"] {
        a.rooms.delete_pusher(Kind::Multi, &group("r"), &user(who), LeaveReason::Quit).await.unwrap();
    }
    for listener in [&mut ann, &mut bob] {
        until("the end", || listener.messages().last().unwrap().1 == "destroyed").await;
    }
    assert_eq!(ann.messages().len(), 6, "{:?}", ann.messages());
    assert!(a.hub.is_empty() && b.hub.is_empty());
    assert_eq!(a.hub.send(&group("r"), say("ann", "x", 9)).await, Err(Refusal::NoGroup));
}

fn bob_epoch(bob: &mut Listener) -> u64 {
    bob.take();
    bob.acknowledged()["epoch"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_there_before_its_room_begins_with_it_at_all_nodes() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    let id = group("r");
    crate::make_before_the_room(&a.hub, &id, &user("eve")).await;
    let mut bob = b.join("bob", "r", None).await;
    bob.take();
    a.hub.mute(&id, &user("carl"), 60_000).unwrap();
    until("it is heard", || !b.hub.show(&id).unwrap().muted.is_empty()).await;
    a.enter("r", "ann").await;
    for node in [&a, &b] {
        until("it is the room's", || crate::is_the_rooms(&node.hub, &id)).await;
    }
    // Who was in stays, and numbers go on.
    let sent = b.send("bob", "r", "welcome", 2).await;
    until("it comes", || bob.messages().contains(&(sent.seq, "welcome".into()))).await;
    let c = node(&redis).await;
    c.hub.fetch(&id).await.unwrap();
    assert!(crate::is_the_rooms(&c.hub, &id), "as Redis has it");
    assert_eq!(c.hub.show(&id).unwrap().last, sent.seq);
    let epoch = c.hub.show(&id).unwrap().epoch;
    let mut dan = c.join("dan", "r", Some(Since { epoch, seq: 0 })).await;
    let said = dan.messages();
    assert!(said.iter().any(|(_, text)| text == "welcome") && said.iter().all(|(_, text)| text != "mine"), "{said:?}");
}

#[tokio::test]
async fn what_a_room_puts_into_a_group_that_was_there_before_it_stays_at_all_nodes() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    let id = group("r");
    crate::make_before_the_room(&a.hub, &id, &user("eve")).await;
    b.hub.fetch(&id).await.unwrap();
    a.hub.mute(&id, &user("carl"), 60_000).unwrap().everywhere().await;
    let enter = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { node(&redis).await.enter("r", "ann").await });
    };
    // This thread stands still meanwhile, so that the bus has not said here that there is a room.
    std::thread::scope(|scope| scope.spawn(enter).join().unwrap());
    let muted = a.hub.mute(&id, &user("dan"), 60_000).unwrap();
    assert!(a.hub.owner(&id).unwrap().is_some());
    sanction(&a.hub, &a.rooms, &id, Sanction::Ban, &user("bob"), 60_000).await.unwrap();
    muted.everywhere().await;
    // After what eve said, and that ann came.
    a.hub.notify(&id, None, r#"{"cmd":"third"}"#).unwrap();
    for node in [&a, &b] {
        until("all is heard", || node.hub.show(&id).unwrap().last == 3).await;
        let shown = node.hub.show(&id).unwrap();
        let users = |of: Vec<(UserId, Millis)>| of.into_iter().map(|(user, _)| user).collect::<Vec<_>>();
        assert!(node.hub.owner(&id).unwrap().is_none());
        assert_eq!(users(shown.banned), [user("bob")]);
        assert_eq!(users(shown.muted), [user("dan")]);
    }
}

/// A node that was slow hears the end of a group when it has the next one of that name.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_late_of_an_earlier_life_of_a_group_does_nothing_to_the_next_one() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    let id = group("r");
    a.enter("r", "ann").await;
    let first = a.join("ann", "r", None).await;
    let old = a.hub.show(&id).unwrap().epoch.0;
    a.rooms.delete_pusher(Kind::Multi, &id, &user("ann"), LeaveReason::Quit).await.unwrap();
    until("the end", || a.hub.is_empty()).await;
    drop(first);
    a.enter("r", "ann").await;
    let mut ann = a.join("ann", "r", None).await;
    let mut bob = b.join("bob", "r", None).await;
    assert!(a.hub.show(&id).unwrap().epoch.0 > old);
    let at = System.now();
    let until_then = at.plus(60_000);
    let content = Content::System(room::chat::System { by: None, notice: Notice::Custom("late".into()) });
    let late = |life: Option<u64>| {
        let group = id.clone();
        let message = Op::Message { group: group.clone(), at, content: content.clone() };
        let kick = Op::Kick { group: group.clone(), user: user("bob") };
        let ban = Op::Ban { group: group.clone(), user: user("bob"), until: until_then, kick: false };
        let end = Op::End { group, at, by: None, end: End::Destroyed };
        [message, kick, ban, end].map(|op| Heard { number: 57, from: 7, nonce: 1, life, op })
    };
    late(Some(old)).into_iter().for_each(|heard| b.hub.heard(heard));
    let shown = b.hub.show(&id).unwrap();
    assert_eq!((shown.last, shown.banned.len()), (0, 0), "{shown:?}");
    assert_eq!(b.hub.see(&id, &[user("bob")]).unwrap().within, [true]);
    let sent = a.send("ann", "r", "hello", 1).await;
    ann.hears(&[(sent.seq, "hello")]).await;
    bob.hears(&[(sent.seq, "hello")]).await;
    // Nodes of earlier versions name no life: their ends are taken as they always were.
    let [.., end] = late(None);
    b.hub.heard(end);
    assert!(b.hub.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_muted_before_the_group_was_made_is_muted_everywhere() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    a.enter("r", "ann").await;
    let id = group("r");
    sanction(&a.hub, &a.rooms, &id, Sanction::Mute, &user("bob"), 60_000).await.unwrap();
    sanction(&a.hub, &a.rooms, &id, Sanction::Ban, &user("eve"), 60_000).await.unwrap();
    let _ann = a.join("ann", "r", None).await;
    let _bob = b.join("bob", "r", None).await;
    until("both keep it", || {
        [&a, &b].iter().all(|node| {
            let shown = node.hub.show(&id).unwrap();
            (shown.muted.len(), shown.banned.len()) == (1, 1)
        })
    })
    .await;
    assert!(matches!(b.hub.send(&id, say("bob", "psst", 1)).await, Err(Refusal::Muted { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn private_messages_kicks_and_sanctions_reach_other_nodes() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    a.enter("r", "ann").await;
    let mut bob = b.join("bob", "r", None).await;
    let posted = a.hub.send_direct(&user("bob"), None, say("ann", "come up", 1)).await.unwrap();
    until("it reaches him", || bob.direct() == ["come up"]).await;
    // Who is away gets it wherever it comes back, once.
    a.hub.send_direct(&user("carl"), None, say("ann", "later", 2)).await.unwrap();
    let second = a.hub.send_direct(&user("bob"), None, say("ann", "now", 3)).await.unwrap();
    assert!(second.message.seq > posted.message.seq);
    until("the last one is there", || bob.direct().len() == 2).await;
    let mut carl = b.connect("carl");
    assert_eq!(carl.direct(), ["later"]);
    b.hub.disconnect(&carl.link);
    // What b says after that is heard after that.
    let mut ann = a.connect("ann");
    b.hub.send_direct(&user("ann"), None, say("bob", "coming", 4)).await.unwrap();
    until("the next thing that b says", || ann.direct() == ["coming"]).await;
    let mut again = a.connect("carl");
    assert!(again.direct().is_empty(), "it was handed over at another node");

    // A newer login of the same long-polling client, and a logout, end what is at other nodes.
    let who = user("old");
    let now = System.now();
    let login = |session, at: u64| Login { user: &who, session, at: now.plus(at), expires: Millis::NEVER };
    a.hub.poller(&login(1, 0)).unwrap();
    b.hub.poller(&login(2, 10)).unwrap();
    until("the older one is gone", || a.hub.poller_of(&who).is_none()).await;
    assert_eq!(b.hub.poller_of(&who).map(|link| link.session), Some(2));
    a.hub.end_session(&who, 2);
    until("the login has ended", || b.hub.poller_of(&who).is_none()).await;

    // What its creator does at one node holds at the other.
    a.hub.mute(&group("r"), &user("bob"), 60_000).unwrap();
    let text = || say("bob", "still?", sign::fresh_id());
    until("muted", || futures_util::future::FutureExt::now_or_never(b.hub.send(&group("r"), text())).is_some()).await;
    assert!(matches!(b.hub.send(&group("r"), text()).await, Err(Refusal::Muted { .. })));
    a.hub.mute(&group("r"), &user("bob"), 0).unwrap();
    // Who is kicked for a while hears that, and is kept out.
    let mut eve = b.join("eve", "r", None).await;
    a.hub.follow_ban(&group("r"), &user("eve"), 60_000, true);
    until("kicked", || {
        eve.take();
        eve.heard.iter().any(|frame| frame["type"] == "out" && frame["reason"] == "kicked")
    })
    .await;
    let joined = b.hub.join(&eve.link, &group("r"), None, 0, |_| render::frame(&json!({})));
    assert!(matches!(joined, Err(Refusal::Banned { .. })));
    a.hub.ban(&group("r"), &user("bob"), 60_000).unwrap();
    until("out", || {
        bob.take();
        bob.heard.iter().any(|frame| frame["type"] == "out" && frame["reason"] == "banned")
    })
    .await;
    let c = node(&redis).await;
    c.hub.fetch(&group("r")).await.unwrap();
    let third = c.connect("bob");
    let joined = c.hub.join(&third.link, &group("r"), None, 0, |_| render::frame(&json!({})));
    assert!(matches!(joined, Err(Refusal::Banned { .. })), "also where nobody knew");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_goes_on_without_redis_and_nothing_is_lost() {
    let mut redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    for room in ["one", "both"] {
        a.enter(room, "ann").await;
    }
    let mut ann = a.join("ann", "one", None).await;
    let mut amy = a.join("amy", "one", None).await;
    let mut bob = b.join("bob", "one", None).await;
    let mut ann2 = a.join("ann", "both", None).await;
    let mut bob2 = b.join("bob", "both", None).await;
    a.send("ann", "one", "before", 1).await;
    bob.hears(&[(1, "before")]).await;
    for frozen in [true, false] {
        if frozen {
            redis.freeze(true)
        } else {
            redis.stop()
        }
        let base = if frozen { 2 } else { 4 };
        let begun = Instant::now();
        assert_eq!(a.send("ann", "one", &format!("alone {base}"), base).await.seq, base);
        assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
        assert_eq!(a.send("amy", "one", "me too", base).await.seq, base + 1);
        until("those at the same node hear it", || amy.messages().last().unwrap().0 == base + 1).await;
        assert!(bob.messages().iter().all(|(seq, _)| *seq < base));
        a.hub.send_direct(&user("amy"), None, say("ann", "psst", base)).await.unwrap();
        a.hub.send_direct(&user("bob"), None, say("ann", "psst", base)).await.unwrap();
        if frozen {
            redis.freeze(false)
        } else {
            redis.resume()
        }
        until("the other one hears it later", || bob.messages().last().unwrap().0 == base + 1).await;
        until("this, too", || bob.direct().len() == base as usize / 2).await;
    }
    let all = [(1, "before"), (2, "alone 2"), (3, "me too"), (4, "alone 4"), (5, "me too")];
    for listener in [&mut ann, &mut amy, &mut bob] {
        listener.hears(&all).await;
        assert_eq!(listener.ended, None);
    }
    assert_eq!(amy.direct(), ["psst", "psst"], "once each");

    // Both nodes talk in the same room: the numbers of one count, and those of the other begin anew.
    let before = bob_epoch(&mut bob2);
    let polls = [a.poll("pat", "both").await, b.poll("pam", "both").await];
    redis.stop();
    let x = a.send("ann", "both", "from a", 10).await;
    let y = b.send("bob", "both", "from b", 10).await;
    assert_eq!((x.seq, y.seq), (1, 1));
    for (polled, own) in polls.iter().zip(["from a", "from b"]) {
        assert_eq!(polled_by(polled, "both", 1).await, (vec![(1, own.to_owned())], 2));
    }
    redis.resume();
    let ends = |listener: &mut Listener| {
        listener.take();
        listener.ended
    };
    until("one is asked to come back", || ends(&mut ann2).or(ends(&mut bob2)) == Some(Close::Renumbered)).await;
    assert!(ann2.ended.is_none() || bob2.ended.is_none(), "the other one need not");
    until("both are told", || {
        let both = [&a, &b].map(|node| node.hub.show(&group("both")).unwrap());
        both[0].epoch == both[1].epoch && both.iter().all(|group| group.last == 2)
    })
    .await;
    for node in [&a, &b] {
        let mut back = node.join("eve", "both", Some(Since { epoch: Epoch(before), seq: 1 })).await;
        let texts: Vec<_> = back.messages().into_iter().map(|(_, text)| text).collect();
        assert_eq!(back.acknowledged()["anew"], true);
        assert!(texts.contains(&"from a".into()) && texts.contains(&"from b".into()), "{texts:?}");
    }
    for (polled, other) in polls.iter().zip(["from b", "from a"]) {
        let (messages, next) = polled_by(polled, "both", 2).await;
        assert!(messages.iter().any(|(_, text)| text == other), "{messages:?}");
        assert_eq!(next, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_missed_too_much_loads_it_anew() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    a.enter("r", "ann").await;
    let _ann = a.join("ann", "r", None).await;
    let mut bob = b.join("bob", "r", None).await;
    let sent = a.send("ann", "r", "one", 1).await;
    bob.hears(&[(1, "one")]).await;
    // As if entries were trimmed before b came to read them.
    redis.cli(&["incrby", "rs:{0}:bus:count", "3"]);
    redis.cli(&["rpush", "rs:{0}:log:r", &missed_line()]);
    redis.cli(&["hset", "rs:{0}:group:r", "n", "2"]);
    assert_eq!(a.send("ann", "r", "three", 3).await.seq, sent.seq + 2);
    until("what was missed", || bob.messages().iter().any(|(_, text)| text == "three")).await;
    assert_eq!(redis.cli(&["llen", "rs:{0}:log:r"]), "3");
}

fn missed_line() -> String {
    line(2, "two")
}

/// A message of the group `r` as Redis keeps it.
fn line(number: u64, text: &str) -> String {
    let content = room::chat::Content::Said(say("ann", text, number));
    format!("{number} {}", serde_json::to_string(&Op::Message { group: group("r"), at: Millis(1), content }).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_missed_that_a_group_ended_and_began_again_begins_again_too() {
    let redis = RedisServer::start(&[]);
    let b = node(&redis).await;
    b.enter("r", "bob").await;
    let mut bob = b.join("bob", "r", None).await;
    let pat = b.poll("pat", "r").await;
    b.hub.ban(&group("r"), &user("eve"), 60_000).unwrap().everywhere().await;
    for n in 1..=9 {
        b.send("bob", "r", "old", n).await;
    }
    until("all is heard", || b.hub.show(&group("r")).unwrap().last == 9).await;
    assert_eq!(polled_by(&pat, "r", 1).await.1, 10);
    let users = || redis.cli(&["hkeys", "rs:{0}:group:r"]).lines().any(|field| field.starts_with("u:"));
    until("others know who is here", users).await;

    // As if the end and what came then were trimmed before b came to read them.
    let old = b.hub.show(&group("r")).unwrap().epoch;
    let epoch = (old.0 + 5000).to_string();
    redis.cli(&["del", "rs:{0}:group:r", "rs:{0}:log:r"]);
    redis.cli(&["hset", "rs:{0}:group:r", "e", &epoch, "m", "", "r", "1", "n", "5", "mute:ann", "9000000000000000"]);
    for n in 1..=5 {
        redis.cli(&["rpush", "rs:{0}:log:r", &line(n, "new")]);
    }
    redis.cli(&["incrby", "rs:{0}:bus:count", "9"]);
    assert_eq!(b.send("bob", "r", "new", 10).await.seq, 6, "numbers of the last life do not count");

    until("members come again", || {
        bob.take();
        bob.ended == Some(Close::Renumbered)
    })
    .await;
    let shown = b.hub.show(&group("r")).unwrap();
    assert_eq!((shown.epoch.0, shown.last), (old.0 + 5000, 6));
    assert_eq!((shown.muted, shown.banned), (vec![(user("ann"), Millis(9_000_000_000_000_000))], vec![]));
    let new = |n: u64| (n, "new".to_owned());
    assert_eq!(polled_by(&pat, "r", 5).await, ((1..=6).map(new).collect(), 7), "whatever it asks for");
    until("others know anew who is here", users).await;
    b.hub.disconnect(&bob.link);
    let mut back = b.join("bob", "r", Some(Since { epoch: old, seq: 9 })).await;
    assert_eq!(back.messages(), (1..=6).map(new).collect::<Vec<_>>());
    assert_eq!(back.acknowledged()["anew"], true);
    assert_eq!(b.send("bob", "r", "newest", 11).await.seq, 7);
    assert_eq!(polled_by(&pat, "r", 7).await, (vec![(7, "newest".into())], 8));
}

/// Number and text of what a long-polling client gets that asks for what comes from this number on, and what it asks for next.
async fn polled_by(link: &Link, room: &str, start: u64) -> (Vec<(u64, String)>, u64) {
    let polled = link.inbox().unwrap().poll(&group(room), start, Duration::from_secs(5)).await.unwrap();
    let text = |message: &Message| match &message.content {
        Content::Said(said) => serde_json::from_str::<Value>(said.body.as_json()).unwrap()[0]["MsgContent"]["Text"]
            .as_str()
            .unwrap()
            .into(),
        Content::System(system) => format!("{:?}", system.notice),
    };
    (polled.messages.iter().map(|message| (message.seq, text(message))).collect(), polled.next)
}

/// Rooms of all partitions, whose keys are at different servers.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_carries_chat_too() {
    let (_redis, url) = cluster();
    let target = || Target::parse(&url).unwrap();
    let a = node_at(target()).await;
    let b = node_at(target()).await;
    for n in 0..24 {
        let room = format!("room{n}");
        a.enter(&room, "ann").await;
        let mut ann = a.join("ann", &room, None).await;
        let mut bob = b.join("bob", &room, None).await;
        a.send("ann", &room, "hello", n).await;
        b.enter(&room, "bob").await;
        for listener in [&mut ann, &mut bob] {
            listener.hears(&[(1, "hello"), (2, "notifyPusherChange")]).await;
        }
        b.hub.send_direct(&user("ann"), None, say("bob", &room, n)).await.unwrap();
        until("privately", || ann.direct() == [room.clone()]).await;
        a.hub.disconnect(&ann.link);
        b.hub.disconnect(&bob.link);
    }
}

/// A publisher whose picture stands still sends nothing, and is not to be taken for one that has gone at the other nodes either.
#[tokio::test]
async fn a_publisher_that_is_there_without_frames_is_known_to_be_at_every_node() {
    let redis = RedisServer::start(&[]);
    let node = |hub: &media::Hub, address: &str| {
        let urls = Arc::new(streams::live::Urls::new(&streams::live::Settings::default(), 1935));
        let target = Target::parse(&redis.url(0)).unwrap();
        streams::nodes::Nodes::new(target, hub.clone(), urls, Arc::new(System), address.into())
    };
    let hub = || media::Hub::new(media::hub::Settings::default());
    let here = hub();
    let running = tokio::spawn(node(&here, "127.0.0.1:1").run());
    let other = node(&hub(), "127.0.0.1:2");
    let origin = media::hub::Origin { protocol: media::Protocol::Rtmp, peer: "127.0.0.1:9".parse().unwrap() };
    let publisher = here.publish(&media::StreamName::new("still").unwrap(), origin).unwrap();
    publisher.push(media::Frame::audio(media::Codec::Opus, 0, vec![1].into())).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let said = System.now();
    publisher.is_there();
    let stream = StreamId::parse("still").unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match other.pushing(&stream, System.now()).await {
            room::sweep::Pushing::Until(at) if at.0 + 1_000 > said.0 => break,
            found => assert!(Instant::now() < end, "{found:?}, and it was there at {said:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.abort();
}
