//! How much of a recording plays, whatever is left of the file.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((played, end)) = media::fmp4::played(&mut std::io::Cursor::new(bytes), bytes.len() as u64) {
        let _ = (played, end);
    }
});
