//! Signatures: bytes in, bytes out. Owns every signature that clients, Tencent's services and our own
//! nodes exchange. Refuses to know a clock, a network, a runtime or the wire codes of any call: the
//! time is an argument, and a refusal is an [`Invalid`].

pub mod callback;
mod hex;
pub mod jwt;
mod pem;
pub mod push_url;
mod random;
pub mod room_key;
mod secret;
pub mod stream_name;
pub mod stream_url;
pub mod tc3;
pub mod token;
pub mod usersig;

pub use random::{fresh_id, generate_secret};
pub use secret::Secret;

use std::fmt;

/// Why a signature is refused. Never holds any part of a key or of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Not of the form it should have; names the part.
    Malformed(&'static str),
    /// Well-formed, but made for another user or thing; names the part.
    Mismatch(&'static str),
    /// Its time is over (or, for calls that must be fresh, too far away).
    Expired,
    /// It would be good for longer than is allowed.
    TooLong,
    /// There is no key to check this kind with; names the kind.
    NoKey(&'static str),
    /// Not made with our key, or changed afterwards.
    Signature,
}

impl Invalid {
    /// The number of the check that failed: 1 well-formed, 2 match, 3 expiry, 4 signature.
    /// `login` tells clients this number (docs/protocol.md).
    pub fn step(&self) -> u8 {
        match self {
            Invalid::Malformed(_) => 1,
            Invalid::Mismatch(_) => 2,
            Invalid::Expired | Invalid::TooLong => 3,
            Invalid::NoKey(_) | Invalid::Signature => 4,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Malformed(what) => write!(f, "malformed: {what}"),
            Invalid::Mismatch(what) => write!(f, "does not match: {what}"),
            Invalid::Expired => f.write_str("expired"),
            Invalid::TooLong => f.write_str("its end lies further ahead than is allowed"),
            Invalid::NoKey(kind) => write!(f, "no key configured for {kind}"),
            Invalid::Signature => f.write_str("signature is wrong"),
        }
    }
}

impl std::error::Error for Invalid {}

/// Why a configured key cannot be used: a sentence for the operator, without any part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey(&'static str);

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadKey {}
