//! The one place that knows what time it is: the wall's, for what is shown and signed, and one that does not step, for what
//! is waited for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use room::Millis;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Unix time in milliseconds. It steps where the machine's clock is set.
    fn now(&self) -> Millis;

    /// Time that never steps and never runs back: heartbeats and other silence are measured by it. Begins as [`Clock::now`]
    /// and follows it slowly, so that nodes whose clocks agree agree here too. It stands still while the process does: a
    /// client that could not be received is not late.
    fn steady(&self) -> Millis;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Millis {
        Millis(wall_micros() / 1_000)
    }

    fn steady(&self) -> Millis {
        static STEADY: OnceLock<(Instant, Mutex<Slewed>)> = OnceLock::new();
        let (begun, slewed) = STEADY.get_or_init(|| (Instant::now(), Mutex::new(Slewed::at(wall_micros()))));
        let mut slewed = slewed.lock();
        let elapsed = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Millis(slewed.advance(elapsed, wall_micros()) / 1_000)
    }
}

/// A running server looks at its clock several times a second. Where it did not for so long, in microseconds, it stood still.
const STOOD_STILL: u64 = 3_000_000;

fn wall_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A clock that goes on with monotonic time and follows the wall's at a bounded rate: it runs at half to one and a half
/// times its speed while they differ. A member that sends heartbeats every 10 s of 20 s allowed stays. In microseconds.
#[derive(Debug)]
struct Slewed {
    shown: u64,
    elapsed: u64,
}

impl Slewed {
    const fn at(wall: u64) -> Self {
        Self { shown: wall, elapsed: 0 }
    }

    /// The time after so much monotonic time in all, while the wall shows this.
    fn advance(&mut self, elapsed: u64, wall: u64) -> u64 {
        let passed = elapsed.saturating_sub(self.elapsed);
        let passed = if passed > STOOD_STILL { 0 } else { passed };
        let plain = self.shown.saturating_add(passed);
        let most = passed / 2;
        self.shown = wall.clamp(plain.saturating_sub(most), plain.saturating_add(most));
        self.elapsed = self.elapsed.max(elapsed);
        self.shown
    }
}

/// The clock of a process on a simulated machine: time is the runtime's, and the machine's wall is set forward and back.
#[cfg(feature = "simulation")]
#[derive(Debug)]
pub struct Simulated {
    /// Microseconds that the wall is ahead of the runtime's time.
    wall: std::sync::Arc<std::sync::atomic::AtomicI64>,
    machine: tokio::time::Instant,
    begun: tokio::time::Instant,
    slewed: Mutex<Slewed>,
}

#[cfg(feature = "simulation")]
impl Simulated {
    /// The clock of a process that begins now, on a machine that began then.
    #[must_use]
    pub fn new(machine: tokio::time::Instant, wall: std::sync::Arc<std::sync::atomic::AtomicI64>) -> Self {
        let begun = tokio::time::Instant::now();
        let clock = Self { wall, machine, begun, slewed: Mutex::new(Slewed::at(0)) };
        *clock.slewed.lock() = Slewed::at(clock.wall_micros());
        clock
    }

    fn wall_micros(&self) -> u64 {
        let passed = u64::try_from(self.machine.elapsed().as_micros()).unwrap_or(u64::MAX);
        passed.saturating_add_signed(self.wall.load(Ordering::SeqCst))
    }
}

#[cfg(feature = "simulation")]
impl Clock for Simulated {
    fn now(&self) -> Millis {
        Millis(self.wall_micros() / 1_000)
    }

    fn steady(&self) -> Millis {
        if crate::mends::is_out(crate::mends::Mend::ClockIsSteady) {
            return self.now();
        }
        let elapsed = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Millis(self.slewed.lock().advance(elapsed, self.wall_micros()) / 1_000)
    }
}

/// A clock that is wound by hand.
#[derive(Debug)]
pub struct Manual {
    wall: AtomicU64,
    steady: AtomicU64,
}

impl Manual {
    /// Starts at this time.
    #[must_use]
    pub fn at(now: Millis) -> Self {
        Self { wall: AtomicU64::new(now.0), steady: AtomicU64::new(now.0) }
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.wall.fetch_add(ms, Ordering::SeqCst);
        self.steady.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the wall's clock: forward or back, in milliseconds. No time passes.
    pub fn step(&self, ms: i64) {
        self.wall.fetch_add(ms.cast_unsigned(), Ordering::SeqCst);
    }
}

impl Clock for Manual {
    fn now(&self) -> Millis {
        Millis(self.wall.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Millis {
        Millis(self.steady.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const HOUR: u64 = 3_600 * SECOND;

    /// Shows what a clock says second by second, and what the wall shows then.
    fn run(seconds: u64, wall: impl Fn(u64) -> u64) -> Vec<(u64, u64)> {
        let mut clock = Slewed::at(wall(0));
        (1..=seconds).map(|n| (clock.advance(n * SECOND, wall(n)), wall(n))).collect()
    }

    #[test]
    fn the_wall_is_followed_while_it_does_not_step() {
        assert!(run(100, |n| HOUR + n * SECOND).iter().all(|(shown, wall)| shown == wall));
    }

    #[test]
    fn a_step_forward_is_made_up_for_at_one_and_a_half_times_the_speed() {
        let seen = run(90, |n| HOUR + n * SECOND + if n > 10 { 30 * SECOND } else { 0 });
        let steps = seen.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(steps.clone().all(|step| (SECOND..=SECOND * 3 / 2).contains(&step)));
        assert_eq!(seen[68].0 + SECOND / 2, seen[68].1, "nearly there after 59 s");
        assert_eq!(seen[69].0, seen[69].1, "there after a minute");
    }

    #[test]
    fn a_step_back_never_shows_a_time_again() {
        let seen = run(2 * 3_600 + 20, |n| 2 * HOUR + n * SECOND - if n > 10 { HOUR } else { 0 });
        assert!(seen.windows(2).all(|pair| pair[1].0 >= pair[0].0 + SECOND / 2));
        assert_eq!(seen.last().map(|(shown, wall)| shown == wall), Some(true), "after two hours");
    }

    #[test]
    fn time_in_which_the_process_stood_still_does_not_pass_at_once() {
        let mut clock = Slewed::at(0);
        clock.advance(SECOND, SECOND);
        assert_eq!(clock.advance(26 * SECOND, 26 * SECOND), SECOND);
        assert_eq!(clock.advance(28 * SECOND, 28 * SECOND), 4 * SECOND, "and then it passes faster");
    }

    #[test]
    fn looking_often_makes_no_difference() {
        let mut clock = Slewed::at(0);
        let last = (1..=10_000_u64).map(|n| clock.advance(n * 1_000, n * 1_000 + 60 * SECOND)).last();
        assert_eq!(last, Some(15 * SECOND));
    }

    #[test]
    fn the_machines_clock_is_near_the_wall() {
        let steady = System.steady();
        let wall = System.now();
        assert!(wall.since(steady) < 1_000 && steady.since(wall) < 1_000, "{steady:?} {wall:?}");
    }
}
