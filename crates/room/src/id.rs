//! Identifiers of rooms, users and streams: bounded printable ASCII, cheap to clone.
//! They say nothing about who may use them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// Longest room or user id in bytes.
pub const MAX_ID: usize = 64;
/// Longest stream id in bytes: a business id and two encoded ids.
pub const MAX_STREAM: usize = 512;

fn check(field: &'static str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::Missing { field });
    }
    if text.len() > max {
        return Err(Refusal::TooLong { field, max });
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'`')) {
        return Err(Refusal::BadCharacter { field });
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $field:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks length and characters.
            ///
            /// # Errors
            /// A [`Refusal`] that names the field and what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, Refusal> {
                check($field, text, $max)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

id!(
    /// A room's id, unique across all kinds of rooms: its chat group has the same one.
    RoomId, "roomID", MAX_ID
);
id!(
    /// A user's id, as the user signature names it.
    UserId, "userID", MAX_ID
);
id!(
    /// The name of a stream at the live service, e.g. `8525_room1_alice`.
    StreamId, "streamID", MAX_STREAM
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_named() {
        assert!(RoomId::parse("room_1-a.b@c#").is_ok());
        assert_eq!(RoomId::parse(""), Err(Refusal::Missing { field: "roomID" }));
        assert_eq!(UserId::parse(&"x".repeat(65)), Err(Refusal::TooLong { field: "userID", max: 64 }));
        for bad in ["a b", "a\"b", "a'b", "a\nb", "é", "a\u{7f}", "a\0"] {
            assert_eq!(RoomId::parse(bad), Err(Refusal::BadCharacter { field: "roomID" }), "{bad:?}");
        }
    }
}
