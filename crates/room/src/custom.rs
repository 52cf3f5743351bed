//! The rule that changes a room's custom fields: only while the room is active, with names and values of a bounded length.

use crate::event::{Event, What};
use crate::refusal::{Refusal, bounded};
use crate::room::Room;
pub use crate::room::fields::{Custom, Operation, Value};
use crate::rules::MAX_FIELD_NAME;
use crate::time::Millis;

/// Sets or counts a custom field of an active room.
///
/// # Errors
/// [`Refusal::NoRoom`], [`Refusal::NotANumber`], [`Refusal::TooManyFields`], and bounds on name and value.
pub fn set_custom_field(
    slot: &mut Option<Room>,
    now: Millis,
    name: &str,
    operation: Operation,
) -> Result<Vec<Event>, Refusal> {
    if name.is_empty() {
        return Err(Refusal::Missing { field: "fieldName" });
    }
    bounded("fieldName", name, MAX_FIELD_NAME)?;
    let operation = match operation {
        Operation::Set(value) => Operation::Set(value.checked()?),
        Operation::Add(n) => Operation::Add(n),
    };
    let room = slot.as_mut().filter(|r| r.is_active()).ok_or(Refusal::NoRoom)?;
    room.custom.apply(name, operation)?;
    Ok(vec![room.event(now, What::Custom { name: name.into() })])
}

#[cfg(test)]
mod tests;
