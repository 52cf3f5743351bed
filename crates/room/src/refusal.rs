//! Why a rule said no. Exhaustive, and without wire codes: those are the server's.

/// A rule's refusal. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A required field is absent or empty.
    Missing {
        /// The field's name on the wire.
        field: &'static str,
    },
    /// A field is longer than `max` bytes.
    TooLong {
        /// The field's name on the wire.
        field: &'static str,
        /// The bound, in bytes.
        max: usize,
    },
    /// An id holds something else than printable ASCII without spaces and quotes.
    BadCharacter {
        /// The field's name on the wire.
        field: &'static str,
    },
    /// A custom field that is not a number cannot be counted up or down.
    NotANumber,
    /// The room has as many custom fields as it may have.
    TooManyFields {
        /// The bound.
        max: usize,
    },
    /// There is no such room, or no pusher ever entered it.
    NoRoom,
    /// A room with this id exists already, possibly of another kind.
    RoomExists,
    /// Only the room's creator may do this.
    NotCreator,
    /// The user is not in the room.
    NotMember,
    /// The room has as many pushers as it may have.
    Full,
    /// The list of viewers is full; the viewer is counted all the same.
    AudienceListFull,
}

/// Checks a text's length in bytes.
///
/// # Errors
/// [`Refusal::TooLong`] with the field's name.
pub fn bounded(field: &'static str, text: &str, max: usize) -> Result<(), Refusal> {
    // Texts go out as JSON, in lists by the hundred: what six bytes are written for counts as six.
    let controls = text.bytes().filter(|b| matches!(b, 0..=7 | 11 | 14..=31)).count();
    if text.len() + 5 * controls > max { Err(Refusal::TooLong { field, max }) } else { Ok(()) }
}
