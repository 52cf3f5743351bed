//! What players in browsers are shown before pictures change their size or form. Knows no time but that of the frames, save for how long
//! a configuration waits.
//!
//! mpegts.js 1.8 and flv.js 1.6 hold back one or two pictures until the next come, and hand them on behind the configuration
//! that came meanwhile: Media Source Extensions drop them there, as nothing that leans on another picture follows a
//! configuration. Where two are missing Chromium 156 sees a gap, and stands still for good. A keyframe is not dropped there, and ends
//! the player. Those two players never decode the last picture before a configuration; others do, and one that is counted as the
//! picture before it ends them.
//! xgplayer-flv 3.0 takes what the network gives it at a time for pictures of the last configuration in it: a keyframe of the one before
//! ends it, other pictures are missing. So a configuration comes some time after them, and with what follows it.

use std::sync::Arc;
use std::time::Duration;

use super::Form;
use crate::codec::once_more::once_more;
use crate::frame::{Codec, Frame, Kind};

/// How long after the picture before it one is shown that is there to be dropped, in microseconds.
const STEP: i64 = 1_000;
/// How long after them another configuration comes.
pub(super) const PAUSE: Duration = Duration::from_millis(60);
/// No more often than this: who watches a publisher that changes with every picture is not left behind.
pub(super) const SELDOM: Duration = Duration::from_secs(1);

/// Gives the last picture once more, for that to be held back and dropped; behind a keyframe, twice.
#[derive(Default)]
pub(super) struct Parting {
    config: Option<Arc<Frame>>,
    /// The last picture that leans on another: a keyframe would not be dropped, and end the player.
    leaning: Option<Arc<Frame>>,
    /// Time of the last picture.
    last: i64,
    /// That was a keyframe.
    is_key: bool,
}

impl Parting {
    /// Remembers what is sent.
    pub fn pass(&mut self, frame: &Arc<Frame>) {
        if frame.kind == Kind::Video {
            self.last = frame.dts;
            self.is_key = frame.key;
            if !frame.key {
                self.leaning = Some(Arc::clone(frame));
            }
        }
    }

    /// What goes before this configuration, and then a [`PAUSE`]; `None` where it is that of before, or the first. `next`: when its
    /// first picture is shown, if that is known.
    pub fn before(&mut self, config: &Arc<Frame>, next: Option<i64>, form: Form) -> Option<Vec<Frame>> {
        let before = self.config.replace(Arc::clone(config)).filter(|before| before.payload != config.payload)?;
        let Some(picture) = self.leaning.take() else { return Some(Vec::new()) };
        let count = if self.is_key { 2 } else { 1 };
        let has_room = next.is_none_or(|next| next > self.last + count * STEP);
        let copy = |n: i64| {
            let payload = match before.codec {
                Codec::H264 => {
                    let behind_key = self.is_key.then_some(n as u32);
                    once_more(&before.payload, &picture.payload, behind_key)?
                }
                // Players of the older form decode all that comes.
                _ if form == Form::OldHevc => return None,
                _ => picture.payload.clone(),
            };
            Some(Frame::video(picture.codec, self.last + n * STEP, picture.cts, false, payload))
        };
        Some((1..=count).filter(|_| has_room).filter_map(copy).collect())
    }
}
