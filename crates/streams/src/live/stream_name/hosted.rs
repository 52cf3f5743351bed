//! Names for Tencent's live service: 1 to 80 of `[A-Za-z0-9_]`, since its mixes take no others.
//!
//! - `{bizid}__{room}_{user}_m` and `{bizid}__{user}_{4 hex}_f`: the ids, each byte that is no letter or digit, and `Z`, as
//!   `Zhh`;
//! - `{bizid}__{56 hex}_mh` and `{bizid}__{56 hex}_{4 hex}_fh`: a digest of the ids, where that would be too long.

use room::{Refusal, RoomId, StreamId, UserId};
use sign::push_url::{Algorithm, tx_secret};

use super::{Owner, is_suffix};

/// The longest name.
const MAX: usize = 80;
/// Digits of a digest: 224 bits.
const DIGEST: usize = 56;
/// What begins an escape.
const ESCAPE: char = 'Z';

/// Whether the service takes this name.
pub fn is_valid(name: &str) -> bool {
    (1..=MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn encode(id: &str) -> String {
    let mut part = String::with_capacity(id.len() * 2);
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() && char::from(byte) != ESCAPE {
            part.push(char::from(byte));
        } else {
            part.push_str(&format!("{ESCAPE}{byte:02x}"));
        }
    }
    part
}

fn decode(part: &str) -> Option<String> {
    let mut pieces = part.split(ESCAPE);
    let mut id = pieces.next()?.to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        id.push(char::from(u8::from_str_radix(digits, 16).ok()?));
        id.push_str(rest);
    }
    Some(id)
}

/// Of ids, which hold no space and no slash.
fn digest(of: &str) -> String {
    let mut digits = tx_secret(Algorithm::Sha256, &sign::Secret::default(), of, "");
    digits.truncate(DIGEST);
    digits
}

fn digest_of_member(bizid: u32, room: &str, user: &str) -> String {
    format!("{bizid}__{}_mh", digest(&format!("member {room} {user}")))
}

fn digest_of_user(bizid: u32, user: &str, suffix: &str) -> String {
    format!("{bizid}__{}_{suffix}_fh", digest(&format!("user {user}")))
}

fn first_valid(names: [String; 2]) -> Result<StreamId, Refusal> {
    let [escaped, digest] = names;
    StreamId::parse(if is_valid(&escaped) { &escaped } else { &digest })
}

/// A member's name; `plain` is the one that it has elsewhere.
pub fn member(bizid: u32, room: &RoomId, user: &UserId, plain: Result<StreamId, Refusal>) -> Result<StreamId, Refusal> {
    if let Ok(plain) = plain
        && is_valid(plain.as_str())
    {
        return Ok(plain);
    }
    let room = room.as_str();
    let user = user.as_str();
    let escaped = format!("{bizid}__{}_{}_m", encode(room), encode(user));
    first_valid([escaped, digest_of_member(bizid, room, user)])
}

/// A fresh name; `plain` is the one that it has elsewhere.
pub fn fresh(bizid: u32, user: &UserId, suffix: u16, plain: Result<StreamId, Refusal>) -> Result<StreamId, Refusal> {
    if let Ok(plain) = plain
        && is_valid(plain.as_str())
    {
        return Ok(plain);
    }
    let user = user.as_str();
    let suffix = format!("{suffix:04x}");
    let escaped = format!("{bizid}__{}_{suffix}_f", encode(user));
    first_valid([escaped, digest_of_user(bizid, user, &suffix)])
}

/// What stands in a name of this file behind `{bizid}__`; of what stands behind `{bizid}_`.
pub fn escaped(rest: &str) -> Option<&str> {
    let rest = rest.strip_prefix('_')?;
    ["_m", "_f", "_mh", "_fh"].iter().any(|end| rest.ends_with(end)).then_some(rest)
}

/// Whether such a name has a digest.
pub fn is_digest(rest: &str) -> bool {
    rest.ends_with('h')
}

/// Whom such a name speaks of.
pub fn owner(bizid: u32, stream: &str, rest: &str) -> Option<Owner> {
    let owner = if let Some(ids) = rest.strip_suffix("_m") {
        let (room, user) = ids.split_once('_')?;
        Owner::Member { room: decode(room)?, user: decode(user)? }
    } else {
        let (user, suffix) = rest.strip_suffix("_f")?.split_once('_')?;
        Owner::User(decode(user).filter(|_| is_suffix(suffix))?)
    };
    // Only one spelling for each, or two streams could be one user's.
    (again(bizid, rest, &owner)? == stream).then_some(owner)
}

fn again(bizid: u32, rest: &str, owner: &Owner) -> Option<String> {
    let naming = super::Naming { bizid, hosted: true };
    let name = match owner {
        Owner::Member { room, user } => naming.member(&RoomId::parse(room).ok()?, &UserId::parse(user).ok()?),
        Owner::User(user) => {
            let suffix = rest.strip_suffix("_f")?.rsplit_once('_')?.1;
            naming.fresh(&UserId::parse(user).ok()?, u16::from_str_radix(suffix, 16).ok()?)
        }
    };
    Some(name.ok()?.to_string())
}

/// Whether a name has the digest of this member, or of this user.
pub fn is_digest_of(bizid: u32, stream: &str, room: &RoomId, user: &UserId) -> bool {
    if digest_of_member(bizid, room.as_str(), user.as_str()) == stream {
        return true;
    }
    is_digest_of_user(bizid, stream, user)
}

/// Whether a name without a room has the digest of this user.
pub fn is_digest_of_user(bizid: u32, stream: &str, user: &UserId) -> bool {
    let suffix = stream.strip_suffix("_fh").and_then(|rest| rest.rsplit_once('_'));
    suffix.is_some_and(|(_, suffix)| is_suffix(suffix) && digest_of_user(bizid, user.as_str(), suffix) == stream)
}
