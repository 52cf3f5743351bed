//! A connection that breaks again and again under traffic loses nothing and gets nothing twice; a slow one is told
//! to come back, and nobody waits for it.

use serde_json::{Value, json};
use tokio::sync::watch;

use super::client::Socket;
use super::{World, room};

const MESSAGES: u64 = 1500;

fn text(event: &Value) -> &str {
    event["body"][0]["MsgContent"]["Text"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_comes_twice() {
    let world = World::start().await;
    world.server.app.chat.create(&room("r"), None, "").unwrap();
    let mut speaker = Socket::enter(&world, "speaker").await;
    speaker.ask(json!({"type": "join", "room": "r"})).await;
    let (heard, mut far) = watch::channel(0);
    // Says everything, but is never further ahead than the room keeps; and the odd private word.
    let talk = async {
        for n in 1..=MESSAGES {
            far.wait_for(|heard| n - heard < 150).await.unwrap();
            speaker.ask(json!({"type": "send", "room": "r", "text": n.to_string(), "random": n})).await;
            if n % 10 == 0 {
                speaker.ask(json!({"type": "direct", "to": "bob", "text": n.to_string(), "random": n})).await;
            }
        }
        speaker
    };
    let listen = async {
        let token = world.token("bob");
        let mut public = Vec::new();
        let mut private = Vec::new();
        let mut lives = 0;
        let mut since: Option<Value> = None;
        let mut direct: Option<u64> = None;
        while public.len() < MESSAGES as usize || private.len() < MESSAGES as usize / 10 {
            let mut bob = Socket::connect(&world, "bob", &token, direct).await;
            direct.get_or_insert(bob.welcome["direct"].as_u64().unwrap());
            let mut ask = json!({"type": "join", "room": "r", "id": 1});
            // Before the first message: from the beginning of whichever life of the room.
            ask["since"] = since.clone().unwrap_or(json!({"epoch": 0, "seq": 0}));
            bob.say(&ask).await;
            lives += 1;
            for _ in 0..40 + lives % 7 {
                if public.len() == MESSAGES as usize && private.len() == MESSAGES as usize / 10 {
                    break;
                }
                let event = bob.frame().await.unwrap();
                match event["type"].as_str().unwrap() {
                    "ack" => {
                        assert_eq!(event["gap"], false, "{event}");
                        since = Some(json!({"epoch": event["epoch"], "seq": public.len()}));
                    }
                    "message" => {
                        public.push(text(&event).parse::<u64>().unwrap());
                        since.as_mut().unwrap()["seq"] = event["seq"].clone();
                        heard.send(public.len() as u64).unwrap();
                    }
                    "direct" => {
                        private.push(text(&event).parse::<u64>().unwrap());
                        direct = event["seq"].as_u64();
                    }
                    "count" => {}
                    other => panic!("{other}"),
                }
            }
            // The cable is cut: no farewell.
            drop(bob);
        }
        assert_eq!(public, (1..=MESSAGES).collect::<Vec<_>>());
        assert_eq!(private, (1..=MESSAGES / 10).map(|n| n * 10).collect::<Vec<_>>());
        assert!(lives > 20, "{lives}");
        since.unwrap()
    };
    let (mut speaker, since) = tokio::join!(talk, listen);

    // More than is kept: what is left comes, and the gap is named.
    for n in 0..250 {
        speaker.ask(json!({"type": "send", "room": "r", "text": n.to_string()})).await;
    }
    let mut bob = Socket::enter(&world, "bob").await;
    let back = bob.ask(json!({"type": "join", "room": "r", "since": since})).await;
    assert_eq!((&back["gap"], &back["anew"], &back["missed"]), (&json!(true), &json!(false), &json!(200)), "{back}");
    assert_eq!(bob.event().await["seq"], back["first"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_receiver_is_told_to_come_back_while_others_go_on() {
    let world = World::with(|settings| {
        settings.chat.queue = 32;
        settings.chat.queue_bytes = 128 * 1024;
    })
    .await;
    let chat = &world.server.app.chat;
    chat.create(&room("r"), None, "").unwrap();
    let mut slow = Socket::enter(&world, "slow").await;
    let mut quick = Socket::enter(&world, "quick").await;
    let joined = slow.ask(json!({"type": "join", "room": "r"})).await;
    quick.ask(json!({"type": "join", "room": "r"})).await;
    let text = "x".repeat(8000);
    let mut said = 0;
    // The kernel takes some megabytes for the slow one first.
    while chat.connections() == 2 {
        said += 1;
        assert!(said < 20_000, "the slow one is still in");
        let ack = quick.ask(json!({"type": "send", "room": "r", "text": text})).await;
        assert_eq!(ack["seq"], said);
        assert_eq!(quick.event().await["seq"], said);
    }
    // It finds what was on its way, in order, and then the reason.
    let mut last = 0;
    let code = loop {
        match slow.frame().await {
            Ok(frame) if frame["type"] == "message" => {
                assert_eq!(frame["seq"], last + 1);
                last += 1;
            }
            Ok(_) => {}
            Err(code) => break code,
        }
    };
    assert_eq!(code, Some(4001));
    assert!(last < said);
    let mut slow = Socket::enter(&world, "slow").await;
    let since = json!({"epoch": joined["epoch"], "seq": last});
    let back = slow.ask(json!({"type": "join", "room": "r", "since": since})).await;
    let first = slow.event().await["seq"].as_u64().unwrap();
    assert!(back["gap"] == true || first == last + 1, "{back}");
    world.stop().await;
}
