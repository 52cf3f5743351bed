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

/// The name of a stream's overlay, which is also that of its renditions (`name#aac`).
pub(super) fn name(home: &StreamName) -> StreamName {
    home.home().as_ref().unwrap_or(home).derived(TAG)
}

/// The streams that an overlay lies over: the one it was made for, and its renditions.
fn under<'a>(
    streams: &'a HashMap<StreamName, Arc<Stream>>,
    over: &'a Arc<Stream>,
) -> impl Iterator<Item = &'a Arc<Stream>> {
    let home = over.name.home().filter(|home| name(home) == over.name);
    let names = home.into_iter().flat_map(|home| [home.derived("aac"), home.derived("opus"), home]);
    names.filter_map(|name| streams.get(&name))
}

/// Whether readers of this protocol are an audience, which overlays are made for.
pub(super) fn follows(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::HttpFlv | Protocol::WsFlv | Protocol::Hls)
}

/// The overlay of a stream that is about to start.
pub(super) fn of(streams: &HashMap<StreamName, Arc<Stream>>, home: &StreamName) -> Option<Arc<Stream>> {
    let over = name(home);
    if over == *home { None } else { streams.get(&over).cloned() }
}

/// A stream ended: if it was an overlay, what it lay over is seen again.
pub(super) fn lift(streams: &HashMap<StreamName, Arc<Stream>>, over: &Arc<Stream>) {
    for home in under(streams, over) {
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

    /// Publishes a rendition of `source`, in the same time: its first frame is taken for that of the source's current group
    /// of pictures. Must be called within a tokio runtime.
    pub fn publish_beside(&self, source: &StreamName, name: &StreamName, origin: Origin) -> Result<Publisher, Busy> {
        let start = self.get(source).map_or(0, |s| s.state.lock().group_starts());
        self.publish_from(name, origin, start)
    }

    /// The name of the stream that [`Hub::overlay`] publishes.
    pub fn overlay_name(home: &StreamName) -> StreamName {
        name(home)
    }

    /// Whether somebody watches `home` who is shown its overlay, where there is one.
    pub fn has_audience(&self, home: &StreamName) -> bool {
        let watched =
            |name| self.info(name).is_some_and(|info| info.readers.iter().any(|(p, n)| follows(*p) && *n > 0));
        watched(home) || watched(&name(home))
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
        for home in under(&streams, &self.stream) {
            let wakers = home.state.lock().show(Some(Arc::clone(&self.stream)));
            wake(wakers);
        }
    }
}
