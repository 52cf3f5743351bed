//! Records of a journal, whatever a crash left of them.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| roomservice::fuzzing::journal(bytes));
