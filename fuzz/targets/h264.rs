//! H.264 between avcC, Annex B and RTP payloads.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| media::rtc::fuzzing::h264(bytes));
