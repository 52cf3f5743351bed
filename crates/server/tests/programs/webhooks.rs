//! Webhooks of the real program: a backend that fails, hangs, is away and comes back, and a server that is killed. Every
//! event arrives, in order for each room, signed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::kit::backend::{Backend, Heard, Mood, SECRET};
use crate::kit::{Server, directory, until};
use serde_json::{Value, json};
use testkit::bounded::program;

/// The function that the documentation shows, run on a real request.
fn documented_check(signature: &str, body: &str, secret: &str) -> String {
    let document = include_str!("../../../../docs/webhooks.md");
    let code = document.split("```js\n").nth(1).unwrap().split("```").next().unwrap();
    let seconds = signature[2..].split(',').next().unwrap();
    let call =
        format!("{code}\nconsole.log(isOurs({}, {}, {}, {seconds}));", json!(secret), json!(signature), json!(body));
    let output = program("node").args(["-e", &call]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn every_event_arrives_in_order_whatever_the_backend_and_the_server_go_through() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut backend = Backend::start("127.0.0.1:0".parse().unwrap(), heard.clone());
    let at = backend.at;
    let url = format!("http://{at}/hook");
    let variables = [("ROOMSERVICE_WEBHOOKS__URLS", url.as_str()), ("ROOMSERVICE_WEBHOOKS__SECRET", SECRET)];
    let mut server = Server::with(directory(), &variables);
    let mut visits = 0;
    let mut visit = |server: &Server, rooms: usize| {
        let users: Vec<_> = (0..rooms).map(|n| server.login("live_room", &format!("user{n}"))).collect();
        for (n, user) in users.iter().enumerate() {
            let room = format!("r{n}");
            assert_eq!(user.enter(&room, &user.push_url(&room))["code"], 0);
            assert_eq!(user.call("delete_pusher", json!({ "roomID": room }))["code"], 0);
        }
        visits += 1;
    };
    const ROOMS: usize = 5;
    const EVENTS: usize = 4 * ROOMS;
    // A new URL hears what happens from when it is known.
    until("the first events come", || {
        server.login("live_room", "early").call("create_room", json!({ "roomInfo": "x" }));
        backend.accepted() > 0
    });
    visit(&server, ROOMS);
    until("all is well", || {
        backend.heard.lock().unwrap().accepted.iter().filter(|e| e["event"] == "room_closed").count() >= ROOMS
    });
    backend.mood(Mood::Fails);
    visit(&server, ROOMS);
    until("it failed", || backend.heard.lock().unwrap().refused > 3);
    // The server dies with what was refused, and with what nobody heard.
    backend.stop();
    visit(&server, ROOMS);
    server.crash();
    let mut server = server.again(&variables);
    visit(&server, ROOMS);
    backend = Backend::start(at, heard.clone());
    backend.mood(Mood::Hangs);
    let begun = std::time::Instant::now();
    until("it hangs", || backend.heard.lock().unwrap().refused > 4);
    visit(&server, ROOMS);
    assert!(begun.elapsed() < Duration::from_secs(10), "a backend that hangs costs nobody anything");
    backend.mood(Mood::Accepts);
    // Killed while it tells, with somebody in a room who does not come back.
    let member = server.login("live_room", "gone");
    assert_eq!(member.enter("rx9", &member.push_url("rx9"))["code"], 0);
    let before = backend.accepted();
    server.crash();
    let server = server.again(&variables);
    until("something more came", || backend.accepted() > before);
    let of_visits = || {
        let heard = backend.heard.lock().unwrap();
        let mut events: Vec<Value> = heard.accepted.iter().filter(|e| e["userID"] != "early").cloned().collect();
        events.retain(|e| e["roomID"].as_str().unwrap().len() == 2);
        events
    };
    let unique =
        |events: &[Value]| events.iter().map(|e| e["id"].to_string()).collect::<std::collections::BTreeSet<_>>().len();
    let of_member = || {
        let heard = backend.heard.lock().unwrap();
        let events = heard.accepted.iter().filter(|e| e["roomID"] == "rx9");
        let mut events: Vec<_> =
            events.map(|e| (e["id"].to_string(), e["event"].clone(), e["reason"].clone())).collect();
        events.sort_by(|a, b| a.0.cmp(&b.0));
        events.dedup();
        events.into_iter().map(|(_, event, reason)| (event, reason)).collect::<Vec<_>>()
    };
    until("the lost member's room is closed", || of_member().len() >= 4);
    let none = Value::Null;
    let expected = [
        (json!("room_created"), none.clone()),
        (json!("pusher_joined"), none),
        (json!("pusher_left"), json!("timeout")),
        (json!("room_closed"), json!("creator_left")),
    ];
    assert_eq!(of_member(), expected, "one leave for one join, with its reason");
    until("every event came", || unique(&of_visits()) >= visits * EVENTS);

    // In order for each room; what comes twice has the same id, and nothing is there twice under two.
    let mut by_room: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut newest: BTreeMap<String, String> = BTreeMap::new();
    for event in of_visits() {
        let room = event["roomID"].as_str().unwrap().to_owned();
        let id = event["id"].as_str().unwrap().to_owned();
        let last = newest.entry(room.clone()).or_default();
        if id > *last {
            *last = id;
            by_room.entry(room).or_default().push(event);
        }
    }
    assert_eq!(by_room.len(), ROOMS);
    for (room, events) in &by_room {
        let names: Vec<_> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
        let once = ["room_created", "pusher_joined", "pusher_left", "room_closed"];
        assert_eq!(names, once.repeat(visits), "{room}");
        let seqs: Vec<_> = events.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, [1, 2, 3, 4].repeat(visits), "{room}");
    }
    let (signature, body) = backend.heard.lock().unwrap().sample.clone().unwrap();
    assert_eq!(documented_check(&signature, &body, SECRET), "true");
    assert_eq!(documented_check(&signature, &body, "another secret"), "false");
    assert_eq!(documented_check(&signature, &body.replacen("time", "Time", 1), SECRET), "false");
    drop(server);
}
