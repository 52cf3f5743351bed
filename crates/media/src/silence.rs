//! Silent frames, for sound that stays away.

use bytes::Bytes;

use crate::codec::AudioInfo;
use crate::frame::{Codec, Frame};

/// What a frame of AAC is made of (ISO/IEC 14496-3 table 4.85): a channel, a pair of them, one of low frequencies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Single = 0,
    Pair = 1,
    Low = 3,
}
use Element::{Low, Pair, Single};

/// A silent frame that fits a track, and how long it is in microseconds. `None` where there is none: no sample rate, no layout
/// of channels that has a number, or a codec that knows no such frame.
pub(crate) fn frame(config: &Frame) -> Option<(Bytes, i64)> {
    let info = AudioInfo::of(config.codec, &config.payload);
    match (config.codec, info.sample_rate) {
        (Codec::Aac, rate @ 1..) => {
            // LC, HE with and without parametric stereo; of the kinds of low delay ER AAC LD alone has a syntax that is known here.
            let named = match info.mime.as_str() {
                "mp4a.40.2" | "mp4a.40.5" | "mp4a.40.29" => true,
                "mp4a.40.23" => false,
                _ => return None,
            };
            let length = i64::from(info.samples) * 1_000_000 / i64::from(rate);
            Some((aac(info.channels, named)?, length))
        }
        (Codec::Opus, _) => Some((opus(&config.payload)?, 20_000)),
        _ => None,
    }
}

/// The elements of each layout that has a number (§1.6.3.5), each with gain and bands 0; where they are named, each with its name
/// before it and the end behind.
fn aac(channels: u8, named: bool) -> Option<Bytes> {
    let elements: &[Element] = match channels {
        1 => &[Single],
        2 => &[Pair],
        3 => &[Single, Pair],
        4 => &[Single, Pair, Single],
        5 => &[Single, Pair, Pair],
        6 => &[Single, Pair, Pair, Low],
        8 => &[Single, Pair, Pair, Pair, Low],
        _ => return None,
    };
    let mut bits = Bits::default();
    for (n, element) in elements.iter().enumerate() {
        if named {
            bits.put(*element as u32, 3);
        }
        // The number among its kind.
        bits.put(elements[..n].iter().filter(|before| *before == element).count() as u32, 4);
        // §4.4.2.1 and §4.4.2.3: `common_window`, then of each channel gain, `ics_info` of one long window without bands, and
        // neither pulses, nor TNS, nor gain control.
        let channels = if *element == Pair { 2 } else { 1 };
        bits.put(0, channels - 1 + channels * (8 + 11 + 3));
    }
    if named {
        bits.put(7, 3);
    }
    Some(bits.bytes.into())
}

/// RFC 6716: 20 ms of CELT. Of more channels each stream of them but the last says how long it is (RFC 6716 appendix B, RFC 7845
/// §5.1.1).
fn opus(head: &[u8]) -> Option<Bytes> {
    const PACKET: [u8; 3] = [0xf8, 0xff, 0xfe];
    let streams = match (head.get(9), head.get(18)) {
        (Some(1..=2), Some(0) | None) => 1,
        (Some(1..), Some(1..)) => head.get(19).copied().filter(|streams| *streams > 0)?,
        _ => return None,
    };
    let mut packet = [PACKET[0], 2, PACKET[1], PACKET[2]].repeat(usize::from(streams) - 1);
    packet.extend(PACKET);
    Some(packet.into())
}

/// Bits from the highest on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Free bits of the last byte.
    free: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= (value.checked_shr(bit).unwrap_or(0) as u8 & 1) << self.free;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{AacDecoder, Decode, Pcm};

    /// An `AudioSpecificConfig` of this kind and layout at 48 kHz.
    fn asc(object: u8, layout: u8) -> Frame {
        // That of LD goes on: neither error resilience nor error protection.
        Frame::config(Codec::Aac, 0, vec![object << 3 | 1, 0x80 | layout << 3, 0].into())
    }

    #[test]
    fn silence_of_every_layout_is_decoded_to_silence() {
        for (object, layouts, samples) in [(2, 1..=7, 1024), (23, 1..=2, 512)] {
            for layout in layouts {
                let config = asc(object, layout);
                let (unit, length) = frame(&config).unwrap();
                assert_eq!(length, samples * 1_000_000 / 48_000);
                let mut decoder = AacDecoder::new(&config.payload).unwrap();
                let mut pcm = Pcm::default();
                for _ in 0..3 {
                    decoder.decode(&unit, &mut pcm).unwrap_or_else(|e| panic!("kind {object}, layout {layout}: {e}"));
                    assert_eq!((pcm.len() as i64, pcm.channels), (samples, if layout == 1 { 1 } else { 2 }));
                    assert!(pcm.samples.iter().all(|sample| *sample == 0.0));
                }
            }
        }
        // As it was before there were more.
        assert_eq!(frame(&asc(2, 1)).unwrap().0[..], [0, 0, 0, 7]);
        assert_eq!(frame(&asc(2, 2)).unwrap().0[..], [0x20, 0, 0, 0, 0, 0, 0x0e]);
        assert!(frame(&asc(2, 0)).is_none() && frame(&asc(1, 2)).is_none());
    }

    #[test]
    fn silence_of_opus_has_a_packet_for_each_stream() {
        let head = |channels: u8, rest: &[u8]| {
            let head = [&b"OpusHead\x01"[..], &[channels, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0], rest].concat();
            frame(&Frame::config(Codec::Opus, 0, head.into()))
        };
        assert_eq!(head(2, &[0]).unwrap().0[..], [0xf8, 0xff, 0xfe]);
        let surround = head(6, &[1, 4, 2, 0, 4, 1, 2, 3, 5]).unwrap().0;
        assert_eq!(surround[..], [0xf8, 2, 0xff, 0xfe, 0xf8, 2, 0xff, 0xfe, 0xf8, 2, 0xff, 0xfe, 0xf8, 0xff, 0xfe]);
        assert!(head(6, &[0]).is_none() && head(0, &[0]).is_none());
    }
}
