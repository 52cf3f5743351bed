//! The rooms' side: a group for every room, and one system notification for every change.

use room::chat::{End, Refusal};
use room::{Event, RoomId, What};

use super::Hub;
use crate::chat::Chat;
use crate::error::Error;
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
    fn open<'a>(&'a self, room: &'a RoomId) -> Answer<'a, ()> {
        Box::pin(async move {
            // Not yet the room's: should the room not come to be, the group goes by itself.
            self.create(room, None, "").map(drop).map_err(|why| Error::NoGroup(format!("{why:?}")))
        })
    }

    fn carry(&self, event: &Event) {
        let carried = match (&event.what, field(&event.what)) {
            (What::Created { .. }, _) => self.make(&event.room, None, "", true).map(drop),
            (What::Closed { .. }, _) => match self.destroy(&event.room, None, End::Destroyed) {
                // Older than this process, and nobody asked for its group.
                Err(Refusal::NoGroup) => Ok(()),
                carried => carried,
            },
            (_, Some(text)) => match self.notify(&event.room, None, &text) {
                // A room that is older than this process: its group is made with the first change.
                Err(Refusal::NoGroup) => {
                    self.make(&event.room, None, "", true).and_then(|_| self.notify(&event.room, None, &text))
                }
                carried => carried,
            },
            (_, None) => Ok(()),
        };
        if let Err(refusal) = carried {
            tracing::warn!(room = %event.room, ?refusal, "a change could not be told to the room's group");
        }
    }
}
