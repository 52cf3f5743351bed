//! A picture of H.264 once more, as one that may follow itself: players fail at a picture that is counted as the one before it.

use bytes::{Bytes, BytesMut};

use super::bits::{self, Bits};
use super::{Sps, avcc_sps, h264_sps, units};

/// This picture with the next number (ITU-T H.264 §7.3.3, §7.4.3), or as this one behind a keyframe, without messages. `None` for one
/// that leans on no other, of fields, counted in a rare way, or damaged.
pub(crate) fn once_more(config: &[u8], picture: &[u8], behind_key: Option<u32>) -> Option<Bytes> {
    let plain = bits::unescape(avcc_sps(config)?.get(1..)?);
    let sps = h264_sps(&mut Bits::new(&plain))?;
    if sps.frame_only == 0 || sps.way == 1 || sps.frame > 16 || sps.order.is_some_and(|order| order > 16) {
        return None;
    }
    let length_size = usize::from(config.get(4)? & 3) + 1;
    let mut out = BytesMut::with_capacity(picture.len() + 16);
    for unit in units::split(picture, length_size) {
        let (_, unit) = unit?;
        match unit.first()? & 0x1f {
            1 => units::put(&mut out, &next(unit, &sps, behind_key)?, length_size)?,
            2..=5 => return None,
            _ => {}
        }
    }
    (!out.is_empty()).then(|| out.freeze())
}

/// The slice with the number of the next picture. One that no other leans on has that already.
fn next(unit: &[u8], sps: &Sps, behind_key: Option<u32>) -> Option<Vec<u8>> {
    let is_leant_on = unit[0] & 0x60 != 0;
    let mut plain = bits::unescape(unit);
    let mut b = Bits::new(&plain);
    b.skip(8)?;
    b.ue()?;
    b.ue()?;
    b.ue()?;
    b.skip(2 * sps.separate)?;
    let frame = (b.position(), sps.frame, b.u(sps.frame)?);
    let order = match sps.order {
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
