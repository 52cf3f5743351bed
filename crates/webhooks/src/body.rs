//! What a webhook says, and how it is signed. The one place that knows the names of events.

use aws_lc_rs::hmac;
use bytes::Bytes;
use room::{Millis, What};
use serde_json::{Map, Value, json};

use sign::Secret;
use store::News;

/// The names of all events.
pub const EVENTS: [&str; 16] = [
    "room_created",
    "room_closed",
    "pusher_joined",
    "pusher_updated",
    "pusher_left",
    "room_info",
    "custom_field",
    "audience_count",
    "message",
    "stream_started",
    "stream_ended",
    "mix_started",
    "mix_ended",
    "record_started",
    "record_ready",
    "record_empty",
];

/// The number of an event: the same each time that it is sent, and as a text greater than those of earlier events of
/// the same room.
pub fn id(partition: usize, place: &str, n: usize) -> String {
    // A place is one number, or several with dashes between them.
    let padded: Vec<String> = place.split('-').map(|part| format!("{part:0>13}")).collect();
    format!("{partition}-{}-{n:03}", padded.join("-"))
}

/// The headers of a request.
pub fn headers(secret: &Secret, id: &str, event: &str, now: Millis, body: &[u8]) -> [(&'static str, String); 4] {
    [
        ("content-type", "application/json".to_owned()),
        ("x-roomservice-event", event.to_owned()),
        ("x-roomservice-id", id.to_owned()),
        ("x-roomservice-signature", signature(secret, now, body)),
    ]
}

/// The event's name, when it happened, and the body; `None` if it cannot be written. What a server of a later version noted is told
/// by the name that it has there.
pub fn body<'a>(id: &str, news: &'a News) -> Option<(&'a str, Millis, Bytes)> {
    let mut fields = Map::new();
    fields.insert("id".into(), id.into());
    let (name, at) = match news {
        News::Room(event) => {
            let (name, more) = match &event.what {
                What::Created { by } => ("room_created", json!({ "userID": by })),
                What::Joined { user } => ("pusher_joined", json!({ "userID": user })),
                What::Updated { user } => ("pusher_updated", json!({ "userID": user })),
                What::Left { user, reason } => ("pusher_left", json!({ "userID": user, "reason": reason })),
                What::Info => ("room_info", json!({})),
                What::Custom { name } => ("custom_field", json!({ "fieldName": name })),
                What::Closed { reason } => ("room_closed", json!({ "reason": reason })),
            };
            fields.extend([("roomID".into(), json!(event.room)), ("roomType".into(), event.kind.path().into())]);
            fields.insert("seq".into(), event.seq.into());
            if let Value::Object(more) = more {
                fields.extend(more);
            }
            (name, event.at)
        }
        News::Note(note) => {
            if let Some(room) = &note.room {
                fields.insert("roomID".into(), json!(room));
            }
            if let Value::Object(more) = &note.data {
                fields.extend(more.clone());
            }
            (&*note.event, note.at)
        }
    };
    fields.extend([("event".into(), name.into()), ("time".into(), at.0.into())]);
    Some((name, at, serde_json::to_vec(&fields).ok()?.into()))
}

/// The signature's header: `t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of `SECONDS.BODY`. The receiver checks it
/// and that the time is near its own, so that an old request cannot be sent again.
#[must_use]
pub fn signature(secret: &Secret, now: Millis, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()));
    context.update(format!("{}.", now.secs()).as_bytes());
    context.update(body);
    let tag = context.sign();
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={},v1={hex}", now.secs())
}
