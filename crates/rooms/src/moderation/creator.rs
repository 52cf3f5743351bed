//! What a room's creator may do beyond its chat: remove a user from the room with all that it pushes and plays there. Short
//! by design: a room's id can be taken by others when the room is gone. Who the creator is, the caller has checked.

use room::{RoomId, UserId};

use super::{Code, KICKED, Moderation, Out, Refused, refused};
use access::bans::MOST;

/// What stands as the reason of such a ban. The chat was notified already, by its own means.
pub(super) const REASON: &str = "the room's creator";
/// The longest that a creator keeps a user out of a room's streams, in seconds.
pub const LONGEST: u64 = 600;

/// Whether the user pushes in the room, or has a session of media there at this node.
pub async fn is_in(by: &Moderation, room: &RoomId, user: &UserId) -> bool {
    let mut pushes = false;
    let seen = by.store.see(room, &mut |room, _| pushes = room.pusher(user).is_some()).await;
    seen.is_ok() && pushes || by.bans.running.runs(user, room)
}

/// Removes a user from the room's streams and list, and keeps it out of them for so many seconds: a minute unless the call says
/// otherwise, [`LONGEST`] at most.
///
/// # Errors
/// As [`Moderation::put_out`]; room for operators' bans is kept free.
pub async fn remove(by: &Moderation, room: &RoomId, user: &UserId, seconds: Option<u64>) -> Result<(), Refused> {
    let now = by.clock.now();
    match by.bans.get(user, Some(room), now) {
        // An operator's word is not replaced by a shorter one.
        Some(ban) if &*ban.reason != REASON => return Ok(()),
        Some(_) => {}
        None if by.bans.len() >= MOST / 2 => return Err(refused(Code::TooMany, "too many users are kept out")),
        None => {}
    }
    let seconds = Some(seconds.unwrap_or(KICKED).clamp(1, LONGEST));
    by.put_out(Out { user, room: Some(room), seconds, reason: REASON, kick: true }).await.map(drop)
}

/// Takes that back, and nothing that an operator said.
///
/// # Errors
/// A neighbour is away.
pub async fn let_in(by: &Moderation, room: &RoomId, user: &UserId) -> Result<(), Refused> {
    match by.bans.get(user, Some(room), by.clock.now()) {
        Some(ban) if &*ban.reason == REASON => by.let_in(user, Some(room)).await.map(drop),
        _ => Ok(()),
    }
}
