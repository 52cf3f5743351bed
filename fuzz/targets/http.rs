//! Whole requests: any call, as JSON or as a form, through the whole router.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| roomservice::fuzzing::request(bytes));
