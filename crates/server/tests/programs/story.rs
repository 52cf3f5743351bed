//! The story of two users, on the real program with real video: they log in, push, find each other in a
//! room, see each other, and leave in good and bad ways.

use std::time::{Duration, Instant};

use crate::kit::{Server, directory, ended, over_websocket, probe, probe_bytes, push, until};
use serde_json::json;

const BOTH: [&str; 2] = ["aac", "h264"];
/// `rooms.heartBeatTimeout` of the servers here.
const TIMEOUT: Duration = Duration::from_secs(3);

fn story(kind: &str) {
    let server = Server::start(directory());
    let alice = server.login(kind, "alice");
    let bob = server.login(kind, "bob");
    let room = alice.ok("create_room", json!({ "roomInfo": "tea" }))["roomID"].as_str().unwrap().to_owned();
    let hers = alice.push_url(&room);
    let his = bob.push_url(&room);
    let mut her_push = push(&hers);
    let mut his_push = push(&his);
    assert_eq!(alice.enter(&room, &hers)["code"], 0);
    assert_eq!(bob.enter(&room, &his)["code"], 0);

    // They find each other in the list, with the room's name.
    let list = bob.ok("get_room_list", json!({ "cnt": 20, "index": 0 }))["rooms"].clone();
    assert_eq!((&list[0]["roomID"], &list[0]["roomInfo"]), (&json!(room), &json!("tea")), "{list}");
    assert_eq!(list[0]["pushers"].as_array().unwrap().len(), 2, "{list}");
    let seen = bob.ok("get_pushers", json!({ "roomID": room }));
    assert_eq!(seen["roomCreator"], "alice");
    let of = |at: usize| seen["pushers"][at]["accelerateURL"].as_str().unwrap().to_owned();
    let mixed = seen["mixedPlayURL"].as_str().unwrap();

    // Each plays the other's stream; an audience plays the room's, over HTTP and WebSocket.
    std::thread::scope(|scope| {
        let rtmp = [of(0), of(1)].map(|url| scope.spawn(move || probe(&url)));
        let http = scope.spawn(|| probe(mixed));
        let websocket = scope.spawn(|| probe_bytes(&over_websocket(&server, mixed, 60_000)));
        for player in rtmp {
            assert_eq!(player.join().unwrap(), BOTH, "over RTMP");
        }
        assert_eq!(http.join().unwrap(), BOTH, "over HTTP");
        assert_eq!(websocket.join().unwrap(), BOTH, "over WebSocket");
    });

    // A third is one too many in a double room only.
    let carol = server.login(kind, "carol");
    let url = carol.push_url(&room);
    let third = carol.enter(&room, &url);
    if kind == "double_room" {
        assert_eq!(third["code"], 5001, "{third}");
    } else {
        assert_eq!(third["code"], 0, "{third}");
        carol.ok("delete_pusher", json!({ "roomID": room }));
    }

    // Neither sends heartbeats; both push, so both stay for longer than the timeout.
    let quiet = Instant::now();
    while quiet.elapsed() < TIMEOUT + Duration::from_millis(1500) {
        assert_eq!(carol.pushers(&room), ["alice", "bob"], "after {:?}", quiet.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    // His ffmpeg is killed: he is gone within the timeout and a second.
    his_push.kill();
    let gone = until("bob is removed", || carol.pushers(&room) == ["alice"]);
    assert!(gone <= TIMEOUT + Duration::from_secs(1), "bob stayed for {gone:?}");
    assert_eq!(bob.heartbeat(&room)["code"], 5);

    // She leaves in order: the room closes, and her ffmpeg may go on or not.
    alice.ok("delete_pusher", json!({ "roomID": room }));
    assert_eq!(carol.ok("get_room_list", json!({ "cnt": 20, "index": 0 }))["rooms"], json!([]));
    assert_eq!(carol.call("get_pushers", json!({ "roomID": room }))["code"], 3);
    her_push.kill();

    // And whatever happened, nothing secret was written down.
    let written = server.written();
    assert!(written.contains("add_pusher 200 0 user=bob"), "{written}");
    for secret in [&hers, &his, &of(0), &mixed.to_owned()] {
        let secret = &secret.split("txSecret=").nth(1).unwrap()[..32];
        assert!(!written.contains(secret), "a txSecret was written:\n{written}");
    }
    for user in [&alice, &bob, &carol] {
        assert!(!written.contains(&user.token), "a token was written:\n{written}");
    }
}

#[test]
fn two_in_a_double_room() {
    story("double_room");
}

#[test]
fn two_in_a_multi_room() {
    story("multi_room");
}

#[test]
fn two_in_a_live_room() {
    story("live_room");
}

#[test]
fn who_only_sends_heartbeats_stays_and_who_falls_silent_goes() {
    let server = Server::start(directory());
    let alice = server.login("multi_room", "alice");
    let bob = server.login("multi_room", "bob");
    for user in [&alice, &bob] {
        assert_eq!(user.enter("r", &user.push_url("r"))["code"], 0);
    }
    let begun = Instant::now();
    let gone = until("bob is removed", || {
        assert_eq!(alice.heartbeat("r")["code"], 0);
        alice.pushers("r") == ["alice"]
    });
    assert!(gone >= TIMEOUT - Duration::from_millis(500), "bob was removed after {gone:?}");
    assert!(begun.elapsed() <= TIMEOUT + Duration::from_secs(1), "bob stayed for {gone:?}");
}

#[test]
fn only_signed_urls_of_ones_own_are_admitted() {
    let server = Server::start(directory());
    let alice = server.login("live_room", "alice");
    let url = alice.push_url("r");
    let (base, query) = url.split_once('?').unwrap();
    // ffmpeg takes its time to start: all of them at once.
    let time = query.split("txTime=").nth(1).unwrap();
    let refused = [
        ("unsigned", base.to_owned()),
        ("expired", url.replace(time, "5F000000")),
        ("forged", url.replace(time, "7FFFFFFF")),
        ("of another stream", url.replace("alice?", "bob?")),
        ("of another key", format!("{base}?txSecret={}&txTime={time}", "0".repeat(32))),
        (
            "a URL for playing",
            alice.ok("get_push_url", json!({ "roomID": "r" }))["accelerateURL"].as_str().unwrap().into(),
        ),
    ];
    let mut running: Vec<_> = refused.iter().map(|(what, url)| (what, push(url))).collect();
    for (what, push) in &mut running {
        assert!(!ended(what, push), "{what} was admitted");
    }
    // The real one is.
    let mut first = push(&url);
    let play = alice.ok("get_push_url", json!({ "roomID": "r" }))["accelerateURL"].as_str().unwrap().to_owned();
    until("the stream plays", || probe(&play) == BOTH);
    // A second publisher is refused, and the first goes on.
    assert!(!ended("a second publisher", &mut push(&url)), "a second publisher was admitted");
    assert!(first.0.try_wait().unwrap().is_none(), "the first publisher ended");
    assert_eq!(probe(&play), BOTH);
    // Players need a signature too.
    let play_base = play.split('?').next().unwrap();
    assert!(probe(play_base).is_empty(), "an unsigned player was admitted");
    let flv = server.request("GET", "/live/1000_r_alice.flv", "");
    assert_eq!(flv.0, 403);
    assert!(server.written().contains("get_push_url 200 0"));
    first.kill();
}
