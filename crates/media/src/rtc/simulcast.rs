//! A publisher that sends its pictures in several sizes. The stream itself carries the largest that flows; each size is a
//! layer beside it, for viewers whose network carries no more. Knows no sockets and no viewers.

use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::VideoInfo;
use crate::ended::Ended;
use crate::frame::{Codec, Frame, Kind};
use crate::hub::{Hub, Origin, Publisher};

/// The shown layer gives way to a smaller one when it was silent for this long.
const SILENT: Duration = Duration::from_secs(1);
/// A key picture is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The layers of one publisher.
pub(super) struct Simulcast {
    hub: Hub,
    origin: Origin,
    lanes: Vec<Lane>,
    shown: Option<usize>,
}

#[derive(Default)]
struct Lane {
    publisher: Option<Publisher>,
    config: Option<(Codec, Bytes)>,
    /// Pixels of a picture.
    size: u64,
    last: Option<Instant>,
    asked: Option<Instant>,
}

impl Simulcast {
    /// No layer is known yet.
    pub fn new(hub: Hub, origin: Origin) -> Self {
        Simulcast { hub, origin, lanes: Vec::new(), shown: None }
    }

    /// The layer that the stream carries now.
    pub fn shown(&self) -> Option<usize> {
        self.shown
    }

    /// Takes a frame of layer `number`, whose time is the publisher's, for the stream `main` and for the layer itself.
    pub fn push(&mut self, number: usize, frame: Frame, main: &Publisher, now: Instant) -> Result<(), Ended> {
        while self.lanes.len() <= number {
            self.lanes.push(Lane::default());
        }
        if frame.kind == Kind::VideoConfig {
            let info = VideoInfo::of(frame.codec, &frame.payload);
            let lane = &mut self.lanes[number];
            lane.size = u64::from(info.width) * u64::from(info.height);
            lane.config = Some((frame.codec, frame.payload));
            return Ok(());
        }
        self.lanes[number].last = Some(now);
        if frame.key && self.is_better(number, now) {
            self.shown = Some(number);
        }
        let lane = &mut self.lanes[number];
        let config = lane.config.clone().filter(|_| frame.key);
        let config = config.map(|(codec, config)| Frame::config(codec, frame.dts, config));
        if self.shown == Some(number) {
            if let Some(config) = &config {
                main.push(config.at(config.dts))?;
            }
            main.push(frame.at(frame.dts))?;
        }
        // On the stream's time, so that viewers change over without a step; it is known once the stream has begun.
        let Some(at) = main.offset().map(|offset| frame.dts.saturating_add(offset)) else { return Ok(()) };
        if frame.key && lane.publisher.is_none() {
            lane.publisher = self.hub.publish_layer(main.name(), number, self.origin, at).ok();
        }
        if let Some(publisher) = &lane.publisher {
            // A viewer whose layer alone ended is not refused the stream.
            let pushed = config.map_or(Ok(()), |config| publisher.push(config));
            if pushed.and_then(|()| publisher.push(frame.at(at))).is_err() {
                lane.publisher = None;
            }
        }
        Ok(())
    }

    /// Whether the stream is to carry this layer from now on.
    fn is_better(&self, number: usize, now: Instant) -> bool {
        let Some(shown) = self.shown else { return true };
        let flows = |lane: &Lane| lane.last.is_some_and(|at| now.saturating_duration_since(at) < SILENT);
        number != shown && (self.lanes[number].size > self.lanes[shown].size || !flows(&self.lanes[shown]))
    }

    /// Layers of which a key picture is to be asked for now, because a viewer wants one or the shown layer fell silent.
    pub fn wanted_keys(&mut self, now: Instant) -> Vec<usize> {
        let better: Vec<bool> = (0..self.lanes.len()).map(|n| self.is_better(n, now)).collect();
        let mut wanted = Vec::new();
        for (number, (lane, better)) in self.lanes.iter_mut().zip(better).enumerate() {
            let asked = lane.publisher.as_ref().is_some_and(is_key_wanted);
            let flows = lane.last.is_some_and(|at| now.saturating_duration_since(at) < SILENT);
            let due = lane.asked.is_none_or(|at| now.saturating_duration_since(at) >= ASK_AGAIN);
            if (asked || better && flows) && due {
                lane.asked = Some(now);
                wanted.push(number);
            }
        }
        wanted
    }

    /// Ends the layers.
    pub fn finish(&mut self, reason: &Ended) {
        for publisher in self.lanes.drain(..).filter_map(|lane| lane.publisher) {
            publisher.finish(reason.clone());
        }
    }
}

/// Whether a reader asked for a key picture since the last time.
fn is_key_wanted(publisher: &Publisher) -> bool {
    let wanted = std::pin::pin!(publisher.key_wanted());
    wanted.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}
