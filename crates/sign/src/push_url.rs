//! txSecret: the signature in push and play URLs. Signs and checks one stream's name until one moment;
//! neither host nor app is covered. The hash has no mark between name and time, so the time has one length only:
//! the last eight digits are it, and what precedes them is the name. Source: Tencent's
//! "Hotlink Protection" of CSS.

use crate::stream_url::Query;
use crate::{Invalid, Secret, hex};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use md5::{Digest, Md5};
use std::fmt;
use std::ops::RangeInclusive;

/// How many digits a txTime has. Fewer or more would let one signature stand for two names.
const TIME_DIGITS: usize = 8;

/// The hash in a txSecret. MD5 unless the domain is configured otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// 32 hexadecimal digits.
    #[default]
    Md5,
    /// 64 hexadecimal digits.
    Sha256,
}

/// The lower-case hexadecimal hash of key, stream and `tx_time` exactly as it stands in the URL.
pub fn tx_secret(algorithm: Algorithm, key: &Secret, stream: &str, tx_time: &str) -> String {
    let mut text = String::new();
    Signer::new(algorithm, key).append_secret(&mut text, stream, tx_time);
    text
}

/// `txSecret=..&txTime=..` for a stream until `expires_at` (Unix seconds; for a player it is the
/// moment from which the domain's valid time counts).
pub fn sign(algorithm: Algorithm, key: &Secret, stream: &str, expires_at: u64) -> String {
    Signer::new(algorithm, key).sign(stream, &tx_time(expires_at))
}

/// A hash that has begun with a key. Who signs many names with one key of 64 bytes hashes that once: one block of two or three.
pub struct Signer(Begun);

#[derive(Clone)]
enum Begun {
    Md5(Md5),
    Sha256(digest::Context),
}

impl Signer {
    /// What signs with this key.
    pub fn new(algorithm: Algorithm, key: &Secret) -> Self {
        let key = key.expose().as_bytes();
        Self(match algorithm {
            Algorithm::Md5 => Begun::Md5(Md5::new_with_prefix(key)),
            Algorithm::Sha256 => {
                let mut hash = digest::Context::new(&digest::SHA256);
                hash.update(key);
                Begun::Sha256(hash)
            }
        })
    }

    /// `txSecret=..&txTime=..` for a stream until that time, which is as [`tx_time`] makes it.
    pub fn sign(&self, stream: &str, tx_time: &str) -> String {
        // Room lists hold hundreds of these: one allocation, no formatting machinery.
        let mut text = String::with_capacity(9 + 64 + 8 + TIME_DIGITS);
        text.push_str("txSecret=");
        self.append_secret(&mut text, stream, tx_time);
        text.push_str("&txTime=");
        text.push_str(tx_time);
        text
    }

    fn append_secret(&self, text: &mut String, stream: &str, tx_time: &str) {
        match self.0.clone() {
            Begun::Md5(hash) => hex::append(text, &hash.chain_update(stream).chain_update(tx_time).finalize()),
            Begun::Sha256(mut hash) => {
                hash.update(stream.as_bytes());
                hash.update(tx_time.as_bytes());
                hex::append(text, hash.finish().as_ref());
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(***)")
    }
}

/// A moment (Unix seconds) as URLs have it: eight upper-case hexadecimal digits, as official libraries write `txTime`. Those
/// beyond what eight digits hold, in 2106, become the last that they hold.
pub fn tx_time(expires_at: u64) -> String {
    // Made for every answer: without formatting machinery.
    let seconds = u32::try_from(expires_at).unwrap_or(u32::MAX);
    let digit = |at: usize| char::from(b"0123456789ABCDEF"[(seconds >> (28 - 4 * at) & 15) as usize]);
    (0..TIME_DIGITS).map(digit).collect()
}

/// Checks the signature in `query` against the main and the backup key and gives the expiry (Unix
/// seconds). The hash is known by its length. An empty key never matches. Other parameters, such as
/// the legacy `bizid`, are not looked at.
///
/// `ends` are the expiries that are taken, from now until the last that a signer may give: a URL that never ends would
/// outlive every change of mind. For play URLs with a valid time, let it begin that time before now.
pub fn verify(stream: &str, query: &Query<'_>, keys: &[&Secret], ends: RangeInclusive<u64>) -> Result<u64, Invalid> {
    let given = query.get("txSecret").ok_or(Invalid::Malformed("URL has no txSecret"))?;
    let tx_time = query.get("txTime").ok_or(Invalid::Malformed("URL has no txTime"))?;
    if tx_time.len() != TIME_DIGITS || !tx_time.bytes().all(|c| hex::digit(c).is_some()) {
        return Err(Invalid::Malformed("txTime is not eight hexadecimal digits"));
    }
    let expires_at = u64::from_str_radix(tx_time, 16).map_err(|_| Invalid::Malformed("txTime"))?;
    let given = if let Some(md5) = hex::decode::<16>(given) {
        Given::Md5(md5)
    } else if let Some(sha256) = hex::decode::<32>(given) {
        Given::Sha256(sha256)
    } else {
        return Err(Invalid::Malformed("txSecret"));
    };
    if expires_at < *ends.start() {
        return Err(Invalid::Expired);
    }
    if expires_at > *ends.end() {
        return Err(Invalid::TooLong);
    }
    let mut keys = keys.iter().filter(|key| !key.is_empty()).peekable();
    if keys.peek().is_none() {
        return Err(Invalid::NoKey("txSecret"));
    }
    let good = keys.any(|key| {
        let parts = [key.expose(), stream, tx_time];
        match &given {
            Given::Md5(given) => verify_slices_are_equal(given, &md5_of(&parts)).is_ok(),
            Given::Sha256(given) => verify_slices_are_equal(given, &sha256_of(&parts)).is_ok(),
        }
    });
    if good { Ok(expires_at) } else { Err(Invalid::Signature) }
}

enum Given {
    Md5([u8; 16]),
    Sha256([u8; 32]),
}

pub(crate) fn md5_of(parts: &[&str]) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

pub(crate) fn sha256_of(parts: &[&str]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests;
