//! What tokens say, keep apart, outlive and refuse.

use super::*;
use proptest::prelude::*;

fn keyring() -> Keyring {
    Keyring::new(&"a key of the test, long enough".into(), &[]).unwrap()
}

fn claims() -> Claims {
    Claims {
        user_id: "user_7a7413d1_4414".to_owned(),
        session: 0x0123_4567_89ab_cdef,
        generation: Generation::Second,
        issued_at: 1_700_000_000_000,
        expires_at: 1_700_086_400_000,
    }
}

#[test]
fn says_what_was_put_in_until_it_expires() {
    let token = issue(&keyring(), Purpose::Session, &claims()).unwrap();
    let verify = |now| verify(&keyring(), Purpose::Session, &token, now);
    assert_eq!(verify(1_700_000_000_000), Ok(claims()));
    assert_eq!(verify(1_700_086_400_000), Ok(claims()));
    assert_eq!(verify(1_700_086_400_001), Err(Invalid::Expired));
    assert!(token.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~*".contains(&c)));
}

#[test]
fn purposes_are_kept_apart() {
    let all = [Purpose::Session, Purpose::ChatLogin, Purpose::LongPoll, Purpose::Ticket];
    for made in all {
        let token = issue(&keyring(), made, &claims()).unwrap();
        for asked in all {
            let verified = verify(&keyring(), asked, &token, 0);
            assert_eq!(verified.is_ok(), made == asked, "{made:?} as {asked:?}: {verified:?}");
        }
    }
}

#[test]
fn rotation_keeps_old_tokens_until_the_key_goes() {
    let old = Secret::from("the key until today");
    let new = Secret::from("the key from today on");
    let token = issue(&Keyring::new(&old, &[]).unwrap(), Purpose::Session, &claims()).unwrap();
    let rotated = Keyring::new(&new, std::slice::from_ref(&old)).unwrap();
    assert_eq!(verify(&rotated, Purpose::Session, &token, 0), Ok(claims()));
    let forgotten = Keyring::new(&new, &[]).unwrap();
    assert_eq!(verify(&forgotten, Purpose::Session, &token, 0), Err(Invalid::Signature));
    // New tokens are made with the new key only.
    let token = issue(&rotated, Purpose::Session, &claims()).unwrap();
    assert_eq!(verify(&forgotten, Purpose::Session, &token, 0), Ok(claims()));
    let before = Keyring::new(&old, &[]).unwrap();
    assert_eq!(verify(&before, Purpose::Session, &token, 0), Err(Invalid::Signature));
}

#[test]
fn bounds() {
    let longest = Claims { user_id: "x".repeat(MAX_USER_ID), ..claims() };
    let token = issue(&keyring(), Purpose::Session, &longest).unwrap();
    assert!(token.len() <= MAX_LEN);
    assert_eq!(verify(&keyring(), Purpose::Session, &token, 0), Ok(longest));
    let longer = Claims { user_id: "x".repeat(MAX_USER_ID + 1), ..claims() };
    assert_eq!(issue(&keyring(), Purpose::Session, &longer).unwrap_err().step(), 1);
    for bad in ["", "AQ", &"A".repeat(MAX_LEN), &"A".repeat(1_000_000), "AQ==", "päng"] {
        assert_eq!(verify(&keyring(), Purpose::Session, bad, 0).unwrap_err().step(), 1);
    }
    assert!(Keyring::new(&"short".into(), &[]).is_err());
    assert!(!format!("{:?}", keyring()).contains("key of the test"));
}

proptest! {
    #[test]
    fn every_claim_comes_back(user_id in "\\PC{0,60}", session: u64, issued_at: u64, expires_at: u64, second: bool) {
        let generation = if second { Generation::Second } else { Generation::First };
        let claims = Claims { user_id, session, generation, issued_at, expires_at };
        let token = issue(&keyring(), Purpose::ChatLogin, &claims).unwrap();
        prop_assert_eq!(verify(&keyring(), Purpose::ChatLogin, &token, expires_at), Ok(claims));
    }

    #[test]
    fn no_changed_character_passes(at: prop::sample::Index, to in "[A-Za-z0-9_-]") {
        let mut token = issue(&keyring(), Purpose::Session, &claims()).unwrap();
        let at = at.index(token.len());
        prop_assume!(token[at..=at] != to);
        token.replace_range(at..=at, &to);
        prop_assert!(verify(&keyring(), Purpose::Session, &token, 0).is_err());
    }

    #[test]
    fn garbage_is_refused(text in "\\PC{0,400}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&keyring(), Purpose::Session, &text, 0).is_err());
        let text = URL_SAFE_NO_PAD.encode(bytes);
        prop_assert!(verify(&keyring(), Purpose::Session, &text, 0).is_err());
    }
}
