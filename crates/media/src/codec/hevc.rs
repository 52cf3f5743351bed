//! H.265: NAL unit types, and the configuration that containers want of parameter sets.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::{Bits, unescape};

/// Types of NAL units (ITU-T H.265 table 7-1).
pub(crate) const VPS: u8 = 32;
pub(crate) const SPS: u8 = 33;
pub(crate) const PPS: u8 = 34;
pub(crate) const AUD: u8 = 35;
pub(crate) const FILLER: u8 = 38;

/// The type of a NAL unit.
pub(crate) fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte >> 1 & 0x3f)
}

/// Whether decoding may start at a picture with a slice of this type.
pub(crate) fn is_key(kind: u8) -> bool {
    (16..=21).contains(&kind)
}

/// The `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §8.3.3.1) of three parameter sets, with lengths of 4 bytes. `None`:
/// they are none.
pub(crate) fn config(vps: &[u8], sps: &[u8], pps: &[u8]) -> Option<Bytes> {
    let plain = unescape(sps);
    // Version and tier, then what the profile is compatible with and constrained by, then the level.
    let sub_layers = plain.get(2)? >> 1 & 7;
    let general = plain.get(3..15)?;
    let [chroma, luma_depth, chroma_depth] = depths(&plain, sub_layers)?;
    let nested = plain[2] & 1;
    let mut out = BytesMut::with_capacity(64 + vps.len() + sps.len() + pps.len());
    out.put_u8(1);
    out.put_slice(general);
    out.put_slice(&[0xf0, 0, 0xfc, 0xfc | chroma, 0xf8 | luma_depth, 0xf8 | chroma_depth, 0, 0]);
    out.put_u8((sub_layers + 1) << 3 | nested << 2 | 3);
    out.put_u8(3);
    for (kind, set) in [(VPS, vps), (SPS, sps), (PPS, pps)] {
        out.put_slice(&[0x80 | kind, 0, 1]);
        out.put_u16(u16::try_from(set.len()).ok()?);
        out.put_slice(set);
    }
    Some(out.freeze())
}

/// `chroma_format_idc`, and the depths of luma and chroma minus 8.
fn depths(sps: &[u8], sub_layers: u8) -> Option<[u8; 3]> {
    let mut b = Bits::new(sps.get(15..)?);
    let layers = u32::from(sub_layers);
    let mut present = [(0, 0); 8];
    for layer in present.iter_mut().take(layers as usize) {
        *layer = (b.u(1)?, b.u(1)?);
    }
    if layers > 0 {
        b.skip(2 * (8 - layers))?;
    }
    for (profile, level) in present.iter().take(layers as usize) {
        b.skip(88 * profile + 8 * level)?;
    }
    b.ue()?;
    let chroma = b.ue()?;
    if chroma == 3 {
        b.skip(1)?;
    }
    b.ue()?;
    b.ue()?;
    if b.u(1)? == 1 {
        for _ in 0..4 {
            b.ue()?;
        }
    }
    let depths = [chroma, b.ue()?, b.ue()?];
    depths.iter().all(|n| *n < 8).then(|| depths.map(|n| n as u8))
}

/// The parameter sets of a configuration, in its order, and the bytes of each NAL unit's length.
pub(crate) fn sets(config: &Bytes) -> Option<(Vec<Bytes>, usize)> {
    let mut at = 23;
    let mut sets = Vec::new();
    for _ in 0..*config.get(22)? {
        let count = u16::from_be_bytes([*config.get(at + 1)?, *config.get(at + 2)?]);
        at += 3;
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes([*config.get(at)?, *config.get(at + 1)?]));
            let end = at + 2 + length;
            config.get(at + 2..end)?;
            sets.push(config.slice(at + 2..end));
            at = end;
        }
    }
    Some((sets, 1 + usize::from(config[21] & 3)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VPS_UNIT: &[u8] =
        b"\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3f\x95\x98\x09";
    /// 320x240, Main, level 2.1, as x265 writes it.
    const SPS_UNIT: &[u8] = b"\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3f\xa0\x0a\x08\x0f\x16\x59\x59\xa4\x93\x2b\xc0\x5a\x02\x00\x00\x03\x00\x02\x00\x00\x03\x00\x32\x10";
    const PPS_UNIT: &[u8] = b"\x44\x01\xc1\x72\xb4\x62\x40";

    #[test]
    fn parameter_sets_make_a_configuration_and_come_out_of_it() {
        let made = config(VPS_UNIT, SPS_UNIT, PPS_UNIT).unwrap();
        let info = crate::codec::VideoInfo::of(crate::frame::Codec::H265, &made);
        assert_eq!((info.width, info.height, info.mime.as_str()), (320, 240, "hvc1.1.6.L63.90"));
        assert_eq!(&made[16..19], b"\xfd\xf8\xf8");
        let (found, length_size) = sets(&made).unwrap();
        assert_eq!((found.len(), length_size), (3, 4));
        assert_eq!((&found[0][..], &found[1][..], &found[2][..]), (VPS_UNIT, SPS_UNIT, PPS_UNIT));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = config(&bytes, &bytes, &bytes);
            let _ = sets(&bytes.clone().into());
        }
    }
}
