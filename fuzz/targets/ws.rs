//! Frames of WebSocket chat.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| roomservice::fuzzing::chat_frame(text));
