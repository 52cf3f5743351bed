//! What publishers send beside pictures, put right at the door: one access unit comes out for each picture, and nothing
//! else. Players decode a message without a picture as one that is missing.

use bytes::{BufMut, Bytes, BytesMut};

use super::slices::Slices;
use crate::codec::{hevc, units, vpx};
use crate::frame::{Codec, Frame, Kind};
use crate::rtc::h264::Parameters;
use crate::rtmp::amf0;

/// Most bytes of messages without a picture that are kept for the next picture.
const MOST_KEPT: usize = 64 << 10;
/// What a recording says of itself: of a live stream it is not true, and players take it for one that ends.
const OF_FILES: [&str; 2] = ["duration", "filesize"];

/// Takes one publisher's frames, and gives what its stream holds.
pub(super) struct Clean {
    /// Bytes before each NAL unit that say how long it is.
    length_size: usize,
    /// NAL units that came without a picture (drones send the SEI of a picture before it), and their codec.
    kept: BytesMut,
    codec: Codec,
    /// The configuration that was made of the last keyframe of VP8 or VP9.
    made: Option<Bytes>,
    slices: Slices,
    /// The configuration of H.264 or H.265 that holds.
    configured: Option<Bytes>,
    /// Its parameter sets, and as they stand before a picture.
    sets: Vec<Bytes>,
    in_band: Bytes,
    /// The publisher's own configuration, where keyframes brought other parameter sets since.
    outdated: Option<Bytes>,
    /// That came again: it holds if the next keyframe brings none.
    again: bool,
}

/// What a NAL unit is good for.
#[derive(PartialEq, Eq)]
enum Use {
    /// A slice.
    Picture,
    /// Parameter sets, messages: they belong to a picture.
    Beside,
    /// Delimiters and filler, which mean something on the wire only; units without a byte.
    None,
}

impl Clean {
    pub fn new() -> Self {
        Clean {
            length_size: 4,
            kept: BytesMut::new(),
            codec: Codec::H264,
            made: None,
            slices: Slices::default(),
            configured: None,
            sets: Vec::new(),
            in_band: Bytes::new(),
            outdated: None,
            again: false,
        }
    }

    /// Another publisher's frames follow.
    pub fn interrupt(&mut self) {
        *self = Clean::new();
    }

    /// The configuration that `frame` begins, where it stands in frames and not before them: VP8's and VP9's, and that of H.264
    /// and H.265 where a keyframe brings other parameter sets than were told. It is told when it changes.
    pub fn configuration(&mut self, frame: &Frame) -> Option<Frame> {
        if frame.kind != Kind::Video || !frame.key {
            return None;
        }
        let config = match frame.codec {
            Codec::Vp8 | Codec::Vp9 => {
                let config = vpx::config(frame.codec, &frame.payload)?;
                if self.codec == frame.codec && self.made.as_ref() == Some(&config) {
                    return None;
                }
                self.codec = frame.codec;
                self.made = Some(config.clone());
                config
            }
            Codec::H264 | Codec::H265 => {
                let config = self.of_sets(frame)?;
                self.hold(frame.codec, config.clone());
                config
            }
            _ => return None,
        };
        Some(Frame::config(frame.codec, frame.dts, config))
    }

    /// The configuration of a keyframe's own parameter sets, where that is not the one that holds.
    fn of_sets(&mut self, frame: &Frame) -> Option<Bytes> {
        let kept = if self.codec == frame.codec { &self.kept[..] } else { &[] };
        let units =
            units::split(kept, self.length_size).chain(units::split(&frame.payload, self.length_size)).flatten();
        let mut own: Vec<&[u8]> = units.map(|(_, unit)| unit).filter(|unit| is_set(frame.codec, unit)).collect();
        own.sort_by_key(|unit| kind(frame.codec, unit));
        own.dedup();
        if own.is_empty() {
            let again = std::mem::take(&mut self.again);
            return self.outdated.take_if(|_| again);
        }
        self.again = false;
        if own.iter().all(|set| self.sets.iter().any(|known| known == set)) || self.length_size != 4 {
            return None;
        }
        // One of each: more than that is not told by pictures alone.
        let config = match (frame.codec, &own[..]) {
            (Codec::H264, [sps, pps]) => Parameters::write(sps, pps),
            (Codec::H265, [vps, sps, pps]) => hevc::config(vps, sps, pps),
            _ => None,
        }?;
        if self.outdated.is_none() {
            self.outdated = self.configured.clone();
        }
        Some(config)
    }

    /// What follows is decoded by this configuration.
    fn hold(&mut self, codec: Codec, config: Bytes) {
        let read = match codec {
            Codec::H264 => Parameters::read(&config).map(|p| (p.sets, p.length_size)),
            _ => hevc::sets(&config),
        };
        let at = if codec == Codec::H265 { 21 } else { 4 };
        self.length_size = 1 + usize::from(config.get(at).map_or(3, |byte| byte & 3));
        self.sets = read.map_or_else(Vec::new, |(sets, _)| sets);
        // Some encoders put a message about themselves among them.
        self.sets.retain(|set| is_set(codec, set));
        self.in_band = in_band(&self.sets, self.length_size);
        // Cameras repeat theirs before each keyframe: only another one parts pictures.
        if self.configured.as_ref().is_some_and(|known| *known != config) {
            self.slices.forget();
        }
        self.configured = Some(config);
    }

    /// The frame as it goes on. `None`: it is no frame, or goes on with the next picture.
    pub fn pass(&mut self, mut frame: Frame) -> Option<Frame> {
        match (frame.kind, frame.codec) {
            // An encoder's own lacks the size: it announces the track, until the first keyframe brings a whole one.
            (Kind::VideoConfig, codec @ (Codec::Vp8 | Codec::Vp9)) => {
                let known = self.codec == codec && self.made.is_some();
                let whole = vpx::is_whole(&frame.payload);
                if known && (!whole || self.made.as_ref() == Some(&frame.payload)) {
                    return None;
                }
                self.codec = codec;
                self.made = whole.then(|| frame.payload.clone());
            }
            (Kind::VideoConfig, codec @ (Codec::H264 | Codec::H265)) => {
                if self.outdated.as_ref() == Some(&frame.payload) {
                    self.again = true;
                    return None;
                }
                self.outdated = None;
                self.hold(codec, frame.payload.clone());
            }
            (Kind::Video, Codec::H264 | Codec::H265) => {
                frame.payload = self.picture(frame.codec, &frame.payload)?;
                if frame.key {
                    frame.payload = self.with_sets(&frame);
                }
                let length_size = self.length_size;
                return self.slices.join(frame, |frame| is_rest(frame, length_size));
            }
            (Kind::Data, _) if frame.is_metadata() => {
                if let Some(rest) = amf0::without(&frame.payload, &OF_FILES) {
                    frame.payload = rest;
                }
            }
            _ => {}
        }
        Some(frame)
    }

    /// A key picture with its parameter sets. Players that read only the first configuration of a connection (ExoPlayer, decoders of
    /// Android behind others) would decode what follows a change with those of before.
    fn with_sets(&self, frame: &Frame) -> Bytes {
        let brings_own =
            units::split(&frame.payload, self.length_size).flatten().any(|(_, unit)| is_set(frame.codec, unit));
        if self.in_band.is_empty() || brings_own || is_rest(frame, self.length_size) {
            return frame.payload.clone();
        }
        [&self.in_band[..], &frame.payload[..]].concat().into()
    }

    fn picture(&mut self, codec: Codec, payload: &Bytes) -> Option<Bytes> {
        if self.codec != codec {
            self.kept.clear();
            self.codec = codec;
        }
        let mut has_picture = false;
        let mut useless = false;
        for unit in units::split(payload, self.length_size) {
            // What is no sequence of NAL units is none of our business.
            let Some((_, unit)) = unit else { return Some(payload.clone()) };
            match what(codec, unit) {
                Use::Picture => has_picture = true,
                Use::Beside => {}
                Use::None => useless = true,
            }
        }
        if has_picture && !useless && self.kept.is_empty() {
            return Some(payload.clone());
        }
        let mut units = if has_picture { std::mem::take(&mut self.kept) } else { BytesMut::new() };
        for (whole, unit) in units::split(payload, self.length_size).flatten() {
            if what(codec, unit) != Use::None {
                units.put_slice(whole);
            }
        }
        if has_picture {
            return Some(units.freeze());
        }
        if self.kept.len() + units.len() <= MOST_KEPT {
            self.kept.extend_from_slice(&units);
        }
        None
    }
}

/// Parameter sets as NAL units with their lengths; nothing where one is longer than can be said.
fn in_band(sets: &[Bytes], length_size: usize) -> Bytes {
    let mut units = BytesMut::new();
    let mut sets = sets.iter().filter(|set| !set.is_empty());
    let is_whole = sets.all(|set| units::put(&mut units, set, length_size).is_some());
    if is_whole { units.freeze() } else { Bytes::new() }
}

/// The type of a NAL unit.
fn kind(codec: Codec, unit: &[u8]) -> u8 {
    if codec == Codec::H265 { hevc::kind(unit) } else { unit.first().map_or(0, |first| first & 0x1f) }
}

/// Whether a NAL unit is a parameter set of video, of a sequence or of pictures.
fn is_set(codec: Codec, unit: &[u8]) -> bool {
    match codec {
        Codec::H265 => (hevc::VPS..=hevc::PPS).contains(&kind(codec, unit)),
        _ => matches!(kind(codec, unit), 7 | 8),
    }
}

/// Whether the first slice of a message is not the first one of its picture: the first bit of its header says so (H.264 §7.3.3:
/// `first_mb_in_slice` is 0; H.265 §7.3.6.1: `first_slice_segment_in_pic_flag`).
fn is_rest(frame: &Frame, length_size: usize) -> bool {
    let slice =
        units::split(&frame.payload, length_size).flatten().find(|(_, unit)| what(frame.codec, unit) == Use::Picture);
    let head = if frame.codec == Codec::H264 { 1 } else { 2 };
    slice.and_then(|(_, unit)| unit.get(head)).is_some_and(|byte| byte & 0x80 == 0)
}

/// ITU-T H.264 table 7-1, H.265 table 7-1.
fn what(codec: Codec, unit: &[u8]) -> Use {
    let Some(&first) = unit.first() else { return Use::None };
    match (codec, first & 0x1f, first >> 1 & 0x3f) {
        (Codec::H264, 9 | 12, _) | (Codec::H265, _, 35 | 38) => Use::None,
        (Codec::H264, 1..=5, _) | (Codec::H265, _, 0..=31) => Use::Picture,
        _ => Use::Beside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::amf0::{Value, read_all};
    use proptest::prelude::*;

    fn units(units: &[&[u8]]) -> Bytes {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect::<Vec<_>>().into()
    }

    fn pass(clean: &mut Clean, codec: Codec, of: &[&[u8]]) -> Option<Bytes> {
        clean.pass(Frame::video(codec, 0, 0, true, units(of))).map(|frame| frame.payload)
    }

    #[test]
    fn a_keyframe_of_vp9_says_what_the_encoder_did_not() {
        let mut clean = Clean::new();
        let announced = Frame::config(Codec::Vp9, 0, Bytes::from_static(b"\x01\0\0\0\0\x14\x82\x02\x02\x02\0\0"));
        assert!(clean.pass(announced).is_some());
        let keyframe = [0x82, 0x49, 0x83, 0x42, 0x20, 0x15, 0xf0, 0x11, 0xf6, 0x08];
        let key = || Frame::video(Codec::Vp9, 0, 0, true, keyframe.to_vec().into());
        let made = clean.configuration(&key()).unwrap();
        assert_eq!(made.payload.len(), 16);
        assert!(clean.configuration(&key()).is_none(), "it has not changed");
        assert!(clean.pass(made).is_none(), "nor is it told twice");
        let again = Frame::config(Codec::Vp9, 0, Bytes::from_static(b"\x01\0\0\0\0\x14\x82\x02\x02\x02\0\0"));
        assert!(clean.pass(again).is_none());
    }

    #[test]
    fn one_access_unit_comes_out_for_each_picture() {
        let sei = &[6, 5, 1, 0, 0x80][..];
        let delimiter = &[9, 0xf0][..];
        let filler = &[12, 0xff, 0x80][..];
        let sets = &[0x67, 1][..];
        let key = &[0x65, 0x88][..];
        let delta = &[0x41, 0x9a][..];
        let mut clean = Clean::new();
        let mut h264 = |of: &[&[u8]]| pass(&mut clean, Codec::H264, of);
        assert_eq!(h264(&[sets, sei, key]), Some(units(&[sets, sei, key])), "what is right stays as it is");
        assert_eq!(h264(&[sei]), None);
        assert_eq!(h264(&[delta, delta]), Some(units(&[sei, delta, delta])), "with its picture");
        assert_eq!(h264(&[delta]), Some(units(&[delta])), "once");
        assert_eq!(h264(&[delimiter, sei, &[], delta, filler, &[]]), Some(units(&[sei, delta])));
        assert_eq!(h264(&[delimiter]), None);
        assert_eq!(h264(&[&[]]), None);
        assert_eq!(h264(&[key]), Some(units(&[key])));

        let sei = &[78, 1, 5][..];
        let delimiter = &[70, 1, 0x50][..];
        let filler = &[76, 1, 0xff][..];
        let slice = &[2, 1, 0x89][..];
        let mut h265 = |of: &[&[u8]]| pass(&mut clean, Codec::H265, of);
        assert_eq!(h265(&[sei]), None);
        assert_eq!(h265(&[delimiter, slice, filler]), Some(units(&[sei, slice])));
        // Not a sequence of NAL units: nothing is known of it.
        let odd = Frame::video(Codec::H264, 0, 0, false, Bytes::from_static(b"\0\0\0\x09x"));
        assert_eq!(&clean.pass(odd).unwrap().payload[..], b"\0\0\0\x09x");
        // Lengths of two bytes.
        clean.pass(Frame::config(Codec::H264, 0, Bytes::from_static(b"\x01\x64\x00\x1e\xfd\xe1")));
        let short = Frame::video(Codec::H264, 0, 0, false, Bytes::from_static(b"\0\x02\x09\xf0\0\x02\x41\x9a\0\0"));
        assert_eq!(&clean.pass(short).unwrap().payload[..], b"\0\x02\x41\x9a");
    }

    #[test]
    fn a_key_picture_says_how_it_is_decoded() {
        let mut clean = Clean::new();
        let avcc =
            |sps: &[u8]| [b"\x01\x64\x00\x1e\xff\xe1\0", &[sps.len() as u8][..], sps, b"\x01\0\x02\x68\x01"].concat();
        let configure = |clean: &mut Clean, sps: &[u8]| {
            assert!(clean.pass(Frame::config(Codec::H264, 0, avcc(sps).into())).is_some());
        };
        let picture = |clean: &mut Clean, key: bool, of: &[&[u8]]| {
            clean.pass(Frame::video(Codec::H264, 0, 0, key, units(of))).map(|frame| frame.payload)
        };
        let key = &[0x65, 0x88][..];
        let pps = &[0x68, 1][..];
        configure(&mut clean, &[0x67, 1]);
        assert_eq!(picture(&mut clean, true, &[key]), Some(units(&[&[0x67, 1], pps, key])));
        assert_eq!(picture(&mut clean, false, &[&[0x41, 0x9a]]), Some(units(&[&[0x41, 0x9a]])), "others need none");
        configure(&mut clean, &[0x67, 2]);
        assert_eq!(picture(&mut clean, false, &[&[6, 5, 1]]), None);
        assert_eq!(
            picture(&mut clean, true, &[key]),
            Some(units(&[&[0x67, 2], pps, &[6, 5, 1], key])),
            "those of now, first"
        );
        let own = &[&[0x67, 3][..], pps, key][..];
        assert_eq!(picture(&mut clean, true, own), Some(units(own)), "an encoder's own stay");
        // The second slice of a picture, in a message of its own.
        let rest = &[0x65, 0x08][..];
        assert!(picture(&mut clean, true, &[rest]).is_none_or(|payload| payload == units(&[rest])));
        // Another publisher may have none.
        clean.interrupt();
        assert_eq!(picture(&mut clean, true, &[key]), Some(units(&[key])));
        // A set that is longer than the lengths of this stream can say.
        let long = [&[0x67][..], &[1; 299]].concat();
        let mut short = [&b"\x01\x64\x00\x1e\xfc\xe1\x01\x2c"[..], &long, b"\x00"].concat();
        let mut clean = Clean::new();
        clean.pass(Frame::config(Codec::H264, 0, short.clone().into()));
        assert!(clean.in_band.is_empty());
        short[4] = 0xfd;
        clean.pass(Frame::config(Codec::H264, 0, short.into()));
        assert_eq!(clean.in_band.len(), 302);
    }

    /// As the hub does it: what goes on of a keyframe, and the configuration before it.
    fn key(clean: &mut Clean, codec: Codec, of: &[&[u8]]) -> (Option<Bytes>, Bytes) {
        let frame = Frame::video(codec, 0, 0, true, units(of));
        let config = clean.configuration(&frame).map(|config| config.payload);
        (config, clean.pass(frame).unwrap().payload)
    }

    const VPS: &[u8] =
        b"\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3f\x95\x98\x09";
    const SPS: &[u8] = b"\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3f\xa0\x0a\x08\x0f\x16\x59\x59\xa4\x93\x2b\xc0\x5a\x02\x00\x00\x03\x00\x02\x00\x00\x03\x00\x32\x10";

    #[test]
    fn a_key_picture_of_h265_says_how_it_is_decoded() {
        let mut clean = Clean::new();
        let pps = &b"\x44\x01\xc1\x72\xb4\x62\x40"[..];
        let slice = &[0x26, 1, 0x89][..];
        // x265's has a message about itself behind them.
        let mut config = [&hevc::config(VPS, SPS, pps).unwrap()[..], b"\x27\0\x01\0\x04\x4e\x01\x05\x09"].concat();
        config[22] = 4;
        assert!(clean.pass(Frame::config(Codec::H265, 0, config.into())).is_some());
        assert_eq!(key(&mut clean, Codec::H265, &[slice]), (None, units(&[VPS, SPS, pps, slice])));
        let delta = Frame::video(Codec::H265, 0, 0, false, units(&[&[2, 1, 0x89]]));
        assert_eq!(clean.pass(delta).unwrap().payload, units(&[&[2, 1, 0x89]]));
        // Others of its own are what everybody is told.
        let other = &b"\x44\x01\xc1\x73\xb4\x62\x40"[..];
        let (config, payload) = key(&mut clean, Codec::H265, &[VPS, SPS, other, slice]);
        assert_eq!((config, payload), (hevc::config(VPS, SPS, other), units(&[VPS, SPS, other, slice])));
        assert_eq!(key(&mut clean, Codec::H265, &[slice]), (None, units(&[VPS, SPS, other, slice])));
    }

    #[test]
    fn what_a_key_picture_brings_itself_is_what_everybody_is_told() {
        let pps = &[0x68, 1][..];
        let slice = &[0x65, 0x88][..];
        let sets = |level: u8| [0x67, 0x42, 0xc0, level, 1];
        let header = |level| Parameters::write(&sets(level), pps).unwrap();
        let mut clean = Clean::new();
        assert!(clean.pass(Frame::config(Codec::H264, 0, header(30))).is_some());
        let with = |clean: &mut Clean, level: u8| key(clean, Codec::H264, &[&sets(level), pps, slice]).0;
        assert_eq!(with(&mut clean, 30), None, "they agree");
        assert_eq!(with(&mut clean, 31), Some(header(31)));
        assert_eq!(with(&mut clean, 31), None, "told once");
        // The publisher repeats its first header, and its keyframes say otherwise.
        assert!(clean.pass(Frame::config(Codec::H264, 0, header(30))).is_none());
        assert_eq!(with(&mut clean, 31), None);
        // Or they say nothing any more.
        assert!(clean.pass(Frame::config(Codec::H264, 0, header(30))).is_none());
        let bare = key(&mut clean, Codec::H264, &[slice]);
        assert_eq!(bare, (Some(header(30)), units(&[&sets(30), pps, slice])));
        assert_eq!(key(&mut clean, Codec::H264, &[slice]).0, None);
        // Sets in a message of their own, before their picture.
        let alone = Frame::video(Codec::H264, 0, 0, true, units(&[&sets(32), pps]));
        assert!(clean.configuration(&alone).is_none_or(|config| config.payload == header(32)));
        assert!(clean.pass(alone).is_none());
        key(&mut clean, Codec::H264, &[slice]);
        assert_eq!(clean.configured, Some(header(32)));
        // A publisher without a header.
        assert_eq!(with(&mut Clean::new(), 30), Some(header(30)));
    }

    #[test]
    fn messages_without_end_are_not_kept_without_end() {
        let mut clean = Clean::new();
        let sei = [6; 1000];
        for _ in 0..1000 {
            assert_eq!(pass(&mut clean, Codec::H264, &[&sei]), None);
        }
        assert!(pass(&mut clean, Codec::H264, &[&[0x65, 1]]).unwrap().len() <= MOST_KEPT + 6);
    }

    #[test]
    fn a_live_stream_has_no_duration_and_no_size() {
        let name = |out: &mut BytesMut| Value::String("onMetaData".into()).write(out);
        // As FFmpeg writes it: an ECMA array, with its count.
        let mut of = BytesMut::new();
        name(&mut of);
        of.put_slice(b"\x08\0\0\0\x03\0\x08duration\0");
        of.put_f64(12.5);
        of.put_slice(b"\0\x05width\0");
        of.put_f64(640.0);
        of.put_slice(b"\0\x08filesize\0");
        of.put_f64(0.0);
        of.put_slice(b"\0\0\x09");
        let out = Clean::new().pass(Frame::data(0, of.freeze())).unwrap().payload;
        assert_eq!(read_all(&out).unwrap()[1], Value::from([("width", Value::from(640.0))]));
        assert_eq!(&out[13..18], b"\x08\0\0\0\x01");
        // Without them, or cut short, it stays as it came.
        let mut of = BytesMut::new();
        name(&mut of);
        Value::from([("width", Value::from(640.0))]).write(&mut of);
        for bytes in [of.clone().freeze(), of.freeze().slice(..20)] {
            assert_eq!(Clean::new().pass(Frame::data(0, bytes.clone())).unwrap().payload, bytes);
        }
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(0u8..12, 0..60), two in any::<bool>()) {
            let mut clean = Clean::new();
            if two {
                clean.length_size = 2;
            }
            let _ = clean.pass(Frame::video(Codec::H264, 0, 0, false, bytes.clone().into()));
            let meta = [b"\x02\0\x0aonMetaData\x08", &bytes[..]].concat();
            let _ = clean.pass(Frame::data(0, meta.into()));
        }
    }
}
