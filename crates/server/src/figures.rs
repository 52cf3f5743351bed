//! What the server did in the last hour, a sample every few seconds: so that the console's graphs are there when it is
//! opened. Bounded; knows no HTTP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::app::App;

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
    pub streams: usize,
    /// Viewers of all streams.
    pub viewers: u64,
    /// Chat connections.
    pub chat: usize,
    /// Payload bits a second from publishers.
    pub bits_in: u64,
    /// Bits a second to viewers.
    pub bits_out: u64,
}

impl Sample {
    /// Looks at the server.
    #[must_use]
    pub fn of(app: &App) -> Self {
        let mut sample = Self {
            at: app.clock.now().0,
            rooms: app.rooms.count(),
            streams: 0,
            viewers: 0,
            chat: app.chat.connections(),
            bits_in: 0,
            bits_out: 0,
        };
        for stream in app.hub.list() {
            sample.streams += 1;
            sample.viewers = sample.viewers.saturating_add(stream.viewers().into());
            sample.bits_in = sample.bits_in.saturating_add(stream.bitrate_in);
            sample.bits_out = sample.bits_out.saturating_add(stream.bitrate_out);
        }
        sample
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
        let sample = |at| Sample { at, rooms: 0, streams: 0, viewers: 0, chat: 0, bits_in: 0, bits_out: 0 };
        for at in 0..KEPT as u64 + 3 {
            figures.add(sample(at));
        }
        let all = figures.all();
        assert_eq!((all.len(), all[0].at, all[KEPT - 1].at), (KEPT, 3, KEPT as u64 + 2));
    }
}
