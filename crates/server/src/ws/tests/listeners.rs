//! Two thousand listen: they are counted, not broadcast, and one message reaches all.

use std::time::Instant;

use serde_json::json;
use tokio::task::JoinSet;

use super::client::Socket;
use super::{World, room};

const LISTENERS: usize = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_room_is_counted_at_most_once_a_second() {
    let world = World::start().await;
    world.server.app.chat.create(&room("big"), None, "").unwrap();
    let mut first = Socket::enter(&world, "first").await;
    first.ask(json!({"type": "join", "room": "big"})).await;
    let began = Instant::now();
    let mut others = Vec::new();
    for n in 1..LISTENERS {
        let mut one = Socket::enter(&world, &format!("user{n}")).await;
        let joined = one.ask(json!({"type": "join", "room": "big"})).await;
        assert_eq!(joined["users"], n + 1);
        others.push(one);
    }
    let mut counts = Vec::new();
    while counts.last() != Some(&LISTENERS) {
        let event = first.frame().await.unwrap();
        assert_eq!(event["type"], "count", "{event}");
        counts.push(usize::try_from(event["users"].as_u64().unwrap()).unwrap());
    }
    let most = began.elapsed().as_secs() + 2;
    assert!(counts.len() as u64 <= most, "{} counts in {:?}", counts.len(), began.elapsed());
    assert!(counts.is_sorted_by(|a, b| a < b), "each tells something new: {counts:?}");

    let mut waiting: JoinSet<_> = others.into_iter().map(|mut one| async move { one.event().await }).collect();
    first.ask(json!({"type": "send", "room": "big", "text": "all of you"})).await;
    let mut heard = 0;
    while let Some(event) = waiting.join_next().await {
        assert_eq!(event.unwrap()["seq"], 1);
        heard += 1;
    }
    assert_eq!(heard, LISTENERS - 1);
    world.stop().await;
}
