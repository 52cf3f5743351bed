//! Session tokens.
#![no_main]
use libfuzzer_sys::fuzz_target;
use sign::token::{self, Keyring, Purpose};

fuzz_target!(|text: &str| {
    let keyring = Keyring::new(&"a secret of the fuzzer, long enough".into(), &[]).expect("long enough");
    assert!(token::verify(&keyring, Purpose::Session, text, 0).is_err(), "nobody guesses a token");
});
