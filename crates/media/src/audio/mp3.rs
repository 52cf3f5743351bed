//! MP3 by the `nanomp3-core` crate. A unit is what publishers send in one message: a frame with its header, seldom several.

use nanomp3_core::{DecodeError, Decoder, FrameInfo, MAX_SAMPLES_PER_FRAME};

use super::{Decode, Pcm, Unfit};

/// No unit is longer: frames are at most 1,441 bytes, and 2,881 where they name no bit rate.
const MAX_UNIT: usize = 16_384;
/// Most frames of a unit. A frame of a few bytes can claim as much time as a long one.
const MAX_FRAMES: usize = 8;

/// Decodes MPEG audio frames of layer III; mono and stereo.
pub struct Mp3Decoder {
    inner: Box<Decoder>,
    block: Box<[f32; MAX_SAMPLES_PER_FRAME]>,
}

impl Default for Mp3Decoder {
    fn default() -> Self {
        Mp3Decoder { inner: Box::new(Decoder::new()), block: Box::new([0.0; MAX_SAMPLES_PER_FRAME]) }
    }
}

impl Decode for Mp3Decoder {
    fn decode(&mut self, unit: &[u8], out: &mut Pcm) -> Result<(), Unfit> {
        if unit.len() > MAX_UNIT {
            return Err(Unfit::Packet(format!("{} bytes", unit.len())));
        }
        out.samples.clear();
        let mut rest = unit;
        let mut frames = 0;
        while !rest.is_empty() && frames < MAX_FRAMES {
            let (used, result) = self.inner.decode(rest, &mut self.block[..]);
            rest = rest.get(used.max(1)..).unwrap_or_default();
            let (info, samples) = match result {
                Ok(info) => (info, info.samples_produced),
                // The first frames after a start hold the end of what nobody has: silence in their place.
                Err(DecodeError::ReservoirUnavailable(info) | DecodeError::Corrupt(info)) => {
                    self.block.fill(0.0);
                    (info, samples_of(&info))
                }
                Err(_) => continue,
            };
            let channels = usize::from(info.channels.num());
            // Frames of one unit are of one kind: what follows a change is not placed in time by it.
            if !out.samples.is_empty() && (out.rate, out.channels) != (info.sample_rate, channels) {
                break;
            }
            out.rate = info.sample_rate;
            out.channels = channels;
            out.samples.extend_from_slice(&self.block[..samples * channels]);
            frames += 1;
        }
        if out.samples.is_empty() { Err(Unfit::Packet("no MP3 frame in it".into())) } else { Ok(()) }
    }

    fn conceal(&mut self, _: usize, _: &mut Pcm) -> bool {
        false
    }
}

/// Moments of a frame: fewer below 32 kHz (ISO/IEC 13818-3).
fn samples_of(info: &FrameInfo) -> usize {
    if info.sample_rate < 32_000 { 576 } else { 1_152 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A silent frame of 48 kHz, stereo, 64 kbit/s: header, no bits in side information and all that follows.
    fn silent() -> Vec<u8> {
        let mut frame = vec![0; 192];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0x54, 0x00]);
        frame
    }

    #[test]
    fn a_frame_is_as_long_as_it_says() {
        let mut decoder = Mp3Decoder::default();
        let mut out = Pcm::default();
        decoder.decode(&silent(), &mut out).unwrap();
        assert_eq!((out.rate, out.channels, out.len()), (48_000, 2, 1_152));
        decoder.decode(&[silent(), silent()].concat(), &mut out).unwrap();
        assert_eq!(out.len(), 2 * 1_152, "two frames in a unit");
        // It begins in bytes of frames before, which nobody has.
        let mut depends = silent();
        depends[4] = 0x10;
        Mp3Decoder::default().decode(&depends, &mut out).unwrap();
        assert_eq!((out.len(), out.samples.iter().all(|s| *s == 0.0)), (1_152, true));
    }

    #[test]
    fn what_is_none_is_an_error_and_not_the_end() {
        let mut decoder = Mp3Decoder::default();
        let mut out = Pcm::default();
        for unit in [&[][..], b"ID3", &[0xff; 700], &silent()[..100]] {
            assert!(decoder.decode(unit, &mut out).is_err());
        }
        decoder.decode(&silent(), &mut out).unwrap();
    }

    #[test]
    fn a_unit_of_tiny_frames_is_not_minutes_of_sound() {
        let mut decoder = Mp3Decoder::default();
        let mut out = Pcm::default();
        let _ = decoder.decode(&[0xff, 0xe3, 0x08, 0x00].repeat(MAX_UNIT / 4), &mut out);
        assert!(out.len() <= MAX_FRAMES * 1_152, "{}", out.len());
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000), at in 0usize..192) {
            let mut decoder = Mp3Decoder::default();
            let mut out = Pcm::default();
            let _ = decoder.decode(&bytes, &mut out);
            let mut frame = silent();
            frame.extend_from_slice(&bytes);
            frame[4 + at % 188] = bytes.first().copied().unwrap_or(1);
            let _ = decoder.decode(&frame, &mut out);
            prop_assert!(out.samples.len() <= 2 * 1_152 * MAX_FRAMES);
        }
    }
}
