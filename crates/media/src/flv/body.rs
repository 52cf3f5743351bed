//! Bodies of FLV tags, which are the bodies of RTMP audio and video messages: taken apart into frames, and the few bytes
//! that stand before a frame's payload. Old form and Enhanced RTMP.

use bytes::Bytes;

use crate::codec::vpx;
use crate::frame::{Codec, Frame, Kind, MOST_TRACKS};

const ENHANCED: u8 = 0x80;
const AAC: u8 = 10;
const MP3: u8 = 2;
const MP3_8K: u8 = 14;
const ENHANCED_AUDIO: u8 = 9;
const AVC: u8 = 7;
/// Used by many for HEVC before Enhanced RTMP.
pub(crate) const HEVC: u8 = 12;
/// Packet types of Enhanced RTMP: several tracks of video, of audio; something put before either.
const VIDEO_TRACKS: u8 = 6;
const AUDIO_TRACKS: u8 = 5;
const EXTENSION: u8 = 7;
/// Kinds of messages of several tracks: only one after all; each of its own codec.
const ONE_TRACK: u8 = 0;
const MANY_CODECS: u8 = 2;

/// Sound as Enhanced RTMP names it.
const FOURCCS: [(&[u8; 4], Codec); 6] = [
    (b"mp4a", Codec::Aac),
    (b"Opus", Codec::Opus),
    (b".mp3", Codec::Mp3),
    (b"ac-3", Codec::Ac3),
    (b"ec-3", Codec::Eac3),
    (b"fLaC", Codec::Flac),
];

/// Why a body is no frame. The stream goes on without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoFrame {
    /// Nothing to do: end of sequence, commands, empty bodies.
    Nothing,
    /// Video of a codec that is not carried.
    Video(Unknown),
    /// Audio of a codec that is not carried.
    Audio(Unknown),
    /// A track that is not carried, by its number: of pictures another than the first one.
    Track(u8),
    /// Likewise one of sound.
    SoundTrack(u8),
    /// Cut short.
    Short,
}

/// How a message names a codec that is not carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// By the number of the old form.
    Id(u8),
    /// By the four characters of Enhanced RTMP.
    FourCc([u8; 4]),
}

impl std::fmt::Display for NoFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoFrame::Nothing => f.write_str("nothing"),
            NoFrame::Video(Unknown::Id(id)) => {
                let name = match id {
                    2 => "Sorenson H.263",
                    3 | 6 => "Screen Video",
                    4 | 5 => "VP6",
                    _ => return write!(f, "video of codec id {id} is not supported"),
                };
                write!(f, "video in {name} (codec id {id}) is not supported")
            }
            NoFrame::Video(Unknown::FourCc(four)) => {
                write!(f, "video in {:?} is not supported", String::from_utf8_lossy(four))
            }
            NoFrame::Audio(Unknown::Id(id)) => write!(f, "audio of codec id {id} is not supported"),
            NoFrame::Audio(Unknown::FourCc(four)) => {
                write!(f, "audio in {:?} is not supported", String::from_utf8_lossy(four))
            }
            NoFrame::Track(id) => write!(f, "track {id} is not carried: track 0 is the stream"),
            NoFrame::SoundTrack(id) => {
                write!(f, "track {id} of sound is not carried: tracks 0 to {} are", MOST_TRACKS - 1)
            }
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
    let frame_type = first >> 4;
    let codec = first & 0x0f;
    if frame_type == 5 {
        return Err(NoFrame::Nothing);
    }
    let codec = match codec {
        AVC => Codec::H264,
        HEVC => Codec::H265,
        other => return Err(NoFrame::Video(Unknown::Id(other))),
    };
    // The end of a sequence, which some cut to these two bytes.
    let packet = *body.get(1).ok_or(NoFrame::Short)?;
    if packet > 1 {
        return Err(NoFrame::Nothing);
    }
    let cts = signed24(body.get(2..5).ok_or(NoFrame::Short)?);
    let payload = body.slice(5..);
    match packet {
        0 => config(codec, dts, payload),
        _ => access_unit(codec, dts, cts, frame_type == 1, payload),
    }
}

fn enhanced_video(dts: i64, first: u8, body: Bytes) -> Result<Frame, NoFrame> {
    let frame_type = first >> 4 & 7;
    let packet = first & 0x0f;
    if frame_type == 5 {
        return Err(NoFrame::Nothing);
    }
    let Enhanced { packet, tracks, several } = enhanced(packet, VIDEO_TRACKS, &body)?;
    let first = tracks.into_iter().find(|track| track.id == 0);
    let Some(Track { four, data, .. }) = first else { return Err(NoFrame::Track(several)) };
    if packet > 3 {
        return Err(NoFrame::Nothing);
    }
    let codec = match &four {
        b"avc1" => Codec::H264,
        b"hvc1" => Codec::H265,
        b"av01" => Codec::Av1,
        b"vp08" => Codec::Vp8,
        b"vp09" => Codec::Vp9,
        _ => return Err(NoFrame::Video(Unknown::FourCc(four))),
    };
    let key = frame_type == 1;
    match packet {
        0 => config(codec, dts, data),
        1 if matches!(codec, Codec::H264 | Codec::H265) => {
            let cts = signed24(data.get(..3).ok_or(NoFrame::Short)?);
            access_unit(codec, dts, cts, key, data.slice(3..))
        }
        1 | 3 => access_unit(codec, dts, 0, key, data),
        _ => Err(NoFrame::Nothing),
    }
}

/// A message of Enhanced RTMP without its extensions.
struct Enhanced {
    packet: u8,
    tracks: Tracks,
    /// The number of the last track beside the first; 0 if there is none.
    several: u8,
}

/// One track's part of a message.
struct Track {
    id: u8,
    four: [u8; 4],
    data: Bytes,
}

/// The tracks of a message: nearly always one, and never none.
enum Tracks {
    One(Track),
    Many(Vec<Track>),
}

impl IntoIterator for Tracks {
    type Item = Track;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Track>, std::vec::IntoIter<Track>>;
    fn into_iter(self) -> Self::IntoIter {
        match self {
            Tracks::One(track) => Some(track).into_iter().chain(Vec::new()),
            Tracks::Many(tracks) => None.into_iter().chain(tracks),
        }
    }
}

/// Takes a message apart whose first byte says `packet`; `tracks` is the packet type of several tracks. Enhanced RTMP v2,
/// "Enhanced Audio" and "Enhanced Video".
fn enhanced(mut packet: u8, tracks: u8, body: &Bytes) -> Result<Enhanced, NoFrame> {
    let mut rest = body.slice(1..);
    while packet == EXTENSION {
        let mut length = 1 + usize::from(take::<1>(&mut rest)?[0]);
        if length == 256 {
            length = 1 + usize::from(u16::from_be_bytes(take(&mut rest)?));
        }
        // What is extended (nanoseconds of the timestamp, so far) is of no use here.
        split(&mut rest, length)?;
        packet = take::<1>(&mut rest)?[0] & 0x0f;
    }
    if packet != tracks {
        // Packets without a codec of their own: the metadata of colours, the end of a sequence.
        let four = take(&mut rest)?;
        return Ok(Enhanced { packet, tracks: Tracks::One(Track { id: 0, four, data: rest }), several: 0 });
    }
    let [kind] = take(&mut rest)?;
    let many = kind >> 4;
    let packet = kind & 0x0f;
    if many == ONE_TRACK {
        let four = take(&mut rest)?;
        let [id] = take(&mut rest)?;
        return Ok(Enhanced { packet, tracks: Tracks::One(Track { id, four, data: rest }), several: id });
    }
    let shared = if many == MANY_CODECS { None } else { Some(take(&mut rest)?) };
    let mut found = Vec::new();
    let mut several = 0;
    while !rest.is_empty() {
        let four = match shared {
            Some(four) => four,
            None => take(&mut rest)?,
        };
        let [id, a, b, c] = take(&mut rest)?;
        let data = split(&mut rest, u32::from_be_bytes([0, a, b, c]) as usize)?;
        several = if id == 0 { several } else { id };
        // A message has each track once, and so not more of them than there are numbers.
        if found.iter().any(|track: &Track| track.id == id) {
            return Err(NoFrame::Short);
        }
        found.push(Track { id, four, data });
    }
    if found.is_empty() { Err(NoFrame::Short) } else { Ok(Enhanced { packet, tracks: Tracks::Many(found), several }) }
}

fn split(rest: &mut Bytes, length: usize) -> Result<Bytes, NoFrame> {
    if rest.len() < length { Err(NoFrame::Short) } else { Ok(rest.split_to(length)) }
}

fn take<const N: usize>(rest: &mut Bytes) -> Result<[u8; N], NoFrame> {
    let taken = rest.first_chunk::<N>().copied().ok_or(NoFrame::Short)?;
    *rest = rest.slice(N..);
    Ok(taken)
}

/// The number of a track of pictures that a video body holds beside the first one, which alone is made a frame.
pub fn other_pictures(body: &Bytes) -> Option<u8> {
    let several = of_several(body, |first| first & ENHANCED != 0, VIDEO_TRACKS)?;
    (several.several > 0).then_some(several.several)
}

/// What an audio body holds beside the track that [`audio`] makes a frame of.
pub fn other_sounds(dts: i64, body: &Bytes) -> Vec<Result<Frame, NoFrame>> {
    let several = of_several(body, |first| first >> 4 == ENHANCED_AUDIO, AUDIO_TRACKS);
    let Some(Enhanced { packet, tracks: Tracks::Many(tracks), .. }) = several else { return Vec::new() };
    tracks.into_iter().skip(1).map(|track| track.sound(packet, dts)).collect()
}

/// A message that may be of several tracks, taken apart. Nearly all are not, and are told by their first byte.
fn of_several(body: &Bytes, is_enhanced: fn(u8) -> bool, tracks: u8) -> Option<Enhanced> {
    let &first = body.first()?;
    let may_be = is_enhanced(first) && [tracks, EXTENSION].contains(&(first & 0x0f));
    may_be.then(|| enhanced(first & 0x0f, tracks, body).ok()).flatten()
}

impl Track {
    /// A track's part of an audio message.
    fn sound(self, packet: u8, dts: i64) -> Result<Frame, NoFrame> {
        let Track { id, four, data } = self;
        if id >= MOST_TRACKS {
            return Err(NoFrame::SoundTrack(id));
        }
        let known = FOURCCS.iter().find(|(name, _)| **name == four).map(|(_, codec)| *codec);
        let codec = known.ok_or(NoFrame::Audio(Unknown::FourCc(four)))?;
        let frame = match packet {
            0 if codec.is_configured() => config(codec, dts, data),
            1 => sound(codec, dts, data),
            _ => Err(NoFrame::Nothing),
        };
        frame.map(|frame| frame.of_track(id))
    }
}

/// An audio body at `dts` microseconds; of several tracks the one that comes first, see [`other_sounds`].
pub fn audio(dts: i64, body: Bytes) -> Result<Frame, NoFrame> {
    let &first = body.first().ok_or(NoFrame::Nothing)?;
    match first >> 4 {
        AAC => match body.get(1) {
            Some(0) => config(Codec::Aac, dts, body.slice(2..)),
            Some(1) => sound(Codec::Aac, dts, body.slice(2..)),
            Some(_) => Err(NoFrame::Nothing),
            None => Err(NoFrame::Short),
        },
        MP3 | MP3_8K => sound(Codec::Mp3, dts, body.slice(1..)),
        ENHANCED_AUDIO => {
            let Enhanced { packet, tracks, .. } = enhanced(first & 0x0f, AUDIO_TRACKS, &body)?;
            tracks.into_iter().next().ok_or(NoFrame::Short)?.sound(packet, dts)
        }
        id => {
            let codec = match id {
                0 | 3 => Codec::Pcm,
                1 => Codec::Adpcm,
                4..=6 => Codec::Nellymoser,
                7 => Codec::Pcma,
                8 => Codec::Pcmu,
                11 => Codec::Speex,
                _ => return Err(NoFrame::Audio(Unknown::Id(id))),
            };
            // The first byte, which tells rate and channels, stays with these.
            if body.len() == 1 { Err(NoFrame::Nothing) } else { Ok(Frame::audio(codec, dts, body)) }
        }
    }
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

/// How Enhanced RTMP names sound.
fn fourcc(codec: Codec) -> Option<&'static [u8; 4]> {
    FOURCCS.iter().find(|(_, sound)| *sound == codec).map(|(four, _)| *four)
}

/// The head of a frame's tag body. H.264, AAC and MP3 take the old form that every player knows; other codecs that it has
/// no number for the enhanced one. Data messages have none.
pub fn head(frame: &Frame) -> Head {
    if let Some(four) = fourcc(frame.codec).filter(|_| frame.is_further()) {
        let packet = ONE_TRACK << 4 | u8::from(!frame.kind.is_config());
        return Head::of(&[&[ENHANCED_AUDIO << 4 | AUDIO_TRACKS, packet], four, &[frame.track]]);
    }
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
        (Codec::Vp8, _) => Head::of(&[&[ENHANCED | video | u8::from(!config)], b"vp08"]),
        (Codec::Vp9, _) => Head::of(&[&[ENHANCED | video | u8::from(!config)], b"vp09"]),
        // 44 kHz, 16 bit, stereo: fixed for AAC, whatever it is; and what players ignore for MP3.
        (Codec::Aac, _) => Head::of(&[&[AAC << 4 | 0x0f, u8::from(frame.kind == Kind::Audio)]]),
        (Codec::Mp3, _) => Head::of(&[&[MP3 << 4 | 0x0f]]),
        (codec @ (Codec::Opus | Codec::Ac3 | Codec::Eac3 | Codec::Flac), config) => {
            let four = fourcc(codec).map_or(&[][..], |four| &four[..]);
            Head::of(&[&[ENHANCED_AUDIO << 4 | u8::from(!config)], four])
        }
        // Their payload is the whole body.
        (Codec::Pcma | Codec::Pcmu | Codec::Pcm | Codec::Speex | Codec::Nellymoser | Codec::Adpcm, _) => Head::of(&[]),
        (Codec::Amf0, _) => Head::of(&[]),
    }
}

fn old_head(frame: &Frame) -> Head {
    if frame.codec != Codec::H265 {
        return head(frame);
    }
    let config = frame.kind.is_config();
    let cts = (frame.cts / 1000).clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
    let video = if frame.key || config { 0x10 } else { 0x20 };
    if config { Head::of(&[&[video | HEVC, 0, 0, 0, 0]]) } else { Head::of(&[&[video | HEVC, 1], &cts[1..]]) }
}

/// How heads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// As [`head`] has it.
    #[default]
    Enhanced,
    /// The same, but HEVC by its old number: some players know no other, and ask for it.
    OldHevc,
}

impl Form {
    /// The head of a frame's tag body.
    pub fn head(self, frame: &Frame) -> Head {
        match self {
            Form::Enhanced => head(frame),
            Form::OldHevc => old_head(frame),
        }
    }
}

/// What follows a frame's head in the tag body.
pub fn payload(frame: &Frame) -> &[u8] {
    match frame.codec {
        Codec::Vp8 | Codec::Vp9 if frame.kind.is_config() => vpx::record(&frame.payload),
        _ => &frame.payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::SOUNDS;
    use proptest::prelude::*;

    fn whole(frame: &Frame) -> Bytes {
        [&*head(frame), payload(frame)].concat().into()
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
        for codec in [Codec::Aac, Codec::Opus, Codec::Flac] {
            let config = Frame::config(codec, 0, payload());
            assert_eq!(format!("{:?}", audio(0, whole(&config)).unwrap()), format!("{config:?}"));
        }
        for codec in [Codec::Aac, Codec::Opus, Codec::Mp3, Codec::Ac3, Codec::Eac3, Codec::Flac] {
            let frame = Frame::audio(codec, 7000, payload());
            let back = audio(7000, whole(&frame)).unwrap();
            assert_eq!(format!("{back:?}"), format!("{frame:?}"));
            assert_eq!(back.payload, frame.payload);
        }
    }

    #[test]
    fn every_codec_of_sound_has_a_place_and_a_way_back() {
        let sounds = Codec::ALL.into_iter().filter(|codec| !codec.is_video() && *codec != Codec::Amf0);
        for codec in sounds {
            assert_eq!(SOUNDS.iter().filter(|sound| **sound == codec).count(), 1, "{codec:?}");
            let frame = Frame::audio(codec, 0, Bytes::from_static(b"payload"));
            let is_back = |body: Bytes| audio(0, body).is_ok_and(|back| back.codec == codec);
            // Where the payload is the whole body, its first byte tells.
            let old = |first: u8| is_back(Bytes::copy_from_slice(&[first, 0, 0, 0]));
            let found = if head(&frame).is_empty() { (0..=u8::MAX).any(old) } else { is_back(whole(&frame)) };
            assert!(found, "{codec:?}");
        }
    }

    #[test]
    fn sound_of_the_old_form_stays_as_it_came() {
        let cases = [
            (0x72, Codec::Pcma),
            (0x83, Codec::Pcmu),
            (0x3f, Codec::Pcm),
            (0x0f, Codec::Pcm),
            (0xb2, Codec::Speex),
            (0x4a, Codec::Nellymoser),
            (0x5a, Codec::Nellymoser),
            (0x6a, Codec::Nellymoser),
            (0x1e, Codec::Adpcm),
        ];
        for (first, codec) in cases {
            let body = Bytes::from(vec![first, 1, 2, 3]);
            let frame = audio(0, body.clone()).unwrap();
            assert_eq!((frame.kind, frame.codec), (Kind::Audio, codec));
            assert_eq!(whole(&frame), body, "{codec:?}");
            assert_eq!(audio(0, body.slice(..1)).unwrap_err(), NoFrame::Nothing);
        }
        assert_eq!(audio(0, Bytes::from_static(b"\xe2\xff")).unwrap().codec, Codec::Mp3);
    }

    #[test]
    fn further_tracks_survive_the_way_out_and_in() {
        for codec in [Codec::Aac, Codec::Opus, Codec::Mp3, Codec::Ac3, Codec::Eac3, Codec::Flac] {
            let sound = Frame::audio(codec, 5000, Bytes::from_static(b"payload")).of_track(3);
            let config = Frame::config(codec, 5000, Bytes::from_static(b"payload")).of_track(1);
            let configured = codec.is_configured().then_some(config);
            for frame in [Some(sound), configured].into_iter().flatten() {
                assert_eq!(format!("{:?}", audio(5000, whole(&frame)).unwrap()), format!("{frame:?}"));
            }
        }
    }

    #[test]
    fn hevc_is_given_by_its_old_number_to_who_asks_for_that() {
        let config = Frame::config(Codec::H265, 0, Bytes::from_static(b"hvcc"));
        let picture = Frame::video(Codec::H265, 5000, -40_000, true, Bytes::from_static(b"nal"));
        let delta = Frame::video(Codec::H265, 5000, 0, false, Bytes::from_static(b"nal"));
        assert_eq!(&*Form::OldHevc.head(&config), [0x1c, 0, 0, 0, 0]);
        assert_eq!(&*Form::OldHevc.head(&picture), [0x1c, 1, 0xff, 0xff, 0xd8]);
        assert_eq!(&*Form::OldHevc.head(&delta), [0x2c, 1, 0, 0, 0]);
        for frame in [config, picture, delta] {
            let back = video(frame.dts, [&*Form::OldHevc.head(&frame), payload(&frame)].concat().into()).unwrap();
            assert_eq!(format!("{back:?}"), format!("{frame:?}"));
        }
        let other = Frame::audio(Codec::Aac, 0, Bytes::from_static(b"aac"));
        assert_eq!(*Form::OldHevc.head(&other), *head(&other));
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
        assert_eq!(video(0, Bytes::from_static(b"\x17\x02")).unwrap_err(), NoFrame::Nothing);
        assert_eq!(video(0, Bytes::from_static(b"\x17\x01")).unwrap_err(), NoFrame::Short);
        assert_eq!(audio(0, Bytes::from_static(b"\xaf\x02x")).unwrap_err(), NoFrame::Nothing);
        assert_eq!(audio(0, Bytes::from_static(b"\xaf")).unwrap_err(), NoFrame::Short);
        assert_eq!(video(0, Bytes::from_static(b"\x12\0\0\0")).unwrap_err(), NoFrame::Video(Unknown::Id(2)));
        assert_eq!(video(0, Bytes::from_static(b"\x91vvc1x")).unwrap_err(), NoFrame::Video(Unknown::FourCc(*b"vvc1")));
        assert_eq!(audio(0, Bytes::from_static(b"\xd2x")).unwrap_err(), NoFrame::Audio(Unknown::Id(13)));
    }

    #[test]
    fn tracks_of_one_message_are_told_apart() {
        type Told = Result<(Kind, Codec, u8, Bytes), NoFrame>;
        let told = |frame: Result<Frame, NoFrame>| -> Told { frame.map(|f| (f.kind, f.codec, f.track, f.payload)) };
        let x = || Bytes::from_static(b"x");
        let pictures = |body: &'static [u8]| {
            let body = Bytes::from_static(body);
            let other = other_pictures(&body);
            (super::video(0, body).map(|f| (f.kind, f.codec, f.cts, f.payload)), other)
        };
        // One track in the form of several, as GStreamer sends it: its configuration, and a frame 40 ms late.
        assert_eq!(pictures(b"\x96\x00avc1\0x"), (Ok((Kind::VideoConfig, Codec::H264, 0, x())), None));
        assert_eq!(pictures(b"\x96\x01avc1\0\0\0\x28x"), (Ok((Kind::Video, Codec::H264, 40_000, x())), None));
        assert_eq!(pictures(b"\x96\x01avc1\x02\0\0\x28x"), (Err(NoFrame::Track(2)), Some(2)));
        let sounds = |body: &'static [u8]| -> Vec<Told> {
            let body = Bytes::from_static(body);
            let others = other_sounds(0, &body);
            std::iter::once(audio(0, body)).chain(others).map(told).collect()
        };
        // A second track of sound, as FFmpeg and OBS send it.
        assert_eq!(sounds(b"\x95\x01mp4a\x01x"), [Ok((Kind::Audio, Codec::Aac, 1, x()))]);
        assert_eq!(sounds(b"\x95\x00mp4a\x01x"), [Ok((Kind::AudioConfig, Codec::Aac, 1, x()))]);
        assert_eq!(sounds(b"\x95\x01mp4a\0x"), [Ok((Kind::Audio, Codec::Aac, 0, x()))]);
        assert_eq!(sounds(b"\x95\x01mp4a\x06x"), [Err(NoFrame::SoundTrack(6))]);
        // Two at once, of one codec and of two.
        let opus = |track| Ok((Kind::Audio, Codec::Opus, track, x()));
        assert_eq!(sounds(b"\x95\x11Opus\x01\0\0\x01x\0\0\0\x01x"), [opus(1), opus(0)]);
        let two = [Ok((Kind::Audio, Codec::Aac, 0, x())), Ok((Kind::Audio, Codec::Ac3, 5, x()))];
        assert_eq!(sounds(b"\x95\x21mp4a\0\0\0\x01xac-3\x05\0\0\x01x"), two);
        // Something is put before it: nanoseconds, and 256 bytes of something else.
        assert_eq!(pictures(b"\x97\x02abc\x03hvc1x").0, Ok((Kind::Video, Codec::H265, 0, x())));
        let long = [&b"\x97\xff\x00\xff"[..], &[9; 256], b"\x06\x03avc1\0x"].concat();
        assert_eq!(super::video(0, long.into()).unwrap().payload, x());
        // Cut short, in each place; one track twice.
        let twice = &b"\x95\x11mp4a\x01\0\0\x01x\x01\0\0\x01x"[..];
        for body in [&b"\x95"[..], b"\x95\x01mp", b"\x95\x01mp4a", b"\x95\x11mp4a\0\0\0\x09x", b"\x97\x09abc", twice] {
            let frame = if body[0] == 0x97 { super::video(0, body.into()) } else { audio(0, body.into()) };
            assert_eq!(frame.unwrap_err(), NoFrame::Short, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(body in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = video(0, body.clone().into());
            let _ = (other_pictures(&body.clone().into()), other_sounds(0, &body.clone().into()));
            let _ = audio(0, body.into());
        }
    }
}
