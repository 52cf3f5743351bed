//! VP8 (RFC 7741) and VP9 (RFC 9628): a byte before each piece of a frame. Picture numbers are left out: all frames are sent,
//! in order, and receivers then go by sequence numbers.

use std::sync::Arc;

use super::{payload, pieces};

/// The payloads of a frame; `head` makes the byte of a piece that is the first or the last.
pub(super) fn payloads(frame: &[u8], head: impl Fn(bool, bool) -> u8) -> Vec<Arc<[u8]>> {
    let pieces = pieces(frame, 1);
    let count = pieces.len();
    pieces.enumerate().map(|(i, piece)| payload(&[head(i == 0, i + 1 == count)], piece)).collect()
}

/// RFC 7741 §4.2: the start of a partition.
pub(super) fn vp8_head(first: bool) -> u8 {
    u8::from(first) << 4
}

/// RFC 9628 §4.2: predicted from others, beginning and end of a frame.
pub(super) fn vp9_head(first: bool, last: bool, key: bool) -> u8 {
    u8::from(!key) << 6 | u8::from(first) << 3 | u8::from(last) << 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_into_equal_pieces_with_a_head_each() {
        let frame: Vec<u8> = (0..3_000u32).map(|i| i as u8).collect();
        let made = payloads(&frame, |first, last| vp9_head(first, last, false));
        let heads: Vec<u8> = made.iter().map(|p| p[0]).collect();
        assert_eq!(heads, [0x48, 0x40, 0x44]);
        assert!(made.iter().all(|p| p.len() == 1_001));
        let back: Vec<u8> = made.iter().flat_map(|p| p[1..].to_vec()).collect();
        assert_eq!(back, frame);
        let one = payloads(&frame[..5], |first, last| vp9_head(first, last, true));
        assert_eq!(one[0][..], [0x0c, 0, 1, 2, 3, 4]);
        assert_eq!(payloads(&frame[..2], |first, _| vp8_head(first))[0][..], [0x10, 0, 1]);
        assert!(payloads(&[], |_, _| 0).is_empty());
    }
}
