//! The published privateMapKeys byte for byte; disagreement between inside and outside is refused.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

const APP: u32 = 1_400_000_000;
const NOW: u64 = 1_700_000_000;

fn keys(secret: &str) -> Keys {
    Keys::new(None, None, Some(v2::Key::new(&secret.into()).unwrap())).unwrap()
}

fn room_key(room: Room) -> RoomKey {
    RoomKey {
        user_id: "xiaojun".to_owned(),
        sdk_app_id: APP,
        room,
        expires_at: 1_700_000_300,
        privileges: AUDIENCE,
        account_type: 0,
    }
}

fn expect(now: u64) -> Expected<'static> {
    Expected { sdk_app_id: APP.into(), user_id: "xiaojun", account_type: None, now }
}

#[test]
fn every_vector() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/usersig_v2.json")).unwrap();
    let mut seen = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let Some(hex) = vector["userbuf_hex"].as_str() else {
            continue;
        };
        let input = &vector["input"];
        let number = |name: &str| input[name].as_u64().unwrap();
        let room = match input["room_str"].as_str() {
            Some(text) => Room::Text(text.to_owned()),
            None => Room::Number(u32::try_from(number("roomid")).unwrap()),
        };
        let user_id = input["userid"].as_str().unwrap();
        let key = RoomKey {
            user_id: user_id.to_owned(),
            sdk_app_id: u32::try_from(number("sdkappid")).unwrap(),
            room,
            expires_at: u32::try_from(number("time") + number("expire")).unwrap(),
            privileges: u32::try_from(number("privilege")).unwrap(),
            account_type: 0,
        };
        assert_eq!(crate::hex::encode(&key.encode().unwrap()), hex);
        let keys = keys(input["key"].as_str().unwrap());
        let expected =
            Expected { sdk_app_id: number("sdkappid"), user_id, account_type: None, now: u64::from(key.expires_at) };
        let ours = key.sign_v2(keys.v2().unwrap(), number("time")).unwrap();
        for text in [ours.as_str(), vector["output_python_head"].as_str().unwrap()] {
            assert_eq!(verify(text, &keys, &expected), Ok(key.clone()));
        }
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn version_1_carries_it_too() {
    let private = v1::PrivateKey::from_pem(v1::PrivateKey::generate_p256().private_pem.expose()).unwrap();
    let key = RoomKey { account_type: 116, ..room_key(Room::Number(7)) };
    let text = key.sign_v1(&private, NOW).unwrap();
    let keys = Keys::new(Some(private), None, None).unwrap();
    let expected = Expected { account_type: Some("116"), ..expect(NOW) };
    assert_eq!(verify(&text, &keys, &expected), Ok(key));
}

#[test]
fn the_inside_must_agree_with_the_outside() {
    let keys = keys("a secret");
    let sign = |inside: &RoomKey| {
        let userbuf = inside.encode().unwrap();
        let grant = Grant {
            sdk_app_id: APP.into(),
            user_id: "xiaojun",
            issued_at: NOW,
            lifetime: 86_400,
            userbuf: Some(&userbuf),
        };
        v2::sign(keys.v2().unwrap(), &grant).unwrap()
    };
    let good = room_key(Room::Number(1));
    let refuse = |inside: &RoomKey, now| verify(&sign(inside), &keys, &expect(now)).unwrap_err();
    assert_eq!(verify(&sign(&good), &keys, &expect(NOW)), Ok(good.clone()));
    assert_eq!(refuse(&good, NOW + 301), Invalid::Expired);
    assert_eq!(refuse(&RoomKey { user_id: "other".to_owned(), ..good.clone() }, NOW).step(), 2);
    assert_eq!(refuse(&RoomKey { sdk_app_id: 1, ..good.clone() }, NOW).step(), 2);
    let bare = Grant { sdk_app_id: APP.into(), user_id: "xiaojun", issued_at: NOW, lifetime: 60, userbuf: None };
    let bare = v2::sign(keys.v2().unwrap(), &bare).unwrap();
    assert_eq!(verify(&bare, &keys, &expect(NOW)), Err(Invalid::Malformed("no userbuf")));
    assert_eq!(good.sign_v2(keys.v2().unwrap(), NOW + 301), Err(Invalid::Expired));
}

#[test]
fn rights_and_bounds() {
    let audience = room_key(Room::Number(1));
    assert_eq!(AUDIENCE, 42);
    assert!(audience.allows(ENTER) && audience.allows(AUDIENCE) && audience.allows(0));
    assert!(!audience.allows(CREATE | ENTER) && !audience.allows(EVERYTHING));
    for room in [String::new(), "x".repeat(MAX_ROOM + 1)] {
        assert_eq!(room_key(Room::Text(room)).encode().unwrap_err().step(), 1);
    }
    let long = RoomKey { user_id: "x".repeat(257), ..audience };
    assert_eq!(long.encode().unwrap_err().step(), 1);
    let mut unknown = room_key(Room::Number(1)).encode().unwrap();
    unknown[0] = 2;
    assert_eq!(RoomKey::parse(&unknown).unwrap_err().step(), 1);
    unknown[0] = 0;
    unknown.push(0);
    assert_eq!(RoomKey::parse(&unknown).unwrap_err().step(), 1);
}

proptest! {
    #[test]
    fn comes_back_whole_or_not_at_all(
        user_id in "\\PC{0,30}",
        room in prop_oneof![any::<u32>().prop_map(Room::Number), "\\PC{1,20}".prop_map(Room::Text)],
        numbers: [u32; 4],
    ) {
        let [sdk_app_id, expires_at, privileges, account_type] = numbers;
        let key = RoomKey { user_id, sdk_app_id, room, expires_at, privileges, account_type };
        let bytes = key.encode().unwrap();
        prop_assert_eq!(RoomKey::parse(&bytes), Ok(key));
        for end in 0..bytes.len() {
            prop_assert!(RoomKey::parse(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(key) = RoomKey::parse(&bytes) && bytes[0] == 0 {
            prop_assert_eq!(key.encode().unwrap(), bytes);
        }
    }
}

#[test]
fn what_is_read_can_be_written() {
    // Found by fuzzing: a text for a room's id, of no length.
    let mut empty = vec![1, 0, 4, 0, 0, 0, 0];
    empty.extend([0; 20]);
    empty.extend([0, 0]);
    assert_eq!(RoomKey::parse(&empty), Err(Invalid::Malformed("roomID")));
    let text = |bytes: &mut Vec<u8>, length: usize| {
        bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        bytes.resize(bytes.len() + length, b'a');
    };
    let userbuf = |user: usize, room: usize| {
        let mut bytes = vec![1];
        text(&mut bytes, user);
        bytes.extend([0; 20]);
        text(&mut bytes, room);
        bytes
    };
    for (user, room) in [(1, 1), (usersig::MAX_USER_ID, MAX_ROOM)] {
        let key = RoomKey::parse(&userbuf(user, room)).unwrap();
        assert_eq!(key.encode().unwrap(), userbuf(user, room));
    }
    assert!(RoomKey::parse(&userbuf(usersig::MAX_USER_ID + 1, 1)).is_err());
    assert!(RoomKey::parse(&userbuf(1, MAX_ROOM + 1)).is_err());
}
