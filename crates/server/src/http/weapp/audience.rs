//! `add_audience`, `delete_audience`, `get_audiences`.

use serde::{Deserialize, Serialize};

use super::body::Text;
use super::call::Member;
use super::reply::{Sent, done, success};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(rename = "userInfo", borrow, default)]
    user_info: Option<Text<'a>>,
}

/// Counts the caller as a viewer.
pub async fn add_audience(member: &Member<'_>) -> Sent {
    let body: Body<'_> = member.call.body()?;
    let room = member.room(body.room_id.as_ref())?;
    let user = member.actor(body.user_id.as_ref())?;
    let info = body.user_info.as_ref().map(Text::as_str).unwrap_or_default();
    member.call.weapp.rooms.add_viewer(&room, user, info).await?;
    done()
}

/// The caller no longer watches.
pub async fn delete_audience(member: &Member<'_>) -> Sent {
    let body: Body<'_> = member.call.body()?;
    let room = member.room(body.room_id.as_ref())?;
    let user = member.actor(body.user_id.as_ref())?;
    member.call.weapp.rooms.delete_viewer(&room, user).await?;
    done()
}

#[derive(Serialize)]
struct Audience<'a> {
    #[serde(rename = "audienceCount")]
    count: usize,
    audiences: Vec<Viewer<'a>>,
}

#[derive(Serialize)]
struct Viewer<'a> {
    #[serde(rename = "userID")]
    user_id: &'a str,
    #[serde(rename = "userInfo")]
    user_info: &'a str,
}

/// How many watch, and the first of them by name.
pub async fn get_audiences(member: &Member<'_>) -> Sent {
    let body: Body<'_> = member.call.body()?;
    let room = member.room(body.room_id.as_ref())?;
    let viewers = member.call.weapp.rooms.viewers(&room).await?;
    let named = viewers.listed.iter().map(|v| Viewer { user_id: v.user.as_str(), user_info: &v.info });
    success(&Audience { count: viewers.count, audiences: named.collect() })
}
