//! The measurement of a room against a little chat server: everybody who joined hears everybody.

use super::*;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use serde_json::{Value, json};
use tokio::sync::broadcast;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// Answers joins, hands what is said to all who joined, and refuses every other room but the big one.
async fn serve(mut socket: WebSocket, room: broadcast::Sender<String>) {
    let mut joined: Option<broadcast::Receiver<String>> = None;
    loop {
        let heard = async {
            match &mut joined {
                Some(room) => room.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            said = heard => socket.send(Message::Text(said.unwrap().into())).await.unwrap(),
            asked = socket.recv() => {
                let Some(Ok(Message::Text(text))) = asked else { return };
                let frame: Value = serde_json::from_str(&text).unwrap();
                let id = &frame["id"];
                let answer = if frame["room"] != BIG_ROOM {
                    json!({"type": "error", "id": id, "code": 3})
                } else if frame["type"] == "join" {
                    joined = Some(room.subscribe());
                    json!({"type": "ok", "id": id})
                } else {
                    room.send(json!({"type": "message", "text": frame["text"]}).to_string()).unwrap();
                    json!({"type": "ok", "id": id})
                };
                socket.send(Message::Text(answer.to_string().into())).await.unwrap();
            }
        }
    }
}

async fn chat_server() -> Api {
    let (room, _) = broadcast::channel(100);
    let upgrade = move |upgrade: WebSocketUpgrade| {
        let room = room.clone();
        async move { upgrade.on_upgrade(|socket| serve(socket, room)) }
    };
    let router = axum::Router::new().route("/ws", axum::routing::get(upgrade));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Api { address, kind: "live_room" }
}

#[tokio::test]
async fn every_message_is_waited_for_until_all_others_have_it() {
    let api = chat_server().await;
    let options = <Line as clap::Parser>::parse_from(["chat", "--connections", "12", "--room", "9"]).options;
    let session = Session::of("u", "t");
    let (report, arrivals) = unbounded_channel();
    let kept = Instant::now();
    let mut room = Room { options: &options, api, anchor: &session, senders: Vec::new(), arrivals, next: 0, kept };
    for n in 0..12 {
        let (connection, sender, receiver) = enter(api, session.clone(), n, n < 9).await.unwrap();
        assert_eq!(connection, n);
        room.senders.push(sender);
        tokio::spawn(listen(connection, receiver, report.clone()));
    }
    for number in 0..30 {
        assert_eq!(room.next, number);
        assert_eq!(room.say_to_all().await.unwrap().len(), 8, "nine members, one of them speaks");
    }
}
