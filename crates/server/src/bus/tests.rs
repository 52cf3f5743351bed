//! What is said is heard by every node, in one order, also by one that was cut off.

use super::*;
use crate::store::redis::tests::Process;

async fn hear(ear: &mut Ear, count: usize) -> Vec<(String, u64, String)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        match ear.recv().await.unwrap() {
            Heard::Said { topic, from, body } => {
                heard.push((topic.into(), from, String::from_utf8(body.to_vec()).unwrap()));
            }
            Heard::Missed => panic!("nothing was lost"),
        }
    }
    heard
}

#[tokio::test]
async fn one_node_hears_itself() {
    let (bus, mut ear) = Memory::new();
    for n in 0..3 {
        bus.send("room", n.to_string().into()).await.unwrap();
    }
    let heard = hear(&mut ear, 3).await;
    assert_eq!(heard[2], ("room".into(), bus.node(), "2".into()));
    assert!(bus.send("room", vec![0; MAX_MESSAGE + 1].into()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_hear_the_same_in_the_same_order_over_an_outage() {
    let mut server = Process::start(&[]);
    let (a, mut ear_a) = Redis::open(server.target(0)).await.unwrap();
    let (b, mut ear_b) = Redis::open(server.target(0)).await.unwrap();
    for n in 0..100 {
        let (a, b) = tokio::join!(a.send("room", format!("a{n}").into()), b.send("room", format!("b{n}").into()));
        a.unwrap();
        b.unwrap();
    }
    let of_a = hear(&mut ear_a, 200).await;
    assert_eq!(of_a, hear(&mut ear_b, 200).await);
    assert_eq!(of_a.iter().filter(|(_, from, _)| *from == a.node()).count(), 100);
    server.stop();
    assert!(matches!(a.send("room", "lost".into()).await, Err(crate::error::Error::Unavailable(_))));
    server.resume();
    // Heals by itself; what is said from then on is heard, what could not be said is not.
    while a.send("room", "back".into()).await.is_err() {
        tokio::task::yield_now().await;
    }
    // Its connection broke too, and who uses it first hears of it.
    while b.send("room", "too".into()).await.is_err() {
        tokio::task::yield_now().await;
    }
    for ear in [&mut ear_a, &mut ear_b] {
        let said: Vec<String> = hear(ear, 2).await.into_iter().map(|(_, _, said)| said).collect();
        assert_eq!(said, ["back", "too"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_too_long_is_told_so() {
    let server = Process::start(&[]);
    let (bus, mut ear) = Redis::open(server.target(0)).await.unwrap();
    bus.send("room", "before".into()).await.unwrap();
    hear(&mut ear, 1).await;
    // Three messages that are no longer kept when this node comes to read them.
    server.cli(&["incrby", "rs:{0}:bus:count", "3"]);
    bus.send("room", "after".into()).await.unwrap();
    assert_eq!(ear.recv().await.unwrap(), Heard::Missed);
    assert_eq!(hear(&mut ear, 1).await[0].2, "after");
}
