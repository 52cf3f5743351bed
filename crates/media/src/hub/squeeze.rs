//! What a reader gets that goes over from one stream to another in the same time: both are a little apart, and the new one
//! begins with a keyframe that may be older than what was handed out. Its first frames are squeezed into the moment of the
//! change, so that time neither steps back nor has a gap. Knows no streams.

use std::sync::Arc;

use super::item::Item;
use super::since_key::SinceKey;
use crate::frame::{Burst, Frame, Kind};

/// What lies between squeezed frames, in microseconds.
const STEP: i64 = 1_000;
/// How far behind the last picture of before the first of the new stream lies at most, in microseconds. What is missing
/// then is a longer first picture; players of Media Source Extensions stop for good at a gap before a change of size. A mix
/// on a busy machine may be seconds behind the stream that follows it.
const NEAR: i64 = 33_000;
/// The same for sound: about one frame. Players fill with silence what is missing behind a frame, but not before the first.
const NEAR_SOUND: i64 = 21_000;
/// Audio that has not come by this much of video is not waited for, in microseconds.
const LONG: i64 = 1_000_000;

/// Times of the newest frames handed out, and whether what comes has to be fitted behind them.
pub(super) struct Squeeze {
    video: i64,
    audio: i64,
    /// The newest of further tracks of sound, and what it was at the change.
    further: i64,
    further_before: i64,
    /// Until when there may be audio of before.
    until: i64,
    active: bool,
    /// The first picture of the new stream has not come yet.
    first: bool,
    /// Likewise its first sound.
    first_sound: bool,
    /// Whether a stream with another configuration may follow what was handed out.
    pub since_key: SinceKey,
}

impl Squeeze {
    /// Nothing was handed out.
    pub fn new() -> Self {
        Squeeze {
            video: i64::MIN,
            audio: i64::MIN,
            further: i64::MIN,
            further_before: i64::MIN,
            until: i64::MIN,
            active: false,
            first: false,
            first_sound: false,
            since_key: SinceKey::default(),
        }
    }

    /// The time of the newest frame handed out.
    pub fn newest(&self) -> i64 {
        self.video.max(self.audio)
    }

    /// What comes from now on is of another stream.
    pub fn begin(&mut self) {
        self.active = self.newest() > i64::MIN;
        self.first = self.video > i64::MIN;
        self.first_sound = self.audio > i64::MIN;
        self.until = self.newest().saturating_add(LONG);
        self.further_before = self.further;
    }

    /// What is to be handed out of an item; nothing, if all of it is of before.
    pub fn pass(&mut self, item: Item) -> Option<Item> {
        if !self.active {
            self.note(&item);
            return Some(item);
        }
        match item {
            Item::Tracks(_) => Some(item),
            Item::Frame(frame) => self.fit(&frame).map(Item::Frame),
            Item::Burst(burst) => {
                let frames: Box<[Arc<Frame>]> = burst.frames.iter().filter_map(|frame| self.fit(frame)).collect();
                if frames.is_empty() {
                    return None;
                }
                Some(Item::Burst(Arc::new(Burst::new(burst.numbers.clone(), burst.version, frames))))
            }
        }
    }

    fn note(&mut self, item: &Item) {
        match item {
            Item::Tracks(_) => {}
            Item::Frame(frame) => {
                self.count(frame);
                self.note_picture(frame);
            }
            Item::Burst(burst) => {
                // The newest of each kind: audiences come here with every burst.
                let newest = |kind| burst.frames.iter().rev().find(|frame| frame.kind == kind && !frame.is_further());
                newest(Kind::Video).into_iter().chain(newest(Kind::Audio)).for_each(|frame| self.count(frame));
                if let Some(last) = burst.frames.iter().rev().find(|frame| frame.is_further()) {
                    self.count(last);
                }
                let pictures = burst.frames.iter().filter(|frame| frame.kind == Kind::Video);
                self.since_key.count(pictures.map(|picture| picture.key));
            }
        }
    }

    fn note_picture(&mut self, frame: &Frame) {
        if frame.kind == Kind::Video {
            self.since_key.count(std::iter::once(frame.key));
        }
    }

    fn count(&mut self, frame: &Frame) {
        match frame.kind {
            Kind::Video => self.video = frame.dts,
            Kind::Audio if frame.is_further() => self.further = frame.dts,
            Kind::Audio => self.audio = frame.dts,
            _ => {}
        }
    }

    fn fit(&mut self, frame: &Arc<Frame>) -> Option<Arc<Frame>> {
        self.note_picture(frame);
        match frame.kind {
            Kind::Video if frame.dts > self.video => {
                let near = self.video.saturating_add(NEAR);
                if std::mem::take(&mut self.first) && frame.dts > near {
                    self.video = near;
                    self.until = self.until.max(frame.dts.saturating_add(LONG));
                    return Some(Arc::new(frame.at(near)));
                }
                self.video = frame.dts;
                self.active = frame.dts <= self.until && self.audio > i64::MIN && self.active;
                Some(Arc::clone(frame))
            }
            Kind::Video => {
                self.first = false;
                self.video = self.video.saturating_add(STEP);
                Some(Arc::new(frame.at(self.video)))
            }
            // Each in its own time, but nothing is heard twice.
            Kind::Audio if frame.is_further() => {
                self.further = frame.dts.max(self.further);
                (frame.dts > self.further_before).then(|| Arc::clone(frame))
            }
            Kind::Audio if frame.dts > self.audio => {
                let near = self.audio.saturating_add(NEAR_SOUND);
                let early = std::mem::take(&mut self.first_sound) && frame.dts > near;
                self.audio = if early { near } else { frame.dts };
                // Without pictures nothing else is fitted in.
                self.active &= self.video > i64::MIN;
                Some(if early { Arc::new(frame.at(near)) } else { Arc::clone(frame) })
            }
            Kind::Audio => None,
            _ => Some(Arc::new(frame.at(frame.dts.max(self.newest())))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Codec;
    use bytes::Bytes;

    fn video(ms: i64, key: bool) -> Arc<Frame> {
        Arc::new(Frame::video(Codec::H264, ms * 1000, 0, key, Bytes::new()))
    }

    fn audio(ms: i64) -> Arc<Frame> {
        Arc::new(Frame::audio(Codec::Aac, ms * 1000, Bytes::new()))
    }

    fn burst(frames: &[Arc<Frame>]) -> Item {
        Item::Burst(Arc::new(Burst::new(0..0, 0, frames.into())))
    }

    fn times(item: Option<Item>) -> Vec<i64> {
        match item {
            Some(Item::Burst(burst)) => burst.frames.iter().map(|f| f.dts / 1000).collect(),
            Some(Item::Frame(frame)) => vec![frame.dts / 1000],
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_group_of_before_is_squeezed_and_what_follows_is_as_it_was() {
        let mut squeeze = Squeeze::new();
        let shared = burst(&[video(0, true), audio(5), video(900, false), audio(990), video(1000, false)]);
        assert_eq!(times(squeeze.pass(shared)), [0, 5, 900, 990, 1000]);
        squeeze.begin();
        let of_before = burst(&[video(800, true), audio(810), video(840, false), audio(985)]);
        assert_eq!(times(squeeze.pass(of_before)), [1001, 1002]);
        assert!(times(squeeze.pass(burst(&[audio(990)]))).is_empty(), "heard already");
        assert_eq!(
            times(squeeze.pass(burst(&[video(1000, false), audio(1010), video(1040, false)]))),
            [1003, 1010, 1040]
        );
        let later = burst(&[video(2080, false), audio(2090)]);
        squeeze.pass(later).unwrap();
        let same = burst(&[video(2120, false)]);
        let Item::Burst(before) = same.clone() else { panic!("a burst") };
        let Some(Item::Burst(after)) = squeeze.pass(same) else { panic!("a burst") };
        assert!(Arc::ptr_eq(&before, &after), "shared with the other readers again");
    }

    #[test]
    fn a_stream_of_sound_alone_is_shared_again_at_once() {
        let mut squeeze = Squeeze::new();
        squeeze.pass(Item::Frame(audio(1000))).unwrap();
        squeeze.begin();
        assert_eq!(times(squeeze.pass(burst(&[audio(990), audio(1010)]))), [1010]);
        assert!(!squeeze.active);
    }

    #[test]
    fn another_stream_follows_two_pictures_after_a_keyframe() {
        let mut squeeze = Squeeze::new();
        assert!(squeeze.since_key.may_change(), "nothing was handed out");
        let mut after = |item: Item| {
            squeeze.pass(item);
            squeeze.since_key.may_change()
        };
        assert!(!after(burst(&[video(0, true), audio(5), video(40, false)])));
        assert!(after(Item::Frame(video(80, false))));
        assert!(!after(burst(&[video(120, false), video(160, false), video(200, true), audio(205)])));
        assert!(!after(burst(&[audio(220), video(240, false), audio(250)])));
        assert!(after(burst(&[video(280, false)])));
        squeeze.begin();
        let mut after = |item: Item| {
            squeeze.pass(item);
            squeeze.since_key.may_change()
        };
        assert!(!after(burst(&[video(260, true)])), "squeezed in");
        assert!(after(burst(&[video(300, false), video(340, false), video(380, false)])));
    }

    #[test]
    fn a_gap_becomes_a_longer_first_picture() {
        let mut squeeze = Squeeze::new();
        assert_eq!(times(squeeze.pass(burst(&[video(0, true), audio(5), video(40, false)]))), [0, 5, 40]);
        squeeze.begin();
        let behind = burst(&[audio(190), video(200, true), audio(213), video(240, false)]);
        assert_eq!(times(squeeze.pass(behind)), [26, 73, 213, 240]);
        squeeze.begin();
        let far_behind = burst(&[video(5_000, true), video(5_040, false), audio(5_000), audio(5_023)]);
        assert_eq!(times(squeeze.pass(far_behind)), [273, 5_040, 234, 5_023]);
        squeeze.pass(burst(&[video(6_040, false)])).unwrap();
        assert!(!squeeze.active, "shared with the other readers again");
    }

    #[test]
    fn a_stream_without_sound_is_shared_again_at_once() {
        let mut squeeze = Squeeze::new();
        squeeze.pass(Item::Frame(video(1000, true))).unwrap();
        squeeze.begin();
        assert_eq!(times(squeeze.pass(Item::Frame(video(990, true)))), [1001]);
        assert_eq!(times(squeeze.pass(Item::Frame(video(1040, false)))), [1040]);
        assert!(!squeeze.active);
    }
}
