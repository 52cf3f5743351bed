//! Changes that operators make to a room: all of what is asked for, or nothing.

use room::custom::{self, Operation};
use room::{Refusal, Room, RoomId, pushers};

use super::Rooms;
use store::error::Error;

impl Rooms {
    /// Sets a room's info text and custom fields at the operator's wish: all of it, or nothing.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`], also for fields of a room that no pusher entered; [`Refusal::TooLong`],
    /// [`Refusal::TooManyFields`].
    pub async fn change(&self, id: &RoomId, info: Option<&str>, fields: &[(String, Operation)]) -> Result<(), Error> {
        let now = self.clock.steady();
        let decide = &mut |slot: &mut Option<Room>| {
            let before = slot.clone();
            let mut change = || {
                let mut events = Vec::new();
                if slot.is_none() {
                    return Err(Refusal::NoRoom);
                }
                if let Some(info) = info {
                    events.extend(pushers::set_info(slot, now, info)?);
                }
                for (name, operation) in fields {
                    events.extend(custom::set_custom_field(slot, now, name, operation.clone())?);
                }
                Ok(events)
            };
            let changed = change();
            if changed.is_err() {
                *slot = before;
            }
            changed
        };
        self.decide(id, decide).await
    }
}
