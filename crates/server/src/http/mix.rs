//! `merge_stream`: the picture that an audience sees, put together from several streams.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::Text;
use super::call::Member;
use super::reply::{Fail, Sent, success};
use crate::live::MixOutcome;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(default)]
    merge_params: Option<Value>,
}

#[derive(Serialize)]
struct Merged<'a> {
    result: Outcome<'a>,
    merge_code: i32,
    merge_msg: &'a str,
}

#[derive(Serialize)]
struct Outcome<'a> {
    code: i32,
    message: &'a str,
    timestamp: u64,
}

/// Hands the mix to the live service; what it says stands in `result`.
pub async fn merge_stream(member: &Member<'_>) -> Sent {
    let body: Body<'_> = member.call.body()?;
    let (room, user) = (member.room(body.room_id.as_ref())?, member.actor(body.user_id.as_ref())?);
    let params = match body.merge_params.ok_or_else(|| Fail::missing("mergeParams"))? {
        Value::String(text) => serde_json::from_str(&text).map_err(|_| Fail::not_json("mergeParams"))?,
        value => value,
    };
    if !params.is_object() {
        return Err(Fail::not_json("mergeParams"));
    }
    let app = member.call.app;
    let (mut streams, mut pushes) = (Vec::new(), false);
    let see = &mut |room: &room::Room, _| {
        streams = room.pushers.iter().map(|p| p.stream.clone()).collect();
        pushes = room.pusher(user).is_some();
    };
    app.rooms.see(member.kind, &room, see).await?;
    if !pushes {
        return Err(Fail::unauthorised("only who pushes in the room may mix it"));
    }
    let MixOutcome { code, message } = app.live.mix(&params, &streams).await?;
    success(&Merged {
        result: Outcome { code, message: &message, timestamp: member.call.now.secs() },
        merge_code: code,
        merge_msg: &message,
    })
}
