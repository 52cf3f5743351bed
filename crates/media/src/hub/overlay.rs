//! A stream shown to the audience in place of another: a mix in place of its creator's picture. Viewers change over at a key
//! frame, without a new connection and without a step back in time; co-anchors and the mixer itself go on reading the
//! stream as it is.

use std::collections::HashMap;
use std::sync::Arc;

use super::stream::{Stream, wake};
use super::{Busy, Hub, Origin, Publisher};
use crate::name::{Protocol, StreamName};

/// What is put between the time of a stream and that of its overlay, so that viewers who change over do not step back, in
/// microseconds.
const LEAD: i64 = 250_000;
const TAG: &str = "mix";

/// The name of a stream's overlay.
pub(super) fn name(home: &StreamName) -> StreamName {
    home.derived(TAG)
}

/// Whether readers of this protocol are an audience, which overlays are made for.
pub(super) fn follows(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::HttpFlv | Protocol::WsFlv | Protocol::Hls)
}

/// The overlay of a stream that is about to start.
pub(super) fn of(streams: &HashMap<StreamName, Arc<Stream>>, home: &StreamName) -> Option<Arc<Stream>> {
    if home.is_derived() { None } else { streams.get(&name(home)).cloned() }
}

/// A stream ended: if it was an overlay, what it lay over is seen again.
pub(super) fn lift(streams: &HashMap<StreamName, Arc<Stream>>, over: &Arc<Stream>) {
    let home = over.name.home().and_then(|home| streams.get(&home));
    if let Some(home) = home {
        let mut state = home.state.lock();
        if state.overlay.as_ref().is_some_and(|o| Arc::ptr_eq(o, over)) {
            let wakers = state.show(None);
            drop(state);
            wake(wakers);
        }
    }
}

impl Hub {
    /// Publishes a stream that the audience of `home` will see in its place, from [`Publisher::show`] until it ends. Its
    /// time continues that of `home`. Must be called within a tokio runtime.
    pub fn overlay(&self, home: &StreamName, origin: Origin) -> Result<Publisher, Busy> {
        let start = self.get(home).map_or(0, |s| s.state.lock().clock().saturating_add(LEAD));
        self.publish_from(&name(home), origin, start)
    }

    /// Whether the audience of `home` sees an overlay.
    pub fn is_overlaid(&self, home: &StreamName) -> bool {
        self.get(home).is_some_and(|s| s.state.lock().overlay.is_some())
    }
}

impl Publisher {
    /// Shows an overlay's stream to the audience. To be called once a key frame was pushed, so that there is something to
    /// see; nothing happens for other streams.
    pub fn show(&self) {
        let streams = self.hub.streams.read();
        let home = self.stream.name.home().and_then(|home| streams.get(&home).cloned());
        drop(streams);
        if let Some(home) = home {
            let wakers = home.state.lock().show(Some(Arc::clone(&self.stream)));
            wake(wakers);
        }
    }
}
