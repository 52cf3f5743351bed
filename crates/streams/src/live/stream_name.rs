//! Names of streams, made from rooms and users so that no two of them ever share one.
//!
//! With a room: `{bizid}_{room}_{user}`, without: `{bizid}_{user}_{4 random hex}`. Two such names could
//! meet (room `a_b` with user `c`, room `a` with user `b_c`), and who may choose a room's id could then
//! push as another user. So a room's part never holds `_`, and a user's part that ends like a random
//! one has that end escaped.
//!
//! At Tencent a name is 1 to 80 of `[A-Za-z0-9_]` ([`hosted`]). A name from above that is, stays. Any other begins with
//! `{bizid}__` and ends in `_` and one or two letters, as no name from above does: so both are read without knowing which
//! service they were made for. Ids that would make it too long stand in it as a digest, which only a table can read back.

mod hosted;

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

/// Whom a name speaks of; `None` if it was not made here, or names somebody by a digest (see `has_digest`).
pub fn owner(bizid: u32, stream: &str) -> Option<Owner> {
    let rest = stream.strip_prefix(&format!("{bizid}_"))?;
    if let Some(rest) = hosted::escaped(rest) {
        return hosted::owner(bizid, stream, rest);
    }
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

/// The names of a user's streams at one live service.
#[derive(Clone, Copy, Debug)]
pub struct Naming {
    /// The first part of every name.
    pub bizid: u32,
    /// Whether the service takes nothing but [`hosted`] names.
    pub hosted: bool,
}

impl Naming {
    /// The stable name of a user's stream in a room.
    pub fn member(self, room: &RoomId, user: &UserId) -> Result<StreamId, Refusal> {
        let plain = member(self.bizid, room, user);
        if self.hosted { hosted::member(self.bizid, room, user, plain) } else { plain }
    }

    /// A fresh name for a user's stream; `suffix` are four hexadecimal digits.
    pub fn fresh(self, user: &UserId, suffix: u16) -> Result<StreamId, Refusal> {
        let plain = fresh(self.bizid, user, suffix);
        if self.hosted { hosted::fresh(self.bizid, user, suffix, plain) } else { plain }
    }
}

/// Whether a name was made here and names its owner by a digest.
pub fn has_digest(bizid: u32, stream: &str) -> bool {
    stream.strip_prefix(&format!("{bizid}_")).and_then(hosted::escaped).is_some_and(hosted::is_digest)
}

/// Whether a name is, or may be, this user's in this room: it says so, or it was not made here.
pub fn may_be_of(bizid: u32, stream: &str, room: &RoomId, user: &UserId) -> bool {
    match owner(bizid, stream) {
        Some(Owner::User(id)) => id == user.as_str(),
        Some(Owner::Member { room: in_room, user: id }) => id == user.as_str() && in_room == room.as_str(),
        None => !has_digest(bizid, stream) || hosted::is_digest_of(bizid, stream, room, user),
    }
}

/// Whether a name that was made here is this user's; `None` for any other name. In `alone`, only names without a room count as
/// the user's. Of a room's names with a digest nobody can tell without the room: they count as another's.
pub fn is_of(bizid: u32, stream: &str, user: &UserId, alone: bool) -> Option<bool> {
    match owner(bizid, stream) {
        Some(Owner::User(whose)) => Some(whose == user.as_str()),
        Some(Owner::Member { user: whose, .. }) => Some(!alone && whose == user.as_str()),
        None => has_digest(bizid, stream).then(|| hosted::is_digest_of_user(bizid, stream, user)),
    }
}

/// Whether a mix is named after a stream: by its name, `_` and more.
#[must_use]
pub fn is_mix_of(name: &str, stream: &str) -> bool {
    name.strip_prefix(stream).is_some_and(|rest| rest.starts_with('_'))
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
    fn a_mix_is_named_after_a_stream() {
        assert!(is_mix_of("1_r_alice_mixed", "1_r_alice") && is_mix_of("1_r_alice_", "1_r_alice"));
        assert!(!is_mix_of("1_r_alice", "1_r_alice") && !is_mix_of("1_r_alice2", "1_r_alice"));
        assert!(!is_mix_of("1_r_bob_mixed", "1_r_alice"));
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

    #[test]
    fn what_tencent_does_not_take_is_escaped_there() {
        let at = Naming { bizid: 8525, hosted: true };
        let name = |room: &str, user: &str| {
            at.member(&RoomId::parse(room).unwrap(), &UserId::parse(user).unwrap()).unwrap().to_string()
        };
        assert_eq!(name("room1", "alice_x"), "8525_room1_alice_x");
        assert_eq!(name("room_1a2b_77", "alice"), "8525__roomZ5f1a2bZ5f77_alice_m");
        assert_eq!(name("Zoo", "a.b"), "8525__Z5aoo_aZ2eb_m");
        assert_eq!(name("room", "user_77_4414"), "8525__room_userZ5f77Z5f4414_m");
        let fresh = |user: &str| at.fresh(&UserId::parse(user).unwrap(), 0x1873).unwrap().to_string();
        assert_eq!((fresh("alice_1"), fresh("a-b")), ("8525_alice_1_1873".into(), "8525__aZ2db_1873_f".into()));
        // Another user's, whatever it looks like.
        let bob = (RoomId::parse("room").unwrap(), UserId::parse("bob").unwrap());
        let long = name(&"r.".repeat(30), "alice");
        assert!(long.len() <= 80 && long.ends_with("_mh") && has_digest(8525, &long), "{long}");
        assert_eq!(owner(8525, &long), None);
        for stream in [long.as_str(), &fresh(&"x.".repeat(30)), "8525__roomZ5f1_alice_m", "8525__aZ2db_1873_f"] {
            assert!(!may_be_of(8525, stream, &bob.0, &bob.1), "{stream}");
        }
        let own = fresh(&"x.".repeat(30));
        let x = UserId::parse(&"x.".repeat(30)).unwrap();
        assert_eq!((is_of(8525, &own, &x, true), is_of(8525, &own, &bob.1, true)), (Some(true), Some(false)));
        assert_eq!((is_of(8525, &long, &x, false), is_of(8525, "live_1001", &x, true)), (Some(false), None));
        assert_eq!(
            (is_of(8525, "8525_r_bob", &bob.1, false), is_of(8525, "8525_r_bob", &bob.1, true)),
            (Some(true), Some(false))
        );
        // Spellings that are never made are nobody's; names of before are read as ever.
        assert_eq!(owner(8525, "8525__room_alice_m"), None);
        assert_eq!(owner(8525, "8525__x_1873"), Some(Owner::User("_x".into())));
        let before = Owner::Member { room: "a_b".into(), user: "c".into() };
        assert_eq!(owner(8525, "8525_a~5fb_c"), Some(before));
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

        #[test]
        fn hosted_names_can_be_read_back(
            bizid in prop_oneof![Just(8525u32), any::<u32>()],
            room in "([!#-&(-_a-~]{1,64}|[a-z_Z]{1,12})", user in "([!#-&(-_a-~]{1,64}|[a-z_Z]{0,8}_?[0-9a-f]{1,5})", suffix: u16,
        ) {
            let at = Naming { bizid, hosted: true };
            let room = RoomId::parse(&room).unwrap();
            let user = UserId::parse(&user).unwrap();
            for (name, old) in [(at.member(&room, &user), member(bizid, &room, &user)), (at.fresh(&user, suffix), fresh(bizid, &user, suffix))] {
                let name = name.unwrap();
                let text = name.as_str();
                prop_assert!(hosted::is_valid(text), "{}", text);
                if let Ok(old) = &old && hosted::is_valid(old.as_str()) {
                    prop_assert_eq!(&name, old, "what is good there stays as it was");
                }
                prop_assert!(may_be_of(bizid, text, &room, &user));
                let whose = Owner::Member { room: room.to_string(), user: user.to_string() };
                let told = !tells_room(bizid, &room, text) || owner(bizid, text) == Some(whose);
                prop_assert!(told, "{}", text);
            }
            let inside = at.member(&room, &user).unwrap();
            let alone = at.fresh(&user, suffix).unwrap();
            prop_assert_ne!(&inside, &alone);
            if !has_digest(bizid, inside.as_str()) {
                prop_assert_eq!(owner(bizid, inside.as_str()), Some(Owner::Member { room: room.to_string(), user: user.to_string() }));
            }
            if !has_digest(bizid, alone.as_str()) {
                prop_assert_eq!(owner(bizid, alone.as_str()), Some(Owner::User(user.to_string())));
            }
        }

        #[test]
        fn two_owners_have_two_hosted_names(ids in prop::collection::hash_set(("[ab_Z5f.-]{1,5}|[a.]{40,64}", "[ab_Z5f.-]{1,5}|[a.]{40,64}"), 2..40)) {
            let at = Naming { bizid: 8525, hosted: true };
            let mut names = std::collections::HashMap::new();
            for (room, user) in ids {
                let room = RoomId::parse(&room).unwrap();
                let user = UserId::parse(&user).unwrap();
                let whose = (Some(room.clone()), user.clone());
                if let Some(other) = names.insert(at.member(&room, &user).unwrap(), whose.clone()) {
                    prop_assert_eq!(other, whose);
                }
                for suffix in [0x5f5f, 0xabab] {
                    if let Some(other) = names.insert(at.fresh(&user, suffix).unwrap(), (None, user.clone())) {
                        prop_assert_eq!(other, (None, user.clone()));
                    }
                }
            }
        }

        #[test]
        fn a_hosted_name_has_one_spelling(rest in "[abZ0-9_]{1,12}_(m|f|[0-9a-f]{4}_f)") {
            let at = Naming { bizid: 8525, hosted: true };
            let name = format!("8525__{rest}");
            match owner(8525, &name) {
                Some(Owner::Member { room, user }) => {
                    let again = at.member(&RoomId::parse(&room).unwrap(), &UserId::parse(&user).unwrap()).unwrap();
                    prop_assert_eq!(again.as_str(), name);
                }
                Some(Owner::User(user)) => {
                    let suffix = u16::from_str_radix(&name[name.len() - 6..name.len() - 2], 16).unwrap();
                    let again = at.fresh(&UserId::parse(&user).unwrap(), suffix).unwrap();
                    prop_assert_eq!(again.as_str(), name);
                }
                None => {}
            }
        }
    }
}
