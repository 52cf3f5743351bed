//! docs/chat.md is what the server does: its conversations are held, its examples are frames, its codes are all there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::client::Socket;
use super::{World, room, user};
use chat::close::Close;

const DOCUMENT: &str = include_str!("../../../../../docs/chat.md");

/// The lines of all blocks of a kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in DOCUMENT.lines() {
        match line.strip_prefix("```") {
            Some(name) => inside = !inside && name == kind,
            None if inside => lines.push(line),
            None => {}
        }
    }
    lines
}

/// Type, field names and their kinds, and the values that do not depend on the time.
fn shape(frame: &Value) -> BTreeSet<String> {
    let changing = ["time", "epoch", "message", "direct"];
    let entry = |(name, value): (&String, &Value)| match value {
        Value::Array(list) if name == "messages" => format!("{name}: {:?}", list.iter().map(shape).collect::<Vec<_>>()),
        Value::Number(n) if changing.contains(&name.as_str()) || n.as_u64() > Some(1 << 33) => {
            format!("{name}: number")
        }
        Value::String(_) if changing.contains(&name.as_str()) => format!("{name}: text"),
        value => format!("{name}: {value}"),
    };
    frame.as_object().unwrap().iter().map(entry).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_conversation_is_held() {
    let world = World::with(|settings| {
        settings.chat.rate = 20;
        settings.chat.burst = 100;
    })
    .await;
    world.server.app.chat.create(&room("r1"), Some(&user("alice")), "").unwrap();
    let mut alice = Socket::enter(&world, "alice").await;
    let mut at = 0;
    for line in blocks("chat") {
        at += 1;
        let (who, frame) = line.split_at(2);
        let frame: Value = serde_json::from_str(frame).unwrap_or_else(|why| panic!("{why}: {line}"));
        match who {
            "> " => alice.say(&frame).await,
            "< " if frame["type"] == "welcome" => assert_eq!(shape(&alice.welcome), shape(&frame)),
            "< " => {
                let got = alice.event().await;
                assert_eq!(shape(&got), shape(&frame), "line {at}: {line}\ngot {got}");
            }
            _ => panic!("{line}"),
        }
    }
    assert!(at > 30, "{at}");
    world.stop().await;
}

#[test]
fn the_other_examples_are_frames() {
    let types: BTreeSet<_> = blocks("json")
        .into_iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types, ["count", "out", "system"].map(str::to_owned).into());
}

#[test]
fn every_close_code_is_documented() {
    for close in Close::ALL {
        assert!(DOCUMENT.contains(&format!("| {} |", close.code())), "{close:?}");
        assert!(close.reason().len() <= 123);
    }
}
