//! The members inside a userSig of either version, borrowed from the JSON: reading, bounding and
//! comparing them. Knows no keys.

use super::Expected;
use crate::Invalid;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The longest user id, in bytes.
pub const MAX_USER_ID: usize = 256;
/// The longest userbuf, in bytes.
pub const MAX_USERBUF: usize = 1024;
const MAX_ACCOUNT_TYPE: usize = 32;
/// Base64 of an RSA-4096 signature has 684 characters.
const MAX_SIG: usize = 700;

/// A member that libraries write as a string or as a number. The text is kept as written: v1
/// signatures cover exactly these characters.
pub(super) struct Text<'a>(Cow<'a, str>);

#[derive(serde::Deserialize)]
pub(super) struct Members<'a> {
    #[serde(borrow, rename = "TLS.ver")]
    ver: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.identifier")]
    identifier: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.sdkappid")]
    sdk_app_id_v2: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.sdk_appid")]
    sdk_app_id_v1: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.time")]
    time: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.expire")]
    expire_v2: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.expire_after")]
    expire_v1: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.userbuf")]
    userbuf: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.sig")]
    sig: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.account_type")]
    account_type: Option<Text<'a>>,
    #[serde(borrow, rename = "TLS.appid_at_3rd")]
    appid_at_3rd: Option<Text<'a>>,
}

/// The members after the first check: present, bounded, and numbers where numbers belong. The texts
/// are what the signature covers.
pub(super) struct Checked<'a> {
    pub identifier: &'a str,
    pub sdk_app_id: &'a str,
    pub time: &'a str,
    pub expire: &'a str,
    pub userbuf: Option<&'a str>,
    /// Version 1 only.
    pub account_type: Option<&'a str>,
    pub appid_at_3rd: Option<&'a str>,
    pub signature: Vec<u8>,
    pub issued_at: u64,
    pub expires_at: u64,
    pub userbuf_bytes: Option<Vec<u8>>,
    app: u64,
}

impl<'a> Members<'a> {
    pub fn parse(json: &'a [u8]) -> Result<Self, Invalid> {
        // serde would also take the members from an array, by position.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(Invalid::Malformed("userSig holds no JSON object"));
        }
        serde_json::from_slice(json).map_err(|_| Invalid::Malformed("userSig holds no proper JSON"))
    }

    /// The text of `TLS.ver`; version 1 has none.
    pub fn version(&self) -> Option<&str> {
        self.ver.as_ref().map(|text| &*text.0)
    }

    pub fn check_v1(&self) -> Result<Checked<'_>, Invalid> {
        let account_type = required(&self.account_type, "TLS.account_type", MAX_ACCOUNT_TYPE)?;
        let appid_at_3rd = optional(&self.appid_at_3rd, "TLS.appid_at_3rd", MAX_ACCOUNT_TYPE)?;
        let sdk_app_id = required(&self.sdk_app_id_v1, "TLS.sdk_appid", 20)?;
        let expire = required(&self.expire_v1, "TLS.expire_after", 20)?;
        self.check(sdk_app_id, expire, Some(account_type), appid_at_3rd)
    }

    pub fn check_v2(&self) -> Result<Checked<'_>, Invalid> {
        let sdk_app_id = required(&self.sdk_app_id_v2, "TLS.sdkappid", 20)?;
        let expire = required(&self.expire_v2, "TLS.expire", 20)?;
        self.check(sdk_app_id, expire, None, None)
    }

    fn check<'m>(
        &'m self,
        sdk_app_id: &'m str,
        expire: &'m str,
        account_type: Option<&'m str>,
        appid_at_3rd: Option<&'m str>,
    ) -> Result<Checked<'m>, Invalid> {
        let identifier = required(&self.identifier, "TLS.identifier", MAX_USER_ID)?;
        let time = required(&self.time, "TLS.time", 20)?;
        let sig = required(&self.sig, "TLS.sig", MAX_SIG)?;
        let userbuf = optional(&self.userbuf, "TLS.userbuf", MAX_USERBUF.div_ceil(3) * 4)?;
        let issued_at = number(time, "TLS.time")?;
        let lifetime = number(expire, "TLS.expire")?;
        let base64 = |text: &str, name| STANDARD.decode(text).map_err(|_| Invalid::Malformed(name));
        Ok(Checked {
            app: number(sdk_app_id, "TLS.sdkappid")?,
            expires_at: issued_at.checked_add(lifetime).ok_or(Invalid::Malformed("TLS.expire"))?,
            signature: base64(sig, "TLS.sig")?,
            userbuf_bytes: userbuf.map(|text| base64(text, "TLS.userbuf")).transpose()?,
            identifier,
            sdk_app_id,
            time,
            expire,
            userbuf,
            account_type,
            appid_at_3rd,
            issued_at,
        })
    }
}

impl Checked<'_> {
    /// The second and third check: made for this app and user, and not expired.
    pub fn matches(&self, expected: &Expected<'_>) -> Result<(), Invalid> {
        if self.app != expected.sdk_app_id {
            return Err(Invalid::Mismatch("sdkAppID"));
        }
        if self.identifier != expected.user_id {
            return Err(Invalid::Mismatch("userID"));
        }
        if let (Some(ours), Some(theirs)) = (expected.account_type, self.account_type)
            && ours != theirs
        {
            return Err(Invalid::Mismatch("accountType"));
        }
        if expected.now > self.expires_at {
            return Err(Invalid::Expired);
        }
        Ok(())
    }
}

/// Every text stands on a line of its own in what is signed, so a line end inside one could make
/// one set of members read as another.
pub(super) fn is_plain(text: &str) -> bool {
    !text.bytes().any(|c| c < b' ' || c == 0x7f)
}

fn optional<'a>(text: &'a Option<Text<'_>>, name: &'static str, max: usize) -> Result<Option<&'a str>, Invalid> {
    match text {
        Some(Text(text)) if text.len() > max || !is_plain(text) => Err(Invalid::Malformed(name)),
        Some(Text(text)) => Ok(Some(text)),
        None => Ok(None),
    }
}

fn required<'a>(text: &'a Option<Text<'_>>, name: &'static str, max: usize) -> Result<&'a str, Invalid> {
    optional(text, name, max)?.ok_or(Invalid::Malformed(name))
}

fn number(text: &str, name: &'static str) -> Result<u64, Invalid> {
    if !text.bytes().all(|c| c.is_ascii_digit()) {
        return Err(Invalid::Malformed(name)); // `parse` alone would accept a sign
    }
    text.parse().map_err(|_| Invalid::Malformed(name))
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
