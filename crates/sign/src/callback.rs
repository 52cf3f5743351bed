//! Signatures of the calls that Tencent's services send us, and of the old live API that we call.
//! None of them covers the body, so the URL must be https. Sources: Tencent's "Event
//! Message Notification" of CSS, its "Callback" of IM.

use crate::push_url::{md5_of, sha256_of};
use crate::{Invalid, Secret, hex};
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// How far, in seconds, a chat webhook's `RequestTime` may be from our clock.
pub const WEBHOOK_WINDOW: u64 = 60;

/// `sign` of a live event and of the old `common_access` API: MD5 over the key and `t`, the Unix
/// second (in decimal) until which it is good.
pub fn sign_live(key: &Secret, t: u64) -> String {
    hex::encode(&md5_of(&[key.expose(), &t.to_string()]))
}

/// Checks a live event's `t` and `sign` members. `t` is taken as it was written.
pub fn verify_live(key: &Secret, t: &str, sign: &str, now: u64) -> Result<(), Invalid> {
    let until = seconds(t, "t")?;
    let given = hex::decode::<16>(sign).ok_or(Invalid::Malformed("sign"))?;
    if now > until {
        return Err(Invalid::Expired);
    }
    check(key, "live callback", &given, &md5_of(&[key.expose(), t]))
}

/// `Sign` of a chat webhook: SHA-256 over the token and `RequestTime` (Unix seconds).
pub fn sign_webhook(token: &Secret, request_time: u64) -> String {
    hex::encode(&sha256_of(&[token.expose(), &request_time.to_string()]))
}

/// Checks a chat webhook's `RequestTime` and `Sign` parameters: made within [`WEBHOOK_WINDOW`] of now.
pub fn verify_webhook(token: &Secret, request_time: &str, sign: &str, now: u64) -> Result<(), Invalid> {
    let made = seconds(request_time, "RequestTime")?;
    let given = hex::decode::<32>(sign).ok_or(Invalid::Malformed("Sign"))?;
    if made.abs_diff(now) > WEBHOOK_WINDOW {
        return Err(Invalid::Expired);
    }
    check(token, "chat webhook", &given, &sha256_of(&[token.expose(), request_time]))
}

fn check(key: &Secret, kind: &'static str, given: &[u8], right: &[u8]) -> Result<(), Invalid> {
    if key.is_empty() {
        return Err(Invalid::NoKey(kind));
    }
    verify_slices_are_equal(given, right).map_err(|_| Invalid::Signature)
}

fn seconds(text: &str, name: &'static str) -> Result<u64, Invalid> {
    if !text.bytes().all(|c| c.is_ascii_digit()) {
        return Err(Invalid::Malformed(name));
    }
    text.parse().map_err(|_| Invalid::Malformed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vector() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../tests/vectors/misc.json")).unwrap();
        let mut seen = 0;
        for vector in vectors.as_array().unwrap() {
            let text = |name: &str| vector[name].as_str().unwrap();
            match text("kind") {
                "cgi_or_live_callback_sign" => {
                    let key = Secret::from(text("key"));
                    let t = text("t");
                    let until = t.parse().unwrap();
                    assert_eq!(sign_live(&key, until), text("sign"));
                    assert_eq!(verify_live(&key, t, text("sign"), until), Ok(()));
                    assert_eq!(verify_live(&key, t, &text("sign").to_uppercase(), until), Ok(()));
                    assert_eq!(verify_live(&key, t, text("sign"), until + 1), Err(Invalid::Expired));
                    assert_eq!(verify_live(&"other".into(), t, text("sign"), until), Err(Invalid::Signature));
                    let later = (until + 1).to_string();
                    assert_eq!(verify_live(&key, &later, text("sign"), until), Err(Invalid::Signature));
                }
                "im_webhook_sign" => {
                    let token = Secret::from(text("token"));
                    let time = text("RequestTime");
                    let made = time.parse().unwrap();
                    assert_eq!(sign_webhook(&token, made), text("sign"));
                    for now in [made - 60, made, made + 60] {
                        assert_eq!(verify_webhook(&token, time, text("sign"), now), Ok(()));
                    }
                    for now in [made - 61, made + 61] {
                        assert_eq!(verify_webhook(&token, time, text("sign"), now), Err(Invalid::Expired));
                    }
                    assert_eq!(verify_webhook(&"x".into(), time, text("sign"), made), Err(Invalid::Signature));
                }
                _ => continue,
            }
            seen += 1;
        }
        assert_eq!(seen, 5);
    }

    #[test]
    fn malformed_and_unconfigured() {
        let key = Secret::from("k");
        let sign = sign_live(&key, 100);
        for t in ["", "+100", "-1", "1e3", "99999999999999999999999"] {
            assert_eq!(verify_live(&key, t, &sign, 50), Err(Invalid::Malformed("t")), "{t}");
        }
        for sign in ["", "abc", &sign[1..], "zz"] {
            assert_eq!(verify_live(&key, "100", sign, 50), Err(Invalid::Malformed("sign")));
        }
        let empty = Secret::default();
        assert_eq!(verify_live(&empty, "100", &sign_live(&empty, 100), 50).unwrap_err().step(), 4);
        assert_eq!(verify_webhook(&empty, "100", &sign_webhook(&empty, 100), 100).unwrap_err().step(), 4);
    }
}
