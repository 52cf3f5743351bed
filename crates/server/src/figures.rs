//! What the server did in the last hour, a sample every few seconds: so that the console's graphs are there when it is
//! opened. Bounded; knows no HTTP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use media::{Hub, Protocol};
use parking_lot::Mutex;
use serde::Serialize;

use crate::app::App;
use crate::usage::Usage;

/// Time between two samples.
const EVERY: Duration = Duration::from_secs(5);
/// Samples of an hour.
const KEPT: usize = 720;

/// The server at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Unix milliseconds.
    pub at: u64,
    /// Rooms, active or not.
    pub rooms: usize,
    /// Streams.
    pub streams: u64,
    /// Viewers of all streams.
    pub viewers: u64,
    /// Chat connections.
    pub chat: usize,
    /// Payload bits a second from publishers.
    pub bits_in: u64,
    /// Bits a second to viewers.
    pub bits_out: u64,
    /// Resident bytes of this process.
    pub memory: Option<u64>,
    /// Seconds of processor time that it has used.
    pub cpu_seconds: Option<f64>,
}

impl Sample {
    /// Looks at the server.
    #[must_use]
    pub fn of(app: &App) -> Self {
        let (streams, process) = (Streams::of(&app.hub), Usage::now());
        Self {
            memory: process.resident,
            cpu_seconds: process.cpu,
            at: app.clock.now().0,
            rooms: app.rooms.count(),
            streams: streams.by.iter().sum(),
            viewers: streams.viewers,
            chat: app.chat.connections(),
            bits_in: streams.bits_in,
            bits_out: streams.bits_out,
        }
    }
}

/// The streams at one moment, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// By the protocol of their publisher, in the order of [`Protocol::ALL`].
    pub by: [u64; Protocol::ALL.len()],
    /// Those whose publisher vanished and may come back.
    pub paused: u64,
    /// Viewers of all of them.
    pub viewers: u64,
    /// Payload bits a second from publishers.
    pub bits_in: u64,
    /// Bits a second to viewers.
    pub bits_out: u64,
}

impl Streams {
    /// Looks at all of them.
    #[must_use]
    pub fn of(hub: &Hub) -> Self {
        let mut all = Self::default();
        for stream in hub.list() {
            all.by[stream.protocol.index()] += 1;
            all.paused += u64::from(stream.paused);
            all.viewers = all.viewers.saturating_add(stream.viewers().into());
            all.bits_in = all.bits_in.saturating_add(stream.bitrate_in);
            all.bits_out = all.bits_out.saturating_add(stream.bitrate_out);
        }
        all
    }
}

/// The samples of the last hour.
#[derive(Debug, Default)]
pub struct Figures {
    kept: Mutex<VecDeque<Sample>>,
}

impl Figures {
    /// Adds one; the oldest goes.
    pub fn add(&self, sample: Sample) {
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Sample> {
        self.kept.lock().iter().copied().collect()
    }
}

/// Samples the server for as long as it runs.
pub async fn keep(app: Arc<App>) {
    let mut beat = tokio::time::interval(EVERY);
    loop {
        beat.tick().await;
        app.figures.add(Sample::of(&app));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let figures = Figures::default();
        let sample = |at| Sample {
            at,
            rooms: 0,
            streams: 0,
            viewers: 0,
            chat: 0,
            bits_in: 0,
            bits_out: 0,
            memory: None,
            cpu_seconds: None,
        };
        for at in 0..KEPT as u64 + 3 {
            figures.add(sample(at));
        }
        let all = figures.all();
        assert_eq!((all.len(), all[0].at, all[KEPT - 1].at), (KEPT, 3, KEPT as u64 + 2));
    }
}
