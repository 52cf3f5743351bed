//! The rooms' side: one system notification for every change, and the group's end with the room's.
//! A room's group is made when somebody first asks for it (`chat/repair.rs`): most rooms' never is.

use room::chat::{End, Refusal};
use room::{Event, RoomId, What};

use super::Hub;
use crate::chat::Chat;
use crate::store::Answer;

/// The user-defined field that tells of a change; `None` for what is told in another way.
fn field(what: &What) -> Option<String> {
    let cmd = |cmd: &str, data: &str| Some(serde_json::json!({"cmd": cmd, "data": data}).to_string());
    match what {
        What::Joined { .. } | What::Updated { .. } | What::Left { .. } => cmd("notifyPusherChange", ""),
        What::Info => cmd("notifyRoomInfoChange", ""),
        What::Custom { name } => cmd("notifyCustomChange", name),
        What::Status => cmd("notifyRoomStatusChange", ""),
        What::Created { .. } | What::Closed { .. } => None,
    }
}

impl Chat for Hub {
    fn open<'a>(&'a self, _: &'a RoomId) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn carry(&self, event: &Event) {
        let carried = match &event.what {
            // Somebody was there before it.
            What::Created { .. } => {
                self.adopt(&event.room);
                return;
            }
            // Nobody has asked for its group so far: nobody is to be told.
            _ if !self.has(&event.room) => return,
            What::Closed { .. } => self.destroy(&event.room, None, End::Destroyed),
            what => field(what).map_or(Ok(()), |text| self.notify(&event.room, None, &text)),
        };
        match carried {
            Ok(()) | Err(Refusal::NoGroup) => {}
            Err(refusal) => {
                tracing::warn!(room = %event.room, ?refusal, "a change could not be told to the room's group")
            }
        }
    }
}
