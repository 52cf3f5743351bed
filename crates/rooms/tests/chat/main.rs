//! Rooms and the chat hub together, as the program puts them together.

#![allow(clippy::unwrap_used)]

mod clock;
mod nodes;
mod presence;
mod sanctions;

use chat::hub::Hub;
use room::{RoomId, UserId};

/// Somebody makes a group for a room that is not there, and says something in it; what the hub then knows of it.
async fn make_before_the_room(hub: &Hub, id: &RoomId, who: &UserId) {
    hub.found(id, Some(who), "mine").await.unwrap();
    hub.fetch(id).await.unwrap();
    hub.notify(id, None, r#"{"cmd":"mine"}"#).unwrap();
    assert_eq!(hub.owner(id).unwrap().as_ref(), Some(who));
}

/// Whether the group is the room's alone: what every hub keeps to, whoever made the group before.
fn is_the_rooms(hub: &Hub, id: &RoomId) -> bool {
    let seen = hub.see(id, &[]).unwrap();
    let shown = hub.show(id).unwrap();
    seen.owner.is_none() && seen.name.is_empty() && shown.last >= 1 && shown.muted.is_empty()
}
