//! The group of pictures that a viewer began with, of a stream whose pictures have stood still since. It is sent again until it has
//! arrived: it goes out at the very end of the handshake, when some players cannot open packets yet, and only a packet behind a lost
//! one shows that it is lost. Who has its end alone asks for a keyframe, and is sent it once more. Pure.

use std::time::{Duration, Instant};

use super::feed::Shared;

/// It is sent again after these pauses unless its end has arrived.
const REPEATED: [Duration; 3] = [Duration::from_millis(300), Duration::from_millis(700), Duration::from_secs(2)];
/// It is sent again at most so often, however often a player asks.
const MOST_TIMES: usize = 10;
/// So many bytes are sent again at most, but for one more time.
const MOST_BYTES: usize = 4_000_000;
/// A group of more bytes is sent again to who asks alone.
const MOST_UNASKED: usize = 1_000_000;
/// Pictures are a millisecond apart: a browser decodes them all and shows the last.
pub const APART: i64 = 1_000;

/// The group, and what has become of it.
pub struct Still {
    group: Vec<Shared>,
    bytes: usize,
    /// The stream's time of its end when it was sent first, and when that was.
    end: i64,
    began: Instant,
    /// When it was last sent, and when it is to be sent again.
    sent: Instant,
    due: Option<Instant>,
    times: usize,
    /// The player asks for a keyframe, so that it arrived is not enough.
    asked: bool,
}

impl Still {
    /// Was sent now, with this stream time at its end.
    pub fn new(group: Vec<Shared>, end: i64, now: Instant) -> Self {
        let bytes = group.iter().map(Shared::picture_bytes).sum();
        let due = (bytes <= MOST_UNASKED).then(|| now + REPEATED[0]);
        Still { group, bytes, end, began: now, sent: now, due, times: 0, asked: false }
    }

    /// When it is to be sent again.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Its pictures and their times when sent now: players reckon with time that passes on the stream as it does here.
    pub fn pictures(&self, now: Instant) -> impl Iterator<Item = (&Shared, i64)> {
        let passed = now.saturating_duration_since(self.began).as_micros();
        let end = self.end.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
        let before = (0..self.group.len() as i64).rev();
        self.group.iter().zip(before.map(move |before| end.saturating_sub(before * APART)))
    }

    /// It was sent again.
    pub fn went(&mut self, now: Instant) {
        self.times += 1;
        self.sent = now;
        self.asked = false;
        let pause = REPEATED.get(self.times).filter(|_| self.bytes <= MOST_UNASKED);
        self.due = pause.map(|pause| now + *pause);
    }

    /// It could not be sent: what was sent before is still on its way.
    pub fn waits(&mut self, now: Instant) {
        self.due = Some(now + REPEATED[0] / 3);
    }

    /// The player has its end.
    pub fn arrived(&mut self) {
        if !self.asked {
            self.due = None;
        }
    }

    /// The player asks for a keyframe.
    pub fn asked(&mut self, now: Instant) {
        if self.times < MOST_TIMES && self.times * self.bytes < MOST_BYTES {
            self.asked = true;
            let soon = now.max(self.sent + REPEATED[0]);
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
    }
}
