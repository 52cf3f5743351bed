//! Every txSecret vector with both hashes; rotation, expiry, repetition and forgery.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn verify_text(stream: &str, query: &str, keys: &[&Secret], now: u64) -> Result<u64, Invalid> {
    verify(stream, &Query::parse(query)?, keys, now)
}

#[test]
fn every_vector() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/misc.json")).unwrap();
    let mut seen = 0;
    for vector in vectors.as_array().unwrap().iter().filter(|vector| vector["kind"] == "txSecret") {
        let text = |name: &str| vector[name].as_str().unwrap();
        let (key, stream, tx_time) = (Secret::from(text("key")), text("stream"), text("txTime"));
        let expires_at = u64::from_str_radix(tx_time, 16).unwrap();
        for (algorithm, right) in [(Algorithm::Md5, text("md5")), (Algorithm::Sha256, text("sha256"))] {
            assert_eq!(tx_secret(algorithm, &key, stream, tx_time), right);
            for given in [right.to_owned(), right.to_uppercase()] {
                let query = format!("bizid=5000&txSecret={given}&txTime={tx_time}&record=hls&mix=x");
                assert_eq!(verify_text(stream, &query, &[&key], expires_at), Ok(expires_at));
                assert_eq!(verify_text(stream, &query, &[&key], expires_at + 1), Err(Invalid::Expired));
                assert_eq!(verify_text("other", &query, &[&key], expires_at), Err(Invalid::Signature));
                assert_eq!(verify_text(stream, &query, &[&"x".into()], 0), Err(Invalid::Signature));
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn signs_upper_case_times() {
    let key = Secret::from("b63e54ac9a2ac4c3a5c3e6c37c9a1bb5");
    assert_eq!(
        sign(Algorithm::Md5, &key, "5000_room1_user1", 1_700_086_400),
        "txSecret=ba18eeba3fc9d304ab31b1cffc63888a&txTime=65554280"
    );
    assert!(sign(Algorithm::Sha256, &key, "s", 0x5c27_10ab).ends_with("&txTime=5C2710AB"));
}

#[test]
fn main_and_backup_key_and_never_an_empty_one() {
    let (main, backup, empty) = (Secret::from("main"), Secret::from("backup"), Secret::default());
    for key in [&main, &backup] {
        let query = sign(Algorithm::Md5, key, "s", 100);
        assert_eq!(verify_text("s", &query, &[&main, &backup], 100), Ok(100));
        assert_eq!(verify_text("s", &query, &[&empty], 100), Err(Invalid::NoKey("txSecret")));
        assert_eq!(verify_text("s", &query, &[], 100), Err(Invalid::NoKey("txSecret")));
    }
    let forged = sign(Algorithm::Md5, &empty, "s", 100);
    assert_eq!(verify_text("s", &forged, &[&main, &empty], 100), Err(Invalid::Signature));
}

#[test]
fn the_time_is_hashed_as_written() {
    let key = Secret::from("k");
    for tx_time in ["64", "064", "00000064", "5c2710ab", "5C2710aB"] {
        let query = format!("txSecret={}&txTime={tx_time}", tx_secret(Algorithm::Md5, &key, "s", tx_time));
        assert!(verify_text("s", &query, &[&key], 100).is_ok(), "{tx_time}");
    }
    let query = sign(Algorithm::Md5, &key, "s", 0x5c27_10ab).replace("5C2710AB", "5c2710ab");
    assert_eq!(verify_text("s", &query, &[&key], 100), Err(Invalid::Signature));
}

#[test]
fn malformed() {
    let key = Secret::from("k");
    let good = sign(Algorithm::Md5, &key, "s", 100);
    let secret = tx_secret(Algorithm::Md5, &key, "s", "64");
    for query in [
        String::new(),
        "txTime=64".to_owned(),
        format!("txSecret={secret}"),
        format!("txsecret={secret}&txTime=64"),
        format!("{good}&txTime=FFFFFFFF"),
        format!("{good}&txSecret={secret}"),
        format!("{good}&a=1&a=1"),
        format!("txSecret={secret}&txTime="),
        format!("txSecret={secret}&txTime=+64"),
        format!("txSecret={secret}&txTime=-1"),
        format!("txSecret={secret}&txTime=11111111111111111"),
        format!("txSecret={}&txTime=64", &secret[1..]),
        format!("txSecret={}&txTime=64", "z".repeat(32)),
        "txSecret=&txTime=64".to_owned(),
        "txSecret=%zz&txTime=64".to_owned(),
    ] {
        assert_eq!(verify_text("s", &query, &[&key], 50).unwrap_err().step(), 1, "{query}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        stream in "[A-Za-z0-9_.~-]{1,40}", other in "[A-Za-z0-9_.~-]{1,40}", expires_at: u64, sha256: bool,
    ) {
        let key = Secret::from("some key");
        let algorithm = if sha256 { Algorithm::Sha256 } else { Algorithm::Md5 };
        let query = sign(algorithm, &key, &stream, expires_at);
        prop_assert_eq!(verify_text(&stream, &query, &[&key], expires_at), Ok(expires_at));
        prop_assume!(stream != other);
        prop_assert_eq!(verify_text(&other, &query, &[&key], expires_at), Err(Invalid::Signature));
    }

    #[test]
    fn garbage_is_refused(query in "\\PC{0,200}", name in "\\PC{0,20}") {
        prop_assert!(verify_text(&name, &query, &[&"k".into()], 0).is_err());
    }
}

#[test]
fn times_are_written_as_format_writes_them() {
    for time in [0, 9, 10, 0x5C27_1099, u64::MAX] {
        let text = sign(Algorithm::Md5, &Secret::from("k"), "s", time);
        let tx_time = format!("{time:X}");
        assert_eq!(
            text,
            format!("txSecret={}&txTime={tx_time}", tx_secret(Algorithm::Md5, &Secret::from("k"), "s", &tx_time))
        );
    }
}
