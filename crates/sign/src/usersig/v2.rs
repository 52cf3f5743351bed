//! Version 2: HMAC-SHA256 with the app's secret over the members, one line each.

use super::members::{Checked, Members};
use super::{Claims, Expected, Grant, Version, outer};
use crate::{BadKey, Invalid, Secret};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt::{self, Write};

/// An app's secret, made ready for signing.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// Takes the secret exactly as the console shows it: 64 hexadecimal digits, which are **not**
    /// decoded. Other texts are used as they are; an empty one is refused.
    pub fn new(secret: &Secret) -> Result<Self, BadKey> {
        if secret.is_empty() {
            return Err(BadKey("the secret key of userSig version 2 is empty"));
        }
        Ok(Key(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

pub(super) fn verify(members: &Members<'_>, key: Option<&Key>, expected: &Expected<'_>) -> Result<Claims, Invalid> {
    let checked = members.check_v2()?;
    checked.matches(expected)?;
    let key = key.ok_or(Invalid::NoKey("userSig version 2"))?;
    let Checked { identifier, sdk_app_id, time, expire, userbuf, .. } = checked;
    let content = content(identifier, sdk_app_id, time, expire, userbuf);
    hmac::verify(&key.0, content.as_bytes(), &checked.signature).map_err(|_| Invalid::Signature)?;
    Ok(Claims {
        version: Version::V2,
        issued_at: checked.issued_at,
        expires_at: checked.expires_at,
        userbuf: checked.userbuf_bytes,
    })
}

/// Makes a userSig. Fails only when the grant is out of its bounds.
pub fn sign(key: &Key, grant: &Grant<'_>) -> Result<String, Invalid> {
    grant.check()?;
    let Grant { sdk_app_id, user_id, issued_at, lifetime, userbuf } = *grant;
    let userbuf = userbuf.map(|bytes| STANDARD.encode(bytes));
    let content = content(user_id, sdk_app_id, issued_at, lifetime, userbuf.as_deref());
    let tag = hmac::sign(&key.0, content.as_bytes());
    let quoted = serde_json::to_string(user_id).map_err(|_| Invalid::Malformed("userID"))?;
    let mut json = format!(
        r#"{{"TLS.ver":"2.0","TLS.identifier":{quoted},"TLS.sdkappid":{sdk_app_id},"TLS.time":{issued_at},"TLS.expire":{lifetime},"#
    );
    if let Some(userbuf) = userbuf {
        json.push_str(r#""TLS.userbuf":""#);
        json.push_str(&userbuf);
        json.push_str(r#"","#);
    }
    json.push_str(r#""TLS.sig":""#);
    STANDARD.encode_string(tag, &mut json);
    json.push_str(r#""}"#);
    Ok(outer::wrap(json.as_bytes()))
}

/// What is signed. The numbers come as text when verifying, as they stood in the JSON.
fn content(
    user_id: &str,
    sdk_app_id: impl fmt::Display,
    time: impl fmt::Display,
    expire: impl fmt::Display,
    userbuf: Option<&str>,
) -> String {
    let mut content = String::with_capacity(128 + user_id.len() + userbuf.map_or(0, str::len));
    write!(content, "TLS.identifier:{user_id}\nTLS.sdkappid:{sdk_app_id}\nTLS.time:{time}\nTLS.expire:{expire}\n")
        .expect("a String takes everything");
    if let Some(userbuf) = userbuf {
        content.push_str("TLS.userbuf:");
        content.push_str(userbuf);
        content.push('\n');
    }
    content
}
