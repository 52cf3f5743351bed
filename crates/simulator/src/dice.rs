//! Random numbers that are the same for the same seed (SplitMix64).

/// A source of them.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A source of its own for something that has a number: what it draws changes nothing for others.
    pub const fn apart(seed: u64, what: u64) -> Self {
        let mut dice = Self(seed ^ what.wrapping_mul(0xa076_1d64_78bd_642f));
        dice.draw();
        dice
    }

    /// Any number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this one.
    pub const fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.draw() % end }
    }

    /// A number from here to there, both included.
    pub const fn from(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// Yes, in so many of a thousand cases.
    pub const fn yes(&mut self, of_thousand: u64) -> bool {
        self.below(1000) < of_thousand
    }
}
