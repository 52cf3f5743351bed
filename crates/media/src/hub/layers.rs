//! The layers of a simulcast publisher: the same pictures in other sizes, each a stream beside the one that everybody reads,
//! in the same time. Knows no RIDs and no viewers.

use std::time::Duration;

use super::timeline::Timeline;
use super::{Busy, Hub, Origin, Publisher};
use crate::name::StreamName;

/// Most layers of a stream.
pub const MOST_LAYERS: usize = 4;
/// A layer that had no frame for this long does not flow: its publisher has no bandwidth for it now.
const FLOWS: Duration = Duration::from_secs(1);

/// A layer that flows.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its number, below [`MOST_LAYERS`].
    pub number: usize,
    /// The stream to read.
    pub name: StreamName,
    /// Bits a second; 0 while that is not known yet.
    pub bitrate: u64,
    /// Pixels of its pictures; 0 while they are not known yet.
    pub width: u32,
    /// See `width`.
    pub height: u32,
    /// Pictures a second.
    pub frame_rate: f32,
    /// Viewers that are sent it now.
    pub viewers: u32,
}

impl Hub {
    /// Publishes layer `number` of `home`, whose first frame lies at `start` microseconds of the stream's time. Must be called
    /// within a tokio runtime.
    pub fn publish_layer(
        &self,
        home: &StreamName,
        number: usize,
        origin: Origin,
        start: i64,
    ) -> Result<Publisher, Busy> {
        self.publish_from(&name(home, number), origin, Timeline::starting(start))
    }

    /// Whether the stream's publisher sends, or is about to send, several sizes.
    pub fn is_layered(&self, home: &StreamName) -> bool {
        self.get(home).is_some_and(|stream| stream.state.lock().layered)
    }

    /// The layers of a stream that flow, the smallest first; none of a stream without simulcast.
    pub fn layers(&self, home: &StreamName) -> Vec<Layer> {
        let Some(stream) = self.get(home) else { return Vec::new() };
        let mut layers: Vec<Layer> = (0..MOST_LAYERS)
            .filter_map(|number| {
                let name = name(home, number);
                let info = self.info(&name).filter(|info| info.silent < FLOWS)?;
                let video = info.video.as_ref();
                Some(Layer {
                    number,
                    name,
                    bitrate: info.bitrate_in,
                    width: video.map_or(0, |video| video.width),
                    height: video.map_or(0, |video| video.height),
                    frame_rate: info.frame_rate,
                    viewers: 0,
                })
            })
            .collect();
        layers.sort_by_key(|layer| layer.bitrate);
        let state = stream.state.lock();
        layers.iter_mut().for_each(|layer| layer.viewers = state.readers.sent_layer(layer.number));
        // Who is sent the stream itself is sent the largest, unless a mix lies over it.
        if state.overlay.is_none()
            && let Some(largest) = layers.last_mut()
        {
            largest.viewers = largest.viewers.saturating_add(state.readers.sent_stream());
        }
        layers
    }
}

fn name(home: &StreamName, number: usize) -> StreamName {
    home.derived(&format!("layer{number}"))
}

impl Publisher {
    /// Says that there are going to be layers of the stream, for viewers who come before they flow.
    pub fn will_have_layers(&self) {
        self.stream.state.lock().layered = true;
    }

    /// The stream's time of pictures minus the publisher's, in microseconds, once one came.
    pub fn offset(&self) -> Option<i64> {
        self.stream.state.lock().offset()
    }
}
