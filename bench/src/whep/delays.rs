//! When frames came to many viewers, and what that says: how far the last viewer is behind the first, and how much a
//! viewer's place in that order moves. Arithmetic alone.

use crate::table::share;
use std::collections::HashMap;

/// A frame's time by its packets' heads, and when its last packet came, in nanoseconds of the machine's clock.
pub type Arrival = (u32, u64);

/// What was seen, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delays {
    /// Frames that came to all viewers.
    pub frames: usize,
    /// How long after the first viewer 99 of 100 viewers have a frame: of the middle frame, and of 99 of 100 frames.
    pub spread: [f64; 2],
    /// How far from its usual place behind the first viewer's a viewer's frame comes: the middle one, and 99 of 100.
    pub jitter: [f64; 2],
}

impl Delays {
    /// None: no frame came to all viewers with the same time in its heads.
    pub fn of(viewers: &[&[Arrival]]) -> Option<Self> {
        let mut frames: HashMap<u32, Vec<(usize, u64)>> = HashMap::new();
        for (viewer, arrivals) in viewers.iter().enumerate() {
            for arrival in *arrivals {
                frames.entry(arrival.0).or_default().push((viewer, arrival.1));
            }
        }
        // In the order of the viewers, so that a place in one is a viewer's. A time that a viewer has twice is of no frame.
        frames.retain(|_, times| times.iter().map(|(viewer, _)| *viewer).eq(0..viewers.len()));
        let delays: Vec<Vec<f64>> = frames.into_values().map(|times| behind_first(&times)).collect();
        if delays.is_empty() {
            return None;
        }
        let spreads: Vec<f64> = delays.iter().map(|delays| share(delays.clone(), 0.99)).collect();
        let mut moves = Vec::new();
        for viewer in 0..viewers.len() {
            let own: Vec<f64> = delays.iter().filter_map(|delays| delays.get(viewer).copied()).collect();
            let usual = share(own.clone(), 0.5);
            moves.extend(own.into_iter().map(|delay| (delay - usual).abs()));
        }
        Some(Delays {
            frames: delays.len(),
            spread: [share(spreads.clone(), 0.5), share(spreads, 0.99)],
            jitter: [share(moves.clone(), 0.5), share(moves, 0.99)],
        })
    }
}

fn behind_first(times: &[(usize, u64)]) -> Vec<f64> {
    let first = times.iter().map(|(_, time)| *time).min().unwrap_or(0);
    times.iter().map(|(_, time)| (time - first) as f64 / 1e6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_one_has_twice_and_another_not_at_all_is_none() {
        assert_eq!(Delays::of(&[&[(1, 0), (1, 5_000_000)], &[]]), None);
    }

    #[test]
    fn delays_count_from_the_first_viewer_and_jitter_from_a_viewers_own_place() {
        let ms = |n: u64| n * 1_000_000;
        // The second is always 2 ms behind; the third 4, but 7 once.
        let first: Vec<Arrival> = (0..5).map(|n| (n, ms(40 * u64::from(n)))).collect();
        let second: Vec<Arrival> = first.iter().map(|(time, at)| (*time, at + ms(2))).collect();
        let mut third: Vec<Arrival> = first.iter().map(|(time, at)| (*time, at + ms(4))).collect();
        third[4].1 += ms(3);
        // One that came to the first alone.
        let with_more: Vec<Arrival> = first.iter().copied().chain([(99, ms(900))]).collect();
        let delays = Delays::of(&[&with_more, &second, &third]).unwrap();
        assert_eq!(delays, Delays { frames: 5, spread: [4.0, 7.0], jitter: [0.0, 3.0] });
        assert_eq!(Delays::of(&[&[(1, 5)], &[(2, 5)]]), None);
        assert_eq!(Delays::of(&[]), None);
    }
}
