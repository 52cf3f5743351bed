//! What the server did in the last hour, a sample every few seconds: so that the console's graphs are there when it is
//! opened. Bounded; knows no HTTP.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use media::{Hub, Protocol};
use parking_lot::Mutex;
use serde::Serialize;

use crate::usage::Usage;
use rooms::Rooms;
use store::clock::Clock;

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
    /// Those whose publisher sends several sizes.
    pub layered: u64,
    /// Viewers of these that are sent the largest size that flows.
    pub largest: u64,
    /// Viewers of these that are sent a smaller one.
    pub smaller: u64,
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
            if hub.is_layered(&stream.name) {
                all.layered += 1;
                let mut layers = hub.layers(&stream.name);
                all.largest += layers.pop().map_or(0, |largest| u64::from(largest.viewers));
                all.smaller += layers.iter().map(|layer| u64::from(layer.viewers)).sum::<u64>();
            }
        }
        all
    }
}

/// Looks at the server, and keeps what it saw in the last hour.
pub struct Figures {
    hub: Hub,
    rooms: Arc<Rooms>,
    chat: Arc<chat::Hub>,
    clock: Arc<dyn Clock>,
    kept: History,
}

impl Figures {
    /// Of these parts; nothing was seen yet.
    #[must_use]
    pub fn new(hub: Hub, rooms: Arc<Rooms>, chat: Arc<chat::Hub>, clock: Arc<dyn Clock>) -> Self {
        Self { hub, rooms, chat, clock, kept: History::default() }
    }

    /// The server at this moment.
    #[must_use]
    pub fn now(&self) -> Sample {
        let streams = Streams::of(&self.hub);
        let process = Usage::now();
        Sample {
            memory: process.resident,
            cpu_seconds: process.cpu,
            at: self.clock.now().0,
            rooms: self.rooms.count(),
            streams: streams.by.iter().sum(),
            viewers: streams.viewers,
            chat: self.chat.connections(),
            bits_in: streams.bits_in,
            bits_out: streams.bits_out,
        }
    }

    /// The samples of the last hour, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Sample> {
        self.kept.all()
    }

    /// Takes samples for as long as the server runs.
    pub async fn keep(self: Arc<Self>) {
        let mut beat = tokio::time::interval(EVERY);
        loop {
            beat.tick().await;
            self.kept.add(self.now());
        }
    }
}

/// The samples of the last hour.
#[derive(Debug, Default)]
struct History(Mutex<VecDeque<Sample>>);

impl History {
    /// Adds one; the oldest goes.
    fn add(&self, sample: Sample) {
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    fn all(&self) -> Vec<Sample> {
        self.0.lock().iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let history = History::default();
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
            history.add(sample(at));
        }
        let all = history.all();
        assert_eq!((all.len(), all[0].at, all[KEPT - 1].at), (KEPT, 3, KEPT as u64 + 2));
    }
}
