//! Stream URLs, their queries and signatures, and names of streams.
#![no_main]
use libfuzzer_sys::fuzz_target;
use sign::push_url;
use sign::stream_name;
use sign::stream_url::{Query, StreamUrl};

fuzz_target!(|text: &str| {
    if let Ok(url) = StreamUrl::parse(text) {
        assert!(push_url::verify(&url.stream, &url.query, &[&"key".into()], 1..=u64::MAX).is_err(), "nobody guesses a signature");
    }
    let _ = Query::parse(text).map(|query| query.iter().count());
    assert_eq!(stream_name::decode_part(&stream_name::encode_part(text)).as_deref(), Some(text));
    let _ = (stream_name::decode_part(text), stream_name::is_valid(text));
});
