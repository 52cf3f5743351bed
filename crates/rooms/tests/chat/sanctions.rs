//! Who is muted or kept out is the same at all nodes, in whichever order they said and heard it.

use std::sync::Arc;
use std::time::Duration;

use chat::bus::{Heard, Listener as _, Op, Sketch};
use chat::render;
use room::{Millis, UserId};
use serde_json::json;
use store::Target;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::nodes::{Listener, Node, group, node, node_at, until, user};
use testkit::redis::RedisServer;

/// A way to a server that can be cut.
struct Way {
    port: u16,
    cut: watch::Sender<bool>,
}

impl Way {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = watch::Sender::new(false);
        let see = cut.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut see = see.clone();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = see.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, cut }
    }

    fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}

fn come_back(node: &Node, who: &mut Listener) {
    who.take();
    who.heard.clear();
    node.hub.join(&who.link, &group("r"), None, 0, |_| render::frame(&json!({}))).unwrap();
}

fn users(of: Vec<(UserId, Millis)>) -> Vec<String> {
    of.into_iter().map(|(user, _)| user.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_on_who_is_kept_out_counts_at_the_node_that_said_it_too() {
    let redis = RedisServer::start(&[]);
    let way = Way::to(redis.port).await;
    let a = node_at(Target::parse(&format!("redis://127.0.0.1:{}/0", way.port)).unwrap()).await;
    let b = node(&redis).await;
    let id = group("r");
    a.enter("r", "ann").await;
    let _ann = a.join("ann", "r", None).await;
    let _bob = b.join("bob", "r", None).await;
    let mut dan = a.join("dan", "r", None).await;
    let mut fay = a.join("fay", "r", None).await;
    let [eve, carl] = ["eve", "carl"].map(user);
    a.hub.ban(&id, &eve, 60_000).unwrap().everywhere().await;
    a.hub.mute(&id, &carl, 60_000).unwrap().everywhere().await;
    until("it is heard", || b.hub.show(&id).is_ok_and(|shown| (shown.banned.len(), shown.muted.len()) == (1, 1))).await;

    // What a says while it is cut off waits. Another node says the opposite meanwhile, and is heard first.
    way.cut(true);
    a.hub.ban(&id, &eve, 120_000).unwrap();
    a.hub.mute(&id, &carl, 120_000).unwrap();
    b.hub.ban(&id, &eve, 0).unwrap().everywhere().await;
    b.hub.mute(&id, &carl, 0).unwrap().everywhere().await;
    until("it is heard", || b.hub.show(&id).unwrap().banned.is_empty()).await;
    // One was let in again, the kick of another is over, and both are back.
    a.hub.ban(&id, &user("dan"), 60_000).unwrap();
    a.hub.ban(&id, &user("dan"), 0).unwrap();
    come_back(&a, &mut dan);
    a.hub.follow_ban(&id, &user("fay"), 50, true);
    tokio::time::sleep(Duration::from_millis(60)).await;
    come_back(&a, &mut fay);
    way.cut(false);

    // When the answer to this comes to a, it has heard itself.
    a.hub.notify(&id, None, r#"{"cmd":"one"}"#).unwrap();
    until("b has heard a", || b.hub.show(&id).unwrap().last == 1).await;
    b.hub.notify(&id, None, r#"{"cmd":"two"}"#).unwrap();
    until("a has heard b", || a.hub.show(&id).unwrap().last == 2).await;
    for node in [&a, &b] {
        let shown = node.hub.show(&id).unwrap();
        assert_eq!((users(shown.banned), users(shown.muted)), (vec!["eve".into()], vec!["carl".into()]));
    }
    for who in [&mut dan, &mut fay] {
        who.take();
        assert!(who.heard.iter().all(|frame| frame["type"] != "out"), "{:?}", who.heard);
    }
    assert_eq!(a.hub.see(&id, &[user("dan"), user("fay")]).unwrap().within, [true, true]);
}

/// What a node hears while it loads a group anew waits, its own words among it.
#[tokio::test]
async fn what_a_node_said_itself_is_not_done_again_when_it_missed_something() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let id = group("r");
    a.enter("r", "ann").await;
    let mut ann = a.join("ann", "r", None).await;
    let node = a.hub.node().unwrap();
    let users = Sketch::parse("2 1 2");
    let counted = Op::Count { group: id.clone(), node, users };
    let kicked = Op::Kick { group: id.clone(), user: user("ann") };
    let banned = Op::Ban { group: id.clone(), user: user("ann"), until: Millis(1), kick: true };
    redis.cli(&["hset", "rs:{0}:group:r", "mute:carl", "9000000000000000"]);
    Arc::clone(&a.hub).missed(0);
    for op in [counted, kicked, banned] {
        a.hub.heard(Heard { number: 0, from: node, nonce: 1, life: None, op });
    }
    until("it is loaded", || !a.hub.show(&id).unwrap().muted.is_empty()).await;
    assert_eq!(a.hub.show(&id).unwrap().users, 1);
    ann.take();
    assert!(ann.heard.iter().all(|frame| frame["type"] != "out"), "{:?}", ann.heard);
}

/// A node whose way to Redis broke loads a group that has begun with its room, and hears then what was said before.
#[tokio::test]
async fn sanctions_of_before_the_room_are_forgotten_by_who_hears_of_them_late() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let id = group("r");
    a.enter("r", "ann").await;
    let _ann = a.join("ann", "r", None).await;
    a.hub.ban(&id, &user("bob"), 60_000).unwrap().everywhere().await;
    let shown = a.hub.show(&id).unwrap();
    let until_then = Millis(9_000_000_000_000_000);
    let before = Op::Ban { group: id.clone(), user: user("eve"), until: until_then, kick: false };
    let began = Op::Adopt { group: id.clone() };
    let after = Op::Ban { group: id.clone(), user: user("bob"), until: until_then, kick: false };
    for op in [before, began, after] {
        a.hub.heard(Heard { number: 0, from: 7, nonce: 1, life: Some(shown.epoch.0), op });
    }
    assert_eq!(users(a.hub.show(&id).unwrap().banned), ["bob"]);
}
