//! A hash for numbers that no client can choose. Nothing else.

use std::hash::Hasher;

/// Hashes session numbers, which are ours and count up: no client can choose them to collide. Looked up for every viewer
/// of every frame.
#[derive(Default)]
pub(super) struct OwnNumbers(u64);

impl Hasher for OwnNumbers {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }

    fn write_u64(&mut self, number: u64) {
        // A table takes its slot from the low bits and its tag from the high ones: the product spreads over both.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
