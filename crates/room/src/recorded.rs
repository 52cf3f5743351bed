//! The rule that says whether what is pushed in a room is recorded, now and later.

use crate::refusal::Refusal;
use crate::room::Room;

/// Says so, until it is said otherwise or the room closes. Makes no event.
///
/// # Errors
/// [`Refusal::NoRoom`].
pub fn set_recorded(slot: &mut Option<Room>, on: bool) -> Result<(), Refusal> {
    slot.as_mut().ok_or(Refusal::NoRoom)?.recorded = on;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RoomId;
    use crate::kind::Kind;
    use crate::time::Millis;

    #[test]
    fn it_is_kept_with_the_room_and_old_files_have_nothing_of_it() {
        let mut slot = None;
        assert_eq!(set_recorded(&mut slot, true), Err(Refusal::NoRoom));
        slot = Some(Room::empty(RoomId::parse("r").unwrap(), Kind::Live, "", Millis(0)));
        let before = serde_json::to_string(&slot).unwrap();
        assert!(!before.contains("recorded"));
        set_recorded(&mut slot, true).unwrap();
        let text = serde_json::to_string(&slot).unwrap();
        let read: Option<Room> = serde_json::from_str(&text).unwrap();
        assert!(read.unwrap().recorded);
        set_recorded(&mut slot, false).unwrap();
        assert_eq!(serde_json::to_string(&slot).unwrap(), before);
    }
}
