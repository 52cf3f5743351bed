//! Groups that ought to be there: a room has none until somebody asks for it, for the first time or after a restart.

use room::RoomId;
use room::chat::Refusal;

use super::Hub;
use crate::rooms::Rooms;

/// Makes a room's group if it has none. Says whether there is such a room.
pub async fn ensure(hub: &Hub, rooms: &Rooms, group: &RoomId) -> Result<bool, Refusal> {
    if !rooms.exists(group).await {
        return Ok(false);
    }
    hub.found(group, None, "").await?;
    if hub.is_shared() {
        hub.fetch(group).await?;
        return Ok(true);
    }
    // Should the room have closed meanwhile, its group's end came too early: then it stays one without a room, which
    // goes by itself.
    if rooms.exists(group).await {
        hub.adopt(group);
    }
    Ok(true)
}

/// Runs a step on a group; where there is no group but a room, the group is made first.
pub async fn with_group<T>(
    hub: &Hub,
    rooms: &Rooms,
    group: &RoomId,
    mut step: impl FnMut() -> Result<T, Refusal> + Send,
) -> Result<T, Refusal> {
    hub.fetch(group).await?;
    match step() {
        Err(Refusal::NoGroup) if ensure(hub, rooms, group).await? => step(),
        done => done,
    }
}

/// What to say to somebody whom a group refused: where there is a room, it is not in it, whether or not the room has
/// a group so far.
pub async fn outside(rooms: &Rooms, group: &RoomId, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::NoGroup if rooms.exists(group).await => Refusal::NotMember,
        other => other,
    }
}
