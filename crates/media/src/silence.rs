//! Silent frames, for sound that stays away.

use bytes::Bytes;

use crate::codec::AudioInfo;
use crate::frame::{Codec, Frame};

/// A silent frame that fits a track, and how long it is in microseconds. `None` where there is none: no
/// sample rate, more than two channels, or a codec that knows no such frame.
pub(crate) fn frame(config: &Frame) -> Option<(Bytes, i64)> {
    let info = AudioInfo::of(config.codec, &config.payload);
    // Other kinds of AAC (those of low delay) have another syntax.
    let is_common = matches!(info.mime.as_str(), "mp4a.40.2" | "mp4a.40.5" | "mp4a.40.29");
    let aac = |rate| i64::from(info.samples) * 1_000_000 / i64::from(rate);
    match (config.codec, info.channels, info.sample_rate) {
        (Codec::Aac, ..) if !is_common => None,
        // ISO/IEC 14496-3 §4.4.2.1: one channel element, gain and bands 0, then the end; and the same for a pair.
        (Codec::Aac, 1, rate @ 1..) => Some((Bytes::from_static(&[0, 0, 0, 7]), aac(rate))),
        (Codec::Aac, 2, rate @ 1..) => Some((Bytes::from_static(&[0x20, 0, 0, 0, 0, 0, 0x0e]), aac(rate))),
        // RFC 6716: 20 ms of CELT.
        (Codec::Opus, 1..=2, _) => Some((Bytes::from_static(&[0xf8, 0xff, 0xfe]), 20_000)),
        _ => None,
    }
}
