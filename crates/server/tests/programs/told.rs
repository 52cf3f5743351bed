//! What webhooks tell of chat, mixes and recordings, and what a muted user hears, with real video and servers that are
//! killed: nothing that was acknowledged is lost.

use std::sync::{Arc, Mutex};

use crate::kit::backend::{Backend, Heard, SECRET};
use crate::kit::chat::Chat;
use crate::kit::pictures::{background, guest, merge, push_color, stream_of};
use crate::kit::redis::node_with;
use crate::kit::{self, Server, directory, until};
use serde_json::{Value, json};
use testkit::RedisServer;
use testkit::bounded::program;

fn listen() -> (Backend, String) {
    let backend = Backend::start("127.0.0.1:0".parse().unwrap(), Arc::new(Mutex::new(Heard::default())));
    let url = format!("http://{}/hook", backend.at);
    (backend, url)
}

fn hooked(url: &str) -> [(&str, &str); 3] {
    [
        ("ROOMSERVICE_WEBHOOKS__URLS", url),
        ("ROOMSERVICE_WEBHOOKS__SECRET", SECRET),
        ("ROOMSERVICE_WEBHOOKS__MESSAGES", "after"),
    ]
}

fn join(server: &Server, user: &kit::User<'_>) -> Chat {
    let mut chat = Chat::connect(server, user);
    assert_eq!(chat.ask(json!({"type": "join", "room": "r"}))["type"], "ack");
    chat
}

/// Somebody who keeps the room there.
fn keep(user: &kit::User<'_>) {
    assert_eq!(user.enter("r", &user.push_url("r"))["code"], 0);
}

fn refused(chat: &mut Chat) -> Value {
    let answer = chat.ask(json!({"type": "send", "room": "r", "text": "may I?"}));
    answer["code"].clone()
}

fn texts(backend: &Backend) -> Vec<String> {
    let text = |event: &Value| event["body"][0]["MsgContent"]["Text"].as_str().unwrap().to_owned();
    backend.events("message").iter().map(text).collect()
}

#[test]
fn what_was_acknowledged_survives_a_killed_server() {
    let (backend, url) = listen();
    let mut variables = hooked(&url).to_vec();
    variables.push(("ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT", "30"));
    let mut server = Server::with(directory(), &variables);
    keep(&server.login("multi_room", "alice"));
    until("the URL is known", || !backend.events("room_created").is_empty());
    let mut said = Vec::new();
    for round in 0..6 {
        let alice = server.login("multi_room", "alice");
        let bob = server.login("multi_room", "bob");
        let mut hers = join(&server, &alice);
        let mut his = join(&server, &bob);
        // Muted in every second life, and still in the one after it.
        assert_eq!(refused(&mut his) == "muted", round % 2 == 1, "round {round}");
        for n in 0..3 {
            let text = format!("{round}-{n}");
            hers.say(&text);
            said.push(text);
        }
        let seconds = if round % 2 == 0 { json!(3600) } else { json!(0) };
        let answer = hers.ask(json!({"type": "mute", "room": "r", "user": "bob", "seconds": seconds}));
        assert_eq!(answer["type"], "ack", "{answer}");
        let text = format!("{round}-last");
        hers.say(&text);
        said.push(text);
        drop((alice, bob));
        server.crash();
        server = server.again(&variables);
    }
    until("all that was acknowledged is told", || {
        let told = texts(&backend);
        said.iter().all(|text| told.contains(text))
    });
    let told: Vec<String> = texts(&backend).into_iter().filter(|text| text != "may I?").collect();
    assert_eq!(told, said, "each once, in order");
}

#[test]
fn what_was_acknowledged_survives_a_killed_node() {
    let redis = RedisServer::start(&[]);
    let (backend, url) = listen();
    let mut variables = hooked(&url).to_vec();
    variables.push(("ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT", "30"));
    let b = node_with(&redis, &variables);
    keep(&b.login("multi_room", "alice"));
    until("the URL is known", || !backend.events("room_created").is_empty());
    let alices = b.login("multi_room", "alice");
    let bobs = b.login("multi_room", "bob");
    let mut here = join(&b, &alices);
    let mut said = Vec::new();
    for round in 0..3 {
        let mut a = node_with(&redis, &variables);
        let alice = a.login("multi_room", "alice");
        let bob = a.login("multi_room", "bob");
        let mut hers = join(&a, &alice);
        let mut his = join(&a, &bob);
        // Connected to both nodes, she counts once.
        let mut users = Value::Null;
        until("everybody is counted once", || {
            here.read();
            let count = here.frames.iter().rev().find(|frame| frame["type"] == "count");
            users = count.map(|frame| frame["users"].clone()).unwrap_or_default();
            users == 2
        });
        assert_eq!(refused(&mut his) == "muted", round > 0);
        hers.say(&format!("{round}-a"));
        here.say(&format!("{round}-b"));
        let answer = hers.ask(json!({"type": "mute", "room": "r", "user": "bob"}));
        assert_eq!(answer["type"], "ack", "{answer}");
        let text = format!("{round}-last");
        hers.say(&text);
        said.extend([format!("{round}-a"), format!("{round}-b"), text]);
        drop((alice, bob));
        a.crash();
        // The other node knows: nobody was in the room there.
        assert_eq!(refused(&mut join(&b, &bobs)), "muted");
    }
    until("all that was acknowledged is told", || {
        let told = texts(&backend);
        said.iter().all(|text| told.contains(text))
    });
    let told = backend.events("message");
    let numbers: Vec<u64> = told.iter().map(|event| event["messageSeq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    let told: Vec<String> = texts(&backend).into_iter().filter(|text| text != "may I?").collect();
    assert_eq!(told, said, "each once, in order");
}

#[test]
fn mixes_and_recordings_are_told_when_they_begin_and_when_they_are_ready() {
    let (backend, url) = listen();
    let dir = directory();
    let kept = dir.join("kept");
    let mut variables = hooked(&url).to_vec();
    variables.push(("ROOMSERVICE_RECORD__ENABLED", "true"));
    variables.push(("ROOMSERVICE_RECORD__DIR", kept.to_str().unwrap()));
    let server = Server::with(dir.clone(), &variables);
    let alice = server.login("live_room", "alice");
    let bob = server.login("live_room", "bob");
    let hers = alice.push_url("r");
    let his = bob.push_url("r");
    assert_eq!(alice.enter("r", &hers)["code"], 0);
    assert_eq!(bob.enter("r", &his)["code"], 0);
    until("the URL is known", || !backend.events("pusher_joined").is_empty());
    let mut her_push = push_color(&format!("{hers}&record=1"), "red", "360x640");
    let _his_push = push_color(&his, "blue", "320x480");
    let name = stream_of(&hers);
    let guests = stream_of(&his);
    until("both streams are told", || backend.events("stream_started").len() == 2);
    until("a recording began", || !backend.events("record_started").is_empty());
    let reply = merge(&alice, "r", &name, vec![background(&name), guest(&guests, 0, 0)]);
    assert_eq!(reply["merge_code"], 0, "{reply}");
    until("a mix began", || !backend.events("mix_started").is_empty());
    let started = backend.events("mix_started")[0].clone();
    let told = (&started["roomID"], &started["streamID"], &started["userID"], &started["sessionID"]);
    assert_eq!(told, (&json!("r"), &json!(name), &json!("alice"), &json!(name)));
    merge(&alice, "r", &name, vec![background(&name)]);
    until("the mix ended", || backend.events("mix_ended").iter().any(|event| event["reason"] == "stopped"));

    // Enough of it, then the encoder ends the stream as it should.
    let recorded = || std::fs::read_dir(&kept).unwrap().map(|file| file.unwrap().path()).next();
    until("some seconds are written", || recorded().is_some_and(|file| file.metadata().unwrap().len() > 30_000));
    let pid = her_push.pid().to_string();
    assert!(program("kill").args(["-INT", &pid]).status().unwrap().success());
    kit::ended("the encoder", &mut her_push);
    until("the recording is ready", || !backend.events("record_ready").is_empty());
    let ready = backend.events("record_ready")[0].clone();
    assert_eq!((&ready["roomID"], &ready["streamID"], &ready["userID"]), (&json!("r"), &json!(name), &json!("alice")));
    let file = kept.join(ready["file"].as_str().unwrap());
    assert_eq!(ready["size"].as_u64().unwrap(), file.metadata().unwrap().len(), "the file is whole when it is told");
    assert!(ready["seconds"].as_f64().unwrap() > 1.0, "{ready}");
    assert_eq!(kit::probe(file.to_str().unwrap()), ["aac", "h264"]);
    assert_eq!(backend.events("record_started").len(), 1);
}
