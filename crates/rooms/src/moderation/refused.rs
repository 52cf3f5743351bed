//! Why an act of an operator was not done: a code for programs, a sentence for people. Owns what the refusals of rooms, chat and
//! store become here; knows no HTTP status.

use chat::RemoteError;
use store::error::Error;

use crate::groups::Unheld;

/// What programs are told. The words are part of the operator API and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is not known whether it was done, or all of it.
    Unknown,
    /// There is no such room.
    NoRoom,
    /// The user is not in the room.
    NotMember,
    /// A room of this id exists already.
    Exists,
    /// The request is malformed.
    BadRequest,
    /// A text is too long.
    TooLong,
    /// What is no number cannot be counted.
    NotANumber,
    /// There are as many of these as may be.
    TooMany,
    /// The room, or what is kept for a user, is full.
    Full,
    /// It is not allowed.
    Refused,
    /// A neighbour is away, and nothing was done.
    Unavailable,
    /// The sender is muted in the room.
    Muted,
    /// The sender is kept out of the room.
    Banned,
    /// There is no such stream.
    NoStream,
    /// There is no such recording.
    NoRecording,
    /// There is no such mix.
    NoMix,
    /// What it is about is at another service.
    Elsewhere,
}

impl Code {
    /// The word for it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NoRoom => "no_room",
            Self::NotMember => "not_member",
            Self::Exists => "exists",
            Self::BadRequest => "bad_request",
            Self::TooLong => "too_long",
            Self::NotANumber => "not_a_number",
            Self::TooMany => "too_many",
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Muted => "muted",
            Self::Banned => "banned",
            Self::NoStream => "no_stream",
            Self::NoRecording => "no_recording",
            Self::NoMix => "no_mix",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// Why an act was not done.
#[derive(Debug)]
pub struct Refused {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

/// A refusal.
pub fn refused(code: Code, message: impl Into<String>) -> Refused {
    Refused { code, message: message.into() }
}

/// It is not known whether it was done.
pub(super) fn unknown() -> Refused {
    refused(Code::Unknown, "it is not known whether this was done, or all of it: look, or send it again")
}

impl From<room::Refusal> for Refused {
    fn from(refusal: room::Refusal) -> Self {
        use room::Refusal;
        match refusal {
            Refusal::NoRoom => refused(Code::NoRoom, "there is no such room"),
            Refusal::NotMember => refused(Code::NotMember, "not a pusher of this room"),
            Refusal::RoomExists => refused(Code::Exists, "a room of this id exists already"),
            Refusal::Missing { field } => refused(Code::BadRequest, format!("{field} is missing")),
            Refusal::TooLong { field, max } => refused(Code::TooLong, format!("{field} may have {max} bytes")),
            Refusal::BadCharacter { field } => {
                refused(Code::BadRequest, format!("{field} must be printable ASCII without spaces and quotes"))
            }
            Refusal::NotANumber => refused(Code::NotANumber, "only numbers can be counted"),
            Refusal::TooManyFields { max } => refused(Code::TooMany, format!("a room has at most {max} custom fields")),
            Refusal::Full | Refusal::AudienceListFull => refused(Code::Full, "the room is full"),
            Refusal::NotCreator => refused(Code::Refused, "only the room's creator may"),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Unknown(why) => {
                tracing::warn!(why, "it is not known whether an operator's act was done");
                unknown()
            }
            error @ (Error::NoGroup(_) | Error::Unavailable(_) | Error::Leaving) => {
                tracing::warn!(?error, "an operator's act failed");
                refused(Code::Unavailable, "a part of the server is away; the log says more")
            }
        }
    }
}

impl From<room::chat::Refusal> for Refused {
    fn from(refusal: room::chat::Refusal) -> Self {
        use room::chat::Refusal;
        match refusal {
            Refusal::NoGroup => refused(Code::NoRoom, "there is no such room"),
            Refusal::TooLong { field, max } => refused(Code::TooLong, format!("{field} may have {max} bytes")),
            Refusal::Empty { field } => refused(Code::BadRequest, format!("{field} must not be empty")),
            Refusal::TooManySanctions { max } => refused(Code::TooMany, format!("{max} muted or banned users a room")),
            Refusal::Muted { .. } => refused(Code::Muted, "the sender is muted in the room"),
            Refusal::Banned { .. } => refused(Code::Banned, "the sender is banned from the room"),
            Refusal::NotMember => refused(Code::NotMember, "the user is not in the room's chat"),
            Refusal::NoConnection => refused(Code::Refused, "the user's connection to the chat has ended"),
            Refusal::GroupFull { max } => {
                refused(Code::Full, format!("the room's chat has {max} connections, its most"))
            }
            Refusal::TooManyGroups { max } => refused(Code::TooMany, format!("{max} rooms a connection")),
            Refusal::TooManyConnections { max } => refused(Code::TooMany, format!("{max} connections a user")),
            Refusal::MailboxFull => refused(Code::Full, "the receiver is away, and as much waits for it as may"),
            Refusal::Overloaded => {
                refused(Code::Unavailable, "the chat has more to keep or to send than it may; try again")
            }
            Refusal::Away => refused(Code::Unavailable, "what several servers share is away; try again"),
        }
    }
}

impl From<Unheld> for Refused {
    fn from(why: Unheld) -> Self {
        match why {
            Unheld::Refused(refusal) => refusal.into(),
            Unheld::NotKept => unknown(),
        }
    }
}

impl From<RemoteError> for Refused {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::NoGroup => refused(Code::NoRoom, error.to_string()),
            RemoteError::Failed(_) => refused(Code::Unavailable, error.to_string()),
        }
    }
}
