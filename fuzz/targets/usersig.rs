//! userSig of both versions, and the PEM keys that check them.
#![no_main]
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sign::usersig::{self, Expected, Keys, v1, v2};

fuzz_target!(|text: &str| {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let own = v1::PrivateKey::from_pem(v1::PrivateKey::generate_p256().private_pem.expose()).expect("just made");
        Keys::new(Some(own), None, v2::Key::new(&"secret-of-the-fuzzer".into()).ok()).expect("keys that fit")
    });
    let _ = (v1::PrivateKey::from_pem(text), v1::PublicKey::from_pem(text));
    for account_type in [None, Some("0")] {
        let expected = Expected { sdk_app_id: 1_400_000_000, user_id: "u", account_type, now: 0 };
        assert!(usersig::verify(text, keys, &expected).is_err(), "nobody guesses a signature");
    }
});
