//! What the hub did since its start, over all streams: atomics that all tasks add to, and a snapshot of them. Knows no
//! streams and no protocols beyond their number.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::name::Protocol;

const PROTOCOLS: usize = Protocol::ALL.len();

/// A snapshot of what the hub did, over all streams. Streams that this server makes of others (renditions, mixes) count
/// by their viewers only, and those at the stream that was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// By protocol, in the order of [`Protocol::ALL`].
    pub protocols: [Traffic; PROTOCOLS],
    /// Frames that came since the start.
    pub frames: u64,
    /// Frames that slow readers were skipped over since the start.
    pub dropped: u64,
    /// How often a slow reader was skipped forward since the start.
    pub skips: u64,
    /// Readers since the start that wanted a group of pictures and had to wait for the next key frame.
    pub gop_waits: u64,
    /// Viewers since the start that were refused, because their stream had as many as it may.
    pub refused: u64,
    /// Streams now, without those that this server makes of others.
    pub streams: u64,
}

impl Figures {
    /// Those of one protocol.
    pub fn of(&self, protocol: Protocol) -> Traffic {
        self.protocols[protocol.index()]
    }
}

/// What went over one protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Payload bytes that publishers sent since the start.
    pub bytes_in: u64,
    /// Bytes written to viewers since the start, as the protocol reported them.
    pub bytes_out: u64,
    /// Viewers now.
    pub viewers: u64,
    /// Viewers that came since the start.
    pub joined: u64,
}

/// The counters behind [`Figures`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub frames: AtomicU64,
    pub dropped: AtomicU64,
    pub skips: AtomicU64,
    pub gop_waits: AtomicU64,
    refused: AtomicU64,
    bytes_in: [AtomicU64; PROTOCOLS],
    bytes_out: [AtomicU64; PROTOCOLS],
    joined: [AtomicU64; PROTOCOLS],
    left: [AtomicU64; PROTOCOLS],
}

impl Tally {
    pub fn came(&self, protocol: Protocol, bytes: usize) {
        self.frames.fetch_add(1, Relaxed);
        self.bytes_in[protocol.index()].fetch_add(bytes as u64, Relaxed);
    }

    pub fn went(&self, protocol: Protocol, bytes: u64) {
        self.bytes_out[protocol.index()].fetch_add(bytes, Relaxed);
    }

    pub fn joined(&self, protocol: Protocol) {
        self.joined[protocol.index()].fetch_add(1, Relaxed);
    }

    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub fn left(&self, protocol: Protocol) {
        self.left[protocol.index()].fetch_add(1, Relaxed);
    }

    /// A reader came only to look.
    pub fn withdrew(&self, protocol: Protocol) {
        self.joined[protocol.index()].fetch_sub(1, Relaxed);
    }

    pub fn skipped(&self, frames: u64) {
        self.skips.fetch_add(1, Relaxed);
        self.dropped.fetch_add(frames, Relaxed);
    }

    pub fn snapshot(&self, streams: u64) -> Figures {
        let traffic = |i: usize| {
            // In this order, so that no reader is seen to leave that was not seen to come.
            let left = self.left[i].load(Relaxed);
            let joined = self.joined[i].load(Relaxed);
            Traffic {
                bytes_in: self.bytes_in[i].load(Relaxed),
                bytes_out: self.bytes_out[i].load(Relaxed),
                viewers: joined.saturating_sub(left),
                joined,
            }
        };
        Figures {
            protocols: std::array::from_fn(traffic),
            frames: self.frames.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            skips: self.skips.load(Relaxed),
            gop_waits: self.gop_waits.load(Relaxed),
            refused: self.refused.load(Relaxed),
            streams,
        }
    }
}
