//! The active rooms of a kind in order of age, with access by position.
//!
//! A sorted list in blocks: finding position `n` skips whole blocks by their length, so the last
//! page of a million rooms costs about what the first one does; putting in and taking out move at
//! most one block.

use room::{Millis, RoomId};

/// A block is split when it grows to this many entries.
const BLOCK: usize = 512;

type Entry = (Millis, RoomId);

/// Rooms ordered by the time they were made, then by id.
#[derive(Debug, Default)]
pub struct Listing {
    /// No block is empty; entries ascend within and across blocks.
    blocks: Vec<Vec<Entry>>,
}

impl Listing {
    /// These rooms, which may come in any order.
    pub fn of(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        let mut blocks = Vec::with_capacity(entries.len() / (BLOCK - 1) + 1);
        let mut entries = entries.into_iter();
        loop {
            let block: Vec<Entry> = entries.by_ref().take(BLOCK - 1).collect();
            if block.is_empty() {
                return Self { blocks };
            }
            blocks.push(block);
        }
    }

    fn block_of(&self, entry: &Entry) -> usize {
        self.blocks.partition_point(|block| block.last().is_some_and(|last| last < entry))
    }

    /// Puts a room in; one that is in already stays.
    pub fn insert(&mut self, created: Millis, id: &RoomId) {
        let entry = (created, id.clone());
        // New rooms are the youngest: nearly always the end.
        let at = self.block_of(&entry).min(self.blocks.len().saturating_sub(1));
        let Some(block) = self.blocks.get_mut(at) else {
            self.blocks.push(vec![entry]);
            return;
        };
        let Err(place) = block.binary_search(&entry) else { return };
        block.insert(place, entry);
        if block.len() >= BLOCK {
            // Growing at the end leaves full blocks behind; growing in the middle halves them.
            let last = at + 1 == self.blocks.len() && place + 1 == BLOCK;
            let rest = self.blocks[at].split_off(if last { BLOCK - 1 } else { BLOCK / 2 });
            self.blocks[at].shrink_to_fit();
            self.blocks.insert(at + 1, rest);
        }
    }

    /// Takes a room out.
    pub fn remove(&mut self, created: Millis, id: &RoomId) {
        let entry = (created, id.clone());
        let at = self.block_of(&entry);
        let Some(block) = self.blocks.get_mut(at) else { return };
        if let Ok(place) = block.binary_search(&entry) {
            block.remove(place);
            if block.is_empty() {
                self.blocks.remove(at);
            }
        }
    }

    /// The rooms from position `index`, at most `count`.
    pub fn page(&self, index: usize, count: usize) -> Vec<RoomId> {
        let mut skip = index;
        let mut found = Vec::with_capacity(count.min(BLOCK));
        for block in &self.blocks {
            if skip >= block.len() {
                skip -= block.len();
                continue;
            }
            found.extend(block[skip..].iter().take(count - found.len()).map(|(_, id)| id.clone()));
            skip = 0;
            if found.len() == count {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn id(n: u64) -> RoomId {
        RoomId::parse(&format!("r{n}")).unwrap()
    }

    #[test]
    fn pages_of_many_rooms() {
        let mut listing = Listing::default();
        for n in 0..10_000 {
            listing.insert(Millis(n), &id(n));
        }
        assert_eq!(listing.page(9_990, 20).len(), 10);
        assert_eq!(listing.page(5_000, 2), [id(5_000), id(5_001)]);
        assert!(listing.page(10_000, 1).is_empty() && listing.page(0, 0).is_empty());
        assert!(listing.page(usize::MAX, usize::MAX).is_empty());
        for n in 0..10_000 {
            listing.remove(Millis(n), &id(n));
        }
        assert!(listing.blocks.is_empty());
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(steps in prop::collection::vec((any::<bool>(), 0..40u64, 0..1500u64), 0..3000)) {
            let mut listing = Listing::default();
            let mut model = BTreeSet::new();
            for (put, created, n) in steps {
                if put {
                    listing.insert(Millis(created), &id(n));
                    model.insert((Millis(created), id(n)));
                } else {
                    listing.remove(Millis(created), &id(n));
                    model.remove(&(Millis(created), id(n)));
                }
            }
            let all: Vec<_> = model.into_iter().map(|(_, id)| id).collect();
            prop_assert_eq!(listing.page(0, usize::MAX), all.clone());
            let middle = all.len() / 2;
            prop_assert_eq!(listing.page(middle, 7), all.into_iter().skip(middle).take(7).collect::<Vec<_>>());
        }
    }
}
