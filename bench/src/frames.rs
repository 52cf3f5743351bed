//! The JSON frames of `GET /ws` that the chat bench sends and looks for. The one file to change when docs/chat.md does.

use memchr::memmem;
use serde_json::{Value, json};

/// Stands before a message's number in its text; a frame with it is a delivery, whatever else the frame holds.
const MARK: &str = "bench#";

/// Asks to join a room from now on.
pub fn join(id: u64, room: &str) -> String {
    json!({"type": "join", "id": id, "room": room}).to_string()
}

/// Says message `number` to a room, with a text of `length` bytes.
pub fn send(id: u64, room: &str, number: u64, length: usize) -> String {
    let text = format!("{:.<length$}", format!("{MARK}{number};"));
    json!({"type": "send", "id": id, "room": room, "text": text}).to_string()
}

/// The number of the message that a frame delivers.
pub fn delivered(frame: &[u8]) -> Option<u64> {
    let at = memmem::find(frame, MARK.as_bytes())? + MARK.len();
    let digits = frame.get(at..)?.split(|&b| b == b';').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a frame answers request `id`, and what it says against it.
pub fn answer(frame: &[u8], id: u64) -> Option<Result<(), String>> {
    let value: Value = serde_json::from_slice(frame).ok()?;
    if value.get("id").and_then(Value::as_u64) != Some(id) {
        return None;
    }
    let code = value.get("code").and_then(Value::as_i64).unwrap_or(0);
    let failed = code != 0 || value.get("type").and_then(Value::as_str) == Some("error");
    Some(if failed { Err(value.to_string()) } else { Ok(()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_known_by_its_mark() {
        let sent = send(7, "r", 12_345, 128);
        assert_eq!(delivered(sent.as_bytes()), Some(12_345));
        let value: Value = serde_json::from_str(&sent).unwrap();
        assert_eq!(value["text"].as_str().unwrap().len(), 128);
        for other in [&b"{}"[..], b"bench#", b"bench#x;", b"\xff"] {
            assert_eq!(delivered(other), None);
        }
    }

    #[test]
    fn answers_carry_the_id() {
        assert_eq!(answer(br#"{"type":"ok","id":3}"#, 3), Some(Ok(())));
        assert_eq!(answer(br#"{"type":"ok","id":4}"#, 3), None);
        assert!(matches!(answer(br#"{"type":"error","id":3,"code":7}"#, 3), Some(Err(_))));
        assert_eq!(answer(b"not json", 3), None);
    }
}
