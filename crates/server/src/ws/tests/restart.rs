//! A server that is started again goes on with its conversations: numbers, what was missed, what waits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use room::{Kind, LeaveReason};
use serde_json::{Value, json};

use super::World;
use super::client::{Old, Socket};

async fn start(dir: &PathBuf) -> World {
    World::with(|settings| settings.data_dir.clone_from(dir)).await
}

/// Stops it, and waits until its last connection has let go of the journal.
async fn stop(world: World) {
    let store = Arc::downgrade(&world.server.app.store);
    world.server.stop().await;
    let gone = async {
        while store.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("nobody holds on to the store");
}

async fn join(world: &World, user: &str, since: Value) -> (Socket, Value) {
    let mut socket = Socket::enter(world, user).await;
    let joined = socket.ask(json!({"type": "join", "room": "r", "since": since})).await;
    (socket, joined)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_path_buf();
    let world = start(&dir).await;
    world.enter(Kind::Live, "r", "ann").await;
    world.enter(Kind::Live, "closed", "bob").await;
    let mut ann = Socket::enter(&world, "ann").await;
    let joined = ann.ask(json!({"type": "join", "room": "r"})).await;
    ann.ask(json!({"type": "join", "room": "closed"})).await;
    let mut seqs = Vec::new();
    for (random, text) in [(1, "one"), (2, "two"), (3, "three")] {
        let said = ann.ask(json!({"type": "send", "room": "r", "text": text, "random": random})).await;
        seqs.push(said["seq"].as_u64().unwrap());
    }
    let waits = ann.ask(json!({"type": "direct", "to": "carl", "text": "for later"})).await;
    assert_eq!(waits["waits"], true, "{waits}");
    drop(ann);
    stop(world).await;

    let world = start(&dir).await;
    let since = json!({"epoch": joined["epoch"], "seq": seqs[0]});
    let (mut ann, back) = join(&world, "ann", since).await;
    assert_eq!(
        (&back["epoch"], &back["anew"], &back["gap"]),
        (&joined["epoch"], &json!(false), &json!(false)),
        "{back}"
    );
    let missed = [ann.event_of("message").await, ann.event_of("message").await];
    assert_eq!(missed.map(|message| message["body"][0]["MsgContent"]["Text"].clone()), ["two", "three"]);
    // Numbers go on, and what is sent once more is known.
    let again = ann.ask(json!({"type": "send", "room": "r", "text": "three", "random": 3})).await;
    assert_eq!(again["seq"], seqs[2], "{again}");
    let next = ann.ask(json!({"type": "send", "room": "r", "text": "four", "random": 9})).await;
    assert!(next["seq"].as_u64() > Some(seqs[2]), "{next}");
    let mut carl = Socket::enter(&world, "carl").await;
    assert_eq!(carl.event_of("direct").await["from"], "ann");
    world
        .server
        .app
        .rooms
        .delete_pusher(Kind::Live, &super::room("closed"), &super::user("bob"), LeaveReason::Quit)
        .await
        .unwrap();
    drop((ann, carl));
    stop(world).await;

    // What ended stays ended, and what was handed over does not come again.
    let world = start(&dir).await;
    let (_, gone) = join(&world, "ann", Value::Null).await;
    assert_eq!(gone["type"], "ack", "{gone}");
    let mut ann = Socket::enter(&world, "ann").await;
    assert_eq!(ann.ask(json!({"type": "join", "room": "closed"})).await["code"], "no_room");
    let mut carl = Socket::enter(&world, "carl").await;
    carl.ask(json!({"type": "direct", "to": "carl", "text": "only this"})).await;
    assert_eq!(carl.event_of("direct").await["from"], "carl");
    world.stop().await;
}

/// A phone that was away for so long that its connection is forgotten, as after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_to_polls_hears_once_that_the_room_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_path_buf();
    let world = start(&dir).await;
    world.enter(Kind::Live, "r", "ann").await;
    let mut bob = Old::login(&world, "bob").await;
    bob.join("r").await;
    stop(world).await;

    let world = start(&dir).await;
    let ann = super::user("ann");
    world.server.app.rooms.delete_pusher(Kind::Live, &super::room("r"), &ann, LeaveReason::Quit).await.unwrap();
    // The group ends behind the room: a phone that comes in between hears of the leave, too.
    while world.server.app.chat.show(&super::room("r")).is_ok() {
        tokio::task::yield_now().await;
    }
    bob.goes_on_at(&world);
    let heard = bob.poll().await;
    let told = (heard.len(), &heard[0]["Event"], &heard[0]["MsgBody"]["ReportType"], &heard[0]["ToGroupId"]);
    assert_eq!(told, (1, &json!(5), &json!(5), &json!("r")), "the page closes the room at this alone");
    let next = json!({"StartSeq": bob.next(), "HoldTime": 0, "Key": bob.key()});
    let again = bob.call("group_open_long_polling_http_noauth_svc/get_msg", next).await;
    assert_eq!(again["ErrorCode"], 10_010, "once: {again}");
    world.stop().await;
}
