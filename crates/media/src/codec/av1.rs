//! AV1: open bitstream units one by one, what a sequence header says, and the configuration that containers want of it.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::plausible;

/// Types of open bitstream units (AV1 §6.2.2).
pub(crate) const SEQUENCE_HEADER: u8 = 1;
pub(crate) const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// One open bitstream unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Obu<'a> {
    /// Its type.
    pub kind: u8,
    /// Its header without the bit that says that a size follows: one byte, or two.
    pub header: [u8; 2],
    /// Bytes of the header.
    pub header_length: usize,
    /// What it holds.
    pub payload: &'a [u8],
    /// The whole unit as it came.
    pub whole: &'a [u8],
}

impl Obu<'_> {
    /// The temporal layer that it belongs to; 0 if it does not say.
    pub fn temporal_layer(&self) -> u8 {
        self.header[1] >> 5
    }

    /// Whether RTP carries it (AV1 RTP §5).
    pub fn is_sent(&self) -> bool {
        !matches!(self.kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING)
    }
}

/// The units of a temporal unit, up to the first whose size lies. One without a size is the last.
pub(crate) fn units(mut bytes: &[u8]) -> impl Iterator<Item = Obu<'_>> {
    std::iter::from_fn(move || {
        let &first = bytes.first()?;
        let header_length = 1 + usize::from(first >> 2 & 1);
        let header = [first & !2, bytes.get(1).copied().filter(|_| header_length == 2).unwrap_or(0)];
        let rest = bytes.get(header_length..)?;
        let (size, prefix) = if first & 2 == 0 { (rest.len(), 0) } else { leb128(rest)? };
        let end = header_length + prefix + size;
        let whole = bytes.get(..end)?;
        let unit =
            Obu { kind: first >> 3 & 0x0f, header, header_length, payload: &whole[header_length + prefix..], whole };
        bytes = &bytes[end..];
        Some(unit)
    })
}

/// A number of up to 32 bits, and the bytes that it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok().filter(|v| u32::try_from(*v).is_ok())?, i + 1));
        }
    }
    None
}

/// What a sequence header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequence {
    profile: u8,
    level: u8,
    tier: u8,
    high_depth: bool,
    twelve_bit: bool,
    mono: bool,
    chroma: (u8, u8),
    position: u8,
    /// Width and height.
    pub size: (u32, u32),
}

/// Reads the sequence header among the units of `bytes`.
pub(crate) fn sequence(bytes: &[u8]) -> Option<Sequence> {
    header(units(bytes).find(|unit| unit.kind == SEQUENCE_HEADER)?.payload)
}

/// The `AV1CodecConfigurationRecord` (AV1-ISOBMFF §2.3) that a temporal unit with a sequence header implies.
pub(crate) fn config(bytes: &[u8]) -> Option<Bytes> {
    let unit = units(bytes).find(|unit| unit.kind == SEQUENCE_HEADER)?;
    let s = header(unit.payload)?;
    let mut out = BytesMut::with_capacity(8 + unit.payload.len());
    out.put_slice(&[0x81, s.profile << 5 | s.level]);
    let flags = [s.tier == 1, s.high_depth, s.twelve_bit, s.mono, s.chroma.0 == 1, s.chroma.1 == 1];
    out.put_u8(flags.iter().fold(0, |byte, flag| byte << 1 | u8::from(*flag)) << 2 | s.position);
    out.put_u8(0);
    out.put_u8(SEQUENCE_HEADER << 3 | 2);
    // A sequence header takes some twelve bytes.
    out.put_u8(u8::try_from(unit.payload.len()).ok().filter(|n| *n < 0x80)?);
    out.put_slice(unit.payload);
    Some(out.freeze())
}

/// AV1 §5.5.1.
fn header(payload: &[u8]) -> Option<Sequence> {
    let mut b = Bits::new(payload);
    let profile = b.u(3)? as u8;
    b.skip(1)?;
    let reduced = b.u(1)? == 1;
    let (level, tier) = if reduced { (b.u(5)? as u8, 0) } else { operating_points(&mut b)? };
    let width_bits = b.u(4)? + 1;
    let height_bits = b.u(4)? + 1;
    let size = plausible(b.u(width_bits)?.checked_add(1)?, b.u(height_bits)?.checked_add(1)?)?;
    if !reduced && b.u(1)? == 1 {
        b.skip(7)?;
    }
    b.skip(3)?;
    if !reduced {
        tools(&mut b)?;
    }
    b.skip(3)?;
    let high_depth = b.u(1)? == 1;
    let twelve_bit = profile == 2 && high_depth && b.u(1)? == 1;
    let mono = profile != 1 && b.u(1)? == 1;
    let described = if b.u(1)? == 1 { (b.u(8)?, b.u(8)?, b.u(8)?) } else { (2, 2, 2) };
    let mut s = Sequence { profile, level, tier, high_depth, twelve_bit, mono, chroma: (1, 1), position: 0, size };
    if mono {
        return Some(s);
    }
    if described == (1, 13, 0) {
        s.chroma = (0, 0);
        return Some(s);
    }
    b.skip(1)?;
    s.chroma = match profile {
        0 => (1, 1),
        1 => (0, 0),
        _ if twelve_bit => {
            let x = b.u(1)? as u8;
            (x, if x == 1 { b.u(1)? as u8 } else { 0 })
        }
        _ => (1, 0),
    };
    if s.chroma == (1, 1) {
        s.position = b.u(2)? as u8;
    }
    Some(s)
}

/// Timing and operating points; level and tier of the first point.
fn operating_points(b: &mut Bits<'_>) -> Option<(u8, u8)> {
    let mut delay_bits = None;
    if b.u(1)? == 1 {
        b.skip(64)?;
        if b.u(1)? == 1 {
            b.uvlc()?;
        }
        if b.u(1)? == 1 {
            delay_bits = Some(b.u(5)? + 1);
            b.skip(42)?;
        }
    }
    let display_delay = b.u(1)? == 1;
    let mut first = None;
    for _ in 0..=b.u(5)? {
        b.skip(12)?;
        let level = b.u(5)?;
        let tier = if level > 7 { b.u(1)? } else { 0 };
        if let Some(bits) = delay_bits
            && b.u(1)? == 1
        {
            b.skip(2 * bits + 1)?;
        }
        if display_delay && b.u(1)? == 1 {
            b.skip(4)?;
        }
        first.get_or_insert((level as u8, tier as u8));
    }
    first
}

/// The flags of coding tools between the size and the filters.
fn tools(b: &mut Bits<'_>) -> Option<()> {
    b.skip(4)?;
    let order_hint = b.u(1)? == 1;
    if order_hint {
        b.skip(2)?;
    }
    let screen_content = if b.u(1)? == 1 { 2 } else { b.u(1)? };
    if screen_content > 0 && b.u(1)? == 0 {
        b.skip(1)?;
    }
    if order_hint {
        b.skip(3)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first temporal unit of SVT-AV1 3, 320x240, without its frame.
    const UNIT: &[u8] = b"\x12\x00\x0a\x0b\x02\x00\x00\x05\x21\xe7\xfd\xe3\x57\xcc\x02\x32\x01\x10";

    #[test]
    fn a_sequence_header_makes_a_configuration() {
        let kinds: Vec<u8> = units(UNIT).map(|unit| unit.kind).collect();
        assert_eq!(kinds, [TEMPORAL_DELIMITER, SEQUENCE_HEADER, 6]);
        assert_eq!(sequence(UNIT).unwrap().size, (320, 240));
        let made = config(UNIT).unwrap();
        assert_eq!(&made[..4], b"\x81\x00\x0c\x00");
        assert_eq!(&made[4..], &UNIT[2..15]);
        let info = super::super::VideoInfo::of(crate::frame::Codec::Av1, &made);
        assert_eq!((info.width, info.mime.as_str()), (320, "av01.0.00M.08"));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = config(&bytes);
            let _ = header(&bytes);
            prop_assert!(units(&bytes).count() <= bytes.len());
        }
    }
}
