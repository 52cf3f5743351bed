//! Changes that are done once, however often they are asked for: a room remembers the names of its newest ones, so the memory of
//! a change is where the change is, in every store, on every node and after every restart. Knows no callers and how they make names.

use crate::event::Event;
use crate::refusal::Refusal;
use crate::room::Room;
pub use crate::room::done::{Done, REMEMBERED};

/// Decides, unless the room remembers that this was done. What has no name is decided always. A room that ended forgets: what
/// ended it is refused when it is asked for again, and not done twice either.
///
/// # Errors
/// What the decision refuses.
pub fn once(
    slot: &mut Option<Room>,
    name: Option<u64>,
    decide: impl FnOnce(&mut Option<Room>) -> Result<Vec<Event>, Refusal>,
) -> Result<Vec<Event>, Refusal> {
    let Some(name) = name else { return decide(slot) };
    if slot.as_ref().is_some_and(|room| room.done.has(name)) {
        return Ok(Vec::new());
    }
    let events = decide(slot)?;
    if let Some(room) = slot {
        room.done.add(name);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custom::{self, Operation};
    use crate::{Kind, Millis, RoomId};

    #[test]
    fn a_named_change_is_made_once_and_the_newest_are_remembered() {
        let id = RoomId::parse("r").unwrap();
        let mut slot = Some(Room::empty(id, Kind::Live, "", Millis(0)));
        let mut count = |name| {
            once(&mut slot, name, |slot| {
                let room = slot.as_mut().ok_or(Refusal::NoRoom)?;
                room.status += 1;
                Ok(Vec::new())
            })
            .unwrap();
            slot.as_ref().unwrap().status
        };
        assert_eq!([Some(7), Some(7), None, None, Some(8), Some(7)].map(&mut count), [1, 1, 2, 3, 4, 4]);
        for name in 100..100 + REMEMBERED as u64 {
            count(Some(name));
        }
        assert_eq!(slot.as_ref().unwrap().done.0.len(), REMEMBERED);
        assert!(!slot.as_ref().unwrap().done.has(8) && slot.as_ref().unwrap().done.has(100));
        let refused =
            once(&mut None, Some(1), |slot| custom::set_custom_field(slot, Millis(1), "n", Operation::Add(1)));
        assert_eq!(refused, Err(Refusal::NoRoom));
    }
}
