//! Pictures as RTP payloads, whatever their codec, made once for all viewers. One file a codec; H.264's is older and lies
//! beside.

mod av1;
mod h265;
mod vpx;

use std::sync::Arc;

use bytes::Bytes;

use super::h264::{self, MAX_PAYLOAD, Parameters, Picture};
use crate::codec::{self, VideoInfo, hevc};
use crate::frame::{Codec, Frame};

/// What a decoder must be able to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// The codec.
    pub codec: Codec,
    /// H.264: `profile_idc`, constraint flags, `level_idc`. VP9, H.265, AV1: the profile first; of AV1 then whether it has more than
    /// 8 bits, which its profiles do not say. VP8: nothing.
    pub profile: [u8; 3],
}

impl Format {
    /// As a stream's configuration says.
    pub fn of(info: &VideoInfo) -> Self {
        // Of H.264 the constraints count, too, which only the whole name holds.
        let hex = info.mime.strip_prefix("avc1.").and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let profile = match (info.codec, hex) {
            (Codec::H264, Some(number)) => [(number >> 16) as u8, (number >> 8) as u8, number as u8],
            (Codec::Av1, _) => {
                let is_deep = [".10", ".12"].iter().any(|bits| info.mime.ends_with(bits));
                [info.profile, u8::from(is_deep), 0]
            }
            _ => [info.profile, 0, 0],
        };
        Format { codec: info.codec, profile }
    }

    /// The profile's name, where not every decoder of the codec can be expected to take it.
    pub fn unusual(&self) -> Option<&'static str> {
        Some(match (self.codec, self.profile[0]) {
            (Codec::H264, 110) => "High 10",
            (Codec::H264, 122) => "High 4:2:2",
            (Codec::H264, 44 | 244) => "High 4:4:4",
            (Codec::H265, 2) => "Main 10",
            (Codec::H265, 4..) => "of H.265's extensions (4:2:2, 4:4:4, 12 bits)",
            (Codec::Av1, 1) => "High (4:4:4)",
            (Codec::Av1, 2) => "Professional (4:2:2, 12 bits)",
            (Codec::Av1, 0) if self.profile[1] > 0 => "Main in 10 bits",
            (Codec::Vp9, 1) => "1 (4:2:2, 4:4:4)",
            (Codec::Vp9, 2) => "2 (10 and 12 bits)",
            (Codec::Vp9, 3) => "3 (4:2:2, 4:4:4, 10 and 12 bits)",
            _ => return None,
        })
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.codec.as_str())?;
        self.unusual().map_or(Ok(()), |profile| write!(f, ", profile {profile}"))
    }
}

/// Makes the payloads of one stream's pictures, as its configuration says.
pub(super) enum Payloader {
    H264(Parameters),
    H265 {
        sets: Vec<Bytes>,
        length_size: usize,
        profile: u8,
    },
    /// The units of the configuration.
    Av1 {
        head: Bytes,
        format: Format,
    },
    Vp8,
    /// The profile.
    Vp9(u8),
}

impl Payloader {
    /// As a configuration says. `None`: it is cut short.
    pub fn new(codec: Codec, config: &Bytes) -> Option<Self> {
        Some(match codec {
            Codec::H264 => Payloader::H264(Parameters::read(config)?),
            Codec::H265 => {
                let (sets, length_size) = hevc::sets(config)?;
                Payloader::H265 { sets, length_size, profile: VideoInfo::of(codec, config).profile }
            }
            Codec::Av1 => Payloader::Av1 {
                head: if config.len() > 4 { config.slice(4..) } else { Bytes::new() },
                format: Format::of(&VideoInfo::of(codec, config)),
            },
            Codec::Vp8 => Payloader::Vp8,
            Codec::Vp9 => Payloader::Vp9(VideoInfo::of(codec, config).profile),
            _ => return None,
        })
    }

    /// What it needs of a decoder.
    pub fn format(&self) -> Format {
        match self {
            Payloader::H264(parameters) => Format { codec: Codec::H264, profile: parameters.profile },
            Payloader::H265 { profile, .. } => Format { codec: Codec::H265, profile: [*profile, 0, 0] },
            Payloader::Av1 { format, .. } => *format,
            Payloader::Vp8 => Format { codec: Codec::Vp8, profile: [0; 3] },
            Payloader::Vp9(profile) => Format { codec: Codec::Vp9, profile: [*profile, 0, 0] },
        }
    }

    /// The payloads of a picture. None where it is too large to be sent, or holds nothing.
    pub fn picture(&self, frame: &Frame) -> Picture {
        match self {
            Payloader::H264(parameters) => Picture::new(&frame.payload, frame.key, parameters),
            Payloader::H265 { sets, length_size, .. } => {
                Picture::of(h265::payloads(&frame.payload, frame.key, sets, *length_size))
            }
            Payloader::Av1 { head, .. } => Picture::of(av1::payloads(&frame.payload, frame.key, head)),
            Payloader::Vp8 => Picture::of(vpx::payloads(&frame.payload, |first, _| vpx::vp8_head(first))),
            Payloader::Vp9(_) => {
                let key = frame.key;
                Picture::of(vpx::payloads(&frame.payload, |first, last| vpx::vp9_head(first, last, key)))
            }
        }
    }

    /// Whether no other picture depends on this one, so that it can be left out. `top`: the highest temporal layer that was
    /// seen.
    pub fn is_disposable(&self, payload: &[u8], top: &mut u8) -> bool {
        match self {
            Payloader::H264(parameters) => h264::disposable(payload, parameters.length_size),
            Payloader::H265 { length_size, .. } => h265::is_disposable(payload, *length_size, top),
            Payloader::Av1 { .. } => {
                let layer = av1::temporal_layer(payload);
                *top = layer.max(*top);
                layer > 0 && layer == *top
            }
            Payloader::Vp8 => codec::vpx::is_disposable(Codec::Vp8, payload),
            Payloader::Vp9(_) => codec::vpx::is_disposable(Codec::Vp9, payload),
        }
    }
}

/// Pieces of equal size that fit into payloads beside `head` bytes, so that the kernel can be given them in one go.
fn pieces(body: &[u8], head: usize) -> impl ExactSizeIterator<Item = &[u8]> {
    let room = MAX_PAYLOAD - head;
    let size = body.len().div_ceil(body.len().div_ceil(room).max(1)).max(1);
    body.chunks(size)
}

/// One payload.
fn payload(head: &[u8], body: &[u8]) -> Arc<[u8]> {
    head.iter().chain(body).copied().collect()
}
