//! Whether the tracks of a stream flow: a track is what has frames, whatever was announced. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::frame::{Frame, Kind};
use crate::silence;

/// A track without frames for this long, while another has them, is no longer promised to those who come.
const SILENT: Duration = Duration::from_secs(5);
/// How long the first frame of a track is waited for where nothing can stand in its place.
const COMES: Duration = Duration::from_secs(1);

/// One track of one publisher.
#[derive(Default)]
pub(super) struct Flow {
    came: bool,
    announced: bool,
    /// Silence can stand in its place.
    fillable: bool,
    /// Since when another track has frames, and this one has none.
    alone: Option<Instant>,
}

/// The tracks of one publisher.
#[derive(Default)]
pub(super) struct Flows {
    pub video: Flow,
    pub audio: Flow,
}

impl Flows {
    /// A frame came.
    pub fn count(&mut self, frame: &Frame, now: Instant) {
        if frame.is_further() {
            return;
        }
        let (own, other) = match frame.kind {
            Kind::Video | Kind::VideoConfig => (&mut self.video, &mut self.audio),
            Kind::Audio | Kind::AudioConfig => (&mut self.audio, &mut self.video),
            Kind::Data => return,
        };
        own.announced = true;
        if frame.kind.is_config() {
            own.fillable = silence::frame(frame).is_some();
            return;
        }
        own.came = true;
        own.alone = None;
        other.alone.get_or_insert(now);
    }
}

impl Flow {
    /// Whether it flows, or may be about to.
    pub fn flows(&self, now: Instant) -> bool {
        let limit = if self.came || self.fillable { SILENT } else { COMES };
        self.alone.is_none_or(|since| now.saturating_duration_since(since) < limit)
    }

    /// Whether this publisher has no such track, though another had.
    pub fn is_gone(&self, now: Instant) -> bool {
        !self.announced && !self.flows(now)
    }
}
