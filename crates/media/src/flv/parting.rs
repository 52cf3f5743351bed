//! What players in browsers are shown before pictures change their size or form. Knows no time but that of the frames.
//!
//! mpegts.js 1.8 and flv.js 1.6 hold back one or two pictures until the next come, and hand them on behind the configuration
//! that came meanwhile: Media Source Extensions drop them there, as nothing that leans on another picture follows a
//! configuration. Where two are missing Chromium 156 sees a gap, and stands still for good.

use std::sync::Arc;

use crate::frame::{Frame, Kind};

/// How long after the picture before it one is shown that is there to be dropped, in microseconds.
const STEP: i64 = 1_000;

/// Gives the last picture twice more, for those to be held back and dropped.
#[derive(Default)]
pub(super) struct Parting {
    config: Option<Arc<Frame>>,
    /// The last picture that leans on another: a keyframe would not be dropped, and end the player.
    leaning: Option<Arc<Frame>>,
    /// Time of the last picture.
    last: i64,
}

impl Parting {
    /// Remembers what is sent.
    pub fn pass(&mut self, frame: &Arc<Frame>) {
        if frame.kind == Kind::Video {
            self.last = frame.dts;
            if !frame.key {
                self.leaning = Some(Arc::clone(frame));
            }
        }
    }

    /// What goes before this configuration; nothing where it is that of before, or the first. `next`: when its first
    /// picture is shown, if that is known.
    pub fn before(&mut self, config: &Arc<Frame>, next: Option<i64>) -> Vec<Frame> {
        let before = self.config.replace(Arc::clone(config));
        let is_changed = before.is_some_and(|before| before.payload != config.payload);
        let has_room = next.is_none_or(|next| next > self.last + 2 * STEP);
        match self.leaning.take_if(|_| is_changed) {
            Some(picture) if has_room => vec![picture.at(self.last + STEP), picture.at(self.last + 2 * STEP)],
            _ => Vec::new(),
        }
    }
}
