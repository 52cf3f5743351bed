//! Every published vector of both versions, the order of the checks, bounds, bombs and garbage.

use super::*;
use crate::{Secret, generate_secret};
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::ZlibEncoder};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::LazyLock;

const APP: u64 = 1_400_000_000;
const NOW: u64 = 1_700_000_000;
const KEY: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";

static V1: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../tests/vectors/usersig_v1.json")).unwrap());
static V2: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../tests/vectors/usersig_v2.json")).unwrap());

fn v2_keys(secret: &str) -> Keys {
    Keys::new(None, None, Some(v2::Key::new(&secret.into()).unwrap())).unwrap()
}

fn expect(user_id: &str) -> Expected<'_> {
    Expected { sdk_app_id: APP, user_id, account_type: None, now: NOW }
}

/// Wraps JSON as the official libraries do: compressed.
fn wrap(json: &[u8]) -> String {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(json).unwrap();
    wrap_packed(&zlib.finish().unwrap())
}

fn wrap_packed(packed: &[u8]) -> String {
    STANDARD.encode(packed).replace('+', "*").replace('/', "-").replace('=', "_")
}

fn json_of(text: &str) -> Value {
    outer::unwrap(text, |json| Ok(serde_json::from_slice(json).unwrap())).unwrap()
}

/// A good version-2 userSig whose members the test changes without signing again.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let key = v2::Key::new(&KEY.into()).unwrap();
    let grant = Grant { sdk_app_id: APP, user_id: "xiaojun", issued_at: NOW, lifetime: 60, userbuf: Some(b"abc") };
    let mut json = json_of(&v2::sign(&key, &grant).unwrap());
    change(&mut json);
    wrap(json.to_string().as_bytes())
}

#[test]
fn every_vector_of_version_2() {
    let vectors = V2["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let input = &vector["input"];
        let number = |name: &str| input[name].as_u64().unwrap();
        let user_id = input["userid"].as_str().unwrap();
        let secret = input["key"].as_str().unwrap();
        let keys = v2_keys(secret);
        let expires_at = number("time") + number("expire");
        let expected =
            Expected { sdk_app_id: number("sdkappid"), user_id, account_type: Some("ignored"), now: expires_at };
        let userbuf = vector["decoded"]["TLS.userbuf"].as_str().map(|text| STANDARD.decode(text).unwrap());
        if let Some(hex) = vector["userbuf_hex"].as_str() {
            assert_eq!(crate::hex::encode(userbuf.as_ref().unwrap()), hex);
        }

        let mut outers: Vec<String> = ["output_python_head", "output_node_1_0_2"]
            .iter()
            .filter_map(|name| Some(vector[name].as_str()?.to_owned()))
            .collect();
        assert!(!outers.is_empty());
        let grant = Grant {
            sdk_app_id: number("sdkappid"),
            user_id,
            issued_at: number("time"),
            lifetime: number("expire"),
            userbuf: userbuf.as_deref(),
        };
        let ours = v2::sign(keys.v2().unwrap(), &grant).unwrap();
        assert_eq!(json_of(&ours), vector["decoded"]);
        outers.push(ours);
        for outer in outers {
            let claims = verify(&outer, &keys, &expected).unwrap();
            assert_eq!(claims.version, Version::V2);
            assert_eq!(claims.issued_at, number("time"));
            assert_eq!(claims.expires_at, expires_at);
            assert_eq!(claims.userbuf, userbuf);
            let late = Expected { now: expires_at + 1, ..expected };
            assert_eq!(verify(&outer, &keys, &late), Err(Invalid::Expired));
            let other = v2_keys(generate_secret().expose());
            assert_eq!(verify(&outer, &other, &expected), Err(Invalid::Signature));
        }
    }
}

#[test]
fn every_vector_of_version_1() {
    let vectors: Vec<&Value> = ["official", "self_made"].iter().flat_map(|name| V1[name].as_array().unwrap()).collect();
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let member = |name: &str| vector["decoded"][name].as_str();
        let number = |name: &str| member(name).unwrap().parse::<u64>().unwrap();
        let public = v1::PublicKey::from_pem(vector["public_key_pem"].as_str().unwrap()).unwrap();
        let keys = Keys::new(None, Some(public.clone()), None).unwrap();
        let expires_at = number("TLS.time") + number("TLS.expire_after");
        let expected = Expected {
            sdk_app_id: number("TLS.sdk_appid"),
            user_id: member("TLS.identifier").unwrap(),
            account_type: member("TLS.account_type"),
            now: expires_at,
        };
        let usersig = vector["usersig"].as_str().unwrap();
        let claims = verify(usersig, &keys, &expected).unwrap();
        assert_eq!(claims.version, Version::V1);
        assert_eq!(claims.expires_at, expires_at);
        assert_eq!(claims.userbuf, member("TLS.userbuf").map(|text| STANDARD.decode(text).unwrap()));
        assert_eq!(verify(usersig, &keys, &Expected { now: expires_at + 1, ..expected }), Err(Invalid::Expired));
        let typed = Expected { account_type: Some("99"), ..expected };
        assert_eq!(verify(usersig, &keys, &typed), Err(Invalid::Mismatch("accountType")));
        assert_eq!(verify(usersig, &v2_keys(KEY), &expected).unwrap_err().step(), 4);
        let other = v1::PrivateKey::from_pem(v1::PrivateKey::generate_p256().private_pem.expose()).unwrap();
        let other = Keys::new(Some(other), None, None).unwrap();
        assert_eq!(verify(usersig, &other, &expected), Err(Invalid::Signature));

        // The private key in both writings signs what its public key verifies.
        for name in ["private_key_pem_pkcs8", "private_key_pem_traditional"] {
            let Some(pem) = vector[name].as_str() else {
                continue;
            };
            let private = v1::PrivateKey::from_pem(pem).unwrap();
            assert_eq!(private.public_key(), public, "{name}");
            let derived = Keys::new(Some(private), None, None).unwrap();
            let grant = Grant {
                sdk_app_id: expected.sdk_app_id,
                user_id: expected.user_id,
                issued_at: number("TLS.time"),
                lifetime: number("TLS.expire_after"),
                userbuf: claims.userbuf.as_deref(),
            };
            let ours = derived.sign(&grant, "0").unwrap();
            for keys in [&derived, &keys] {
                assert_eq!(verify(&ours, keys, &expected), Ok(claims.clone()));
            }
        }
    }
}

#[test]
fn checks_come_in_their_order() {
    // Everything is wrong at once: each check hides the later ones.
    let broken = |json: &mut Value| json["TLS.sig"] = "AAAA".into();
    let keys = v2_keys(KEY);
    let all_wrong = Expected { sdk_app_id: 1, user_id: "other", account_type: None, now: NOW + 61 };
    let step = |text: &str, expected: &Expected<'_>| verify(text, &keys, expected).unwrap_err().step();
    assert_eq!(step("!", &all_wrong), 1);
    assert_eq!(verify(&changed(broken), &keys, &all_wrong), Err(Invalid::Mismatch("sdkAppID")));
    let right_app = Expected { sdk_app_id: APP, ..all_wrong };
    assert_eq!(verify(&changed(broken), &keys, &right_app), Err(Invalid::Mismatch("userID")));
    let right_user = Expected { user_id: "xiaojun", ..right_app };
    assert_eq!(step(&changed(broken), &right_user), 3);
    let in_time = Expected { now: NOW + 60, ..right_user };
    assert_eq!(step(&changed(broken), &in_time), 4);
    assert!(verify(&changed(|_| {}), &keys, &in_time).is_ok());
    // Issued in the future: clocks differ.
    assert!(verify(&changed(|_| {}), &keys, &Expected { now: NOW - 7200, ..in_time }).is_ok());
    assert_eq!(verify(&changed(|_| {}), &Keys::default(), &in_time), Err(Invalid::NoKey("userSig version 2")));
}

#[test]
fn numbers_may_be_strings_and_the_outside_plain_base64() {
    let keys = v2_keys(KEY);
    for name in ["TLS.sdkappid", "TLS.time", "TLS.expire"] {
        let text = changed(|json| json[name] = json[name].to_string().into());
        assert!(verify(&text, &keys, &expect("xiaojun")).is_ok(), "{name}");
    }
    let good = changed(|_| {});
    let plain = good.replace('*', "+").replace('-', "/").replace('_', "=");
    assert!(verify(&plain, &keys, &expect("xiaojun")).is_ok());
    assert!(verify(plain.trim_end_matches('='), &keys, &expect("xiaojun")).is_ok());
    assert!(verify(&format!(" {good}\n"), &keys, &expect("xiaojun")).is_ok());
    // Version 1 with numbers where the libraries write strings.
    let generated = v1::PrivateKey::generate_p256();
    let private = v1::PrivateKey::from_pem(generated.private_pem.expose()).unwrap();
    let keys = Keys::new(Some(private), Some(v1::PublicKey::from_pem(&generated.public_pem).unwrap()), None).unwrap();
    let grant = Grant { sdk_app_id: APP, user_id: "xiaojun", issued_at: NOW, lifetime: 60, userbuf: None };
    let mut json = json_of(&keys.sign(&grant, "0").unwrap());
    for name in ["TLS.sdk_appid", "TLS.time", "TLS.expire_after", "TLS.account_type"] {
        json[name] = json[name].as_str().unwrap().parse::<u64>().unwrap().into();
    }
    assert!(verify(&wrap(json.to_string().as_bytes()), &keys, &expect("xiaojun")).is_ok());
}

#[test]
fn malformed_members() {
    let keys = v2_keys(KEY);
    let cases: [(&str, Value); 16] = [
        ("TLS.ver", "3.0".into()),
        ("TLS.ver", 2.0.into()),
        ("TLS.identifier", Value::Null),
        ("TLS.identifier", json!(["xiaojun"])),
        ("TLS.identifier", "xiaojun\nTLS.sdkappid:1".into()),
        ("TLS.identifier", "x".repeat(257).into()),
        ("TLS.sdkappid", (-1).into()),
        ("TLS.sdkappid", "+1400000000".into()),
        ("TLS.time", 1.5.into()),
        ("TLS.time", "".into()),
        ("TLS.time", "1e9".into()),
        ("TLS.expire", u64::MAX.into()),
        ("TLS.sig", "no base64".into()),
        ("TLS.sig", "A".repeat(4096).into()),
        ("TLS.userbuf", "====".into()),
        ("TLS.userbuf", "A".repeat(4096).into()),
    ];
    for (name, value) in cases {
        let text = changed(|json| json[name] = value.clone());
        let verified = verify(&text, &keys, &expect("xiaojun"));
        assert_eq!(verified.unwrap_err().step(), 1, "{name} = {value}");
    }
    for name in ["TLS.identifier", "TLS.sdkappid", "TLS.time", "TLS.expire", "TLS.sig"] {
        let text = changed(|json| drop(json.as_object_mut().unwrap().remove(name)));
        assert_eq!(verify(&text, &keys, &expect("xiaojun")).unwrap_err().step(), 1, "{name}");
    }
    // A userbuf taken away or changed is a broken signature.
    let text = changed(|json| drop(json.as_object_mut().unwrap().remove("TLS.userbuf")));
    assert_eq!(verify(&text, &keys, &expect("xiaojun")), Err(Invalid::Signature));
    let text = changed(|json| json["TLS.userbuf"] = "YWJk".into());
    assert_eq!(verify(&text, &keys, &expect("xiaojun")), Err(Invalid::Signature));
}

#[test]
fn malformed_outside_and_json() {
    let keys = v2_keys(KEY);
    let good = changed(|_| {});
    let why = |text: &str| match verify(text, &keys, &expect("xiaojun")) {
        Err(Invalid::Malformed(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(""), "userSig is empty");
    assert_eq!(why("  "), "userSig is empty");
    assert_eq!(why(&"A".repeat(MAX_TEXT + 1)), "userSig is longer than 8 KiB");
    assert_eq!(why("päng"), "userSig is not base64");
    assert_eq!(why(&STANDARD.encode("no zlib at all")), "userSig is not a zlib stream");
    assert_eq!(why(&good[..good.len() / 8 * 4]), "userSig is cut off");
    let repeated = json_of(&good).to_string().replacen('{', r#"{"TLS.identifier":"admin","#, 1);
    let nested = format!("{}{}", "[".repeat(8000), "]".repeat(8000));
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
    for json in ["", "null", "[]", "{", "\u{feff}{}", "{}{}", &repeated, &nested, &deep] {
        assert_eq!(verify(&wrap(json.as_bytes()), &keys, &expect("xiaojun")).unwrap_err().step(), 1);
    }
    let by_position = json!(["2.0", "xiaojun", APP, null, NOW, 60, null, null, "AAAA", null, null]);
    assert_eq!(why(&wrap(by_position.to_string().as_bytes())), "userSig holds no JSON object");
}

#[test]
fn a_bomb_is_left_after_16_kib() {
    let bomb = wrap(&vec![0; 4_000_000]);
    assert!(bomb.len() <= MAX_TEXT, "{}", bomb.len());
    let refused = verify(&bomb, &v2_keys(KEY), &expect("xiaojun"));
    assert_eq!(refused, Err(Invalid::Malformed("userSig inflates to more than 16 KiB")));
    // A bigger one does not even get there.
    let refused = verify(&wrap(&vec![0; 10_000_000]), &v2_keys(KEY), &expect("xiaojun"));
    assert_eq!(refused, Err(Invalid::Malformed("userSig is longer than 8 KiB")));
    // The decoder kept by this thread is as good as new.
    assert!(verify(&changed(|_| {}), &v2_keys(KEY), &expect("xiaojun")).is_ok());
}

#[test]
fn grants_are_bounded() {
    let keys = v2_keys(KEY);
    let good = Grant { sdk_app_id: APP, user_id: "u", issued_at: NOW, lifetime: 60, userbuf: None };
    let longest = "\"".repeat(MAX_USER_ID);
    let largest = Grant { user_id: &longest, userbuf: Some(&[255; MAX_USERBUF]), ..good };
    let text = keys.sign(&largest, "0").unwrap();
    assert!(verify(&text, &keys, &expect(&longest)).is_ok());
    for bad in [
        Grant { user_id: "", ..good },
        Grant { user_id: "a\nb", ..good },
        Grant { user_id: &"x".repeat(MAX_USER_ID + 1), ..good },
        Grant { lifetime: u64::MAX, ..good },
        Grant { userbuf: Some(&[0; MAX_USERBUF + 1]), ..good },
    ] {
        assert_eq!(keys.sign(&bad, "0").unwrap_err().step(), 1, "{bad:?}");
    }
    assert_eq!(Keys::default().sign(&good, "0").unwrap_err().step(), 4);
    let private = v1::PrivateKey::from_pem(v1::PrivateKey::generate_p256().private_pem.expose()).unwrap();
    assert_eq!(v1::sign(&private, &good, "0\nTLS.x:").unwrap_err().step(), 1);
}

#[test]
fn keys_from_configuration_files() {
    let generated = v1::PrivateKey::generate_p256();
    let private = generated.private_pem.expose();
    let public = generated.public_pem.as_str();
    let written = private.replace('\n', "\\n");
    assert!(v1::PrivateKey::from_pem(&written).is_ok());
    assert!(v1::PublicKey::from_pem(&public.replace('\n', "")).is_ok());
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    assert!(v1::PrivateKey::from_pem(&format!("{parameters}{private}")).is_ok());

    let why = |bad: Result<(), BadKey>| bad.unwrap_err().to_string();
    assert!(why(v1::PrivateKey::from_pem(public).map(drop)).contains("public key"));
    assert!(why(v1::PublicKey::from_pem(private).map(drop)).contains("private key"));
    let damaged = crate::pem::write("PRIVATE KEY", &[1; 100]);
    assert!(why(v1::PrivateKey::from_pem(&damaged).map(drop)).contains("damaged"));
    let damaged = crate::pem::write("PUBLIC KEY", &[1; 100]);
    assert!(why(v1::PublicKey::from_pem(&damaged).map(drop)).contains("damaged"));
    assert!(why(v2::Key::new(&Secret::default()).map(drop)).contains("empty"));

    let private = v1::PrivateKey::from_pem(private).unwrap();
    assert!(!format!("{private:?}").contains(&generated.private_pem.expose()[40..60]));
    let other = v1::PublicKey::from_pem(&v1::PrivateKey::generate_p256().public_pem).unwrap();
    assert!(why(Keys::new(Some(private), Some(other), None).map(drop)).contains("belong"));
}

#[test]
fn rsa_keys_have_2048_to_4096_bits() {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    let pem = |size| {
        let key = KeyPair::generate(size).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        crate::pem::write("PRIVATE KEY", der.as_ref())
    };
    assert!(v1::PrivateKey::from_pem(&pem(KeySize::Rsa3072)).is_ok());
    // RSA-1024 and RSA-8192 public keys, made with OpenSSL.
    for small_or_large in [include_str!("../../tests/keys/rsa1024.pem"), include_str!("../../tests/keys/rsa8192.pem")] {
        assert!(v1::PublicKey::from_pem(small_or_large).is_err());
    }
}

fn garbage_step(text: &str) -> u8 {
    verify(text, &v2_keys(KEY), &expect("xiaojun")).unwrap_err().step()
}

proptest! {
    #[test]
    fn garbage_is_malformed(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(garbage_step(&text), 1);
        prop_assert_eq!(garbage_step(&wrap_packed(&bytes)), 1);
        prop_assert_eq!(garbage_step(&wrap(&bytes)), 1);
    }

    #[test]
    fn no_changed_member_passes(at: prop::sample::Index, to in 0x20_u8..0x7f) {
        let good = json_of(&changed(|_| {})).to_string().into_bytes();
        let mut bad = good.clone();
        let at = at.index(bad.len());
        bad[at] = to;
        prop_assume!(bad != good);
        prop_assert!(verify(&wrap(&bad), &v2_keys(KEY), &expect("xiaojun")).is_err());
    }

    #[test]
    fn a_changed_text_says_the_same_or_nothing(at: prop::sample::Index, to in "[A-Za-z0-9*_-]") {
        let good = changed(|_| {});
        let claims = verify(&good, &v2_keys(KEY), &expect("xiaojun")).unwrap();
        let mut bad = good.clone();
        let at = at.index(bad.len());
        bad.replace_range(at..=at, &to);
        if let Ok(read) = verify(&bad, &v2_keys(KEY), &expect("xiaojun")) {
            prop_assert_eq!(read, claims);
        }
    }

    #[test]
    fn what_is_signed_verifies(
        user_id in "[^\\x00-\\x1f\\x7f]{1,40}",
        userbuf in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
        lifetime in 0..10_000_000_u64,
    ) {
        let grant = Grant { sdk_app_id: APP, user_id: &user_id, issued_at: NOW, lifetime, userbuf: userbuf.as_deref() };
        let text = v2_keys(KEY).sign(&grant, "0").unwrap();
        prop_assert!(text.bytes().all(|c| c.is_ascii_alphanumeric() || b"*-_".contains(&c)));
        let claims = verify(&text, &v2_keys(KEY), &expect(&user_id)).unwrap();
        prop_assert_eq!(claims.userbuf, userbuf);
        prop_assert_eq!(claims.expires_at, NOW + lifetime);
    }
}
