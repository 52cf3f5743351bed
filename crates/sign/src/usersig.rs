//! Tencent's userSig (TLSSig): the proof of a login, version 1 (a key pair) and 2 (a shared secret).
//! Owns the order of the checks; the wrapping, the members and each version's signature have files
//! of their own. Sources: Tencent's "UserSig" of IM; the official libraries' vectors are in tests/vectors.

mod members;
mod outer;
pub mod v1;
pub mod v2;

pub use members::{MAX_USER_ID, MAX_USERBUF};
pub use outer::{MAX_INFLATED, MAX_TEXT};

use crate::{BadKey, Invalid};
use members::Members;

/// Which of the two formats a userSig has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Signed with a private key: P-256, secp256k1 or RSA.
    V1,
    /// HMAC-SHA256 with the app's secret.
    V2,
}

/// The keys of one app. A userSig of a version without a key is refused as [`Invalid::NoKey`].
#[derive(Debug, Default)]
pub struct Keys {
    v1_private: Option<v1::PrivateKey>,
    v1_public: Option<v1::PublicKey>,
    v2: Option<v2::Key>,
}

impl Keys {
    /// Puts the configured keys together. The public key is derived when only the private one is
    /// given; a pair that does not belong together is a [`BadKey`].
    pub fn new(
        v1_private: Option<v1::PrivateKey>,
        v1_public: Option<v1::PublicKey>,
        v2: Option<v2::Key>,
    ) -> Result<Self, BadKey> {
        let v1_public = match (&v1_private, v1_public) {
            (Some(private), Some(public)) if private.public_key() != public => {
                return Err(BadKey("the public key does not belong to the private key"));
            }
            (Some(private), None) => Some(private.public_key()),
            (_, public) => public,
        };
        Ok(Keys { v1_private, v1_public, v2 })
    }

    /// The private key of version 1, if configured.
    pub fn v1_private(&self) -> Option<&v1::PrivateKey> {
        self.v1_private.as_ref()
    }

    /// The public key of version 1, given or derived.
    pub fn v1_public(&self) -> Option<&v1::PublicKey> {
        self.v1_public.as_ref()
    }

    /// The secret of version 2, if configured.
    pub fn v2(&self) -> Option<&v2::Key> {
        self.v2.as_ref()
    }

    /// Signs with the newest version there is a key for. `account_type` is used by version 1 only
    /// (`"0"` unless the app has one).
    pub fn sign(&self, grant: &Grant<'_>, account_type: &str) -> Result<String, Invalid> {
        match (&self.v2, &self.v1_private) {
            (Some(key), _) => v2::sign(key, grant),
            (None, Some(key)) => v1::sign(key, grant, account_type),
            (None, None) => Err(Invalid::NoKey("signing a userSig")),
        }
    }
}

/// Whom a userSig must have been made for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The app that the client names.
    pub sdk_app_id: u64,
    /// The user that the client claims to be.
    pub user_id: &'a str,
    /// The account type that a version-1 userSig must carry; `None` accepts any.
    pub account_type: Option<&'a str>,
    /// Unix seconds.
    pub now: u64,
}

/// What a good userSig says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The format it came in.
    pub version: Version,
    /// Unix seconds at which it was made, by the signer's clock.
    pub issued_at: u64,
    /// The last Unix second at which it is good.
    pub expires_at: u64,
    /// Bytes that the signer put in, such as a room key (see [`crate::room_key`]).
    pub userbuf: Option<Vec<u8>>,
}

/// What to sign.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// The app.
    pub sdk_app_id: u64,
    /// 1 to [`MAX_USER_ID`] bytes without control characters.
    pub user_id: &'a str,
    /// Unix seconds.
    pub issued_at: u64,
    /// Seconds from `issued_at` for which it is good.
    pub lifetime: u64,
    /// Up to [`MAX_USERBUF`] bytes to carry along.
    pub userbuf: Option<&'a [u8]>,
}

impl Grant<'_> {
    fn check(&self) -> Result<(), Invalid> {
        if self.user_id.is_empty() || self.user_id.len() > MAX_USER_ID || !members::is_plain(self.user_id) {
            return Err(Invalid::Malformed("userID"));
        }
        if self.userbuf.is_some_and(|bytes| bytes.len() > MAX_USERBUF) {
            return Err(Invalid::Malformed("userbuf is longer than 1 KiB"));
        }
        self.issued_at.checked_add(self.lifetime).ok_or(Invalid::Malformed("lifetime"))?;
        Ok(())
    }
}

/// Checks a userSig in the order that `login` reports: well-formed, made for this app and user, not
/// expired, signature ([`Invalid::step`]). A userSig issued in the future is good: phones' clocks and
/// signers' clocks differ.
pub fn verify(text: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Claims, Invalid> {
    outer::unwrap(text, |json| {
        let members = Members::parse(json)?;
        match members.version() {
            None | Some("1.0") => v1::verify(&members, keys.v1_public(), expected),
            Some("2.0") => v2::verify(&members, keys.v2(), expected),
            Some(_) => Err(Invalid::Malformed("TLS.ver")),
        }
    })
}

#[cfg(test)]
mod tests;
