//! Where the tracks of a stream stand: what says whether a frame continues them, and where to cut.

use std::sync::Arc;

use crate::frame::{Frame, Kind};

/// A step in the timestamps beyond this is a break: the publisher was away. Microseconds.
const BREAK: i64 = 1_500_000;
/// How long a frame is taken for that nothing followed. Microseconds.
const LAST: i64 = 40_000;
/// Pictures are taken to come no closer than this. Microseconds.
const CLOSEST: i64 = 20_000;

/// The newest times, in microseconds.
#[derive(Default)]
pub(super) struct Heads {
    pub video: Option<i64>,
    pub audio: Option<i64>,
    /// How far the sound was ahead of the newest picture.
    pub ahead: i64,
    /// How long the last group of pictures was.
    pub group: Option<i64>,
    /// The newest keyframe.
    pub key: Option<i64>,
}

impl Heads {
    /// Whether this frame continues nothing. Judged by its own track, and by both: pictures may pause while sound goes on,
    /// and the two may be stamped seconds apart.
    pub fn is_break(&self, frame: &Frame) -> bool {
        let far = |from: Option<i64>| from.is_some_and(|from| (frame.dts - from).abs() > BREAK);
        far(self.own(frame)) && far(self.video.max(self.audio))
    }

    /// The step from the frame before, of the same track; what the next one is expected to be.
    pub fn step(&self, frame: &Frame) -> i64 {
        let step = self.own(frame).map_or(0, |last| (frame.dts - last).max(0));
        if frame.kind == Kind::Video { step.max(CLOSEST) } else { step }
    }

    /// Takes note of a frame.
    pub fn met(&mut self, frame: &Frame) {
        let dts = frame.dts;
        if frame.kind == Kind::Audio {
            if self.audio.is_none() {
                self.ahead = self.video.map_or(0, |video| (dts - video).max(0));
            }
            self.audio = self.audio.max(Some(dts));
            return;
        }
        self.video = Some(dts);
        self.ahead = self.audio.map_or(0, |audio| (audio - dts).max(0));
        if frame.key {
            self.group = self.key.map(|key| dts - key).or(self.group);
            self.key = Some(dts);
        }
    }

    /// What follows is another clock's.
    pub fn interrupt(&mut self) {
        *self = Heads { group: self.group, ..Heads::default() };
    }

    /// Where the stream ends if nothing follows.
    pub fn end(&self) -> Option<i64> {
        let sound = self.audio.map(|audio| audio - self.ahead);
        self.video.max(sound).map(|last| last.saturating_add(LAST))
    }

    fn own(&self, frame: &Frame) -> Option<i64> {
        if frame.kind == Kind::Video { self.video } else { self.audio }
    }
}

/// The whole millisecond at or before this time, in microseconds. All that begins a part is at one, in the stream's time and in that of
/// segments: lengths in playlists are exact then, where shaka 5.2 loses pictures up to the next keyframe if they add up to another
/// time than a part has; and players that move a first picture to 0 do not move it before that, where browsers drop it with all
/// that lean on it (seen with video.js 8.24).
pub(super) fn in_step(at: i64) -> i64 {
    at - at.rem_euclid(1_000)
}

/// A picture of a finer clock.
pub(super) fn in_milliseconds(frame: &Frame) -> Option<Arc<Frame>> {
    let at = in_step(frame.dts);
    (frame.kind == Kind::Video && at != frame.dts).then(|| Arc::new(frame.at(at)))
}
