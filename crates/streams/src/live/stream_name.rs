//! Names of streams, made from rooms and users so that no two of them ever share one.
//!
//! With a room: `{bizid}_{room}_{user}`, without: `{bizid}_{user}_{4 random hex}`. Two such names could
//! meet (room `a_b` with user `c`, room `a` with user `b_c`), and who may choose a room's id could then
//! push as another user. So a room's part never holds `_`, and a user's part that ends like a random
//! one has that end escaped.

use std::borrow::Cow;

use room::{Refusal, RoomId, StreamId, UserId};
use sign::stream_name::{MAX_LEN, decode_part, encode_part};

/// Whom a stream's name speaks of.
#[derive(Debug, PartialEq, Eq)]
pub enum Owner {
    /// A user, in whatever room.
    User(String),
    /// A user in one room.
    Member {
        /// The room.
        room: String,
        /// The user.
        user: String,
    },
}

fn is_suffix(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn checked(name: &str) -> Result<StreamId, Refusal> {
    if name.len() > MAX_LEN {
        // Only ids of many characters that stream names cannot hold come here.
        return Err(Refusal::TooLong { field: "userID", max: MAX_LEN });
    }
    StreamId::parse(name)
}

/// The stable name of a user's stream in a room.
pub fn member(bizid: u32, room: &RoomId, user: &UserId) -> Result<StreamId, Refusal> {
    let room = encode_part(room.as_str()).replace('_', "~5f");
    let mut user = encode_part(user.as_str());
    let last = user.rfind('_').map_or(0, |at| at + 1);
    if is_suffix(&user[last..]) {
        user = format!("{}~{:02x}{}", &user[..last], user.as_bytes()[last], &user[last + 1..]).into();
    }
    checked(&format!("{bizid}_{room}_{user}"))
}

/// A fresh name for a user's stream; `suffix` are four hexadecimal digits.
pub fn fresh(bizid: u32, user: &UserId, suffix: u16) -> Result<StreamId, Refusal> {
    checked(&format!("{bizid}_{}_{suffix:04x}", encode_part(user.as_str())))
}

/// Whom a name speaks of; `None` if it was not made here.
pub fn owner(bizid: u32, stream: &str) -> Option<Owner> {
    let rest = stream.strip_prefix(&format!("{bizid}_"))?;
    let decode = |part: &str| decode_part(part).map(Cow::into_owned);
    if let Some((user, suffix)) = rest.rsplit_once('_')
        && is_suffix(suffix)
    {
        return decode(user).map(Owner::User);
    }
    let (room, user) = rest.split_once('_')?;
    // The escapes that only this file makes are undone first.
    let room = decode(&room.replace("~5f", "_"))?;
    let (before, last) = user.split_at(user.rfind('_').map_or(0, |at| at + 1));
    let user = match unescape(last) {
        Some(last) => decode(&format!("{before}{last}"))?,
        None => decode(user)?,
    };
    Some(Owner::Member { room, user })
}

/// Whether [`owner`] would read this room from a name. Quick, and rather says no.
pub fn tells_room(bizid: u32, room: &RoomId, stream: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let room = room.as_str();
    let digits = stream.bytes().take_while(u8::is_ascii_digit).count();
    room.bytes().all(plain)
        && stream[..digits].parse() == Ok(bizid)
        && !stream.starts_with('0')
        && stream[digits..].strip_prefix('_').and_then(|rest| rest.strip_prefix(room)).is_some_and(|rest| {
            let last = rest.rsplit('_').next().unwrap_or_default();
            rest.starts_with('_') && !is_suffix(last)
        })
}

/// `~31873` is what a user's end `1873` was made into.
fn unescape(last: &str) -> Option<String> {
    let (digits, rest) = last.strip_prefix('~')?.split_at_checked(2)?;
    let first = u8::from_str_radix(digits, 16).ok()?;
    let end = format!("{}{rest}", char::from(first));
    is_suffix(&end).then_some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(room: &str, user: &str) -> String {
        member(8525, &RoomId::parse(room).unwrap(), &UserId::parse(user).unwrap()).unwrap().to_string()
    }

    #[test]
    fn plain_ids_stay_plain() {
        assert_eq!(name("room1", "alice_x"), "8525_room1_alice_x");
        assert_eq!(fresh(8525, &UserId::parse("alice").unwrap(), 0x1873).unwrap().as_str(), "8525_alice_1873");
    }

    #[test]
    fn nobody_gets_somebody_elses_stream() {
        assert_ne!(name("a_b", "c"), name("a", "b_c"));
        assert_ne!(name("alice", "1873"), fresh(8525, &UserId::parse("alice").unwrap(), 0x1873).unwrap().as_str());
        assert_eq!(owner(8525, &name("a_b", "c")), Some(Owner::Member { room: "a_b".into(), user: "c".into() }));
        assert_eq!(owner(8525, &name("r", "1873")), Some(Owner::Member { room: "r".into(), user: "1873".into() }));
        assert_eq!(owner(8525, "8525_alice_1873"), Some(Owner::User("alice".into())));
        assert_eq!(name("room", "user_77_4414"), "8525_room_user_77_~34414");
        let owned = Owner::Member { room: "room".into(), user: "user_77_4414".into() };
        assert_eq!(owner(8525, "8525_room_user_77_~34414"), Some(owned));
        assert_eq!(owner(8525, "something"), None);
        assert_eq!(owner(8525, "8525_alice"), None);
    }

    proptest! {
        #[test]
        fn names_can_be_read_back(room in "[!#-&(-_a-~]{1,20}", user in "([!#-&(-_a-~]{0,16}|[a_~34]{0,4})_?[0-9a-f]{1,5}", suffix: u16) {
            let stream = name(&room, &user);
            let room_id = RoomId::parse(&room).unwrap();
            prop_assert!(room.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') || tells_room(8525, &room_id, &stream));
            prop_assert_eq!(owner(8525, &stream), Some(Owner::Member { room, user: user.clone() }));
            let stream = fresh(8525, &UserId::parse(&user).unwrap(), suffix).unwrap();
            prop_assert!(!tells_room(8525, &room_id, stream.as_str()));
            prop_assert_eq!(owner(8525, stream.as_str()), Some(Owner::User(user)));
        }

        #[test]
        fn any_name_is_read_without_harm(stream in "8525_[ -~é]{0,40}") {
            let _ = owner(8525, &stream);
        }
    }
}
