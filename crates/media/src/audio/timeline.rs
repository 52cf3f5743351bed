//! Where audio lies in time: turns blocks with times of their own into one unbroken run of samples. Knows no codecs.

use super::RATE;

/// Jumps of more than this, in moments (40 ms), are repaired at once.
const JUMP: i64 = 1_920;
/// Jumps of more than this, in moments (5 s), start a new run.
const RESTART: i64 = 240_000;
/// A lasting offset of more than this, in moments (6 ms), is worn down slowly.
const DRIFT: i64 = 288;

/// The run of samples on its way to the encoder.
#[derive(Default)]
pub(super) struct Timeline {
    /// Time in microseconds of the run's first moment.
    start: Option<i64>,
    /// Moments put in since, and taken out.
    put: i64,
    taken: i64,
    /// Smoothed offset of the blocks' own times from the run, in 1/32 moments.
    offset: i64,
}

impl Timeline {
    /// Moments that lie between the end of the run and a block that is said to start at `at`; negative if they overlap.
    pub fn missing(&self, at: i64) -> i64 {
        let Some(start) = self.start else { return 0 };
        moments(at.saturating_sub(start)).saturating_sub(self.put)
    }

    /// Appends `block` (interleaved, `channels` wide) to `queue`, with silence before it or less of it as its time `at`
    /// wants. `queue` must hold what was put in and not yet taken.
    pub fn place(&mut self, at: i64, channels: usize, block: &mut Vec<f32>, queue: &mut Vec<f32>) {
        let missing = self.missing(at);
        if self.start.is_none() || missing.abs() > RESTART {
            // What waits in the queue belongs to the old run: it is less than one unit, and goes.
            queue.clear();
            *self = Timeline { start: Some(at), ..Timeline::default() };
        } else if missing > JUMP {
            queue.resize(queue.len() + missing as usize * channels, 0.0);
            self.put += missing;
            self.offset = 0;
        } else if missing < -JUMP {
            let cut = (missing.unsigned_abs() as usize * channels).min(block.len());
            block.drain(..cut);
            // If all of it went, the next one is as early and is cut again, until the run is where it should be.
            self.offset = 0;
        } else {
            self.offset += missing - self.offset / 32;
            self.stretch(channels, block);
        }
        self.put += (block.len() / channels) as i64;
        queue.append(block);
    }

    /// Notes that `unit` moments leave the queue. Returns the time in microseconds of what a decoder will give for
    /// them, `delay` moments late.
    pub fn taken(&mut self, unit: usize, delay: usize) -> i64 {
        let at = self.start.unwrap_or(0).saturating_add(micros(self.taken - delay as i64));
        self.taken += unit as i64;
        at
    }

    /// Makes the block one moment longer or shorter when the run has drifted: 0.1 % of pitch, which nobody hears.
    fn stretch(&mut self, channels: usize, block: &mut Vec<f32>) {
        let have = block.len() / channels;
        let step: i64 = match self.offset / 32 {
            offset if offset > DRIFT => 1,
            offset if offset < -DRIFT => -1,
            _ => return,
        };
        if have < 256 {
            return;
        }
        let want = (have as i64 + step) as usize;
        let ratio = (have - 1) as f32 / (want - 1) as f32;
        let mut stretched = Vec::with_capacity(want * channels);
        for i in 0..want {
            let place = i as f32 * ratio;
            let left = (place as usize).min(have - 1);
            let right = (left + 1).min(have - 1);
            let weight = place - left as f32;
            for c in 0..channels {
                let l = block[left * channels + c];
                let r = block[right * channels + c];
                stretched.push(l + (r - l) * weight);
            }
        }
        *block = stretched;
    }
}

fn moments(micros: i64) -> i64 {
    (i128::from(micros) * i128::from(RATE) / 1_000_000) as i64
}

fn micros(moments: i64) -> i64 {
    (i128::from(moments) * 1_000_000 / i128::from(RATE)) as i64
}
