//! Every txSecret vector with both hashes; rotation, expiry, repetition and forgery.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn verify_text(stream: &str, query: &str, keys: &[&Secret], now: u64) -> Result<u64, Invalid> {
    verify(stream, &Query::parse(query)?, keys, now..=u64::MAX)
}

#[test]
fn every_vector() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/misc.json")).unwrap();
    let mut seen = 0;
    for vector in vectors.as_array().unwrap().iter().filter(|vector| vector["kind"] == "txSecret") {
        let text = |name: &str| vector[name].as_str().unwrap();
        let key = Secret::from(text("key"));
        let stream = text("stream");
        let tx_time = text("txTime");
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
    let main = Secret::from("main");
    let backup = Secret::from("backup");
    let empty = Secret::default();
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
    for tx_time in ["00000064", "5c2710ab", "5C2710aB"] {
        let query = format!("txSecret={}&txTime={tx_time}", tx_secret(Algorithm::Md5, &key, "s", tx_time));
        assert!(verify_text("s", &query, &[&key], 100).is_ok(), "{tx_time}");
    }
    let query = sign(Algorithm::Md5, &key, "s", 0x5c27_10ab).replace("5C2710AB", "5c2710ab");
    assert_eq!(verify_text("s", &query, &[&key], 100), Err(Invalid::Signature));
}

#[test]
fn one_end_of_a_name_is_never_time() {
    let key = Secret::from("k");
    for tx_time in ["64", "064", "000000064", "05C2710AB", "15C2710AB", "0000000000000064"] {
        let query = format!("txSecret={}&txTime={tx_time}", tx_secret(Algorithm::Md5, &key, "s", tx_time));
        assert_eq!(verify_text("s", &query, &[&key], 0).unwrap_err().step(), 1, "{tx_time}");
    }
    // What ann's push URL says of ann's stream, it does not say of the stream of an1 or of "a".
    let signed = sign(Algorithm::Md5, &key, "1000_ann_1a2b", 0x5C27_10AB);
    let secret = &signed[..signed.find("&txTime=").unwrap()];
    for (stream, tx_time) in
        [("1000_ann_", "1a2b5C2710AB"), ("1000_ann_1a2b5C27", "10AB"), ("1000_ann_1a2b5", "C2710AB")]
    {
        let query = format!("{secret}&txTime={tx_time}");
        assert_eq!(verify_text(stream, &query, &[&key], 0).unwrap_err().step(), 1, "{stream} {tx_time}");
    }
}

#[test]
fn an_end_too_far_ahead_is_refused() {
    let key = Secret::from("k");
    let query = sign(Algorithm::Md5, &key, "s", 1000);
    let within = |ends| verify("s", &Query::parse(&query).unwrap(), &[&key], ends);
    assert_eq!(within(1000..=1000), Ok(1000));
    assert_eq!(within(0..=999), Err(Invalid::TooLong));
    assert_eq!(within(1001..=2000), Err(Invalid::Expired));
}

#[test]
fn malformed() {
    let key = Secret::from("k");
    let good = sign(Algorithm::Md5, &key, "s", 100);
    let secret = tx_secret(Algorithm::Md5, &key, "s", "00000064");
    for query in [
        String::new(),
        "txTime=00000064".to_owned(),
        format!("txSecret={secret}"),
        format!("txsecret={secret}&txTime=00000064"),
        format!("{good}&txTime=FFFFFFFF"),
        format!("{good}&txSecret={secret}"),
        format!("{good}&a=1&a=1"),
        format!("txSecret={secret}&txTime="),
        format!("txSecret={secret}&txTime=+0000064"),
        format!("txSecret={secret}&txTime=-0000001"),
        format!("txSecret={secret}&txTime=11111111111111111"),
        format!("txSecret={secret}&txTime=64"),
        format!("txSecret={}&txTime=00000064", &secret[1..]),
        format!("txSecret={}&txTime=00000064", "z".repeat(32)),
        "txSecret=&txTime=00000064".to_owned(),
        "txSecret=%zz&txTime=00000064".to_owned(),
    ] {
        assert_eq!(verify_text("s", &query, &[&key], 50).unwrap_err().step(), 1, "{query}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        stream in "[A-Za-z0-9_.~-]{1,40}", other in "[A-Za-z0-9_.~-]{1,40}", expires_at: u32, sha256: bool,
    ) {
        let key = Secret::from("some key");
        let algorithm = if sha256 { Algorithm::Sha256 } else { Algorithm::Md5 };
        let expires_at = u64::from(expires_at);
        let query = sign(algorithm, &key, &stream, expires_at);
        prop_assert_eq!(verify_text(&stream, &query, &[&key], expires_at), Ok(expires_at));
        prop_assume!(stream != other);
        prop_assert_eq!(verify_text(&other, &query, &[&key], expires_at), Err(Invalid::Signature));
    }

    /// Of all names and times that give the same text when put together, only the signed pair verifies.
    #[test]
    fn no_other_cut_of_what_is_signed_verifies(
        stream in "[A-Za-z0-9_]{0,8}[A-Fa-f0-9]{0,16}", expires_at: u32, cut in 0_usize..40, sha256: bool,
    ) {
        let key = Secret::from("some key");
        let algorithm = if sha256 { Algorithm::Sha256 } else { Algorithm::Md5 };
        let tx_time = format!("{expires_at:08X}");
        let secret = tx_secret(algorithm, &key, &stream, &tx_time);
        let whole = format!("{stream}{tx_time}");
        let (name, time) = whole.split_at(cut.min(whole.len()));
        let verified = verify_text(name, &format!("txSecret={secret}&txTime={time}"), &[&key], 0);
        prop_assert_eq!(verified.is_ok(), name == stream, "{} {}", name, time);
    }

    #[test]
    fn garbage_is_refused(query in "\\PC{0,200}", name in "\\PC{0,20}") {
        prop_assert!(verify_text(&name, &query, &[&"k".into()], 0).is_err());
    }
}

#[test]
fn times_are_written_as_format_writes_them() {
    for (time, tx_time) in [
        (0, "00000000"),
        (9, "00000009"),
        (10, "0000000A"),
        (0x5C27_1099, "5C271099"),
        (u64::from(u32::MAX), "FFFFFFFF"),
        (u64::MAX, "FFFFFFFF"),
    ] {
        let text = sign(Algorithm::Md5, &Secret::from("k"), "s", time);
        let secret = tx_secret(Algorithm::Md5, &Secret::from("k"), "s", tx_time);
        assert_eq!(text, format!("txSecret={secret}&txTime={tx_time}"));
    }
}
