//! The rooms' side: one system notification for every change, and the group's end with the room's.
//! A room's group is made when a client first asks for it (`crates/rooms/src/groups.rs`): most rooms' never is.

use room::chat::{Content, End, Notice, Refusal, System};
use room::{CloseReason, Event, RoomId, What};

use super::Hub;
use crate::Chat;
use crate::bus::Op;
use store::Answer;
use store::redis::GroupCommand;

/// The user-defined field that announces a change; `None` for what is published in another way.
fn field(what: &What) -> Option<String> {
    let cmd = |cmd: &str, data: &str| Some(serde_json::json!({"cmd": cmd, "data": data}).to_string());
    match what {
        What::Joined { .. } | What::Updated { .. } | What::Left { .. } => cmd("notifyPusherChange", ""),
        What::Info => cmd("notifyRoomInfoChange", ""),
        What::Custom { name } => cmd("notifyCustomChange", name),
        What::Created { .. } | What::Closed { .. } => None,
    }
}

/// What is published to the group of a room of its changes, where Redis keeps groups.
#[must_use]
pub fn told(events: &[Event]) -> Vec<GroupCommand> {
    // Calls have no group.
    let events = events.iter().filter(|event| !event.kind.is_elsewhere());
    let op = |event: &Event| {
        let group = event.room.clone();
        let at = event.at;
        match &event.what {
            // A member may have been there before it.
            What::Created { .. } => Some(Op::Adopt { group }),
            What::Closed { .. } => Some(Op::End { group, at, by: None, end: End::Destroyed }),
            what => {
                let notice = Notice::Custom(field(what)?.into());
                Some(Op::Message { group, at, content: Content::System(System { by: None, notice }) })
            }
        }
    };
    events.filter_map(op).map(|op| op.for_commit()).collect()
}

impl Chat for Hub {
    fn open<'a>(&'a self, _: &'a RoomId) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn carry(&self, event: &Event) {
        if self.is_shared() {
            // It was told in the commit, and comes by the bus; but for the end of what Redis has lost, with the group.
            if matches!(event.what, What::Closed { reason: CloseReason::Lost }) {
                // A node without a replica of the group has no member to notify.
                let _ = self.destroy_here(&event.room, None, End::Destroyed);
            }
            return;
        }
        let carried = match &event.what {
            // A member was there before it.
            What::Created { .. } => {
                self.adopt(&event.room);
                return;
            }
            // No client has asked for its group so far: there is no member to notify.
            _ if !self.has(&event.room) => return,
            What::Closed { .. } => self.destroy(&event.room, None, End::Destroyed),
            what => field(what).map_or(Ok(()), |text| self.notify(&event.room, None, &text)),
        };
        match carried {
            Ok(()) | Err(Refusal::NoGroup) => {}
            Err(refusal) => {
                tracing::warn!(room = %event.room, ?refusal, "a change could not be published to the room's group")
            }
        }
    }
}
