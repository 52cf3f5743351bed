//! Offers to publish and to play, and fragments of trickle ICE.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| media::rtc::fuzzing::offer(text));
