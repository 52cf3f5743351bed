//! Clients: a WebSocket, plain HTTP calls, and the old web client.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::World;

/// A test fails rather than hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A WebSocket user.
pub struct Socket {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub welcome: Value,
    next: u64,
    /// Events that came while an answer was waited for.
    early: std::collections::VecDeque<Value>,
}

impl Socket {
    pub async fn connect(world: &World, user: &str, token: &str, since: Option<u64>) -> Self {
        let since = since.map(|n| format!("&since={n}")).unwrap_or_default();
        let url = format!("ws://{}/ws?userID={user}&token={token}{since}", world.at);
        let (socket, _) = timeout(PATIENCE, tokio_tungstenite::connect_async(url)).await.unwrap().unwrap();
        let mut client = Self { socket, welcome: Value::Null, next: 0, early: Default::default() };
        client.welcome = client.frame().await.unwrap();
        assert_eq!(client.welcome["type"], "welcome", "{}", client.welcome);
        client
    }

    /// Logs a user in and connects it.
    pub async fn enter(world: &World, user: &str) -> Self {
        Self::connect(world, user, &world.token(user), None).await
    }

    pub async fn say(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Asks, and gives the answer to it.
    pub async fn ask(&mut self, mut frame: Value) -> Value {
        self.next += 1;
        frame["id"] = self.next.into();
        self.say(&frame).await;
        loop {
            let answer = self.frame().await.unwrap();
            if answer["id"] == self.next {
                return answer;
            }
            self.early.push_back(answer);
        }
    }

    /// The next event, counts apart.
    pub async fn event(&mut self) -> Value {
        loop {
            let event = match self.early.pop_front() {
                Some(event) => event,
                None => self.frame().await.unwrap(),
            };
            if event["type"] != "count" {
                return event;
            }
        }
    }

    /// The next event of this type. News of the room may come before it: members' changes are carried in their own time.
    pub async fn event_of(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event().await;
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// The next frame; the close code if it was the last.
    pub async fn frame(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap() {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Reads on until the end: its close code.
    pub async fn end(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.frame().await {
                return code;
            }
        }
    }
}

/// Posts JSON; gives status and answer.
pub async fn post(at: SocketAddr, target: &str, body: &Value) -> (u16, Value) {
    request(at, "POST", target, &body.to_string()).await
}

pub async fn request(at: SocketAddr, method: &str, target: &str, body: &str) -> (u16, Value) {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    };
    timeout(PATIENCE, exchange).await.unwrap()
}

/// The old web client's chat.
pub struct Old {
    at: SocketAddr,
    identity: String,
    key: String,
    next: u64,
    notice: u64,
}

impl Old {
    pub async fn login(world: &World, user: &str) -> Self {
        let app = &world.server.app;
        let sig = app.identity.sign(&super::user(user), app.clock.now()).unwrap();
        let target = format!(
            "/v4/openim/login?identifier={user}&usersig={sig}&sdkappid={}&accounttype=0&contenttype=json&apn=1",
            app.identity.sdk_app_id()
        );
        let (status, said) = post(world.at, &target, &json!({"State": "Online"})).await;
        assert_eq!((status, &said["ActionStatus"]), (200, &json!("OK")), "{said}");
        let identity = format!("tinyid={}&a2={}", said["TinyId"].as_str().unwrap(), said["A2Key"].as_str().unwrap());
        Self { at: world.at, identity, key: String::new(), next: 0, notice: 0 }
    }

    pub async fn call(&self, path: &str, body: Value) -> Value {
        let (path, more) = path.split_once('?').unwrap_or((path, "contenttype=json"));
        let (status, said) = post(self.at, &format!("/v4/{path}?{}&{more}", self.identity), &body).await;
        assert_eq!(status, 200);
        said
    }

    pub async fn join(&mut self, room: &str) {
        let said = self.call("group_open_http_svc/apply_join_group", json!({"GroupId": room})).await;
        assert_eq!(said["JoinedStatus"], "JoinedSuccess", "{said}");
        self.key = said["LongPollingKey"].as_str().unwrap().to_owned();
    }

    /// The same client at a server that was started again.
    pub fn goes_on_at(&mut self, world: &World) {
        self.at = world.at;
    }

    /// What it asks for next.
    pub fn next(&self) -> u64 {
        self.next
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the group says next, oldest first.
    pub async fn poll(&mut self) -> Vec<Value> {
        let body = json!({"StartSeq": self.next, "HoldTime": 60, "Key": self.key});
        let said = self.call("group_open_long_polling_http_noauth_svc/get_msg", body).await;
        assert_eq!(said["ErrorCode"], 0, "{said}");
        self.next = said["NextSeq"].as_u64().unwrap();
        self.key = said["Key"].as_str().unwrap().to_owned();
        said["RspMsgList"].as_array().unwrap().iter().rev().cloned().collect()
    }

    /// What others say to this user next.
    pub async fn poll_direct(&mut self) -> Vec<Value> {
        let cookie = json!({"NotifySeq": 0, "NoticeSeq": self.notice, "LongPollingId": "1"});
        let said = self.call("openim/longpolling", json!({"Timeout": 60, "Cookie": cookie})).await;
        assert_eq!(said["EventArray"][0]["Event"], 9, "{said}");
        let messages = said["EventArray"][0]["C2cMsgArray"].as_array().unwrap().clone();
        self.notice = messages.last().unwrap()["NoticeSeq"].as_u64().unwrap();
        messages
    }
}
