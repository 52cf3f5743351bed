//! How far behind each URL is, for operators. Knows nothing of how events are sent.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use room::Millis;

use telemetry::shown;

/// How far behind a URL is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// The URL, without what is secret in it.
    pub url: String,
    /// Rooms whose events wait because one of them is refused.
    pub rooms: usize,
    /// Events that were read and are not accepted yet, given up, or left out.
    pub events: u64,
    /// When the oldest of them happened.
    pub oldest: Option<Millis>,
}

/// How far behind every URL is, by the name of its reader and the lane.
#[derive(Debug, Default)]
pub struct Progress(Mutex<BTreeMap<String, BTreeMap<usize, Behind>>>);

impl Progress {
    /// How a URL stands in a lane; all is well where nothing waits.
    pub(super) fn set(&self, reader: &str, lane: usize, mut behind: Behind) {
        behind.url = shown::url(&behind.url);
        self.0.lock().entry(reader.to_owned()).or_default().insert(lane, behind);
    }

    /// Forgets the URLs of all other readers.
    pub(super) fn keep(&self, readers: &[String]) {
        self.0.lock().retain(|reader, _| readers.contains(reader));
    }

    /// Every URL, with all its lanes together.
    #[must_use]
    pub fn all(&self) -> Vec<Behind> {
        let all = self.0.lock();
        let together = |lanes: &BTreeMap<usize, Behind>| Behind {
            url: lanes.values().next().map(|lane| lane.url.clone()).unwrap_or_default(),
            rooms: lanes.values().map(|lane| lane.rooms).sum(),
            events: lanes.values().map(|lane| lane.events).sum(),
            oldest: lanes.values().filter_map(|lane| lane.oldest).min(),
        };
        all.values().map(together).collect()
    }
}
