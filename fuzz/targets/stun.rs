//! What a datagram is, and whose.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| media::rtc::fuzzing::datagram(bytes));
