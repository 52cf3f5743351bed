//! AMF0: what is read is written and read again as the same.
#![no_main]
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use media::rtmp::amf0;

fuzz_target!(|bytes: &[u8]| {
    let Ok(values) = amf0::read_all(bytes) else { return };
    let mut out = BytesMut::new();
    values.iter().for_each(|value| value.write(&mut out));
    let again = amf0::read_all(&out).expect("what we write we read");
    assert_eq!(format!("{values:?}"), format!("{again:?}"));
});
