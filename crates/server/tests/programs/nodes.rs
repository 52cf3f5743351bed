//! Two nodes and one Redis, with real video: one room, also while Redis is away, and after one node was killed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::kit::chat::Chat;
use crate::kit::pictures::Viewer;
use crate::kit::redis::{node, node_with};
use crate::kit::whep;
use crate::kit::{PATIENCE, Server, ended, probe, push, until};
use serde_json::{Value, json};
use testkit::RedisServer;

/// Three times what a member may be silent, as 60 s are of the usual 20 s.
const OUTAGE: Duration = Duration::from_secs(9);

/// Status, whether there is a `Retry-After`, and how long it took.
fn heartbeat(at: SocketAddr, user: &str, token: &str) -> (u16, bool, Duration) {
    let begun = Instant::now();
    let body = json!({ "roomID": "r", "userID": user }).to_string();
    let mut socket = TcpStream::connect(at).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let path = format!("/weapp/multi_room/pusher_heartbeat?userID={user}&token={token}");
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    write!(socket, "{head}{body}").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    // What is said with 200 is in the body.
    let status = if status == 200 && !answer.contains("\"code\":0") { 400 } else { status };
    (status, answer.to_lowercase().contains("\r\nretry-after: "), begun.elapsed())
}

/// All committed events of this sort about this user.
fn events(redis: &RedisServer, what: &str, user: &str) -> Vec<Value> {
    let text = redis.cli(&["--json", "xrange", "rs:{0}:events", "-", "+"]);
    let entries: Value = serde_json::from_str(&text).unwrap();
    let lists = entries.as_array().unwrap().iter().map(|entry| entry[1][1].as_str().unwrap());
    let all = lists.flat_map(|list| serde_json::from_str::<Vec<Value>>(list).unwrap());
    all.map(|event| event["what"][what].clone()).filter(|what| what["user"] == user).collect()
}

fn pulls(server: &Server) -> usize {
    let said = crate::kit::said(&server.dir);
    said.matches("a stream is pulled from another node").count()
}

fn path(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    &rest[rest.find('/').unwrap()..]
}

#[test]
fn two_nodes_are_one_service() {
    let mut redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let alice = a.login("multi_room", "alice");
    let bob = b.login("multi_room", "bob");
    // A session is good at any node.
    let carol = a.login("multi_room", "carol");
    let elsewhere = b.login("multi_room", "alice");

    // Members and chat.
    let url = alice.push_url("r");
    let mut alices = push(&url);
    assert_eq!(alice.enter("r", &url)["code"], 0);
    let mut at_a = Chat::connect(&a, &carol);
    let mut at_b = Chat::connect(&b, &bob);
    let joined = at_a.ask(json!({"type": "join", "room": "r"}));
    assert_eq!(at_b.ask(json!({"type": "join", "room": "r"}))["epoch"], joined["epoch"]);
    assert_eq!(bob.enter("r", &bob.push_url("r"))["code"], 0);
    // As clients do, whatever is answered.
    let at = b.http;
    let token = bob.token.clone();
    std::thread::spawn(move || {
        while TcpStream::connect(at).is_ok() {
            heartbeat(at, "bob", &token);
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    until("both hear of the member", || at_a.changes() == 1 && at_b.changes() == 1);
    assert_eq!(
        (alice.pushers("r"), bob.pushers("r")),
        (vec!["alice".into(), "bob".into()], vec!["alice".into(), "bob".into()])
    );
    let first = at_a.say("hello");
    let second = at_b.say("hello yourself");
    until("both hear both", || {
        [&mut at_a, &mut at_b].into_iter().all(|c| c.has(first, "hello") && c.has(second, "hello yourself"))
    });
    at_b.ask(json!({"type": "direct", "to": "carol", "text": "psst"}));
    until("privately", || {
        at_a.read();
        at_a.frames.iter().any(|frame| frame["type"] == "direct")
    });

    // Media: pushed to a, played from b in every way, pulled once.
    let seen = bob.ok("get_pushers", json!({ "roomID": "r" }));
    let of_alice = &seen["pushers"][0];
    let url_of = |name: &str| of_alice[name].as_str().unwrap_or_else(|| panic!("{name}: {of_alice}")).to_owned();
    let flv = url_of("flvURL");
    let mut viewer = Viewer::watch(&flv);
    until("pictures over FLV", || viewer.pictures() > 5);
    assert_eq!(probe(&url_of("accelerateURL")), ["aac", "h264"]);
    assert_eq!(pulls(&b), 1);
    // When nobody plays it, it is no longer pulled, and again when somebody does.
    viewer.curl.kill();
    until("the pull ends", || !is_pulled(&b, &flv));
    viewer = Viewer::watch(&flv);
    until("pictures again", || viewer.pictures() > 5);
    let mut hls = probe(&url_of("hlsURL"));
    hls.dedup();
    assert_eq!(hls, ["aac", "h264"]);
    whep::play(&b, &url_of("whepURL"), 30);
    assert_eq!(pulls(&b), 2);
    assert_eq!(b.request("GET", path(&flv).split('?').next().unwrap(), "").0, 403, "not without permission");
    // Nobody else publishes it meanwhile, wherever.
    let other = url.replace(&a.rtmp.to_string(), &b.rtmp.to_string());
    assert!(other != url && !ended("a second publisher", &mut push(&other)));
    // Nor is it given to whoever says that it is a node.
    let stolen = url_of("accelerateURL").replace("/live/", "/node/").replace(&b.rtmp.to_string(), &a.rtmp.to_string());
    assert!(probe(&stolen).is_empty());

    // Redis goes away for long. What needs it says so at once; everything else goes on.
    let token = bob.token.clone();
    redis.stop();
    let begun = Instant::now();
    let before = viewer.pictures();
    let mut said = Vec::new();
    while begun.elapsed() < OUTAGE {
        let (status, retry, took) = heartbeat(b.http, "bob", &token);
        assert_eq!((status, retry), (503, true));
        assert!(took < Duration::from_millis(1500), "{took:?}");
        if said.len() < 3 {
            let text = format!("without redis {}", said.len());
            said.push((at_a.say(&text), text));
            assert!(at_a.has(said[said.len() - 1].0, &said[said.len() - 1].1));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(viewer.pictures() > before + 50, "a running player goes on");
    redis.resume();
    let back = Instant::now();
    until("calls are answered again", || heartbeat(b.http, "bob", &token).0 == 200);
    assert!(back.elapsed() < Duration::from_secs(3), "within a heartbeat: {:?}", back.elapsed());
    until("the other node hears what was said", || said.iter().all(|(seq, text)| at_b.has(*seq, text)));
    let after = at_b.say("back");
    assert_eq!(after, said[2].0 + 1);
    until("and the first one goes on", || at_a.has(after, "back"));
    // Longer than anybody may be silent: nobody was expired for it, nothing was told twice.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        assert_eq!(heartbeat(b.http, "bob", &token).0, 200);
        assert_eq!(bob.pushers("r"), ["alice", "bob"]);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!((at_a.changes(), at_b.changes()), (1, 1));
    let mut numbers: Vec<u64> = at_a.heard().into_iter().map(|(seq, _)| seq).collect();
    numbers.dedup();
    assert_eq!(numbers, (1..=after).collect::<Vec<_>>(), "no gaps, nothing twice");

    // A is killed. Its member pushes no more, and leaves once.
    let last = at_a.heard().last().unwrap().0;
    drop(a);
    alices.kill();
    until("alice is gone", || bob.pushers("r") == ["bob"]);
    until("the others hear it", || at_b.changes() == 2);
    assert_eq!(events(&redis, "Left", "alice"), [json!({"user": "alice", "reason": "timeout"})]);
    assert_eq!(events(&redis, "Joined", "alice").len(), 1);
    assert!(events(&redis, "Left", "bob").is_empty());
    // Its chat members come back elsewhere and get what they missed.
    let said = at_b.say("is anybody there?");
    let carol = b.login("multi_room", "carol");
    let mut again = Chat::connect(&b, &carol);
    let answer = again.ask(json!({"type": "join", "room": "r", "since": {"epoch": joined["epoch"], "seq": last}}));
    assert_eq!((&answer["anew"], &answer["gap"]), (&json!(false), &json!(false)), "{answer}");
    until("what was missed", || again.has(said, "is anybody there?"));
    assert_eq!(again.heard().first().unwrap().0, last + 1);
    // Its stream may be pushed to the other node now, and its player there goes on.
    let url = elsewhere.push_url("r");
    let mut again = push(&url);
    let before = viewer.pictures();
    until("the player sees it go on", || {
        // Refused while the first node may only be slow: encoders try again.
        if again.0.try_wait().unwrap().is_some() {
            again = push(&url);
        }
        viewer.pictures() > before + 5
    });
    assert_eq!(elsewhere.enter("r", &url)["code"], 0);
}

fn is_pulled(server: &Server, flv: &str) -> bool {
    let name = path(flv).rsplit('/').next().unwrap().split(".flv").next().unwrap().to_owned();
    let streams = crate::kit::said(&server.dir);
    let begun = "a stream is pulled from another node";
    let ended = "a stream is no longer pulled";
    let of = |what: &str| streams.lines().filter(|line| line.contains(what) && line.contains(&name)).count();
    of(begun) > of(ended)
}

#[test]
fn a_node_starts_without_redis_and_waits_for_it() {
    let mut redis = RedisServer::start(&[]);
    redis.stop();
    let server = node(&redis);
    let alice = server.login("multi_room", "alice");
    let (status, retry, took) = heartbeat(server.http, "alice", &alice.token);
    assert_eq!((status, retry), (503, true));
    assert!(took < Duration::from_millis(1500), "{took:?}");
    redis.resume();
    let url = alice.push_url("r");
    until("rooms can be made", || {
        let body = json!({ "roomID": "r", "userID": "alice", "userName": "", "userAvatar": "", "pushURL": url });
        let path = format!("/weapp/multi_room/add_pusher?userID=alice&token={}", alice.token);
        server.request("POST", &path, &body.to_string()).0 == 200
    });
    let mut chat = Chat::connect(&server, &alice);
    until("and talked in", || chat.ask(json!({"type": "join", "room": "r"}))["type"] == "ack");
    assert_eq!(chat.say("hello"), 1);
}

/// The first attempt is let in where the node that had the stream is gone: killed, or begun anew at the same address.
#[test]
fn a_publisher_of_a_node_that_is_gone_is_let_in_at_once() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let alice = a.login("multi_room", "alice");
    let elsewhere = b.login("multi_room", "alice");
    let url = alice.push_url("r");
    let other = elsewhere.push_url("r");
    let first = push(&url);
    assert_eq!(alice.enter("r", &url)["code"], 0);
    let flv =
        elsewhere.ok("get_pushers", json!({ "roomID": "r" }))["pushers"][0]["flvURL"].as_str().unwrap().to_owned();
    let viewer = Viewer::watch(&flv);
    until("pictures of the first node", || viewer.pictures() > 5);
    // While that node lives, nobody is let in for it.
    assert!(!ended("a second publisher", &mut push(&other)));
    // Killed with everything that it had.
    let rtmp = a.rtmp.to_string();
    let mut before = viewer.pictures();
    drop(a);
    drop(first);
    let mut second = push(&other);
    until("its viewer sees the publisher at the other node", || viewer.pictures() > before + 10);
    assert!(second.0.try_wait().unwrap().is_none(), "let in at the first attempt");

    // The node is back under its address and takes the stream; then it is killed once more, and begins at once.
    second.kill();
    let variables = [("ROOMSERVICE_RTMP__LISTEN", rtmp.as_str())];
    let a = node_with(&redis, &variables);
    let mut third = push(&url);
    before = viewer.pictures();
    until("pictures of the first node again", || viewer.pictures() > before + 10);
    assert!(third.0.try_wait().unwrap().is_none(), "an old connection that is closed holds nobody up");
    drop(a);
    let a = node_with(&redis, &variables);
    let mut fourth = push(&url);
    before = viewer.pictures();
    until("pictures of its successor", || viewer.pictures() > before + 10);
    assert!(fourth.0.try_wait().unwrap().is_none(), "let in at the first attempt");
    drop(a);
}

/// A node whose machine was paused is behind the others for a while. Who is heard by it is not silent to them.
#[test]
fn a_node_that_stood_still_keeps_its_members() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let here = a.login("multi_room", "alice");
    let there = b.login("multi_room", "alice");
    assert_eq!(here.enter("r", &here.push_url("r"))["code"], 0);
    let signal = |name: &str| {
        assert!(testkit::bounded::program("kill").args([name, &a.pid().to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    let begun = Instant::now();
    while begun.elapsed() < OUTAGE {
        assert_eq!(there.heartbeat("r")["code"], 0);
        std::thread::sleep(Duration::from_millis(500));
    }
    signal("-CONT");
    // As one who comes just now.
    let bob = a.login("multi_room", "bob");
    assert_eq!(bob.enter("r", &bob.push_url("r"))["code"], 0);
    let begun = Instant::now();
    while begun.elapsed() < OUTAGE {
        for user in [&here, &bob] {
            assert_eq!(user.heartbeat("r")["code"], 0, "{} after {:?}", user.id, begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(there.pushers("r"), ["alice", "bob"]);
    let left = events(&redis, "left", "alice").len() + events(&redis, "left", "bob").len();
    assert_eq!(left, 0, "nobody was put out meanwhile");
}
