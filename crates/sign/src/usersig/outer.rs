//! The wrapping that both versions share: JSON, zlib, base64 with three characters replaced. Knows
//! nothing of the members inside.

use crate::Invalid;
use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use flate2::{Decompress, FlushDecompress, Status};
use std::cell::RefCell;

/// The longest text looked at. Real ones are 200 to 600 bytes.
pub const MAX_TEXT: usize = 8 * 1024;
/// The most JSON taken out of one text: inflating stops there, whatever the stream still holds.
pub const MAX_INFLATED: usize = 16 * 1024;

/// Some proxies and libraries drop the padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A zlib decoder is some 40 KiB: made once per thread, it costs nothing per login.
struct Scratch {
    inflate: Decompress,
    base64: Vec<u8>,
    packed: Vec<u8>,
    json: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        inflate: Decompress::new(true),
        base64: Vec::with_capacity(MAX_TEXT),
        packed: vec![0; MAX_TEXT],
        json: vec![0; MAX_INFLATED],
    });
}

/// Unwraps `text` and hands the JSON to `read`, which must not unwrap another text meanwhile.
/// Plain base64 (without the replaced characters) is accepted too.
pub(super) fn unwrap<T>(text: &str, read: impl FnOnce(&[u8]) -> Result<T, Invalid>) -> Result<T, Invalid> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(Invalid::Malformed("userSig is empty"));
    }
    if text.len() > MAX_TEXT {
        return Err(Invalid::Malformed("userSig is longer than 8 KiB"));
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let Scratch { inflate, base64, packed, json } = scratch;
        base64.clear();
        base64.extend(text.bytes().map(|c| match c {
            b'*' => b'+',
            b'-' => b'/',
            b'_' => b'=',
            c => c,
        }));
        let len = LENIENT.decode_slice(&*base64, packed).map_err(|_| Invalid::Malformed("userSig is not base64"))?;
        inflate.reset(true);
        let status = inflate
            .decompress(&packed[..len], json, FlushDecompress::Finish)
            .map_err(|_| Invalid::Malformed("userSig is not a zlib stream"))?;
        let size = inflate.total_out() as usize;
        match status {
            Status::StreamEnd => read(&json[..size]),
            _ if size == json.len() => Err(Invalid::Malformed("userSig inflates to more than 16 KiB")),
            _ => Err(Invalid::Malformed("userSig is cut off")),
        }
    })
}

/// Wraps `json`: a stored (uncompressed) zlib block, which every inflater reads and which costs a
/// fortieth of a compressed one. The text is a quarter longer than with compression.
pub(super) fn wrap(json: &[u8]) -> String {
    let len = u16::try_from(json.len()).expect("the bounds on members keep the JSON far below 64 KiB");
    let mut packed = Vec::with_capacity(json.len() + 11);
    packed.extend([0x78, 0x01, 0x01]);
    packed.extend(len.to_le_bytes());
    packed.extend((!len).to_le_bytes());
    packed.extend(json);
    packed.extend(adler32(json).to_be_bytes());
    let mut text = STANDARD.encode(packed).into_bytes();
    for c in &mut text {
        *c = match *c {
            b'+' => b'*',
            b'/' => b'-',
            b'=' => b'_',
            c => c,
        };
    }
    String::from_utf8(text).expect("base64 is ASCII")
}

/// The checksum of RFC 1950. Sums of 64 KiB fit u32 only when reduced every 5552 bytes.
fn adler32(bytes: &[u8]) -> u32 {
    let mut a = 1_u32;
    let mut b = 0_u32;
    for part in bytes.chunks(5552) {
        for &byte in part {
            a = a.wrapping_add(u32::from(byte));
            b = b.wrapping_add(a);
        }
        a %= 65_521;
        b %= 65_521;
    }
    b << 16 | a
}
