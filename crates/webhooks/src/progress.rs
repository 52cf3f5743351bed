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

/// How far behind every URL is, by the name of its reader and the partition.
#[derive(Debug, Default)]
pub struct Progress(Mutex<BTreeMap<String, BTreeMap<usize, Behind>>>);

impl Progress {
    /// How a URL stands in a partition; all is well where nothing waits.
    pub(super) fn set(&self, reader: &str, partition: usize, mut behind: Behind) {
        behind.url = shown::url(&behind.url);
        self.0.lock().entry(reader.to_owned()).or_default().insert(partition, behind);
    }

    /// Forgets the URLs of all other readers.
    pub(super) fn keep(&self, readers: &[String]) {
        self.0.lock().retain(|reader, _| readers.contains(reader));
    }

    /// Every URL, with all its partitions together.
    #[must_use]
    pub fn all(&self) -> Vec<Behind> {
        let all = self.0.lock();
        let together = |partitions: &BTreeMap<usize, Behind>| Behind {
            url: partitions.values().next().map(|partition| partition.url.clone()).unwrap_or_default(),
            rooms: partitions.values().map(|partition| partition.rooms).sum(),
            events: partitions.values().map(|partition| partition.events).sum(),
            oldest: partitions.values().filter_map(|partition| partition.oldest).min(),
        };
        all.values().map(together).collect()
    }
}
