//! VP8 (RFC 6386) and VP9: what the head of a keyframe says, and the configuration that containers want of it. Neither codec
//! has parameter sets.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::{VideoInfo, plausible};
use crate::frame::Codec;

/// Bytes of a `VPCodecConfigurationRecord` with version and flags, as boxes and Enhanced RTMP hold it.
const RECORD: usize = 12;
/// ITU-T H.273: no word on primaries, transfer and matrix.
const UNSPECIFIED: u8 = 2;

/// What a keyframe says of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    profile: u8,
    depth: u8,
    /// As `chromaSubsampling` of vpcC: 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    chroma: u8,
    full_range: bool,
    size: (u32, u32),
}

/// The configuration that a keyframe implies: vpcC, then the size, which vpcC lacks. `None`: no keyframe.
pub fn config(codec: Codec, keyframe: &[u8]) -> Option<Bytes> {
    let head = match codec {
        Codec::Vp8 => vp8(keyframe)?,
        _ => vp9(keyframe)?,
    };
    let mut out = BytesMut::with_capacity(RECORD + 4);
    out.put_slice(&[1, 0, 0, 0, head.profile, level(codec, head.size.0, head.size.1)]);
    out.put_u8(head.depth << 4 | head.chroma << 1 | u8::from(head.full_range));
    out.put_slice(&[UNSPECIFIED, UNSPECIFIED, UNSPECIFIED, 0, 0]);
    out.put_u16(u16::try_from(head.size.0).ok()?);
    out.put_u16(u16::try_from(head.size.1).ok()?);
    Some(out.freeze())
}

/// The part of a configuration that leaves the server: vpcC with version and flags.
pub fn record(config: &[u8]) -> &[u8] {
    config.get(..RECORD).unwrap_or(config)
}

pub(super) fn info(codec: Codec, config: &[u8]) -> Option<VideoInfo> {
    let (record, size) = config.split_at_checked(RECORD)?;
    let profile = record[4];
    let level = record[5];
    let depth = record[6] >> 4;
    let name = if codec == Codec::Vp8 { "vp08" } else { "vp09" };
    let of = |at: usize| size.get(at..at + 2).map_or(0, |b| u32::from(u16::from_be_bytes([b[0], b[1]])));
    let mime = format!("{name}.{profile:02}.{level:02}.{depth:02}");
    Some(VideoInfo { codec, width: of(0), height: of(2), profile, level, mime })
}

/// Whether a configuration is one of ours, with the size.
pub fn is_whole(config: &[u8]) -> bool {
    config.len() == RECORD + 4
}

/// RFC 6386 §9.1.
fn vp8(frame: &[u8]) -> Option<Head> {
    let head = frame.first_chunk::<10>()?;
    if head[0] & 1 != 0 || head[3..6] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let of = |at: usize| u32::from(u16::from_le_bytes([head[at], head[at + 1]]) & 0x3fff);
    let size = plausible(of(6), of(8))?;
    Some(Head { profile: head[0] >> 1 & 7, depth: 8, chroma: 1, full_range: false, size })
}

/// VP9 Bitstream & Decoding Process Specification §6.2.
fn vp9(frame: &[u8]) -> Option<Head> {
    let mut b = Bits::new(frame);
    if b.u(2)? != 2 {
        return None;
    }
    let profile = b.u(1)? | b.u(1)? << 1;
    if profile == 3 {
        b.skip(1)?;
    }
    let shows_another = b.u(1)? == 1;
    let delta = b.u(1)? == 1;
    if shows_another || delta {
        return None;
    }
    b.skip(2)?;
    if b.u(24)? != 0x49_83_42 {
        return None;
    }
    let depth = if profile >= 2 { 10 + 2 * b.u(1)? } else { 8 };
    let rgb = b.u(3)? == 7;
    let full_range = rgb || b.u(1)? == 1;
    let chroma = match (profile & 1, rgb) {
        (0, _) => 1,
        (_, true) => {
            b.skip(1)?;
            3
        }
        (_, false) => {
            let x = b.u(1)?;
            let y = b.u(1)?;
            b.skip(1)?;
            match (x, y) {
                (1, 0) => 2,
                (0, 0) => 3,
                _ => 1,
            }
        }
    };
    let size = plausible(b.u(16)? + 1, b.u(16)? + 1)?;
    Some(Head { profile: profile as u8, depth: depth as u8, chroma, full_range, size })
}

/// Whether no other frame depends on this one, as far as its head tells.
pub(crate) fn is_disposable(codec: Codec, frame: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => vp8_is_disposable(frame),
        _ => vp9_is_disposable(frame).unwrap_or(false),
    }
}

/// RFC 6386 §9.3 to §9.11: it refreshes no reference, and leaves no probabilities behind.
fn vp8_is_disposable(frame: &[u8]) -> bool {
    if frame.len() < 8 || frame[0] & 1 == 0 {
        return false;
    }
    let mut b = Bools::new(&frame[3..]);
    if b.flag() {
        // What changes about segments holds for the frames that follow.
        let map = b.flag();
        let data = b.flag();
        if map || data {
            return false;
        }
    }
    // Kind, level and sharpness of the loop filter, and its changes by reference and mode.
    b.bits(1 + 6 + 3);
    if b.flag() && b.flag() {
        (0..8).for_each(|_| b.optional(7));
    }
    // Partitions, and quantizer indices.
    b.bits(2 + 7);
    (0..5).for_each(|_| b.optional(5));
    let golden = b.flag();
    let alternate = b.flag();
    let copies = [golden, alternate].map(|refreshed| !refreshed && b.bits(2) != 0);
    b.bits(2);
    let probabilities = b.flag();
    let last = b.flag();
    !(golden || alternate || copies[0] || copies[1] || probabilities || last || b.is_beyond())
}

/// VP9 §6.2: no slot is refreshed, and no probabilities are kept. Of several frames in one nothing is said.
fn vp9_is_disposable(frame: &[u8]) -> Option<bool> {
    if frame.last().is_some_and(|last| last & 0xe0 == 0xc0) {
        return None;
    }
    let mut b = Bits::new(frame);
    let marker = b.u(2)?;
    let profile = b.u(1)? | b.u(1)? << 1;
    if marker != 2 || profile == 3 || b.u(1)? == 1 || b.u(1)? == 0 {
        return None;
    }
    let shown = b.u(1)? == 1;
    let resilient = b.u(1)? == 1;
    let intra_only = !shown && b.u(1)? == 1;
    if !resilient {
        b.skip(2)?;
    }
    if intra_only || b.u(8)? != 0 {
        return None;
    }
    // Three references, their sizes or one of its own, filters.
    b.skip(12)?;
    let mut found = false;
    for _ in 0..3 {
        found = b.u(1)? == 1;
        if found {
            break;
        }
    }
    if !found {
        b.skip(32)?;
    }
    if b.u(1)? == 1 {
        b.skip(32)?;
    }
    b.skip(1)?;
    if b.u(1)? == 0 {
        b.skip(2)?;
    }
    // What is not resilient leaves motion vectors and tables to the next frame, whatever it refreshes.
    Some(resilient)
}

/// VP8's boolean decoder (RFC 6386 §7), for flags with even chances. Beyond the end it reads zeros.
struct Bools<'a> {
    bytes: &'a [u8],
    at: usize,
    value: u32,
    range: u32,
    /// Bits of `value` below the two bytes that are compared.
    count: u32,
}

impl<'a> Bools<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut bools = Bools { bytes, at: 0, value: 0, range: 255, count: 0 };
        bools.value = bools.byte() << 8 | bools.byte();
        bools
    }

    fn byte(&mut self) -> u32 {
        self.at += 1;
        self.bytes.get(self.at - 1).map_or(0, |byte| u32::from(*byte))
    }

    fn is_beyond(&self) -> bool {
        self.at > self.bytes.len()
    }

    fn flag(&mut self) -> bool {
        let split = 1 + (self.range - 1) / 2;
        let set = self.value >= split << 8;
        if set {
            self.range -= split;
            self.value -= split << 8;
        } else {
            self.range = split;
        }
        while self.range < 128 {
            self.range <<= 1;
            self.value <<= 1;
            self.count += 1;
            if self.count == 8 {
                self.count = 0;
                self.value |= self.byte();
            }
        }
        set
    }

    fn bits(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |bits, _| bits << 1 | u32::from(self.flag()))
    }

    /// A value that is there only if a flag says so.
    fn optional(&mut self, count: u32) {
        if self.flag() {
            self.bits(count);
        }
    }
}

/// The lowest level whose pictures may be so large (VP9 levels, 30 pictures a second assumed). VP8 has none.
fn level(codec: Codec, width: u32, height: u32) -> u8 {
    const LEVELS: [(u64, u8); 8] = [
        (36_864, 10),
        (73_728, 11),
        (122_880, 20),
        (245_760, 21),
        (552_960, 30),
        (983_040, 31),
        (2_228_224, 40),
        (8_912_896, 50),
    ];
    let pixels = u64::from(width) * u64::from(height);
    match codec {
        Codec::Vp8 => 10,
        _ => LEVELS.iter().find(|(most, _)| pixels <= *most).map_or(60, |(_, level)| *level),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keyframes_say_size_and_profile() {
        // Profile 0, 352x288 as ffmpeg's libvpx writes it.
        let vp9 = [0x82, 0x49, 0x83, 0x42, 0x20, 0x15, 0xf0, 0x11, 0xf6, 0x08];
        let made = config(Codec::Vp9, &vp9).unwrap();
        assert_eq!(&made[..], b"\x01\0\0\0\0\x14\x82\x02\x02\x02\0\0\x01\x60\x01\x20");
        let info = VideoInfo::of(Codec::Vp9, &made);
        assert_eq!((info.width, info.height, info.mime.as_str()), (352, 288, "vp09.00.20.08"));
        assert_eq!(record(&made).len(), 12);

        let vp8 = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x41];
        let info = VideoInfo::of(Codec::Vp8, &config(Codec::Vp8, &vp8).unwrap());
        assert_eq!((info.width, info.height, info.mime.as_str()), (640, 360, "vp08.00.10.08"));
    }

    #[test]
    fn profile_1_says_how_colour_is_sampled() {
        // As ffmpeg 9 writes RGB test pictures of 320x240.
        let vp9 = [0xa2, 0x49, 0x83, 0x42, 0xe0, 0x13, 0xf0, 0x0e, 0xf6, 0x08];
        let made = config(Codec::Vp9, &vp9).unwrap();
        assert_eq!((made[4], made[6]), (1, 0x87));
        assert_eq!(VideoInfo::of(Codec::Vp9, &made).width, 320);
    }

    #[test]
    fn other_frames_are_no_keyframes() {
        assert!(vp9(&[0xa6, 0, 0x40, 0x92, 0x9c, 0x18, 0x49, 0x40, 0, 0x1e]).is_none());
        assert!(vp8(&[0x11, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x41]).is_none());
    }

    /// Bytes written as hexadecimal digits.
    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn frames_of_the_upper_of_two_temporal_layers_are_disposable() {
        // Beginnings of what libvpx makes of a test picture with two temporal layers; frames in turn of either.
        let vp8 = [
            ("9045009d012aa0005a00390500001c240c2c2c44cc244010", false),
            ("912200e3b30f84f03faf104f4fb10a2fdfcc603a6578ee15", false),
            ("711100071c240c2c2c44cc2440d40006b7066b96f72ba84f", true),
            ("112000e3baffa8a83faf104f4fb10a2fdffc003a3a555e31", false),
            ("5112000b1c240c2c2c44cc2440d80006ac169794f71bd603", true),
        ];
        for (head, disposable) in vp8 {
            assert_eq!(is_disposable(Codec::Vp8, &bytes(head)), disposable, "{head}");
        }
        let vp9 = [
            ("834983420009f0059020e090706170001e805f7f9fbf77f0", false),
            ("8700024b0c1c120e0c5c0000f87f90da3dfefca77192937f", true),
            ("8701024b001c120e0c000006307d8fdff7f13ff1beff3f7f", false),
            ("8700024b001c120e0c000003d8748f4f2d8ff4f13f13482f", true),
        ];
        for (head, disposable) in vp9 {
            assert_eq!(is_disposable(Codec::Vp9, &bytes(head)), disposable, "{head}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for codec in [Codec::Vp8, Codec::Vp9] {
                let _ = config(codec, &bytes);
                let _ = info(codec, &bytes);
                is_disposable(codec, &bytes);
            }
        }
    }
}
