//! Putting users out: of a room for a while, of a room, of everything. All protocols at once, and by every URL minted before.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use room::Millis;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::door::Api;
use super::page::Asked;
use super::problem::Problem;
use super::request::{Answer, Caller, Done, Json, Path, Query, bounded, room_of, user_of};
use access::operator::Need;
use rooms::moderation::{self, Out};
use store::Ban;

/// Longest reason, in bytes.
const REASON: usize = 500;

/// A ban.
#[derive(Serialize, ToSchema)]
#[schema(as = Ban)]
pub struct BanView {
    /// Who.
    #[serde(rename = "userID")]
    user: String,
    /// Out of which room; none: out of everything.
    #[serde(rename = "roomID")]
    room: Option<String>,
    /// Until when, in Unix milliseconds; none: until it is taken back.
    until: Option<u64>,
    /// When it was said, in Unix milliseconds.
    at: u64,
    /// What the operator noted.
    reason: String,
}

impl From<&Ban> for BanView {
    fn from(ban: &Ban) -> Self {
        Self {
            user: ban.user.to_string(),
            room: ban.room.as_ref().map(ToString::to_string),
            until: (ban.until != Millis::NEVER).then_some(ban.until.0),
            at: ban.at.0,
            reason: ban.reason.to_string(),
        }
    }
}

/// A page of bans.
#[derive(Serialize, ToSchema)]
pub struct BanPage {
    /// The bans, by user.
    bans: Vec<BanView>,
    /// The cursor of the next page; none: this was the last.
    next: Option<String>,
}

/// Who is kept out, of what, and until when.
#[utoipa::path(get, operation_id = "listBans", path = "/bans", tag = "bans", params(Asked),
    responses((status = 200, description = "A page of bans", body = BanPage)))]
pub async fn list(State(api): State<Arc<Api>>, caller: Caller, Query(asked): Query<Asked>) -> Answer<BanPage> {
    caller.may(Need::Look)?;
    let bans: Vec<BanView> = api.moderation.bans.list(api.web.clock.now()).iter().map(BanView::from).collect();
    // Neither id holds a space.
    let name = |ban: &BanView| format!("{} {}", ban.user, ban.room.as_deref().unwrap_or_default());
    let (bans, next) = asked.page(bans, name)?;
    Ok(axum::Json(BanPage { bans, next }))
}

/// For how long, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// For so many seconds; none: until it is taken back.
    #[serde(default, deserialize_with = "super::request::whole")]
    #[schema(minimum = 1, maximum = 315360000)]
    seconds: Option<u64>,
    /// Why, for other operators; 500 bytes at most.
    #[serde(default)]
    #[schema(max_length = 125)]
    reason: String,
}

impl Measure {
    fn out<'a>(&'a self, user: &'a room::UserId, room: Option<&'a room::RoomId>) -> Result<Out<'a>, Problem> {
        if self.reason.len() > REASON {
            return Err(Problem::malformed(format!("reason: at most {REASON} bytes")));
        }
        if self.seconds == Some(0) {
            return Err(Problem::malformed("seconds: 1 at least; DELETE lets the user in again"));
        }
        Ok(Out { user, room, seconds: bounded(self.seconds)?, reason: &self.reason, kick: false })
    }
}

/// Keeps a user out of everything: it cannot log in, chat, push or play.
#[utoipa::path(put, operation_id = "banUser", path = "/bans/{user}", tag = "bans", params(("user" = String, Path)), request_body = Measure,
    responses((status = 200, description = "The ban", body = BanView)))]
pub async fn ban(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(user): Path<String>,
    Json(measure): Json<Measure>,
) -> Answer<BanView> {
    let user = user_of(&user)?;
    caller.may(Need::Users)?;
    Ok(axum::Json(BanView::from(&api.moderation.put_out(measure.out(&user, None)?).await?)))
}

/// Lets a user in again. One who is not kept out is fine.
#[utoipa::path(delete, operation_id = "unbanUser", path = "/bans/{user}", tag = "bans", params(("user" = String, Path)),
    responses((status = 204, description = "The user may come in again")))]
pub async fn unban(State(api): State<Arc<Api>>, caller: Caller, Path(user): Path<String>) -> Done {
    let user = user_of(&user)?;
    caller.may(Need::Users)?;
    api.moderation.let_in(&user, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps a user out of a room, also one that is not there yet.
#[utoipa::path(put, operation_id = "banUserInRoom", path = "/rooms/{room}/bans/{user}", tag = "bans",
    params(("room" = String, Path), ("user" = String, Path)), request_body = Measure,
    responses((status = 200, description = "The ban", body = BanView)))]
pub async fn ban_in_room(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((room, user)): Path<(String, String)>,
    Json(measure): Json<Measure>,
) -> Answer<BanView> {
    let room = caller.room(&room)?;
    let user = user_of(&user)?;
    Ok(axum::Json(BanView::from(&api.moderation.put_out(measure.out(&user, Some(&room))?).await?)))
}

/// Lets a user into a room again. One who is not kept out is fine.
#[utoipa::path(delete, operation_id = "unbanUserInRoom", path = "/rooms/{room}/bans/{user}", tag = "bans",
    params(("room" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "The user may come in again")))]
pub async fn unban_in_room(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((room, user)): Path<(String, String)>,
) -> Done {
    let room = caller.room(&room)?;
    let user = user_of(&user)?;
    api.moderation.let_in(&user, Some(&room)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How long.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Kick {
    /// For so many seconds the user may not come back; 60 unless said otherwise.
    #[param(minimum = 1, maximum = 86400, required = false)]
    seconds: Option<u64>,
}

/// Puts a user out of a room, whether it pushes, watches or chats there; it may come back after a while. One who is not there is
/// `not_member`, where a single node serves rooms and chat.
#[utoipa::path(delete, operation_id = "kickUser", path = "/rooms/{room}/members/{user}", tag = "rooms",
    params(("room" = String, Path), ("user" = String, Path), Kick), responses((status = 204, description = "The user is out")))]
pub async fn kick(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((room, user)): Path<(String, String)>,
    Query(kick): Query<Kick>,
) -> Done {
    let room = room_of(&room)?;
    let user = user_of(&user)?;
    caller.may(Need::Room(&room))?;
    let seconds = kick.seconds.unwrap_or(moderation::KICKED);
    if !(1..=86_400).contains(&seconds) {
        return Err(Problem::malformed("seconds: 1 to 86400"));
    }
    if !api.rooms.see_any(&room, &mut |_, _| {}).await? {
        return Err(room::Refusal::NoRoom.into());
    }
    api.moderation.kick(&room, &user, seconds).await?;
    Ok(StatusCode::NO_CONTENT)
}
