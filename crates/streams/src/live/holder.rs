//! Whom a URL was made for: put into play URLs, read from them and from the names of streams. Checks no signature.

use room::{RoomId, UserId};
use sign::Invalid;
use sign::stream_name::decode_part;

use super::stream_name::{Owner, owner};

/// Who holds a URL, as far as it says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The user that it was made for.
    pub user: Option<UserId>,
    /// The room in which it was made.
    pub room: Option<RoomId>,
}

impl Holder {
    /// Whose stream a name speaks of.
    pub(super) fn of_stream(bizid: u32, stream: &str) -> Self {
        let parse = |user: String| UserId::parse(&user).ok();
        match owner(bizid, stream) {
            Some(Owner::User(user)) => Self { user: parse(user), room: None },
            Some(Owner::Member { room, user }) => Self { user: parse(user), room: RoomId::parse(&room).ok() },
            None => Self::default(),
        }
    }

    /// The user and the room that a play URL names; without a room, the one in the stream's name.
    pub(super) fn named(bizid: u32, stream: &str, user: &str, room: &str) -> Result<Self, Invalid> {
        let user = decode_part(user).and_then(|user| UserId::parse(&user).ok()).ok_or(Invalid::Malformed("uid"))?;
        let room = match room {
            "" => Self::of_stream(bizid, stream).room,
            room => {
                let room = decode_part(room).and_then(|room| RoomId::parse(&room).ok());
                Some(room.ok_or(Invalid::Malformed("rid"))?)
            }
        };
        Ok(Self { user: Some(user), room })
    }
}

/// What is signed in place of the stream's name where a URL says whom it is for. No stream's name holds a `/`, and the
/// last one keeps a room's digits from counting as time.
pub(super) fn signed_name(stream: &str, user: &str, room: &str) -> String {
    let mut name = String::with_capacity(stream.len() + user.len() + room.len() + 3);
    for part in [stream, "/", user, "/", room, "/"] {
        name.push_str(part);
    }
    name
}
