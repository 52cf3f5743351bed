//! The configuration of the first servers, which is JavaScript.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| drop(tencent::import::import(text)));
