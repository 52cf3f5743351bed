//! AAC by the `syom` crate. Owns its options and its ways of failing; refuses to let a sample beyond ±1.0 near the encoder.

use crate::codec::AudioInfo;
use crate::frame::Codec;
use bytes::Bytes;
use syom::{Channel, ChannelMode, DecodeOptions, EncodeOptions, Frame};

use super::sbr::Sbr;
use super::{Decode, Encode, Pcm, RATE, Unfit};

/// Bits a second and channel.
const BITRATE: u32 = 64_000;
/// No AAC access unit is longer: 6144 bits a channel, 8 channels.
const MAX_UNIT: usize = 6_144;

/// Decodes raw AAC access units (LC, HE, HE v2, LD); more than two channels are mixed down to two. HE gives plain AAC until the
/// header of its spectral band replication came.
pub struct AacDecoder {
    inner: syom::Decoder,
    config: Bytes,
    /// Its units have spectral band replication.
    replicates: bool,
    /// The header of that came.
    headed: bool,
}

impl AacDecoder {
    /// For the stream that `config`, an `AudioSpecificConfig`, describes.
    pub fn new(config: &[u8]) -> Result<Self, Unfit> {
        if config.len() > 256 {
            return Err(Unfit::Config("AudioSpecificConfig longer than 256 bytes".into()));
        }
        // Live streams have no end; everything else keeps the crate's bounds.
        let options = DecodeOptions::audio()
            .with_channel_mode(ChannelMode::Split)
            .with_max_duration_secs(f64::INFINITY)
            .with_max_sample_rate(96_000);
        let inner = syom::Decoder::from_asc(config, options).map_err(|e| Unfit::Config(e.to_string()))?;
        // Where it is not declared, the first unit tells.
        let replicates = matches!(AudioInfo::of(Codec::Aac, config).mime.as_str(), "mp4a.40.5" | "mp4a.40.29");
        Ok(AacDecoder { inner, config: Bytes::copy_from_slice(config), replicates, headed: false })
    }

    fn run(&mut self, unit: &[u8], out: &mut Pcm) -> Result<(), Unfit> {
        let mut any = false;
        let result = self.inner.decode_au(unit, |frame| {
            any = true;
            mix(&frame, out);
            Ok(())
        });
        if result.is_ok() && !any {
            return Err(Unfit::Packet("no channel in it".into()));
        }
        result.map_err(|error| {
            // A failed decoder stays failed until it is reset and told its configuration again.
            self.inner.reset();
            let _ = self.inner.set_asc(&self.config);
            self.headed = false;
            Unfit::Packet(error.to_string())
        })
    }
}

impl Decode for AacDecoder {
    fn decode(&mut self, unit: &[u8], out: &mut Pcm) -> Result<(), Unfit> {
        if unit.len() > MAX_UNIT {
            return Err(Unfit::Packet(format!("{} bytes", unit.len())));
        }
        let before_header = |found: &Sbr| !found.has_header;
        if self.replicates && !self.headed {
            let found = Sbr::find(unit);
            if let Some(sbr) = found.filter(before_header) {
                return self.run(&sbr.without(unit), out);
            }
            if found.is_some() {
                // Where it was not declared, the rate changes here: the decoder has to begin anew.
                let result = self.run(unit, out).or_else(|_| self.run(unit, out));
                self.headed = result.is_ok();
                return result;
            }
        }
        let result = self.run(unit, out);
        if result.is_err()
            && !self.replicates
            && let Some(sbr) = Sbr::find(unit).filter(before_header)
        {
            let again = self.run(&sbr.without(unit), out);
            self.replicates = again.is_ok();
            return again;
        }
        result
    }

    fn conceal(&mut self, _samples: usize, _out: &mut Pcm) -> bool {
        false
    }
}

/// Interleaves planes; centre and surrounds go to both sides at -3 dB as ITU-R BS.775 has it, the LFE is left out.
fn mix(frame: &Frame<'_>, out: &mut Pcm) {
    out.rate = frame.sample_rate;
    out.samples.clear();
    let planes = frame.planar;
    match planes {
        [] => {}
        [mono] => {
            out.channels = 1;
            out.samples.extend_from_slice(mono);
        }
        [left, right] => {
            out.channels = 2;
            out.samples.extend(left.iter().zip(*right).flat_map(|(&l, &r)| [l, r]));
        }
        _ => {
            out.channels = 2;
            out.samples.resize(frame.samples * 2, 0.0);
            let mut sum = (0.0f32, 0.0f32);
            for (plane, label) in planes.iter().zip(frame.meta.channels) {
                const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
                let (l, r) = match label.unwrap_or_default() {
                    Channel::FrontLeft => (1.0, 0.0),
                    Channel::FrontRight => (0.0, 1.0),
                    Channel::BackLeft | Channel::SideLeft => (HALF, 0.0),
                    Channel::BackRight | Channel::SideRight => (0.0, HALF),
                    Channel::Lfe => (0.0, 0.0),
                    _ => (HALF, HALF),
                };
                sum = (sum.0 + l, sum.1 + r);
                for (pair, &s) in out.samples.chunks_exact_mut(2).zip(*plane) {
                    pair[0] += s * l;
                    pair[1] += s * r;
                }
            }
            let scale = 1.0 / sum.0.max(sum.1).max(1.0);
            out.samples.iter_mut().for_each(|s| *s *= scale);
        }
    }
}

/// Encodes AAC-LC at 48 kHz.
pub struct AacEncoder {
    inner: syom::Encoder,
    channels: usize,
    planes: [Vec<f32>; 2],
}

impl AacEncoder {
    /// For 1 or 2 channels.
    pub fn new(channels: usize) -> Result<Self, Unfit> {
        let channels = channels.clamp(1, 2);
        let options = EncodeOptions::raw().with_bitrate_bps(BITRATE * channels as u32);
        let inner = syom::Encoder::new(RATE, channels, &options).map_err(|e| Unfit::Config(e.to_string()))?;
        Ok(AacEncoder { inner, channels, planes: Default::default() })
    }
}

impl Encode for AacEncoder {
    fn unit(&self) -> usize {
        1024
    }

    fn delay(&self) -> usize {
        1024
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn config(&self) -> Bytes {
        Bytes::copy_from_slice(self.inner.asc())
    }

    fn encode(&mut self, samples: &[f32]) -> Result<Bytes, Unfit> {
        for (channel, plane) in self.planes.iter_mut().enumerate().take(self.channels) {
            plane.clear();
            plane.extend(samples.iter().skip(channel).step_by(self.channels));
        }
        let planes: [&[f32]; 2] = [&self.planes[0], &self.planes[1]];
        let mut unit = None;
        let fed = self.inner.feed(&planes[..self.channels], |frame| {
            unit = Some(Bytes::copy_from_slice(frame.payload));
            Ok(())
        });
        fed.map_err(|e| Unfit::Packet(e.to_string()))?;
        unit.ok_or_else(|| Unfit::Packet("the encoder gave nothing for a whole unit".into()))
    }
}
