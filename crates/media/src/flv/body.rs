//! Bodies of FLV tags, which are the bodies of RTMP audio and video messages: taken apart into frames, and the few bytes
//! that stand before a frame's payload. Old form and Enhanced RTMP.

use bytes::Bytes;

use crate::frame::{Codec, Frame, Kind};

const ENHANCED: u8 = 0x80;
const AAC: u8 = 10;
const MP3: u8 = 2;
const ENHANCED_AUDIO: u8 = 9;
const AVC: u8 = 7;
/// Used by many for HEVC before Enhanced RTMP.
const HEVC: u8 = 12;

/// Why a body is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoFrame {
    /// Nothing to do: end of sequence, commands, empty bodies.
    Nothing,
    /// A codec that is not carried.
    Codec(u8),
    /// An enhanced codec that is not carried.
    FourCc([u8; 4]),
    /// Several tracks in one message.
    Multitrack,
    /// Cut short.
    Short,
}

impl std::fmt::Display for NoFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoFrame::Nothing => f.write_str("nothing"),
            NoFrame::Codec(id) => write!(f, "codec id {id} is not supported"),
            NoFrame::FourCc(id) => write!(f, "codec {:?} is not supported", String::from_utf8_lossy(id)),
            NoFrame::Multitrack => f.write_str("several tracks in one message are not supported"),
            NoFrame::Short => f.write_str("a media message is cut short"),
        }
    }
}

/// A video body at `dts` microseconds.
pub fn video(dts: i64, body: Bytes) -> Result<Frame, NoFrame> {
    let &first = body.first().ok_or(NoFrame::Nothing)?;
    if first & ENHANCED != 0 {
        return enhanced_video(dts, first, body);
    }
    let (frame_type, codec) = (first >> 4, first & 0x0f);
    if frame_type == 5 {
        return Err(NoFrame::Nothing);
    }
    let codec = match codec {
        AVC => Codec::H264,
        HEVC => Codec::H265,
        other => return Err(NoFrame::Codec(other)),
    };
    let head = body.get(1..5).ok_or(NoFrame::Short)?;
    let (packet, cts) = (head[0], signed24(&head[1..]));
    let payload = body.slice(5..);
    match packet {
        0 => config(codec, dts, payload),
        1 => access_unit(codec, dts, cts, frame_type == 1, payload),
        _ => Err(NoFrame::Nothing),
    }
}

fn enhanced_video(dts: i64, first: u8, body: Bytes) -> Result<Frame, NoFrame> {
    let (frame_type, packet) = (first >> 4 & 7, first & 0x0f);
    if packet == 6 {
        return Err(NoFrame::Multitrack);
    }
    if frame_type == 5 || packet > 3 {
        return Err(NoFrame::Nothing);
    }
    let four = four_cc(&body)?;
    let codec = match &four {
        b"avc1" => Codec::H264,
        b"hvc1" => Codec::H265,
        b"av01" => Codec::Av1,
        _ => return Err(NoFrame::FourCc(four)),
    };
    let key = frame_type == 1;
    match packet {
        0 => config(codec, dts, body.slice(5..)),
        1 if codec != Codec::Av1 => {
            let cts = signed24(body.get(5..8).ok_or(NoFrame::Short)?);
            access_unit(codec, dts, cts, key, body.slice(8..))
        }
        1 | 3 => access_unit(codec, dts, 0, key, body.slice(5..)),
        _ => Err(NoFrame::Nothing),
    }
}

/// An audio body at `dts` microseconds.
pub fn audio(dts: i64, body: Bytes) -> Result<Frame, NoFrame> {
    let &first = body.first().ok_or(NoFrame::Nothing)?;
    match first >> 4 {
        AAC => match body.get(1) {
            Some(0) => config(Codec::Aac, dts, body.slice(2..)),
            Some(1) => sound(Codec::Aac, dts, body.slice(2..)),
            _ => Err(NoFrame::Short),
        },
        MP3 => sound(Codec::Mp3, dts, body.slice(1..)),
        ENHANCED_AUDIO => {
            let packet = first & 0x0f;
            if packet == 5 {
                return Err(NoFrame::Multitrack);
            }
            let four = four_cc(&body)?;
            let codec = match &four {
                b"mp4a" => Codec::Aac,
                b"Opus" => Codec::Opus,
                b".mp3" => Codec::Mp3,
                _ => return Err(NoFrame::FourCc(four)),
            };
            match packet {
                0 if codec != Codec::Mp3 => config(codec, dts, body.slice(5..)),
                1 => sound(codec, dts, body.slice(5..)),
                _ => Err(NoFrame::Nothing),
            }
        }
        other => Err(NoFrame::Codec(other)),
    }
}

fn four_cc(body: &[u8]) -> Result<[u8; 4], NoFrame> {
    body.get(1..5).and_then(|b| b.try_into().ok()).ok_or(NoFrame::Short)
}

fn signed24(b: &[u8]) -> i32 {
    i32::from_be_bytes([b[0], b[1], b[2], 0]) >> 8
}

fn config(codec: Codec, dts: i64, payload: Bytes) -> Result<Frame, NoFrame> {
    if payload.is_empty() { Err(NoFrame::Nothing) } else { Ok(Frame::config(codec, dts, payload)) }
}

fn access_unit(codec: Codec, dts: i64, cts: i32, key: bool, payload: Bytes) -> Result<Frame, NoFrame> {
    if payload.is_empty() {
        return Err(NoFrame::Nothing);
    }
    Ok(Frame::video(codec, dts, cts.saturating_mul(1000), key, payload))
}

fn sound(codec: Codec, dts: i64, payload: Bytes) -> Result<Frame, NoFrame> {
    if payload.is_empty() { Err(NoFrame::Nothing) } else { Ok(Frame::audio(codec, dts, payload)) }
}

/// What stands before a frame's payload in its tag body: at most 8 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    bytes: [u8; 8],
    len: usize,
}

impl std::ops::Deref for Head {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Head {
    fn of(parts: &[&[u8]]) -> Head {
        let mut head = Head { bytes: [0; 8], len: 0 };
        for part in parts {
            head.bytes[head.len..head.len + part.len()].copy_from_slice(part);
            head.len += part.len();
        }
        head
    }
}

/// The head of a frame's tag body. H.264, AAC and MP3 take the old form that every player knows; H.265, AV1 and Opus the
/// enhanced one. Data messages have none.
pub fn head(frame: &Frame) -> Head {
    let config = frame.kind.is_config();
    let cts = (frame.cts / 1000).clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
    let video = if frame.key || config { 0x10 } else { 0x20 };
    match (frame.codec, config) {
        (Codec::H264, true) => Head::of(&[&[video | AVC, 0, 0, 0, 0]]),
        (Codec::H264, false) => Head::of(&[&[video | AVC, 1], &cts[1..]]),
        (Codec::H265, true) => Head::of(&[&[ENHANCED | video], b"hvc1"]),
        (Codec::H265, false) if frame.cts == 0 => Head::of(&[&[ENHANCED | video | 3], b"hvc1"]),
        (Codec::H265, false) => Head::of(&[&[ENHANCED | video | 1], b"hvc1", &cts[1..]]),
        (Codec::Av1, true) => Head::of(&[&[ENHANCED | video], b"av01"]),
        (Codec::Av1, false) => Head::of(&[&[ENHANCED | video | 1], b"av01"]),
        // 44 kHz, 16 bit, stereo: fixed for AAC, whatever it is; and what players ignore for MP3.
        (Codec::Aac, _) => Head::of(&[&[AAC << 4 | 0x0f, u8::from(frame.kind == Kind::Audio)]]),
        (Codec::Mp3, _) => Head::of(&[&[MP3 << 4 | 0x0f]]),
        (Codec::Opus, _) => Head::of(&[&[ENHANCED_AUDIO << 4 | u8::from(!config)], b"Opus"]),
        (Codec::Amf0, _) => Head::of(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(frame: &Frame) -> Bytes {
        [&*head(frame), &frame.payload[..]].concat().into()
    }

    #[test]
    fn every_codec_survives_the_way_out_and_in() {
        let payload = || Bytes::from_static(b"payload");
        for codec in [Codec::H264, Codec::H265, Codec::Av1] {
            for cts in if codec == Codec::Av1 { &[0][..] } else { &[0, 80_000, -40_000] } {
                for key in [true, false] {
                    let frame = Frame::video(codec, 5000, *cts, key, payload());
                    let back = video(5000, whole(&frame)).unwrap();
                    assert_eq!(format!("{back:?}"), format!("{frame:?}"));
                }
            }
            let config = Frame::config(codec, 0, payload());
            assert_eq!(format!("{:?}", video(0, whole(&config)).unwrap()), format!("{config:?}"));
        }
        for codec in [Codec::Aac, Codec::Opus] {
            let config = Frame::config(codec, 0, payload());
            assert_eq!(format!("{:?}", audio(0, whole(&config)).unwrap()), format!("{config:?}"));
        }
        for codec in [Codec::Aac, Codec::Opus, Codec::Mp3] {
            let frame = Frame::audio(codec, 7000, payload());
            let back = audio(7000, whole(&frame)).unwrap();
            assert_eq!(format!("{back:?}"), format!("{frame:?}"));
            assert_eq!(back.payload, frame.payload);
        }
    }

    #[test]
    fn old_hevc_and_enhanced_avc_are_taken() {
        let old = video(0, Bytes::from_static(b"\x1c\x01\0\0\x28x")).unwrap();
        assert_eq!((old.codec, old.key, old.cts), (Codec::H265, true, 40_000));
        let new = video(0, Bytes::from_static(b"\xa1avc1\xff\xff\xd8x")).unwrap();
        assert_eq!((new.codec, new.key, new.cts), (Codec::H264, false, -40_000));
    }

    #[test]
    fn what_is_no_frame_says_why() {
        assert_eq!(video(0, Bytes::new()).unwrap_err(), NoFrame::Nothing);
        assert_eq!(video(0, Bytes::from_static(b"\x17\x02\0\0\0")).unwrap_err(), NoFrame::Nothing);
        assert_eq!(video(0, Bytes::from_static(b"\x17\x01")).unwrap_err(), NoFrame::Short);
        assert_eq!(video(0, Bytes::from_static(b"\x12\0\0\0")).unwrap_err(), NoFrame::Codec(2));
        assert_eq!(video(0, Bytes::from_static(b"\x91vp09x")).unwrap_err(), NoFrame::FourCc(*b"vp09"));
        assert_eq!(audio(0, Bytes::from_static(b"\xb2x")).unwrap_err(), NoFrame::Codec(11));
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(body in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = video(0, body.clone().into());
            let _ = audio(0, body.into());
        }
    }
}
