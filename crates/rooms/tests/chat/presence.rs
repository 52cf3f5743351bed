//! Who counts as being there, at several hubs on one real Redis.

use std::sync::Arc;
use std::time::Duration;

use crate::nodes::{Node, group, node, node_at, until, user};
use room::presence::{Seen, Sign};
use room::pushers::NewPusher;
use room::{Kind, Millis, Rules, StreamId};
use rooms::Rooms;
use store::clock::{Clock, System};
use store::{Presences, Store, Target};
use testkit::redis::{RedisServer, cluster};
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread")]
async fn users_of_a_node_that_crashed_are_not_counted_by_who_comes_later_and_an_operator_sees_all() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    a.enter("r", "ann").await;
    let mut ann = a.join("ann", "r", None).await;
    let _bob = b.join("bob", "r", None).await;
    until("both are counted", || ann.count() == Some(2)).await;
    // An operator asks a node at which nobody is in.
    let c = node(&redis).await;
    c.hub.fetch(&group("r")).await.unwrap();
    assert_eq!(c.hub.show(&group("r")).unwrap().users, 2);
    // Without a word: as a process that was killed.
    b.crash();
    until("its users are not counted any more", || ann.count() == Some(1)).await;
    let d = node(&redis).await;
    d.hub.fetch(&group("r")).await.unwrap();
    assert_eq!(d.hub.show(&group("r")).unwrap().users, 1);
    let mut eve = d.join("eve", "r", None).await;
    until("ann and eve", || eve.count() == Some(2)).await;
}

const AWAY: &str = "rs:{0}:away";

async fn live(rooms: &Rooms, room: &str) {
    let room = group(room);
    let user = user("ann");
    let stream = StreamId::parse("ann").unwrap();
    let new =
        NewPusher { room: &room, kind: Kind::Live, user: &user, name: "", avatar: "", stream: &stream, info: None };
    rooms.add_pusher(&new).await.unwrap();
}

async fn audience(node: &Node, room: &str) -> Vec<String> {
    let listed = node.rooms.viewers(&group(room)).await.unwrap().listed;
    listed.iter().map(|viewer| format!("{} {}", viewer.user, viewer.info)).collect()
}

async fn until_audience(node: &Node, room: &str, wanted: &[&str]) {
    let begun = std::time::Instant::now();
    while audience(node, room).await != wanted {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?} instead of {wanted:?}", audience(node, room).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Where it stands whom a node has.
fn present_at(node: &Node) -> String {
    format!("rs:{{0}}:present:{:016x}", node.hub.node().unwrap())
}

/// Whether it is waited for.
fn is_away(redis: &RedisServer, who: &str) -> bool {
    !redis.cli(&["zscore", AWAY, &format!("r {who}")]).trim().is_empty()
}

/// The time of all who are away is up.
fn time_passes(redis: &RedisServer, who: &[&str]) {
    for who in who {
        redis.cli(&["zadd", AWAY, "xx", "1", &format!("r {who}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_nowhere_when_its_time_is_up_leaves_the_audience_and_is_in_it_again_when_it_is_back() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    live(&a.rooms, "r").await;
    let present = |node: &Node| redis.cli(&["scard", &present_at(node)]).trim().to_owned();
    let _two = a.join("two", "r", None).await;
    until("it is said", || present(&a) == "1").await;
    let mut at = Vec::new();
    for who in ["gone", "two", "quit"] {
        at.push(b.join(who, "r", None).await);
        b.rooms.add_viewer(&group("r"), &user(who), "info").await.unwrap();
    }
    until("they are said", || present(&b) == "3").await;
    // Without chat: nothing is seen of it.
    a.rooms.add_viewer(&group("r"), &user("still"), "").await.unwrap();
    b.hub.quit(&at[2].link, &group("r")).unwrap();
    for listener in &at {
        b.hub.disconnect(&listener.link);
    }
    until("they are waited for", || is_away(&redis, "gone") && is_away(&redis, "two")).await;
    assert_eq!(audience(&a, "r").await, ["gone info", "two info", "quit info", "still "]);
    time_passes(&redis, &["gone", "two"]);
    until_audience(&a, "r", &["two info", "quit info", "still "]).await;
    until("one at another node is looked at, too", || !is_away(&redis, "two")).await;
    assert_eq!(audience(&a, "r").await, ["two info", "quit info", "still "]);
    let _gone = a.join("gone", "r", None).await;
    until_audience(&a, "r", &["two info", "quit info", "still ", "gone info"]).await;
    assert_eq!(redis.cli(&["hlen", "rs:{0}:out:r"]).trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_of_a_node_that_was_killed_have_their_time_to_come_back() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    live(&a.rooms, "r").await;
    for who in ["lost", "moved"] {
        let _there = b.join(who, "r", None).await;
        b.rooms.add_viewer(&group("r"), &user(who), "").await.unwrap();
    }
    let present = || redis.cli(&["--scan", "--pattern", "rs:{0}:present:*"]).lines().count();
    until("it says whom it has", || present() == 1).await;
    assert!(!is_away(&redis, "lost"));
    b.crash();
    until("another node finds them", || is_away(&redis, "lost") && is_away(&redis, "moved")).await;
    let _moved = a.join("moved", "r", None).await;
    until("it is back", || !is_away(&redis, "moved")).await;
    time_passes(&redis, &["lost"]);
    until_audience(&a, "r", &["moved "]).await;
    let score = redis.cli(&["zcard", AWAY]);
    assert_eq!(score.trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_taken_for_dead_says_again_whom_it_has_and_an_older_one_keeps_all_in() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    live(&a.rooms, "r").await;
    let there = a.join("there", "r", None).await;
    a.rooms.add_viewer(&group("r"), &user("there"), "").await.unwrap();
    let present = present_at(&a);
    until("it says so", || redis.cli(&["scard", &present]).trim() == "1").await;
    // As another node does that did not hear of it, and as a Redis that lost it.
    redis.cli(&["srem", "rs:{0}:presences", &a.hub.node().unwrap().to_string()]);
    redis.cli(&["del", &present]);
    redis.cli(&["zadd", AWAY, "1", "r there"]);
    until("it says so again", || redis.cli(&["scard", &present]).trim() == "1" && !is_away(&redis, "there")).await;
    assert_eq!(audience(&a, "r").await, ["there "]);
    // A node that does not say whom it has may have everybody.
    redis.cli(&["zadd", "rs:{0}:nodes", "9999999999999", "7"]);
    a.hub.disconnect(&there.link);
    until("it is waited for", || is_away(&redis, "there")).await;
    time_passes(&redis, &["there"]);
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(audience(&a, "r").await, ["there "]);
    redis.cli(&["zrem", "rs:{0}:nodes", "7"]);
    until_audience(&a, "r", &[]).await;
}

/// Rooms at a node whose chat is a service elsewhere.
async fn served_elsewhere(redis: &RedisServer) -> (Arc<Rooms>, Arc<store::Redis>) {
    let rules = Arc::new(Rules::default());
    let (outbox, _) = mpsc::unbounded_channel();
    let target = Target::parse(&redis.url(0)).unwrap();
    let store = Arc::new(store::Redis::open(target, rules.clone(), outbox, None).await);
    let hub = Arc::new(chat::Hub::new(&chat::Settings::default(), Arc::new(System)));
    (Arc::new(Rooms::new(store.clone(), hub, Arc::new(System), rules).with_chat_elsewhere()), store)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_says_at_several_nodes_counts_in_the_order_of_its_times() {
    let redis = RedisServer::start(&[]);
    let (a, store) = served_elsewhere(&redis).await;
    let (b, _) = served_elsewhere(&redis).await;
    live(&a, "r").await;
    let room = group("r");
    let now = System.now();
    let at = |ms: i64| Millis(now.0.saturating_add_signed(ms));
    for who in ["late", "back", "left", "out"] {
        b.add_viewer(&room, &user(who), who).await.unwrap();
    }
    a.reachable(&room, &user("late"), at(9_000)).await.unwrap();
    b.unreachable(&room, &user("late"), at(8_000)).await.unwrap();
    b.unreachable(&room, &user("back"), at(8_000)).await.unwrap();
    assert_eq!((is_away(&redis, "late"), is_away(&redis, "back")), (false, true));
    a.reachable(&room, &user("back"), at(9_000)).await.unwrap();
    assert!(!is_away(&redis, "back"));
    a.vanished(&room, &user("left"), at(-60_000)).await.unwrap();
    assert_eq!(store.viewers(&room).await.unwrap().count, 4, "it came after that");
    a.vanished(&room, &user("left"), at(9_000)).await.unwrap();
    b.unreachable(&room, &user("out"), at(8_000)).await.unwrap();
    time_passes(&redis, &["out"]);
    let looked = store.look(None, 0).await.unwrap();
    assert_eq!(looked.changed, std::slice::from_ref(&room));
    let names = async || {
        let listed = store.viewers(&room).await.unwrap().listed;
        listed.iter().map(|viewer| format!("{} {}", viewer.user, viewer.info)).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["late late", "back back"]);
    // It can be reached again, a moment after its time was up.
    a.reachable(&room, &user("out"), at(60_000)).await.unwrap();
    assert_eq!(names().await, ["late late", "back back", "out out"]);
}

/// Rooms of all partitions, whose keys are at different servers.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_takes_out_who_is_away_too() {
    let (_redis, url) = cluster();
    let a = node_at(Target::parse(&url).unwrap()).await;
    let rooms: Vec<String> = (0..15).map(|n| format!("room{n}")).collect();
    let mut there = Vec::new();
    for room in &rooms {
        live(&a.rooms, room).await;
        there.push(a.join("there", room, None).await);
        for who in ["there", "gone"] {
            a.rooms.add_viewer(&group(room), &user(who), "").await.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let over = |who: &str| rooms.iter().map(|room| seen(room, who)).collect::<Vec<_>>();
    let seen = [over("there"), over("gone")].concat();
    a.store.seen(None, &seen, System.steady()).await.unwrap();
    for room in &rooms {
        until_audience(&a, room, &["there "]).await;
    }
    let back: Vec<Seen> = rooms.iter().map(|room| Seen { sign: Sign::Here, ..self::seen(room, "gone") }).collect();
    let node = a.hub.node();
    assert_eq!(a.store.seen(node, &back, System.steady()).await.unwrap().len(), rooms.len());
    assert_eq!(audience(&a, "room7").await, ["there ", "gone "]);
}

/// Its time is up.
fn seen(room: &str, who: &str) -> Seen {
    Seen { room: group(room), user: user(who), sign: Sign::Away(Millis(0)), at: None }
}
