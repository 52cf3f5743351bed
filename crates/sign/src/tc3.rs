//! TC3-HMAC-SHA256: how calls to Tencent's API 3.0 are signed, and how an emulator of that API checks
//! them. Owns the signature and the headers that carry it; sending is the caller's.
//! Source: Tencent Cloud's "Signature Method v3" of API 3.0.

use crate::{Invalid, Secret, hex};
use aws_lc_rs::{digest, hmac};
use std::sync::Mutex;

/// How far, in seconds, a call's timestamp may be from the receiver's clock.
pub const WINDOW: u64 = 300;
/// The content type of POST calls. It is part of what is signed: send exactly these bytes.
pub const JSON: &str = "application/json; charset=utf-8";
/// The content type of GET calls.
pub const FORM: &str = "application/x-www-form-urlencoded";

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const SECONDS_PER_DAY: u64 = 86_400;
/// The end of the year 9999, after which the date has no four-digit year.
const LAST_SECOND: u64 = 253_402_300_799;

/// One call, as it will be sent or has been received.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `POST` or `GET`.
    pub method: &'a str,
    /// Such as `live.tencentcloudapi.com`.
    pub host: &'a str,
    /// The sorted and escaped query of a GET; empty for a POST.
    pub query: &'a str,
    /// The content type exactly as sent.
    pub content_type: &'a str,
    /// The `X-TC-Action`, if it is among the signed headers (it should be).
    pub signed_action: Option<&'a str>,
    /// The body's bytes.
    pub body: &'a [u8],
    /// Unix seconds.
    pub timestamp: u64,
}

/// A signature with the texts it was made from, which are what to compare when a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The value of the `Authorization` header.
    pub authorization: String,
    /// The value of the `X-TC-Timestamp` header.
    pub timestamp: u64,
    /// The hexadecimal signature alone.
    pub signature: String,
    /// The request as it was hashed.
    pub canonical_request: String,
    /// What the signature is of.
    pub string_to_sign: String,
}

/// One account's keys for one service. The key that signs is derived once a day and kept.
#[derive(Debug)]
pub struct Signer {
    secret_id: String,
    secret_key: Secret,
    service: String,
    today: Mutex<Option<DayKey>>,
}

#[derive(Clone)]
struct DayKey {
    day: u64,
    key: hmac::Key,
}

impl std::fmt::Debug for DayKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Signer {
    /// A signer for a service such as `live`.
    pub fn new(secret_id: impl Into<String>, secret_key: Secret, service: impl Into<String>) -> Self {
        Signer { secret_id: secret_id.into(), secret_key, service: service.into(), today: Mutex::new(None) }
    }

    /// Signs a call. The timestamp must lie before the year 10000.
    pub fn sign(&self, call: &Call<'_>) -> Result<Signed, Invalid> {
        if call.timestamp > LAST_SECOND {
            return Err(Invalid::Malformed("timestamp"));
        }
        let date = date(call.timestamp);
        let (canonical_request, signed_headers) = canonical_request(call);
        let scope = format!("{date}/{}/tc3_request", self.service);
        let hashed = hex::encode(digest::digest(&digest::SHA256, canonical_request.as_bytes()).as_ref());
        let string_to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{hashed}", call.timestamp);
        let key = self.day_key(call.timestamp / SECONDS_PER_DAY, &date);
        let signature = hex::encode(hmac::sign(&key, string_to_sign.as_bytes()).as_ref());
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={signature}",
            self.secret_id
        );
        Ok(Signed { authorization, timestamp: call.timestamp, signature, canonical_request, string_to_sign })
    }

    fn day_key(&self, day: u64, date: &str) -> hmac::Key {
        // A panic elsewhere cannot leave half a key behind: the slot is written in one step.
        let mut today = self.today.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*today {
            Some(known) if known.day == day => known.key.clone(),
            _ => {
                let [_, _, key] = derive(&self.secret_key, date, &self.service);
                let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
                *today = Some(DayKey { day, key: key.clone() });
                key
            }
        }
    }
}

/// Checks a received call as the service does, for emulators in tests: the header's form, the scope
/// (date and `service`), the signed headers, the timestamp within [`WINDOW`] of `now`, the signature.
/// `secret_of` gives the secret key of a SecretId. `call.signed_action` is the received `X-TC-Action`;
/// it counts only when the header says that it is signed. Gives the SecretId.
pub fn verify<'a>(
    authorization: &'a str,
    call: &Call<'_>,
    service: &str,
    secret_of: impl FnOnce(&str) -> Option<Secret>,
    now: u64,
) -> Result<&'a str, Invalid> {
    const BAD: Invalid = Invalid::Malformed("Authorization");
    let rest = authorization.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')).ok_or(BAD)?;
    let [mut credential, mut signed_headers, mut signature] = [None; 3];
    for field in rest.split(',') {
        let (name, value) = field.trim().split_once('=').ok_or(BAD)?;
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(BAD),
        };
        if slot.replace(value).is_some() {
            return Err(BAD);
        }
    }
    let credential = credential.ok_or(BAD)?;
    let signed_headers = signed_headers.ok_or(BAD)?;
    let signature: [u8; 32] = hex::decode(signature.ok_or(BAD)?).ok_or(BAD)?;
    let (secret_id, scope) = credential.split_once('/').ok_or(BAD)?;
    if call.timestamp > LAST_SECOND {
        return Err(Invalid::Malformed("X-TC-Timestamp"));
    }
    let date = date(call.timestamp);
    if scope != format!("{date}/{service}/tc3_request") {
        return Err(Invalid::Mismatch("date or service of the credential"));
    }
    let signed_action = match signed_headers {
        "content-type;host" => None,
        "content-type;host;x-tc-action" => Some(call.signed_action.ok_or(Invalid::Mismatch("X-TC-Action"))?),
        _ => return Err(Invalid::Mismatch("SignedHeaders")),
    };
    if call.timestamp.abs_diff(now) > WINDOW {
        return Err(Invalid::Expired);
    }
    let secret = secret_of(secret_id).ok_or(Invalid::NoKey("this SecretId"))?;
    let (canonical_request, _) = canonical_request(&Call { signed_action, ..*call });
    let hashed = hex::encode(digest::digest(&digest::SHA256, canonical_request.as_bytes()).as_ref());
    let string_to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{hashed}", call.timestamp);
    let [_, _, key] = derive(&secret, &date, service);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    hmac::verify(&key, string_to_sign.as_bytes(), &signature).map_err(|_| Invalid::Signature)?;
    Ok(secret_id)
}

/// The request as it is hashed, and the names of the headers in it.
fn canonical_request(call: &Call<'_>) -> (String, &'static str) {
    let mut headers = format!("content-type:{}\nhost:{}\n", call.content_type.trim(), call.host.trim());
    let names = match call.signed_action {
        Some(action) => {
            headers.push_str("x-tc-action:");
            headers.push_str(&action.trim().to_ascii_lowercase());
            headers.push('\n');
            "content-type;host;x-tc-action"
        }
        None => "content-type;host",
    };
    let body = hex::encode(digest::digest(&digest::SHA256, call.body).as_ref());
    (format!("{}\n/\n{}\n{headers}\n{names}\n{body}", call.method, call.query), names)
}

/// The three derived keys: of the date, of the service, and the one that signs.
fn derive(secret: &Secret, date: &str, service: &str) -> [[u8; 32]; 3] {
    let mac = |key: &[u8], text: &str| -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
        tag.as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")
    };
    let date_key = mac(format!("TC3{}", secret.expose()).as_bytes(), date);
    let service_key = mac(&date_key, service);
    [date_key, service_key, mac(&service_key, "tc3_request")]
}

/// The UTC date, `yyyy-mm-dd`, of a Unix second (the days are counted in years that begin in March, so
/// that the leap day comes last).
fn date(seconds: u64) -> String {
    const DAYS_PER_ERA: u64 = 146_097;
    let days = seconds / SECONDS_PER_DAY + 719_468;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests;
