//! Counters that many threads add to all the time and that are read now and then: each thread adds to a part of its own,
//! so that no two cores fight over a cache line. Knows no names.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Most parts. Beyond so many cores some share one, which costs time and no correctness.
const MOST: usize = 16;
/// Counters of a cache line.
const LINE: usize = 8;

#[derive(Default)]
#[repr(align(64))]
struct Line([AtomicU64; LINE]);

/// A row of counters.
pub struct ShardedCounters {
    /// Lines of a part.
    lines: usize,
    cells: Box<[Line]>,
}

impl ShardedCounters {
    /// So many counters.
    pub fn new(width: usize) -> Self {
        let lines = width.div_ceil(LINE);
        Self { lines, cells: (0..lines * parts()).map(|_| Line::default()).collect() }
    }

    /// Adds to some of them. Those there are not are left out.
    pub fn add<const N: usize>(&self, columns: [(usize, u64); N]) {
        let part = part() * self.lines;
        for (column, n) in columns {
            if let Some(line) = self.cells.get(part + column / LINE) {
                line.0[column % LINE].fetch_add(n, Ordering::Relaxed);
            }
        }
    }

    /// The sum of all parts of one.
    pub fn sum(&self, column: usize) -> u64 {
        let lines = self.cells.iter().skip(column / LINE).step_by(self.lines);
        lines.fold(0, |sum, line| sum.wrapping_add(line.0[column % LINE].load(Ordering::Relaxed)))
    }
}

fn parts() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(MOST)
}

/// The part of this thread. Threads take turns, so that those of the runtime, which start together, get one each.
fn part() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    static PARTS: std::sync::LazyLock<usize> = std::sync::LazyLock::new(parts);
    const NONE: usize = usize::MAX;
    thread_local!(static MINE: Cell<usize> = const { Cell::new(NONE) });
    MINE.with(|mine| {
        if mine.get() == NONE {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % *PARTS);
        }
        mine.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_threads_added_is_there() {
        let tally = ShardedCounters::new(19);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| tally.add([(0, 1), (18, 2)])));
            }
        });
        assert_eq!((tally.sum(0), tally.sum(18), tally.sum(1)), (8_000, 16_000, 0));
    }
}
