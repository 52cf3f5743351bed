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
const IN_ORDER: &str = "inorder";

/// The name of a stream's overlay, which is also that of its renditions (`name#aac`).
pub(super) fn name(home: &StreamName) -> StreamName {
    let first = home.home();
    // A rendition in order has renditions of its own.
    let second = first.as_ref().filter(|first| is_in_order(first)).and_then(StreamName::home);
    second.as_ref().or(first.as_ref()).unwrap_or(home).derived(TAG)
}

/// The name of the rendition of a stream whose pictures are in presentation order.
pub(crate) fn in_order(home: &StreamName) -> StreamName {
    home.derived(IN_ORDER)
}

fn is_in_order(name: &StreamName) -> bool {
    name.home().is_some_and(|home| in_order(&home) == *name)
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
    let forms = |name: StreamName| [name.derived("aac"), name.derived("opus"), name];
    let names = home(&over.name).into_iter().flat_map(move |home| [in_order(&home), home].into_iter().flat_map(forms));
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

    /// Publishes a rendition of another stream, with frames of another clock: its time continues that stream's. Must be called
    /// within a tokio runtime.
    pub fn publish_within(&self, name: &StreamName, origin: Origin) -> Result<Publisher, Busy> {
        let home = name.home().and_then(|home| self.get(&home));
        let start = home.map_or(0, |home| home.state.lock().clock());
        self.publish_from(name, origin, Timeline::starting(start))
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
