//! A chat client over WebSocket, who talks in the room `r`.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::{Server, User, until};

/// A chat client.
pub struct Chat {
    socket: WebSocket<TcpStream>,
    pub frames: Vec<Value>,
    asked: u64,
}

impl Chat {
    pub fn connect(server: &Server, user: &User<'_>) -> Self {
        let socket = TcpStream::connect(server.http).unwrap();
        let url = format!("ws://{}/ws?userID={}&token={}", server.http, user.id, user.token);
        let (socket, _) = tokio_tungstenite::tungstenite::client(url, socket).unwrap();
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { socket, frames: Vec::new(), asked: 0 }
    }

    pub fn read(&mut self) {
        while let Ok(message) = self.socket.read() {
            if let Message::Text(text) = message {
                self.frames.push(serde_json::from_str(&text).unwrap());
            }
        }
    }

    #[track_caller]
    pub fn ask(&mut self, mut frame: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        frame["id"] = id.into();
        self.socket.send(Message::text(frame.to_string())).unwrap();
        let mut answer = Value::Null;
        until(&format!("an answer to {frame}"), || {
            self.read();
            answer = self.frames.iter().find(|f| f["id"] == id).cloned().unwrap_or_default();
            !answer.is_null()
        });
        answer
    }

    #[track_caller]
    pub fn say(&mut self, text: &str) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let answer = self
            .ask(json!({"type": "send", "room": "r", "text": text, "random": NEXT.fetch_add(1, Ordering::Relaxed)}));
        assert_eq!(answer["again"], false, "{answer}");
        answer["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// Number and text of what was said, and the command of what the system said.
    pub fn heard(&mut self) -> Vec<(u64, String)> {
        self.read();
        let text = |frame: &Value| {
            let data = frame["data"].as_str().map(|data| serde_json::from_str::<Value>(data).unwrap()["cmd"].clone());
            let text = data.unwrap_or_else(|| frame["body"][0]["MsgContent"]["Text"].clone());
            text.as_str().unwrap_or_default().to_owned()
        };
        let frames = self.frames.iter().filter(|f| f["type"] == "message" || f["type"] == "system");
        frames.map(|frame| (frame["seq"].as_u64().unwrap(), text(frame))).collect()
    }

    /// How often the pushers changed.
    pub fn changes(&mut self) -> usize {
        self.heard().iter().filter(|(_, text)| text == "notifyPusherChange").count()
    }

    pub fn has(&mut self, seq: u64, text: &str) -> bool {
        self.heard().iter().any(|heard| *heard == (seq, text.to_owned()))
    }
}
