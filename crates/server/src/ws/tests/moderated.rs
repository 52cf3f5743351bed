//! The app's backend is told of messages, and asked before: by both doors, and when it does not answer.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::client::{Old, Socket};
use super::{World, room, user};
use sign::Secret;
use webhooks::{Messages, Unanswered};

/// A backend that says no to what holds a rude word, and keeps what it was told.
#[derive(Default)]
struct Backend {
    told: Mutex<Vec<Value>>,
    asked: Mutex<usize>,
    dead: Mutex<bool>,
}

async fn serve(listener: TcpListener, backend: Arc<Backend>) {
    while let Ok((socket, _)) = listener.accept().await {
        let backend = backend.clone();
        tokio::spawn(async move {
            let mut socket = BufReader::new(socket);
            loop {
                let mut length = 0;
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
                        return;
                    }
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                socket.read_exact(&mut body).await.unwrap();
                if *backend.dead.lock() {
                    return;
                }
                let event: Value = serde_json::from_slice(&body).unwrap();
                let mut status = "200 OK";
                let answer = if event["event"] == "message_before" {
                    *backend.asked.lock() += 1;
                    let rude = event["body"].to_string().contains("rude");
                    // Some frameworks answer whatever was posted so.
                    status = if rude { "201 Created" } else { "200 OK" };
                    json!({ "allow": !rude, "reason": "be nice" }).to_string()
                } else {
                    backend.told.lock().push(event);
                    String::new()
                };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
                if socket.write_all(head.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_says_no_and_hears_what_was_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let backend = Arc::new(Backend::default());
    let serving = tokio::spawn(serve(listener, backend.clone()));
    let world = World::with(|settings| {
        settings.webhooks.urls = vec![url];
        settings.webhooks.secret = Secret::new("a secret of sixteen");
        settings.webhooks.messages = Messages::Both;
        settings.webhooks.events = vec!["message".into()];
    })
    .await;
    world.server.app.chat.create(&room("r"), Some(&user("ann")), "").unwrap();
    let mut ann = Socket::enter(&world, "ann").await;
    assert_eq!(ann.ask(json!({"type": "join", "room": "r"})).await["type"], "ack");
    let mut bob = Old::login(&world, "bob").await;
    bob.join("r").await;

    // What could not be sent in any case is not asked about, nor what the backend could not read as the room does.
    let eve = Socket::enter(&world, "eve").await.ask(json!({"type": "send", "room": "r", "text": "hello"})).await;
    assert_eq!(eve["code"], "not_member");
    let mut old = Old::login(&world, "eve").await;
    let text = json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": "x"}}]);
    let said =
        old.call("group_open_http_svc/send_group_msg", json!({"GroupId": "r", "Random": 1, "MsgBody": text})).await;
    assert_eq!(said["ErrorCode"], 10_007);
    old.join("r").await;
    world.server.app.chat.mute(&room("r"), &user("eve"), 60_000).unwrap();
    let said =
        old.call("group_open_http_svc/send_group_msg", json!({"GroupId": "r", "Random": 2, "MsgBody": text})).await;
    assert_eq!(said["ErrorCode"], 10_017);
    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    let deep = json!([{"MsgType": "TIMCustomElem", "MsgContent": {"Data": deep}}]);
    let said = ann.ask(json!({"type": "send", "room": "r", "body": deep})).await;
    assert_eq!(said["code"], "bad_body", "{said}");
    assert_eq!(*backend.asked.lock(), 0);

    let rude = ann.ask(json!({"type": "send", "room": "r", "text": "something rude"})).await;
    assert_eq!((&rude["code"], &rude["message"]), (&json!("not_permitted"), &json!("be nice")));
    assert_eq!(ann.ask(json!({"type": "send", "room": "r", "text": "hello"})).await["seq"], 1);
    let to_bob = ann.ask(json!({"type": "direct", "to": "bob", "text": "a rude word"})).await;
    assert_eq!(to_bob["code"], "not_permitted");
    let say = |text: &str| {
        let body = json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": text}}]);
        json!({"GroupId": "r", "Random": text.len(), "MsgBody": body})
    };
    let rude = bob.call("group_open_http_svc/send_group_msg", say("rude too")).await;
    assert_eq!((&rude["ErrorCode"], &rude["ErrorInfo"]), (&json!(80_001), &json!("be nice")));
    assert_eq!(bob.call("group_open_http_svc/send_group_msg", say("hi")).await["MsgSeq"], 2);
    assert_eq!(ann.ask(json!({"type": "direct", "to": "bob", "text": "psst"})).await["type"], "ack");
    let heard = async |count: usize| {
        while backend.told.lock().len() < count {
            tokio::task::yield_now().await;
        }
        let mut told = backend.told.lock().clone();
        told.sort_by_key(|event| event["id"].to_string());
        told
    };
    let told = heard(3).await;
    let text = |event: &Value| event["body"][0]["MsgContent"]["Text"].clone();
    assert_eq!(
        (text(&told[0]), &told[0]["userID"], &told[0]["messageSeq"]),
        (json!("hello"), &json!("ann"), &json!(1))
    );
    assert_eq!((text(&told[1]), &told[1]["userID"], &told[1]["roomID"]), (json!("hi"), &json!("bob"), &json!("r")));
    assert_eq!(
        (text(&told[2]), &told[2]["toUserID"], &told[2]["roomID"]),
        (json!("psst"), &json!("bob"), &Value::Null)
    );

    // A backend that does not answer decides nothing: the setting does, also while it is not even asked any more.
    *backend.dead.lock() = true;
    for n in 0..8 {
        let sent = ann.ask(json!({"type": "send", "room": "r", "text": "rude, but who is there to say so"})).await;
        assert_eq!(sent["seq"], 3 + n, "{sent}");
    }
    let hooks = world.server.app.hooks.as_ref().unwrap();
    let mut settings = world.server.app.settings.webhooks.clone();
    settings.ask_unanswered = Unanswered::Deny;
    hooks.set(&settings);
    let refused = ann.ask(json!({"type": "send", "room": "r", "text": "hello"})).await;
    assert_eq!(refused["code"], "not_permitted", "{refused}");
    // What was said meanwhile is told when it is back.
    *backend.dead.lock() = false;
    assert_eq!(text(&heard(11).await[10]), json!("rude, but who is there to say so"));
    world.stop().await;
    serving.abort();
}
