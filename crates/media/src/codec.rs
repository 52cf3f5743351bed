//! What codec configurations say: size, profile, sample rate. Bytes come from outside: whatever they hold, the answer is
//! "unknown", never a panic.

pub(crate) mod av1;
mod bits;
pub(crate) mod hevc;
pub(crate) mod once_more;
#[cfg(test)]
mod tests;
pub(crate) mod units;
pub(crate) mod vpx;

use crate::frame::Codec;
use bits::Bits;

/// A video track, as far as its configuration tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoInfo {
    /// The codec.
    pub codec: Codec,
    /// Width in pixels after cropping; 0 when unknown.
    pub width: u32,
    /// Height in pixels after cropping; 0 when unknown.
    pub height: u32,
    /// Profile number of the codec (H.264 `profile_idc`, H.265 `general_profile_idc`, AV1 `seq_profile`).
    pub profile: u8,
    /// Level number of the codec, in its own units (H.264 31 = 3.1, H.265 93 = 3.1).
    pub level: u8,
    /// The codec as in MIME types (RFC 6381): `avc1.64001f`. Empty when the configuration is cut short.
    pub mime: String,
}

/// An audio track, as far as its configuration tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioInfo {
    /// The codec.
    pub codec: Codec,
    /// Samples a second; 0 when unknown. 48,000 for Opus always.
    pub sample_rate: u32,
    /// Channels; 0 when unknown.
    pub channels: u8,
    /// The codec as in MIME types: `mp4a.40.2`. Empty when the configuration is cut short.
    pub mime: String,
    /// Samples of one frame of AAC, at `sample_rate`; 0 where frames differ or nothing tells.
    pub samples: u32,
}

impl VideoInfo {
    /// Reads avcC, hvcC, av1C or what `vpx` writes.
    pub fn of(codec: Codec, config: &[u8]) -> Self {
        let unknown = VideoInfo { codec, width: 0, height: 0, profile: 0, level: 0, mime: String::new() };
        let read = match codec {
            Codec::H264 => avcc(config),
            Codec::H265 => hvcc(config),
            Codec::Av1 => av1c(config),
            Codec::Vp8 | Codec::Vp9 => vpx::info(codec, config),
            _ => None,
        };
        read.unwrap_or(unknown)
    }
}

impl AudioInfo {
    /// Reads an AudioSpecificConfig or OpusHead; of a codec without configuration, its first frame.
    pub fn of(codec: Codec, config: &[u8]) -> Self {
        let unknown = AudioInfo { codec, sample_rate: 0, channels: 0, mime: String::new(), samples: 0 };
        match codec {
            Codec::Aac => asc(config).unwrap_or(unknown),
            Codec::Opus => {
                let channels = config.get(9).copied().unwrap_or(0);
                AudioInfo { sample_rate: 48_000, channels, mime: "opus".into(), ..unknown }
            }
            // G.711 is 8,000 samples a second in FLV, whatever its byte says.
            Codec::Pcma | Codec::Pcmu => {
                let channels = config.first().map_or(1, |byte| 1 + (byte & 1));
                AudioInfo { sample_rate: 8_000, channels, ..unknown }
            }
            Codec::Mp3 => {
                let (sample_rate, channels) = mp3_header(config).unwrap_or((0, 0));
                AudioInfo { sample_rate, channels, mime: "mp4a.6b".into(), ..unknown }
            }
            _ => unknown,
        }
    }
}

fn avcc(config: &[u8]) -> Option<VideoInfo> {
    let &[_, profile, compat, level, ..] = config else {
        return None;
    };
    let mime = format!("avc1.{profile:02x}{compat:02x}{level:02x}");
    let (width, height) = avcc_sps(config).and_then(h264_size).unwrap_or((0, 0));
    Some(VideoInfo { codec: Codec::H264, width, height, profile, level, mime })
}

/// The first sequence parameter set of avcC.
fn avcc_sps(config: &[u8]) -> Option<&[u8]> {
    config.get(5).filter(|sets| *sets & 0x1f > 0).and_then(|_| sized(config.get(6..)?))
}

/// The bytes after a 16-bit length.
fn sized(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*len)))
}

/// A sequence parameter set up to what is cropped: colours, how pictures are counted, how large they are (ITU-T H.264 §7.3.2.1.1).
struct Sps {
    chroma: u32,
    separate: u32,
    /// Bits of `frame_num`.
    frame: u32,
    /// Bits of `pic_order_cnt_lsb`; `None` where the order is counted in another way.
    order: Option<u32>,
    /// `pic_order_cnt_type`.
    way: u32,
    /// Macroblocks.
    wide: u32,
    /// Macroblocks, or pairs of them where pictures may be fields.
    high: u32,
    /// `frame_mbs_only_flag`.
    frame_only: u32,
}

fn h264_sps(b: &mut Bits<'_>) -> Option<Sps> {
    let profile = b.u(8)?;
    b.skip(16)?;
    b.ue()?;
    let mut chroma = 1;
    let mut separate = 0;
    if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile) {
        chroma = b.ue()?;
        if chroma == 3 {
            separate = b.u(1)?;
        }
        b.ue()?;
        b.ue()?;
        b.skip(1)?;
        if b.u(1)? == 1 {
            skip_scaling_lists(b, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    let frame = b.ue()?.checked_add(4)?;
    let way = b.ue()?;
    let mut order = None;
    match way {
        0 => order = Some(b.ue()?.checked_add(4)?),
        1 => {
            b.skip(1)?;
            b.se()?;
            b.se()?;
            for _ in 0..b.ue()?.min(255) {
                b.se()?;
            }
        }
        _ => {}
    }
    b.ue()?;
    b.skip(1)?;
    let wide = b.ue()?.checked_add(1)?;
    let high = b.ue()?.checked_add(1)?;
    let frame_only = b.u(1)?;
    Some(Sps { chroma, separate, frame, order, way, wide, high, frame_only })
}

/// Picture size of a sequence parameter set, ITU-T H.264 §7.3.2.1.1.
fn h264_size(sps: &[u8]) -> Option<(u32, u32)> {
    let rbsp = bits::unescape(sps.get(1..)?);
    let mut b = Bits::new(&rbsp);
    let Sps { chroma, separate, wide, high, frame_only, .. } = h264_sps(&mut b)?;
    let width = wide.checked_mul(16)?;
    if frame_only == 0 {
        b.skip(1)?;
    }
    b.skip(1)?;
    let height = high.checked_mul(16 * (2 - frame_only))?;
    let mut crop_x = 0u32;
    let mut crop_y = 0u32;
    if b.u(1)? == 1 {
        crop_x = b.ue()?.checked_add(b.ue()?)?;
        crop_y = b.ue()?.checked_add(b.ue()?)?;
    }
    let (sub_x, sub_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let (sub_x, sub_y) = if separate == 1 { (1, 1) } else { (sub_x, sub_y) };
    let width = width.checked_sub(crop_x.checked_mul(sub_x)?)?;
    let height = height.checked_sub(crop_y.checked_mul(sub_y * (2 - frame_only))?)?;
    plausible(width, height)
}

fn skip_scaling_lists(b: &mut Bits<'_>, count: usize) -> Option<()> {
    for list in 0..count {
        if b.u(1)? == 1 {
            skip_scaling_list(b, if list < 6 { 16 } else { 64 })?;
        }
    }
    Some(())
}

fn skip_scaling_list(b: &mut Bits<'_>, size: u32) -> Option<()> {
    let mut last = 8i64;
    let mut next = 8i64;
    for _ in 0..size {
        if next != 0 {
            next = (last + i64::from(b.se()?)).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn plausible(width: u32, height: u32) -> Option<(u32, u32)> {
    ((1..=32_768).contains(&width) && (1..=32_768).contains(&height)).then_some((width, height))
}

/// ISO/IEC 14496-15 §8.3.2.1.
fn hvcc(config: &[u8]) -> Option<VideoInfo> {
    let head = config.get(..23)?;
    let profile = head[1] & 0x1f;
    let level = head[12];
    let tier = if head[1] & 0x20 == 0 { 'L' } else { 'H' };
    let space = ["", "A", "B", "C"][usize::from(head[1] >> 6)];
    let compat = u32::from_be_bytes([head[2], head[3], head[4], head[5]]).reverse_bits();
    let mut mime = format!("hvc1.{space}{profile}.{compat:x}.{tier}{level}");
    let constraints = &head[6..12];
    let used = constraints.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
    for b in &constraints[..used] {
        mime.push_str(&format!(".{b:x}"));
    }
    let (width, height) = hvcc_sps(config).and_then(h265_size).unwrap_or((0, 0));
    Some(VideoInfo { codec: Codec::H265, width, height, profile, level, mime })
}

fn hvcc_sps(config: &[u8]) -> Option<&[u8]> {
    let mut rest = config.get(23..)?;
    for _ in 0..*config.get(22)? {
        let (head, after) = rest.split_first_chunk::<3>()?;
        rest = after;
        for _ in 0..u16::from_be_bytes([head[1], head[2]]) {
            let unit = sized(rest)?;
            if head[0] & 0x3f == 33 {
                return Some(unit);
            }
            rest = rest.get(unit.len() + 2..)?;
        }
    }
    None
}

/// Picture size of a sequence parameter set, ITU-T H.265 §7.3.2.2.1.
fn h265_size(sps: &[u8]) -> Option<(u32, u32)> {
    let rbsp = bits::unescape(sps.get(2..)?);
    let mut b = Bits::new(&rbsp);
    b.skip(4)?;
    let sub_layers = b.u(3)?;
    b.skip(1)?;
    b.skip(88 + 8)?;
    let mut present = [(0, 0); 8];
    for p in present.iter_mut().take(sub_layers as usize) {
        *p = (b.u(1)?, b.u(1)?);
    }
    if sub_layers > 0 {
        b.skip(2 * (8 - sub_layers))?;
    }
    for (profile, level) in present.iter().take(sub_layers as usize) {
        b.skip(88 * profile + 8 * level)?;
    }
    b.ue()?;
    let chroma = b.ue()?;
    let separate = if chroma == 3 { b.u(1)? } else { 0 };
    let mut width = b.ue()?;
    let mut height = b.ue()?;
    if b.u(1)? == 1 {
        let (sub_x, sub_y) = match chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let (sub_x, sub_y) = if separate == 1 { (1, 1) } else { (sub_x, sub_y) };
        let crop_x = b.ue()?.checked_add(b.ue()?)?.checked_mul(sub_x)?;
        let crop_y = b.ue()?.checked_add(b.ue()?)?.checked_mul(sub_y)?;
        width = width.checked_sub(crop_x)?;
        height = height.checked_sub(crop_y)?;
    }
    plausible(width, height)
}

/// AV1-ISOBMFF §2.3, with the size from the sequence header OBU it carries (AV1 §5.5.1).
fn av1c(config: &[u8]) -> Option<VideoInfo> {
    let &[_, second, third, _, ..] = config else {
        return None;
    };
    let profile = second >> 5;
    let level = second & 0x1f;
    let tier = if third & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match (third & 0x40 != 0, third & 0x20 != 0) {
        (false, _) => 8,
        (true, twelve) => 10 + 2 * u8::from(twelve && profile == 2),
    };
    let mime = format!("av01.{profile}.{level:02}{tier}.{depth:02}");
    let (width, height) = config.get(4..).and_then(av1::sequence).map_or((0, 0), |s| s.size);
    Some(VideoInfo { codec: Codec::Av1, width, height, profile, level, mime })
}

/// Rate and channels that an MPEG audio frame names, ISO/IEC 11172-3 §2.4.1.3 (lower rates: 13818-3 and the "2.5" of MP3).
fn mp3_header(frame: &[u8]) -> Option<(u32, u8)> {
    let &[0xff, second, third, fourth, ..] = frame else { return None };
    let rate = [44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))?;
    let divided = match second >> 3 & 3 {
        3 => 1,
        2 => 2,
        0 => 4,
        _ => return None,
    };
    (second & 0xe0 == 0xe0).then_some((rate / divided, if fourth >> 6 == 3 { 1 } else { 2 }))
}

/// `GetAudioObjectType` of ISO/IEC 14496-3 §1.6.2.1.
fn audio_object(b: &mut Bits<'_>) -> Option<u32> {
    match b.u(5)? {
        31 => Some(32 + b.u(6)?),
        object => Some(object),
    }
}

/// ISO/IEC 14496-3 §1.6.2.1.
fn asc(config: &[u8]) -> Option<AudioInfo> {
    const RATES: [u32; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
    let mut b = Bits::new(config);
    let object = audio_object(&mut b)?;
    let mut rate = || -> Option<u32> {
        match b.u(4)? {
            15 => b.u(24),
            index => RATES.get(index as usize).copied(),
        }
    };
    let mut sample_rate = rate()?;
    let layout = b.u(4)?;
    let mut core = object;
    if object == 5 || object == 29 {
        // Spectral band replication: the rate that comes out stands second.
        sample_rate = match b.u(4)? {
            15 => b.u(24)?,
            index => RATES.get(index as usize).copied()?,
        };
        core = audio_object(&mut b).unwrap_or(2);
    }
    // The first bit of GASpecificConfig (§4.4.1) and of ELDSpecificConfig (§4.6.20.3) says that frames are shorter.
    let short = b.u(1) == Some(1);
    let samples = match (core, short) {
        (23 | 39, false) => 512,
        (23 | 39, true) => 480,
        (_, false) => 1024,
        (_, true) => 960,
    };
    // With spectral band replication a frame has twice the samples at the rate that comes out.
    let samples = if core == object { samples } else { 2 * samples };
    let channels = match layout {
        1..=6 => layout as u8,
        7 => 8,
        _ => 0,
    };
    Some(AudioInfo { codec: Codec::Aac, sample_rate, channels, mime: format!("mp4a.40.{object}"), samples })
}
