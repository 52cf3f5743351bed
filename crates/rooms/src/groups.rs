//! Groups that ought to be there: a room has none until a client asks for it, for the first time or after a restart.

use room::chat::{Refusal, Said, Sent};
use room::sanctions::Sanction;
use room::{RoomId, UserId};

use super::Rooms;
use chat::Hub;
use store::error::Error;

/// Makes a room's group if it has none. Says whether there is such a room.
pub async fn ensure(hub: &Hub, rooms: &Rooms, group: &RoomId) -> Result<bool, Refusal> {
    if !rooms.exists(group).await {
        return Ok(false);
    }
    hub.found(group, None, "").await?;
    hub.fetch(group).await?;
    adopt(hub, rooms, group).await;
    // Read when the group is there: what changes from then on comes to it by itself.
    if let Some(sanctions) = rooms.sanctions(group).await {
        hub.hold(group, &sanctions);
    }
    Ok(true)
}

/// Lets a room's group begin with it, where another task is about to say so: nothing of the room is put into it before.
async fn adopt(hub: &Hub, rooms: &Rooms, group: &RoomId) {
    // Should the room have closed meanwhile, its group's end came too early: then it stays one without a room, which
    // goes by itself. With several nodes it begins in the commit that makes the room.
    if !hub.is_shared() && rooms.exists(group).await {
        hub.adopt(group);
    }
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

/// Why a sanction does not hold for as long as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheld {
    /// It does not hold at all.
    Refused(Refusal),
    /// It holds now, and may be forgotten: the room could not keep it.
    NotKept,
}

impl From<Refusal> for Unheld {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unheld> for Refusal {
    fn from(why: Unheld) -> Self {
        match why {
            Unheld::Refused(refusal) => refusal,
            Unheld::NotKept => Self::Away,
        }
    }
}

/// Mutes a user in a room's group, or keeps it out, for so many milliseconds; 0 lifts it. Holds for as long as the room is
/// there, over restarts and at every node; without a room, for as long as the group is.
///
/// # Errors
/// As [`Hub::mute`] and [`Hub::ban`]; [`Unheld::NotKept`].
pub async fn sanction(
    hub: &Hub,
    rooms: &Rooms,
    group: &RoomId,
    what: Sanction,
    user: &UserId,
    ms: u64,
) -> Result<(), Unheld> {
    let step = || {
        let early = hub.owner(group).is_err();
        let passed = match what {
            Sanction::Mute => hub.mute(group, user, ms),
            Sanction::Ban => hub.ban(group, user, ms),
        };
        passed.map(|passed| (passed, early))
    };
    adopt(hub, rooms, group).await;
    let (mut passed, early) = with_group(hub, rooms, group, step).await?;
    match rooms.sanction(group, what, user, passed.until).await {
        Ok(()) | Err(Error::Refused(_)) => {}
        Err(error) => {
            tracing::warn!(%error, room = %group, "a sanction is not kept");
            return Err(Unheld::NotKept);
        }
    }
    if early {
        // One that was made meanwhile may have been too early to know what the room keeps, and too late to hear this.
        match with_group(hub, rooms, group, step).await {
            Ok((again, _)) => passed = again,
            // It holds, and is kept.
            Err(Refusal::Overloaded) => {}
            Err(why) => return Err(why.into()),
        }
    }
    passed.everywhere().await;
    Ok(())
}

/// Whether a group would take a message now, before anybody else is asked about it: what the message was given if it was taken
/// before.
///
/// # Errors
/// As [`Hub::send`], in the words of [`outside`].
pub async fn may_send(hub: &Hub, rooms: &Rooms, group: &RoomId, said: &Said) -> Result<Option<Sent>, Refusal> {
    match hub.may_send(group, said) {
        Ok(sent) => Ok(sent),
        Err(why) => Err(outside(rooms, group, why).await),
    }
}

/// What to say to a user whom a group refused: where there is a room, it is not in it, whether or not the room has
/// a group so far.
pub async fn outside(rooms: &Rooms, group: &RoomId, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::NoGroup if rooms.exists(group).await => Refusal::NotMember,
        other => other,
    }
}
