//! G.711 (ITU-T G.711): a byte is a sample, on a scale that is nearly logarithmic.

use super::{Decode, Pcm, Unfit};

/// Which of the two scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    /// A-law, of Europe.
    A,
    /// µ-law, of America and Japan.
    Mu,
}

/// Samples a second in FLV.
const RATE: u32 = 8_000;

/// Decodes bodies of FLV tags.
pub struct G711Decoder {
    table: [f32; 256],
}

impl G711Decoder {
    /// A decoder of this scale.
    pub fn new(law: Law) -> Self {
        let of = match law {
            Law::A => a_law,
            Law::Mu => mu_law,
        };
        let mut table = [0.0; 256];
        for (code, sample) in (0..=u8::MAX).zip(&mut table) {
            *sample = f32::from(of(code)) / 32_768.0;
        }
        G711Decoder { table }
    }
}

impl Decode for G711Decoder {
    fn decode(&mut self, unit: &[u8], out: &mut Pcm) -> Result<(), Unfit> {
        let Some((head, codes)) = unit.split_first() else {
            return Err(Unfit::Packet("empty".into()));
        };
        let channels = 1 + usize::from(head & 1);
        let whole = codes.len() / channels * channels;
        out.rate = RATE;
        out.channels = channels;
        out.samples.clear();
        out.samples.extend(codes[..whole].iter().map(|code| self.table[usize::from(*code)]));
        Ok(())
    }

    fn conceal(&mut self, _: usize, _: &mut Pcm) -> bool {
        false
    }
}

/// ITU-T G.711 table 1, 13 bits in the upper ones of 16. Every second bit comes inverted.
fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = code >> 4 & 7;
    let step = i16::from(code & 0x0f);
    let size = match segment {
        0 => step << 4 | 8,
        _ => (step << 4 | 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -size } else { size }
}

/// ITU-T G.711 table 2, 14 bits in the upper ones of 16. All bits come inverted.
fn mu_law(code: u8) -> i16 {
    let code = !code;
    let segment = code >> 4 & 7;
    let step = i16::from(code & 0x0f);
    let size = ((step << 3 | 0x84) << segment) - 0x84;
    if code & 0x80 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_scales_are_those_of_the_recommendation() {
        // The ends, the middle and a step between: as in its tables, times 8 and times 4.
        let a: Vec<i16> = [0xaa, 0x2a, 0xd5, 0x55, 0x80, 0x9a].map(a_law).into();
        assert_eq!(a, [32_256, -32_256, 8, -8, 5_504, 4_032]);
        let mu: Vec<i16> = [0x80, 0x00, 0xff, 0x7f, 0x8f, 0xcf].map(mu_law).into();
        assert_eq!(mu, [32_124, -32_124, 0, 0, 16_764, 924]);
    }

    #[test]
    fn a_tag_says_how_many_channels_it_has() {
        let mut out = Pcm::default();
        let mut decoder = G711Decoder::new(Law::A);
        decoder.decode(&[0x72, 0xaa, 0x2a, 0xd5], &mut out).unwrap();
        assert_eq!((out.rate, out.channels, out.len()), (8_000, 1, 3));
        decoder.decode(&[0x73, 0xaa, 0x2a, 0xd5], &mut out).unwrap();
        assert_eq!((out.channels, out.samples.len()), (2, 2));
        assert!(decoder.decode(&[], &mut out).is_err());
    }
}
