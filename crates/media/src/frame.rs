//! The one internal media unit: what every publisher makes and every player reads. Knows no protocol; keeps a place for
//! what a protocol made of a frame, so that it is made once for all viewers.

use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Codec configuration of the video track; see [`Codec`] for its form.
    VideoConfig,
    /// One video access unit.
    Video,
    /// Codec configuration of the audio track; see [`Codec`] for its form.
    AudioConfig,
    /// One audio frame.
    Audio,
    /// A timed AMF0 data message: its name (a string value, `onMetaData` for the stream's description), then its values.
    Data,
}

impl Kind {
    /// Whether the frame configures a track rather than being part of it.
    pub fn is_config(self) -> bool {
        matches!(self, Kind::VideoConfig | Kind::AudioConfig)
    }
}

/// The codec of a frame, which fixes the form of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Configuration: `AVCDecoderConfigurationRecord` (avcC). Frame: NAL units, each after its length (as long as avcC
    /// says, nearly always 4 bytes); no parameter sets needed in band.
    H264,
    /// Configuration: `HEVCDecoderConfigurationRecord` (hvcC). Frame: as H.264.
    H265,
    /// Configuration: `AV1CodecConfigurationRecord` (av1C). Frame: a temporal unit of OBUs with sizes, without the
    /// temporal delimiter.
    Av1,
    /// Configuration: `VPCodecConfigurationRecord` (vpcC, with version and flags), then width and height in 16 bits each:
    /// see `codec::vpx`. Frame: as the codec has it.
    Vp8,
    /// As VP8. Frame: a frame or superframe.
    Vp9,
    /// Configuration: `AudioSpecificConfig`. Frame: one raw access unit, no ADTS.
    Aac,
    /// Configuration: `OpusHead` (RFC 7845 §5.1, with its magic). Frame: one Opus packet.
    Opus,
    /// No configuration. Frame: one MPEG audio frame with its header.
    Mp3,
    /// G.711 A-law. No configuration. Frame: what FLV calls the tag's body, whose first byte tells of channels.
    Pcma,
    /// G.711 µ-law, as A-law.
    Pcmu,
    /// Samples as they are. As all that follow up to ADPCM: only passed on, in the form of G.711.
    Pcm,
    /// Speex.
    Speex,
    /// Nellymoser Asao.
    Nellymoser,
    /// ADPCM as Flash has it.
    Adpcm,
    /// Only passed on. No configuration. Frame: a sync frame.
    Ac3,
    /// As AC-3.
    Eac3,
    /// Only passed on. Configuration: the head of a FLAC file. Frame: a FLAC frame.
    Flac,
    /// Data messages.
    Amf0,
}

impl Codec {
    /// All of them.
    pub const ALL: [Codec; 18] = [
        Codec::H264,
        Codec::H265,
        Codec::Av1,
        Codec::Vp8,
        Codec::Vp9,
        Codec::Aac,
        Codec::Opus,
        Codec::Mp3,
        Codec::Pcma,
        Codec::Pcmu,
        Codec::Pcm,
        Codec::Speex,
        Codec::Nellymoser,
        Codec::Adpcm,
        Codec::Ac3,
        Codec::Eac3,
        Codec::Flac,
        Codec::Amf0,
    ];

    /// The usual short name, for logs and operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Codec::H264 => "h264",
            Codec::H265 => "h265",
            Codec::Av1 => "av1",
            Codec::Vp8 => "vp8",
            Codec::Vp9 => "vp9",
            Codec::Aac => "aac",
            Codec::Opus => "opus",
            Codec::Mp3 => "mp3",
            Codec::Pcma => "pcma",
            Codec::Pcmu => "pcmu",
            Codec::Pcm => "pcm",
            Codec::Speex => "speex",
            Codec::Nellymoser => "nellymoser",
            Codec::Adpcm => "adpcm",
            Codec::Ac3 => "ac-3",
            Codec::Eac3 => "e-ac-3",
            Codec::Flac => "flac",
            Codec::Amf0 => "amf0",
        }
    }

    /// Whether a configuration comes before the frames. A track without one begins with its first frame.
    pub fn is_configured(self) -> bool {
        self.is_video() || matches!(self, Codec::Aac | Codec::Opus | Codec::Flac)
    }

    /// Whether this is sound that is only passed on: RTMP and FLV players get it as it came, and nothing else is made of it.
    pub fn is_passed_on(self) -> bool {
        use Codec::{Ac3, Adpcm, Eac3, Flac, Nellymoser, Pcm, Speex};
        matches!(self, Pcm | Speex | Nellymoser | Adpcm | Ac3 | Eac3 | Flac)
    }

    /// Whether the codec is one of pictures.
    pub fn is_video(self) -> bool {
        matches!(self, Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Vp8 | Codec::Vp9)
    }
}

/// Most tracks of sound of one stream, numbered from 0: as many as OBS mixes. Track 0 is the stream's sound; the others are
/// further ones, which only readers get that ask for them.
pub const MOST_TRACKS: u8 = 6;

/// One unit of media, immutable and shared by all readers as `Arc<Frame>`.
///
/// Clocks: `dts` and `cts` are microseconds; RTMP and FLV take milliseconds (`/ 1000`), RTP 90 kHz or 48 kHz
/// ([`Frame::ticks`]). The hub rebases `dts` so that a stream starts near 0 and never runs backwards within a track.
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// The codec, and with it the form of `payload`.
    pub codec: Codec,
    /// The number of its track among those of sound, below [`MOST_TRACKS`]. 0 for everything else.
    pub track: u8,
    /// For video: a point where decoding may start. False for everything else.
    pub key: bool,
    /// Decoding time in microseconds from the start of the stream.
    pub dts: i64,
    /// Presentation time minus decoding time in microseconds; 0 without B-frames. Negative values come from the wire
    /// and are kept.
    pub cts: i32,
    /// The bytes, in the form that [`Codec`] states.
    pub payload: Bytes,
    made: Made,
}

/// What RTMP and FLV players count time from, in spans of 2.3 hours of the stream's time: so each counts from the span in which it
/// began, whatever the stream's age. Many read their stamps as signed numbers of 32 bits, which end after 24.9 days; and some RTMP players
/// do not know that stamps of more than 24 bits (4.7 hours) are repeated in each further chunk of a message (librtmp, HaishinKit 2).
/// FLV has no such trouble, and counts from the first of 32 spans ([`Span::of_flv`]).
///
/// What all viewers share is made for three spans, the frame's own and the two before. Who watches for longer than that, by RTMP for 4.7 hours,
/// is served by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span(u32);

/// Milliseconds.
const SPAN: i64 = 1 << 23;
/// Spans of RTMP in one of FLV, 3.1 days.
const OF_FLV: u32 = 32;

impl Span {
    /// The one that a player of FLV counts from who begins in this one.
    pub fn of_flv(self) -> Span {
        Span(self.0 / OF_FLV * OF_FLV)
    }
}

/// The same bytes stamped for players of three spans. Most frames are read in bursts alone: there is room once it is asked for.
#[derive(Default)]
struct Stamped(OnceLock<Box<[OnceLock<Bytes>; 3]>>);

impl Stamped {
    /// Those for a player of the span `of`, where what they are made of lies in `own`; `wide` of them are counted as one.
    fn get(&self, own: Span, of: Span, wide: u32, make: impl FnOnce() -> Bytes) -> Bytes {
        let places = self.0.get_or_init(Box::default);
        let place = (own.0 / wide).checked_sub(of.0 / wide).and_then(|ago| places.get(ago as usize));
        match place {
            Some(place) => place.get_or_init(make).clone(),
            None => make(),
        }
    }
}

/// Renditions of one frame, each made by the first reader that needs it.
#[derive(Default)]
struct Made {
    rtmp: Stamped,
    flv: Stamped,
    other: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// Whether two configurations are the same, or there is none of either.
pub(crate) fn is_same(a: Option<&Frame>, b: Option<&Frame>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.codec == b.codec && a.payload == b.payload,
        (a, b) => a.is_none() && b.is_none(),
    }
}

impl Frame {
    /// A video access unit.
    pub fn video(codec: Codec, dts: i64, cts: i32, key: bool, payload: Bytes) -> Self {
        Frame { key, cts, ..Frame::plain(Kind::Video, codec, dts, payload) }
    }

    /// An audio frame.
    pub fn audio(codec: Codec, dts: i64, payload: Bytes) -> Self {
        Frame::plain(Kind::Audio, codec, dts, payload)
    }

    /// A track's configuration; video or audio follows from the codec.
    pub fn config(codec: Codec, dts: i64, payload: Bytes) -> Self {
        let kind = if codec.is_video() { Kind::VideoConfig } else { Kind::AudioConfig };
        Frame::plain(kind, codec, dts, payload)
    }

    /// A data message; `payload` is AMF0, name first.
    pub fn data(dts: i64, payload: Bytes) -> Self {
        Frame::plain(Kind::Data, Codec::Amf0, dts, payload)
    }

    /// The same of a further track of sound.
    pub fn of_track(self, track: u8) -> Self {
        Frame { track, ..self }
    }

    /// Whether it belongs to a further track of sound.
    pub fn is_further(&self) -> bool {
        self.track > 0
    }

    fn plain(kind: Kind, codec: Codec, dts: i64, payload: Bytes) -> Self {
        Frame { kind, codec, track: 0, key: false, dts, cts: 0, payload, made: Made::default() }
    }

    /// Presentation time in microseconds.
    pub fn pts(&self) -> i64 {
        self.dts.saturating_add(i64::from(self.cts))
    }

    /// Presentation time in ticks of a clock of `rate` Hz (90,000 for RTP video, 48,000 for Opus). The low 32 bits are
    /// the RTP timestamp before its random offset.
    pub fn ticks(&self, rate: u32) -> i64 {
        let ticks = i128::from(self.pts()) * i128::from(rate) / 1_000_000;
        ticks as i64
    }

    /// Decoding time in whole milliseconds, never negative: the low 32 bits.
    pub fn dts_ms(&self) -> u32 {
        (self.dts.max(0) / 1000) as u32
    }

    /// The span in which it lies.
    pub fn span(&self) -> Span {
        Span((self.dts.max(0) / 1000 / SPAN) as u32)
    }

    /// The RTMP and FLV timestamp for a player of this span: the low 32 bits of its milliseconds since. 0 for what lies before.
    pub fn dts_since(&self, span: Span) -> u32 {
        (self.dts / 1000 - i64::from(span.0) * SPAN).max(0) as u32
    }

    /// The timestamp to write where the stream's clock says `timestamp`: descriptions are always stamped 0, because
    /// ffmpeg takes one with a later time for a text track.
    pub(crate) fn stamp(&self, timestamp: u32) -> u32 {
        if self.is_metadata() { 0 } else { timestamp }
    }

    /// Whether this is the stream's description (`onMetaData`), which the hub keeps for those who come later.
    pub fn is_metadata(&self) -> bool {
        self.kind == Kind::Data && self.payload.starts_with(b"\x02\x00\x0aonMetaData")
    }

    /// The frame as a run of RTMP chunks for players of this span, made once by `make`.
    pub fn rtmp(&self, span: Span, make: impl FnOnce(&Frame) -> Bytes) -> Bytes {
        self.made.rtmp.get(self.span(), span, 1, || make(self))
    }

    /// The frame as an FLV tag for players of this span, made once by `make`.
    pub fn flv(&self, span: Span, make: impl FnOnce(&Frame) -> Bytes) -> Bytes {
        self.made.flv.get(self.span(), span, OF_FLV, || make(self))
    }

    /// The frame in a form of the caller's own (RTP payloads), made once. There is one place: a second type `T` for the
    /// same frame is made anew at every call.
    pub fn derived<T: Any + Send + Sync>(&self, make: impl FnOnce(&Frame) -> T) -> Arc<T> {
        let mut make = Some(make);
        let kept = self.made.other.get_or_init(|| {
            let make = make.take().expect("called at most once, before the use below");
            Arc::new(make(self))
        });
        match (Arc::clone(kept).downcast::<T>(), make) {
            (Ok(value), _) => value,
            (Err(_), Some(make)) => Arc::new(make(self)),
            (Err(_), None) => unreachable!("what was made just now has the type T"),
        }
    }

    /// The same unit at another time, with nothing made of it yet.
    pub fn at(&self, dts: i64) -> Frame {
        Frame {
            kind: self.kind,
            codec: self.codec,
            track: self.track,
            key: self.key,
            dts,
            cts: self.cts,
            payload: self.payload.clone(),
            made: Made::default(),
        }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("kind", &self.kind)
            .field("codec", &self.codec)
            .field("track", &self.track)
            .field("key", &self.key)
            .field("dts", &self.dts)
            .field("cts", &self.cts)
            .field("bytes", &self.payload.len())
            .finish()
    }
}

/// Consecutive frames of one stream that the whole audience gets in one piece: the unit of write merging.
///
/// A key frame always starts a burst, so that a group of pictures is a whole number of bursts and a reader that joins reads the
/// same shared bytes as everybody else.
///
/// Further tracks of sound are only in the burst that readers are given who ask for them.
pub struct Burst {
    /// The frames, in stream order.
    pub frames: Box<[Arc<Frame>]>,
    /// The same with further tracks, where there are any among its frames.
    further: Option<Arc<Burst>>,
    /// Numbers of the frames that it was made of. Sound may have been left out since.
    pub(crate) numbers: Range<u64>,
    pub(crate) version: u32,
    rtmp: Stamped,
    flv: Stamped,
}

impl Burst {
    pub(crate) fn new(numbers: Range<u64>, version: u32, frames: Box<[Arc<Frame>]>) -> Self {
        Burst { frames, further: None, numbers, version, rtmp: Stamped::default(), flv: Stamped::default() }
    }

    /// Of all frames of a stream; those of further tracks are for readers who ask for them.
    pub(crate) fn of_all(numbers: Range<u64>, version: u32, frames: Box<[Arc<Frame>]>) -> Self {
        if !frames.iter().any(|frame| frame.is_further()) {
            return Burst::new(numbers, version, frames);
        }
        let plain = frames.iter().filter(|frame| !frame.is_further()).cloned().collect();
        let further = Some(Arc::new(Burst::new(numbers.clone(), version, frames)));
        Burst { further, ..Burst::new(numbers, version, plain) }
    }

    /// All of its frames.
    pub(crate) fn all(&self) -> &[Arc<Frame>] {
        self.further.as_ref().map_or(&self.frames, |further| &further.frames)
    }

    /// What a reader gets that asks for further tracks, or does not.
    pub(crate) fn with(self: &Arc<Self>, further: bool) -> &Arc<Self> {
        self.further.as_ref().filter(|_| further).unwrap_or(self)
    }

    /// Those of these frames that are no sound.
    pub(crate) fn without_sound(frames: &[Arc<Frame>]) -> Box<[Arc<Frame>]> {
        frames.iter().filter(|frame| frame.kind != Kind::Audio).cloned().collect()
    }

    /// Whether decoding may start at its first frame.
    pub fn starts_with_key(&self) -> bool {
        self.frames.first().is_some_and(|f| f.key)
    }

    /// The span in which it begins.
    pub fn span(&self) -> Span {
        self.frames.first().map_or(Span::default(), |frame| frame.span())
    }

    /// All frames as one contiguous run of RTMP chunks for players of this span, made once by `make`.
    pub fn rtmp(&self, span: Span, make: impl FnOnce(&[Arc<Frame>]) -> Bytes) -> Bytes {
        self.rtmp.get(self.span(), span, 1, || make(&self.frames))
    }

    /// All frames as one contiguous run of FLV tags for players of this span, made once by `make`.
    pub fn flv(&self, span: Span, make: impl FnOnce(&[Arc<Frame>]) -> Bytes) -> Bytes {
        self.flv.get(self.span(), span, OF_FLV, || make(&self.frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_convert_exactly_and_wide() {
        let f = Frame::video(Codec::H264, 40_000, 80_000, true, Bytes::new());
        assert_eq!((f.pts(), f.ticks(90_000), f.ticks(48_000), f.dts_ms()), (120_000, 10_800, 5_760, 40));
        // Ten years in: no overflow on the way.
        let late = Frame::audio(Codec::Opus, 315_360_000_000_000, Bytes::new());
        assert_eq!(late.ticks(48_000), 315_360_000 * 48_000);
        assert_eq!(Frame::audio(Codec::Aac, -5, Bytes::new()).dts_ms(), 0);
    }

    #[test]
    fn renditions_are_made_once() {
        let f = Frame::audio(Codec::Aac, 0, Bytes::from_static(b"x"));
        let mut made = 0;
        for _ in 0..3 {
            let bytes = f.rtmp(f.span(), |f| {
                made += 1;
                f.payload.clone()
            });
            assert_eq!(&bytes[..], b"x");
        }
        assert_eq!(made, 1);
        let first = f.derived(|_| vec![1u8]);
        let again = f.derived(|_| vec![2u8]);
        assert!(Arc::ptr_eq(&first, &again));
        // Another type does not find the place, and still gets its value.
        assert_eq!(*f.derived(|_| "other".to_string()), "other");
    }

    #[test]
    fn players_count_from_the_span_in_which_they_began() {
        let at = |hours: i64| Frame::audio(Codec::Aac, hours * 3_600_000_000, Bytes::new());
        let began = at(720).span();
        let now = at(724);
        assert_eq!((at(0).span(), at(2).span()), (Span(0), Span(0)));
        assert_eq!(now.dts_since(Span(0)), now.dts_ms());
        assert_eq!(now.dts_since(began), at(720).dts_since(began) + 4 * 3_600_000);
        assert!(at(720 + 2).dts_since(began) < 0xff_ffff, "two hours of watching without extended stamps");
        assert!(at(720 + 24 * 24).dts_since(began) < 1 << 31, "24 days of watching");
        assert_eq!(at(719).dts_since(at(724).span()), 0, "sound from before its first picture");
        // Who began in this span or the two before shares bytes; others have their own.
        let made = |of: Span, byte: u8| now.rtmp(of, |_| vec![byte].into())[0];
        let own = now.span();
        assert_eq!((made(own, 1), made(own, 2), made(began, 3), made(began, 4)), (1, 1, 3, 3));
        assert_eq!((made(Span(0), 5), made(Span(0), 6), made(at(800).span(), 7)), (5, 6, 7));
        // FLV goes on sharing for days.
        let made = |of: Span, byte: u8| now.flv(of.of_flv(), |_| vec![byte].into())[0];
        assert_eq!(
            (made(own, 1), made(at(700).span(), 2), made(at(600).span(), 3), made(at(600).span(), 4)),
            (1, 1, 3, 3)
        );
        assert_eq!((made(at(100).span(), 5), made(at(100).span(), 6)), (5, 6));
        assert!(at(724).dts_since(own.of_flv()) < 1 << 28);
    }

    #[test]
    fn metadata_is_known_by_its_name() {
        assert!(Frame::data(0, Bytes::from_static(b"\x02\x00\x0aonMetaData\x08")).is_metadata());
        assert!(!Frame::data(0, Bytes::from_static(b"\x02\x00\x0aonTextData\x08")).is_metadata());
    }
}
