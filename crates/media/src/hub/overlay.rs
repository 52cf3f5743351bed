//! A stream shown to the audience in place of another: a mix in place of its creator's picture. Viewers change over at a
//! keyframe, without a new connection and without a step or a gap in time; co-anchors and the mixer itself go on reading the
//! stream as it is.

use std::collections::HashMap;
use std::sync::Arc;

use super::stream::{Stream, wake};
use super::timeline::Timeline;
use super::{Busy, Hub, Origin, Publisher};
use crate::name::StreamName;

const TAG: &str = "mix";

/// The name of a stream's overlay, which is also that of its renditions (`name#aac`).
pub(super) fn name(home: &StreamName) -> StreamName {
    home.home().as_ref().unwrap_or(home).derived(TAG)
}

/// The stream that an overlay of this name is made for; `None` for other streams.
pub(super) fn home(over: &StreamName) -> Option<StreamName> {
    over.home().filter(|home| name(home) == *over)
}

/// The streams that an overlay lies over: the one it was made for, and its renditions.
fn under<'a>(
    streams: &'a HashMap<StreamName, Arc<Stream>>,
    over: &'a Arc<Stream>,
) -> impl Iterator<Item = &'a Arc<Stream>> {
    let names = home(&over.name).into_iter().flat_map(|home| [home.derived("aac"), home.derived("opus"), home]);
    names.filter_map(|name| streams.get(&name))
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
        let start = self.get(home).map_or(0, |s| s.state.lock().clock());
        self.publish_from(&name(home), origin, Timeline::starting(start))
    }

    /// Publishes a rendition of another stream, with frames that are stamped in that stream's time. Must be called within a
    /// tokio runtime.
    pub fn publish_beside(&self, name: &StreamName, origin: Origin) -> Result<Publisher, Busy> {
        self.publish_from(name, origin, Timeline::keeping())
    }

    /// The name of the stream that [`Hub::overlay`] publishes.
    pub fn overlay_name(home: &StreamName) -> StreamName {
        name(home)
    }

    /// Whether `home` is watched by readers that are shown its overlay, where there is one.
    pub fn has_audience(&self, home: &StreamName) -> bool {
        let watched = |name| self.get(name).is_some_and(|stream| stream.state.lock().readers.shown > 0);
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
