//! Whose a stream is, and what its room was called: kept beside the rooms, so that a service which speaks of a stream by its name
//! alone is understood after a restart, and a recording has a title after its room has closed.

use room::{Kind, Room, RoomId, StreamId, UserId};
use serde::{Deserialize, Serialize};

use super::Rooms;
use store::{Row, Table};

/// For how long that is kept, in milliseconds: recordings are told of when they are whole.
const KEPT: u64 = 90 * 24 * 3600 * 1000;

/// Who pushes a stream, and in which room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOwner {
    /// The room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// The room's kind.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// What the room said of itself then.
    #[serde(default)]
    pub title: String,
}

impl Rooms {
    /// Keeps whose a stream is that is in this room now; without a room, the room's title is this one. A store that is away
    /// costs only that.
    pub async fn keep_owner(&self, stream: &StreamId, room: &RoomId, user: &UserId, title: &str) {
        let now = self.clock.now();
        let mut owner = StreamOwner { room: room.clone(), user: user.clone(), kind: None, title: title.into() };
        let look = &mut |room: &Room, _| (owner.kind, owner.title) = (Some(room.kind), room.info.to_string());
        let _ = self.store.see(room, look).await;
        let Ok(value) = serde_json::to_value(&owner) else { return };
        // A pusher who enters again within the day leaves it as it is.
        let held = self.store.row(Table::Streams, stream.as_str(), now.plus(KEPT - KEPT / 90)).await;
        if held.is_ok_and(|held| held.is_some_and(|held| held.value == value)) {
            return;
        }
        let row = Row { key: stream.as_str().into(), value, until: now.plus(KEPT) };
        if let Err(error) = self.store.put_row(Table::Streams, &row, true, now).await {
            tracing::warn!(%stream, %error, "whose stream this is could not be kept");
        }
    }

    /// Whose a stream is, if that is kept.
    pub async fn owner_of(&self, stream: &str) -> Option<StreamOwner> {
        let row = self.store.row(Table::Streams, stream, self.clock.now()).await;
        let row = row.inspect_err(|error| tracing::debug!(%error, "whose stream it is could not be looked up")).ok()?;
        serde_json::from_value(row?.value).ok()
    }
}
