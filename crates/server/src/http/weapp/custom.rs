//! `set_custom_field`, `get_custom_info`.

use room::custom::{Operation, Value};
use serde::{Deserialize, Serialize};

use super::body::Text;
use super::call::Member;
use super::reply::{Fail, Sent, success};
use super::view::{CustomView, custom_text};
use room::{Custom, Refusal, Room, RoomId};
use sign::token::Generation;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    field_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    operation: Option<Text<'a>>,
    #[serde(default)]
    value: Option<serde_json::Value>,
}

fn value(given: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match given {
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(n)) => Value::Float(n),
            (None, None) => Value::Json(n.to_string().into()),
        },
        Json::String(text) => Value::Text(text.into()),
        other => Value::Json(other.to_string().into()),
    }
}

/// By how much a field is counted: one, unless `value` says so. Some clients write numbers as text.
fn step(given: Option<serde_json::Value>) -> Result<i64, Fail> {
    let number = match &given {
        None => Some(1),
        Some(serde_json::Value::String(text)) if text.is_empty() => Some(1),
        Some(serde_json::Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_i64(),
    };
    number.ok_or_else(|| Fail::malformed("value: a whole number"))
}

/// Sets or counts a field; answers with all of them.
pub async fn set_custom_field(member: &Member<'_>) -> Sent {
    member.no_other()?;
    let body: Body<'_> = member.call.body()?;
    let room = member.room(body.room_id.as_ref())?;
    let name = body.field_name.ok_or_else(|| Fail::missing("fieldName"))?;
    let operation = body.operation.ok_or_else(|| Fail::missing("operation"))?;
    let operation = match (operation.as_str(), body.value) {
        ("set", Some(given)) => Operation::Set(value(given)),
        ("set", None) => return Err(Fail::missing("value")),
        ("inc", given) => Operation::Add(step(given)?),
        // The Android clients of 2019 say `del`.
        ("dec" | "del", given) => Operation::Add(step(given)?.saturating_neg()),
        _ => return Err(Fail::malformed("operation 只能是 set, inc 或 dec")),
    };
    member.call.weapp.rooms.set_custom(member.kind, &room, name.as_str(), operation).await?;
    show(member, &room, member.session.generation).await
}

/// All fields of a room.
pub async fn get_custom_info(member: &Member<'_>) -> Sent {
    let body: Body<'_> = member.call.body()?;
    let room = member.room(body.room_id.as_ref())?;
    // The second generation's clients of 2019 read text, and are known by how they write the call.
    let text = member.call.parts.uri.path().ends_with("Info");
    show(member, &room, if text { Generation::First } else { member.session.generation }).await
}

#[derive(Serialize)]
struct Fields<T> {
    custom: T,
    #[serde(rename = "customInfo")]
    text: String,
}

async fn show(member: &Member<'_>, id: &RoomId, generation: Generation) -> Sent {
    let mut sent = Err(Refusal::NoRoom.into());
    let see = &mut |room: &Room, _| sent = fields(&room.custom, generation);
    member.call.weapp.rooms.see(member.kind, id, see).await?;
    sent
}

fn fields(custom: &Custom, generation: Generation) -> Sent {
    let text = custom_text(custom);
    match generation {
        Generation::First => success(&Fields { custom: text.clone(), text }),
        Generation::Second => success(&Fields { custom: CustomView(custom), text }),
    }
}
