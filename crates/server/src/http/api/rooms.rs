//! Rooms: list, make, see, change, close; who is in them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use room::custom::{self, Operation};
use room::rules::MAX_ROOM_INFO;
use room::{Kind, Room, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::door::Api;
use super::page::{self, Asked, Place};
use super::problem::Problem;
use super::request::{Answer, Caller, Done, Json, Path, Query, room_of, user_of};
use crate::http::weapp::CustomView;
use access::operator::Need;

/// The maker of rooms that are made without a user's name.
const OPERATOR: &str = "operator";

/// Kinds of rooms.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoomKind {
    /// Two people.
    Double,
    /// Several people.
    Multi,
    /// One anchor, co-anchors, and an audience.
    Live,
    /// A call whose media goes elsewhere.
    Webrtc,
    /// An entry of the Windows portal's list of rooms.
    Webexe,
}

impl RoomKind {
    /// As the rules have it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Double => Kind::Double,
            Self::Multi => Kind::Multi,
            Self::Live => Kind::Live,
            Self::Webrtc => Kind::Webrtc,
            Self::Webexe => Kind::Webexe,
        }
    }

    /// Of the rules' kinds.
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Double => Self::Double,
            Kind::Multi => Self::Multi,
            Kind::Live => Self::Live,
            Kind::Webrtc => Self::Webrtc,
            Kind::Webexe => Self::Webexe,
        }
    }
}

/// A room.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Room)]
pub struct RoomView {
    /// Its id.
    #[serde(rename = "roomID")]
    id: String,
    /// Its kind.
    kind: RoomKind,
    /// What the app says about it.
    info: String,
    /// Who pushed first; none before somebody did.
    creator: Option<String>,
    /// When it was made, in Unix milliseconds.
    created: u64,
    /// Custom fields.
    #[schema(value_type = Object)]
    custom: Value,
    /// The number that the app gives with heartbeats.
    status: i64,
    /// How many watch.
    audience_count: usize,
    /// Who pushes.
    members: Vec<Member>,
}

/// Somebody who pushes into a room.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Who.
    #[serde(rename = "userID")]
    id: String,
    /// Display name.
    name: String,
    /// Address of a picture, or whatever the app puts there.
    avatar: String,
    /// The stream that it pushes.
    stream: String,
    /// Since when it is in, in Unix milliseconds.
    joined: u64,
    /// Last sign of life, in Unix milliseconds.
    seen: u64,
}

impl RoomView {
    fn of(room: &Room, viewers: usize) -> Self {
        let member = |p: &room::Pusher| Member {
            id: p.user.to_string(),
            name: p.name.to_string(),
            avatar: p.avatar.to_string(),
            stream: p.stream.to_string(),
            joined: p.joined.0,
            seen: p.seen.0,
        };
        Self {
            id: room.id.to_string(),
            kind: RoomKind::of(room.kind),
            info: room.info.to_string(),
            creator: room.creator.as_ref().map(|(user, _)| user.to_string()),
            created: room.created.0,
            custom: serde_json::to_value(CustomView(&room.custom)).unwrap_or_default(),
            status: room.status,
            audience_count: viewers,
            members: room.pushers.iter().map(member).collect(),
        }
    }
}

/// A page of rooms.
#[derive(Serialize, ToSchema)]
pub struct RoomPage {
    /// The rooms, by kind, oldest first.
    rooms: Vec<RoomView>,
    /// The cursor of the next page; none: this was the last.
    next: Option<String>,
}

/// Which rooms.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Rooms of this kind only.
    #[param(inline, required = false)]
    kind: Option<RoomKind>,
    /// How many rooms, at most.
    #[param(minimum = 1, maximum = 200, required = false)]
    limit: Option<usize>,
    /// `next` of the page before; none: the first page.
    #[param(
        pattern = "^(double|multi|live|webrtc|webexe)-[0-9]{1,9}-[0-9]{1,15}-([0-9a-f]{2}){1,64}$",
        required = false
    )]
    cursor: Option<String>,
}

/// The rooms in which somebody pushes.
#[utoipa::path(get, operation_id = "listRooms", path = "/rooms", tag = "rooms", params(Which),
    responses((status = 200, description = "A page of rooms", body = RoomPage)))]
pub async fn list(State(api): State<Arc<Api>>, caller: Caller, Query(which): Query<Which>) -> Answer<RoomPage> {
    caller.may(Need::Look)?;
    let limit = page::limit(which.limit)?;
    let kinds: Vec<Kind> = which.kind.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind.kind()]);
    let place = match &which.cursor {
        None => kinds.first().map(|kind| Place::first(*kind)),
        Some(text) => Some(Place::read(text).ok_or_else(|| Problem::malformed("cursor: next of the page before"))?),
    };
    let Some(place) = place.filter(|place| kinds.contains(&place.kind)) else {
        return Ok(axum::Json(RoomPage { rooms: Vec::new(), next: None }));
    };
    let rest = kinds.iter().skip_while(|kind| **kind != place.kind).skip(1);
    let mut rooms = Vec::new();
    let mut last = None;
    for place in std::iter::once(place.clone()).chain(rest.map(|kind| Place::first(*kind))) {
        let mut index = begin(&api, &place).await?;
        // One more than asked for, to know whether there is a next page.
        while rooms.len() <= limit {
            let mut seen = 0;
            let see = &mut |room: &Room, viewers: usize| {
                if rooms.len() < limit && place.is_before(room) {
                    last = Some(Place::after(room, index + seen));
                }
                if rooms.len() <= limit && place.is_before(room) {
                    rooms.push(RoomView::of(room, viewers));
                }
                seen += 1;
            };
            api.rooms.list(place.kind, index, page::MOST, see).await?;
            index += seen;
            if seen < page::MOST {
                break;
            }
        }
    }
    let more = rooms.len() > limit;
    rooms.truncate(limit);
    Ok(axum::Json(RoomPage { rooms, next: last.filter(|_| more).map(|place| place.write()) }))
}

/// The position to read on from. Rooms before the place may have gone, so it may stand further to the front by now.
async fn begin(api: &Api, place: &Place) -> Result<usize, Problem> {
    let mut index = place.index;
    while index > 0 {
        let mut passed = false;
        let see = &mut |room: &Room, _: usize| passed = !place.is_before(room);
        api.rooms.list(place.kind, index - 1, 1, see).await?;
        if passed {
            break;
        }
        index = index.saturating_sub(page::MOST);
    }
    Ok(index)
}

/// A room to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRoom {
    /// Its kind.
    kind: RoomKind,
    /// Its id; none: one is made.
    #[serde(rename = "roomID", default)]
    #[schema(pattern = "^[!#-&(-_a-~]{1,64}$")]
    id: Option<String>,
    /// What the app says about it; 1024 bytes at most.
    #[serde(default)]
    #[schema(max_length = 256)]
    info: String,
    /// In whose name; none: `operator`.
    #[serde(rename = "userID", default)]
    #[schema(pattern = "^[!#-&(-_a-~]{1,64}$")]
    by: Option<String>,
}

/// Makes an empty room. If nobody enters it within `rooms.maxIdleDuration` it is gone.
#[utoipa::path(post, operation_id = "createRoom", path = "/rooms", tag = "rooms", request_body = NewRoom,
    responses((status = 201, description = "The room, which is made", body = RoomView, headers(("Location" = String, description = "The room")))))]
pub async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(new): Json<NewRoom>,
) -> Result<(StatusCode, [(&'static str, String); 1], axum::Json<RoomView>), Problem> {
    caller.may(Need::Create)?;
    let id = new.id.as_deref().map(room_of).transpose()?;
    let by = user_of(new.by.as_deref().unwrap_or(OPERATOR))?;
    let id = match new.kind {
        RoomKind::Webrtc | RoomKind::Webexe => {
            return Err(Problem::new(StatusCode::CONFLICT, "refused", "calls are made by who is in them"));
        }
        kind => api.rooms.create(kind.kind(), id.as_ref(), &new.info, &by).await?,
    };
    let place =
        format!("/api/v1/rooms/{}", percent_encoding::utf8_percent_encode(id.as_str(), super::request::IN_PATH));
    Ok((StatusCode::CREATED, [("location", place)], axum::Json(view(&api, &id).await?)))
}

async fn view(api: &Api, id: &RoomId) -> Result<RoomView, Problem> {
    let mut view = None;
    api.rooms.see_any(id, &mut |room, viewers| view = Some(RoomView::of(room, viewers))).await?;
    view.ok_or_else(|| room::Refusal::NoRoom.into())
}

/// A room, whether or not somebody has entered it.
#[utoipa::path(get, operation_id = "getRoom", path = "/rooms/{room}", tag = "rooms", params(("room" = String, Path)),
    responses((status = 200, description = "The room", body = RoomView)))]
pub async fn show(State(api): State<Arc<Api>>, caller: Caller, Path(room): Path<String>) -> Answer<RoomView> {
    let room = caller.look(&room)?;
    Ok(axum::Json(view(&api, &room).await?))
}

/// What is to change in a room.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What the app says about it; 1024 bytes at most.
    #[serde(default)]
    #[schema(max_length = 256)]
    info: Option<String>,
    /// Custom fields to set: numbers, texts or any JSON.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    custom: Option<Map<String, Value>>,
}

/// Changes a room's info text and custom fields. Its members are told.
#[utoipa::path(patch, operation_id = "updateRoom", path = "/rooms/{room}", tag = "rooms", params(("room" = String, Path)), request_body = Change,
    responses((status = 200, description = "The room as it is now", body = RoomView)))]
pub async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(room): Path<String>,
    Json(change): Json<Change>,
) -> Answer<RoomView> {
    let room = caller.room(&room)?;
    if change.info.as_ref().is_some_and(|info| info.len() > MAX_ROOM_INFO) {
        return Err(room::Refusal::TooLong { field: "info", max: MAX_ROOM_INFO }.into());
    }
    let fields: Vec<(String, Operation)> =
        change.custom.into_iter().flatten().map(|(name, value)| (name, Operation::Set(field(value)))).collect();
    api.rooms.change(&room, change.info.as_deref(), &fields).await?;
    Ok(axum::Json(view(&api, &room).await?))
}

fn field(value: Value) -> custom::Value {
    match &value {
        Value::Number(n) => {
            n.as_i64().map_or_else(|| custom::Value::Float(n.as_f64().unwrap_or_default()), custom::Value::Int)
        }
        Value::String(text) => custom::Value::Text(text.as_str().into()),
        other => custom::Value::Json(other.to_string().into()),
    }
}

/// Closes a room for everybody.
#[utoipa::path(delete, operation_id = "closeRoom", path = "/rooms/{room}", tag = "rooms", params(("room" = String, Path)),
    responses((status = 204, description = "It is closed")))]
pub async fn close(State(api): State<Arc<Api>>, caller: Caller, Path(room): Path<String>) -> Done {
    let room = room_of(&room)?;
    caller.may(Need::Close(&room))?;
    api.rooms.close(&room).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who pushes in a room.
#[utoipa::path(get, operation_id = "listMembers", path = "/rooms/{room}/members", tag = "rooms", params(("room" = String, Path)),
    responses((status = 200, description = "Who pushes", body = Vec<Member>)))]
pub async fn members(State(api): State<Arc<Api>>, caller: Caller, Path(room): Path<String>) -> Answer<Vec<Member>> {
    let room = caller.look(&room)?;
    Ok(axum::Json(view(&api, &room).await?.members))
}

/// A room's audience.
#[derive(Serialize, ToSchema)]
pub struct Audience {
    /// All of them.
    count: usize,
    /// The listed ones of this page; a room lists `rooms.maxAudiencesLen`.
    viewers: Vec<Viewer>,
    /// The cursor of the next page; none: this was the last.
    next: Option<String>,
}

/// Somebody who watches.
#[derive(Serialize, ToSchema)]
pub struct Viewer {
    /// Who.
    #[serde(rename = "userID")]
    id: String,
    /// What the client says of itself.
    info: String,
}

/// Who watches a live room.
#[utoipa::path(get, operation_id = "listAudience", path = "/rooms/{room}/audience", tag = "rooms", params(("room" = String, Path), Asked),
    responses((status = 200, description = "A page of the audience", body = Audience)))]
pub async fn audience(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(room): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer<Audience> {
    let room = caller.look(&room)?;
    view(&api, &room).await?;
    let viewers = api.rooms.viewers(&room).await?;
    let listed = viewers.listed.iter().map(|v| Viewer { id: v.user.to_string(), info: v.info.to_string() });
    let (listed, next) = asked.page(listed.collect(), |viewer| viewer.id.clone())?;
    Ok(axum::Json(Audience { count: viewers.count, viewers: listed, next }))
}
