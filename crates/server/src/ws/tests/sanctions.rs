//! Who may be heard: muting, banning, putting out; and clients that do not keep to the protocol.

use room::Kind;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::World;
use super::client::Socket;
use futures_util::SinkExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_creator_mutes_bans_and_puts_out() {
    let world = World::start().await;
    world.enter(Kind::Live, "r", "creator").await;
    let mut creator = Socket::enter(&world, "creator").await;
    let mut bob = Socket::enter(&world, "bob").await;
    for one in [&mut creator, &mut bob] {
        let joined = one.ask(json!({"type": "join", "room": "r"})).await;
        assert_eq!(joined["type"], "ack", "{joined}");
    }
    let refused = bob.ask(json!({"type": "kick", "room": "r", "user": "creator"})).await;
    assert_eq!(refused["code"], "not_creator");

    let mute = |seconds: u64| json!({"type": "mute", "room": "r", "user": "bob", "seconds": seconds});
    assert_eq!(creator.ask(mute(600)).await["type"], "ack");
    let refused = bob.ask(json!({"type": "send", "room": "r", "text": "but"})).await;
    assert_eq!(refused["code"], "muted");
    assert!(refused["until"].is_u64(), "{refused}");
    creator.ask(mute(0)).await;
    assert_eq!(bob.ask(json!({"type": "send", "room": "r", "text": "thanks"})).await["type"], "ack");
    assert_eq!(bob.event_of("message").await["from"], "bob");

    creator.ask(json!({"type": "ban", "room": "r", "user": "bob"})).await;
    let out = bob.event_of("out").await;
    assert_eq!((&out["type"], &out["reason"], &out["until"]), (&json!("out"), &json!("banned"), &json!(null)));
    assert_eq!(bob.ask(json!({"type": "join", "room": "r"})).await["code"], "banned");
    creator.ask(json!({"type": "ban", "room": "r", "user": "bob", "seconds": 0})).await;
    assert_eq!(bob.ask(json!({"type": "join", "room": "r"})).await["type"], "ack");
    creator.ask(json!({"type": "kick", "room": "r", "user": "bob"})).await;
    assert_eq!(bob.event_of("out").await["reason"], "kicked");
    assert_eq!(bob.ask(json!({"type": "send", "room": "r", "text": "?"})).await["code"], "not_member");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_the_protocol_is_stopped() {
    let world = World::with(|settings| {
        settings.chat.max_frame = 2048;
        settings.chat.rate = 1;
        settings.chat.burst = 3;
    })
    .await;
    let mut one = Socket::enter(&world, "one").await;
    for n in 0..3 {
        one.say(&json!({"type": "ping", "id": n})).await;
        assert_eq!(one.frame().await.unwrap()["type"], "ack");
    }
    let refused = one.ask(json!({"type": "ping"})).await;
    assert_eq!(refused["code"], "too_fast");
    assert!(refused["retryAfter"].as_u64().unwrap() <= 1000, "{refused}");
    for n in 0..250 {
        // Near the end the server has closed, and writing fails.
        let _ = one.socket.send(Message::text(json!({"type": "ping", "id": n}).to_string())).await;
    }
    assert_eq!(one.end().await, Some(4502));

    let mut pinging = Socket::enter(&world, "pinging").await;
    for _ in 0..250 {
        let _ = pinging.socket.send(Message::Ping(Vec::new().into())).await;
    }
    assert_eq!(pinging.end().await, Some(4502), "each ping is work, too");

    let mut two = Socket::enter(&world, "two").await;
    two.socket.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(two.end().await, Some(4500));
    let mut three = Socket::enter(&world, "three").await;
    three.socket.send(Message::text("x".repeat(3000))).await.unwrap();
    assert_eq!(three.end().await, Some(4503));
    let mut four = Socket::enter(&world, "four").await;
    four.socket.send(Message::text("{")).await.unwrap();
    assert_eq!(four.frame().await.unwrap()["code"], "bad_frame", "and it goes on");
    world.stop().await;
}
