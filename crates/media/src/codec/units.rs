//! NAL units with their lengths before them, as FLV and MP4 have those of a picture.

use bytes::{BufMut, BytesMut};

/// The NAL units, each with its length and without; `None`, at the end, where a length lies.
pub(crate) fn split(payload: &[u8], length_size: usize) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let unit = rest.get(..length_size).and_then(|prefix| {
            let length = prefix.iter().fold(0usize, |n, byte| n << 8 | usize::from(*byte));
            let (whole, after) = rest.split_at_checked(length_size + length)?;
            rest = after;
            Some((whole, &whole[length_size..]))
        });
        if unit.is_none() {
            rest = &[];
        }
        Some(unit)
    })
}

/// Appends a unit with its length; `None` where that is longer than can be said.
pub(crate) fn put(out: &mut BytesMut, unit: &[u8], length_size: usize) -> Option<()> {
    let length = u32::try_from(unit.len()).ok()?.to_be_bytes();
    let (beyond, prefix) = length.split_at_checked(4usize.checked_sub(length_size)?)?;
    if beyond.iter().any(|byte| *byte != 0) {
        return None;
    }
    out.put_slice(prefix);
    out.put_slice(unit);
    Some(())
}
