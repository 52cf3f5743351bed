//! Our own tokens: what a session, a chat connection or a long poll shows on every call. Stateless:
//! all that they say stands inside, under a MAC. Which sessions are revoked is the server's to know.
//!
//! Layout, before base64url without padding (so only `A-Za-z0-9-_`: clients put tokens into queries
//! unescaped): format 1, key id 1, purpose 1, generation 1, session 8, issued 8, expires 8, user id n,
//! then 16 bytes of HMAC-SHA256 over all of it. Numbers are big-endian.

use crate::{BadKey, Invalid, Secret};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;

/// The longest user id in a token, in bytes.
pub const MAX_USER_ID: usize = 256;
/// The longest token, in characters.
pub const MAX_LEN: usize = (HEAD + MAX_USER_ID + MAC).div_ceil(3) * 4;

const FORMAT: u8 = 1;
const HEAD: usize = 28;
const MAC: usize = 16;
const MALFORMED: Invalid = Invalid::Malformed("token");

/// What a token is for. A token of one purpose is refused for every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A session of the rooms API.
    Session = 1,
    /// `a2`: a login of a chat client.
    ChatLogin = 2,
    /// The key of one long poll of a chat client.
    LongPoll = 3,
    /// A WebSocket or file address that carries its own permission.
    Ticket = 4,
}

/// Which clients' conventions a session follows (docs/protocol.md, "Sessions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Generation {
    /// `custom` as text, `accountType` at login.
    First = 1,
    /// `custom` as object.
    Second = 2,
}

/// What a token says. Both times are in the unit of the `now` given to [`verify`]; the server uses
/// Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose token: up to [`MAX_USER_ID`] bytes.
    pub user_id: String,
    /// Which session, for revoking it: see [`crate::fresh_id`].
    pub session: u64,
    /// The client's generation.
    pub generation: Generation,
    /// When it was made.
    pub issued_at: u64,
    /// The last moment at which it is good.
    pub expires_at: u64,
}

/// The current key, which signs, and previous ones, which still verify.
pub struct Keyring {
    current: Key,
    previous: Vec<Key>,
}

struct Key {
    /// Tells keys apart in a token, so that a rotation does not double the work. Not a secret: it is a
    /// hash of the key under a label of its own.
    id: u8,
    mac: hmac::Key,
}

impl Keyring {
    /// Fewest bytes of a key.
    pub const MIN_KEY: usize = 16;

    /// Makes the keys ready. Each has at least [`Self::MIN_KEY`] bytes; [`crate::generate_secret`]
    /// makes good ones. Rotate by putting the current key among the previous ones until the longest
    /// token's time is over.
    pub fn new(current: &Secret, previous: &[Secret]) -> Result<Self, BadKey> {
        Ok(Keyring { current: Key::new(current)?, previous: previous.iter().map(Key::new).collect::<Result<_, _>>()? })
    }
}

impl Key {
    fn new(secret: &Secret) -> Result<Self, BadKey> {
        let bytes = secret.expose().as_bytes();
        if bytes.len() < Keyring::MIN_KEY {
            return Err(BadKey("a token key must have at least 16 bytes"));
        }
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"roomservice token key id\0");
        hash.update(bytes);
        Ok(Key { id: hash.finish().as_ref()[0], mac: hmac::Key::new(hmac::HMAC_SHA256, bytes) })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(1 current, {} previous)", self.previous.len())
    }
}

/// Makes a token of 59 characters and 4/3 of the user id. The user id must be within its bound.
pub fn issue(keyring: &Keyring, purpose: Purpose, claims: &Claims) -> Result<String, Invalid> {
    let user_id = claims.user_id.as_bytes();
    if user_id.len() > MAX_USER_ID {
        return Err(Invalid::Malformed("userID"));
    }
    let mut bytes = [0; HEAD + MAX_USER_ID + MAC];
    bytes[..4].copy_from_slice(&[FORMAT, keyring.current.id, purpose as u8, claims.generation as u8]);
    bytes[4..12].copy_from_slice(&claims.session.to_be_bytes());
    bytes[12..20].copy_from_slice(&claims.issued_at.to_be_bytes());
    bytes[20..28].copy_from_slice(&claims.expires_at.to_be_bytes());
    let end = HEAD + user_id.len();
    bytes[HEAD..end].copy_from_slice(user_id);
    let tag = hmac::sign(&keyring.current.mac, &bytes[..end]);
    bytes[end..end + MAC].copy_from_slice(&tag.as_ref()[..MAC]);
    Ok(URL_SAFE_NO_PAD.encode(&bytes[..end + MAC]))
}

/// Checks a token: well-formed, made by us, for this purpose, not expired. The MAC comes before all
/// that depends on what the token says, so a refusal tells a forger nothing.
pub fn verify(keyring: &Keyring, purpose: Purpose, token: &str, now: u64) -> Result<Claims, Invalid> {
    let mut bytes = [0; HEAD + MAX_USER_ID + MAC + 2];
    if token.len() > MAX_LEN {
        return Err(MALFORMED);
    }
    let len = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).map_err(|_| MALFORMED)?;
    let (content, given) = bytes[..len].split_last_chunk::<MAC>().ok_or(MALFORMED)?;
    let (head, user_id) = content.split_first_chunk::<HEAD>().ok_or(MALFORMED)?;
    if head[0] != FORMAT {
        return Err(MALFORMED);
    }
    let mut keys = std::iter::once(&keyring.current).chain(&keyring.previous);
    let signed = keys.any(|key| {
        key.id == head[1] && {
            let tag = hmac::sign(&key.mac, content);
            verify_slices_are_equal(&tag.as_ref()[..MAC], given).is_ok()
        }
    });
    if !signed {
        return Err(Invalid::Signature);
    }
    if head[2] != purpose as u8 {
        return Err(Invalid::Mismatch("purpose of the token"));
    }
    let generation = match head[3] {
        1 => Generation::First,
        2 => Generation::Second,
        _ => return Err(MALFORMED),
    };
    let [session, issued_at, expires_at] =
        [4, 12, 20].map(|at| u64::from_be_bytes(std::array::from_fn(|i| head[at + i])));
    if now > expires_at {
        return Err(Invalid::Expired);
    }
    let user_id = std::str::from_utf8(user_id).map_err(|_| MALFORMED)?.to_owned();
    Ok(Claims { user_id, session, generation, issued_at, expires_at })
}

#[cfg(test)]
mod tests;
