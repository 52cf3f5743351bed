//! What happened to a room: returned by the rules, carried by others after the commit.

use serde::{Deserialize, Serialize};

use crate::id::{RoomId, UserId};
use crate::kind::Kind;
use crate::time::Millis;

/// One change of one room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The room.
    pub room: RoomId,
    /// Its kind.
    pub kind: Kind,
    /// Position in the room's life, from 1, without gaps.
    pub seq: u64,
    /// When it was decided.
    pub at: Millis,
    /// The change.
    pub what: What,
}

/// The kinds of change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The room was made, still empty.
    Created {
        /// Who made it.
        by: UserId,
    },
    /// A pusher entered.
    Joined {
        /// Who.
        user: UserId,
    },
    /// A pusher that was in the room changed its name, avatar or stream.
    Updated {
        /// Who.
        user: UserId,
    },
    /// A pusher is no longer in the room. Exactly one for each `Joined`.
    Left {
        /// Who.
        user: UserId,
        /// Why.
        reason: LeaveReason,
    },
    /// The room's info text was changed. `Status`, a number that clients could set in versions before the first release,
    /// may stand in a journal still.
    #[serde(alias = "Status")]
    Info,
    /// A custom field was changed.
    Custom {
        /// Its name.
        name: Box<str>,
    },
    /// The room is gone; always its last event.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// Why a pusher is no longer in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// It said so.
    Quit,
    /// No heartbeat, and the live service says that it does not push.
    Timeout,
    /// The room's creator or the operator removed it.
    Kicked,
    /// The room was closed while it was in.
    RoomClosed,
    /// What the server kept was lost, this room with it.
    Lost,
}

/// Why a room is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// Its creator destroyed it.
    Destroyed,
    /// Its creator left, which closes a room of this kind.
    CreatorLeft,
    /// The last pusher left.
    Empty,
    /// No pusher ever entered.
    Idle,
    /// The operator closed it.
    Operator,
    /// What the server kept was lost, this room with it.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_set_before_the_first_release_is_still_read() {
        let kept = r#"{"room":"r","kind":"live","seq":6,"at":5,"what":"Status"}"#;
        let event: Event = serde_json::from_str(kept).unwrap();
        assert_eq!((event.seq, event.what), (6, What::Info));
    }
}
