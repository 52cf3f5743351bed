//! Every TC3 vector in every step, and that any change to a signed call is refused.

use super::*;
use serde_json::Value;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../tests/vectors/tc3.json")).unwrap()
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} is no text"))
}

fn call(vector: &Value) -> Call<'_> {
    Call {
        method: text(vector, "method"),
        host: text(vector, "host"),
        query: text(vector, "query"),
        content_type: text(vector, "content_type"),
        signed_action: vector["extra_signed"]["X-TC-Action"].as_str(),
        body: text(vector, "payload").as_bytes(),
        timestamp: vector["timestamp"].as_u64().unwrap(),
    }
}

fn signer(vector: &Value) -> Signer {
    Signer::new(text(vector, "secret_id"), text(vector, "secret_key").into(), text(vector, "service"))
}

#[test]
fn every_vector_in_every_step() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 5);
    for vector in &vectors {
        let call = call(vector);
        let signer = signer(vector);
        let signed = signer.sign(&call).unwrap();
        assert_eq!(signed.canonical_request, text(vector, "canonical"));
        assert_eq!(signed.string_to_sign, text(vector, "string_to_sign"));
        assert_eq!(signed.signature, text(vector, "signature"));
        assert_eq!(signed.authorization, text(vector, "authorization"));
        assert_eq!(signer.sign(&call).unwrap(), signed, "with the kept key");

        let secret = Secret::from(text(vector, "secret_key"));
        let keys = derive(&secret, &date(call.timestamp), text(vector, "service"));
        let names = ["kDate", "kService", "kSigning"];
        for (key, name) in keys.iter().zip(names) {
            assert_eq!(hex::encode(key), text(vector, name));
        }
        let verified = verify(&signed.authorization, &call, text(vector, "service"), |_| Some(secret), call.timestamp);
        assert_eq!(verified, Ok(text(vector, "secret_id")));
    }
}

#[test]
fn any_change_is_refused() {
    let vector = &vectors()[3];
    let good = call(vector);
    let service = text(vector, "service");
    let secret = || Some(Secret::from(text(vector, "secret_key")));
    let authorization = signer(vector).sign(&good).unwrap().authorization;
    let refuse = |authorization: &str, call: &Call<'_>, now| {
        verify(authorization, call, service, |_| secret(), now).unwrap_err()
    };
    let now = good.timestamp;
    let changes = [
        Call { method: "GET", ..good },
        Call { host: "cvm.tencentcloudapi.com", ..good },
        Call { query: "a=1", ..good },
        Call { content_type: "application/json", ..good },
        Call { signed_action: Some("DropLiveStream"), ..good },
        Call { body: b"{}", ..good },
        Call { timestamp: now + 1, ..good },
    ];
    for changed in changes {
        assert_eq!(refuse(&authorization, &changed, now), Invalid::Signature, "{changed:?}");
    }
    assert_eq!(verify(&authorization, &good, service, |_| secret(), now + 300), Ok(text(vector, "secret_id")));
    assert_eq!(refuse(&authorization, &good, now + 301), Invalid::Expired);
    assert_eq!(refuse(&authorization, &good, now - 301), Invalid::Expired);
    assert_eq!(verify(&authorization, &good, "cvm", |_| secret(), now).unwrap_err().step(), 2);
    assert_eq!(verify(&authorization, &good, service, |_| None, now).unwrap_err().step(), 4);
    let other = |_: &str| Some(Secret::from("other"));
    assert_eq!(verify(&authorization, &good, service, other, now), Err(Invalid::Signature));
    let unsigned_host = authorization.replace("content-type;host;x-tc-action", "content-type");
    assert_eq!(refuse(&unsigned_host, &good, now).step(), 2);
    for bad in ["", "Bearer x", "TC3-HMAC-SHA256", "TC3-HMAC-SHA256 Credential=a, Signature=b"] {
        assert_eq!(refuse(bad, &good, now).step(), 1, "{bad}");
    }
    let twice = format!("{authorization}, Signature=00");
    assert_eq!(refuse(&twice, &good, now).step(), 1);
}

#[test]
fn the_kept_key_changes_with_the_day() {
    let vector = &vectors()[3];
    let today = call(vector);
    let tomorrow = Call { timestamp: today.timestamp + SECONDS_PER_DAY, ..today };
    let kept = signer(vector);
    for call in [today, tomorrow, today] {
        assert_eq!(kept.sign(&call), signer(vector).sign(&call));
    }
}

#[test]
fn dates() {
    for (seconds, text) in [
        (0, "1970-01-01"),
        (951_782_400, "2000-02-29"),
        (951_868_799, "2000-02-29"),
        (951_868_800, "2000-03-01"),
        (1_551_113_065, "2019-02-25"),
        (1_709_164_800, "2024-02-29"),
        (4_107_542_400, "2100-03-01"),
        (LAST_SECOND, "9999-12-31"),
    ] {
        assert_eq!(date(seconds), text);
    }
    let vector = &vectors()[0];
    let call = Call { timestamp: LAST_SECOND + 1, ..call(vector) };
    assert_eq!(signer(vector).sign(&call).unwrap_err().step(), 1);
}

#[test]
fn no_secret_in_debug() {
    let vector = &vectors()[3];
    let signer = signer(vector);
    signer.sign(&call(vector)).unwrap();
    assert!(!format!("{signer:?}").contains(text(vector, "secret_key")));
}
