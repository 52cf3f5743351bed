//! A picture of H.264 once more, as one that may follow itself: players fail at a picture that is counted as the one before it.

use super::bits::{self, Bits};
use super::{Counting, h264_counting, sized};

/// This picture with the next number (ITU-T H.264 §7.3.3, §7.4.3), or as this one behind a keyframe, without messages. `None` for one that leans on no other, of fields,
/// counted in a rare way, or damaged.
pub(crate) fn once_more(config: &[u8], picture: &[u8], behind_key: Option<u32>) -> Option<Vec<u8>> {
    let sps = sized(config.get(6..)?)?;
    let plain = bits::unescape(sps.get(1..)?);
    let mut b = Bits::new(&plain);
    let counting = h264_counting(&mut b)?;
    // Up to the size: how many pictures are kept, whether there may be gaps.
    b.ue()?;
    b.skip(1)?;
    b.ue()?;
    b.ue()?;
    let is_of_frames = b.u(1)? == 1;
    if !is_of_frames || counting.way == 1 || counting.frame > 16 || counting.order.is_some_and(|order| order > 16) {
        return None;
    }
    let length = usize::from(config.get(4)? & 3) + 1;
    let mut out = Vec::with_capacity(picture.len() + 16);
    let mut rest = picture;
    while !rest.is_empty() {
        let head = rest.get(..length)?;
        let size = head.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        let unit = rest.get(length..length.checked_add(size)?)?;
        rest = &rest[length + size..];
        match unit.first()? & 0x1f {
            1 => {
                let unit = next(unit, &counting, behind_key)?;
                let size = (unit.len() as u64).to_be_bytes();
                let (above, size) = size.split_at(size.len() - length);
                if above.iter().any(|byte| *byte != 0) {
                    return None;
                }
                out.extend_from_slice(size);
                out.extend_from_slice(&unit);
            }
            2..=5 => return None,
            _ => {}
        }
    }
    (!out.is_empty()).then_some(out)
}

/// The slice with the number of the next picture. One that no other leans on has that already.
fn next(unit: &[u8], counting: &Counting, behind_key: Option<u32>) -> Option<Vec<u8>> {
    let is_leant_on = unit[0] & 0x60 != 0;
    let mut plain = bits::unescape(unit);
    let mut b = Bits::new(&plain);
    b.skip(8)?;
    b.ue()?;
    b.ue()?;
    b.ue()?;
    b.skip(2 * counting.separate)?;
    let frame = (b.position(), counting.frame, b.u(counting.frame)?);
    let order = match counting.order {
        Some(bits) => Some((b.position(), bits, b.u(bits)?)),
        None => None,
    };
    let in_frames = match behind_key {
        Some(number) if is_leant_on => number,
        Some(_) => 1,
        None => frame.2.wrapping_add(u32::from(is_leant_on)),
    };
    let in_order = behind_key.map(|number| 2 * number);
    let numbers = [
        Some((frame.0, frame.1, in_frames)),
        order.map(|(at, bits, was)| (at, bits, in_order.unwrap_or(was.wrapping_add(1)))),
    ];
    for (at, count, value) in numbers.into_iter().flatten() {
        bits::set(&mut plain, at, count, value & ((1 << count) - 1));
    }
    Some(bits::escape(&plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::black::Black;
    use crate::frame::Codec;

    /// A slice that others lean on: its head is that of the black one, behind it what has to be escaped.
    fn picture() -> Vec<u8> {
        let mut unit = vec![0x41, 0x9a, 0x1d, 0x40, 0x3c];
        unit.extend([0, 0, 3, 1, 0, 0, 3, 0, 0x80]);
        [&[9, 0xf0][..], &unit].iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect()
    }

    #[test]
    fn it_counts_on_and_is_else_the_same() {
        let config = Black::of(Codec::H264).unwrap().config.payload;
        let first = once_more(&config, &picture(), None).unwrap();
        assert_eq!(first.len(), picture().len() - 6, "without the delimiter");
        let mut again = first.clone();
        let mut seen = vec![first.clone()];
        loop {
            again = once_more(&config, &again, None).unwrap();
            if again == first {
                break;
            }
            seen.push(again.clone());
        }
        assert_eq!(seen.len(), 32, "five bits of the order, four of the number");
        // Behind a keyframe it is one of those, whatever it was.
        let behind = |number| once_more(&config, &picture(), Some(number));
        assert!(behind(1) == once_more(&config, &again, Some(1)) && behind(1) != behind(2));
        assert!(seen.iter().all(|picture| picture.ends_with(&[0, 0, 3, 1, 0, 0, 3, 0, 0x80])));
    }

    #[test]
    fn what_it_cannot_read_it_leaves() {
        let config = Black::of(Codec::H264).unwrap().config.payload;
        let key: Vec<u8> = [&[0, 0, 0, 5, 0x65][..], &picture()[11..15]].concat();
        assert_eq!(once_more(&config, &key, None), None, "a keyframe");
        for cut in 0..picture().len() {
            once_more(&config, &picture()[..cut], None);
        }
        for cut in 0..config.len() {
            once_more(&config[..cut], &picture(), None);
        }
        assert_eq!(once_more(&config, &[0, 0, 0, 9, 0x41], None), None);
        assert_eq!(once_more(&config, &[], None), None);
    }
}
