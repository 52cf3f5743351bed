//! JSON web tokens (RFC 7519) signed with HS256, the one algorithm that is taken. What the claims mean, and whether their
//! time is over, is the caller's affair.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::{Invalid, Secret};

/// Longest token, in bytes.
const MAX_LEN: usize = 4096;

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// A token with these claims, which are a JSON object.
#[must_use]
pub fn sign(claims: &[u8], key: &Secret) -> String {
    let mut token = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes()), token.as_bytes());
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(tag.as_ref()));
    token
}

/// The claims of a token, and which of these keys it was signed with. An empty key never matches.
///
/// # Errors
/// It is malformed, of another algorithm, or signed with none of the keys.
pub fn verify(token: &str, keys: &[&Secret]) -> Result<(usize, Vec<u8>), Invalid> {
    if token.len() > MAX_LEN {
        return Err(Invalid::Malformed("token"));
    }
    let (signed, tag) = token.rsplit_once('.').ok_or(Invalid::Malformed("token"))?;
    let (header, claims) = signed.split_once('.').ok_or(Invalid::Malformed("token"))?;
    let decode = |part: &str, name| URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Malformed(name));
    let header: Header =
        serde_json::from_slice(&decode(header, "token header")?).map_err(|_| Invalid::Malformed("token header"))?;
    // "none" and whatever else a token may say of itself are not taken (RFC 8725).
    if header.alg != "HS256" || header.crit.is_some() {
        return Err(Invalid::Malformed("token algorithm"));
    }
    let tag = decode(tag, "token signature")?;
    let signs = |key: &Secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
        hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
    };
    // Every key is tried: the time taken does not tell which one it was.
    let by = keys.iter().enumerate().filter(|(_, key)| !key.is_empty() && signs(key)).map(|(n, _)| n).min();
    Ok((by.ok_or(Invalid::Signature)?, decode(claims, "token claims")?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vector_of_rfc_7515_is_read() {
        // RFC 7515, appendix A.1: its key is not text, so only its parts are held against ours.
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(verify(token, &[&Secret::new("another key")]), Err(Invalid::Signature));
    }

    #[test]
    fn a_token_of_a_common_library_is_taken() {
        // jwt.io's example: HS256, key "your-256-bit-secret".
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
        let (by, claims) = verify(token, &[&Secret::new("x"), &Secret::new("your-256-bit-secret")]).unwrap();
        assert_eq!((by, claims.as_slice()), (1, &br#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#[..]));
    }

    #[test]
    fn nothing_but_our_signature_is_taken() {
        let key = Secret::new("a key of an operator");
        let token = sign(br#"{"exp":1}"#, &key);
        assert_eq!(verify(&token, &[&key]), Ok((0, br#"{"exp":1}"#.to_vec())));
        assert_eq!(verify(&token, &[]), Err(Invalid::Signature));
        assert_eq!(verify(&sign(b"{}", &Secret::new("")), &[&Secret::new("")]), Err(Invalid::Signature));
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let rest = token.split_once('.').unwrap().1;
        for head in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"HS256","crit":["exp"]}"#, "{}", "[]", ""] {
            assert!(matches!(verify(&format!("{}.{rest}", part(head)), &[&key]), Err(Invalid::Malformed(_))), "{head}");
        }
        let unsigned = format!("{}.{}.", part(r#"{"alg":"HS256"}"#), part("{}"));
        assert_eq!(verify(&unsigned, &[&key]), Err(Invalid::Signature));
    }

    proptest! {
        #[test]
        fn changed_tokens_are_refused(at in 0usize..80, to in "[A-Za-z0-9._-]") {
            let key = Secret::new("a key of an operator");
            let token = sign(br#"{"exp":1}"#, &key);
            let mut changed = token.clone().into_bytes();
            let at = at % changed.len();
            changed[at] = to.as_bytes()[0];
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(changed == token || verify(&changed, &[&key]).is_err());
        }

        #[test]
        fn any_text_is_read_without_harm(text in "\\PC{0,200}") {
            let _ = verify(&text, &[&Secret::new("key")]);
        }
    }
}
