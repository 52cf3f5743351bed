//! A picture for a stream that has none yet: black, 320 by 180, in each codec that players know (x264, x265 and libvpx and
//! libaom, without their messages). Knows no time but that of the frames, save for
//! how long a player waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::codec::vpx;
use crate::frame::{Codec, Frame, Kind};
use crate::hub::{Expected, Flowing, Reader, Tracks};

/// How long [`Patience`] lasts.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the black picture is shown, in microseconds.
const EVERY: i64 = 120_000;
/// The least time between two pictures, in microseconds.
const STEP: i64 = 1_000;
/// Likewise before the first that is not black: room for what some players are shown there (`crates/media/src/flv/parting.rs`).
const ROOM: i64 = 3 * STEP;

/// A black keyframe and its configuration, as the hub has those of its codec.
pub(crate) struct Black {
    /// The configuration.
    pub config: Frame,
    key: &'static [u8],
    /// The same once more, which leans on the keyframe before it.
    delta: Option<&'static [u8]>,
}

impl Black {
    /// In this codec; `None` where there is none.
    pub fn of(codec: Codec) -> Option<Self> {
        let (config, key) = match codec {
            Codec::H264 => (Bytes::from_static(AVCC), H264),
            Codec::H265 => (Bytes::from_static(HVCC), H265),
            Codec::Av1 => (Bytes::from_static(AV1C), AV1),
            Codec::Vp9 => (vpx::config(Codec::Vp9, VP9)?, VP9),
            _ => return None,
        };
        let delta = (codec == Codec::H264).then_some(DELTA);
        Some(Black { config: Frame::config(codec, 0, config), key, delta })
    }

    /// In the codec of pictures that were announced and are late, or, where none were and they may come at any time, in H.264.
    pub fn instead(announced: Option<&Frame>, late: bool, any_time: bool) -> Option<Self> {
        match announced {
            Some(config) => late.then(|| Self::of(config.codec)).flatten(),
            None => any_time.then(|| Self::of(Codec::H264)).flatten(),
        }
    }

    /// The picture at this time, in microseconds.
    pub fn at(&self, dts: i64) -> Frame {
        Frame::video(self.config.codec, dts, 0, true, Bytes::from_static(self.key))
    }
}

/// With a player that is to begin with a picture: for how long sound is held back that comes first. Streams without a keyframe at
/// hand, and publishers that make none, are heard at least.
#[derive(Default)]
pub(crate) struct Patience(Option<Instant>);

impl Patience {
    /// Whether it lasts still; `is_heard`: there is sound, from the first of which on it counts.
    pub fn lasts(&mut self, is_heard: bool) -> bool {
        if is_heard {
            self.0.get_or_insert_with(Instant::now);
        }
        self.0.is_none_or(|since| since.elapsed() < PATIENCE)
    }
}

/// Shows one player black where it was promised pictures that have not come, until they do.
pub(crate) struct Placeholder {
    black: Black,
    /// The configuration that pictures need once they come.
    config: Option<Arc<Frame>>,
    /// Time of the last picture, in microseconds.
    last: Option<i64>,
    /// That was a black keyframe.
    is_key: bool,
    /// Pictures have come.
    begun: bool,
    /// They go on in their own time.
    over: bool,
    /// The player takes pictures of no other codec.
    strict: bool,
}

impl Placeholder {
    /// For a player that begins with sound: in the codec of pictures that were announced, or, where none were and they may come
    /// at any time, in H.264. `None`: pictures flow, or none are to be expected, or are in a codec without a black one.
    pub fn instead(expected: Expected, flowing: Flowing, tracks: &Tracks) -> Option<Self> {
        let codec = match &tracks.video {
            Some(config) if expected == Expected::AnyTime || !flowing.video => config.codec,
            None if expected == Expected::AnyTime => Codec::H264,
            _ => return None,
        };
        let black = Black::of(codec)?;
        Some(Placeholder {
            black,
            config: tracks.video.clone(),
            last: None,
            is_key: false,
            begun: false,
            over: false,
            strict: false,
        })
    }

    /// For a player in browsers, where pictures may follow the black ones there: mpegts.js 1.8 and flv.js 1.6 decode the last picture
    /// before another configuration with that, and end unless it is one that Media Source Extensions drop there. They end at
    /// pictures of another codec, too: with those they hear on, and see black.
    pub fn for_browsers(self) -> Option<Self> {
        self.black.delta.is_some().then_some(Placeholder { strict: true, ..self })
    }

    fn is_foreign(&self, codec: Codec) -> bool {
        self.strict && codec != self.black.config.codec
    }

    /// What a player is told before frames: the tracks and which of them flow, with black pictures until others come.
    pub fn introduce(standing_in: &mut Option<Self>, tracks: Tracks, flowing: Flowing) -> (Tracks, Flowing) {
        let Some(this) = standing_in else { return (tracks, flowing) };
        let flowing = Flowing { video: true, ..flowing };
        if this.begun {
            return (tracks, flowing);
        }
        let black = &this.black.config;
        let config = Arc::new(Frame::config(black.codec, 0, black.payload.clone()));
        this.config = tracks.video.filter(|config| !this.is_foreign(config.codec)).or(this.config.take());
        (Tracks { video: Some(config), ..tracks }, flowing)
    }

    /// What a player is shown of these frames; `None`: all of them, nothing stands in. It ends itself once pictures go on in
    /// their own time, and asks for a keyframe as long as they do not.
    pub fn show(standing_in: &mut Option<Self>, frames: &[Arc<Frame>], reader: &Reader) -> Option<Vec<Arc<Frame>>> {
        let this = standing_in.as_mut()?;
        let shown = this.pass(frames);
        if this.over {
            *standing_in = None;
        } else if frames.iter().any(|frame| frame.kind == Kind::Video && !this.is_foreign(frame.codec)) {
            reader.request_key();
        }
        Some(shown)
    }

    /// The next black picture: in turns a keyframe and one that leans on it, where there is such a one.
    fn next(&mut self, dts: i64) -> Arc<Frame> {
        let delta = self.black.delta.filter(|_| self.is_key);
        self.is_key = delta.is_none();
        self.last = Some(dts);
        Arc::new(match delta {
            Some(delta) => Frame::video(self.black.config.codec, dts, 0, false, Bytes::from_static(delta)),
            None => self.black.at(dts),
        })
    }

    /// What is shown of these frames. Pictures begin with a keyframe, and their configuration before it. Those that are stamped
    /// behind the sound, where a black one stands already, follow that one: players fail where pictures go back in time.
    fn pass(&mut self, frames: &[Arc<Frame>]) -> Vec<Arc<Frame>> {
        let mut shown = Vec::with_capacity(frames.len() + 1);
        for frame in frames {
            match frame.kind {
                _ if self.over => {}
                Kind::Video | Kind::VideoConfig if self.is_foreign(frame.codec) => continue,
                Kind::Video if self.begun || frame.key => {
                    let is_first = !std::mem::replace(&mut self.begun, true);
                    if is_first {
                        // Its last one leans on another.
                        if let Some(last) = self.last.filter(|_| self.is_key && self.black.delta.is_some()) {
                            shown.push(self.next(last + STEP));
                        }
                        shown.extend(self.config.take());
                    }
                    let room = if is_first { ROOM } else { STEP };
                    let least = self.last.map_or(i64::MIN, |last| last + room);
                    self.over = frame.dts >= least;
                    let dts = frame.dts.max(least);
                    self.last = Some(dts);
                    shown.push(if self.over { Arc::clone(frame) } else { Arc::new(frame.at(dts)) });
                    continue;
                }
                Kind::VideoConfig if !self.begun => {
                    self.config = Some(Arc::clone(frame));
                    continue;
                }
                Kind::Video => continue,
                Kind::Audio if !self.begun && self.last.is_none_or(|last| frame.dts - last >= EVERY) => {
                    shown.push(self.next(frame.dts));
                }
                _ => {}
            }
            shown.push(Arc::clone(frame));
        }
        shown
    }
}

const AVCC: &[u8] = &[
    0x01, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x42, 0xc0, 0x1e, 0xa6, 0x11, 0x05, 0x06, 0x7e, 0x7c, 0x04,
    0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x03, 0x02, 0x83, 0xc5, 0x8b, 0x84, 0x60, 0x01, 0x00, 0x06, 0x68,
    0xc8, 0x42, 0x0f, 0x2c, 0x80,
];

const H264: &[u8] = &[
    0x00, 0x00, 0x00, 0xbe, 0x65, 0x88, 0x82, 0x07, 0xf9, 0x31, 0x40, 0x00, 0x61, 0xf6, 0xfb, 0xef, 0xbe, 0xfb, 0xef,
    0xbe, 0xfb, 0xef, 0xbe, 0xfb, 0xef, 0xbe, 0xfb, 0xef, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae,
    0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba,
    0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb,
    0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae,
    0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba,
    0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb,
    0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae,
    0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba,
    0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb, 0xae, 0xba, 0xeb,
    0xae, 0xba, 0xeb, 0xc0,
];

/// All of it as in the keyframe before (ITU-T H.264 §7.3.3, §7.3.4: one run of 240 skipped macroblocks); no picture leans on it.
const DELTA: &[u8] = &[0x00, 0x00, 0x00, 0x06, 0x01, 0x9a, 0x1d, 0x40, 0x3c, 0x60];

const HVCC: &[u8] = &[
    0x01, 0x01, 0x60, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3c, 0xf0, 0x00, 0xfc, 0xfd, 0xf8, 0xf8,
    0x00, 0x00, 0x0f, 0x03, 0xa0, 0x00, 0x01, 0x00, 0x18, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00,
    0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x92, 0x80, 0x90, 0xa1, 0x00, 0x01, 0x00, 0x29,
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0xa0,
    0x0a, 0x08, 0x0b, 0x9f, 0x79, 0x64, 0xa9, 0x24, 0xca, 0xf0, 0x16, 0x80, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00,
    0x00, 0x0c, 0x84, 0xa2, 0x00, 0x01, 0x00, 0x07, 0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40,
];

const H265: &[u8] = &[
    0x00, 0x00, 0x00, 0x33, 0x28, 0x01, 0xaf, 0x1d, 0x65, 0x7a, 0x20, 0xf7, 0x01, 0x5b, 0xff, 0xf2, 0x4e, 0xfe, 0xc7,
    0x00, 0x1f, 0xd1, 0x32, 0x94, 0x15, 0xa3, 0xea, 0xa9, 0x71, 0xca, 0x05, 0x18, 0x81, 0x27, 0xba, 0xa0, 0x93, 0x00,
    0x00, 0x03, 0x00, 0x36, 0x00, 0x00, 0x1b, 0x80, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x0b, 0x48,
];

const AV1C: &[u8] =
    &[0x81, 0x00, 0x0c, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xfa, 0xf9, 0x80, 0x40];

const AV1: &[u8] = &[
    0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xfa, 0xf9, 0x80, 0x40, 0x32, 0x15, 0x10, 0x00, 0x9e, 0x00,
    0x00, 0x00, 0xb0, 0x00, 0x00, 0x80, 0x01, 0xc5, 0x7d, 0x13, 0x3b, 0xfb, 0xfd, 0x75, 0x33, 0x67, 0x50,
];

const VP9: &[u8] = &[
    0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0, 0x0b, 0x36, 0x00, 0x38, 0x24, 0x1c, 0x19, 0x4e, 0x00, 0x00, 0x50, 0x61,
    0xf6, 0x30, 0x00, 0x00, 0x66, 0x2c, 0x28, 0x9d, 0xdc, 0x5a, 0x9b, 0xae, 0xdf, 0x4d, 0x10,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::VideoInfo;
    use crate::fmp4::Muxer;

    #[test]
    fn a_page_goes_on_with_sound_and_black_where_pictures_are_of_another_codec() {
        let flowing = Flowing { video: false, audio: true };
        let placeholder = Placeholder::instead(Expected::AnyTime, flowing, &Tracks::default()).unwrap();
        let mut placeholder = placeholder.for_browsers().unwrap();
        let vp9 = |ms: i64| Arc::new(Frame::video(Codec::Vp9, ms * 1_000, 0, true, Bytes::from_static(VP9)));
        let mut shown = Vec::new();
        for ms in (0..1_000).step_by(20) {
            if ms == 300 {
                let config = vpx::config(Codec::Vp9, VP9).unwrap();
                shown.extend(placeholder.pass(&[Arc::new(Frame::config(Codec::Vp9, 0, config))]));
            }
            if ms >= 300 {
                shown.extend(placeholder.pass(&[vp9(ms)]));
            }
            let sound = Frame::audio(Codec::Aac, ms * 1_000, Bytes::from_static(b"aac"));
            shown.extend(placeholder.pass(&[Arc::new(sound)]));
        }
        assert!(shown.iter().all(|frame| frame.codec != Codec::Vp9));
        assert_eq!(shown.iter().filter(|frame| frame.kind == Kind::Audio).count(), 50);
        assert!(shown.iter().filter(|frame| frame.kind == Kind::Video).count() >= 4, "black goes on");
    }

    #[test]
    fn pictures_that_are_stamped_behind_the_sound_do_not_go_back_in_time() {
        let tracks = Tracks::default();
        let flowing = Flowing { video: false, audio: true };
        let mut placeholder = Placeholder::instead(Expected::AnyTime, flowing, &tracks).unwrap();
        let video = |ms: i64, key| Arc::new(Frame::video(Codec::H264, ms * 1_000, 0, key, Bytes::from_static(b"nal")));
        let sound = |ms: i64| Arc::new(Frame::audio(Codec::Aac, ms * 1_000, Bytes::from_static(b"aac")));
        let mut shown = placeholder.pass(&[sound(0), sound(240), video(100, false), video(200, true)]);
        assert!(!placeholder.over);
        shown.extend(placeholder.pass(&[sound(480), video(233, false), video(266, false), video(300, false)]));
        assert!(placeholder.over);
        let pictures: Vec<i64> = shown.iter().filter(|f| f.kind == Kind::Video).map(|f| f.dts / 1_000).collect();
        assert_eq!(pictures, [0, 240, 243, 244, 266, 300], "two of them black");
        let black: Vec<bool> = shown.iter().filter(|f| f.kind == Kind::Video).take(2).map(|f| f.key).collect();
        assert_eq!(black, [true, false], "the second one leans on the first");
    }

    #[test]
    fn each_is_a_keyframe_with_a_configuration_that_a_file_can_begin_with() {
        for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp9] {
            let black = Black::of(codec).unwrap();
            let info = VideoInfo::of(codec, &black.config.payload);
            assert_eq!((info.width, info.height), (320, 180), "{codec:?}");
            assert!(Muxer::new(Some(&black.config), None, 0).is_some_and(|muxer| muxer.has_video()), "{codec:?}");
            assert!(black.at(0).key && black.at(40_000).dts == 40_000);
        }
        assert!(Black::of(Codec::Vp8).is_none());
    }
}
