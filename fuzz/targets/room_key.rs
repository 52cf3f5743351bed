//! privateMapKey: its bytes, and the signed text around them.
#![no_main]
use libfuzzer_sys::fuzz_target;
use sign::room_key::RoomKey;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = RoomKey::parse(bytes) {
        let again = RoomKey::parse(&key.encode().expect("what was read is written")).expect("and read again");
        assert_eq!(key, again);
    }
});
